/*-------------------------------------------------------------------------
 *
 * courier_text.c
 *	  Text on the way to and from the courier: fields, and what is in them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "../utf8.h"
#include "courier_text.h"

/* What pg_do_encoding_conversion_buf wants to have for any one character. */
#define CHARACTER_ROOM	((MAX_MULTIBYTE_CHAR_LEN + 1) * MAX_CONVERSION_GROWTH + 1)

static void
add_bytes(CourierText *text, const char *string, bool ends)
{
	size_t		length = strlen(string) + (ends ? 1 : 0);

	if (text->overflow || length > COURIER_TEXT_MOST - text->length)
	{
		text->overflow = true;
		return;
	}
	memcpy(text->bytes + text->length, string, length);
	text->length += length;
}

void
courier_text_add_named(CourierText *text, const char *prefix, const char *name, const char *value)
{
	if (value == NULL)
		return;
	add_bytes(text, prefix, false);
	add_bytes(text, name, true);
	add_bytes(text, value, true);
}

void
courier_text_add(CourierText *text, const char *name, const char *value)
{
	courier_text_add_named(text, "", name, value);
}

bool
courier_text_check(const char *bytes, size_t length)
{
	const char *at = bytes;
	const char *end = bytes + length;

	while (at < end)
	{
		const char *value;

		if (*at == '\0')
			return false;
		value = memchr(at, '\0', (size_t) (end - at));
		if (value == NULL || ++value == end)
			return false;
		at = memchr(value, '\0', (size_t) (end - value));
		if (at == NULL)
			return false;
		at++;
	}
	return true;
}

bool
courier_text_next(const char **at, const char *end, const char **name, const char **value)
{
	if (*at >= end)
		return false;
	*name = *at;
	*value = *name + strlen(*name) + 1;
	*at = *value + strlen(*value) + 1;
	return true;
}

/*
 * Writes a character of UTF-8 in the server's encoding, which is another, at
 * target, where there is room for any; its length, or 0 if there is none.
 */
static size_t
convert(const char *character, size_t length, char *target, Oid procedure)
{
	int			encoding = GetDatabaseEncoding();
	unsigned char source[MAX_MULTIBYTE_CHAR_LEN + 1];

	if (!OidIsValid(procedure))
		return 0;
	memcpy(source, character, length);
	source[length] = '\0';
	target[0] = '\0';
	if (pg_do_encoding_conversion_buf(procedure, PG_UTF8, encoding, source, (int) length,
									  (unsigned char *) target, CHARACTER_ROOM, true) != (int) length)
		return 0;
	return strlen(target);
}

char *
courier_text_tame(const char *value, size_t most)
{
	int			encoding = GetDatabaseEncoding();
	bool		plain = encoding == PG_UTF8 || encoding == PG_SQL_ASCII;
	Oid			procedure = InvalidOid;
	size_t		length = 0;
	char	   *result;

	/* there may be many short ones */
	most = Min(most, strlen(value) * MAX_CONVERSION_GROWTH);
	result = palloc(most + CHARACTER_ROOM);

	if (!plain && IsTransactionState())
		procedure = FindDefaultConversionProc(PG_UTF8, encoding);

	while (*value != '\0')
	{
		uint32_t	code = 0;
		size_t		size = utf8_sequence(value, &code);
		size_t		step = 0;
		char	   *target = result + length;

		if (size > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0))
		{
			if (plain || size == 1)
			{
				memcpy(target, value, size);
				step = size;
			}
			else
				step = convert(value, size, target, procedure);
		}
		if (step == 0)
		{
			*target = '?';
			step = 1;
		}
		if (length + step > most)
			break;
		length += step;
		value += size > 0 ? size : 1;
	}
	result[length] = '\0';
	return result;
}

bool
courier_text_is_header(const char *value)
{
	size_t		length = strlen(value);

	if (length == 0 || value[0] == ' ' || value[length - 1] == ' ')
		return false;
	for (; *value != '\0'; value++)
	{
		if (*value < ' ' || *value > '~')
			return false;
	}
	return true;
}

bool
courier_text_is_token(const char *name)
{
	if (name[0] == '\0')
		return false;
	for (; *name != '\0'; name++)
	{
		if (!((*name >= '0' && *name <= '9') || (*name >= 'a' && *name <= 'z') ||
			  (*name >= 'A' && *name <= 'Z') || strchr("!#$%&'*+-.^_`|~", *name) != NULL))
			return false;
	}
	return true;
}
