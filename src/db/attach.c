/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  media_attach and media_detach: a column's trigger, put there and taken
 *	  away; and what the view mediastore.attached needs.
 *
 * All that is left behind is ordinary DDL, issued as such: a trigger and the
 * column's storage.  What is as it should be is not touched, nor locked.
 *
 * A table is taken with all that inherits from it.  Partitions get their
 * trigger from PostgreSQL, as the parent's clone; plain children inherit no
 * row triggers and get their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "attach_parts.h"
#include "attached.h"
#include "compat.h"
#include "options.h"

PG_FUNCTION_INFO_V1(media_attach);
PG_FUNCTION_INFO_V1(media_detach);
PG_FUNCTION_INFO_V1(media_trigger_arguments);

/* Where server, key, url_column and offload are among media_attach's arguments. */
#define FIRST_PUSH_ARGUMENT 10

/* What to attach. */
typedef struct Request
{
	Oid			root;			/* the relation that was named */
	const char *column;
	const char *function;		/* media_compress_trigger, qualified */
	List	   *options;		/* of char *, "name=value" */
} Request;

/* What a relation of the tree lacks. */
typedef struct AttachPlan
{
	bool		by_parent;		/* a partition: the trigger is its parent's
								 * affair */
	bool		attached;		/* its trigger is as it should be */
	char	   *replace;		/* the name of the trigger to replace, or NULL */
	List	   *drop;			/* of char *: triggers that must go first */
	List	   *enable;			/* of char *: a parent's triggers that do not
								 * fire here */
	bool		set_storage;
} AttachPlan;

/* Raises if the relation that was named is none that can be attached. */
static void
check_root(Oid root, LOCKMODE lockmode)
{
	Relation	relation = try_relation_open(root, lockmode);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", root)));
	if (relation->rd_rel->relkind != RELKIND_RELATION &&
		relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" is not a table", RelationGetRelationName(relation)),
				 errhint("Columns of ordinary and of partitioned tables can be attached."),
				 errtable(relation)));
	if (RELATION_IS_OTHER_TEMP(relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("relation \"%s\" is a temporary table of another session",
						RelationGetRelationName(relation)),
				 errtable(relation)));
	relation_close(relation, lockmode);
}

/* Whether a trigger is what media_attach would make for the request. */
static bool
is_wanted(const Trigger *trigger, const Request *request)
{
	ListCell   *cell;
	int			argument = 0;

	if (trigger->tgtype != (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT |
							TRIGGER_TYPE_UPDATE) ||
		trigger->tgnattr != 1 || trigger->tgqual != NULL || !attach_is_enabled(trigger) ||
		trigger->tgnargs != 1 + list_length(request->options) ||
		strcmp(trigger->tgargs[0], request->column) != 0)
		return false;
	foreach(cell, request->options)
	{
		if (strcmp(trigger->tgargs[++argument], (const char *) lfirst(cell)) != 0)
			return false;
	}
	return true;
}

/* Compares a relation with the request; raises if it can't be attached. */
static void
make_plan(Relation relation, const Request *request, AttachPlan *plan)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), request->column);
	TriggerDesc *triggers;
	AttachedColumn column;

	memset(plan, 0, sizeof(*plan));
	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 number == InvalidAttrNumber ?
				 errmsg("column \"%s\" of relation \"%s\" does not exist", request->column,
						RelationGetRelationName(relation)) :
				 errmsg("column \"%s\" of relation \"%s\" is a system column", request->column,
						RelationGetRelationName(relation)),
				 errtablecolname(relation, request->column)));
	attached_check_type(relation, number, &column);

	plan->by_parent = attach_gets_clone(RelationGetRelid(relation), request->root);
	plan->set_storage = relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE &&
		TupleDescAttr(RelationGetDescr(relation), number - 1)->attstorage != TYPSTORAGE_EXTERNAL;

	triggers = CopyTriggerDesc(relation->trigdesc);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (attached_number(relation, trigger) != number)
			continue;
		if (trigger->tgisclone)
		{
			if (!plan->by_parent)
				attach_inherited_trigger(relation, trigger->tgname, "media_attach");
			if (!attach_is_enabled(trigger))
				plan->enable = lappend(plan->enable, pstrdup(trigger->tgname));
		}
		else if (!plan->by_parent && !plan->attached && plan->replace == NULL &&
				 trigger->tgnargs > 0 && strcmp(trigger->tgargs[0], request->column) == 0)
		{
			/*
			 * the name of one whose column was renamed would mislead, this
			 * one's stays
			 */
			plan->attached = is_wanted(trigger, request);
			if (!plan->attached)
				plan->replace = pstrdup(trigger->tgname);
		}
		else
			plan->drop = lappend(plan->drop, pstrdup(trigger->tgname));
	}
	FreeTriggerDesc(triggers);
}

