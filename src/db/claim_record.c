/*-------------------------------------------------------------------------
 *
 * claim_record.c
 *	  What is written down of objects that were tried.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "claim.h"
#include "compat.h"
#include "own_tables.h"

/* $1, which is r.id, too: objects.  For no other index, there is no other operator. */
#define RECORDED \
	" WHERE o.id OPERATOR(pg_catalog.=) ANY ($1) AND pg_catalog.int8eq(r.id, o.id)" \
	" AND o.lease_token OPERATOR(pg_catalog.=) r.token"

static OwnStatement record_stored = {
	.text = "UPDATE mediastore.object AS o SET lease_until = NULL, lease_token = NULL,"
	" stored_at = CASE WHEN o.sha256 OPERATOR(pg_catalog.=) r.sha256 THEN pg_catalog.now() END,"
	" etag = r.etag, attempts = 0, last_error = NULL,"
	" state = CASE WHEN o.state OPERATOR(pg_catalog.=) 'pending' AND o.sha256 OPERATOR(pg_catalog.=) r.sha256"
	" THEN 'stored' ELSE o.state END"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
	" pg_catalog.unnest($4)) AS r (id, token, sha256, etag)"
	RECORDED
	" RETURNING o.id, o.state OPERATOR(pg_catalog.=) 'stored'",
	.result = SPI_OK_UPDATE_RETURNING,
	.count = 4,
	.types = {INT8ARRAYOID, INT8ARRAYOID, BYTEAARRAYOID, TEXTARRAYOID},
	.table = "object"
};

static OwnStatement record_deleted = {
	.text = "DELETE FROM mediastore.object AS o USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS r (id, token)"
	RECORDED
	" AND pg_catalog.texteq(o.state, 'deleting') AND"
	" (SELECT a.object FROM mediastore.attachment AS a WHERE a.object OPERATOR(pg_catalog.=) o.id LIMIT 1) IS NULL",
	.result = SPI_OK_DELETE,
	.count = 2,
	.types = {INT8ARRAYOID, INT8ARRAYOID},
	.table = "object"
};

/* Those that are wanted again, meanwhile. */
static OwnStatement record_emptied = {
	.text = "UPDATE mediastore.object AS o SET lease_until = NULL, lease_token = NULL, stored_at = NULL, etag = NULL,"
	" tried = false, attempts = 0, last_error = NULL FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS r (id, token)"
	RECORDED,
	.result = SPI_OK_UPDATE,
	.count = 2,
	.types = {INT8ARRAYOID, INT8ARRAYOID},
	.table = "object"
};

/* What has changed since it was claimed begins anew: the failure was another's. */
#define THE_SAME \
	"(CASE WHEN r.sha256 IS NULL THEN o.state OPERATOR(pg_catalog.=) 'deleting'" \
	" ELSE o.state OPERATOR(pg_catalog.=) 'pending' AND o.sha256 OPERATOR(pg_catalog.=) r.sha256 END)"

/*
 * A deletion that has failed may be done yet: nothing is put there at once.
 */
static OwnStatement record_failed = {
	.text = "UPDATE mediastore.object AS o SET lease_until = NULL, lease_token = NULL,"
	" attempts = CASE WHEN NOT " THE_SAME " THEN o.attempts"
	" WHEN r.counts THEN o.attempts ELSE GREATEST(o.attempts OPERATOR(pg_catalog.-) 1, 0) END,"
	" next_attempt_at = CASE WHEN " THE_SAME " AND r.delay OPERATOR(pg_catalog.>) 0 THEN pg_catalog.now()"
	" OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => r.delay)"
	" WHEN r.sha256 IS NULL AND r.counts THEN GREATEST(o.next_attempt_at, pg_catalog.now()"
	" OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $8)) ELSE o.next_attempt_at END,"
	" state = CASE WHEN " THE_SAME " AND r.is_dead THEN 'dead' ELSE o.state END,"
	" last_error = CASE WHEN " THE_SAME " THEN COALESCE(r.message, o.last_error) ELSE o.last_error END"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
	" pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7)) AS r (id, token, sha256, counts, is_dead, delay, message)"
	RECORDED,
	.result = SPI_OK_UPDATE,
	.count = 8,
	.types = {INT8ARRAYOID, INT8ARRAYOID, BYTEAARRAYOID, BOOLARRAYOID, BOOLARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID,
	FLOAT8OID},
	.table = "object"
};

static Datum
sha256_datum(const uint8 *sha256)
{
	bytea	   *value = (bytea *) palloc(VARHDRSZ + 32);

	SET_VARSIZE(value, VARHDRSZ + 32);
	memcpy(VARDATA(value), sha256, 32);
	return PointerGetDatum(value);
}

