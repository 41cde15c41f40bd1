/*-------------------------------------------------------------------------
 *
 * write_back.c
 *	  What rows are told once their objects are stored: an URL, and that they
 *	  need not hold the bytes any more.
 *
 * A row is told only if it still holds the content that was stored.  It is
 * updated by SQL, as any row, so that triggers, indexes and constraints are
 * seen to; by its table's owner, restricted, for these are the owner's own.
 * Nobody is waited for: a row that is locked is come back to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "claim.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "pusher.h"
#include "sender.h"
#include "source.h"
#include "subtransaction.h"
#include "write_back.h"
#include "write_back_row.h"

/* Rows that are told in one transaction, which has them locked till its end. */
#define ROWS_AT_ONCE	32

/* Objects stored that are remembered until their rows are found. */
#define MOST_STORED		256

/* Places that a sweep looks at in a round, and how often one begins (ms). */
#define SWEPT_AT_ONCE	200
#define SWEEP_INTERVAL	1000

/* How long a row may take, ms: triggers of the table run. */
#define ROW_TIMEOUT		(60 * 1000)

/* Rows that are told are locked for others as long, ms: no more are told then. */
#define LONGEST_LOCKED	500

/* How soon a row that is locked is come back to, ms. */
#define LOCKED_MILLISECONDS	1000

/* An object that was stored, and where its content lay. */
typedef struct Stored
{
	int64		object;
	SourcePointer pointer;
} Stored;

static MemoryContext target_memory = NULL;
static List *targets = NIL;		/* of WriteBackTarget, in target_memory */
static Stored stored[MOST_STORED];
static int	stored_count = 0;
static bool sweep_wanted = true;
static bool sweeping = false;
static int64 swept_to = 0;		/* the number of an object */
static TimestampTz swept_at = 0;
static bool told_some = false;	/* since that sweep began */
static TimestampTz come_back = 0;	/* when a sweep is to find those again that
									 * could not be told */

/*
 * The object of an attachment that is found is looked up, whatever the plan: it
 * may have been made while both tables were empty.
 */
#define IS_STORED \
	"COALESCE((SELECT o.state FROM mediastore.object AS o WHERE o.id OPERATOR(pg_catalog.=) a.object)" \
	" OPERATOR(pg_catalog.=) 'stored', false)"

static OwnStatement find_stored = {
	.text = "SELECT a.object, a.relation::pg_catalog.oid, a.row_key, a.column_name, true"
	" FROM mediastore.attachment AS a WHERE a.object OPERATOR(pg_catalog.=) ANY ($1) AND NOT a.written"
	" AND " IS_STORED " LIMIT 1000",
	.result = SPI_OK_SELECT,
	.count = 1,
	.types = {INT8ARRAYOID}
};

static OwnStatement find_swept = {
	.text = "SELECT a.object, a.relation::pg_catalog.oid, a.row_key, a.column_name, " IS_STORED
	" FROM mediastore.attachment AS a"
	" WHERE NOT a.written AND a.object OPERATOR(pg_catalog.>) $1 ORDER BY a.object LIMIT $2",
	.result = SPI_OK_SELECT,
	.count = 2,
	.types = {INT8OID, INT8OID}
};

static OwnStatement find_elements = {
	.text = "SELECT a.index, a.object, o.server, o.key, o.sha256, o.bytes, o.owner::pg_catalog.oid,"
	" o.state OPERATOR(pg_catalog.=) 'stored', a.written,"
	" CASE WHEN o.attempts OPERATOR(pg_catalog.>) 0 THEN o.next_attempt_at END, a.offloaded"
	" FROM mediastore.attachment AS a, LATERAL"
	" (SELECT i.* FROM mediastore.object AS i WHERE i.id OPERATOR(pg_catalog.=) a.object OFFSET 0) AS o"
	" WHERE a.relation OPERATOR(pg_catalog.=) $1 AND a.row_key OPERATOR(pg_catalog.=) $2"
	" AND a.column_name OPERATOR(pg_catalog.=) $3 ORDER BY a.index",
	.result = SPI_OK_SELECT,
	.count = 3,
	.types = {REGCLASSOID, TEXTARRAYOID, NAMEOID}
};

