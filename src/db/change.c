/*-------------------------------------------------------------------------
 *
 * change.c
 *	  Rows of mediastore.change: what a transaction leaves for the worker.
 *
 * They are put into the table as PostgreSQL puts rows into its catalogs:
 * without a statement, so without asking whether the user may, and at little
 * more than the cost of the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "../mediastore.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "wake.h"

/* The columns of the table, in their order. */
enum
{
	CHANGE_ID,
	CHANGE_KIND,
	CHANGE_RELATION,
	CHANGE_ROW_KEY,
	CHANGE_COLUMN_NAME,
	CHANGE_INDEX,
	CHANGE_NEW_KEY,
	CHANGE_SERVER,
	CHANGE_KEY,
	CHANGE_SHA256,
	CHANGE_BYTES,
	CHANGE_CONTENT_TYPE,
	CHANGE_IMMUTABLE,
	CHANGE_WRITE_BACK,
	CHANGE_COLUMNS
};

#define SHA256_BYTES 32

/* What fits into the index of attachments, beside its other columns. */
#define ROW_KEY_BYTES 2400

/* The lowest id that there is; false if there is none. */
static bool
lowest_change(Relation table, int64 *id)
{
	List	   *indexes = RelationGetIndexList(table);
	Relation	index;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		is_null;

	/* its only index is that of the primary key */
	if (indexes == NIL)
		elog(ERROR, "table \"mediastore.change\" has no index");
	index = index_open(linitial_oid(indexes), AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan_ordered(table, index, snapshot, 0, NULL);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	if (HeapTupleIsValid(tuple))
		*id = DatumGetInt64(heap_getattr(tuple, CHANGE_ID + 1, RelationGetDescr(table), &is_null));
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	list_free(indexes);
	return HeapTupleIsValid(tuple);
}

/*
 * Raises if too many changes wait, by their numbers; once a transaction, for it
 * can't be but the first of them that finds out.
 */
static void
check_room(Relation table, int64 id)
{
	static FullTransactionId checked;
	FullTransactionId now;
	int64		lowest;

	if (mediastore_max_queue_rows == 0)
		return;
	now = GetTopFullTransactionId();
	if (FullTransactionIdEquals(now, checked))
		return;
	if (lowest_change(table, &lowest) && id - lowest >= mediastore_max_queue_rows)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many changes wait to be pushed to stores"),
				 errdetail("There are about %lld of them; mediastore.max_queue_rows is %d.",
						   (long long) (id - lowest), mediastore_max_queue_rows),
				 errhint("See mediastore.worker for what the worker does, or call media_drain.")));
	checked = now;
}

static void
set_text(Datum *value, bool *is_null, const char *text)
{
	*is_null = text == NULL;
	if (text != NULL)
		*value = CStringGetTextDatum(text);
}

static void
set_array(Datum *value, bool *is_null, ArrayType *array)
{
	*is_null = array == NULL;
	if (array != NULL)
		*value = PointerGetDatum(array);
}

/* What could not be folded would be in the way of all that comes after it. */
static void
check_row_key(ArrayType *row_key)
{
	if (VARSIZE(row_key) > ROW_KEY_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("primary key of a row that is pushed to a store is too long"),
				 errdetail("As text it has %zu bytes; there can be about %d.",
						   (size_t) VARSIZE(row_key), ROW_KEY_BYTES)));
}

void
change_append(const Change *change)
{
	Oid			oid = own_table("change");
	Oid			sequence = own_table("change_id_seq");
	Relation	table = OidIsValid(oid) ? try_table_open(oid, RowExclusiveLock) : NULL;
	Datum		values[CHANGE_COLUMNS] = {(Datum) 0};
	bool		nulls[CHANGE_COLUMNS] = {false};
	CatalogIndexState indexes;
	HeapTuple	tuple;
	bool		attaches = change->kind == 'a';
	int64		id;

	if (table == NULL || !OidIsValid(sequence))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"mediastore.change\" does not exist"),
				 errhint("It is part of the extension mediastore.")));
	if (RelationGetNumberOfAttributes(table) != CHANGE_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"mediastore.change\" is of another version of the extension"),
				 errhint("Run ALTER EXTENSION mediastore UPDATE.")));

	if (attaches)
		check_row_key(change->row_key);
	else if (change->kind == 'm')
		check_row_key(change->new_key);
	id = nextval_internal(sequence, false);
	if (change->kind != 't' && change->kind != 'c')
		check_room(table, id);

	values[CHANGE_ID] = Int64GetDatum(id);
	values[CHANGE_KIND] = CharGetDatum(change->kind);
	values[CHANGE_RELATION] = ObjectIdGetDatum(change->relation);
	set_array(&values[CHANGE_ROW_KEY], &nulls[CHANGE_ROW_KEY], change->row_key);
	set_text(&values[CHANGE_COLUMN_NAME], &nulls[CHANGE_COLUMN_NAME], change->column);
	values[CHANGE_INDEX] = Int32GetDatum(change->index);
	nulls[CHANGE_INDEX] = !attaches && (change->kind != 'd' || change->index < 0);
	set_array(&values[CHANGE_NEW_KEY], &nulls[CHANGE_NEW_KEY], change->new_key);
	set_text(&values[CHANGE_SERVER], &nulls[CHANGE_SERVER], attaches ? change->server : NULL);
	set_text(&values[CHANGE_KEY], &nulls[CHANGE_KEY],
			 attaches ? change->key : change->kind == 'c' ? change->new_column : NULL);
	set_text(&values[CHANGE_CONTENT_TYPE], &nulls[CHANGE_CONTENT_TYPE],
			 attaches ? change->content_type : NULL);
	nulls[CHANGE_SHA256] = !attaches;
	if (attaches)
	{
		bytea	   *digest = (bytea *) palloc(VARHDRSZ + SHA256_BYTES);

		SET_VARSIZE(digest, VARHDRSZ + SHA256_BYTES);
		memcpy(VARDATA(digest), change->sha256, SHA256_BYTES);
		values[CHANGE_SHA256] = PointerGetDatum(digest);
	}
	values[CHANGE_BYTES] = Int64GetDatum((int64) change->bytes);
	values[CHANGE_IMMUTABLE] = BoolGetDatum(change->immutable);
	values[CHANGE_WRITE_BACK] = BoolGetDatum(change->write_back);
	nulls[CHANGE_BYTES] = nulls[CHANGE_IMMUTABLE] = nulls[CHANGE_WRITE_BACK] = !attaches;

	tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
	indexes = CatalogOpenIndexes(table);
	CatalogTupleInsertWithInfo(table, tuple, indexes);
	CatalogCloseIndexes(indexes);
	heap_freetuple(tuple);
	table_close(table, NoLock);
	wake_at_commit();
}
