/*-------------------------------------------------------------------------
 *
 * audit_list.c
 *	  What a store has: its list, sorted, and the heads of objects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "access/xlog.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "audit.h"
#include "compat.h"
#include "courier_client.h"
#include "courier_text.h"

/* The columns of the sorted list. */
enum
{
	LIST_KEY,
	LIST_STRANGE,
	LIST_BYTES,
	LIST_ETAG,
	LIST_COLUMNS
};

struct AuditList
{
	Tuplesortstate *sort;
	TupleTableSlot *slot;
	MemoryContext memory;		/* of the item at hand */
};

/* An item as it comes, in UTF-8. */
typedef struct ListItem
{
	const char *key;
	const char *bytes;
	const char *etag;
} ListItem;

static int
count_marks(const char *text)
{
	int			count = 0;

	for (; *text != '\0'; text++)
		count += *text == '?';
	return count;
}

static void
put_item(AuditList *list, const ListItem *item)
{
	TupleTableSlot *slot = list->slot;
	MemoryContext old = MemoryContextSwitchTo(list->memory);
	char	   *key = courier_text_tame(item->key, COURIER_TEXT_MOST);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, LIST_COLUMNS * sizeof(bool));
	slot->tts_values[LIST_KEY] = CStringGetTextDatum(key);
	/* what can't be shown as it is has become a "?" */
	slot->tts_values[LIST_STRANGE] = BoolGetDatum(count_marks(key) != count_marks(item->key));
	slot->tts_values[LIST_BYTES] =
		Int64GetDatum(item->bytes != NULL ? (int64) strtoll(item->bytes, NULL, 10) : -1);
	slot->tts_isnull[LIST_ETAG] = item->etag == NULL || item->etag[0] == '\0';
	if (!slot->tts_isnull[LIST_ETAG])
		slot->tts_values[LIST_ETAG] =
			CStringGetTextDatum(courier_text_tame(item->etag, COURIER_TEXT_MOST));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(list->sort, slot);
	ExecClearTuple(slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(list->memory);
}

/* Reads whole items of a slot. */
static void
put_items(AuditList *list, const char *bytes, size_t length)
{
	const char *end = bytes + length;
	const char *name;
	const char *value;
	ListItem	item = {0};

	if (!courier_text_check(bytes, length))
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("the list of the store can't be read")));
	while (courier_text_next(&bytes, end, &name, &value))
	{
		if (strcmp(name, "key") == 0)
		{
			CHECK_FOR_INTERRUPTS();
			if (item.key != NULL)
				put_item(list, &item);
			memset(&item, 0, sizeof(item));
			item.key = value;
		}
		else if (strcmp(name, "bytes") == 0)
			item.bytes = value;
		else if (strcmp(name, "etag") == 0)
			item.etag = value;
	}
	if (item.key != NULL)
		put_item(list, &item);
}

