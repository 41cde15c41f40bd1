/*-------------------------------------------------------------------------
 *
 * audit_books.c
 *	  What a store should have, by mediastore.object and mediastore.attachment,
 *	  and what becomes of findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "audit.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "source.h"
#include "store_identity.h"
#include "subtransaction.h"

/* Of one object, at most so many places are told. */
#define PLACES_MOST		1000

/* Of one table, so many rows may wait to be folded before it is left out. */
#define UNFOLDED_MOST	100

/* So many rows to a page, in the texts below, too. */
#define PAGE_ROWS		"500"

static OwnStatement read_objects = {
	"SELECT o.id, o.key, o.bytes, o.etag, o.state, o.stored_at, o.sha256,"
	" EXISTS (SELECT FROM mediastore.attachment AS a WHERE a.object OPERATOR(pg_catalog.=) o.id)"
	" FROM mediastore.object AS o"
	" WHERE o.server OPERATOR(pg_catalog.=) $1 AND o.key OPERATOR(pg_catalog.>) $2"
	" ORDER BY o.key LIMIT " PAGE_ROWS,
	SPI_OK_SELECT, 2, {NAMEOID, TEXTOID}, NULL, NULL
};

/* One more than PLACES_MOST. */
static OwnStatement read_places = {
	"SELECT a.relation, a.row_key, a.column_name, a.index,"
	" EXISTS (SELECT FROM mediastore.attachment AS b"
	" WHERE b.object OPERATOR(pg_catalog.=) $1 AND NOT b.offloaded)"
	" FROM mediastore.attachment AS a WHERE a.object OPERATOR(pg_catalog.=) $1 LIMIT 1001",
	SPI_OK_SELECT, 1, {INT8OID}, NULL, NULL
};

static OwnStatement find_wanted = {
	"SELECT FROM mediastore.change AS c"
	" WHERE c.server OPERATOR(pg_catalog.=) $1 AND c.key OPERATOR(pg_catalog.=) $2 LIMIT 1",
	SPI_OK_SELECT, 2, {NAMEOID, TEXTOID}, NULL, NULL
};

static OwnStatement read_attachments = {
	"SELECT a.relation, a.row_key, a.column_name, a.index, o.id, o.key, o.bytes, a.offloaded"
	" FROM mediastore.attachment AS a"
	" JOIN mediastore.object AS o ON o.id OPERATOR(pg_catalog.=) a.object"
	" WHERE o.server OPERATOR(pg_catalog.=) $1 AND"
	" ROW(a.relation, a.row_key, a.column_name, a.index) OPERATOR(pg_catalog.>) ROW($2, $3, $4, $5)"
	" ORDER BY a.relation, a.row_key, a.column_name, a.index LIMIT " PAGE_ROWS,
	SPI_OK_SELECT, 5, {NAMEOID, OIDOID, TEXTARRAYOID, NAMEOID, INT4OID}, NULL, NULL
};

/*
 * Whether a place refers to its object still, and whether a change that is not
 * folded yet is about its row.
 */
static OwnStatement find_place = {
	"SELECT EXISTS (SELECT FROM mediastore.attachment AS a"
	" WHERE a.relation OPERATOR(pg_catalog.=) $1 AND a.row_key OPERATOR(pg_catalog.=) $2"
	" AND a.column_name OPERATOR(pg_catalog.=) $3 AND a.index OPERATOR(pg_catalog.=) $4"
	" AND a.object OPERATOR(pg_catalog.=) $5),"
	" EXISTS (SELECT FROM mediastore.change AS c WHERE c.relation OPERATOR(pg_catalog.=) $1 AND"
	" (c.row_key IS NULL OR c.row_key OPERATOR(pg_catalog.=) $2 OR c.new_key OPERATOR(pg_catalog.=) $2))",
	SPI_OK_SELECT, 5, {OIDOID, TEXTARRAYOID, NAMEOID, INT4OID, INT8OID}, NULL, NULL
};

/* What is locked first is seen as it is then by the next statement. */
static OwnStatement lock_object = {
	"SELECT FROM mediastore.object AS o WHERE o.id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	SPI_OK_SELECT, 1, {INT8OID}, "object", NULL
};

static OwnStatement put_again = {
	"UPDATE mediastore.object AS o SET state = 'pending', attempts = 0,"
	" next_attempt_at = pg_catalog.now(), last_error = NULL,"
	" stored_at = CASE WHEN $2 THEN NULL ELSE o.stored_at END"
	" WHERE o.id OPERATOR(pg_catalog.=) $1 AND o.state OPERATOR(pg_catalog.=) 'stored' AND"
	" EXISTS (SELECT FROM mediastore.attachment AS a"
	" WHERE a.object OPERATOR(pg_catalog.=) $1 AND NOT a.offloaded)",
	SPI_OK_UPDATE, 2, {INT8OID, BOOLOID}, "object", NULL
};

