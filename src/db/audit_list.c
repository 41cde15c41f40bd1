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
#include "store_functions.h"

/* The columns of the sorted list. */
enum
{
	LIST_KEY,
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

/* Adds an item to the list. */
static void
put_item(const TransferItem *item, void *context)
{
	AuditList  *list = (AuditList *) context;
	TupleTableSlot *slot = list->slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, LIST_COLUMNS * sizeof(bool));
	slot->tts_values[LIST_KEY] = CStringGetTextDatum(item->key);
	slot->tts_values[LIST_BYTES] = Int64GetDatum(item->bytes);
	slot->tts_isnull[LIST_ETAG] = item->etag == NULL;
	if (item->etag != NULL)
		slot->tts_values[LIST_ETAG] = CStringGetTextDatum(item->etag);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(list->sort, slot);
	ExecClearTuple(slot);
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

	TupleDescInitEntry(descriptor, LIST_KEY + 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(descriptor, LIST_BYTES + 1, "bytes", INT8OID, -1, 0);
	TupleDescInitEntry(descriptor, LIST_ETAG + 1, "etag", TEXTOID, -1, 0);
	list->memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore audit item",
										 ALLOCSET_DEFAULT_SIZES);
	list->slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
	list->sort = tuplesort_begin_heap(descriptor, 1, &number, &less, &collation, &nulls_first,
									  work_mem, NULL, TUPLESORT_NONE);

	transfer_list(store, "", put_item, list);
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
	if (!tuplesort_gettupleslot(list->sort, true, false, list->slot, NULL))
		return false;
	MemoryContextReset(list->memory);
	old = MemoryContextSwitchTo(list->memory);
	item->key = TextDatumGetCString(slot_getattr(list->slot, LIST_KEY + 1, &is_null));
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
audit_names_content(const char *key, const uint8 *sha256)
{
	const char *at = strrchr(key, '/');

	for (at = at == NULL ? key : at + 1; *at != '\0';)
	{
		size_t		length = strspn(at, "0123456789abcdef");

		if (length == 2 * PG_SHA256_DIGEST_LENGTH)
		{
			char		digits[2 * PG_SHA256_DIGEST_LENGTH + 1];
			uint8		named[PG_SHA256_DIGEST_LENGTH];

			strlcpy(digits, at, sizeof(digits));
			if (read_sha256(digits, named) &&
				(sha256 == NULL || memcmp(named, sha256, sizeof(named)) == 0))
				return true;
		}
		at += Max(length, 1);
	}
	return false;
}

bool
audit_sha256(const StoreServer *store, const char *key, uint8 *sha256)
{
	return transfer_sha256(store, pg_server_to_any(key, (int) strlen(key), PG_UTF8), sha256);
}

bool
audit_head(const StoreServer *store, const char *key, AuditHead *head)
{
	CourierEvent event;
	ListCell   *cell;
	char		mark[64];

	memset(head, 0, sizeof(*head));
	if (!transfer_head(store, pg_server_to_any(key, (int) strlen(key), PG_UTF8), &event))
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