/* Takes all that comes of a LIST, or the answer to a HEAD. */
static void
transfer(const StoreServer *store, CourierOperation operation, const char *key, AuditList *list,
		 CourierEvent *event)
{
	CourierRequest request = {0};
	char	   *bytes = list != NULL ? palloc(COURIER_SLOT_SIZE) : NULL;

	request.operation = operation;
	request.store = courier_store(store);
	request.key = pg_server_to_any(key, (int) strlen(key), PG_UTF8);
	PG_TRY();
	{
		(void) courier_begin(&request);
		do
		{
			courier_next(event, -1, false);
			if (event->kind == COURIER_EVENT_DATA)
			{
				size_t		length = (size_t) Min(event->length, COURIER_SLOT_SIZE);

				if (list != NULL)
					courier_read(event, 0, bytes, length);
				courier_taken(event);
				if (list != NULL)
					put_items(list, bytes, length);
			}
		} while (event->kind != COURIER_EVENT_RESULT);
	}
	PG_CATCH();
	{
		courier_abandon();
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (bytes != NULL)
		pfree(bytes);
	if (event->status != COURIER_OK && !(operation == COURIER_HEAD && event->status == COURIER_ABSENT))
		courier_raise(store, key, event);
}

AuditList *
audit_list(const StoreServer *store)
{
	AuditList  *list = palloc0(sizeof(AuditList));
	TupleDesc	descriptor = CreateTemplateTupleDesc(LIST_COLUMNS);
	Oid			less = lookup_type_cache(TEXTOID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = C_COLLATION_OID;
	AttrNumber	number = LIST_KEY + 1;
	bool		nulls_first = false;
	CourierEvent event;

	TupleDescInitEntry(descriptor, LIST_KEY + 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(descriptor, LIST_STRANGE + 1, "strange", BOOLOID, -1, 0);
	TupleDescInitEntry(descriptor, LIST_BYTES + 1, "bytes", INT8OID, -1, 0);
	TupleDescInitEntry(descriptor, LIST_ETAG + 1, "etag", TEXTOID, -1, 0);
	list->memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore audit item",
										 ALLOCSET_DEFAULT_SIZES);
	list->slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
	list->sort = tuplesort_begin_heap(descriptor, 1, &number, &less, &collation, &nulls_first,
									  work_mem, NULL, TUPLESORT_NONE);

	transfer(store, COURIER_LIST, "", list, &event);
	tuplesort_performsort(list->sort);
	ExecDropSingleTupleTableSlot(list->slot);
	list->slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	return list;
}

bool
audit_list_next(AuditList *list, AuditItem *item)
{
	MemoryContext old;
	bool		is_null;
	Datum		etag;

	CHECK_FOR_INTERRUPTS();
	if (!tuplesort_gettupleslot(list->sort, true, true, list->slot, NULL))
		return false;
	MemoryContextReset(list->memory);
	old = MemoryContextSwitchTo(list->memory);
	item->key = TextDatumGetCString(slot_getattr(list->slot, LIST_KEY + 1, &is_null));
	item->strange = DatumGetBool(slot_getattr(list->slot, LIST_STRANGE + 1, &is_null));
	item->bytes = DatumGetInt64(slot_getattr(list->slot, LIST_BYTES + 1, &is_null));
	etag = slot_getattr(list->slot, LIST_ETAG + 1, &is_null);
	item->etag = is_null ? NULL : TextDatumGetCString(etag);
	MemoryContextSwitchTo(old);
	return true;
}

void
audit_list_end(AuditList *list)
{
	ExecDropSingleTupleTableSlot(list->slot);
	tuplesort_end(list->sort);
	MemoryContextDelete(list->memory);
	pfree(list);
}

/* Reads 64 hexadecimal digits. */
static bool
read_sha256(const char *hex, uint8 *sha256)
{
	if (strlen(hex) != 2 * PG_SHA256_DIGEST_LENGTH ||
		strspn(hex, "0123456789abcdef") != 2 * PG_SHA256_DIGEST_LENGTH)
		return false;
	(void) hex_decode(hex, 2 * PG_SHA256_DIGEST_LENGTH, (char *) sha256);
	return true;
}

bool
audit_head(const StoreServer *store, const char *key, AuditHead *head)
{
	CourierEvent event;
	ListCell   *cell;
	char		mark[64];

	memset(head, 0, sizeof(*head));
	transfer(store, COURIER_HEAD, key, NULL, &event);
	if (event.status == COURIER_ABSENT)
		return false;

	if (event.last_modified != 0)
		head->modified = time_t_to_timestamptz(event.last_modified);
	snprintf(mark, sizeof(mark), UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId);
	foreach(cell, event.metadata)
	{
		const CourierMeta *meta = (const CourierMeta *) lfirst(cell);

		if (strcmp(meta->name, "mediastore") == 0)
		{
			head->marked_by = meta->value;
			head->marked = strcmp(meta->value, mark) == 0;
		}
		else if (strcmp(meta->name, "sha256") == 0)
			head->has_sha256 = read_sha256(meta->value, head->sha256);
	}
	return true;
}
