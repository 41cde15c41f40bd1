/*-------------------------------------------------------------------------
 *
 * run_record.c
 *	  What is written down of runs: mediastore.run and mediastore.failed_row.
 *
 * They are written as their owner (own_tables.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "own_tables.h"
#include "run.h"

static OwnStatement find_others = {
	"SELECT ARRAY(SELECT l.id FROM mediastore.live_run AS l)",
	SPI_OK_SELECT, 0, {0}, NULL, NULL
};

static OwnStatement sweep_runs = {
	"DELETE FROM mediastore.run AS r WHERE NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) r.relation)",
	SPI_OK_DELETE, 0, {0}, "run", NULL
};

static OwnStatement sweep_failures = {
	"DELETE FROM mediastore.failed_row AS f WHERE NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) f.relation)",
	SPI_OK_DELETE, 0, {0}, "failed_row", NULL
};

static OwnStatement insert_run = {
	"INSERT INTO mediastore.run (operation, relation, column_name, pid, started_at, updated_at)"
	" VALUES ($1, $2, $3, $4, $5, $5) RETURNING id",
	SPI_OK_INSERT_RETURNING, 5, {TEXTOID, OIDOID, NAMEOID, INT4OID, TIMESTAMPTZOID}, "run", NULL
};

static OwnStatement update_run = {
	"UPDATE mediastore.run AS r SET updated_at = pg_catalog.clock_timestamp(), scanned_at = $2,"
	" rows_total = $3, rows_done = $4, rows_changed = $5, rows_failed = $6, rows_locked = $7,"
	" bytes_before = $8, bytes_after = $9"
	" WHERE r.id OPERATOR(pg_catalog.=) $1",
	SPI_OK_UPDATE, 9,
	{INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}, "run", NULL
};

static OwnStatement finish_run = {
	"UPDATE mediastore.run AS r SET finished_at = pg_catalog.clock_timestamp()"
	" WHERE r.id OPERATOR(pg_catalog.=) $1",
	SPI_OK_UPDATE, 1, {INT4OID}, "run", NULL
};

#define THE_FAILURE \
	" WHERE f.relation OPERATOR(pg_catalog.=) $1 AND f.column_name OPERATOR(pg_catalog.=) $2" \
	" AND pg_catalog.jsonb_hash_extended(f.key, 0)" \
	" OPERATOR(pg_catalog.=) pg_catalog.jsonb_hash_extended($3, 0)" \
	" AND f.key OPERATOR(pg_catalog.=) $3"

static OwnStatement find_failure = {
	"SELECT f.failed_at OPERATOR(pg_catalog.>=) $4 OR f.run OPERATOR(pg_catalog.=) ANY ($5)"
	" FROM mediastore.failed_row AS f" THE_FAILURE,
	SPI_OK_SELECT, 5, {OIDOID, NAMEOID, JSONBOID, TIMESTAMPTZOID, INT4ARRAYOID}, NULL, NULL
};

static OwnStatement delete_failure = {
	"DELETE FROM mediastore.failed_row AS f" THE_FAILURE,
	SPI_OK_DELETE, 3, {OIDOID, NAMEOID, JSONBOID}, "failed_row", NULL
};

static OwnStatement insert_failure = {
	"INSERT INTO mediastore.failed_row"
	" (relation, column_name, key, element, sqlstate, message, failed_at, run)"
	" VALUES ($1, $2, $3, $4, $5, $6, pg_catalog.clock_timestamp(), $7)"
	" ON CONFLICT (relation, column_name, pg_catalog.jsonb_hash_extended(key, 0)) DO UPDATE"
	" SET key = excluded.key, element = excluded.element, sqlstate = excluded.sqlstate,"
	" message = excluded.message, failed_at = excluded.failed_at, run = excluded.run",
	SPI_OK_INSERT, 7, {OIDOID, NAMEOID, JSONBOID, INT4OID, TEXTOID, TEXTOID, INT4OID}, "failed_row", NULL
};

static OwnStatement delete_old = {
	"DELETE FROM mediastore.failed_row AS f USING mediastore.run AS r"
	" WHERE f.relation OPERATOR(pg_catalog.=) $1 AND f.column_name OPERATOR(pg_catalog.=) $2"
	" AND f.failed_at OPERATOR(pg_catalog.<) $3 AND f.run OPERATOR(pg_catalog.<>) ALL ($4)"
	" AND r.id OPERATOR(pg_catalog.=) f.run AND pg_catalog.starts_with(r.operation, $5)",
	SPI_OK_DELETE, 5, {OIDOID, NAMEOID, TIMESTAMPTZOID, INT4ARRAYOID, TEXTOID}, "failed_row", NULL
};

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
	NameData	name;
	Datum		values[5];
	Datum		others;
	LOCKTAG		tag;
	bool		is_null;

	record->table = own_table("run");
	own_execute(&sweep_runs, NULL, NULL);
	own_execute(&sweep_failures, NULL, NULL);

	record->started_at = GetCurrentTimestamp();
	own_execute(&find_others, NULL, NULL);
	others = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	record->others = PointerGetDatum(DatumGetArrayTypePCopy(others));
	SPI_freetuptable(SPI_tuptable);

	values[0] = CStringGetTextDatum(operation);
	values[1] = ObjectIdGetDatum(relation);
	values[2] = name_datum(&name, column);
	values[3] = Int32GetDatum(MyProcPid);
	values[4] = TimestampTzGetDatum(record->started_at);
	own_execute(&insert_run, values, NULL);
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
	own_execute(&update_run, values, nulls);
}

void
record_finish(const RunRecord *record)
{
	Datum		values[1];

	values[0] = Int32GetDatum(record->id);
	own_execute(&finish_run, values, NULL);
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
	own_execute(&find_failure, values, NULL);

	found = SPI_processed > 0;
	*tried = found &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_freetuptable(SPI_tuptable);
	return found;
}

void
record_forget_failure(Oid table, const char *column, Datum key)
{
	NameData	name;
	Datum		values[3];

	values[0] = ObjectIdGetDatum(table);
	values[1] = name_datum(&name, column);
	values[2] = key;
	own_execute(&delete_failure, values, NULL);
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
	own_execute(&insert_failure, values, nulls);
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
	own_execute(&delete_old, values, NULL);
}
