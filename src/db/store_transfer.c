/*-------------------------------------------------------------------------
 *
 * store_transfer.c
 *	  One transfer to or from a store, waited for, and what may come of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "courier_text.h"
#include "store_functions.h"

/* A bytea that grows starts with this, bytes. */
#define FIRST_ROOM		((size_t) COURIER_SLOT_SIZE)

/* How much of a value's content a bytea can hold. */
#define MOST_CONTENT	(MaxAllocSize - VARHDRSZ)

/* What a text of the courier's may have, of keys: S3's most is shorter. */
#define KEY_SHOWN		1024

/* Does what an event of bytes asks for, and gives the slot back. */
typedef void (*TransferHandler) (const CourierEvent *event, void *context);

/* --- errors ---------------------------------------------------------------- */

static int
sqlstate_of(const CourierEvent *event)
{
	const char *code = event->code != NULL ? event->code : "";

	switch (event->status)
	{
		case COURIER_ABSENT:
			return ERRCODE_UNDEFINED_OBJECT;
		case COURIER_EXISTS:
			return ERRCODE_DUPLICATE_OBJECT;
		case COURIER_UNREACHABLE:
			return ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		case COURIER_BUSY:
			return ERRCODE_INSUFFICIENT_RESOURCES;
		case COURIER_MISCONFIGURED:
			if (strcmp(code, "InvalidAccessKeyId") == 0 || strcmp(code, "SignatureDoesNotMatch") == 0)
				return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
			return ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
		case COURIER_REFUSED:
			return event->http_status == 403 ? ERRCODE_INSUFFICIENT_PRIVILEGE :
				ERRCODE_INVALID_PARAMETER_VALUE;
		case COURIER_RETRY:
			return ERRCODE_CONNECTION_FAILURE;
		case COURIER_CHANGED:
			return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		case COURIER_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
		case COURIER_INTERNAL:
		case COURIER_OK:
			break;
	}
	return ERRCODE_SYSTEM_ERROR;
}

/* What the store said, and of which key. */
static int
detail_of(const char *key, const CourierEvent *event)
{
	const char *shown = key != NULL && key[0] != '\0' ? courier_text_tame(key, KEY_SHOWN) : NULL;

	if (event->http_status == 0)
		return shown != NULL ? errdetail("The key is \"%s\".", shown) : 0;
	if (event->code == NULL)
		return shown != NULL ?
			errdetail("The key is \"%s\", the HTTP status %d.", shown, event->http_status) :
			errdetail("The HTTP status is %d.", event->http_status);
	return shown != NULL ?
		errdetail("The key is \"%s\", the HTTP status %d (%s).", shown, event->http_status, event->code) :
		errdetail("The HTTP status is %d (%s).", event->http_status, event->code);
}

void
courier_raise(const StoreServer *store, const char *key, const CourierEvent *event)
{
	ereport(ERROR,
			(errcode(sqlstate_of(event)),
			 errmsg("server \"%s\": %s", store->server->servername, event->message),
			 detail_of(key, event),
			 event->hint != NULL ? errhint("%s", event->hint) : 0));
}

/* --- a transfer ------------------------------------------------------------ */

