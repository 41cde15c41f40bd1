/*-------------------------------------------------------------------------
 *
 * run.c
 *	  A long run over the rows of a table: what backfill, import and
 *	  media_push_existing share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "attached.h"
#include "compat.h"
#include "row_key.h"
#include "run.h"
#include "subtransaction.h"

/*
 * How often what was locked or has moved is looked for again.  Each time is a
 * scan; it ends sooner when nothing comes of it.
 */
#define MOST_SWEEPS 10

/* A table while a batch of its rows is worked off. */
typedef struct RunBatch
{
	Oid			table;
	char	   *name;			/* quoted and qualified */
	char	   *key;			/* expression of a row's key, jsonb */
	char	   *element_context;	/* how an error's context tells of an
									 * element */
	RunQuery	query;
	bool		unsure;			/* of the table: rows need not meet the
								 * condition */
	ItemPointerData place;		/* of the row at hand */
	/* prepared when first needed */
	SPIPlanPtr	take;			/* locks a row and gives what is needed of it */
	SPIPlanPtr	look;			/* whether it meets the condition, locked or
								 * not */
	SPIPlanPtr	identify;		/* locks a row and gives its key, whatever
								 * else it holds */
	SPIPlanPtr	update;
} RunBatch;

typedef enum RowState
{
	ROW_GONE,					/* not there any more: moved, deleted, or done
								 * by others */
	ROW_OTHER,					/* what is there does not meet the condition */
	ROW_LOCKED,
	ROW_TRIED,					/* it has failed while this run was under way */
	ROW_CHANGED
} RowState;

void
run_connect(FunctionCallInfo fcinfo, const char *procedure)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", procedure),
				 errhint("It commits after every batch. Call it by itself, outside of BEGIN, of functions and of exception blocks.")));
	PreventCommandIfReadOnly(procedure);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");
}

