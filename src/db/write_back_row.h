/*-------------------------------------------------------------------------
 *
 * write_back_row.h
 *	  How a row is told what has become of its content.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_WRITE_BACK_ROW_H
#define MEDIASTORE_WRITE_BACK_ROW_H

#include "common/sha2.h"

#include "push.h"
#include "source.h"

/* A row that is to be told. */
typedef struct WriteBackTarget
{
	Oid			relation;
	ArrayType  *row_key;
	NameData	column;
	SourcePointer pointer;		/* content that is known to be stored */
} WriteBackTarget;

/* An object that a place of the row refers to. */
typedef struct WriteBackElement
{
	int32		index;
	int64		object;
	const char *server;
	const char *key;
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
	uint64		bytes;
	Oid			owner;
	const char *url;			/* or NULL */
} WriteBackElement;

typedef enum WriteBackState
{
	WRITE_BACK_DONE,					/* or it need not be */
	WRITE_BACK_LOCKED
} WriteBackState;

/* A row while it is told. */
typedef struct WriteBack
{
	const WriteBackTarget *target;
	WriteBackElement    *elements;
	int			count;
	WriteBackState	state;
} WriteBack;

/*
 * Locks a row that was found, and tells it if it is what was stored.  To be
 * called as the table's owner, with SPI connected, in a subtransaction.
 * *offloaded tells that the row does not hold the bytes any more.  Raises what
 * the table's triggers and constraints raise, and the codec.
 */
extern WriteBackState write_back_row(WriteBack *telling, const SourceRow *row,
									 const PushColumn *column, bool *offloaded);

#endif							/* MEDIASTORE_WRITE_BACK_ROW_H */