/* The lock that carrying a plan out will take. */
static LOCKMODE
lock_of_plan(const AttachPlan *plan)
{
	if (plan->drop != NIL || plan->set_storage)
		return AccessExclusiveLock;
	if (plan->enable != NIL || (!plan->attached && !plan->by_parent))
		return ShareRowExclusiveLock;
	return NoLock;
}

/*
 * The lock that the request will take on the tree.  What it looks at is
 * unlocked again, for a lock that is held must not be made stronger.
 */
static LOCKMODE
lock_of_request(const Request *request)
{
	List	   *tree = find_all_inheritors(request->root, NoLock, NULL);
	LOCKMODE	strongest = NoLock;
	ListCell   *cell;

	foreach(cell, tree)
	{
		Relation	relation = attach_open_member(lfirst_oid(cell), AccessShareLock);
		AttachPlan	plan;

		if (relation == NULL)
			continue;
		make_plan(relation, request, &plan);
		strongest = Max(strongest, lock_of_plan(&plan));
		relation_close(relation, AccessShareLock);
	}
	return strongest;
}

static void
create_trigger(Oid relation, const char *name, const Request *request)
{
	StringInfoData arguments;
	ListCell   *cell;

	initStringInfo(&arguments);
	appendStringInfoString(&arguments, quote_literal_cstr(request->column));
	foreach(cell, request->options)
		appendStringInfo(&arguments, ", %s", quote_literal_cstr((const char *) lfirst(cell)));

	attach_run("CREATE OR REPLACE TRIGGER %s BEFORE INSERT OR UPDATE OF %s ON %s FOR EACH ROW EXECUTE FUNCTION %s(%s)",
		quote_identifier(name), quote_identifier(request->column), attach_sql_name(relation),
		request->function, arguments.data);
	pfree(arguments.data);
}

/* Takes a column of a locked relation.  Returns whether its storage was set. */
static bool
attach_member(Oid member, const Request *request, const List *partitions, bool storage_was_set)
{
	Relation	relation = attach_open_member(member, NoLock);
	AttachPlan	plan;
	StringInfoData done;
	ListCell   *cell;

	if (relation == NULL)
	{
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\" is not attached: it is a foreign table, or another session's",
						request->column, attach_message_name(member))));
		return false;
	}
	make_plan(relation, request, &plan);
	relation_close(relation, NoLock);

	initStringInfo(&done);
	foreach(cell, plan.drop)
	{
		const char *name = (const char *) lfirst(cell);

		attach_run("DROP TRIGGER %s ON %s", quote_identifier(name), attach_sql_name(member));
		appendStringInfo(&done, "%sdropped trigger \"%s\"", done.len > 0 ? ", " : "", name);
	}
	foreach(cell, plan.enable)
	{
		const char *name = (const char *) lfirst(cell);

		attach_run("ALTER TABLE ONLY %s ENABLE TRIGGER %s", attach_sql_name(member), quote_identifier(name));
		appendStringInfo(&done, "%senabled trigger \"%s\"", done.len > 0 ? ", " : "", name);
	}
	if (!plan.by_parent && !plan.attached)
	{
		bool		partitioned = get_rel_relkind(member) == RELKIND_PARTITIONED_TABLE;
		const char *name = plan.replace;

		if (name == NULL)
			name = attach_free_name("media_compress", request->column,
									 partitioned ? partitions : list_make1_oid(member));
		create_trigger(member, name, request);
		appendStringInfo(&done, "%s%s trigger \"%s\"", done.len > 0 ? ", " : "",
						 plan.replace != NULL ? "replaced" : "created", name);
	}
	if (plan.set_storage)
		attach_run("ALTER TABLE ONLY %s ALTER COLUMN %s SET STORAGE EXTERNAL",
			attach_sql_name(member), quote_identifier(request->column));
	if (!plan.by_parent && (plan.set_storage || storage_was_set))
		appendStringInfo(&done, "%sset storage to external", done.len > 0 ? ", " : "");

	/* of a partition only what it had of its own is worth a word */
	if (done.len > 0)
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\": %s",
						request->column, attach_message_name(member), done.data)));
	else if (!plan.by_parent)
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\" is attached already",
						request->column, attach_message_name(member))));
	pfree(done.data);
	return plan.set_storage;
}

