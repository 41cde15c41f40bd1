/*-------------------------------------------------------------------------
 *
 * keeps_limits.c
 *	  mediastore.keeps_limits: what there is nothing to do for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "array.h"
#include "compat.h"
#include "compress.h"
#include "options.h"

PG_FUNCTION_INFO_V1(media_keeps_limits);
PG_FUNCTION_INFO_V1(media_keeps_limits_array);

/* The options of a call site, and the array they were read from. */
typedef struct KnownOptions
{
	ImageCompressOptions options;
	ArrayType  *texts;
} KnownOptions;

static void
read_options(ArrayType *array, ImageCompressOptions *options)
{
	Datum	   *elements;
	bool	   *nulls;
	char	  **texts;
	int			count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	texts = (char **) palloc(count * sizeof(char *));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option must not be null")));
		texts[i] = TextDatumGetCString(elements[i]);
	}
	compress_options_from_texts(options, texts, count);
}

/* Gives the options of the second argument, which are read once unless they change. */
static const ImageCompressOptions *
known_options(FunctionCallInfo fcinfo)
{
	KnownOptions *known = (KnownOptions *) fcinfo->flinfo->fn_extra;
	ArrayType  *texts = PG_GETARG_ARRAYTYPE_P(1);
	Size		size = VARSIZE(texts);

	if (known == NULL || VARSIZE(known->texts) != size || memcmp(known->texts, texts, size) != 0)
	{
		ImageCompressOptions options;
		ArrayType  *copy;

		read_options(texts, &options);
		copy = (ArrayType *) MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, size);
		memcpy(copy, texts, size);
		if (known == NULL)
			known = (KnownOptions *) MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(KnownOptions));
		else
			pfree(known->texts);
		known->options = options;
		known->texts = copy;
		fcinfo->flinfo->fn_extra = known;
	}
	return &known->options;
}

/* mediastore.keeps_limits(bytea, text[]) returns boolean */
Datum
media_keeps_limits(PG_FUNCTION_ARGS)
{
	Value		value;

	value_open(&value, PG_GETARG_DATUM(0));
	PG_RETURN_BOOL(value_keeps_limits(&value, known_options(fcinfo)));
}

/* mediastore.keeps_limits(bytea[], text[]) returns boolean */
Datum
media_keeps_limits_array(PG_FUNCTION_ARGS)
{
	const ImageCompressOptions *options = known_options(fcinfo);
	PictureArray array;
	bool		kept = true;

	if (!array_try_open(&array, PG_GETARG_DATUM(0)))
		PG_RETURN_BOOL(false);
	for (int i = 0; i < array.count && kept; i++)
	{
		Value		element;
		bool		is_null;

		CHECK_FOR_INTERRUPTS();
		array_next(&array, &element, &is_null);
		kept = is_null || value_keeps_limits(&element, options);
	}
	array_close(&array);
	PG_RETURN_BOOL(kept);
}