void
run_check(Oid relation, int32 batch_size)
{
	char	   *name = get_rel_name(relation);
	char		kind = get_rel_relkind(relation);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", name)));
	if (!relation_ownercheck(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	if (isOtherTempNamespace(get_rel_namespace(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a temporary table of another session", name)));
	if (batch_size < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_size must be at least 1, not %d", batch_size)));
}

AttrNumber
run_column_number(Relation table, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(table), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(table))));
	return number;
}

bool
run_trigger_fires(char enabled)
{
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return enabled == TRIGGER_FIRES_ON_REPLICA || enabled == TRIGGER_FIRES_ALWAYS;
	return enabled == TRIGGER_FIRES_ON_ORIGIN || enabled == TRIGGER_FIRES_ALWAYS;
}

/* --- transactions and statements --------------------------------------- */

/*
 * Prepares a statement, to be freed by end_batch; the memory context stays.
 * It is kept (saved) for that long: of a plan that is not, an error leaves a
 * reference behind.
 */
static SPIPlanPtr
prepare(const char *text, int count, Oid *types)
{
	MemoryContext memory = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare_cursor(text, count, types, CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	MemoryContextSwitchTo(memory);
	return plan;
}

/* Executes a statement on the row at a place; the memory context stays. */
static void
execute(SPIPlanPtr plan, ItemPointer place, Datum argument)
{
	MemoryContext memory = CurrentMemoryContext;
	Datum		values[2];
	int			result;

	values[0] = PointerGetDatum(place);
	values[1] = argument;
	result = SPI_execute_plan(plan, values, NULL, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
	MemoryContextSwitchTo(memory);
}

/* Frees the statements of a batch; allowed while an error is handled. */
static void
end_batch(RunBatch *batch)
{
	SPIPlanPtr	plans[] = {batch->take, batch->look, batch->identify, batch->update};

	memset(batch, 0, sizeof(*batch));
	for (size_t i = 0; i < lengthof(plans); i++)
	{
		if (plans[i] != NULL)
			SPI_freeplan(plans[i]);
	}
}

/* --- a row ------------------------------------------------------------- */

uint64
run_raw_size(Datum datum)
{
	return toast_raw_datum_size(datum) - VARHDRSZ;
}

uint64
run_update(Run *run, Datum argument)
{
	RunBatch   *batch = run->batch;
	uint64		size = 0;
	Datum		stored;
	bool		is_null;

	if (batch->update == NULL)
	{
		Oid			types[2] = {TIDOID, batch->query.argument};
		const char *column = quote_identifier(run->column);

		batch->update = prepare(psprintf("UPDATE ONLY %s AS t SET %s = %s"
										 " WHERE t.ctid OPERATOR(pg_catalog.=) $1 RETURNING t.%s",
										 batch->name, column, batch->query.assignment, column),
								OidIsValid(types[1]) ? 2 : 1, types);
	}
	execute(batch->update, &batch->place, argument);
	if (SPI_processed != 1 || SPI_tuptable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("row was not updated"),
				 errdetail("A trigger, a rule or a policy of the table prevented it.")));
	stored = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	if (!is_null)
		size = run_raw_size(stored);
	SPI_freetuptable(SPI_tuptable);
	return size;
}

/* Why a row could not be taken. */
static RowState
look_at_row(RunBatch *batch, ItemPointer place)
{
	Oid			types[1] = {TIDOID};
	RowState	state = ROW_GONE;
	bool		is_null;

	if (batch->look == NULL)
		batch->look = prepare(psprintf("SELECT %s FROM ONLY %s AS t"
									   " WHERE t.ctid OPERATOR(pg_catalog.=) $1",
									   batch->query.condition, batch->name), 1, types);
	execute(batch->look, place, (Datum) 0);
	if (SPI_processed > 0)
		state = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
										   &is_null)) ? ROW_LOCKED : ROW_OTHER;
	SPI_freetuptable(SPI_tuptable);
	return state;
}

/* Does what is to be done for the row at a place, if it is there. */
static RowState
do_row(Run *run, ItemPointer place, uint64 *before, uint64 *after)
{
	RunBatch   *batch = run->batch;
	SPITupleTable *table;
	Datum		key;
	bool		has_failed;
	bool		tried;
	bool		is_null;

	if (batch->take == NULL)
	{
		Oid			types[1] = {TIDOID};

		/* others' foreign keys may go on referring to the row */
		batch->take = prepare(psprintf("SELECT t.ctid, %s, %s FROM ONLY %s AS t"
									   " WHERE t.ctid OPERATOR(pg_catalog.=) $1 AND %s%s",
									   batch->key, batch->query.value, batch->name,
									   batch->query.condition,
									   run->kind->writes ? " FOR NO KEY UPDATE SKIP LOCKED" : ""),
							  1, types);
	}
	execute(batch->take, place, (Datum) 0);
	table = SPI_tuptable;
	if (SPI_processed == 0)
	{
		SPI_freetuptable(table);
		return look_at_row(batch, place);
	}

	/* it may have moved between the look at it and the lock */
	batch->place = *(ItemPointer)
		DatumGetPointer(SPI_getbinval(table->vals[0], table->tupdesc, 1, &is_null));
	key = SPI_getbinval(table->vals[0], table->tupdesc, 2, &is_null);
	has_failed = record_find_failure(&run->record, batch->table, run->column, key, &tried);
	if (!tried)
	{
		run->kind->work(run, SPI_getbinval(table->vals[0], table->tupdesc, 3, &is_null),
						before, after);
		if (has_failed)
			record_forget_failure(batch->table, run->column, key);
	}
	SPI_freetuptable(table);
	return tried ? ROW_TRIED : ROW_CHANGED;
}

bool
run_ends_by(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INVALID_TRANSACTION_STATE:
			return true;
		case ERRCODE_INSUFFICIENT_RESOURCES:
			return sqlstate != ERRCODE_OUT_OF_MEMORY;
		default:
			return false;
	}
}

/*
 * The array element an error is about.  The trigger tells it in words alone,
 * in the context it adds for its column.
 */
static bool
element_of_error(const Run *run, const ErrorData *error, int32 *element)
{
	const char *words = run->batch->element_context;
	const char *found;

	if (run->in_element)
	{
		*element = run->element;
		return true;
	}
	found = error->context != NULL ? strstr(error->context, words) : NULL;
	if (found == NULL)
		return false;
	*element = (int32) strtol(found + strlen(words), NULL, 10);
	return true;
}

/*
 * Writes down that a row has failed.  The error has taken its lock away; where
 * another has it now, or has changed the row, it is that one's.
 */
static void
keep_failure(Run *run, ItemPointer place, const ErrorData *error)
{
	RunBatch   *batch = run->batch;
	SPITupleTable *table;
	int32		element = 0;
	bool		in_element = element_of_error(run, error, &element);
	bool		is_null;

	if (batch->identify == NULL)
	{
		Oid			types[1] = {TIDOID};

		batch->identify = prepare(psprintf("SELECT %s FROM ONLY %s AS t"
										   " WHERE t.ctid OPERATOR(pg_catalog.=) $1%s",
										   batch->key, batch->name,
										   run->kind->writes ? " FOR NO KEY UPDATE SKIP LOCKED" : ""),
								  1, types);
	}
	execute(batch->identify, place, (Datum) 0);
	table = SPI_tuptable;
	if (SPI_processed == 0)
		run->missed = true;
	else
	{
		record_failure(&run->record, batch->table, run->column,
					   SPI_getbinval(table->vals[0], table->tupdesc, 1, &is_null),
					   in_element, element, error);
		run->counts.failed++;
	}
	SPI_freetuptable(table);
}

/* One row that is visited, and what came of it. */
typedef struct Visit
{
	Run		   *run;
	ItemPointer place;
	RowState	state;
	uint64		before;
	uint64		after;
} Visit;

static void
visit_row(void *context)
{
	Visit	   *visit = (Visit *) context;

	visit->state = do_row(visit->run, visit->place, &visit->before, &visit->after);
}

/*
 * Visits a row, in a subtransaction that its failure takes back.  The row is
 * locked in there, too: an update of a row that the outer transaction has
 * locked would take a MultiXactId for each row.
 */
static void
visit(Run *run, ItemPointer place)
{
	Visit		visit = {.run = run, .place = place};
	ErrorData  *error;

	run->in_element = false;
	MemoryContextSwitchTo(run->row_memory);

	if (!subtransaction_try(visit_row, &visit, &error))
	{
		if (run_ends_by(error->sqlerrcode))
			ReThrowError(error);
		keep_failure(run, place, error);
	}
	else if (visit.state == ROW_GONE || (visit.state == ROW_OTHER && !run->batch->unsure))
		run->missed = true;
	else if (visit.state == ROW_LOCKED)
		run->counts.locked++;
	else if (visit.state == ROW_CHANGED)
	{
		run->counts.changed++;
		run->counts.before += visit.before;
		run->counts.after += visit.after;
	}
	run->counts.done++;

	MemoryContextSwitchTo(run->batch_memory);
	MemoryContextReset(run->row_memory);
}

/* --- batches ----------------------------------------------------------- */

static const char *
pretty_size(uint64 bytes)
{
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty, Int64GetDatum((int64) bytes)));
}