/* Reads and checks the first two arguments, which both functions have. */
static void
get_target(FunctionCallInfo fcinfo, Request *request)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be null",
						PG_ARGISNULL(0) ? "relation" : "column_name")));
	request->root = PG_GETARG_OID(0);
	request->column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	check_root(request->root, AccessShareLock);
}

/* The name of a function of the extension as SQL has it, in the schema of the one called. */
static const char *
function_name(FunctionCallInfo fcinfo, const char *name)
{
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)),
									  name);
}

/* Reads and checks what media_attach is told of a store. */
static void
read_push_request(FunctionCallInfo fcinfo, const Request *request, PushRequest *push)
{
	memset(push, 0, sizeof(*push));
	push->root = request->root;
	push->column = request->column;
	push->function = function_name(fcinfo, "media_push_trigger");
	push_options_from_arguments(&push->options, fcinfo, FIRST_PUSH_ARGUMENT);
	if (push->options.server != NULL)
	{
		push->texts = push_options_to_texts(&push->options);
		attach_push_check(push);
	}
}

/* media_attach(regclass, name, options ...) returns void */
Datum
media_attach(PG_FUNCTION_ARGS)
{
	Request		request;
	PushRequest push;
	ImageCompressOptions options;
	LOCKMODE	lockmode;
	List	   *tree;
	ListCell   *cell;
	bool		storage_was_set = false;

	get_target(fcinfo, &request);
	compress_options_from_arguments(&options, fcinfo, 2);
	request.options = compress_options_to_texts(&options);
	request.function = function_name(fcinfo, "media_compress_trigger");

	read_push_request(fcinfo, &request, &push);

	lockmode = Max(lock_of_request(&request), AccessShareLock);
	lockmode = Max(lockmode, attach_push_lock(&push));
	LockRelationOid(request.root, lockmode);
	check_root(request.root, NoLock);
	tree = find_all_inheritors(request.root, lockmode, NULL);

	/* partitions first: what they have of their own is in the clones' way */
	foreach(cell, tree)
	{
		if (attach_gets_clone(lfirst_oid(cell), request.root))
			storage_was_set |= attach_member(lfirst_oid(cell), &request, tree, false);
	}
	foreach(cell, tree)
	{
		if (!attach_gets_clone(lfirst_oid(cell), request.root))
			attach_member(lfirst_oid(cell), &request, tree, storage_was_set);
	}
	attach_push(&push, tree);
	PG_RETURN_VOID();
}

/*
 * The names of the triggers to drop of a relation, those that compress first,
 * and how many these are.  A column that is gone by that name may have left one
 * that still has it for its argument.
 */
