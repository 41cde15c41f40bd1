/*-------------------------------------------------------------------------
 *
 * row_value.h
 *	  What a row has in a column: the value itself, or an object at a store that
 *	  it was moved to.
 *
 * Anybody can make up a row of a table's type, so a row proves nothing: it is
 * looked up by its primary key as the current user, with that one's rights and
 * row-level security.  Who finds it there, and may read the column, is given
 * the object as well, which is asked for as the role that attached it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_ROW_VALUE_H
#define MEDIASTORE_ROW_VALUE_H

#include "common/sha2.h"
#include "fmgr.h"

typedef struct RowObject
{
	int64		id;				/* in mediastore.object */
	char	   *server;
	char	   *key;
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
	int64		bytes;
	Oid			owner;			/* as whom it is asked for */
	bool		stored;			/* it is at the store, or was once */
	char	   *state;			/* as in mediastore.object */
} RowObject;

typedef struct RowValue
{
	bool		offloaded;		/* the value is the object's; else: */
	bool		is_null;		/* there is none */
	Datum		data;			/* bytea, maybe toasted */
	RowObject	object;
} RowValue;

/*
 * Finds the value of a column in a row: arguments 0 (the row), 1 (a name), and
 * the one of number "index", the element of an array from 1, which is null if
 * the column is none.  What is given lives in the current memory context.
 *
 * A row that the user does not find has what it brings itself: that is one
 * that this very statement inserts, or one that was made up.
 *
 * Raises 42804 if argument 0 is no row of a table, or the column holds no
 * pictures, 42703 if there is no such column, 22023 for an index where there
 * must be none, for none where there must be one, or one less than 1; 21000 if
 * there are several rows of that key (which inherit from the table), 42501 as a
 * query does, 0A000 if rows can't be looked up by the kind of the table's key,
 * and 55000 for a table that is attached, has moved values out, and has no
 * primary key any more, or if the row is in another table whose key has other
 * columns.
 */
extern void row_value_find(FunctionCallInfo fcinfo, int index, RowValue *value);

/*
 * The bytes of an object from its store, asked for as its owner.  Raises 55000
 * if it is not stored yet, 42704 if its owner is gone, XX001 if what came is not
 * what was put there, and as store_server, courier_store and courier_raise do.
 */
extern bytea *row_object_get(const RowObject *object);

#endif							/* MEDIASTORE_ROW_VALUE_H */
