/*-------------------------------------------------------------------------
 *
 * write_back.h
 *	  What rows are told once their objects are stored: an URL, and that they
 *	  need not hold the bytes any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_WRITE_BACK_H
#define MEDIASTORE_WRITE_BACK_H

#include "datatype/timestamp.h"

#include "source.h"

/* An object was stored; what was read of it was there. */
extern void write_back_stored(int64 object, const SourcePointer *pointer);

/* There may be rows to be told that write_back_stored has not told of. */
extern void write_back_sweep(void);

/* Finds rows to be told; in a transaction of the pusher's. */
extern void write_back_find(void);

/* Whether write_back_some has something to do. */
extern bool write_back_due(void);

/* When it will have, or the next sweep is: maybe in the past; 0: not known of any. */
extern TimestampTz write_back_next(void);

/* Tells some rows, in a transaction of the pusher's. */
extern void write_back_some(void);

/* Forgets all that is noted, and will sweep. */
extern void write_back_forget(void);

#endif							/* MEDIASTORE_WRITE_BACK_H */