/* Does a transfer to its end; *result is its RESULT. */
static void
transfer(const StoreServer *store, CourierRequest *request, TransferHandler handler,
		 void *context, CourierEvent *result)
{
	/*
	 * Objects may be pushed by this very session, which executes a trigger of
	 * ours in between: their events are not for us.
	 */
	if (courier_transfers() > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stores cannot be spoken to while the same session pushes objects"),
				 errhint("A trigger may have been executed by what is written back to its row.")));

	PG_TRY();
	{
		uint32		number;

		request->store = courier_store(store);
		number = courier_begin(request);
		do
		{
			courier_next(result, -1, false);
			if (result->transfer != number)
				elog(ERROR, "an event is of another transfer");
			if (result->kind != COURIER_EVENT_RESULT)
				handler(result, context);
		} while (result->kind != COURIER_EVENT_RESULT);
	}
	PG_CATCH();
	{
		courier_abandon();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* --- put ------------------------------------------------------------------- */

/* Fills a slot with what is wanted of a value. */
static void
give_bytes(const CourierEvent *event, void *context)
{
	Value	   *value = (Value *) context;
	uint64		done = 0;

	while (done < event->length)
	{
		const uint8 *bytes;
		size_t		count = value_read_on(value, event->offset + done, &bytes);

		count = (size_t) Min((uint64) count, event->length - done);
		courier_write(event, done, bytes, count);
		done += count;
	}
	courier_filled(event, true);
}

void
transfer_put(const StoreServer *store, CourierRequest *request, Value *value)
{
	CourierEvent result;

	request->operation = COURIER_PUT;
	request->length = value->total;
	transfer(store, request, give_bytes, value, &result);
	if (result.status != COURIER_OK)
		courier_raise(store, request->key, &result);
}

/* --- get ------------------------------------------------------------------- */

typedef struct GrowingValue
{
	bytea	   *bytes;
	size_t		room;			/* of content */
	size_t		length;
} GrowingValue;

/*
 * Adds bytes to a value.  Memory that is large grows where it is, or is moved
 * by the system without a copy; and what was not written yet takes none.
 */
static void
take_bytes(const CourierEvent *event, void *context)
{
	GrowingValue *growing = (GrowingValue *) context;
	size_t		length = (size_t) event->length;

	if (length > MOST_CONTENT - growing->length)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("object is too large for a value"),
				 errdetail("A value has at most %zu bytes.", (size_t) MOST_CONTENT)));
	if (length > growing->room - growing->length)
	{
		growing->room = Min(growing->room * 2, MOST_CONTENT);
		growing->bytes = repalloc(growing->bytes, VARHDRSZ + growing->room);
	}
	courier_read(event, 0, VARDATA(growing->bytes) + growing->length, length);
	growing->length += length;
	courier_taken(event);
}

bytea *
transfer_get(const StoreServer *store, const char *key)
{
	CourierRequest request;
	CourierEvent result;
	GrowingValue growing;

	memset(&request, 0, sizeof(request));
	request.operation = COURIER_GET;
	request.key = key;
	growing.room = FIRST_ROOM;
	growing.length = 0;
	growing.bytes = palloc(VARHDRSZ + growing.room);
	transfer(store, &request, take_bytes, &growing, &result);
	if (result.status != COURIER_OK)
		courier_raise(store, key, &result);
	SET_VARSIZE(growing.bytes, VARHDRSZ + growing.length);
	return growing.bytes;
}

typedef struct HashedBytes
{
	pg_cryptohash_ctx *hash;
	uint8	   *bytes;			/* COURIER_SLOT_SIZE of them */
} HashedBytes;

static void
hash_failed(pg_cryptohash_ctx *hash)
{
	elog(ERROR, "could not compute a SHA-256: %s", pg_cryptohash_error(hash));
}

static void
hash_bytes(const CourierEvent *event, void *context)
{
	HashedBytes *hashed = (HashedBytes *) context;

	courier_read(event, 0, hashed->bytes, (size_t) event->length);
	courier_taken(event);
	if (pg_cryptohash_update(hashed->hash, hashed->bytes, (size_t) event->length) < 0)
		hash_failed(hashed->hash);
}

