/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Objects that are due, and the stores they are for.
 *
 * What happens to many objects is one statement, with an array for each of
 * their columns.  The objects themselves are not joined with these: when a plan
 * is made the table may be empty, and it is not to be read from end to end
 * when it is large.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "claim.h"
#include "compat.h"
#include "own_tables.h"
#include "store_identity.h"

/* A lease is longer than what it is for can take, by this many seconds. */
#define LEASE_SPARE		60

/* No failure has anything rest for longer, but a store may ask for that. */
#define LONGEST_BACK_OFF	300.0

static OwnStatement read_stores = {
	.text = "SELECT s.server, s.system_identifier, s.database, s.timeline, s.paused, s.rest_until,"
	" s.failures, s.last_error IS NOT NULL FROM mediastore.store AS s",
	.result = SPI_OK_SELECT
};

/*
 * For each server and state there is an index scan, which stops at most.  An
 * object whose state and place have gone apart is left to the folding.
 */
#define DUE_OBJECTS \
	"FROM mediastore.object AS q" \
	" WHERE q.server OPERATOR(pg_catalog.=) s.server AND q.state OPERATOR(pg_catalog.=) s.state" \
	" AND q.state OPERATOR(pg_catalog.=) ANY ('{pending,deleting}'::pg_catalog.text[])" \
	" AND (q.lease_until IS NULL OR q.lease_until OPERATOR(pg_catalog.<=) pg_catalog.now())" \
	" AND (q.immutable OR NOT s.immutable)" \
	" AND NOT (q.state OPERATOR(pg_catalog.=) 'deleting' AND EXISTS" \
	" (SELECT FROM mediastore.attachment AS a WHERE a.object OPERATOR(pg_catalog.=) q.id))"

/*
 * What is to be deleted is not known to be there from now on: who dies meanwhile
 * can't tell.
 */
static OwnStatement claim_due = {
	.text = "UPDATE mediastore.object AS o SET attempts = o.attempts OPERATOR(pg_catalog.+) 1, lease_token = $5,"
	" tried = o.tried OR o.state OPERATOR(pg_catalog.=) 'pending',"
	" stored_at = CASE WHEN o.state OPERATOR(pg_catalog.=) 'pending' THEN o.stored_at END,"
	" lease_until = pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $6)"
	" WHERE o.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT d.id"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($7)) AS s (server, state, most, immutable), LATERAL"
	" (SELECT q.id, q.next_attempt_at " DUE_OBJECTS
	" AND q.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.now()"
	" ORDER BY q.next_attempt_at LIMIT s.most FOR NO KEY UPDATE OF q SKIP LOCKED) AS d"
	" ORDER BY d.next_attempt_at LIMIT $4))"
	" RETURNING o.id, o.server, o.key, o.sha256, o.bytes, o.content_type, o.immutable, o.owner::pg_catalog.oid,"
	" o.state, o.attempts",
	.result = SPI_OK_UPDATE_RETURNING,
	.count = 7,
	.types = {NAMEARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT8OID, INT8OID, FLOAT8OID, BOOLARRAYOID},
	.table = "object"
};

/* One of the places that hold an object's bytes; after a failure another one. */
static OwnStatement find_places = {
	.text = "SELECT c.number::pg_catalog.int4, p.relation::pg_catalog.oid, p.row_key, p.column_name, p.index"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS c (object, attempts, number), LATERAL"
	" (SELECT a.relation, a.row_key, a.column_name, a.index FROM mediastore.attachment AS a"
	" WHERE a.object OPERATOR(pg_catalog.=) c.object AND NOT a.offloaded LIMIT 1"
	" OFFSET CASE WHEN c.attempts OPERATOR(pg_catalog.<=) 1 THEN 0 ELSE"
	" (c.attempts OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.%) GREATEST(1, (SELECT pg_catalog.count(*)"
	" FROM (SELECT FROM mediastore.attachment AS b WHERE b.object OPERATOR(pg_catalog.=) c.object"
	" AND NOT b.offloaded LIMIT 10) AS t)) END) AS p",
	.result = SPI_OK_SELECT,
	.count = 2,
	.types = {INT8ARRAYOID, INT4ARRAYOID}
};

static OwnStatement find_next_due = {
	.text = "SELECT pg_catalog.min(GREATEST(d.next_attempt_at, s.rest_until))"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4)) AS s (server, state, rest_until, immutable), LATERAL"
	" (SELECT q.next_attempt_at " DUE_OBJECTS " ORDER BY q.next_attempt_at LIMIT 1) AS d",
	.result = SPI_OK_SELECT,
	.count = 4,
	.types = {NAMEARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, BOOLARRAYOID}
};

