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
 *	  push_row.c		the primary key of a row
 *	  push_key.c		the key of an object
 *	  push_trigger.c	the trigger
 *	  change.c			rows of mediastore.change, and the wake-up at commit
 *	  fold.c			changes become objects and attachments
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_PUSH_H
#define MEDIASTORE_PUSH_H

#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "../facts/facts.h"

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

/*
 * Notes whose a store is, if nobody has: this database's.  So a copy that is
 * made before anything is pushed is told from it, too.  Raises as store_server.
 */
extern void push_note_store(const char *server);

/* Whether a function is our media_push_trigger. */
extern bool push_is_ours(Oid function);

/*
 * The number of the column that a trigger is for, which follows a renamed
 * column; or 0 if it does not call media_push_trigger, or the column is gone.
 * The trigger must be the caller's own copy.
 */
extern AttrNumber push_number(Relation relation, const Trigger *trigger);

/* What is said of a column, as strings in the server's encoding. */
typedef struct PushOptions
{
	const char *server;			/* NULL: the column is not to be pushed */
	const char *key;
	const char *url_column;		/* or NULL */
	PushOffload offload;
} PushOptions;

/*
 * Reads the options from the arguments of a function: server, key, url_column,
 * offload, from first on.  Raises 22023.
 */
extern void push_options_from_arguments(PushOptions *options, FunctionCallInfo fcinfo, int first);

/*
 * The options as arguments of a trigger, "name=value", without those at their
 * default: a List of char *, palloc'd.
 */
extern List *push_options_to_texts(const PushOptions *options);

/*
 * Looks whether a column of a relation can be pushed so, and says how.  Raises
 * as push_read, and 55000 if the relation has no primary key; the server is not
 * looked at.
 */
extern void push_check(Relation relation, const char *name, const PushOptions *options,
					   PushColumn *column);

/* --- push_row.c ---------------------------------------------------------- */

/*
 * The primary key's columns in the order of its index, INDEX_MAX_KEYS at most;
 * returns how many.  0 if there is none, or it is deferrable: rows may have the
 * same one for a while then.
 */
extern int	push_key_columns(Relation relation, AttrNumber *numbers);

/* Raises 55000: the table has no such key. */
_Noreturn extern void push_no_key(Relation relation);

/*
 * Values of a primary key as mediastore.attachment has them: text[], the same
 * whatever the session's settings are.  The array is palloc'd.
 */
extern ArrayType *push_key_texts(const Datum *values, const Oid *types, int count);

/* The same of a row's, in the order of the index.  Raises 55000 if the table has none. */
extern ArrayType *push_row_key(Relation relation, TupleTableSlot *slot);

/* --- push_key.c ---------------------------------------------------------- */

/*
 * Makes the key of a value from its column's template, in the server's encoding;
 * table is the topmost that the row's is a partition of, or itself; row_key is
 * as push_row_key gives it, index that of an array's element from 1, or 0.
 * palloc'd.  Raises 22023 for what can't be a key.
 */
extern const char *push_make_key(const PushColumn *column, Oid table, const char *column_name,
								 ArrayType *row_key, int32 index, FactsFormat format,
								 const uint8 *sha256);

/* --- push_trigger.c ------------------------------------------------------ */

/*
 * Writes down that a row refers to what its column holds, as the trigger does
 * for a new row.  column is that of one of the table's triggers.
 */
extern void push_row(Relation relation, const PushColumn *column, TupleTableSlot *slot);

/* A row, and a column of it, to which is written back what has become of its value. */
typedef struct PushWritingBack
{
	Oid			relation;
	ItemPointerData place;		/* of the row as it was before */
	const char *column;
} PushWritingBack;

/*
 * Set while this process does that: the trigger does nothing for it.  What the
 * table's own triggers do then is as anything they do.
 */
extern PushWritingBack *push_writing_back;

typedef struct Change
{
	char		kind;			/* as in mediastore.change */
	Oid			relation;
	ArrayType  *row_key;		/* NULL of 't', 'c' */
	const char *column;			/* NULL of 't': all of the table's */
	int32		index;			/* of an array's element from 1; 0: no array;
								 * -1 (of 'd'): all */
	ArrayType  *new_key;		/* of 'm' */
	const char *new_column;		/* of 'c' */
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
 * (configuration_limit_exceeded) if mediastore.max_queue_rows wait already; not
 * for 't' and 'c', of which there are few.
 */
extern void change_append(const Change *change);

/*
 * Folds committed changes, most at a time, in their order; gives how many, and
 * not less than most if there may be more.
 * To be called by the one process that may (pusher.h), in a transaction with
 * SPI connected.
 */
extern int	fold_changes(int most);

#endif							/* MEDIASTORE_PUSH_H */
