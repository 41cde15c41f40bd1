/*-------------------------------------------------------------------------
 *
 * array.c
 *	  A bytea[] as it is stored, element by element.
 *
 * The layout is that of utils/array.h: dimensions, lower bounds, a bitmap if
 * there are nulls, then the elements, each a varlena aligned to an int.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "array.h"
#include "compat.h"

/*
 * How much to read where an element begins: a chunk of a toast table, so that
 * many small elements are not a read each, and large ones not a read too much.
 */
#define READ_AHEAD		2000

_Noreturn static void
broken(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("stored array is not what its header says")));
}

/* Copies bytes of the array; offset counts from the start of an ArrayType. */
static void
read_bytes(PictureArray *array, uint64 offset, void *target, size_t length, size_t wanted)
{
	const uint8 *bytes;

	/* the value does not have the length word */
	offset -= VARHDRSZ;
	if (offset > array->value.total || length > array->value.total - offset)
		broken();
	if (length == 0)
		return;
	(void) value_read(&array->value, offset, length, wanted, &bytes);
	memcpy(target, bytes, length);
}

/* Opens it if it has one dimension or none; returns how many it has. */
static int
open_flat(PictureArray *array, Datum datum)
{
	ArrayType	header;
	int32		size[2];		/* dimension, lower bound */

	memset(array, 0, sizeof(*array));
	value_open(&array->value, datum);

	read_bytes(array, VARHDRSZ, (char *) &header + VARHDRSZ, sizeof(header) - VARHDRSZ, 64);
	if (header.elemtype != BYTEAOID || header.ndim < 0)
		broken();
	if (header.ndim != 1)
		return header.ndim;

	read_bytes(array, sizeof(header), size, sizeof(size), sizeof(size));
	if (size[0] < 0)
		broken();
	array->count = size[0];
	array->first = size[1];
	if (header.dataoffset != 0)
	{
		size_t		length = ((size_t) array->count + 7) / 8;

		if (length > array->value.total)
			broken();
		array->not_null = (uint8 *) palloc(length);
		read_bytes(array, sizeof(header) + sizeof(size), array->not_null, length, length);
	}
	array_rewind(array);
	return 1;
}

void
array_open(PictureArray *array, Datum datum)
{
	int			dimensions = open_flat(array, datum);

	if (dimensions > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of pictures has %d dimensions", dimensions),
				 errhint("Only arrays of one dimension hold pictures.")));
}

bool
array_try_open(PictureArray *array, Datum datum)
{
	if (open_flat(array, datum) <= 1)
		return true;
	array_close(array);
	return false;
}

void
array_next(PictureArray *array, Value *element, bool *is_null)
{
	int			index = array->index++;
	union
	{
		char		bytes[VARHDRSZ];
		int32		alignment;
	}			word;
	uint64		begin;
	uint64		length;

	Assert(index < array->count);
	CHECK_FOR_INTERRUPTS();

	*is_null = array->not_null != NULL && (array->not_null[index / 8] & (1 << (index % 8))) == 0;
	if (*is_null)
		return;

	begin = INTALIGN(array->offset);
	memset(&word, 0, sizeof(word));
	read_bytes(array, begin, word.bytes, 1, READ_AHEAD);
	if (VARATT_IS_1B_E(word.bytes))
		broken();
	if (VARATT_IS_1B(word.bytes))
	{
		length = VARSIZE_1B(word.bytes) - VARHDRSZ_SHORT;
		begin += VARHDRSZ_SHORT;
	}
	else
	{
		read_bytes(array, begin, word.bytes, VARHDRSZ, READ_AHEAD);
		/* array functions leave no element compressed */
		if (!VARATT_IS_4B_U(word.bytes) || VARSIZE_4B(word.bytes) < VARHDRSZ)
			broken();
		length = VARSIZE_4B(word.bytes) - VARHDRSZ;
		begin += VARHDRSZ;
	}
	array->offset = begin + length;
	if (array->offset - VARHDRSZ > array->value.total)
		broken();

	/*
	 * decompressed from the start each time: once for the element and the way
	 * to it
	 */
	if (array->value.storage == VALUE_PREFIX && length > 0)
	{
		const uint8 *bytes;

		(void) value_read(&array->value, begin - VARHDRSZ, length, length, &bytes);
	}
	value_open_part(element, &array->value, begin - VARHDRSZ, length);
}

void
array_at(PictureArray *array, int index, Value *element, bool *is_null)
{
	Assert(index < array->count);

	if (array->index > index)
		array_rewind(array);
	do
		array_next(array, element, is_null);
	while (array->index <= index);
}

void
array_rewind(PictureArray *array)
{
	array->index = 0;
	array->offset = array->not_null == NULL ? ARR_OVERHEAD_NONULLS(1) :
		ARR_OVERHEAD_WITHNULLS(1, array->count);
}

void
array_close(PictureArray *array)
{
	value_release(&array->value);
	if (array->not_null != NULL)
		pfree(array->not_null);
	array->not_null = NULL;
}
