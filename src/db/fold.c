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
 * own is dead from the start, and another's is not touched.  Nor are two owners
 * that may to change each other's content: an object that tables of several
 * owners refer to is one whose key names its content, and stays as it is.
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
#include "utils/syscache.h"

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
	.text = "SELECT c.id, c.kind, c.relation::pg_catalog.oid FROM mediastore.change AS c ORDER BY c.id LIMIT $1",
	.result = SPI_OK_SELECT, .count = 1, .types = {INT8OID}
};

/*
 * $1: numbers of changes.  Those that are in effect when all are folded: the
 * last of their place, and none after them detaches all of the row's.
 */
static OwnStatement find_attached = {
	.text = "SELECT l.id FROM ("
	" SELECT DISTINCT ON (w.relation, w.row_key, w.column_name, w.index) w.id, w.kind, w.relation, w.detached"
	" FROM (SELECT c.id, c.kind, c.relation, c.row_key, c.column_name, c.index,"
	" pg_catalog.max(c.id) FILTER (WHERE c.kind" EQUAL "'d'" CHAR " AND c.index IS NULL)"
	" OVER (PARTITION BY c.relation, c.row_key, c.column_name) AS detached"
	" FROM mediastore.change AS c WHERE c.id" EQUAL "ANY ($1)) AS w WHERE w.index IS NOT NULL"
	" ORDER BY w.relation, w.row_key, w.column_name, w.index, w.id DESC) AS l"
	" WHERE l.kind" EQUAL "'a'" CHAR
	" AND (l.detached IS NULL OR l.detached OPERATOR(pg_catalog.<) l.id)"
	" AND EXISTS (SELECT FROM pg_catalog.pg_class AS r WHERE r.oid" EQUAL "l.relation)",
	.result = SPI_OK_SELECT, .count = 1, .types = {INT8ARRAYOID}
};

