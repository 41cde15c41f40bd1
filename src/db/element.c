/*-------------------------------------------------------------------------
 *
 * element.c
 *	  media_element and media_count: arrays of pictures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "array.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(media_element);
PG_FUNCTION_INFO_V1(media_count);

/* media_element(bytea[], int) returns bytea */
Datum
media_element(PG_FUNCTION_ARGS)
{
	int32		subscript = PG_GETARG_INT32(1);
	bytea	   *result = NULL;
	PictureArray array;
	int64		wanted;

	array_open(&array, PG_GETARG_DATUM(0));
	wanted = (int64) subscript - array.first;
	if (wanted >= 0 && wanted < array.count)
	{
		Value		element;
		bool		is_null;

		array_at(&array, (int) wanted, &element, &is_null);
		if (!is_null)
			result = value_copy(&element);
	}
	array_close(&array);

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(result);
}

/* media_count(bytea[]) returns int */
Datum
media_count(PG_FUNCTION_ARGS)
{
	PictureArray array;

	array_open(&array, PG_GETARG_DATUM(0));
	array_close(&array);
	PG_RETURN_INT32(array.count);
}
