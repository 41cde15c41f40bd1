/*-------------------------------------------------------------------------
 *
 * thumbnail.c
 *	  media_thumbnail: a picture at a size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "compress.h"
#include "options.h"

PG_FUNCTION_INFO_V1(media_thumbnail);

/* media_thumbnail(bytea, width, height, fit, quality) returns bytea */
Datum
media_thumbnail(PG_FUNCTION_ARGS)
{
	ImageCompressOptions options;
	Datum		input;
	Value		value;
	bytea	   *result;

	/* wrong options are an error whatever the picture */
	thumbnail_options_from_arguments(&options, fcinfo, 1);
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