/* $1: numbers of changes, $2: those in effect.  Gives objects that lost one. */
static OwnStatement detach_places = {
	.text = "DELETE FROM mediastore.attachment AS t WHERE t.ctid" EQUAL "ANY (ARRAY("
	" SELECT p.ctid FROM mediastore.change AS c, LATERAL"
	" (SELECT a.ctid, a.index, a.object FROM mediastore.attachment AS a WHERE a.relation" EQUAL "c.relation"
	" AND a.row_key" EQUAL "c.row_key AND a.column_name" EQUAL "c.column_name OFFSET 0) AS p"
	" WHERE c.id" EQUAL "ANY ($1)"
	" AND CASE WHEN c.kind" EQUAL "'d'" CHAR
	" THEN c.index IS NULL OR p.index" EQUAL "c.index"
	" WHEN c.id" EQUAL "ANY ($2) THEN p.index" EQUAL "c.index AND NOT EXISTS"
	" (SELECT FROM mediastore.object AS o WHERE o.id" EQUAL "p.object"
	" AND o.server" EQUAL "c.server AND o.key" EQUAL "c.key)"
	" ELSE p.index" EQUAL "c.index AND NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_class AS r WHERE r.oid" EQUAL "c.relation) END))"
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

/* Whether tables of others than that owner, who may use the server, refer to an object o. */
#define OTHERS_REFER(owner) \
	"EXISTS (SELECT FROM mediastore.attachment AS t JOIN pg_catalog.pg_class AS r ON r.oid" EQUAL "t.relation" \
	" LEFT JOIN pg_catalog.pg_foreign_server AS f ON f.srvname" EQUAL "o.server" \
	" WHERE t.object" EQUAL "o.id AND r.relowner OPERATOR(pg_catalog.<>) " owner \
	" AND (t.offloaded OR COALESCE(pg_catalog.has_server_privilege(r.relowner, f.oid, 'USAGE'), true)))"

/*
 * An object that is being deleted, or may have been, is put again; one that
 * waits for that with its content still there is stored as it is.  One that
 * was given up gets another try.  What is there of another content is not what
 * is wanted; but it stays if rows have nothing else.
 */
static OwnStatement upsert_objects = {
	.text = "INSERT INTO mediastore.object AS o"
	" (server, key, sha256, bytes, content_type, immutable, owner, state, last_error)"
	" SELECT DISTINCT ON (a.server, a.key) a.server, a.key, a.sha256, a.bytes, a.content_type,"
	" a.immutable, a.relowner, CASE WHEN a.allowed THEN 'pending' ELSE 'dead' END,"
	" CASE WHEN NOT a.allowed THEN pg_catalog.format('role %s, the owner of the table, has no USAGE on server %s',"
	" a.relowner::pg_catalog.regrole, pg_catalog.quote_ident(a.server)) END"
	" FROM (" ATTACHED ") AS a ORDER BY a.server, a.key, a.allowed DESC, a.id DESC"
	" ON CONFLICT (server, key) DO UPDATE SET"
	" state = CASE WHEN o.state" EQUAL "'deleting' AND o.sha256" EQUAL "excluded.sha256"
	" AND o.stored_at IS NOT NULL AND o.lease_until IS NULL THEN 'stored' ELSE 'pending' END,"
	" stored_at = CASE WHEN o.sha256" EQUAL "excluded.sha256 THEN o.stored_at END,"
	" sha256 = excluded.sha256, bytes = excluded.bytes, content_type = excluded.content_type,"
	" immutable = excluded.immutable, owner = excluded.owner, attempts = 0,"
	" next_attempt_at = pg_catalog.now(), last_error = NULL"
	" WHERE excluded.state OPERATOR(pg_catalog.<>) 'dead'"
	" AND (o.sha256 OPERATOR(pg_catalog.<>) excluded.sha256"
	" OR o.state" EQUAL "ANY ('{deleting,dead}'::pg_catalog.text[]))"
	" AND (o.sha256" EQUAL "excluded.sha256 OR NOT EXISTS (SELECT FROM mediastore.attachment AS t"
	" WHERE t.object" EQUAL "o.id AND t.offloaded))"
	" AND ((o.sha256" EQUAL "excluded.sha256 AND o.immutable AND excluded.immutable)"
	" OR NOT " OTHERS_REFER("excluded.owner") ")"
	" RETURNING CASE WHEN o.xmax OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid THEN o.id END",
	.result = SPI_OK_INSERT_RETURNING, .count = 1, .types = {INT8ARRAYOID}, .table = "object"
};

/*
 * $1: objects that were there already, and are another's now, maybe.  Who has no
 * USAGE on the server may have guessed their keys.
 */
static OwnStatement drop_guesses = {
	.text = "DELETE FROM mediastore.attachment AS t USING mediastore.object AS o, pg_catalog.pg_class AS r,"
	" pg_catalog.pg_foreign_server AS f"
	" WHERE o.id" EQUAL "ANY ($1) AND o.stored_at IS NULL AND t.object" EQUAL "o.id AND NOT t.offloaded"
	" AND r.oid" EQUAL "t.relation AND r.relowner OPERATOR(pg_catalog.<>) o.owner"
	" AND f.srvname" EQUAL "o.server"
	" AND NOT pg_catalog.has_server_privilege(r.relowner, f.oid, 'USAGE')",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8ARRAYOID}, .table = "attachment"
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
	", LATERAL (SELECT q.id, q.owner, q.state, q.server, q.sha256, q.immutable FROM mediastore.object AS q"
	" WHERE q.server" EQUAL "a.server AND q.key" EQUAL "a.key LIMIT 1) AS o"
	" WHERE CASE WHEN NOT a.allowed THEN o.owner" EQUAL "a.relowner AND o.state OPERATOR(pg_catalog.<>) 'deleting'"
	" WHEN o.sha256" EQUAL "a.sha256 AND o.immutable AND a.immutable THEN true"
	" ELSE (o.sha256" EQUAL "a.sha256 OR o.owner" EQUAL "a.relowner)"
	" AND NOT " OTHERS_REFER("a.relowner") " END"
	" ON CONFLICT (relation, row_key, column_name, index) DO UPDATE"
	" SET written = excluded.written, offloaded = false WHERE t.offloaded",
	.result = SPI_OK_INSERT, .count = 1, .types = {INT8ARRAYOID}, .table = "attachment"
};

/* $1: the number of a change 'm'.  What is at the new key is of a row that is gone. */
static OwnStatement clear_new_key = {
	.text = "DELETE FROM mediastore.attachment AS t USING mediastore.change AS c"
	" WHERE c.id" EQUAL "$1 AND t.relation" EQUAL "c.relation AND t.row_key" EQUAL "c.new_key"
	" AND c.row_key OPERATOR(pg_catalog.<>) c.new_key"
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
	" WHERE o.id" EQUAL "ANY ($1) AND" \
	" (SELECT t.object FROM mediastore.attachment AS t WHERE t.object" EQUAL "o.id LIMIT 1) IS NULL"

/*
 * $1: objects that lost an attachment.  One whose transfer has failed may be at
 * the store all the same, however many attempts it was given back.
 */
static OwnStatement forget_untried = {
	.text = "DELETE FROM mediastore.object AS o" WITHOUT_ATTACHMENT
	" AND NOT o.tried AND o.lease_until IS NULL",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8ARRAYOID}, .table = "object"
};

/* $2: the grace in seconds. */
static OwnStatement begin_deletion = {
	.text = "UPDATE mediastore.object AS o SET state = 'deleting', attempts = 0, last_error = NULL,"
	" next_attempt_at = pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2)"
	WITHOUT_ATTACHMENT " AND o.state OPERATOR(pg_catalog.<>) 'deleting'",
	.result = SPI_OK_UPDATE, .count = 2, .types = {INT8ARRAYOID, FLOAT8OID}, .table = "object"
};

