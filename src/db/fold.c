/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Changes become objects and attachments.
 *
 * Changes are taken in the order of their numbers, in which each place in a
 * table was changed.  Those that attach and detach places are folded many at a
 * time: of each place the last one counts.  A row's new key and the end of all
 * rows of a table concern many places, and are done one by one between them.
 *
 * Whether there are stores, and whether the owner of a table may use one, is
 * for the pusher to find out when it gets there; but nobody is to lay hands on
 * another's object meanwhile: where the owner has no USAGE, an object of its
 * own is dead from the start, and another's is not touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "../mediastore.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "store_identity.h"

PG_FUNCTION_INFO_V1(media_fold_changes);

/* How many attachments the end of all rows of a table takes away at a time. */
#define MOST_ENDED 10000

#define EQUAL " OPERATOR(pg_catalog.=) "
#define CHAR "::pg_catalog.\"char\""

static OwnStatement read_changes = {
	.text = "SELECT c.id, c.kind FROM mediastore.change AS c ORDER BY c.id LIMIT $1",
	.result = SPI_OK_SELECT, .count = 1, .types = {INT8OID}
};

/* $1: numbers of changes.  Those that are in effect when all are folded. */
static OwnStatement find_attached = {
	.text = "SELECT l.id FROM ("
	" SELECT DISTINCT ON (c.relation, c.row_key, c.column_name, c.index)"
	" c.id, c.kind, c.relation, c.row_key, c.column_name"
	" FROM mediastore.change AS c WHERE c.id" EQUAL "ANY ($1) AND c.index IS NOT NULL"
	" ORDER BY c.relation, c.row_key, c.column_name, c.index, c.id DESC) AS l"
	" WHERE l.kind" EQUAL "'a'" CHAR
	" AND EXISTS (SELECT FROM pg_catalog.pg_class AS r WHERE r.oid" EQUAL "l.relation)"
	" AND NOT EXISTS (SELECT FROM mediastore.change AS d WHERE d.id" EQUAL "ANY ($1)"
	" AND d.id OPERATOR(pg_catalog.>) l.id AND d.kind" EQUAL "'d'" CHAR " AND d.index IS NULL"
	" AND d.relation" EQUAL "l.relation AND d.row_key" EQUAL "l.row_key"
	" AND d.column_name" EQUAL "l.column_name)",
	.result = SPI_OK_SELECT, .count = 1, .types = {INT8ARRAYOID}
};

/* $1: numbers of changes, $2: those in effect.  Gives objects that lost one. */
static OwnStatement detach_places = {
	.text = "DELETE FROM mediastore.attachment AS t USING mediastore.change AS c"
	" WHERE c.id" EQUAL "ANY ($1) AND t.relation" EQUAL "c.relation"
	" AND t.row_key" EQUAL "c.row_key AND t.column_name" EQUAL "c.column_name"
	" AND CASE WHEN c.kind" EQUAL "'d'" CHAR
	" THEN c.index IS NULL OR t.index" EQUAL "c.index"
	" WHEN c.id" EQUAL "ANY ($2) THEN t.index" EQUAL "c.index AND NOT EXISTS"
	" (SELECT FROM mediastore.object AS o WHERE o.id" EQUAL "t.object"
	" AND o.server" EQUAL "c.server AND o.key" EQUAL "c.key)"
	" ELSE t.index" EQUAL "c.index AND NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_class AS r WHERE r.oid" EQUAL "c.relation) END"
	" RETURNING t.object",
	.result = SPI_OK_DELETE_RETURNING, .count = 2, .types = {INT8ARRAYOID, INT8ARRAYOID},
	.table = "attachment"
};

/* $1: numbers of changes; $2 to $4: who this database is. */
static OwnStatement insert_stores = {
	.text = "INSERT INTO mediastore.store (server, system_identifier, database, timeline)"
	" SELECT DISTINCT c.server, $2, $3, $4 FROM mediastore.change AS c WHERE c.id" EQUAL "ANY ($1)"
	" AND NOT EXISTS (SELECT FROM mediastore.store AS s WHERE s.server" EQUAL "c.server)"
	" ON CONFLICT (server) DO NOTHING",
	.result = SPI_OK_INSERT, .count = 4, .types = {INT8ARRAYOID, INT8OID, OIDOID, INT4OID},
	.table = "store"
};

