/*-------------------------------------------------------------------------
 *
 * array.h
 *	  A bytea[] as it is stored, element by element.
 *
 * A subscript has the whole array fetched.  Here an array that lies out of
 * line and uncompressed is walked by its elements' lengths, a slice each, so
 * that one picture of ten costs one picture.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_ARRAY_H
#define MEDIASTORE_ARRAY_H

#include "value.h"

typedef struct PictureArray
{
	int			count;			/* of elements, nulls among them */
	int			first;			/* subscript of the first one */
	/* private */
	Value		value;
	uint8	   *not_null;		/* a bit an element, or NULL: none is null */
	int			index;			/* of the next element, from 0 */
	uint64		offset;			/* where it begins */
} PictureArray;

/*
 * Opens an array of bytea.  Raises 2202E (array_subscript_error) if it has
 * more than one dimension, XX001 if it is none.
 */
extern void array_open(PictureArray *array, Datum datum);

/*
 * The same, but if it has more than one dimension nothing is opened, and the
 * answer is false.
 */
extern bool array_try_open(PictureArray *array, Datum datum);

/*
 * Opens the next element as a value, which lives until the next call.
 * *is_null tells that there is none.  To be called count times at most.
 * Raises XX001 (data_corrupted) if the lengths make no sense; there is no
 * going on then.
 */
extern void array_next(PictureArray *array, Value *element, bool *is_null);

/*
 * Opens the element of an index, from 0 (< count), in the same way: onwards
 * from where array_next is, or from the first one.
 */
extern void array_at(PictureArray *array, int index, Value *element, bool *is_null);

/* Begins at the first element again. */
extern void array_rewind(PictureArray *array);

/* Frees what was fetched. */
extern void array_close(PictureArray *array);

#endif							/* MEDIASTORE_ARRAY_H */
