/*-------------------------------------------------------------------------
 *
 * run_record.c
 *	  What is written down of runs: mediastore.run and mediastore.failed_row.
 *
 * Nobody but their owner may write these tables, so that is who we are while
 * one of the statements below runs; they call nothing that is not in pg_catalog,
 * and there must be no triggers, which others can be given the right to make.
 * An error takes the identity back with its (sub)transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

#include "compat.h"
#include "run.h"

#define MOST_ARGUMENTS 10

/* A statement that is prepared once a session. */
typedef struct Statement
{
	const char *text;
	int			result;			/* of SPI_execute_plan */
	int			count;			/* of arguments */
	Oid			types[MOST_ARGUMENTS];
	SPIPlanPtr	plan;
} Statement;

static Statement find_others = {
	"SELECT ARRAY(SELECT l.id FROM mediastore.live_run AS l)",
	SPI_OK_SELECT, 0, {0}, NULL
};

static Statement sweep_runs = {
	"DELETE FROM mediastore.run AS r WHERE NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) r.relation)",
	SPI_OK_DELETE, 0, {0}, NULL
};

static Statement sweep_failures = {
	"DELETE FROM mediastore.failed_row AS f WHERE NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) f.relation)",
	SPI_OK_DELETE, 0, {0}, NULL
};

static Statement insert_run = {
	"INSERT INTO mediastore.run (operation, relation, column_name, pid, started_at, updated_at)"
	" VALUES ($1, $2, $3, $4, $5, $5) RETURNING id",
	SPI_OK_INSERT_RETURNING, 5, {TEXTOID, OIDOID, NAMEOID, INT4OID, TIMESTAMPTZOID}, NULL
};

static Statement update_run = {
	"UPDATE mediastore.run AS r SET updated_at = pg_catalog.clock_timestamp(), scanned_at = $2,"
	" rows_total = $3, rows_done = $4, rows_changed = $5, rows_failed = $6, rows_locked = $7,"
	" bytes_before = $8, bytes_after = $9"
	" WHERE r.id OPERATOR(pg_catalog.=) $1",
	SPI_OK_UPDATE, 9,
	{INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}, NULL
};

static Statement finish_run = {
	"UPDATE mediastore.run AS r SET finished_at = pg_catalog.clock_timestamp()"
	" WHERE r.id OPERATOR(pg_catalog.=) $1",
	SPI_OK_UPDATE, 1, {INT4OID}, NULL
};

#define THE_FAILURE \
	" WHERE f.relation OPERATOR(pg_catalog.=) $1 AND f.column_name OPERATOR(pg_catalog.=) $2" \
	" AND pg_catalog.jsonb_hash_extended(f.key, 0)" \
	" OPERATOR(pg_catalog.=) pg_catalog.jsonb_hash_extended($3, 0)" \
	" AND f.key OPERATOR(pg_catalog.=) $3"

static Statement find_failure = {
	"SELECT f.failed_at OPERATOR(pg_catalog.>=) $4 OR f.run OPERATOR(pg_catalog.=) ANY ($5)"
	" FROM mediastore.failed_row AS f" THE_FAILURE,
	SPI_OK_SELECT, 5, {OIDOID, NAMEOID, JSONBOID, TIMESTAMPTZOID, INT4ARRAYOID}, NULL
};

static Statement delete_failure = {
	"DELETE FROM mediastore.failed_row AS f" THE_FAILURE,
	SPI_OK_DELETE, 3, {OIDOID, NAMEOID, JSONBOID}, NULL
};

static Statement insert_failure = {
	"INSERT INTO mediastore.failed_row"
	" (relation, column_name, key, element, sqlstate, message, failed_at, run)"
	" VALUES ($1, $2, $3, $4, $5, $6, pg_catalog.clock_timestamp(), $7)"
	" ON CONFLICT (relation, column_name, pg_catalog.jsonb_hash_extended(key, 0)) DO UPDATE"
	" SET key = excluded.key, element = excluded.element, sqlstate = excluded.sqlstate,"
	" message = excluded.message, failed_at = excluded.failed_at, run = excluded.run",
	SPI_OK_INSERT, 7, {OIDOID, NAMEOID, JSONBOID, INT4OID, TEXTOID, TEXTOID, INT4OID}, NULL
};

static Statement delete_old = {
	"DELETE FROM mediastore.failed_row AS f USING mediastore.run AS r"
	" WHERE f.relation OPERATOR(pg_catalog.=) $1 AND f.column_name OPERATOR(pg_catalog.=) $2"
	" AND f.failed_at OPERATOR(pg_catalog.<) $3 AND f.run OPERATOR(pg_catalog.<>) ALL ($4)"
	" AND r.id OPERATOR(pg_catalog.=) f.run AND pg_catalog.starts_with(r.operation, $5)",
	SPI_OK_DELETE, 5, {OIDOID, NAMEOID, TIMESTAMPTZOID, INT4ARRAYOID, TEXTOID}, NULL
};

/* Raises if a table has a trigger; until the transaction ends, it gets none. */
static void
refuse_triggers(Oid table)
{
	Relation	relation = table_open(table, RowExclusiveLock);
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (!triggers->triggers[i].tgisinternal)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"mediastore.%s\" has trigger \"%s\"",
							RelationGetRelationName(relation), triggers->triggers[i].tgname),
					 errdetail("It would run with the rights of the table's owner.")));
	}
	table_close(relation, NoLock);
}