static List *
triggers_to_drop(Relation relation, const Request *request, int *compressing)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), request->column);
	bool		is_root = RelationGetRelid(relation) == request->root;
	TriggerDesc *triggers;
	List	   *names = NIL;
	char	   *inherited;

	triggers = CopyTriggerDesc(relation->trigdesc);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (number != InvalidAttrNumber ?
			attached_number(relation, trigger) != number :
			!attached_is_ours(trigger->tgfoid) || trigger->tgnargs == 0 ||
			strcmp(trigger->tgargs[0], request->column) != 0)
			continue;
		if (!trigger->tgisclone)
			names = lappend(names, pstrdup(trigger->tgname));
		else if (is_root)
			attach_inherited_trigger(relation, trigger->tgname, "media_detach");
	}
	FreeTriggerDesc(triggers);
	*compressing = list_length(names);

	names = list_concat(names, attach_push_triggers(relation, request->column, &inherited));
	if (is_root && inherited != NULL)
		attach_inherited_trigger(relation, inherited, "media_detach");
	if (is_root && names == NIL && number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist", request->column,
						RelationGetRelationName(relation)),
				 errtablecolname(relation, request->column)));
	return names;
}

/* The same of a member of the tree, by its OID; none of one that is left out. */
static List *
triggers_of_member(Oid member, const Request *request, LOCKMODE lockmode, int *compressing)
{
	Relation	relation = attach_open_member(member, lockmode);
	List	   *names = NIL;

	if (relation != NULL)
	{
		names = triggers_to_drop(relation, request, compressing);
		relation_close(relation, lockmode);
	}
	return names;
}

/* media_detach(regclass, name) returns void */
Datum
media_detach(PG_FUNCTION_ARGS)
{
	Request		request;
	List	   *tree;
	ListCell   *cell;

	memset(&request, 0, sizeof(request));
	get_target(fcinfo, &request);

	tree = find_all_inheritors(request.root, NoLock, NULL);
	foreach(cell, tree)
	{
		Oid			member = lfirst_oid(cell);
		int			compressing = 0;
		List	   *names = triggers_of_member(member, &request, AccessShareLock, &compressing);
		ListCell   *name;

		/* while the lock was waited for, another may have dropped them */
		if (names != NIL)
		{
			LockRelationOid(member, AccessExclusiveLock);
			names = triggers_of_member(member, &request, NoLock, &compressing);
		}

		foreach(name, names)
		{
			attach_run("DROP TRIGGER %s ON %s", quote_identifier((const char *) lfirst(name)),
				attach_sql_name(member));
			ereport(NOTICE,
					(errmsg("column \"%s\" of table \"%s\": dropped trigger \"%s\"%s",
							request.column, attach_message_name(member),
							(const char *) lfirst(name),
							compressing-- > 0 ? ", storage stays as it is" : "")));
		}
		if (names == NIL && member == request.root)
			ereport(NOTICE,
					(errmsg("column \"%s\" of table \"%s\" is not attached",
							request.column, attach_message_name(member))));
	}
	attach_push_tell_left(request.root, request.column, tree);
	PG_RETURN_VOID();
}

/* mediastore.trigger_arguments(bytea) returns text[]: each ends with a zero */
Datum
media_trigger_arguments(PG_FUNCTION_ARGS)
{
	bytea	   *arguments = PG_GETARG_BYTEA_PP(0);
	const char *place = VARDATA_ANY(arguments);
	const char *end = place + VARSIZE_ANY_EXHDR(arguments);
	ArrayBuildState *texts = initArrayResult(TEXTOID, CurrentMemoryContext, false);

	while (place < end)
	{
		const char *zero = (const char *) memchr(place, '\0', end - place);
		int			length;

		if (zero == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("arguments of a trigger must end with a zero byte")));
		length = (int) (zero - place);
		pg_verify_mbstr(GetDatabaseEncoding(), place, length, false);
		texts = accumArrayResult(texts, PointerGetDatum(cstring_to_text_with_len(place, length)),
								 false, TEXTOID, CurrentMemoryContext);
		place = zero + 1;
	}
	PG_RETURN_DATUM(makeArrayResult(texts, CurrentMemoryContext));
}