bool
transfer_sha256(const StoreServer *store, const char *key, uint8 *sha256)
{
	CourierRequest request;
	CourierEvent result;
	HashedBytes hashed;

	memset(&request, 0, sizeof(request));
	request.operation = COURIER_GET;
	request.key = key;
	hashed.bytes = palloc(COURIER_SLOT_SIZE);
	hashed.hash = pg_cryptohash_create(PG_SHA256);
	if (hashed.hash == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (pg_cryptohash_init(hashed.hash) < 0)
		hash_failed(hashed.hash);
	transfer(store, &request, hash_bytes, &hashed, &result);
	if (pg_cryptohash_final(hashed.hash, sha256, PG_SHA256_DIGEST_LENGTH) < 0)
		hash_failed(hashed.hash);
	pg_cryptohash_free(hashed.hash);
	pfree(hashed.bytes);
	if (result.status == COURIER_ABSENT)
		return false;
	if (result.status != COURIER_OK)
		courier_raise(store, key, &result);
	return true;
}

/* --- head, delete ---------------------------------------------------------- */

/* The client lets no bytes come of these. */
static void
no_bytes(const CourierEvent *event, void *context pg_attribute_unused())
{
	elog(ERROR, "unexpected event of kind %d", (int) event->kind);
}

bool
transfer_head(const StoreServer *store, const char *key, CourierEvent *result)
{
	CourierRequest request;

	memset(&request, 0, sizeof(request));
	request.operation = COURIER_HEAD;
	request.key = key;
	transfer(store, &request, no_bytes, NULL, result);
	if (result->status == COURIER_ABSENT)
		return false;
	if (result->status != COURIER_OK)
		courier_raise(store, key, result);
	return true;
}

void
transfer_delete(const StoreServer *store, const char *key)
{
	CourierRequest request;
	CourierEvent result;

	memset(&request, 0, sizeof(request));
	request.operation = COURIER_DELETE;
	request.key = key;
	transfer(store, &request, no_bytes, NULL, &result);
	if (result.status != COURIER_OK)
		courier_raise(store, key, &result);
}

/* --- list ------------------------------------------------------------------ */

typedef struct ListReader
{
	void		(*callback) (const TransferItem *item, void *context);
	void	   *context;
	char	   *bytes;			/* COURIER_SLOT_SIZE of them */
	MemoryContext memory;		/* for the items of one slot */
} ListReader;

/* A number without a sign; -1 if it is none. */
static int64
read_number(const char *text)
{
	int64		number = 0;

	if (text[0] == '\0' || strlen(text) > 18)
		return -1;
	for (; *text != '\0'; text++)
	{
		if (*text < '0' || *text > '9')
			return -1;
		number = number * 10 + (*text - '0');
	}
	return number;
}

_Noreturn static void
damaged_list(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYSTEM_ERROR),
			 errmsg("courier process broke the protocol"),
			 errdetail_internal("A list's text is damaged.")));
}

/* Gives on the items of a slot. */
static void
take_items(const CourierEvent *event, void *context)
{
	ListReader *reader = (ListReader *) context;
	size_t		length = (size_t) event->length;
	MemoryContext old = MemoryContextSwitchTo(reader->memory);
	const char *at = reader->bytes;
	const char *end = reader->bytes + length;
	const char *name;
	const char *value;
	TransferItem item;

	courier_read(event, 0, reader->bytes, length);
	courier_taken(event);
	if (!courier_text_check(reader->bytes, length))
		damaged_list();

	memset(&item, 0, sizeof(item));
	for (;;)
	{
		bool		more = courier_text_next(&at, end, &name, &value);

		CHECK_FOR_INTERRUPTS();
		if (item.key != NULL && (!more || strcmp(name, "key") == 0))
			reader->callback(&item, reader->context);
		if (!more)
			break;

		if (strcmp(name, "key") == 0)
		{
			memset(&item, 0, sizeof(item));
			item.bytes = -1;
			/* one that can't be told as it is would be another's */
			item.key = pg_any_to_server(value, (int) strlen(value), PG_UTF8);
		}
		else if (item.key == NULL)
			damaged_list();
		else if (strcmp(name, "bytes") == 0)
			item.bytes = read_number(value);
		else if (strcmp(name, "etag") == 0)
			item.etag = courier_text_tame(value, KEY_SHOWN);
		else if (strcmp(name, "modified") == 0)
		{
			item.last_modified = read_number(value);
			if (item.last_modified < 0 || item.last_modified > INT64CONST(253402300799))
				item.last_modified = 0;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->memory);
}

void
transfer_list(const StoreServer *store, const char *prefix,
			  void (*callback) (const TransferItem *item, void *context), void *context)
{
	CourierRequest request;
	CourierEvent result;
	ListReader	reader;

	memset(&request, 0, sizeof(request));
	request.operation = COURIER_LIST;
	request.key = prefix;
	reader.callback = callback;
	reader.context = context;
	reader.bytes = palloc(COURIER_SLOT_SIZE);
	reader.memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore list",
										  ALLOCSET_DEFAULT_SIZES);
	transfer(store, &request, take_items, &reader, &result);
	MemoryContextDelete(reader.memory);
	pfree(reader.bytes);
	if (result.status != COURIER_OK)
		courier_raise(store, prefix, &result);
}
