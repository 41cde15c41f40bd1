/*-------------------------------------------------------------------------
 *
 * value.h
 *	  A bytea as it is stored, read by pieces.
 *
 * A value that lies out of line and uncompressed (STORAGE EXTERNAL) is read
 * by slices; a compressed one by a prefix that grows, since that is how it
 * can be decompressed; one that is in the row is not copied at all.  Its
 * length is known without reading any of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_VALUE_H
#define MEDIASTORE_VALUE_H

#include "../facts/facts.h"

typedef enum ValueStorage
{
	VALUE_AT_HAND,				/* all of it is in memory: in the row, for one */
	VALUE_SLICES,				/* out of line, not compressed */
	VALUE_PREFIX				/* compressed, in the row or out of line */
} ValueStorage;

typedef struct Value
{
	FactsReader reader;			/* for facts_format and facts_read */
	uint64		total;			/* length in bytes */
	/* private */
	ValueStorage storage;
	uint64		start;			/* of a part: where it is in the stored value */
	struct varlena *stored;		/* as it was given */
	struct varlena *piece;		/* what was fetched last, or NULL */
	const uint8 *bytes;			/* the bytes at hand ... */
	uint64		offset;			/* ... where in the stored value they start
								 * ... */
	size_t		length;			/* ... and how many they are */
	size_t		next_length;	/* how much to fetch if reading goes on */
} Value;

/*
 * Opens a bytea.  The reader's fetch raises PostgreSQL's errors (an
 * interrupt, a toast table that can't be read) right through the facts room,
 * which holds nothing that would be lost.
 */
extern void value_open(Value *value, Datum datum);

/*
 * Opens length bytes of an opened value, from offset, as a value of their
 * own.  The whole must stay open, and not be read or released until the part
 * is done with: what it has at hand of the part is not fetched again.
 */
extern void value_open_part(Value *part, const Value *whole, uint64 offset, uint64 length);

/*
 * Gives at least minimum bytes from offset (offset + minimum <= total), or
 * more, near to wanted, if that is no extra work.  They live until the next
 * call.  Returns how many they are.
 */
extern size_t value_read(Value *value, uint64 offset, size_t minimum, size_t wanted,
						 const uint8 **bytes);

/*
 * Gives the bytes from offset (< total) on, for reading all of it from start to
 * end: as many at a time as suits the way it is stored.  They live until the
 * next call.
 */
extern size_t value_read_on(Value *value, uint64 offset, const uint8 **bytes);

/* Copies all of it into a new bytea, in the current memory context. */
extern bytea *value_copy(Value *value);

/* Whether two datums are pointers to one value out of line. */
extern bool value_same_pointer(Datum one, Datum other);

/* Whether two values hold the same bytes. */
extern bool value_equal(Value *one, Value *other);

/* Frees what was fetched; it can be read again. */
extern void value_release(Value *value);

#endif							/* MEDIASTORE_VALUE_H */