static OwnStatement delete_changes = {
	.text = "DELETE FROM mediastore.change AS c WHERE c.id" EQUAL "ANY ($1)",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8ARRAYOID}, .table = "change"
};

/* $1: numbers of changes.  One of those whose places do not refer to their objects, and how many. */
static OwnStatement find_refused = {
	.text = "SELECT pg_catalog.count(*), pg_catalog.min(c.server), pg_catalog.min(c.key)"
	" FROM mediastore.change AS c"
	" WHERE c.id" EQUAL "ANY ($1) AND NOT EXISTS (SELECT FROM mediastore.attachment AS t"
	" WHERE t.relation" EQUAL "c.relation AND t.row_key" EQUAL "c.row_key"
	" AND t.column_name" EQUAL "c.column_name AND t.index" EQUAL "c.index)",
	.result = SPI_OK_SELECT, .count = 1, .types = {INT8ARRAYOID}
};

/* Makes an int8[] of what a statement gave in its first column, without nulls, and frees that. */
static Datum
take_numbers(int *count)
{
	SPITupleTable *table = SPI_tuptable;
	uint64		rows = SPI_processed;
	Datum	   *numbers = (Datum *) palloc_extended(sizeof(Datum) * Max(rows, 1), MCXT_ALLOC_HUGE);
	ArrayType  *array;

	*count = 0;
	for (uint64 i = 0; i < rows; i++)
	{
		bool		is_null;
		Datum		number = SPI_getbinval(table->vals[i], table->tupdesc, 1, &is_null);

		if (!is_null)
			numbers[(*count)++] = number;
	}
	array = construct_array(numbers, *count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
							TYPALIGN_DOUBLE);
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

/* Tells the log of changes that came to nothing. */
static void
tell_refused(Datum attached)
{
	Datum		values[1] = {attached};
	int64		count;
	bool		is_null;

	own_execute(&find_refused, values, NULL);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	if (count > 0)
		ereport(LOG,
				(errmsg_plural("%lu value is not pushed, for its key is that of another role's object",
							   "%lu values are not pushed, for their keys are those of other roles' objects",
							   (unsigned long) count, (unsigned long) count),
				 errdetail_log("One is of server \"%s\", its key \"%s\".",
							   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2),
							   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3)),
				 errhidestmt(true), errhidecontext(true)));
	SPI_freetuptable(SPI_tuptable);
}

/* Folds changes of the kinds 'a' and 'd'.  is_one: a single one, which is in effect. */
static void
fold_places(Datum changes, bool is_one)
{
	Datum		values[4];
	Datum		lost;
	Datum		attached;
	int			attached_count;
	int			lost_count;

	values[0] = changes;
	if (is_one)
	{
		/* mostly the first of a worker, which has all its statements to plan yet */
		attached = changes;
		attached_count = 1;
	}
	else
	{
		own_execute(&find_attached, values, NULL);
		attached = take_numbers(&attached_count);
	}

	values[1] = attached;
	own_execute(&detach_places, values, NULL);
	lost = take_numbers(&lost_count);

	if (attached_count > 0)
	{
		StoreIdentity identity;
		Datum		taken[1];
		int			taken_count;

		store_identity(&identity);
		values[0] = attached;
		values[1] = Int64GetDatum(identity.system_identifier);
		values[2] = ObjectIdGetDatum(identity.database);
		values[3] = Int32GetDatum(identity.timeline);
		own_execute(&insert_stores, values, NULL);
		own_execute(&upsert_objects, values, NULL);
		taken[0] = take_numbers(&taken_count);
		if (taken_count > 0)
			own_execute(&drop_guesses, taken, NULL);
		own_execute(&attach_places, values, NULL);
		if (SPI_processed < (uint64) attached_count)
			tell_refused(attached);
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
	Oid		   *relations;
	int			count;
	int			done = 0;
	bool		finished = true;

	values[0] = Int64GetDatum(most);
	own_execute(&read_changes, values, NULL);
	count = (int) SPI_processed;
	ids = (Datum *) palloc(sizeof(Datum) * (Size) Max(count, 1));
	kinds = (char *) palloc((Size) Max(count, 1));
	relations = (Oid *) palloc(sizeof(Oid) * (Size) Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		is_null;

		ids[i] = Int64GetDatum(DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &is_null)));
		kinds[i] = DatumGetChar(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &is_null));
		relations[i] = DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &is_null));
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
			fold_places(number_array(ids + done, end - done),
						end - done == 1 && kinds[done] == 'a' &&
						SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relations[done])));
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

	/* one that is folded in part: there is more to come */
	return finished ? done : Max(done + 1, most);
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
