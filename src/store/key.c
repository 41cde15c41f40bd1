/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Keys of objects: which ones stores take, and templates of them.
 *
 *		{table}/{pk}/{sha256}.{ext}
 *
 * Whoever may write a row chooses its values, and so must choose no more than
 * the place in the key that the template gives them.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "parts.h"

#define SEGMENT_MOST	255		/* bytes of a file's name (NAME_MAX) */

static const struct
{
	const char *name;
	StoreKeyName bit;
}			names[] = {
	{"table", STORE_KEY_TABLE},
	{"column", STORE_KEY_COLUMN},
	{"pk", STORE_KEY_PK},
	{"index", STORE_KEY_INDEX},
	{"sha256", STORE_KEY_SHA256},
	{"uuid", STORE_KEY_UUID},
	{"ext", STORE_KEY_EXT},
	{"date", STORE_KEY_DATE},
	{"timestamp", STORE_KEY_TIMESTAMP},
};

#define NAME_COUNT		(sizeof(names) / sizeof(names[0]))
#define NAMES_HINT		"Names are {table}, {column}, {pk}, {index}, {sha256}, {uuid}, {ext}, {date} and {timestamp}."

static bool
is_dots(const char *segment, size_t length)
{
	return (length == 1 && segment[0] == '.') ||
		(length == 2 && segment[0] == '.' && segment[1] == '.');
}

/* Whether each segment can be the name of a file or folder. */
static bool
check_segments(const char *key, StoreError *error)
{
	const char *segment = key;

	for (;;)
	{
		size_t		length = strcspn(segment, "/");

		if (length == 0)
			return store_fail(error, STORE_BAD_KEY, NULL, NULL,
							  "key begins or ends with a slash or has two in a row");
		if (is_dots(segment, length))
			return store_fail(error, STORE_BAD_KEY, NULL, NULL,
							  "key has a segment \".\" or \"..\"");
		if (length > SEGMENT_MOST)
			return store_fail(error, STORE_BAD_KEY, NULL, NULL,
							  "key has a segment of more than %d bytes", SEGMENT_MOST);
		if (segment[length] == '\0')
			return true;
		segment += length + 1;
	}
}

bool
store_key_check(const char *prefix, const char *key, bool segments, StoreError *error)
{
	size_t		length = prefix != NULL ? strlen(prefix) : 0;

	store_error_clear(error);
	if (key == NULL || key[0] == '\0')
		return store_fail(error, STORE_BAD_KEY, NULL, NULL, "key is empty");
	if (length + strlen(key) > STORE_KEY_MOST)
		return store_fail(error, STORE_BAD_KEY, NULL, NULL,
						  length > 0 ? "key and prefix are longer than %d bytes"
						  : "key is longer than %d bytes", STORE_KEY_MOST);
	if (!store_is_plain(key) || (prefix != NULL && !store_is_plain(prefix)))
		return store_fail(error, STORE_BAD_KEY, NULL, NULL,
						  "key is not UTF-8 or has control characters");
	if (segments && length == 0)
		return check_segments(key, error);
	if (segments)
	{
		/* the prefix may end within a segment */
		char		whole[STORE_KEY_MOST + 1];

		snprintf(whole, sizeof(whole), "%s%s", prefix != NULL ? prefix : "", key);
		return check_segments(whole, error);
	}
	return true;
}

bool
store_key_has_dots(const char *prefix, const char *key)
{
	char		whole[STORE_KEY_MOST + 1];	/* a key has no more */
	const char *segment = whole;

	snprintf(whole, sizeof(whole), "%s%s", prefix != NULL ? prefix : "", key);
	for (;;)
	{
		size_t		length = strcspn(segment, "/");

		if (is_dots(segment, length))
			return true;
		if (segment[length] == '\0')
			return false;
		segment += length + 1;
	}
}

/* --- templates ----------------------------------------------------------- */

/*
 * Adds a value so that it stays within its segment, whatever is beside it,
 * and differs from all other values'.
 */
static void
add_value(StoreText *key, const char *value, bool is_column)
{
	const char *at = value;
	const char *run = value;	/* what is yet to be added as it is */

	if (*at == '\0')
		store_text_string(key, "%");
	while (*at != '\0')
	{
		bool		control = false;
		size_t		length = store_utf8(at, &control);

		/* what is no UTF-8 is found in the end */
		if (length == 0)
			length = 1;
		if (control || *at == '/' || *at == '%' || (is_column && *at == ',') ||
			(at == value && *at == '.'))
		{
			store_text_add(key, run, (size_t) (at - run));
			for (size_t i = 0; i < length; i++)
				store_text_format(key, "%%%02X", (unsigned char) at[i]);
			run = at + length;
		}
		at += length;
	}
	store_text_add(key, run, (size_t) (at - run));
}

