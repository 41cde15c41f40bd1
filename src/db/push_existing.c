/*-------------------------------------------------------------------------
 *
 * push_existing.c
 *	  media_push_existing: the pictures of before a column was pushed.
 *
 * Nothing is updated: that a row refers to what it holds is written down as
 * its trigger would.  The row is locked meanwhile, so that this comes before
 * or after what others do to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "run.h"

PG_FUNCTION_INFO_V1(media_push_existing);
PG_FUNCTION_INFO_V1(media_is_attached);

#define EQUAL " OPERATOR(pg_catalog.=) "

/* The table at hand: what look has found out last. */
typedef struct PushRun
{
	Oid			table;
	PushColumn	column;
} PushRun;

/*
 * What was offloaded is attached wherever it is: the row has but a thumbnail.
 *
 * mediastore.is_attached(oid, name, name, variadic "any") returns bool
 */
Datum
media_is_attached(PG_FUNCTION_ARGS)
{
	static OwnStatement find = {
		.text = "SELECT FROM mediastore.attachment AS t"
		" JOIN mediastore.object AS o ON o.id" EQUAL "t.object"
		" WHERE t.relation" EQUAL "$1 AND t.row_key" EQUAL "$2 AND t.column_name" EQUAL "$3"
		" AND (o.server" EQUAL "$4 OR t.offloaded) LIMIT 1",
		.result = SPI_OK_SELECT, .count = 4, .types = {OIDOID, TEXTARRAYOID, NAMEOID, NAMEOID}
	};
	Oid			relation = PG_GETARG_OID(0);
	int			count = PG_NARGS() - 3;
	Datum		key[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];
	Datum		values[4];
	bool		found;

	if (get_rel_name(relation) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (!relation_ownercheck(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relation));
	if (get_fn_expr_variadic(fcinfo->flinfo) || count > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the columns of the primary key must be given one by one")));
	for (int i = 0; i < count; i++)
	{
		key[i] = PG_GETARG_DATUM(3 + i);
		types[i] = get_fn_expr_argtype(fcinfo->flinfo, 3 + i);
		if (!OidIsValid(types[i]) || types[i] == UNKNOWNOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine the type of column %d of the primary key", i + 1)));
	}
	values[0] = ObjectIdGetDatum(relation);
	values[1] = PointerGetDatum(push_key_texts(key, types, count));
	values[2] = PG_GETARG_DATUM(1);
	values[3] = PG_GETARG_DATUM(2);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	own_execute(&find, values, NULL);
	found = SPI_processed > 0;
	SPI_finish();
	PG_RETURN_BOOL(found);
}

/* RunKind's look */
static bool
look(Run *run, Relation table, int elevel, RunQuery *query)
{
	PushRun    *push = (PushRun *) run->context;
	const char *column = quote_identifier(run->column);
	AttrNumber	key[INDEX_MAX_KEYS];
	int			key_count = push_key_columns(table, key);
	StringInfoData condition;
	bool		pushed;

	(void) run_column_number(table, run->column);
	push->table = RelationGetRelid(table);
	pushed = push_find(table, run->column, &push->column);
	if (!pushed || !run_trigger_fires(push->column.enabled))
	{
		ereport(elevel,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 pushed ?
				 errmsg("trigger that pushes column \"%s\" of relation \"%s\" does not fire",
						run->column, RelationGetRelationName(table)) :
				 errmsg("column \"%s\" of relation \"%s\" is not pushed to a store",
						run->column, RelationGetRelationName(table)),
				 pushed ?
				 errhint("It is disabled, or session_replication_role is \"replica\".") :
				 errhint("Call media_attach for it first, with a server.")));
		return false;
	}
	if (key_count == 0)
		push_no_key(table);

	initStringInfo(&condition);
	appendStringInfo(&condition, "t.%s IS NOT NULL AND NOT mediastore.is_attached(t.tableoid,"
					 " %s::pg_catalog.name, %s::pg_catalog.name",
					 column, quote_literal_cstr(run->column),
					 quote_literal_cstr(NameStr(push->column.server)));
	for (int i = 0; i < key_count; i++)
		appendStringInfo(&condition, ", t.%s",
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(table), key[i] - 1)->attname)));
	appendStringInfoChar(&condition, ')');

	memset(query, 0, sizeof(*query));
	query->condition = condition.data;
	query->possible = psprintf("t.%s IS NOT NULL", column);
	query->value = pstrdup("t.ctid");
	query->assignment = psprintf("t.%s", column);
	return true;
}

/* RunKind's work; value is where the row is. */
static void
work(Run *run, Datum value, uint64 *before, uint64 *after)
{
	PushRun    *push = (PushRun *) run->context;
	Relation	table = table_open(push->table, NoLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		is_null = true;
	Datum		datum = (Datum) 0;

	/* it is locked, so it is there */
	if (!table_tuple_fetch_row_version(table, (ItemPointer) DatumGetPointer(value), snapshot, slot))
		elog(ERROR, "row of \"%s\" is not where it was", RelationGetRelationName(table));
	datum = slot_getattr(slot, push->column.number, &is_null);
	*before = is_null ? 0 : run_raw_size(datum);
	*after = *before;
	push_row(table, &push->column, slot);

	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, NoLock);
}

static const RunKind push_existing = {
	.operation = "push",
	.family = "push",
	.done = "handed to the worker",
	.writes = true,
	.look = look,
	.work = work
};

/* media_push_existing(regclass, name, int) */
Datum
media_push_existing(PG_FUNCTION_ARGS)
{
	PushRun		push = {0};

	run_procedure(fcinfo, "media_push_existing", &push_existing, &push);
	PG_RETURN_VOID();
}
