/*-------------------------------------------------------------------------
 *
 * push.h
 *	  Columns whose values are copied to a store: what their triggers say, and
 *	  what these write down.
 *
 * A column is pushed when its table has a trigger that calls
 * media_push_trigger with the column's name; as with media_compress_trigger
 * nothing but the catalog remembers.
 *
 *	  push_spec.c		the arguments of a trigger
 *	  push_trigger.c	the trigger
 *	  change.c			rows of mediastore.change, and the wake-up at commit
 *	  fold.c			changes become objects and attachments
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_PUSH_H
#define MEDIASTORE_PUSH_H

#include "utils/rel.h"
#include "utils/reltrigger.h"

typedef enum PushOffload
{
	PUSH_OFFLOAD_NONE,			/* the row keeps its bytes */
	PUSH_OFFLOAD_NULL,			/* once stored, the column becomes null */
	PUSH_OFFLOAD_THUMBNAIL		/* ... or a small picture */
} PushOffload;

typedef struct PushColumn
{
	AttrNumber	number;			/* of the column */
	bool		is_array;		/* bytea[], or a domain over it; else bytea */
	char		enabled;		/* pg_trigger.tgenabled */
	NameData	server;
	char	   *key;			/* the template; palloc'd */
	unsigned	key_names;		/* of StoreKeyName: those it uses */
	bool		immutable;		/* a key is never another content's: it has
								 * {sha256} or {uuid} */
	AttrNumber	url_number;		/* of the column for URLs; or 0 */
	PushOffload offload;
} PushColumn;

/*
 * Reads what a trigger that calls media_push_trigger says of itself; it must be
 * the caller's own copy.  Raises 42703 for a column that is gone, 22023 for bad
 * options, 42804 for columns of wrong types.
 */
extern void push_read(Relation relation, const Trigger *trigger, PushColumn *column);

/* Finds the (row) trigger of a column.  False if there is none.  Raises as push_read. */
extern bool push_find(Relation relation, const char *name, PushColumn *column);

/* Whether a function is our media_push_trigger. */
extern bool push_is_ours(Oid function);

/*
 * The primary key of a row as mediastore.attachment has it: text[], in the
 * order of the index, the same whatever the session's settings are.  Raises
 * 55000 if the table has none.  The array is palloc'd.
 */
extern ArrayType *push_row_key(Relation relation, TupleTableSlot *slot);

/*
 * Set while this process writes back to a row what has become of its value:
 * the triggers do nothing then.
 */
extern bool push_writing_back;

typedef struct Change
{
	char		kind;			/* as in mediastore.change */
	Oid			relation;
	ArrayType  *row_key;		/* NULL of 't' */
	const char *column;			/* NULL of 't', 'm' */
	int32		index;			/* of an array's element from 1; 0: no array;
								 * -1 (of 'd'): all */
	ArrayType  *new_key;		/* of 'm' */
	/* of 'a': */
	const char *server;
	const char *key;			/* in the server's encoding */
	const uint8 *sha256;		/* 32 bytes */
	uint64		bytes;
	const char *content_type;
	bool		immutable;
	bool		write_back;		/* there is something to write back */
} Change;

/*
 * Writes a change down, as part of the transaction, and has the worker woken
 * when that commits.  Asks for no right of the user's.  Raises 53400
 * (configuration_limit_exceeded) if mediastore.max_queue_rows wait already.
 */
extern void change_append(const Change *change);

/*
 * Folds committed changes, most at a time, in their order; gives how many.
 * To be called by the one process that may (pusher.h), in a transaction with
 * SPI connected.
 */
extern int	fold_changes(int most);

#endif							/* MEDIASTORE_PUSH_H */