#define IN_GRACE " pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2)"

static OwnStatement delete_unreferenced = {
	"UPDATE mediastore.object AS o SET state = 'deleting', attempts = 0, next_attempt_at =" IN_GRACE
	" WHERE o.id OPERATOR(pg_catalog.=) $1 AND o.state OPERATOR(pg_catalog.<>) 'deleting' AND"
	" NOT EXISTS (SELECT FROM mediastore.attachment AS a WHERE a.object OPERATOR(pg_catalog.=) $1)",
	SPI_OK_UPDATE, 2, {INT8OID, FLOAT8OID}, "object", NULL
};

/*
 * What nobody refers to becomes an object that is to be deleted: so it is the
 * worker that deletes it, unless a row wants the key by then.
 */
static OwnStatement delete_orphan = {
	"INSERT INTO mediastore.object (server, key, sha256, bytes, immutable, owner, state, stored_at, tried)"
	" VALUES ($1, $2, $3, $4, false, $5, 'deleting', $6, true) ON CONFLICT (server, key) DO NOTHING",
	SPI_OK_INSERT, 6, {NAMEOID, TEXTOID, BYTEAOID, INT8OID, REGROLEOID, TIMESTAMPTZOID}, "object", NULL
};

/* Without its store the worker would not see it. */
static OwnStatement insert_store = {
	"INSERT INTO mediastore.store (server, system_identifier, database, timeline)"
	" VALUES ($1, $2, $3, $4) ON CONFLICT (server) DO NOTHING",
	SPI_OK_INSERT, 4, {NAMEOID, INT8OID, OIDOID, INT4OID}, "store", NULL
};

/* A page of what a statement gives. */
typedef struct BookPage
{
	SPITupleTable *rows;
	uint64		count;
	uint64		next;
} BookPage;

struct AuditBooks
{
	NameData	server;
	MemoryContext memory;		/* of the object at hand */
	char	   *last_key;
	BookPage		page;
	bool		ended;
};

static Datum
column_of(const BookPage *page, uint64 row, int number, bool *is_null)
{
	return SPI_getbinval(page->rows->vals[row], page->rows->tupdesc, number, is_null);
}

/* The same, of a column that is never null. */
static Datum
set_column_of(const BookPage *page, uint64 row, int number)
{
	bool		is_null;
	Datum		datum = column_of(page, row, number, &is_null);

	if (is_null)
		elog(ERROR, "unexpected null in column %d", number);
	return datum;
}

static void
turn_page(BookPage *page, OwnStatement *statement, Datum *values)
{
	if (page->rows != NULL)
		SPI_freetuptable(page->rows);
	own_execute(statement, values, NULL);
	page->rows = SPI_tuptable;
	page->count = SPI_processed;
	page->next = 0;
}

/* --- objects ---------------------------------------------------------------- */

AuditBooks *
audit_books(const char *server)
{
	AuditBooks *books = palloc0(sizeof(AuditBooks));

	namestrcpy(&books->server, server);
	books->last_key = pstrdup("");
	books->memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore audit object",
										  ALLOCSET_SMALL_SIZES);
	return books;
}

bool
audit_books_next(AuditBooks *books, AuditBook *book)
{
	BookPage	   *page = &books->page;
	MemoryContext old;
	uint64		row;
	bool		is_null;
	Datum		datum;
	bytea	   *sha256;

	CHECK_FOR_INTERRUPTS();
	if (books->ended)
		return false;
	if (page->next == page->count)
	{
		Datum		values[2];

		if (page->count > 0)
		{
			char	   *key = TextDatumGetCString(set_column_of(page, page->count - 1, 2));

			pfree(books->last_key);
			books->last_key = MemoryContextStrdup(GetMemoryChunkContext(books), key);
		}
		values[0] = NameGetDatum(&books->server);
		values[1] = CStringGetTextDatum(books->last_key);
		turn_page(page, &read_objects, values);
		if (page->count == 0)
		{
			books->ended = true;
			SPI_freetuptable(page->rows);
			page->rows = NULL;
			return false;
		}
	}

	row = page->next++;
	MemoryContextReset(books->memory);
	old = MemoryContextSwitchTo(books->memory);
	book->id = DatumGetInt64(set_column_of(page, row, 1));
	book->key = TextDatumGetCString(set_column_of(page, row, 2));
	book->bytes = DatumGetInt64(set_column_of(page, row, 3));
	datum = column_of(page, row, 4, &is_null);
	book->etag = is_null ? NULL : TextDatumGetCString(datum);
	book->state = TextDatumGetCString(set_column_of(page, row, 5));
	datum = column_of(page, row, 6, &is_null);
	book->stored_at = is_null ? 0 : DatumGetTimestampTz(datum);
	sha256 = DatumGetByteaPP(set_column_of(page, row, 7));
	if (VARSIZE_ANY_EXHDR(sha256) != sizeof(book->sha256))
		elog(ERROR, "mediastore.object " INT64_FORMAT " has no SHA-256", book->id);
	memcpy(book->sha256, VARDATA_ANY(sha256), sizeof(book->sha256));
	book->referenced = DatumGetBool(set_column_of(page, row, 8));
	MemoryContextSwitchTo(old);
	return true;
}

