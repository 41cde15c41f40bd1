/*-------------------------------------------------------------------------
 *
 * run_scan.c
 *	  What there is to do for a run: its tables, and the places of their rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "attached.h"
#include "compat.h"
#include "row_key.h"
#include "run.h"
#include "subtransaction.h"

/* A DestReceiver that keeps ctids. */
typedef struct PlaceReceiver
{
	DestReceiver base;
	MemoryContext memory;
	RunTable   *table;
} PlaceReceiver;

/* What the rows of a table are selected by. */
typedef struct Search
{
	MemoryContext memory;		/* for places */
	RunTable   *table;
	char	   *name;
	char	   *condition;
} Search;

void
run_commit(void)
{
	SPI_commit();
	XactIsoLevel = XACT_READ_COMMITTED;
}

Relation
run_open_table(const Run *run, Oid table, LOCKMODE lockmode)
{
	Relation	relation = try_table_open(table, lockmode);

	if (relation == NULL && table == run->relation)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table of %s has been dropped", run->label)));
	return relation;
}

void
run_find_tables(Run *run)
{
	List	   *leaves = attached_leaves(run->relation, AccessShareLock);
	int			elevel = list_length(leaves) == 1 ? ERROR : WARNING;
	ListCell   *cell;

	foreach(cell, leaves)
	{
		Oid			oid = lfirst_oid(cell);
		Relation	relation;
		RunQuery	query;

		if (!relation_ownercheck(oid, GetUserId()))
		{
			ereport(WARNING,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("skipping \"%s\": it has another owner", get_rel_name(oid))));
			continue;
		}
		relation = table_open(oid, NoLock);
		if (run->kind->look(run, relation, elevel, &query))
		{
			RunTable   *table = (RunTable *) palloc0(sizeof(RunTable));

			table->oid = oid;
			run->tables = lappend(run->tables, table);
		}
		table_close(relation, NoLock);
	}
	if (leaves != NIL && run->tables == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no table of %s that anything can be done with", run->label)));
}

static bool
receive_place(TupleTableSlot *slot, DestReceiver *self)
{
	PlaceReceiver *receiver = (PlaceReceiver *) self;
	RunTable   *table = receiver->table;
	bool		is_null;
	Datum		place = slot_getattr(slot, 1, &is_null);

	if (table->count == table->capacity)
	{
		uint64		capacity = table->capacity == 0 ? 1024 : table->capacity * 2;
		Size		size = capacity * sizeof(ItemPointerData);

		table->places = (ItemPointerData *)
			(table->places == NULL ? MemoryContextAllocHuge(receiver->memory, size) :
			 repalloc_huge(table->places, size));
		table->capacity = capacity;
	}
	table->places[table->count++] = *(ItemPointer) DatumGetPointer(place);
	return true;
}

static void
receiver_startup(DestReceiver *self pg_attribute_unused(), int operation pg_attribute_unused(),
				 TupleDesc descriptor pg_attribute_unused())
{
}

static void
receiver_nothing(DestReceiver *self pg_attribute_unused())
{
}

/* Finds the rows of a table that meet a condition. */
static void
select_places(void *context)
{
	Search	   *search = (Search *) context;
	PlaceReceiver receiver = {
		.base = {
			.receiveSlot = receive_place,
			.rStartup = receiver_startup,
			.rShutdown = receiver_nothing,
			.rDestroy = receiver_nothing,
			.mydest = DestNone
		},
		.memory = search->memory,
		.table = search->table
	};
	SPIExecuteOptions options = {.dest = &receiver.base};
	int			result;

	search->table->count = 0;
	result = SPI_execute_extended(psprintf("SELECT t.ctid FROM ONLY %s AS t WHERE %s",
										   search->name, search->condition), &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s", SPI_result_code_string(result));
}

/* Finds the rows of a table that there is something to do for, or could be. */
static void
scan_table(Run *run, RunTable *table)
{
	Relation	relation = run_open_table(run, table->oid, AccessShareLock);
	Search		search = {.memory = run->memory, .table = table};
	RunQuery	query;
	ErrorData  *error;

	table->count = 0;
	table->unsure = false;
	if (relation == NULL)
		return;
	(void) run->kind->look(run, relation, ERROR, &query);
	search.name = table_sql_name(relation);
	search.condition = query.condition;
	if (!subtransaction_try(select_places, &search, &error))
	{
		if (run_ends_by(error->sqlerrcode))
			ReThrowError(error);
		ereport(WARNING,
				(errmsg("could not look through table %s: %s", search.name, error->message),
				 errdetail("All its rows are visited.")));
		search.condition = query.possible;
		table->unsure = true;
		select_places(&search);
	}
	table_close(relation, NoLock);
}

uint64
run_scan(Run *run)
{
	uint64		found = 0;
	ListCell   *cell;

	foreach(cell, run->tables)
	{
		RunTable   *table = (RunTable *) lfirst(cell);

		MemoryContextSwitchTo(run->batch_memory);
		scan_table(run, table);
		MemoryContextSwitchTo(run->memory);
		MemoryContextReset(run->batch_memory);
		run_commit();
		found += table->count;
	}
	return found;
}