static OwnStatement shorten_leases = {
	.text = "UPDATE mediastore.object AS o SET lease_until = pg_catalog.now()"
	" OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $1)"
	" WHERE o.lease_until OPERATOR(pg_catalog.>)"
	" (pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $1))"
	" AND o.state OPERATOR(pg_catalog.=) ANY ('{pending,deleting}'::pg_catalog.text[])",
	.result = SPI_OK_UPDATE,
	.count = 1,
	.types = {FLOAT8OID},
	.table = "object"
};

static OwnStatement rest_store = {
	.text = "UPDATE mediastore.store AS s SET last_error = $2, failures = s.failures OPERATOR(pg_catalog.+) 1,"
	" rest_until = pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs =>"
	" GREATEST($3, LEAST($4, pg_catalog.power(2, LEAST(s.failures, 20)))"
	" OPERATOR(pg_catalog.*) $5))"
	" WHERE s.server OPERATOR(pg_catalog.=) $1"
	" AND (s.rest_until IS NULL OR s.rest_until OPERATOR(pg_catalog.<=) pg_catalog.now()) RETURNING s.failures",
	.result = SPI_OK_UPDATE_RETURNING,
	.count = 5,
	.types = {NAMEOID, TEXTOID, FLOAT8OID, FLOAT8OID, FLOAT8OID},
	.table = "store"
};

static OwnStatement note_store = {
	.text = "UPDATE mediastore.store AS s SET last_error = $2 WHERE s.server OPERATOR(pg_catalog.=) $1"
	" AND s.last_error IS DISTINCT FROM $2",
	.result = SPI_OK_UPDATE,
	.count = 2,
	.types = {NAMEOID, TEXTOID},
	.table = "store"
};

static OwnStatement recover_stores = {
	.text = "UPDATE mediastore.store AS s SET last_error = NULL, failures = 0, rest_until = NULL"
	" WHERE s.server OPERATOR(pg_catalog.=) ANY ($1)"
	" AND (s.failures OPERATOR(pg_catalog.<>) 0 OR s.last_error IS NOT NULL OR s.rest_until IS NOT NULL)",
	.result = SPI_OK_UPDATE,
	.count = 1,
	.types = {NAMEARRAYOID},
	.table = "store"
};

/* --- arrays --------------------------------------------------------------- */

Datum
claim_array(Datum *values, bool *nulls, int count, Oid type)
{
	int			lower = 1;
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &count, &lower, type, length,
											  by_value, alignment));
}

Datum
claim_int8_array(const int64 *numbers, int count)
{
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(numbers[i]);
	return claim_array(values, NULL, count, INT8OID);
}