/* Changes in effect, and whether the owner of the table may use the server. */
#define ATTACHED \
	" SELECT c.id, c.relation, c.row_key, c.column_name, c.index, c.server, c.key, c.sha256," \
	" c.bytes, c.content_type, c.immutable, c.write_back, r.relowner," \
	" COALESCE(pg_catalog.has_server_privilege(r.relowner, f.oid, 'USAGE'), true) AS allowed" \
	" FROM mediastore.change AS c JOIN pg_catalog.pg_class AS r ON r.oid" EQUAL "c.relation" \
	" LEFT JOIN pg_catalog.pg_foreign_server AS f ON f.srvname" EQUAL "c.server" \
	" WHERE c.id" EQUAL "ANY ($1)"

/*
 * What a try may have changed at the store, though nobody knows, is never taken
 * for certain: such an object counts as tried (attempts > 0) until one has
 * succeeded.  And what the try had sent has a moment to arrive.
 */
#define NO_TRY \
	"o.attempts" EQUAL "0 AND o.lease_until IS NULL"
#define AFTER_TRY \
	"CASE WHEN o.attempts" EQUAL "0 THEN pg_catalog.now() ELSE GREATEST(pg_catalog.now()," \
	" LEAST(o.next_attempt_at, pg_catalog.now() OPERATOR(pg_catalog.+) '3 s'::pg_catalog.interval)) END"

/* An object that waits to be deleted, with that content, and one never put. */
#define STILL_THERE \
	"(o.state" EQUAL "'deleting' AND o.sha256" EQUAL "excluded.sha256" \
	" AND o.stored_at IS NOT NULL AND " NO_TRY ")"
#define NEVER_PUT \
	"(o.state OPERATOR(pg_catalog.<>) 'deleting' AND o.stored_at IS NULL AND " NO_TRY ")"

/*
 * An object that is being deleted, or may have been, is put again; one that
 * waits for that with its content still there is stored as it is.  One that
 * was given up gets another try.
 */
static OwnStatement upsert_objects = {
	.text = "INSERT INTO mediastore.object AS o"
	" (server, key, sha256, bytes, content_type, immutable, owner, state, last_error)"
	" SELECT DISTINCT ON (a.server, a.key) a.server, a.key, a.sha256, a.bytes, a.content_type,"
	" a.immutable, a.relowner, CASE WHEN a.allowed THEN 'pending' ELSE 'dead' END,"
	" CASE WHEN NOT a.allowed THEN pg_catalog.format('role %s, the owner of the table, has no USAGE on server %s',"
	" a.relowner::pg_catalog.regrole, pg_catalog.quote_ident(a.server::pg_catalog.text)) END"
	" FROM (" ATTACHED ") AS a ORDER BY a.server, a.key, a.allowed DESC, a.id DESC"
	" ON CONFLICT (server, key) DO UPDATE SET"
	" state = CASE WHEN " STILL_THERE " THEN 'stored' ELSE 'pending' END,"
	" stored_at = CASE WHEN " STILL_THERE " THEN o.stored_at END,"
	" sha256 = excluded.sha256, bytes = excluded.bytes, content_type = excluded.content_type,"
	" immutable = excluded.immutable, owner = excluded.owner,"
	" attempts = CASE WHEN " STILL_THERE " OR " NEVER_PUT " THEN 0 ELSE 1 END,"
	" next_attempt_at = " AFTER_TRY ", last_error = NULL"
	" WHERE excluded.state OPERATOR(pg_catalog.<>) 'dead'"
	" AND (o.sha256 OPERATOR(pg_catalog.<>) excluded.sha256"
	" OR o.state" EQUAL "ANY ('{deleting,dead}'::pg_catalog.text[]))",
	.result = SPI_OK_INSERT, .count = 1, .types = {INT8ARRAYOID}, .table = "object"
};

/*
 * A place that refers to that object already has been told what there is to
 * tell, unless its bytes were taken out and are there again.
 */
static OwnStatement attach_places = {
	.text = "INSERT INTO mediastore.attachment AS t"
	" (relation, row_key, column_name, index, object, written)"
	" SELECT a.relation, a.row_key, a.column_name, a.index, o.id, NOT a.write_back"
	" FROM (" ATTACHED ") AS a"
	" JOIN mediastore.object AS o ON o.server" EQUAL "a.server AND o.key" EQUAL "a.key"
	" WHERE a.allowed OR o.owner" EQUAL "a.relowner"
	" ON CONFLICT (relation, row_key, column_name, index) DO UPDATE"
	" SET written = excluded.written, offloaded = false WHERE t.offloaded",
	.result = SPI_OK_INSERT, .count = 1, .types = {INT8ARRAYOID}, .table = "attachment"
};