/* The place that the first four columns of a row tell. */
static void
read_place(const BookPage *page, uint64 row, AuditFinding *finding)
{
	finding->relation = DatumGetObjectId(set_column_of(page, row, 1));
	finding->row_key = DatumGetArrayTypeP(set_column_of(page, row, 2));
	finding->column = NameStr(*DatumGetName(set_column_of(page, row, 3)));
	finding->index = DatumGetInt32(set_column_of(page, row, 4));
}

void
audit_places(const AuditFinding *about, AuditFound found, void *context)
{
	AuditFinding finding = *about;
	BookPage		page = {0};
	Datum		value = Int64GetDatum(about->object);
	bool		held;

	turn_page(&page, &read_places, &value);
	held = page.count > 0 && DatumGetBool(set_column_of(&page, 0, 5));
	finding.repairable = held;
	finding.detail = psprintf("%s%s", about->detail,
							  held ? "; a row still holds the bytes" :
							  page.count > 0 ? "; the bytes are lost, for no row holds them any more" :
							  "; no row refers to it");
	if (page.count == 0)
		found(context, &finding);
	for (uint64 i = 0; i < Min(page.count, PLACES_MOST); i++)
	{
		read_place(&page, i, &finding);
		if (i == PLACES_MOST - 1 && page.count > PLACES_MOST)
			finding.detail = psprintf("%s; there are more places", finding.detail);
		found(context, &finding);
	}
	SPI_freetuptable(page.rows);
}

bool
audit_wanted(const char *server, const char *key)
{
	NameData	name;
	Datum		values[2];
	bool		found;

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = CStringGetTextDatum(key);
	own_execute(&find_wanted, values, NULL);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* --- rows ------------------------------------------------------------------- */

typedef enum RowState
{
	ROW_THERE,
	ROW_GONE,
	ROW_UNCHECKED
} RowState;

/* A page of attachments whose rows are looked for. */
typedef struct RowCheck
{
	const BookPage *page;
	uint64		next;
	RowState	states[500];	/* of a page's rows */
	const char *details[500];
} RowCheck;

StaticAssertDecl(sizeof(PAGE_ROWS) == sizeof("500"), "size of a page");

/* Whether the trigger that pushes a column fires on these columns: its table's key then. */
static bool
trigger_tells_key(Relation table, AttrNumber column, const AttrNumber *key, int key_count)
{
	TriggerDesc *triggers = CopyTriggerDesc(table->trigdesc);
	bool		tells = false;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers && !tells; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		int			told = 0;

		if (!TRIGGER_FOR_ROW(trigger->tgtype) || push_number(table, trigger) != column)
			continue;
		for (int j = 0; j < key_count; j++)
		{
			for (int k = 0; k < trigger->tgnattr; k++)
			{
				if (trigger->tgattr[k] == key[j])
				{
					told++;
					break;
				}
			}
		}
		tells = told == key_count;
	}
	FreeTriggerDesc(triggers);
	return tells;
}

/*
 * Why a row that is not found may be there all the same; NULL if it is gone.
 * The primary key may have other columns than when its text was written down.
 */
static const char *
why_unchecked(const AuditFinding *finding)
{
	Relation	table = try_relation_open(finding->relation, AccessShareLock);
	AttrNumber	column = get_attnum(finding->relation, finding->column);
	AttrNumber	key[INDEX_MAX_KEYS];
	int			key_count;
	const char *result = NULL;

	if (table == NULL)
		return "the table was dropped just now";
	key_count = push_key_columns(table, key);
	if (table->rd_rel->relkind != RELKIND_RELATION || RELATION_IS_OTHER_TEMP(table))
		result = "it is no table that can be looked into";
	else if (column <= 0)
		result = "the table has no column of that name";
	else if (key_count == 0)
		result = "the table has no primary key";
	else if (ArrayGetNItems(ARR_NDIM(finding->row_key), ARR_DIMS(finding->row_key)) != key_count)
		result = "the primary key has other columns now";
	else if (!trigger_tells_key(table, column, key, key_count))
		result = "there is no row of that key, but no trigger tells that the primary key had the same columns";
	relation_close(table, AccessShareLock);
	return result;
}