static OwnStatement mark_written = {
	.text = "UPDATE mediastore.attachment AS a SET written = true, offloaded = a.offloaded OR $5"
	" WHERE a.relation OPERATOR(pg_catalog.=) $1 AND a.row_key OPERATOR(pg_catalog.=) $2"
	" AND a.column_name OPERATOR(pg_catalog.=) $3 AND a.object OPERATOR(pg_catalog.=) ANY ($4)",
	.result = SPI_OK_UPDATE,
	.count = 5,
	.types = {REGCLASSOID, TEXTARRAYOID, NAMEOID, INT8ARRAYOID, BOOLOID},
	.table = "attachment"
};

/* Counted where tries to put it are: it is stored, so there are none. */
static OwnStatement note_failure = {
	.text = "UPDATE mediastore.object AS o SET last_error = $2,"
	" attempts = o.attempts OPERATOR(pg_catalog.+) 1, next_attempt_at = pg_catalog.now() OPERATOR(pg_catalog.+)"
	" pg_catalog.make_interval(secs => LEAST(300, pg_catalog.power(2, LEAST(o.attempts, 20)))"
	" OPERATOR(pg_catalog.*) $3)"
	" WHERE o.id OPERATOR(pg_catalog.=) $1 AND o.state OPERATOR(pg_catalog.=) 'stored'"
	" RETURNING o.attempts, o.next_attempt_at",
	.result = SPI_OK_UPDATE_RETURNING,
	.count = 3,
	.types = {INT8OID, TEXTOID, FLOAT8OID},
	.table = "object"
};

static OwnStatement end_failures = {
	.text = "UPDATE mediastore.object AS o SET attempts = 0, last_error = CASE WHEN $2 THEN o.last_error END"
	" WHERE o.id OPERATOR(pg_catalog.=) ANY ($1) AND o.state OPERATOR(pg_catalog.=) 'stored'"
	" AND o.attempts OPERATOR(pg_catalog.>) 0",
	.result = SPI_OK_UPDATE,
	.count = 2,
	.types = {INT8ARRAYOID, BOOLOID},
	.table = "object"
};

/* --- what is to be told --------------------------------------------------- */

static void
come_back_at(TimestampTz at)
{
	if (come_back == 0 || at < come_back)
		come_back = at;
}

void
write_back_stored(int64 object, const SourcePointer *pointer)
{
	if (stored_count == MOST_STORED)
	{
		sweep_wanted = true;
		return;
	}
	stored[stored_count].object = object;
	stored[stored_count++].pointer = *pointer;
}

void
write_back_sweep(void)
{
	sweep_wanted = true;
}

void
write_back_forget(void)
{
	if (target_memory != NULL)
		MemoryContextReset(target_memory);
	targets = NIL;
	stored_count = 0;
	sweep_wanted = true;
	sweeping = false;
	come_back = 0;
	swept_at = 0;
	push_writing_back = NULL;
}

static bool
same_row(const WriteBackTarget *one, Oid relation, ArrayType *row_key, const char *column)
{
	return one->relation == relation && VARSIZE(one->row_key) == VARSIZE(row_key) &&
		memcmp(one->row_key, row_key, VARSIZE(row_key)) == 0 &&
		strcmp(NameStr(one->column), column) == 0;
}

/*
 * Adds the rows of a result, those whose objects are stored; any_stored: whether
 * there are some.  Returns the last object.
 */