/* $1: the number of a change 'm'.  What is at the new key is of a row that is gone. */
static OwnStatement clear_new_key = {
	.text = "DELETE FROM mediastore.attachment AS t USING mediastore.change AS c"
	" WHERE c.id" EQUAL "$1 AND t.relation" EQUAL "c.relation AND t.row_key" EQUAL "c.new_key"
	" AND t.column_name" EQUAL "c.column_name RETURNING t.object",
	.result = SPI_OK_DELETE_RETURNING, .count = 1, .types = {INT8OID}, .table = "attachment"
};

static OwnStatement move_row = {
	.text = "UPDATE mediastore.attachment AS t SET row_key = c.new_key FROM mediastore.change AS c"
	" WHERE c.id" EQUAL "$1 AND t.relation" EQUAL "c.relation AND t.row_key" EQUAL "c.row_key"
	" AND t.column_name" EQUAL "c.column_name",
	.result = SPI_OK_UPDATE, .count = 1, .types = {INT8OID}, .table = "attachment"
};

/* $1: the number of a change 't', $2: how many attachments at most. */
static OwnStatement end_rows = {
	.text = "DELETE FROM mediastore.attachment AS t WHERE t.ctid" EQUAL "ANY (ARRAY("
	" SELECT a.ctid FROM mediastore.attachment AS a JOIN mediastore.change AS c"
	" ON a.relation" EQUAL "c.relation"
	" AND (c.column_name IS NULL OR a.column_name" EQUAL "c.column_name)"
	" WHERE c.id" EQUAL "$1 LIMIT $2)) RETURNING t.object",
	.result = SPI_OK_DELETE_RETURNING, .count = 2, .types = {INT8OID, INT8OID},
	.table = "attachment"
};

/*
 * $1: the number of a change 'c'.  What is there by the new name is of a column
 * that had it before.
 */
static OwnStatement clear_new_name = {
	.text = "DELETE FROM mediastore.attachment AS t USING mediastore.change AS c"
	" WHERE c.id" EQUAL "$1 AND t.relation" EQUAL "c.relation"
	" AND t.column_name" EQUAL "c.key::pg_catalog.name RETURNING t.object",
	.result = SPI_OK_DELETE_RETURNING, .count = 1, .types = {INT8OID}, .table = "attachment"
};

static OwnStatement rename_column = {
	.text = "UPDATE mediastore.attachment AS t SET column_name = c.key::pg_catalog.name"
	" FROM mediastore.change AS c WHERE c.id" EQUAL "$1 AND t.relation" EQUAL "c.relation"
	" AND t.column_name" EQUAL "c.column_name",
	.result = SPI_OK_UPDATE, .count = 1, .types = {INT8OID}, .table = "attachment"
};

#define WITHOUT_ATTACHMENT \
	" WHERE o.id" EQUAL "ANY ($1) AND NOT EXISTS" \
	" (SELECT FROM mediastore.attachment AS t WHERE t.object" EQUAL "o.id)"

/* $1: objects that lost an attachment. */
static OwnStatement forget_untried = {
	.text = "DELETE FROM mediastore.object AS o" WITHOUT_ATTACHMENT
	" AND o.attempts" EQUAL "0 AND o.stored_at IS NULL AND o.lease_until IS NULL",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8ARRAYOID}, .table = "object"
};

/* $2: the grace in seconds. */
static OwnStatement begin_deletion = {
	.text = "UPDATE mediastore.object AS o SET state = 'deleting', attempts = 0, last_error = NULL,"
	" stored_at = CASE WHEN o.state" EQUAL "'stored' THEN o.stored_at END,"
	" next_attempt_at = GREATEST(" AFTER_TRY ","
	" pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2))"
	WITHOUT_ATTACHMENT " AND o.state OPERATOR(pg_catalog.<>) 'deleting'",
	.result = SPI_OK_UPDATE, .count = 2, .types = {INT8ARRAYOID, FLOAT8OID}, .table = "object"
};

static OwnStatement delete_changes = {
	.text = "DELETE FROM mediastore.change AS c WHERE c.id" EQUAL "ANY ($1)",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8ARRAYOID}, .table = "change"
};

/* Makes an int8[] of what a statement gave in its first column, and frees that. */
static Datum
take_numbers(int *count)
{
	SPITupleTable *table = SPI_tuptable;
	uint64		rows = SPI_processed;
	Datum	   *numbers = (Datum *) palloc_extended(sizeof(Datum) * Max(rows, 1), MCXT_ALLOC_HUGE);
	ArrayType  *array;

	for (uint64 i = 0; i < rows; i++)
	{
		bool		is_null;

		numbers[i] = SPI_getbinval(table->vals[i], table->tupdesc, 1, &is_null);
	}
	array = construct_array(numbers, (int) rows, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
							TYPALIGN_DOUBLE);
	*count = (int) rows;
	pfree(numbers);
	SPI_freetuptable(table);
	return PointerGetDatum(array);
}

