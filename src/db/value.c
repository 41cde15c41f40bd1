/*-------------------------------------------------------------------------
 *
 * value.c
 *	  A bytea as it is stored, read by pieces.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "compat.h"
#include "value.h"

/* A reader that goes on where it stopped gets larger pieces, up to this. */
#define SLICE_LARGEST	((size_t) 256 * 1024)

/* The size of slices when all of a value is read. */
#define STRIDE			((size_t) 1024 * 1024)

/* The FactsReader's fetch. */
static bool
fetch_for_facts(void *context, uint64_t offset, size_t minimum, const uint8_t **data,
				size_t *length)
{
	Value	   *value = (Value *) context;
	uint64		place = value->start + offset;
	size_t		wanted = FACTS_FETCH_USUAL;

	/* walking through, as one does to count a GIF's frames? */
	if (value->piece != NULL && place <= value->offset + value->length &&
		place + minimum > value->offset + value->length)
	{
		value->next_length = Min(value->next_length * 2, SLICE_LARGEST);
		wanted = value->next_length;
	}
	else
		value->next_length = FACTS_FETCH_USUAL;

	*length = value_read(value, offset, minimum, wanted, data);
	return true;
}

/* Whether all of it has been fetched, or need not be. */
static bool
is_at_hand(const Value *value)
{
	return value->start >= value->offset &&
		value->start + value->total <= value->offset + value->length;
}

static void
start_reading(Value *value)
{
	value->next_length = FACTS_FETCH_USUAL;
	memset(&value->reader, 0, sizeof(value->reader));
	value->reader.total = value->total;
	value->reader.fetch = fetch_for_facts;
	value->reader.context = value;
}

void
value_open(Value *value, Datum datum)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(datum);

	memset(value, 0, sizeof(*value));

	if (VARATT_IS_EXTERNAL(stored) && !VARATT_IS_EXTERNAL_ONDISK(stored))
	{
		/* in memory, as a variable of PL/pgSQL has its arrays; rare */
		value->piece = detoast_attr(stored);
		stored = value->piece;
	}
	value->stored = stored;

	if (VARATT_IS_EXTERNAL_ONDISK(stored))
	{
		struct varatt_external pointer;

		VARATT_EXTERNAL_GET_POINTER(pointer, stored);
		value->total = (uint64) pointer.va_rawsize - VARHDRSZ;
		/* as VARATT_EXTERNAL_IS_COMPRESSED */
		value->storage = VARATT_EXTERNAL_GET_EXTSIZE(pointer) < value->total ?
			VALUE_PREFIX : VALUE_SLICES;
	}
	else if (VARATT_IS_COMPRESSED(stored))
	{
		value->total = (uint64) toast_raw_datum_size(PointerGetDatum(stored)) - VARHDRSZ;
		value->storage = VALUE_PREFIX;
	}
	else
	{
		value->total = VARSIZE_ANY_EXHDR(stored);
		value->storage = VALUE_AT_HAND;
		value->bytes = (const uint8 *) VARDATA_ANY(stored);
		value->length = value->total;
	}

	start_reading(value);
}

void
value_open_part(Value *part, const Value *whole, uint64 offset, uint64 length)
{
	Assert(offset <= whole->total && length <= whole->total - offset);

	*part = *whole;
	part->start += offset;
	part->total = length;
	/* whatever piece there is, it is the whole's to free */
	part->piece = NULL;
	if (is_at_hand(part))
		part->storage = VALUE_AT_HAND;
	else
		part->length = 0;
	start_reading(part);
}

/* Fetches a part of what is stored, which is not at hand. */
static struct varlena *
fetch_slice(const Value *value, uint64 start, uint64 length)
{
	struct varlena *slice = detoast_attr_slice(value->stored, (int32) start, (int32) length);

	if (VARSIZE_ANY_EXHDR(slice) != length)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored value is shorter than its length says")));
	return slice;
}

size_t
value_read(Value *value, uint64 offset, size_t minimum, size_t wanted, const uint8 **bytes)
{
	uint64		stored_total = value->start + value->total;

	Assert(offset + minimum <= value->total);

	offset += value->start;
	if (offset < value->offset || offset + minimum > value->offset + value->length)
	{
		uint64		start = offset;
		uint64		end = offset + Max(minimum, wanted);

		if (value->storage == VALUE_PREFIX)
		{
			/* each time from the start: at least double, so that it ends soon */
			start = 0;
			end = Max(end, 2 * (uint64) value->length);
			if (end > stored_total / 2)
				end = stored_total;
		}
		end = Min(end, stored_total);

		value_release(value);
		value->piece = fetch_slice(value, start, end - start);
		value->bytes = (const uint8 *) VARDATA_ANY(value->piece);
		value->offset = start;
		value->length = end - start;
	}

	*bytes = value->bytes + (offset - value->offset);
	return (size_t) (Min(value->offset + value->length, stored_total) - offset);
}

size_t
value_read_on(Value *value, uint64 offset, const uint8 **bytes)
{
	uint64		left = value->total - offset;
	size_t		wanted = left;

	if (value->storage == VALUE_SLICES)
		wanted = Min(left, STRIDE);
	return value_read(value, offset, wanted, wanted, bytes);
}

bytea *
value_copy(Value *value)
{
	bytea	   *copy;

	if (is_at_hand(value))
	{
		copy = (bytea *) palloc(VARHDRSZ + value->total);
		SET_VARSIZE(copy, VARHDRSZ + value->total);
		memcpy(VARDATA(copy), value->bytes + (value->start - value->offset), value->total);
		value_release(value);
	}
	else
	{
		/* a slice is a value of its own: nothing to copy */
		value_release(value);
		copy = (bytea *) fetch_slice(value, value->start, value->total);
	}
	return copy;
}

bool
value_same_pointer(Datum one, Datum other)
{
	const char *pointer = DatumGetPointer(one);
	const char *other_pointer = DatumGetPointer(other);

	return VARATT_IS_EXTERNAL_ONDISK(pointer) && VARATT_IS_EXTERNAL_ONDISK(other_pointer) &&
		memcmp(pointer, other_pointer, VARSIZE_EXTERNAL(pointer)) == 0;
}

bool
value_equal(Value *one, Value *other)
{
	uint64		done = 0;
	bool		equal = one->total == other->total;

	while (equal && done < one->total)
	{
		const uint8 *bytes;
		const uint8 *other_bytes;
		size_t		count;

		CHECK_FOR_INTERRUPTS();
		count = value_read_on(one, done, &bytes);
		count = Min(count, value_read_on(other, done, &other_bytes));
		equal = memcmp(bytes, other_bytes, count) == 0;
		done += count;
	}
	value_release(one);
	value_release(other);
	return equal;
}

void
value_release(Value *value)
{
	if (value->storage == VALUE_AT_HAND || value->piece == NULL)
		return;
	pfree(value->piece);
	value->piece = NULL;
	value->length = 0;
	/* the reader remembers what it was given last */
	value->reader.window = NULL;
	value->reader.window_length = 0;
}