/* Executes a statement as the tables' owner.  The memory context stays. */
static void
execute(const RunRecord *record, Statement *statement, Datum *values, const char *nulls)
{
	MemoryContext memory = CurrentMemoryContext;
	Oid			user;
	int			context;
	int			result;

	refuse_triggers(record->table);
	refuse_triggers(record->failures);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(record->keeper, context | SECURITY_LOCAL_USERID_CHANGE);
	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->count, statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement->text,
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result != statement->result)
		elog(ERROR, "could not execute \"%s\": %s", statement->text, SPI_result_code_string(result));
	SetUserIdAndSecContext(user, context);
	MemoryContextSwitchTo(memory);
}

static Datum
name_datum(Name name, const char *text)
{
	namestrcpy(name, text);
	return NameGetDatum(name);
}

/* Of the lock that tells that a run is under way; the view live_run knows it. */
static void
set_lock_tag(LOCKTAG *tag, const RunRecord *record)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, record->table, (uint32) record->id, 2);
}

void
record_begin(RunRecord *record, const char *operation, Oid relation, const char *column)
{
	HeapTuple	tuple;
	NameData	name;
	Datum		values[5];
	Datum		others;
	LOCKTAG		tag;
	bool		is_null;

	record->table = get_relname_relid("run", get_namespace_oid("mediastore", false));
	record->failures = get_relname_relid("failed_row", get_namespace_oid("mediastore", false));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(record->table));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"mediastore.run\" does not exist"),
				 errhint("It is part of the extension mediastore.")));
	record->keeper = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	execute(record, &sweep_runs, NULL, NULL);
	execute(record, &sweep_failures, NULL, NULL);

	record->started_at = GetCurrentTimestamp();
	execute(record, &find_others, NULL, NULL);
	others = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	record->others = PointerGetDatum(DatumGetArrayTypePCopy(others));
	SPI_freetuptable(SPI_tuptable);

	values[0] = CStringGetTextDatum(operation);
	values[1] = ObjectIdGetDatum(relation);
	values[2] = name_datum(&name, column);
	values[3] = Int32GetDatum(MyProcPid);
	values[4] = TimestampTzGetDatum(record->started_at);
	execute(record, &insert_run, values, NULL);
	record->id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
											 &is_null));
	SPI_freetuptable(SPI_tuptable);

	/* before the commit that shows the row */
	set_lock_tag(&tag, record);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	record->locked = true;
}

void
record_release(RunRecord *record)
{
	LOCKTAG		tag;

	if (!record->locked)
		return;
	record->locked = false;
	set_lock_tag(&tag, record);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

void
record_progress(const RunRecord *record, const RunCounts *counts, TimestampTz scanned_at)
{
	Datum		values[9];
	char		nulls[9];

	memset(nulls, ' ', sizeof(nulls));
	if (scanned_at == 0)
		nulls[1] = nulls[2] = 'n';
	values[0] = Int32GetDatum(record->id);
	values[1] = TimestampTzGetDatum(scanned_at);
	values[2] = Int64GetDatum((int64) counts->total);
	values[3] = Int64GetDatum((int64) counts->done);
	values[4] = Int64GetDatum((int64) counts->changed);
	values[5] = Int64GetDatum((int64) counts->failed);
	values[6] = Int64GetDatum((int64) counts->locked);
	values[7] = Int64GetDatum((int64) counts->before);
	values[8] = Int64GetDatum((int64) counts->after);
	execute(record, &update_run, values, nulls);
}

void
record_finish(const RunRecord *record)
{
	Datum		values[1];

	values[0] = Int32GetDatum(record->id);
	execute(record, &finish_run, values, NULL);
}

bool
record_find_failure(const RunRecord *record, Oid table, const char *column, Datum key,
					bool *tried)
{
	NameData	name;
	Datum		values[5];
	bool		found;
	bool		is_null;

	values[0] = ObjectIdGetDatum(table);
	values[1] = name_datum(&name, column);
	values[2] = key;
	values[3] = TimestampTzGetDatum(record->started_at);
	values[4] = record->others;
	execute(record, &find_failure, values, NULL);

	found = SPI_processed > 0;
	*tried = found &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_freetuptable(SPI_tuptable);
	return found;
}

void
record_forget_failure(const RunRecord *record, Oid table, const char *column, Datum key)
{
	NameData	name;
	Datum		values[3];

	values[0] = ObjectIdGetDatum(table);
	values[1] = name_datum(&name, column);
	values[2] = key;
	execute(record, &delete_failure, values, NULL);
}

void
record_failure(const RunRecord *record, Oid table, const char *column, Datum key,
			   bool in_element, int32 element, const ErrorData *error)
{
	NameData	name;
	Datum		values[7];
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	if (!in_element)
		nulls[3] = 'n';
	values[0] = ObjectIdGetDatum(table);
	values[1] = name_datum(&name, column);
	values[2] = key;
	values[3] = Int32GetDatum(element);
	values[4] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[5] = CStringGetTextDatum(error->message != NULL ? error->message : "");
	values[6] = Int32GetDatum(record->id);
	execute(record, &insert_failure, values, nulls);
}

void
record_forget_old(const RunRecord *record, Oid table, const char *column, const char *family)
{
	NameData	name;
	Datum		values[5];

	values[0] = ObjectIdGetDatum(table);
	values[1] = name_datum(&name, column);
	values[2] = TimestampTzGetDatum(record->started_at);
	values[3] = record->others;
	values[4] = CStringGetTextDatum(family);
	execute(record, &delete_old, values, NULL);
}
