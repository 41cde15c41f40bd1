/*-------------------------------------------------------------------------
 *
 * attach_push.c
 *	  The triggers that push a column to a store, put there and taken away.
 *
 * A column has one for its rows, which partitions get from PostgreSQL as a
 * clone, and one for TRUNCATE, which they do not: each table of the tree has
 * its own, for each may be truncated by itself.
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
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "attach_parts.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "store_options.h"

#define ROW_TYPE \
	(TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | \
	 TRIGGER_TYPE_DELETE)
#define TRUNCATE_TYPE \
	(TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_TRUNCATE)

/* The most columns that a row trigger fires on: the key, the picture, its URL. */
#define MOST_COLUMNS	(INDEX_MAX_KEYS + 2)

/* What is to become of one of the two triggers. */
typedef struct TriggerPlan
{
	bool		kept;			/* it is as it should be */
	char	   *replace;		/* the name of the one to replace, or NULL */
} TriggerPlan;

/* What a relation of the tree lacks. */
typedef struct PushPlan
{
	bool		by_parent;		/* its row trigger is its parent's affair */
	TriggerPlan row;
	TriggerPlan truncate;
	List	   *drop;			/* of char *: triggers that must go */
	List	   *enable;			/* of char *: a parent's triggers that do not
								 * fire here */
	AttrNumber	columns[MOST_COLUMNS];	/* that the row trigger is to fire on */
	int			column_count;
	char	   *old_name;		/* that the column had when its trigger was
								 * made, if another */
	bool		has_rows;		/* of its own: it is no partitioned table */
} PushPlan;

void
attach_push_check(const PushRequest *request)
{
	StoreServer *store = store_server(request->options.server);

	if (store->type == STORE_TYPE_FILE && store->bucket.public_url == NULL &&
		request->options.url_column != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"%s\"", store->server->servername, "public_url"),
				 errdetail("There would be nothing to write to column \"%s\".",
						   request->options.url_column),
				 errhint("What a store of type file keeps has an address if its public_url says where it is served.")));
}

static void
add_column(PushPlan *plan, AttrNumber number)
{
	for (int i = 0; i < plan->column_count; i++)
	{
		if (plan->columns[i] == number)
			return;
	}
	plan->columns[plan->column_count++] = number;
}

/* The columns whose UPDATE concerns what is pushed. */
static void
set_columns(Relation relation, const PushColumn *column, PushPlan *plan)
{
	AttrNumber	key[INDEX_MAX_KEYS];
	int			key_count = push_key_columns(relation, key);

	/* first the one the trigger is for: that is how it is known if renamed */
	add_column(plan, column->number);
	for (int i = 0; i < key_count; i++)
		add_column(plan, key[i]);
	if (column->offload != PUSH_OFFLOAD_NONE && column->url_number != InvalidAttrNumber)
		add_column(plan, column->url_number);
}

/* Whether a trigger is what the request would make of it. */
static bool
is_wanted(const Trigger *trigger, const PushRequest *request, const PushPlan *plan)
{
	bool		for_row = TRIGGER_FOR_ROW(trigger->tgtype);
	ListCell   *cell;
	int			argument = 0;

	if (trigger->tgtype != (for_row ? ROW_TYPE : TRUNCATE_TYPE) || trigger->tgqual != NULL ||
		trigger->tgdeferrable || !attach_is_enabled(trigger) ||
		trigger->tgnattr != (for_row ? plan->column_count : 0) ||
		trigger->tgnargs != 1 + (for_row ? list_length(request->texts) : 0))
		return false;
	for (int i = 0; i < trigger->tgnattr; i++)
	{
		if (trigger->tgattr[i] != plan->columns[i])
			return false;
	}
	if (!for_row)
		return true;
	foreach(cell, request->texts)
	{
		if (strcmp(trigger->tgargs[++argument], (const char *) lfirst(cell)) != 0)
			return false;
	}
	return true;
}

/*
 * The name that a column had when the trigger for its rows was made, if that
 * was another; or NULL.  The one for TRUNCATE does not know the column but by
 * that.
 */