/* "412 MB -> 31 MB"; of a run that writes nothing, what it has seen. */
static const char *
pretty_change(const Run *run)
{
	if (!run->kind->writes)
		return pretty_size(run->counts.before);
	return psprintf("%s -> %s", pretty_size(run->counts.before), pretty_size(run->counts.after));
}

static double
seconds_since(TimestampTz start)
{
	return (double) Max(GetCurrentTimestamp() - start, 1) / USECS_PER_SEC;
}

static void
tell_progress(const Run *run)
{
	const RunCounts *counts = &run->counts;
	double		rate = (double) counts->done / seconds_since(run->scanned_at);

	ereport(NOTICE,
			(errmsg("%s of %s: " UINT64_FORMAT " of " UINT64_FORMAT " rows, %.1f rows/s, %.0f s left, %s, "
					UINT64_FORMAT " failed",
					run->kind->operation, run->label, counts->done, counts->total, rate,
					rate > 0 ? (double) (counts->total - Min(counts->done, counts->total)) / rate : 0,
					pretty_change(run), counts->failed)));
}

static void
tell_summary(const Run *run)
{
	const RunCounts *counts = &run->counts;

	ereport(NOTICE,
			(errmsg("%s of %s: finished: " UINT64_FORMAT " of " UINT64_FORMAT " rows %s, %s, "
					UINT64_FORMAT " failed, " UINT64_FORMAT " locked, in %.1f s",
					run->kind->operation, run->label, counts->changed, counts->total, run->kind->done,
					pretty_change(run), counts->failed, counts->locked,
					seconds_since(run->record.started_at)),
			 counts->failed == 0 ? 0 :
			 errdetail_plural(UINT64_FORMAT " row failed: see mediastore.failure.",
							  UINT64_FORMAT " rows failed: see mediastore.failure.",
							  (unsigned long) counts->failed, counts->failed),
			 counts->locked == 0 && !run->missed ? 0 :
			 errhint("Others were at work on some rows. Call it again for what they have left.")));
}

/*
 * Has deferred constraints and triggers see to a row when it is done: at the
 * commit of a batch, none of its rows could be passed over.
 */
static void
fail_early(void)
{
	int			result = SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
}

