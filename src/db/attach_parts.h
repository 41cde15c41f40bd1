/*-------------------------------------------------------------------------
 *
 * attach_parts.h
 *	  What attaching a column takes, whatever the trigger is for.
 *
 *	  attach.c			media_attach and media_detach; the trigger that compresses
 *	  attach_push.c		the triggers that push
 *	  attach_parts.c	what both of them need
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_ATTACH_PARTS_H
#define MEDIASTORE_ATTACH_PARTS_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "push.h"

/* The name of a relation as error messages have it. */
extern char *attach_message_name(Oid relation);

/* The name of a relation as SQL has it.  Raises 42P01 if it is gone. */
extern const char *attach_sql_name(Oid relation);

/* Runs a command. */
extern void attach_run(const char *format,...) __attribute__((format(printf, 1, 2)));

/*
 * Opens a relation of the tree.  Raises if it is not its owner who asks.
 * Returns NULL if it is to be left out: a foreign table that is no partition,
 * another session's, or gone.
 */
extern Relation attach_open_member(Oid member, LOCKMODE lockmode);

/* Whether a relation gets its row triggers from a parent in the tree. */
extern bool attach_gets_clone(Oid member, Oid root);

/* Raises that a partition's trigger is its parent's. */
_Noreturn extern void attach_inherited_trigger(Relation relation, const char *trigger,
											   const char *function);

/* Whether a trigger fires in ordinary sessions. */
extern bool attach_is_enabled(const Trigger *trigger);

/*
 * A name for a column's trigger that no trigger of these relations has: what
 * is made for a partitioned table is made for its partitions, too.
 */
extern char *attach_free_name(const char *prefix, const char *column, const List *relations);

/* --- attach_push.c --------------------------------------------------------- */

/* Where a column is to be pushed. */
typedef struct PushRequest
{
	Oid			root;			/* the relation that was named */
	const char *column;
	const char *function;		/* media_push_trigger, qualified */
	PushOptions options;		/* without a server: nowhere */
	List	   *texts;			/* the same, as arguments of the trigger */
} PushRequest;

/*
 * Looks whether there is such a store, and whether the current user may use it.
 * Raises as store_server does, and HV00J if it has no URLs to write.
 */
extern void attach_push_check(const PushRequest *request);

/*
 * The lock that the request will take on the tree.  What it looks at is
 * unlocked again.  Raises if a relation can't be pushed from.
 */
extern LOCKMODE attach_push_lock(const PushRequest *request);

/* Makes the triggers of a tree of locked relations what they should be. */
extern void attach_push(const PushRequest *request, const List *tree);

/*
 * The names of a relation's triggers that push a column, clones not among
 * them: one that is gone by that name may have left some that still have it for
 * their argument.  *inherited is the name of a clone, or NULL.
 */
extern List *attach_push_triggers(Relation relation, const char *column, char **inherited);

/* Tells if there are objects that the column of these relations still refers to. */
extern void attach_push_tell_left(Oid root, const char *column, const List *tree);

/* The same for one partition, which has got its row trigger from its parent. */
extern void attach_push_partition(Relation relation);

#endif							/* MEDIASTORE_ATTACH_PARTS_H */