static char *
old_name_of(Relation relation, const TriggerDesc *triggers, AttrNumber number, const char *column)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) && number != InvalidAttrNumber &&
			push_number(relation, trigger) == number && strcmp(trigger->tgargs[0], column) != 0)
			return pstrdup(trigger->tgargs[0]);
	}
	return NULL;
}

/* Whether a trigger is one of those that push a column. */
static bool
is_for(Relation relation, const Trigger *trigger, AttrNumber number, const char *column,
	   const char *old_name)
{
	AttrNumber	its_number = push_number(relation, trigger);
	const char *its_name;

	if (its_number != InvalidAttrNumber)
		return its_number == number;
	if (!push_is_ours(trigger->tgfoid) || trigger->tgnargs == 0)
		return false;
	its_name = trigger->tgargs[0];
	return strcmp(its_name, column) == 0 || (old_name != NULL && strcmp(its_name, old_name) == 0);
}

/*
 * What is known by the name of a column that was renamed since is that column's
 * still; a column that has the name now must not take it over.
 */
static void
check_name_free(Relation relation, const Trigger *trigger, AttrNumber number, const char *column)
{
	AttrNumber	its_number = push_number(relation, trigger);
	const char *its_name;

	if (!TRIGGER_FOR_ROW(trigger->tgtype) || its_number == InvalidAttrNumber ||
		its_number == number || strcmp(trigger->tgargs[0], column) != 0)
		return;
	its_name = NameStr(TupleDescAttr(RelationGetDescr(relation), its_number - 1)->attname);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("objects of column \"%s\" of relation \"%s\" are known by the name \"%s\" still",
					its_name, RelationGetRelationName(relation), column),
			 errhint("Call media_attach for column \"%s\" first; if two columns have changed names, give one of them a third name for that.",
					 its_name),
			 errtablecolname(relation, its_name)));
}

/* Compares a relation with the request; raises if it can't be pushed from. */
static void
make_plan(Relation relation, const PushRequest *request, PushPlan *plan)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), request->column);
	bool		wanted = request->options.server != NULL;
	TriggerDesc *triggers;

	memset(plan, 0, sizeof(*plan));
	plan->by_parent = attach_gets_clone(RelationGetRelid(relation), request->root);
	if (wanted)
	{
		PushColumn	column;

		push_check(relation, request->column, &request->options, &column);
		set_columns(relation, &column, plan);
	}

	triggers = CopyTriggerDesc(relation->trigdesc);
	plan->old_name = old_name_of(relation, triggers, number, request->column);
	plan->has_rows = relation->rd_rel->relkind == RELKIND_RELATION;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		bool		for_row = TRIGGER_FOR_ROW(trigger->tgtype);
		TriggerPlan *its_plan = for_row ? &plan->row : &plan->truncate;

		if (wanted)
			check_name_free(relation, trigger, number, request->column);
		if (!is_for(relation, trigger, number, request->column, plan->old_name))
			continue;
		if (trigger->tgisclone)
		{
			if (!plan->by_parent)
				attach_inherited_trigger(relation, trigger->tgname, "media_attach");
			if (wanted && !attach_is_enabled(trigger))
				plan->enable = lappend(plan->enable, pstrdup(trigger->tgname));
		}
		else if (wanted && !(for_row && plan->by_parent) && !its_plan->kept &&
				 its_plan->replace == NULL && strcmp(trigger->tgargs[0], request->column) == 0)
		{
			its_plan->kept = is_wanted(trigger, request, plan);
			if (!its_plan->kept)
				its_plan->replace = pstrdup(trigger->tgname);
		}
		else
			plan->drop = lappend(plan->drop, pstrdup(trigger->tgname));
	}
	FreeTriggerDesc(triggers);
	if (!wanted || plan->by_parent)
		plan->row.kept = true;
	if (!wanted)
		plan->truncate.kept = true;
}