static int64
add_targets(bool *any_stored)
{
	int64		last = 0;

	*any_stored = false;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	descriptor = SPI_tuptable->tupdesc;
		bool		is_null;
		int64		object = DatumGetInt64(SPI_getbinval(tuple, descriptor, 1, &is_null));
		Oid			relation = DatumGetObjectId(SPI_getbinval(tuple, descriptor, 2, &is_null));
		ArrayType  *row_key = DatumGetArrayTypeP(SPI_getbinval(tuple, descriptor, 3, &is_null));
		const char *column = NameStr(*DatumGetName(SPI_getbinval(tuple, descriptor, 4, &is_null)));
		bool		is_stored = DatumGetBool(SPI_getbinval(tuple, descriptor, 5, &is_null));
		WriteBackTarget *target = NULL;
		MemoryContext old;

		last = Max(last, object);
		if (!is_stored)
			continue;
		*any_stored = true;
		/* the elements of an array come one after the other */
		if (targets != NIL && same_row((WriteBackTarget *) llast(targets), relation, row_key, column))
			continue;
		old = MemoryContextSwitchTo(target_memory);
		target = (WriteBackTarget *) palloc0(sizeof(WriteBackTarget));
		target->relation = relation;
		target->row_key = (ArrayType *) palloc(VARSIZE(row_key));
		memcpy(target->row_key, row_key, VARSIZE(row_key));
		namestrcpy(&target->column, column);
		for (int j = 0; j < stored_count; j++)
		{
			if (stored[j].object == object)
				target->pointer = stored[j].pointer;
		}
		targets = lappend(targets, target);
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(SPI_tuptable);
	return last;
}

/* Goes on with a sweep. */
static void
sweep(TimestampTz now)
{
	Datum		values[2];
	bool		all;
	bool		any_stored;
	int64		last;

	if (!sweeping)
	{
		if (!sweep_wanted && (come_back == 0 || come_back > now))
			return;
		if (swept_at != 0 && !told_some && !TimestampDifferenceExceeds(swept_at, now, SWEEP_INTERVAL))
			return;
		sweeping = true;
		sweep_wanted = false;
		come_back = 0;
		swept_to = 0;
		swept_at = now;
		told_some = false;
	}
	values[0] = Int64GetDatum(swept_to);
	values[1] = Int64GetDatum(SWEPT_AT_ONCE);
	own_execute(&find_swept, values, NULL);
	all = SPI_processed < SWEPT_AT_ONCE;
	last = add_targets(&any_stored);
	if (all)
		sweeping = false;
	else if (last > swept_to + 1)
		swept_to = last - 1;
	else
	{
		/* an object of many rows: once it is stored, the others are for another sweep */
		swept_to = last;
		if (any_stored)
			sweep_wanted = true;
	}
}

void
write_back_find(void)
{
	if (target_memory == NULL)
		target_memory = AllocSetContextCreate(TopMemoryContext, "mediastore write-back",
											  ALLOCSET_DEFAULT_SIZES);
	if (stored_count > 0)
	{
		int64		ids[MOST_STORED];
		Datum		values[1];
		bool		any_stored;

		for (int i = 0; i < stored_count; i++)
			ids[i] = stored[i].object;
		values[0] = claim_int8_array(ids, stored_count);
		own_execute(&find_stored, values, NULL);
		if (SPI_processed >= 1000)
			sweep_wanted = true;
		(void) add_targets(&any_stored);
		stored_count = 0;
	}
	/* a sweep is for what has been left, and need not be soon */
	if (list_length(targets) < ROWS_AT_ONCE)
		sweep(GetCurrentTimestamp());
}

bool
write_back_due(void)
{
	return targets != NIL;
}

TimestampTz
write_back_next(void)
{
	TimestampTz next = come_back;

	/* at once: any time that has passed */
	if (targets != NIL || sweeping)
		return 1;
	if (sweep_wanted)
		next = 1;
	if (next != 0 && swept_at != 0 && !(sweep_wanted && told_some))
		next = Max(next, TimestampTzPlusMilliseconds(swept_at, SWEEP_INTERVAL + 1));
	return next;
}

/* --- rows ----------------------------------------------------------------- */

static void
set_place(const WriteBackTarget *target, Datum *values)
{
	values[0] = ObjectIdGetDatum(target->relation);
	values[1] = PointerGetDatum(target->row_key);
	values[2] = NameGetDatum(&target->column);
}

