/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Values that are to be pushed, where they are: in rows of users' tables.
 *
 * A row is found by its primary key without SQL, so nothing that a table has
 * beside its types (rules, policies, views of its name) is asked.  The types'
 * own functions run as the table's owner, restricted.
 *
 * To be used within subtransaction_try: what is raised is a row's own fault,
 * and ends the source with the subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_SOURCE_H
#define MEDIASTORE_SOURCE_H

#include "access/tupdesc.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/relcache.h"

#include "array.h"
#include "compat.h"
#include "value.h"

/* A place in a table, as mediastore.attachment has it. */
typedef struct PushPlace
{
	Oid			relation;
	ArrayType  *row_key;
	NameData	column;
	int32		index;			/* 0: no array; else the element, from 1 */
} PushPlace;

/* Where the content of a column lies, out of line; another place, another content. */
typedef struct SourcePointer
{
	bool		is_set;
	struct varatt_external pointer;
} SourcePointer;

typedef enum SourceStatus
{
	SOURCE_FOUND,
	SOURCE_MISSING,				/* no such table, column or row, or it is null */
	SOURCE_LOCKED				/* somebody is changing the table */
} SourceStatus;

/* A row that was found; good until the next one is looked for. */
typedef struct SourceRow
{
	Relation	relation;
	AttrNumber	number;			/* of the column */
	bool		is_array;
	ItemPointerData place;
	Datum		stored;			/* of the column, not detoasted */
	bool		is_null;
} SourceRow;

typedef struct Source Source;

/* Begins looking for rows, in the current memory context; with a snapshot active. */
extern Source *source_begin(void);

/*
 * Finds a row, by a place.  lockmode is taken on its table, without waiting,
 * until the transaction ends.  The column may be null.
 */
extern SourceStatus source_find(Source *source, const PushPlace *place, LOCKMODE lockmode,
								SourceRow *row);

/*
 * Opens the value of a row that was found, or its element of the place's index.
 * False if there is none.  array is the caller's to close.
 */
extern bool source_open(const SourceRow *row, int32 index, PictureArray *array, Value *value);

/* Where a column's content lies; not set if it is not out of line. */
extern void source_pointer(Datum stored, SourcePointer *pointer);
extern bool source_pointer_equal(const SourcePointer *one, const SourcePointer *other);

/*
 * Becomes the owner of a table, in a restricted security context, and back.  An
 * error takes it back with its subtransaction.
 */
typedef struct SourceIdentity
{
	Oid			user;
	int			context;
} SourceIdentity;

extern void source_become_owner(Relation relation, SourceIdentity *before);
extern void source_become(const SourceIdentity *before);

/*
 * Settings under which users' functions run, until AtEOXact_GUC(false, level)
 * or the subtransaction's end; gives level.
 */
extern int	source_settings(void);

extern void source_end(Source *source);

#endif							/* MEDIASTORE_SOURCE_H */