/* Looks for the rows of a page, from the next one on; may raise. */
static void
look_for_rows(void *argument)
{
	RowCheck   *check = (RowCheck *) argument;
	Source	   *source;

	PushActiveSnapshot(GetTransactionSnapshot());
	source = source_begin();
	for (; check->next < check->page->count; check->next++)
	{
		uint64		i = check->next;
		AuditFinding finding;
		PushPlace	place;
		SourceRow	row;

		CHECK_FOR_INTERRUPTS();
		read_place(check->page, i, &finding);
		check->states[i] = ROW_UNCHECKED;
		if (get_rel_relkind(finding.relation) == '\0')
		{
			check->states[i] = ROW_GONE;
			check->details[i] = "there is no such table";
			continue;
		}
		if (get_attnum(finding.relation, finding.column) <= 0)
		{
			check->details[i] = "the table has no column of that name";
			continue;
		}

		place.relation = finding.relation;
		place.row_key = finding.row_key;
		namestrcpy(&place.column, finding.column);
		place.index = finding.index;
		switch (source_find(source, &place, AccessShareLock, &row))
		{
			case SOURCE_FOUND:
				check->states[i] = ROW_THERE;
				break;
			case SOURCE_MISSING:
				check->details[i] = why_unchecked(&finding);
				if (check->details[i] != NULL)
					break;
				check->states[i] = ROW_GONE;
				check->details[i] = "there is no row of that key";
				break;
			case SOURCE_LOCKED:
				check->details[i] = "the table is locked";
				break;
		}
	}
	source_end(source);
	PopActiveSnapshot();
}

/*
 * Looks at a place whose row is gone as it is now: whether it still refers to
 * the object, and whether changes are to be folded that tell of it.
 */
static bool
still_refers(const AuditFinding *finding, bool *unfolded)
{
	NameData	column;
	Datum		values[5];
	bool		is_null;
	bool		refers;

	namestrcpy(&column, finding->column);
	values[0] = ObjectIdGetDatum(finding->relation);
	values[1] = PointerGetDatum(finding->row_key);
	values[2] = NameGetDatum(&column);
	values[3] = Int32GetDatum(finding->index);
	values[4] = Int64GetDatum(finding->object);
	own_execute(&find_place, values, NULL);
	refers = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	*unfolded = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	SPI_freetuptable(SPI_tuptable);
	return refers;
}

/* Which table's rows are waited for in vain, and how many of them. */
typedef struct Unfolded
{
	Oid			relation;
	int			count;
} Unfolded;

static void
tell_row(const AuditFinding *finding, Unfolded *unfolded, AuditFound found, void *context)
{
	bool		waits;

	if (unfolded->relation != finding->relation)
	{
		unfolded->relation = finding->relation;
		unfolded->count = 0;
	}
	/* there is no index to find changes by: this is not done for many */
	if (unfolded->count > UNFOLDED_MOST || !still_refers(finding, &waits))
		return;
	if (!waits)
	{
		found(context, finding);
		return;
	}
	if (++unfolded->count > UNFOLDED_MOST)
	{
		AuditFinding many = {
			.finding = "unchecked", .bytes = -1, .relation = finding->relation,
			.detail = "too many changes of the table are not folded yet"
		};

		found(context, &many);
	}
}

/* Tells what has come out about a page. */
static void
tell_rows(const RowCheck *check, Unfolded *unfolded, AuditFound found, void *context)
{
	const BookPage *page = check->page;

	for (uint64 i = 0; i < page->count; i++)
	{
		AuditFinding finding = {0};

		CHECK_FOR_INTERRUPTS();
		if (check->states[i] == ROW_THERE)
			continue;
		read_place(page, i, &finding);
		finding.object = DatumGetInt64(set_column_of(page, i, 5));
		finding.key = TextDatumGetCString(set_column_of(page, i, 6));
		finding.bytes = DatumGetInt64(set_column_of(page, i, 7));
		finding.detail = check->details[i];
		if (check->states[i] == ROW_UNCHECKED)
		{
			finding.finding = "unchecked";
			found(context, &finding);
			continue;
		}
		finding.finding = "row gone";
		finding.repairable = true;
		if (get_rel_relkind(finding.relation) != '\0' && DatumGetBool(set_column_of(page, i, 8)))
		{
			finding.repairable = false;
			finding.detail = psprintf("%s; the store has the only copy of its value", finding.detail);
		}
		tell_row(&finding, unfolded, found, context);
	}
}