LOCKMODE
attach_push_lock(const PushRequest *request)
{
	List	   *tree = find_all_inheritors(request->root, NoLock, NULL);
	LOCKMODE	strongest = NoLock;
	ListCell   *cell;

	foreach(cell, tree)
	{
		Relation	relation = attach_open_member(lfirst_oid(cell), AccessShareLock);
		PushPlan	plan;

		if (relation == NULL)
			continue;
		make_plan(relation, request, &plan);
		if (plan.drop != NIL)
			strongest = Max(strongest, AccessExclusiveLock);
		else if (plan.enable != NIL || !plan.row.kept || !plan.truncate.kept)
			strongest = Max(strongest, ShareRowExclusiveLock);
		relation_close(relation, AccessShareLock);
	}
	return strongest;
}

/* --- carrying out ----------------------------------------------------------- */

/* Adds what has been done to a list for people. */
static void
tell_done(StringInfo done, const char *what, const char *trigger)
{
	appendStringInfo(done, "%s%s trigger \"%s\"", done->len > 0 ? ", " : "", what, trigger);
}

static void
create_row_trigger(Oid member, const char *name, const PushRequest *request, const PushPlan *plan)
{
	StringInfoData columns;
	StringInfoData arguments;
	ListCell   *cell;

	initStringInfo(&columns);
	for (int i = 0; i < plan->column_count; i++)
		appendStringInfo(&columns, "%s%s", i == 0 ? "" : ", ",
						 quote_identifier(get_attname(member, plan->columns[i], false)));
	initStringInfo(&arguments);
	appendStringInfoString(&arguments, quote_literal_cstr(request->column));
	foreach(cell, request->texts)
		appendStringInfo(&arguments, ", %s", quote_literal_cstr((const char *) lfirst(cell)));

	attach_run("CREATE OR REPLACE TRIGGER %s AFTER INSERT OR DELETE OR UPDATE OF %s ON %s FOR EACH ROW EXECUTE FUNCTION %s(%s)",
			   quote_identifier(name), columns.data, attach_sql_name(member),
			   request->function, arguments.data);
	pfree(columns.data);
	pfree(arguments.data);
}

static void
create_truncate_trigger(Oid member, const char *name, const char *column, const char *function)
{
	attach_run("CREATE OR REPLACE TRIGGER %s AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s(%s)",
			   quote_identifier(name), attach_sql_name(member), function,
			   quote_literal_cstr(column));
}

/* Takes a column of a locked relation. */
static void
attach_member(Oid member, const PushRequest *request, const List *tree)
{
	Relation	relation = attach_open_member(member, NoLock);
	PushPlan	plan;
	StringInfoData done;
	ListCell   *cell;

	if (relation == NULL)
		return;
	make_plan(relation, request, &plan);
	relation_close(relation, NoLock);

	/* what is known by the old name is to be found by the new one */
	if (plan.old_name != NULL && plan.has_rows)
	{
		Change		change = {.kind = 'c', .relation = member, .column = plan.old_name};

		change.new_column = request->column;
		change_append(&change);
	}

	initStringInfo(&done);
	foreach(cell, plan.drop)
	{
		const char *name = (const char *) lfirst(cell);

		attach_run("DROP TRIGGER %s ON %s", quote_identifier(name), attach_sql_name(member));
		tell_done(&done, "dropped", name);
	}
	foreach(cell, plan.enable)
	{
		const char *name = (const char *) lfirst(cell);

		attach_run("ALTER TABLE ONLY %s ENABLE TRIGGER %s", attach_sql_name(member),
				   quote_identifier(name));
		tell_done(&done, "enabled", name);
	}
	if (!plan.row.kept)
	{
		const char *name = plan.row.replace;

		if (name == NULL)
			name = attach_free_name("media_push", request->column,
									get_rel_relkind(member) == RELKIND_PARTITIONED_TABLE ? tree :
									list_make1_oid(member));
		create_row_trigger(member, name, request, &plan);
		tell_done(&done, plan.row.replace != NULL ? "replaced" : "created", name);
	}
	if (!plan.truncate.kept)
	{
		const char *name = plan.truncate.replace;

		if (name == NULL)
			name = attach_free_name("media_push_truncate", request->column, list_make1_oid(member));
		create_truncate_trigger(member, name, request->column, request->function);
		/* of a partition only what it had of its own is worth a word */
		if (!plan.by_parent || plan.truncate.replace != NULL)
			tell_done(&done, plan.truncate.replace != NULL ? "replaced" : "created", name);
	}

	if (done.len > 0)
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\": %s",
						request->column, attach_message_name(member), done.data)));
	else if (request->options.server != NULL && !plan.by_parent)
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\" is pushed to server \"%s\" already",
						request->column, attach_message_name(member), request->options.server)));
	pfree(done.data);
}

