/*-------------------------------------------------------------------------
 *
 * compress.c
 *	  media_compress and media_thumbnail: a picture in, a small upright WebP
 *	  out.
 *
 * Here it is decided whether a picture is looked at at all: by its length
 * before any of it is read, by its header before any of it is decoded.  The
 * rest happens in the codec process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "../mediastore.h"
#include "codec_client.h"
#include "compat.h"
#include "compress.h"
#include "errors.h"
#include "limits.h"
#include "options.h"

#define MESSAGE_SIZE 200

PG_FUNCTION_INFO_V1(media_compress);
PG_FUNCTION_INFO_V1(media_thumbnail);

bytea *
compress_value(Value *value, const ImageCompressOptions *options)
{
	char		message[MESSAGE_SIZE] = "";
	ImageFacts	facts;
	FactsStatus status;
	bytea	   *result;

	if (value->total > (uint64) mediastore_max_input_bytes)
		error_over_limit("max_input_bytes", "image is too large: " UINT64_FORMAT " bytes, more than %d",
						 (uint64) value->total, mediastore_max_input_bytes);

	status = facts_read(&value->reader, true, &facts, message, sizeof(message));
	if (status != FACTS_OK)
		error_facts(status, facts.format, message);
	limits_check_claims(&facts, options);

	result = codec_compress(value, &facts, options);
	value_release(value);
	return result;
}

bool
value_keeps_limits(Value *value, const ImageCompressOptions *options)
{
	ImageFacts	facts;
	bool		kept;

	/* what is too long needs no look, and a look may mean to decompress it */
	if (value->total > (uint64) options->max_bytes)
		return false;
	kept = facts_format(&value->reader) == FACTS_FORMAT_WEBP &&
		facts_read(&value->reader, true, &facts, NULL, 0) == FACTS_OK &&
		limits_kept(&facts, value->total, options);
	value_release(value);
	return kept;
}

/* The first argument of a function, compressed. */
static Datum
compress_argument(FunctionCallInfo fcinfo, const ImageCompressOptions *options)
{
	Value		value;
	bytea	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value_open(&value, PG_GETARG_DATUM(0));
	result = compress_value(&value, options);

	/* NULL: it was fine as it was stored */
	if (result == NULL)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_BYTEA_P(result);
}

/* Both: wrong options are an error whatever the picture, and be it null. */

/* media_compress(bytea, options ...) returns bytea */
Datum
media_compress(PG_FUNCTION_ARGS)
{
	ImageCompressOptions options;

	compress_options_from_arguments(&options, fcinfo, 1);
	return compress_argument(fcinfo, &options);
}

/* media_thumbnail(bytea, width, height, fit, quality) returns bytea */
Datum
media_thumbnail(PG_FUNCTION_ARGS)
{
	ImageCompressOptions options;

	thumbnail_options_from_arguments(&options, fcinfo, 1);
	return compress_argument(fcinfo, &options);
}