/* Works off at most batch_size rows, from at on, and commits.  Returns where to go on. */
static uint64
do_batch(Run *run, RunTable *table, uint64 at)
{
	uint64		end = Min(at + (uint64) run->batch_size, table->count);
	RunBatch   *batch = run->batch;
	Relation	relation;

	MemoryContextSwitchTo(run->batch_memory);

	/* the table may have another name, column or trigger than a batch ago */
	relation = run_open_table(run, table->oid, run->kind->writes ? RowExclusiveLock : AccessShareLock);
	if (relation == NULL)
	{
		run->counts.done += table->count - at;
		at = table->count;
	}
	else
	{
		(void) run->kind->look(run, relation, ERROR, &batch->query);
		batch->table = table->oid;
		batch->unsure = table->unsure;
		batch->element_context = psprintf(ATTACHED_CONTEXT ATTACHED_CONTEXT_ELEMENT, run->column,
										  get_namespace_name(RelationGetNamespace(relation)),
										  RelationGetRelationName(relation));
		batch->name = table_sql_name(relation);
		batch->key = row_key_expression(relation, false);
		table_close(relation, NoLock);
		if (run->kind->writes)
			fail_early();

		for (; at < end; at++)
		{
			CHECK_FOR_INTERRUPTS();
			visit(run, &table->places[at]);
		}
		end_batch(batch);
	}

	record_progress(&run->record, &run->counts, run->scanned_at);
	MemoryContextSwitchTo(run->memory);
	run_commit();

	MemoryContextSwitchTo(run->batch_memory);
	tell_progress(run);
	MemoryContextSwitchTo(run->memory);
	MemoryContextReset(run->batch_memory);
	return at;
}

/* Visits all rows that were found. */
static void
do_rows(Run *run)
{
	ListCell   *cell;

	run->missed = false;
	run->counts.locked = 0;
	foreach(cell, run->tables)
	{
		RunTable   *table = (RunTable *) lfirst(cell);
		uint64		at = 0;

		while (at < table->count)
			at = do_batch(run, table, at);
	}
}

/* Finds what there is to do and does it. */
static void
find_and_do(Run *run)
{
	uint64		found = run_scan(run);
	uint64		changed = 0;

	run->counts.total = found;
	run->scanned_at = GetCurrentTimestamp();
	record_progress(&run->record, &run->counts, run->scanned_at);
	run_commit();
	do_rows(run);

	for (int sweep = 0; sweep < MOST_SWEEPS && (run->missed || run->counts.locked > 0); sweep++)
	{
		uint64		previous = found;
		bool		moving = run->missed || run->counts.changed > changed;

		changed = run->counts.changed;
		found = run_scan(run);
		/* nothing came of it the last time, and nobody else does anything */
		if (found >= previous && !moving)
			break;
		run->counts.done = run->counts.total - Min(found, run->counts.total);
		do_rows(run);
	}

	if (run->counts.locked == 0 && !run->missed)
	{
		ListCell   *cell;

		foreach(cell, run->tables)
			record_forget_old(&run->record, ((RunTable *) lfirst(cell))->oid, run->column,
							  run->kind->family);
	}
	record_progress(&run->record, &run->counts, run->scanned_at);
	record_finish(&run->record);
	SPI_commit();				/* what comes after this is the caller's */
	tell_summary(run);
}

void
run_execute(Run *run)
{
	Relation	relation;

	/* what the checks have locked and seen is let go */
	run_commit();

	run->memory = CurrentMemoryContext;
	run->batch_memory = AllocSetContextCreate(run->memory, "mediastore batch", ALLOCSET_DEFAULT_SIZES);
	run->row_memory = AllocSetContextCreate(run->memory, "mediastore row", ALLOCSET_DEFAULT_SIZES);
	run->batch = (RunBatch *) palloc0(sizeof(RunBatch));

	/*
	 * it could have been dropped by now, and is not to be before its name is
	 * known
	 */
	relation = table_open(run->relation, AccessShareLock);
	run->label = psprintf("%s.%s", table_sql_name(relation), quote_identifier(run->column));
	table_close(relation, NoLock);
	run_find_tables(run);

	PG_TRY();
	{
		record_begin(&run->record, run->kind->operation, run->relation, run->column);
		run_commit();
		find_and_do(run);
	}
	PG_FINALLY();
	{
		end_batch(run->batch);
		record_release(&run->record);
	}
	PG_END_TRY();
}

void
run_procedure(FunctionCallInfo fcinfo, const char *procedure, const RunKind *kind, void *context)
{
	Run			run = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("arguments of %s must not be null", procedure)));

	run_connect(fcinfo, procedure);
	run.kind = kind;
	run.context = context;
	run.relation = PG_GETARG_OID(0);
	run.column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	run.batch_size = PG_GETARG_INT32(2);
	run_check(run.relation, run.batch_size);
	run_execute(&run);
	SPI_finish();
}