static Datum
element_ids(const WriteBack *telling)
{
	int64	   *ids = (int64 *) palloc(sizeof(int64) * Max(telling->count, 1));

	for (int i = 0; i < telling->count; i++)
		ids[i] = telling->elements[i].object;
	return claim_int8_array(ids, telling->count);
}

static void
mark(WriteBack *telling, bool offloaded)
{
	Datum		values[5];

	set_place(telling->target, values);
	values[3] = element_ids(telling);
	values[4] = BoolGetDatum(offloaded);
	own_execute(&mark_written, values, NULL);
}

/* For subtransaction_try. */
static void
work(void *context)
{
	WriteBack  *telling = (WriteBack *) context;
	const WriteBackTarget *target = telling->target;
	PushPlace	place = {.relation = target->relation, .row_key = target->row_key, .column = target->column};
	Source	   *source;
	SourceRow	row;
	PushColumn	column;
	SourceIdentity before;
	bool		offloaded = false;

	PushActiveSnapshot(GetTransactionSnapshot());
	source = source_begin();
	telling->state = WRITE_BACK_DONE;
	switch (source_find(source, &place, RowExclusiveLock, &row))
	{
		case SOURCE_LOCKED:
			telling->state = WRITE_BACK_LOCKED;
			break;
		case SOURCE_MISSING:
			break;
		case SOURCE_FOUND:
			if (!push_find(row.relation, NameStr(target->column), &column) ||
				(column.url_number == InvalidAttrNumber && column.offload == PUSH_OFFLOAD_NONE))
				break;
			source_become_owner(row.relation, &before);
			telling->state = write_back_row(telling, &row, &column, &offloaded);
			source_become(&before);
			break;
	}
	source_end(source);
	PopActiveSnapshot();
	if (telling->state == WRITE_BACK_DONE)
		mark(telling, offloaded);
}

/* Reads what the row refers to.  False if there is nothing to tell, or not yet. */
static bool
read_elements(WriteBack *telling, bool *had_failed)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	SPITupleTable *table;
	Datum		values[3];
	bool		is_written = true;
	bool		is_ready = true;

	set_place(telling->target, values);
	own_execute(&find_elements, values, NULL);
	table = SPI_tuptable;
	telling->count = (int) SPI_processed;
	telling->elements = (WriteBackElement *) palloc0(sizeof(WriteBackElement) * Max(telling->count, 1));
	*had_failed = false;
	for (int i = 0; i < telling->count; i++)
	{
		HeapTuple	tuple = table->vals[i];
		TupleDesc	descriptor = table->tupdesc;
		WriteBackElement *element = &telling->elements[i];
		bool		is_null;
		bytea	   *sha256 = DatumGetByteaPP(SPI_getbinval(tuple, descriptor, 5, &is_null));
		Datum		again;

		element->index = DatumGetInt32(SPI_getbinval(tuple, descriptor, 1, &is_null));
		element->object = DatumGetInt64(SPI_getbinval(tuple, descriptor, 2, &is_null));
		element->server = pstrdup(NameStr(*DatumGetName(SPI_getbinval(tuple, descriptor, 3, &is_null))));
		element->key = TextDatumGetCString(SPI_getbinval(tuple, descriptor, 4, &is_null));
		if (VARSIZE_ANY_EXHDR(sha256) == sizeof(element->sha256))
			memcpy(element->sha256, VARDATA_ANY(sha256), sizeof(element->sha256));
		element->bytes = (uint64) DatumGetInt64(SPI_getbinval(tuple, descriptor, 6, &is_null));
		element->owner = DatumGetObjectId(SPI_getbinval(tuple, descriptor, 7, &is_null));
		is_ready = is_ready && DatumGetBool(SPI_getbinval(tuple, descriptor, 8, &is_null));
		is_written = is_written && DatumGetBool(SPI_getbinval(tuple, descriptor, 9, &is_null));
		element->offloaded = DatumGetBool(SPI_getbinval(tuple, descriptor, 11, &is_null));
		again = SPI_getbinval(tuple, descriptor, 10, &is_null);
		if (!is_null)
		{
			*had_failed = true;
			if (is_ready && DatumGetTimestampTz(again) > now)
			{
				come_back_at(DatumGetTimestampTz(again));
				is_ready = false;
			}
		}
	}
	SPI_freetuptable(table);
	return telling->count > 0 && is_ready && !is_written;
}