/* The columns of those that are recorded by one statement. */
typedef struct Records
{
	int			count;
	PushObject **objects;
	Datum	   *ids;
	Datum	   *tokens;
	Datum	   *sums;
	bool	   *sums_null;
	Datum	   *texts;
	bool	   *texts_null;
	Datum	   *counts;
	Datum	   *dead;
	Datum	   *delays;
} Records;

static void
make_records(Records *records, int most)
{
	memset(records, 0, sizeof(*records));
	records->objects = (PushObject **) palloc(sizeof(PushObject *) * most);
	records->ids = (Datum *) palloc(sizeof(Datum) * most);
	records->tokens = (Datum *) palloc(sizeof(Datum) * most);
	records->sums = (Datum *) palloc(sizeof(Datum) * most);
	records->sums_null = (bool *) palloc(sizeof(bool) * most);
	records->texts = (Datum *) palloc(sizeof(Datum) * most);
	records->texts_null = (bool *) palloc(sizeof(bool) * most);
	records->counts = (Datum *) palloc(sizeof(Datum) * most);
	records->dead = (Datum *) palloc(sizeof(Datum) * most);
	records->delays = (Datum *) palloc(sizeof(Datum) * most);
}

static void
add_record(Records *records, PushObject *object, const char *text)
{
	int			i = records->count++;

	records->objects[i] = object;
	records->ids[i] = Int64GetDatum(object->id);
	records->tokens[i] = Int64GetDatum(object->token);
	records->sums_null[i] = object->is_delete;
	records->sums[i] = object->is_delete ? (Datum) 0 : sha256_datum(object->sha256);
	records->texts_null[i] = text == NULL;
	records->texts[i] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
	records->counts[i] = BoolGetDatum(object->outcome != PUSH_POSTPONE);
	records->dead[i] = BoolGetDatum(object->outcome == PUSH_DEAD);
	records->delays[i] = Float8GetDatum(object->delay);
}

static void
write_stored(Records *records)
{
	Datum		values[4];

	values[0] = claim_array(records->ids, NULL, records->count, INT8OID);
	values[1] = claim_array(records->tokens, NULL, records->count, INT8OID);
	values[2] = claim_array(records->sums, records->sums_null, records->count, BYTEAOID);
	values[3] = claim_array(records->texts, records->texts_null, records->count, TEXTOID);
	own_execute(&record_stored, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		is_null;
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	descriptor = SPI_tuptable->tupdesc;
		int64		id = DatumGetInt64(SPI_getbinval(tuple, descriptor, 1, &is_null));
		bool		is_stored = DatumGetBool(SPI_getbinval(tuple, descriptor, 2, &is_null));

		for (int j = 0; j < records->count; j++)
		{
			if (records->objects[j]->id == id)
				records->objects[j]->is_stored = is_stored;
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
write_deleted(Records *records)
{
	Datum		values[2];

	values[0] = claim_array(records->ids, NULL, records->count, INT8OID);
	values[1] = claim_array(records->tokens, NULL, records->count, INT8OID);
	own_execute(&record_deleted, values, NULL);
	if (SPI_processed < (uint64) records->count)
		own_execute(&record_emptied, values, NULL);
}

static void
write_failed(Records *records)
{
	Datum		values[8];

	values[0] = claim_array(records->ids, NULL, records->count, INT8OID);
	values[1] = claim_array(records->tokens, NULL, records->count, INT8OID);
	values[2] = claim_array(records->sums, records->sums_null, records->count, BYTEAOID);
	values[3] = claim_array(records->counts, NULL, records->count, BOOLOID);
	values[4] = claim_array(records->dead, NULL, records->count, BOOLOID);
	values[5] = claim_array(records->delays, NULL, records->count, FLOAT8OID);
	values[6] = claim_array(records->texts, records->texts_null, records->count, TEXTOID);
	values[7] = Float8GetDatum(CLAIM_TAKE_OVER_AFTER);
	own_execute(&record_failed, values, NULL);
}

void
claim_record(PushObject **ended, int count)
{
	Records		stored;
	Records		deleted;
	Records		failed;

	if (count == 0)
		return;
	make_records(&stored, count);
	make_records(&deleted, count);
	make_records(&failed, count);
	for (int i = 0; i < count; i++)
	{
		PushObject *object = ended[i];

		object->is_stored = false;
		if (object->outcome != PUSH_DONE)
			add_record(&failed, object, object->message);
		else if (object->is_delete)
			add_record(&deleted, object, NULL);
		else
			add_record(&stored, object, object->etag);
	}
	if (stored.count > 0)
		write_stored(&stored);
	if (deleted.count > 0)
		write_deleted(&deleted);
	if (failed.count > 0)
		write_failed(&failed);
}
