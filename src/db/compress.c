/*-------------------------------------------------------------------------
 *
 * compress.c
 *	  media_compress: a picture in, a small upright WebP out.
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
#include "options.h"

#define MESSAGE_SIZE 200

PG_FUNCTION_INFO_V1(media_compress);

/* Holds what the header claims against what is allowed. */
static void
check_claims(const ImageFacts *facts, const ImageCompressOptions *options)
{
	uint64		frames = 1;
	uint64		pixels;

	if (!mediastore_format_enabled(facts->format))
		error_format_disabled(facts->format);

	if (options->animation == IMAGE_ANIMATION_REJECT && facts->animated)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("image is an animation of %u frames", facts->frames),
				 errhint("The option \"animation\" is \"reject\".")));

	/* of all others only the first picture is looked at */
	if (options->animation == IMAGE_ANIMATION_KEEP && facts->animated &&
		(facts->format == FACTS_FORMAT_GIF || facts->format == FACTS_FORMAT_WEBP))
		frames = facts->frames;

	if (frames > (uint64) mediastore_max_frames)
		error_over_limit("max_frames",
						 "image has " UINT64_FORMAT " frames, more than %d",
						 frames, mediastore_max_frames);

	/* two 32-bit numbers and a 31-bit one: check before the third */
	pixels = (uint64) facts->width * facts->height;
	if (pixels > (uint64) mediastore_max_pixels ||
		pixels * frames > (uint64) mediastore_max_pixels)
		error_over_limit("max_pixels",
						 "image has too many pixels: %u x %u in " UINT64_FORMAT " frames, more than %d",
						 facts->width, facts->height, frames, mediastore_max_pixels);
}

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
	check_claims(&facts, options);

	result = codec_compress(value, &facts, options);
	value_release(value);
	return result;
}

/* media_compress(bytea, options ...) returns bytea */
Datum
media_compress(PG_FUNCTION_ARGS)
{
	Datum		input;
	ImageCompressOptions options;
	Value		value;
	bytea	   *result;

	/* null options are an error whatever the picture */
	compress_options_from_arguments(&options, fcinfo, 1);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	input = PG_GETARG_DATUM(0);

	value_open(&value, input);
	result = compress_value(&value, &options);

	/* NULL: it was fine as it was stored */
	if (result == NULL)
		PG_RETURN_DATUM(input);
	PG_RETURN_BYTEA_P(result);
}