void
attach_push(const PushRequest *request, const List *tree)
{
	ListCell   *cell;

	/* partitions first: what they have of their own is in the clones' way */
	foreach(cell, tree)
	{
		if (attach_gets_clone(lfirst_oid(cell), request->root))
			attach_member(lfirst_oid(cell), request, tree);
	}
	foreach(cell, tree)
	{
		if (!attach_gets_clone(lfirst_oid(cell), request->root))
			attach_member(lfirst_oid(cell), request, tree);
	}
	if (request->options.server != NULL)
		push_note_store(request->options.server);
}

/* --- taking away ------------------------------------------------------------ */

List *
attach_push_triggers(Relation relation, const char *column, char **inherited)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), column);
	TriggerDesc *triggers = CopyTriggerDesc(relation->trigdesc);
	char	   *old_name = old_name_of(relation, triggers, number, column);
	List	   *names = NIL;

	*inherited = NULL;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (!is_for(relation, trigger, number, column, old_name))
			continue;
		if (trigger->tgisclone)
			*inherited = pstrdup(trigger->tgname);
		else
			names = lappend(names, pstrdup(trigger->tgname));
	}
	FreeTriggerDesc(triggers);
	return names;
}

void
attach_push_tell_left(Oid root, const char *column, const List *tree)
{
	static OwnStatement find_left = {
		.text = "SELECT FROM mediastore.attachment AS t"
		" WHERE t.relation OPERATOR(pg_catalog.=) ANY ($1)"
		" AND t.column_name OPERATOR(pg_catalog.=) $2 LIMIT 1",
		.result = SPI_OK_SELECT, .count = 2, .types = {OIDARRAYOID, NAMEOID}
	};
	Datum	   *members = (Datum *) palloc(sizeof(Datum) * (Size) Max(list_length(tree), 1));
	Datum		values[2];
	NameData	name;
	ListCell   *cell;
	int			count = 0;
	bool		is_left;

	foreach(cell, tree)
		members[count++] = ObjectIdGetDatum(lfirst_oid(cell));
	namestrcpy(&name, column);
	values[0] = PointerGetDatum(construct_array(members, count, OIDOID, sizeof(Oid), true,
												TYPALIGN_INT));
	values[1] = NameGetDatum(&name);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	own_execute(&find_left, values, NULL);
	is_left = SPI_processed > 0;
	SPI_finish();
	if (is_left)
		ereport(NOTICE,
				(errmsg("objects of column \"%s\" of table \"%s\" stay at their store",
						column, attach_message_name(root)),
				 errdetail("They are deleted there when the table is dropped, or the column; but not with its rows.")));
}

/* --- partitions that come later --------------------------------------------- */

void
attach_push_partition(Relation relation)
{
	TriggerDesc *triggers = CopyTriggerDesc(relation->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		bool		found = false;

		if (!trigger->tgisclone || !TRIGGER_FOR_ROW(trigger->tgtype) ||
			!push_is_ours(trigger->tgfoid) || trigger->tgnargs == 0)
			continue;
		for (int j = 0; j < triggers->numtriggers && !found; j++)
		{
			const Trigger *other = &triggers->triggers[j];

			found = TRIGGER_FOR_TRUNCATE(other->tgtype) && other->tgnargs > 0 &&
				push_is_ours(other->tgfoid) && strcmp(other->tgargs[0], trigger->tgargs[0]) == 0;
		}
		if (!found)
			create_truncate_trigger(RelationGetRelid(relation),
									attach_free_name("media_push_truncate", trigger->tgargs[0],
													 list_make1_oid(RelationGetRelid(relation))),
									trigger->tgargs[0],
									quote_qualified_identifier(get_namespace_name(get_func_namespace(trigger->tgfoid)),
															   get_func_name(trigger->tgfoid)));
	}
	FreeTriggerDesc(triggers);
}