void
audit_rows(const char *server, AuditFound found, void *context)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext memory = AllocSetContextCreate(outer, "mediastore audit rows",
												 ALLOCSET_DEFAULT_SIZES);
	RowCheck   *check = palloc(sizeof(RowCheck));
	Unfolded	unfolded = {0};
	AuditFinding last = {0};
	BookPage		page = {0};
	NameData	name;
	NameData	last_column = {{0}};

	namestrcpy(&name, server);
	last.row_key = construct_empty_array(TEXTOID);
	for (;;)
	{
		Datum		values[5];

		values[0] = NameGetDatum(&name);
		values[1] = ObjectIdGetDatum(last.relation);
		values[2] = PointerGetDatum(last.row_key);
		values[3] = NameGetDatum(&last_column);
		values[4] = Int32GetDatum(last.index);
		turn_page(&page, &read_attachments, values);
		if (page.count == 0)
			break;
		read_place(&page, page.count - 1, &last);
		last.row_key = (ArrayType *) PG_DETOAST_DATUM_COPY(PointerGetDatum(last.row_key));
		namestrcpy(&last_column, last.column);

		MemoryContextReset(memory);
		MemoryContextSwitchTo(memory);
		check->page = &page;
		check->next = 0;
		while (check->next < page.count)
		{
			ErrorData  *error;

			if (!subtransaction_try(look_for_rows, check, &error))
			{
				check->states[check->next] = ROW_UNCHECKED;
				check->details[check->next] = error->message;
				check->next++;
			}
		}
		tell_rows(check, &unfolded, found, context);
		MemoryContextSwitchTo(outer);
	}
	SPI_freetuptable(page.rows);
	pfree(check);
	MemoryContextDelete(memory);
}

/* --- repairs ---------------------------------------------------------------- */

/* Executes a statement on an object that is locked before. */
static bool
change_object(OwnStatement *statement, Datum *values)
{
	own_execute(&lock_object, values, NULL);
	SPI_freetuptable(SPI_tuptable);
	own_execute(statement, values, NULL);
	return SPI_processed > 0;
}

static bool
repair_orphan(const char *server, const AuditFinding *finding)
{
	NameData	name;
	bytea	   *sha256 = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	StoreIdentity identity;
	Datum		values[6];

	namestrcpy(&name, server);
	SET_VARSIZE(sha256, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(sha256), finding->sha256, PG_SHA256_DIGEST_LENGTH);
	values[0] = NameGetDatum(&name);
	values[1] = CStringGetTextDatum(finding->key);
	values[2] = PointerGetDatum(sha256);
	values[3] = Int64GetDatum(Max(finding->bytes, 0));
	values[4] = ObjectIdGetDatum(GetUserId());
	values[5] = TimestampTzGetDatum(finding->modified);
	own_execute(&delete_orphan, values, NULL);
	if (SPI_processed == 0)
		return false;

	store_identity(&identity);
	values[1] = Int64GetDatum(identity.system_identifier);
	values[2] = ObjectIdGetDatum(identity.database);
	values[3] = Int32GetDatum(identity.timeline);
	own_execute(&insert_store, values, NULL);
	return true;
}

static bool
repair_row(const AuditFinding *finding)
{
	Change		change = {0};

	change.relation = finding->relation;
	change.kind = get_rel_relkind(finding->relation) == '\0' ? 't' : 'd';
	if (change.kind == 'd')
	{
		change.row_key = finding->row_key;
		change.column = finding->column;
		change.index = finding->index;
	}
	change_append(&change);
	return true;
}

bool
audit_repair(const char *server, const AuditFinding *finding)
{
	Datum		values[2];

	if (!finding->repairable)
		return false;
	values[0] = Int64GetDatum(finding->object);
	if (strcmp(finding->finding, "missing") == 0 || strcmp(finding->finding, "differs") == 0)
	{
		values[1] = BoolGetDatum(strcmp(finding->finding, "missing") == 0);
		return change_object(&put_again, values);
	}
	if (strcmp(finding->finding, "unreferenced") == 0)
	{
		values[1] = Float8GetDatum((float8) mediastore_delete_grace);
		return change_object(&delete_unreferenced, values);
	}
	if (strcmp(finding->finding, "orphan") == 0)
		return repair_orphan(server, finding);
	if (strcmp(finding->finding, "row gone") == 0)
		return repair_row(finding);
	return false;
}