static Datum
column(int row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

/* --- stores --------------------------------------------------------------- */

double
claim_back_off(int attempts)
{
	double		seconds = Min(LONGEST_BACK_OFF, exp2(Min(Max(attempts, 1) - 1, 20)));

	return seconds * (0.5 + pg_prng_double(&pg_global_prng_state));
}

void
claim_read_stores(ClaimStores *stores)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	StoreIdentity identity;

	store_identity(&identity);
	own_execute(&read_stores, NULL, NULL);
	memset(stores, 0, sizeof(*stores));
	stores->stores = (ClaimStore *) palloc0(sizeof(ClaimStore) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ClaimStore *store = &stores->stores[stores->count++];
		StoreIdentity adopted;
		bool		is_null;
		bool		paused = DatumGetBool(column(i, 5, &is_null));
		Datum		rest_until;

		namestrcpy(&store->server, NameStr(*DatumGetName(column(i, 1, &is_null))));
		adopted.system_identifier = DatumGetInt64(column(i, 2, &is_null));
		adopted.database = DatumGetObjectId(column(i, 3, &is_null));
		adopted.timeline = DatumGetInt32(column(i, 4, &is_null));
		store->failures = DatumGetInt32(column(i, 7, &is_null));
		if (store->failures > 0 || DatumGetBool(column(i, 8, &is_null)))
			stores->any_failed = true;
		rest_until = column(i, 6, &is_null);
		if (!is_null && DatumGetTimestampTz(rest_until) > now)
			store->rest_until = DatumGetTimestampTz(rest_until);
		if (!paused)
		{
			StoreStanding standing = store_standing(&adopted, &identity);

			store->may_put = standing != STORE_FOREIGN;
			store->may_delete = standing == STORE_OURS;
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

ClaimStore *
claim_find_store(const ClaimStores *stores, const char *server)
{
	for (int i = 0; i < stores->count; i++)
	{
		if (strcmp(NameStr(stores->stores[i].server), server) == 0)
			return &stores->stores[i];
	}
	return NULL;
}

void
claim_rest(const char *server, const char *message, int retry_after)
{
	NameData	name;
	Datum		values[5];

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = CStringGetTextDatum(message);
	values[2] = Float8GetDatum(Max(retry_after, 0));
	values[3] = Float8GetDatum(LONGEST_BACK_OFF);
	values[4] = Float8GetDatum(0.5 + pg_prng_double(&pg_global_prng_state));
	own_execute(&rest_store, values, NULL);
	if (SPI_processed > 0)
	{
		bool		is_null;

		/* once for all failures in a row */
		if (DatumGetInt32(column(0, 1, &is_null)) == 1)
			ereport(LOG,
					(errmsg("store \"%s\" rests: %s", server, message),
					 errhidestmt(true), errhidecontext(true)));
		SPI_freetuptable(SPI_tuptable);
	}
	else
	{
		SPI_freetuptable(SPI_tuptable);
		claim_note(server, message);
	}
}

void
claim_note(const char *server, const char *message)
{
	NameData	name;
	Datum		values[2];

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = CStringGetTextDatum(message);
	own_execute(&note_store, values, NULL);
}

void
claim_recover(List *servers)
{
	Datum	   *names = (Datum *) palloc(sizeof(Datum) * Max(list_length(servers), 1));
	Datum		values[1];
	int			count = 0;
	ListCell   *cell;

	foreach(cell, servers)
		names[count++] = NameGetDatum((Name) lfirst(cell));
	values[0] = claim_array(names, NULL, count, NAMEOID);
	own_execute(&recover_stores, values, NULL);
}

/* --- claiming ------------------------------------------------------------- */

/* What to claim, or look for: a server and a state each. */
typedef struct Wanted
{
	Datum	   *servers;
	Datum	   *states;
	Datum	   *most;
	Datum	   *rests;
	bool	   *rests_null;
	Datum	   *immutable;		/* only such objects: another server may have
								 * put what is newer to the others */
	int			count;
} Wanted;

static void
add_wanted(Wanted *wanted, ClaimStore *store, const char *state, int most)
{
	int			i = wanted->count++;

	wanted->servers[i] = NameGetDatum(&store->server);
	wanted->states[i] = CStringGetTextDatum(state);
	wanted->most[i] = Int32GetDatum(most);
	wanted->rests[i] = TimestampTzGetDatum(store->rest_until);
	wanted->rests_null[i] = store->rest_until == 0;
	wanted->immutable[i] = BoolGetDatum(!store->may_delete);
}

/* Of all stores, or of those that do not rest. */
static void
make_wanted(Wanted *wanted, const ClaimStores *stores, bool resting, int most, int share)
{
	int			size = Max(stores->count * 2, 1);

	wanted->servers = (Datum *) palloc(sizeof(Datum) * size);
	wanted->states = (Datum *) palloc(sizeof(Datum) * size);
	wanted->most = (Datum *) palloc(sizeof(Datum) * size);
	wanted->rests = (Datum *) palloc(sizeof(Datum) * size);
	wanted->rests_null = (bool *) palloc(sizeof(bool) * size);
	wanted->immutable = (Datum *) palloc(sizeof(Datum) * size);
	wanted->count = 0;
	for (int i = 0; i < stores->count; i++)
	{
		ClaimStore *store = &stores->stores[i];
		int			room = stores->count > 1 ? Max(share, 1) - store->in_use : most;

		if (store->rest_until != 0 && !resting)
			continue;
		/* after a failure one is enough to see whether it works again */
		if (store->failures > 0)
			room = 1 - store->in_use;
		room = Min(room, most);
		if (room <= 0)
			continue;
		if (store->may_put)
			add_wanted(wanted, store, "pending", room);
		if (store->may_delete)
			add_wanted(wanted, store, "deleting", room);
	}
}

static void
fill_object(PushObject *object, int row, int64 token)
{
	MemoryContext old = MemoryContextSwitchTo(object->memory);
	bool		is_null;
	char	   *string;
	bytea	   *sha256;
	Datum		datum;

	object->id = DatumGetInt64(column(row, 1, &is_null));
	object->token = token;
	namestrcpy(&object->server, NameStr(*DatumGetName(column(row, 2, &is_null))));
	string = TextDatumGetCString(column(row, 3, &is_null));
	object->request.key = pg_server_to_any(string, (int) strlen(string), PG_UTF8);
	sha256 = DatumGetByteaPP(column(row, 4, &is_null));
	if (VARSIZE_ANY_EXHDR(sha256) != sizeof(object->sha256))
		elog(ERROR, "mediastore.object " INT64_FORMAT " has no SHA-256", object->id);
	memcpy(object->sha256, VARDATA_ANY(sha256), sizeof(object->sha256));
	object->bytes = (uint64) DatumGetInt64(column(row, 5, &is_null));
	datum = column(row, 6, &is_null);
	object->content_type = is_null ? NULL : TextDatumGetCString(datum);
	object->immutable = DatumGetBool(column(row, 7, &is_null));
	object->owner = DatumGetObjectId(column(row, 8, &is_null));
	string = TextDatumGetCString(column(row, 9, &is_null));
	object->is_delete = strcmp(string, "deleting") == 0;
	object->attempts = DatumGetInt32(column(row, 10, &is_null));
	object->claimed_at = GetCurrentTransactionStartTimestamp();
	object->stage = PUSH_READY;
	MemoryContextSwitchTo(old);
}

/* Finds where the values of those that are to be put are. */
static void
fill_places(PushObject **objects, int count)
{
	Datum	   *ids = (Datum *) palloc(sizeof(Datum) * count);
	Datum	   *attempts = (Datum *) palloc(sizeof(Datum) * count);
	PushObject **puts = (PushObject **) palloc(sizeof(PushObject *) * count);
	Datum		values[2];
	int			found = 0;

	for (int i = 0; i < count; i++)
	{
		if (objects[i]->is_delete)
			continue;
		ids[found] = Int64GetDatum(objects[i]->id);
		attempts[found] = Int32GetDatum(objects[i]->attempts);
		puts[found++] = objects[i];
	}
	if (found == 0)
		return;
	values[0] = claim_array(ids, NULL, found, INT8OID);
	values[1] = claim_array(attempts, NULL, found, INT4OID);
	own_execute(&find_places, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		is_null;
		PushObject *object = puts[DatumGetInt32(column(i, 1, &is_null)) - 1];
		PushPlace  *place = &object->place;
		MemoryContext old = MemoryContextSwitchTo(object->memory);

		place->relation = DatumGetObjectId(column(i, 2, &is_null));
		place->row_key = DatumGetArrayTypePCopy(column(i, 3, &is_null));
		namestrcpy(&place->column, NameStr(*DatumGetName(column(i, 4, &is_null))));
		place->index = DatumGetInt32(column(i, 5, &is_null));
		object->has_place = true;
		MemoryContextSwitchTo(old);
	}
	SPI_freetuptable(SPI_tuptable);
}

int
claim_objects(const ClaimStores *stores, PushObject **free, int most, int share)
{
	int64		token = (int64) (pg_prng_uint64(&pg_global_prng_state) >> 1);
	SPITupleTable *table;
	Wanted		wanted;
	Datum		values[7];
	int			count;

	make_wanted(&wanted, stores, false, most, share);
	if (wanted.count == 0 || most <= 0)
		return 0;
	values[0] = claim_array(wanted.servers, NULL, wanted.count, NAMEOID);
	values[1] = claim_array(wanted.states, NULL, wanted.count, TEXTOID);
	values[2] = claim_array(wanted.most, NULL, wanted.count, INT4OID);
	values[3] = Int64GetDatum(most);
	values[4] = Int64GetDatum(token);
	values[5] = Float8GetDatum(mediastore_transfer_timeout / 1000.0 + LEASE_SPARE);
	values[6] = claim_array(wanted.immutable, NULL, wanted.count, BOOLOID);
	own_execute(&claim_due, values, NULL);
	table = SPI_tuptable;
	count = (int) SPI_processed;
	for (int i = 0; i < count; i++)
		fill_object(free[i], i, token);
	SPI_freetuptable(table);
	if (count > 0)
	{
		/*
		 * After a crash it must be known what may have been begun, and that
		 * the rows are as they were seen to be: gone, say.  So this is no
		 * commit that may be lost, as the others are.
		 */
		ForceSyncCommit();
		fill_places(free, count);
	}
	return count;
}

TimestampTz
claim_next_due(const ClaimStores *stores)
{
	Wanted		wanted;
	Datum		values[4];
	Datum		due;
	bool		is_null;

	make_wanted(&wanted, stores, true, 1, INT_MAX);
	if (wanted.count == 0)
		return 0;
	values[0] = claim_array(wanted.servers, NULL, wanted.count, NAMEOID);
	values[1] = claim_array(wanted.states, NULL, wanted.count, TEXTOID);
	values[2] = claim_array(wanted.rests, wanted.rests_null, wanted.count, TIMESTAMPTZOID);
	values[3] = claim_array(wanted.immutable, NULL, wanted.count, BOOLOID);
	own_execute(&find_next_due, values, NULL);
	due = column(0, 1, &is_null);
	SPI_freetuptable(SPI_tuptable);
	return is_null ? 0 : DatumGetTimestampTz(due);
}

TimestampTz
claim_take_over(void)
{
	Datum		values[1];

	values[0] = Float8GetDatum(CLAIM_TAKE_OVER_AFTER);
	own_execute(&shorten_leases, values, NULL);
	if (SPI_processed == 0)
		return 0;
	return TimestampTzPlusMilliseconds(GetCurrentTransactionStartTimestamp(), CLAIM_TAKE_OVER_AFTER * 1000);
}