/* Sees to the objects that a statement gave, which have lost an attachment. */
static void
lose(Datum objects)
{
	Datum		values[2];

	values[0] = objects;
	values[1] = Float8GetDatum((double) mediastore_delete_grace);
	own_execute(&forget_untried, values, NULL);
	own_execute(&begin_deletion, values, NULL);
}

/* Folds changes of the kinds 'a' and 'd'. */
static void
fold_places(Datum changes)
{
	Datum		values[4];
	Datum		lost;
	Datum		attached;
	int			attached_count;
	int			lost_count;

	values[0] = changes;
	own_execute(&find_attached, values, NULL);
	attached = take_numbers(&attached_count);

	values[1] = attached;
	own_execute(&detach_places, values, NULL);
	lost = take_numbers(&lost_count);

	if (attached_count > 0)
	{
		StoreIdentity identity;

		store_identity(&identity);
		values[0] = attached;
		values[1] = Int64GetDatum(identity.system_identifier);
		values[2] = ObjectIdGetDatum(identity.database);
		values[3] = Int32GetDatum(identity.timeline);
		own_execute(&insert_stores, values, NULL);
		own_execute(&upsert_objects, values, NULL);
		own_execute(&attach_places, values, NULL);
	}
	if (lost_count > 0)
		lose(lost);
}

/*
 * Folds a change by which attachments become those of other places, 'm' or 'c':
 * clear takes away what there is at these.
 */
static void
fold_move(int64 id, OwnStatement *clear, OwnStatement *move)
{
	Datum		values[1];
	Datum		lost;
	int			lost_count;

	values[0] = Int64GetDatum(id);
	own_execute(clear, values, NULL);
	lost = take_numbers(&lost_count);
	own_execute(move, values, NULL);
	if (lost_count > 0)
		lose(lost);
}

/* Folds a change 't'; false if there is more of it to do. */
static bool
fold_end(int64 id)
{
	Datum		values[2];
	Datum		lost;
	int			lost_count;

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(MOST_ENDED);
	own_execute(&end_rows, values, NULL);
	lost = take_numbers(&lost_count);
	if (lost_count > 0)
		lose(lost);
	return lost_count < MOST_ENDED;
}

static Datum
number_array(Datum *numbers, int count)
{
	return PointerGetDatum(construct_array(numbers, count, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

int
fold_changes(int most)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore fold",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext memory_before = MemoryContextSwitchTo(memory);
	Datum		values[1];
	Datum	   *ids;
	char	   *kinds;
	int			count;
	int			done = 0;
	bool		finished = true;

	values[0] = Int64GetDatum(most);
	own_execute(&read_changes, values, NULL);
	count = (int) SPI_processed;
	ids = (Datum *) palloc(sizeof(Datum) * (Size) Max(count, 1));
	kinds = (char *) palloc((Size) Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		is_null;

		ids[i] = Int64GetDatum(DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &is_null)));
		kinds[i] = DatumGetChar(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &is_null));
	}
	SPI_freetuptable(SPI_tuptable);

	while (done < count && finished)
	{
		int			end = done;

		CHECK_FOR_INTERRUPTS();
		while (end < count && (kinds[end] == 'a' || kinds[end] == 'd'))
			end++;
		if (end > done)
		{
			fold_places(number_array(ids + done, end - done));
			done = end;
			continue;
		}
		if (kinds[done] == 'm')
			fold_move(DatumGetInt64(ids[done]), &clear_new_key, &move_row);
		else if (kinds[done] == 'c')
			fold_move(DatumGetInt64(ids[done]), &clear_new_name, &rename_column);
		else if (kinds[done] == 't')
			finished = fold_end(DatumGetInt64(ids[done]));
		else
			elog(ERROR, "unrecognized kind of change: \"%c\"", kinds[done]);
		if (finished)
			done++;
	}

	if (done > 0)
	{
		values[0] = number_array(ids, done);
		own_execute(&delete_changes, values, NULL);
	}
	MemoryContextSwitchTo(memory_before);
	MemoryContextDelete(memory);

	/* one that is folded in part counts: there is more to come */
	return finished ? done : done + 1;
}

/*
 * media_fold_changes(int) returns int: for tests, which declare it.  That takes
 * a superuser, and so does calling it.
 */
Datum
media_fold_changes(PG_FUNCTION_ARGS)
{
	int			count;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", "media_fold_changes")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	count = fold_changes(PG_GETARG_INT32(0));
	SPI_finish();
	PG_RETURN_INT32(count);
}
