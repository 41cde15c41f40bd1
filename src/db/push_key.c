/*-------------------------------------------------------------------------
 *
 * push_key.c
 *	  The key of an object, made of what is known of its value and its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "push.h"
#include "store_options.h"

static const char *
to_utf8(const char *text)
{
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* A row's primary key as the store room takes it. */
static const char *const *
key_texts(ArrayType *row_key, int *count)
{
	const char **result;
	Datum	   *texts;

	deconstruct_array(row_key, TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, count);
	result = (const char **) palloc(sizeof(char *) * (Size) Max(*count, 1));
	for (int i = 0; i < *count; i++)
		result[i] = to_utf8(TextDatumGetCString(texts[i]));
	return result;
}

/* A random UUID (RFC 9562, version 4), as text. */
static const char *
random_uuid(void)
{
	uint8		bytes[16];
	char	   *text = palloc(37);
	char	   *to = text;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		to += hex_encode((const char *) &bytes[i], 1, to);
	}
	*to = '\0';
	return text;
}

/* What files of a format are named. */
static const char *
extension_of(FactsFormat format)
{
	switch (format)
	{
		case FACTS_FORMAT_JPEG:
			return "jpg";
		case FACTS_FORMAT_PNG:
			return "png";
		case FACTS_FORMAT_GIF:
			return "gif";
		case FACTS_FORMAT_WEBP:
			return "webp";
		case FACTS_FORMAT_BMP:
			return "bmp";
		case FACTS_FORMAT_TIFF:
			return "tif";
		case FACTS_FORMAT_HEIF:
			return "heic";
		case FACTS_FORMAT_AVIF:
			return "avif";
		case FACTS_FORMAT_SVG:
			return "svg";
		case FACTS_FORMAT_JXL:
			return "jxl";
		case FACTS_FORMAT_JP2:
			return "jp2";
		case FACTS_FORMAT_ICO:
			return "ico";
		case FACTS_FORMAT_PSD:
			return "psd";
		case FACTS_FORMAT_UNKNOWN:
			break;
	}
	return "bin";
}

const char *
push_make_key(const PushColumn *column, Oid table, const char *column_name,
			  ArrayType *row_key, int32 index, FactsFormat format, const uint8 *sha256)
{
	StoreKeyValues values;
	StoreError	error;
	char		hex[PG_SHA256_DIGEST_LENGTH * 2 + 1];
	char	   *made;
	char	   *key;

	memset(&values, 0, sizeof(values));
	hex[hex_encode((const char *) sha256, PG_SHA256_DIGEST_LENGTH, hex)] = '\0';
	values.sha256 = hex;
	values.ext = extension_of(format);
	values.index = index > 0 ? index : -1;
	if ((column->key_names & STORE_KEY_TABLE) != 0)
	{
		const char *name = get_rel_name(table);

		if (name == NULL)
			elog(ERROR, "cache lookup failed for relation %u", table);
		values.table = to_utf8(name);
	}
	if ((column->key_names & STORE_KEY_COLUMN) != 0)
		values.column = to_utf8(column_name);
	if ((column->key_names & STORE_KEY_PK) != 0)
		values.pk = key_texts(row_key, &values.pk_count);
	if ((column->key_names & STORE_KEY_UUID) != 0)
		values.uuid = random_uuid();
	if ((column->key_names & (STORE_KEY_DATE | STORE_KEY_TIMESTAMP)) != 0)
	{
		values.has_at = true;
		values.at = timestamptz_to_time_t(GetCurrentTransactionStartTimestamp());
	}

	made = store_template_expand(to_utf8(column->key), NULL, &values, &error);
	if (made == NULL)
		store_raise(&error);
	key = palloc_extended(strlen(made) + 1, MCXT_ALLOC_NO_OOM);
	if (key != NULL)
		strcpy(key, made);
	free(made);
	if (key == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return pg_any_to_server(key, (int) strlen(key), PG_UTF8);
}