/* Adds what a name stands for; false if that is not known. */
static bool
add_named(StoreText *key, StoreKeyName name, const StoreKeyValues *values)
{
	const char *value = NULL;
	char		number[24];
	char		date[STORE_DATE_SIZE];
	char		day[11];

	switch (name)
	{
		case STORE_KEY_TABLE:
			value = values->table;
			break;
		case STORE_KEY_COLUMN:
			value = values->column;
			break;
		case STORE_KEY_PK:
			for (int i = 0; i < values->pk_count; i++)
			{
				if (values->pk[i] == NULL)
					return false;
				if (i > 0)
					store_text_string(key, ",");
				add_value(key, values->pk[i], true);
			}
			return values->pk_count > 0;
		case STORE_KEY_INDEX:
			snprintf(number, sizeof(number), "%" PRId64, values->index);
			value = values->index >= 0 ? number : NULL;
			break;
		case STORE_KEY_SHA256:
			value = values->sha256;
			break;
		case STORE_KEY_UUID:
			value = values->uuid;
			break;
		case STORE_KEY_EXT:
			value = values->ext;
			break;
		case STORE_KEY_DATE:
		case STORE_KEY_TIMESTAMP:
			if (!values->has_at || !store_format_date(values->at, date))
				return false;
			snprintf(day, sizeof(day), "%.4s-%.2s-%.2s", date, date + 4, date + 6);
			value = name == STORE_KEY_DATE ? day : date;
			break;
	}
	if (value == NULL)
		return false;
	add_value(key, value, false);
	return true;
}

/* Takes a name in its braces off a template: an index into names, or -1. */
static int
take_name(const char **at, StoreError *error)
{
	const char *name = *at + 1;
	size_t		length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (length == 0 || name[length] != '}')
	{
		store_fail(error, STORE_BAD_TEMPLATE, NULL, NAMES_HINT,
				   "key template has an opening brace without a name and a closing brace after it");
		return -1;
	}
	for (size_t i = 0; i < NAME_COUNT; i++)
		if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0)
		{
			*at = name + length + 1;
			return (int) i;
		}
	store_fail(error, STORE_BAD_TEMPLATE, NULL, NAMES_HINT,
			   "key template has an unknown name {%.*s}", (int) (length < 64 ? length : 64), name);
	return -1;
}

/* The key, not checked; NULL if the template can't be read or filled. */
static char *
expand(const char *key_template, const StoreKeyValues *values, unsigned *used,
	   StoreError *error)
{
	StoreText	key = {0};
	const char *at = key_template;

	*used = 0;
	while (*at != '\0')
	{
		size_t		literal = strcspn(at, "{}");
		int			name;

		store_text_add(&key, at, literal);
		at += literal;
		if (*at == '\0')
			break;
		if (*at == '}')
		{
			store_fail(error, STORE_BAD_TEMPLATE, NULL, NAMES_HINT,
					   "key template has a closing brace without an opening one");
			store_text_drop(&key);
			return NULL;
		}
		name = take_name(&at, error);
		if (name < 0)
		{
			store_text_drop(&key);
			return NULL;
		}
		*used |= names[name].bit;
		if (!add_named(&key, names[name].bit, values))
		{
			store_fail(error, STORE_BAD_TEMPLATE, NULL, NULL,
					   "key template uses {%s}, which has no value here", names[name].name);
			store_text_drop(&key);
			return NULL;
		}
	}
	return store_text_take(&key, error);
}

bool
store_template_check(const char *key_template, unsigned *names_used, StoreError *error)
{
	static const char *const pk[1] = {"1"};
	static const StoreKeyValues sample = {
		.table = "t", .column = "c", .pk = pk, .pk_count = 1, .index = 1,
		.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		.uuid = "00000000-0000-0000-0000-000000000000", .ext = "webp", .has_at = true
	};
	char	   *key;
	unsigned	used;
	bool		good;

	store_error_clear(error);
	key = expand(key_template, &sample, &used, error);
	if (key == NULL)
		return false;
	/* what is wrong with the sample is the template's fault */
	good = store_key_check(NULL, key, true, error);
	if (!good)
		error->status = STORE_BAD_TEMPLATE;
	store_wipe(key);
	if (names_used != NULL)
		*names_used = used;
	return good;
}

char *
store_template_expand(const char *key_template, const char *prefix,
					  const StoreKeyValues *values, StoreError *error)
{
	char	   *key;
	unsigned	used;

	store_error_clear(error);
	key = expand(key_template, values, &used, error);
	if (key != NULL && !store_key_check(prefix, key, true, error))
	{
		store_wipe(key);
		key = NULL;
	}
	return key;
}
