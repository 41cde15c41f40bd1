/*-------------------------------------------------------------------------
 *
 * audit.c
 *	  mediastore.audit: whether a store has what it should have.
 *
 * Findings are put aside until all has been looked at, and repaired then: what
 * a repair writes stays locked until the transaction ends, and listing a store
 * takes long.  Nothing is deleted at the store from here.
 *
 * What a database puts to an S3 store is marked as its own.  A file has no such
 * mark, and may have been put beside the rows' by anybody: it counts as an
 * orphan if its name has a SHA-256, and is repaired if that is the one of its
 * content; others are not touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "../mediastore.h"
#include "audit.h"
#include "compat.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(media_audit);

/* The columns of the result, and behind them what repairs need. */
enum
{
	FOUND_FINDING,
	FOUND_KEY,
	FOUND_BYTES,
	FOUND_OBJECT,
	FOUND_RELATION,
	FOUND_ROW_KEY,
	FOUND_COLUMN,
	FOUND_INDEX,
	FOUND_DETAIL,
	FOUND_REPAIRED,
	RESULT_COLUMNS,
	FOUND_REPAIRABLE = RESULT_COLUMNS,
	FOUND_MODIFIED,
	FOUND_SHA256,
	FOUND_COLUMNS
};

typedef struct Audit
{
	const char *server;
	const StoreServer *store;
	bool		repair;
	TimestampTz started;
	TupleDesc	descriptor;		/* of what is put aside */
	Tuplestorestate *found;
	MemoryContext memory;		/* of a finding; reset */
} Audit;

/* --- findings --------------------------------------------------------------- */

static TupleDesc
found_descriptor(void)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			columns[FOUND_COLUMNS] = {
		{"finding", TEXTOID}, {"key", TEXTOID}, {"bytes", INT8OID}, {"object", INT8OID},
		{"relation", REGCLASSOID}, {"row_key", TEXTARRAYOID}, {"column_name", NAMEOID},
		{"index", INT4OID}, {"detail", TEXTOID}, {"repaired", BOOLOID}, {"repairable", BOOLOID},
		{"modified", TIMESTAMPTZOID}, {"sha256", BYTEAOID}
	};
	TupleDesc	descriptor = CreateTemplateTupleDesc(FOUND_COLUMNS);

	for (int i = 0; i < FOUND_COLUMNS; i++)
		TupleDescInitEntry(descriptor, (AttrNumber) (i + 1), columns[i].name, columns[i].type, -1, 0);
	return descriptor;
}