/* Writes down that a row could not be told; after so many times it is left alone. */
static void
keep_failure(WriteBack *telling, const char *message)
{
	Datum		values[3];
	int			attempts = 0;

	for (int i = 0; i < telling->count; i++)
	{
		values[0] = Int64GetDatum(telling->elements[i].object);
		values[1] = CStringGetTextDatum(message);
		values[2] = Float8GetDatum(claim_back_off(1));
		own_execute(&note_failure, values, NULL);
		if (SPI_processed > 0)
		{
			bool		is_null;

			attempts = Max(attempts, DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
																 SPI_tuptable->tupdesc, 1, &is_null)));
			come_back_at(DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0],
														   SPI_tuptable->tupdesc, 2, &is_null)));
		}
		SPI_freetuptable(SPI_tuptable);
	}
	if (attempts >= mediastore_max_attempts)
	{
		mark(telling, false);
		values[0] = element_ids(telling);
		values[1] = BoolGetDatum(true);
		own_execute(&end_failures, values, NULL);
	}
}

/* Finds the URLs of the elements; an error if there is none to be had. */
static const char *
find_urls(WriteBack *telling, List **senders)
{
	for (int i = 0; i < telling->count; i++)
	{
		WriteBackElement *element = &telling->elements[i];
		Sender	   *sender = sender_find(senders, element->server, element->owner, false);
		StoreError	error;
		char	   *url;

		if (sender->store == NULL)
			return sender->error->message;
		/* what a folder holds has none, unless it is said who serves it */
		if (sender->store->type == STORE_TYPE_FILE && sender->store->bucket.public_url == NULL)
			continue;
		url = store_public_url(&sender->store->bucket,
							   pg_server_to_any(element->key, (int) strlen(element->key), PG_UTF8),
							   &error);
		if (url == NULL)
			return pstrdup(error.message);
		element->url = pstrdup(url);
		free(url);
	}
	return NULL;
}

static void
tell(const WriteBackTarget *target, List **senders)
{
	WriteBack	telling = {.target = target};
	const char *message;
	ErrorData  *error;
	bool		had_failed;

	if (!read_elements(&telling, &had_failed))
		return;
	message = find_urls(&telling, senders);
	if (message == NULL && !subtransaction_try_within(ROW_TIMEOUT, work, &telling, &error))
	{
		push_writing_back = NULL;
		if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			telling.state = WRITE_BACK_LOCKED;
		else
			message = error->message;
	}
	if (message != NULL)
		keep_failure(&telling, message);
	else if (telling.state == WRITE_BACK_LOCKED)
		come_back_at(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_MILLISECONDS));
	else
		told_some = true;
	if (message == NULL && telling.state == WRITE_BACK_DONE && had_failed)
	{
		Datum		values[2] = {element_ids(&telling), BoolGetDatum(false)};

		own_execute(&end_failures, values, NULL);
	}
}

void
write_back_some(void)
{
	List	   *senders = NIL;
	TimestampTz begun = GetCurrentTimestamp();
	int			result;
	int			done = 0;
	ListCell   *cell;

	/* what is deferred would run when we are the pusher again, at the commit */
	result = SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));

	foreach(cell, targets)
	{
		CHECK_FOR_INTERRUPTS();
		if (done == ROWS_AT_ONCE ||
			TimestampDifferenceExceeds(begun, GetCurrentTimestamp(), LONGEST_LOCKED))
			break;
		tell((const WriteBackTarget *) lfirst(cell), &senders);
		pusher_keep_lock();
		done++;
	}
	if (done == list_length(targets))
	{
		targets = NIL;
		MemoryContextReset(target_memory);
	}
	else
	{
		MemoryContext old = MemoryContextSwitchTo(target_memory);

		targets = list_copy_tail(targets, done);
		MemoryContextSwitchTo(old);
	}
}
