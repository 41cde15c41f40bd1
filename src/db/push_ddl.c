/*-------------------------------------------------------------------------
 *
 * push_ddl.c
 *	  What DDL does to columns that are pushed: event triggers.
 *
 * No row trigger fires when a table is dropped, or a column; and a partition
 * that comes later gets a clone of its parent's row trigger, but none for
 * TRUNCATE.  What is pushed is pushed with the rights of the table's owner, so
 * the right to make triggers is not enough to make one that pushes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/event_trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "attach_parts.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"

PG_FUNCTION_INFO_V1(media_drop_event);
PG_FUNCTION_INFO_V1(media_table_event);

#define EQUAL " OPERATOR(pg_catalog.=) "

/* Tables and columns that were dropped and that something refers to. */
static OwnStatement find_dropped = {
	.text = "SELECT d.objid, d.column_name FROM ("
	" SELECT o.objid, CASE WHEN o.object_type" EQUAL "'table column' THEN o.address_names[3] END AS column_name"
	" FROM pg_catalog.pg_event_trigger_dropped_objects() AS o"
	" WHERE o.classid" EQUAL "'pg_catalog.pg_class'::pg_catalog.regclass AND NOT o.is_temporary"
	" AND o.object_type" EQUAL "ANY ('{table,table column}'::pg_catalog.text[])) AS d"
	" WHERE EXISTS (SELECT FROM mediastore.attachment AS t WHERE t.relation" EQUAL "d.objid"
	" AND (d.column_name IS NULL OR t.column_name" EQUAL "d.column_name::pg_catalog.name))"
	" OR d.objid" EQUAL "ANY (SELECT c.relation FROM mediastore.change AS c)",
	.result = SPI_OK_SELECT
};

static OwnStatement find_tables = {
	.text = "SELECT DISTINCT o.objid FROM pg_catalog.pg_event_trigger_ddl_commands() AS o"
	" WHERE o.classid" EQUAL "'pg_catalog.pg_class'::pg_catalog.regclass AND o.object_type" EQUAL "'table'",
	.result = SPI_OK_SELECT
};

static OwnStatement find_triggers = {
	.text = "SELECT t.tgrelid, t.tgfoid FROM pg_catalog.pg_event_trigger_ddl_commands() AS o"
	" JOIN pg_catalog.pg_trigger AS t ON t.oid" EQUAL "o.objid"
	" WHERE o.classid" EQUAL "'pg_catalog.pg_trigger'::pg_catalog.regclass",
	.result = SPI_OK_SELECT
};

static void
check_call(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function %s was not called by an event trigger", name)));
}

/* For sql_drop: nothing refers to an object any more by what was dropped. */
Datum
media_drop_event(PG_FUNCTION_ARGS)
{
	SPITupleTable *table;
	uint64		count;

	check_call(fcinfo, "media_drop_event");

	/* the extension may be on its way out, or not there yet */
	if (!OidIsValid(own_role()) || !OidIsValid(own_table("attachment")) ||
		!OidIsValid(own_table("change")) || !OidIsValid(own_table("change_id_seq")))
		return PointerGetDatum(NULL);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	own_execute(&find_dropped, NULL, NULL);
	table = SPI_tuptable;
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
	{
		Change		change = {.kind = 't'};
		bool		is_null;

		change.relation = DatumGetObjectId(SPI_getbinval(table->vals[i], table->tupdesc, 1, &is_null));
		change.column = SPI_getvalue(table->vals[i], table->tupdesc, 2);
		change_append(&change);
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}

/* Whether a relation has a trigger that pushes rows. */
static bool
is_pushed(Relation relation)
{
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (push_is_ours(triggers->triggers[i].tgfoid))
			return true;
		/* that has looked into the catalog */
		triggers = relation->trigdesc;
	}
	return false;
}

/* Sees to a table that was made or changed, and to its partitions. */
static void
see_to_table(Oid oid)
{
	Relation	relation = try_relation_open(oid, AccessShareLock);
	List	   *members = NIL;
	ListCell   *cell;

	if (relation == NULL)
		return;
	if (is_pushed(relation))
		members = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
			find_all_inheritors(oid, AccessShareLock, NULL) : list_make1_oid(oid);
	relation_close(relation, NoLock);

	foreach(cell, members)
	{
		Oid			member = lfirst_oid(cell);

		CHECK_FOR_INTERRUPTS();
		if (!get_rel_relispartition(member) || !relation_ownercheck(member, GetUserId()))
			continue;
		relation = try_relation_open(member, NoLock);
		if (relation == NULL)
			continue;
		attach_push_partition(relation);
		relation_close(relation, NoLock);
	}
}

/* Raises if a trigger that pushes was made by somebody who does not own the table. */
static void
check_triggers(void)
{
	own_execute(&find_triggers, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	descriptor = SPI_tuptable->tupdesc;
		bool		is_null;
		Oid			table = DatumGetObjectId(SPI_getbinval(tuple, descriptor, 1, &is_null));
		Oid			function = DatumGetObjectId(SPI_getbinval(tuple, descriptor, 2, &is_null));

		if (push_is_ours(function) && !relation_ownercheck(table, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(table)),
						   get_rel_name(table));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* For ddl_command_end of CREATE TABLE, ALTER TABLE and CREATE TRIGGER. */
Datum
media_table_event(PG_FUNCTION_ARGS)
{
	Oid		   *tables;
	uint64		count;

	check_call(fcinfo, "media_table_event");
	if (!OidIsValid(own_role()))
		return PointerGetDatum(NULL);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	check_triggers();
	own_execute(&find_tables, NULL, NULL);
	count = SPI_processed;
	tables = (Oid *) palloc(sizeof(Oid) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
	{
		bool		is_null;

		tables[i] = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
												   &is_null));
	}
	for (uint64 i = 0; i < count; i++)
		see_to_table(tables[i]);
	SPI_finish();
	return PointerGetDatum(NULL);
}