/* Puts a finding aside. */
static void
put_aside(void *context, const AuditFinding *finding)
{
	Audit	   *audit = (Audit *) context;
	MemoryContext old = MemoryContextSwitchTo(audit->memory);
	Datum		values[FOUND_COLUMNS];
	bool		nulls[FOUND_COLUMNS] = {false};
	bytea	   *sha256 = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	NameData	column;

	SET_VARSIZE(sha256, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(sha256), finding->sha256, PG_SHA256_DIGEST_LENGTH);
	memset(values, 0, sizeof(values));

	values[FOUND_FINDING] = CStringGetTextDatum(finding->finding);
	nulls[FOUND_KEY] = finding->key == NULL;
	if (finding->key != NULL)
		values[FOUND_KEY] = CStringGetTextDatum(finding->key);
	nulls[FOUND_BYTES] = finding->bytes < 0;
	values[FOUND_BYTES] = Int64GetDatum(finding->bytes);
	nulls[FOUND_OBJECT] = finding->object == 0;
	values[FOUND_OBJECT] = Int64GetDatum(finding->object);
	nulls[FOUND_RELATION] = !OidIsValid(finding->relation);
	values[FOUND_RELATION] = ObjectIdGetDatum(finding->relation);
	nulls[FOUND_ROW_KEY] = finding->row_key == NULL;
	values[FOUND_ROW_KEY] = PointerGetDatum(finding->row_key);
	nulls[FOUND_COLUMN] = nulls[FOUND_INDEX] = finding->column == NULL;
	if (finding->column != NULL)
	{
		namestrcpy(&column, finding->column);
		values[FOUND_COLUMN] = NameGetDatum(&column);
	}
	values[FOUND_INDEX] = Int32GetDatum(finding->index);
	values[FOUND_DETAIL] = CStringGetTextDatum(finding->detail);
	values[FOUND_REPAIRED] = BoolGetDatum(false);
	values[FOUND_REPAIRABLE] = BoolGetDatum(finding->repairable);
	values[FOUND_MODIFIED] = TimestampTzGetDatum(finding->modified);
	values[FOUND_SHA256] = PointerGetDatum(sha256);

	tuplestore_putvalues(audit->found, audit->descriptor, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(audit->memory);
}

/* --- comparing -------------------------------------------------------------- */

/* The store has what is not in the books. */
static void
see_extra(Audit *audit, const AuditItem *item)
{
	AuditFinding finding = {.finding = "foreign", .key = item->key, .bytes = item->bytes};
	bool		is_file = audit->store->type == STORE_TYPE_FILE;
	AuditHead	head;

	if (!audit_head(audit->store, item->key, &head))
		return;					/* deleted meanwhile */
	else if (!is_file && head.marked_by == NULL)
		finding.detail = "it does not say that a database has put it there";
	else if (!is_file && !head.marked)
		finding.detail = psprintf("database %s has put it there", head.marked_by);
	else if (audit_wanted(audit->server, item->key))
		return;					/* a row refers to it, as will be known soon */
	else if (is_file && !audit_names_content(item->key, NULL))
		finding.detail = "nothing tells who has put it there: its name has no SHA-256";
	else
	{
		finding.finding = "orphan";
		finding.modified = head.modified;
		if (head.has_sha256)
			memcpy(finding.sha256, head.sha256, PG_SHA256_DIGEST_LENGTH);
		finding.repairable = head.modified != 0 &&
			head.modified < TimestampTzPlusMilliseconds(audit->started,
														-1000 * (int64) mediastore_delete_grace);
		finding.detail = finding.repairable ? "no row refers to it" :
			"no row refers to it; it is younger than mediastore.delete_grace";
		if (is_file && finding.repairable && audit->repair)
		{
			if (!audit_sha256(audit->store, item->key, finding.sha256))
				return;
			finding.repairable = audit_names_content(item->key, finding.sha256);
			if (!finding.repairable)
				finding.detail = "no row refers to it; its content is not what its name says";
		}
	}
	put_aside(audit, &finding);
}

/*
 * Whether an object's content is still what was put there.  That it has another
 * entity-tag tells nothing: it may have been copied, or be back from a backup.
 */
static bool
has_content(const Audit *audit, const AuditBook *book)
{
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];

	/* one that is deleted meanwhile is missing, which the next audit tells */
	return !audit_sha256(audit->store, book->key, sha256) ||
		memcmp(sha256, book->sha256, sizeof(sha256)) == 0;
}

/* An object in the books; item is what the store has, or NULL. */
static void
see_object(Audit *audit, const AuditBook *book, const AuditItem *item)
{
	AuditFinding finding = {.key = book->key, .bytes = book->bytes, .object = book->id};

	if (!book->referenced && strcmp(book->state, "deleting") != 0)
	{
		finding.finding = "unreferenced";
		finding.repairable = true;
		finding.detail = psprintf("no row refers to it; its state is %s", book->state);
		put_aside(audit, &finding);
	}

	/* only of what has been there before the list began it says anything */
	if (strcmp(book->state, "stored") != 0 || book->stored_at >= audit->started)
		return;
	if (item == NULL)
	{
		finding.finding = "missing";
		finding.detail = "the store does not have it";
	}
	else if (item->bytes >= 0 && item->bytes != book->bytes)
	{
		finding.finding = "differs";
		finding.detail = psprintf("at the store it has " INT64_FORMAT " bytes", item->bytes);
	}
	else if (item->etag != NULL && book->etag != NULL && strcmp(item->etag, book->etag) != 0 &&
			 !has_content(audit, book))
	{
		finding.finding = "differs";
		finding.detail = "at the store it has another content";
	}
	else
		return;
	audit_places(&finding, put_aside, audit);
}

