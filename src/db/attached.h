/*-------------------------------------------------------------------------
 *
 * attached.h
 *	  Which columns look after themselves, and with what options.
 *
 * Nothing but the catalog remembers: a column is attached when its table has
 * a trigger that calls media_compress_trigger with the column's name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_ATTACHED_H
#define MEDIASTORE_ATTACHED_H

#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "../image/image.h"

/*
 * How the context of an error in the trigger begins its line: column, schema,
 * table.  If it is of an array's element, that follows, and its subscript.
 */
#define ATTACHED_CONTEXT "compressing column \"%s\" of table \"%s.%s\""
#define ATTACHED_CONTEXT_ELEMENT ", element "

typedef struct AttachedColumn
{
	AttrNumber	number;			/* of the column */
	bool		is_array;		/* bytea[], or a domain over it; else bytea */
	Oid			domain;			/* the column's type if it is a domain, or 0 */
	char		enabled;		/* pg_trigger.tgenabled */
	ImageCompressOptions options;
} AttachedColumn;

/*
 * Reads what a trigger that calls media_compress_trigger says of itself.  The
 * trigger must be the caller's own copy (CopyTriggerDesc, or an executor's):
 * the catalog is read, and the relation's may be rebuilt by that.  Raises
 * 42703 (undefined_column) if its column was dropped or renamed, 22023 for bad
 * options or no arguments at all, and as attached_check_type does.
 */
extern void attached_read(Relation relation, const Trigger *trigger, AttachedColumn *column);

/*
 * Finds the trigger of a column.  False if there is none, or no such column.
 * Raises as attached_read does.
 */
extern bool attached_find(Relation relation, const char *name, AttachedColumn *column);

/*
 * The number of the column that a trigger is for, by what it fires on, which
 * follows a renamed column, else by its first argument; or 0 if the trigger
 * does not call media_compress_trigger, or its column is gone.  The trigger
 * must be a copy here, too.
 */
extern AttrNumber attached_number(Relation relation, const Trigger *trigger);

/*
 * Whether the column of that number can be attached: sets is_array and
 * domain.  Raises 42804 (datatype_mismatch) if it is neither bytea nor
 * bytea[], 42P17 (invalid_object_definition) if it is generated.
 */
extern void attached_check_type(Relation relation, AttrNumber number, AttachedColumn *column);

/* Whether a function is our media_compress_trigger. */
extern bool attached_is_ours(Oid function);

/* Whether a function is the extension's, of that name. */
extern bool attached_is_function(Oid function, const char *expected);

/* The number of the user column of that name, or 0. */
extern AttrNumber attached_column_number(Relation relation, const char *name);

/* Raises 22023 if a trigger that calls the function has no argument, the column's name. */
extern void attached_need_column(Relation relation, const Trigger *trigger, const char *function);

/*
 * Error context callback, for reading a trigger's options; the argument is the
 * trigger's name.
 */
extern void attached_tell_trigger(void *argument);

/* The trigger of a list that has the OID of the other one; NULL: there is none. */
extern const Trigger *attached_current(const TriggerDesc *triggers, const Trigger *trigger);

/*
 * The relations of a tree (partitions, inheritance children, itself) that
 * hold rows which this session can see: ordinary tables, but no other
 * session's temporary ones.  As a List of OIDs.  The caller has locked the
 * relation; all others of the tree are locked in lockmode.
 */
extern List *attached_leaves(Oid relation, LOCKMODE lockmode);

#endif							/* MEDIASTORE_ATTACHED_H */