/* Merges what the store has with what it should have. */
static void
compare(Audit *audit)
{
	AuditList  *list = audit_list(audit->store);
	AuditBooks *books = audit_books(audit->server);
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore audit",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(memory);
	AuditItem	item;
	AuditBook	book;
	bool		has_item;
	bool		has_book;

	/* these keep what they give in contexts of their own */
	has_item = audit_list_next(list, &item);
	has_book = audit_books_next(books, &book);
	while (has_item || has_book)
	{
		int			order = !has_item ? 1 : !has_book ? -1 : strcmp(item.key, book.key);

		if (order < 0)
			see_extra(audit, &item);
		else
			see_object(audit, &book, order == 0 ? &item : NULL);
		if (order <= 0)
			has_item = audit_list_next(list, &item);
		if (order >= 0)
			has_book = audit_books_next(books, &book);
		MemoryContextReset(memory);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(memory);
	audit_list_end(list);
}

/* --- repairing -------------------------------------------------------------- */

/* Reads what was put aside. */
static void
take_up(const Datum *values, const bool *nulls, AuditFinding *finding)
{
	memset(finding, 0, sizeof(*finding));
	finding->finding = TextDatumGetCString(values[FOUND_FINDING]);
	finding->key = nulls[FOUND_KEY] ? NULL : TextDatumGetCString(values[FOUND_KEY]);
	finding->bytes = nulls[FOUND_BYTES] ? -1 : DatumGetInt64(values[FOUND_BYTES]);
	finding->object = nulls[FOUND_OBJECT] ? 0 : DatumGetInt64(values[FOUND_OBJECT]);
	if (!nulls[FOUND_RELATION])
		finding->relation = DatumGetObjectId(values[FOUND_RELATION]);
	if (!nulls[FOUND_ROW_KEY])
		finding->row_key = DatumGetArrayTypeP(values[FOUND_ROW_KEY]);
	if (!nulls[FOUND_COLUMN])
	{
		finding->column = NameStr(*DatumGetName(values[FOUND_COLUMN]));
		finding->index = DatumGetInt32(values[FOUND_INDEX]);
	}
	finding->repairable = DatumGetBool(values[FOUND_REPAIRABLE]);
	finding->modified = DatumGetTimestampTz(values[FOUND_MODIFIED]);
	memcpy(finding->sha256, VARDATA_ANY(DatumGetByteaPP(values[FOUND_SHA256])),
		   PG_SHA256_DIGEST_LENGTH);
}

/* Gives out all findings, repaired if that is wanted. */
static void
give_out(Audit *audit, bool repair, ReturnSetInfo *result)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(audit->descriptor, &TTSOpsMinimalTuple);
	int64		last_object = 0;
	bool		last_repaired = false;
	bool		any_repaired = false;

	while (tuplestore_gettupleslot(audit->found, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(audit->memory);

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (repair)
		{
			AuditFinding finding;
			bool		is_object;

			take_up(slot->tts_values, slot->tts_isnull, &finding);

			/* the places of an object come one after another */
			is_object = strcmp(finding.finding, "missing") == 0 ||
				strcmp(finding.finding, "differs") == 0;
			if (!is_object || finding.object != last_object)
				last_repaired = audit_repair(audit->server, &finding);
			last_object = is_object ? finding.object : 0;
			any_repaired |= last_repaired;
			slot->tts_values[FOUND_REPAIRED] = BoolGetDatum(last_repaired);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, slot->tts_values,
							 slot->tts_isnull);
		MemoryContextSwitchTo(old);
		MemoryContextReset(audit->memory);
	}
	ExecDropSingleTupleTableSlot(slot);
	if (any_repaired)
		wake_at_commit();
}

static void
check_rights(const StoreServer *store, bool repair)
{
	if (repair && !has_privs_of_role(GetUserId(), store->server->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of foreign server %s", store->server->servername),
				 errhint("Without \"repair\", USAGE on the server is enough.")));
}

/*
 * media_audit(server name, repair bool) returns setof record
 */
Datum
media_audit(PG_FUNCTION_ARGS)
{
	bool		repair = PG_GETARG_BOOL(1);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Audit		audit = {0};

	audit.server = NameStr(*PG_GETARG_NAME(0));
	audit.store = store_server(audit.server);
	check_rights(audit.store, repair);
	audit.repair = repair;
	InitMaterializedSRF(fcinfo, 0);
	if (result->setDesc->natts != RESULT_COLUMNS)
		elog(ERROR, "mediastore.audit must return %d columns", RESULT_COLUMNS);

	audit.descriptor = found_descriptor();
	audit.found = tuplestore_begin_heap(false, false, work_mem);
	audit.memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore audit finding",
										 ALLOCSET_DEFAULT_SIZES);
	audit.started = GetCurrentTimestamp();

	SPI_connect();
	compare(&audit);
	audit_rows(audit.server, put_aside, &audit);
	give_out(&audit, repair, result);
	SPI_finish();

	tuplestore_end(audit.found);
	MemoryContextDelete(audit.memory);
	return (Datum) 0;
}
