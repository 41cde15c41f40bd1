/*-------------------------------------------------------------------------
 *
 * store_functions.c
 *	  Objects at stores, by hand: media_put, media_get, media_head,
 *	  media_delete, media_list.
 *
 * What a store is told is done when the function returns, and no ROLLBACK takes
 * it back.  SQLSTATEs of what may come of it, beside those of a bad call and of
 * store_server and credentials_find:
 *
 *	  there is no such object			42704  undefined_object
 *	  there is one already				42710  duplicate_object
 *	  the store can't be reached		08001
 *	  the connection broke, a time-out	08006  connection_failure
 *	  the store has too much to do		53000  insufficient_resources
 *	  a wrong key or secret				28000
 *	  no bucket, a forbidden address	HV00N
 *	  the store says no					42501 for a 403, else 22023
 *	  the bytes changed on their way	55000
 *	  no courier						53000
 *	  the courier's own failure			58000  system_error
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "result_type.h"
#include "sha256.h"
#include "store_functions.h"

/* Of what no header tells the format. */
#define UNKNOWN_TYPE	"application/octet-stream"

PG_FUNCTION_INFO_V1(media_put);
PG_FUNCTION_INFO_V1(media_get);
PG_FUNCTION_INFO_V1(media_head);
PG_FUNCTION_INFO_V1(media_delete);
PG_FUNCTION_INFO_V1(media_list);

enum
{
	HEAD_BYTES,
	HEAD_CONTENT_TYPE,
	HEAD_CACHE_CONTROL,
	HEAD_ETAG,
	HEAD_LAST_MODIFIED,
	HEAD_METADATA,
	HEAD_COLUMNS
};

enum
{
	LIST_KEY,
	LIST_BYTES,
	LIST_ETAG,
	LIST_LAST_MODIFIED,
	LIST_COLUMNS
};

/* --- arguments ------------------------------------------------------------- */

static StoreServer *
store_argument(FunctionCallInfo fcinfo)
{
	return store_server(NameStr(*PG_GETARG_NAME(0)));
}

/* A key that can be asked for; one of a file store is fit to be a path. */
static const char *
key_argument(const StoreServer *store, FunctionCallInfo fcinfo)
{
	const char *key = store_key_argument(store, PG_GETARG_TEXT_PP(1));
	StoreError	error;

	if (!store_key_check(store->bucket.prefix, key, store->type == STORE_TYPE_FILE, &error))
		store_raise(&error);
	return key;
}

/* A header's value; or NULL. */
static const char *
header_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

_Noreturn static void
bad_metadata(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("metadata is not an object of strings"),
			 errhint("It is written as in {\"name\": \"value\"}.")));
}

/* Whether a List of StoreMeta * has a name, whatever its case. */
static bool
has_name(const List *metadata, const char *name)
{
	ListCell   *cell;

	foreach(cell, metadata)
	{
		if (pg_strcasecmp(((const StoreMeta *) lfirst(cell))->name, name) == 0)
			return true;
	}
	return false;
}

/* The call's metadata, and the store's where the call has none of the name. */
static List *
metadata_argument(const StoreServer *store, FunctionCallInfo fcinfo, int number)
{
	List	   *metadata = NIL;
	ListCell   *cell;

	if (!PG_ARGISNULL(number))
	{
		Jsonb	   *jsonb = PG_GETARG_JSONB_P(number);
		JsonbIterator *iterator;
		JsonbIteratorToken token;
		JsonbValue	name;
		JsonbValue	value;

		if (!JB_ROOT_IS_OBJECT(jsonb))
			bad_metadata();
		iterator = JsonbIteratorInit(&jsonb->root);
		while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
		{
			if (token != WJB_KEY)
				continue;
			(void) JsonbIteratorNext(&iterator, &value, true);
			if (value.type != jbvString)
				bad_metadata();
			metadata = store_metadata_add(metadata,
										  pnstrdup(name.val.string.val, name.val.string.len),
										  pnstrdup(value.val.string.val, value.val.string.len));
		}
	}
	foreach(cell, store->metadata)
	{
		const StoreMeta *meta = (const StoreMeta *) lfirst(cell);

		if (!has_name(metadata, meta->name))
			metadata = store_metadata_add(metadata, meta->name, meta->value);
	}
	return metadata;
}

/* --- media_put ------------------------------------------------------------- */

/* Where an object is read from; false if it has no address. */
static bool
object_url(const StoreServer *store, const char *key, text **url)
{
	StoreError	error;

	if (store->type == STORE_TYPE_FILE && store->bucket.public_url == NULL)
		return false;
	*url = store_take_url(store_public_url(&store->bucket, key, &error), &error);
	return true;
}

/*
 * media_put(server name, key text, data bytea, content_type text,
 * cache_control text, metadata jsonb, if_none_match boolean) returns text
 */
Datum
media_put(PG_FUNCTION_ARGS)
{
	StoreServer *store;
	CourierRequest request;
	CourierMeta *pairs;
	List	   *metadata;
	ListCell   *cell;
	Value		value;
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
	text	   *url = NULL;
	bool		has_url;

	for (int i = 0; i < 3; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	PreventCommandIfReadOnly("media_put()");
	PreventCommandIfParallelMode("media_put()");

	/* all that can be wrong with the call is known before the store is asked */
	store = store_argument(fcinfo);
	memset(&request, 0, sizeof(request));
	request.key = key_argument(store, fcinfo);
	has_url = object_url(store, request.key, &url);
	metadata = metadata_argument(store, fcinfo, 5);
	pairs = palloc(Max(list_length(metadata), 1) * sizeof(CourierMeta));
	foreach(cell, metadata)
		pairs[request.metadata_count++] = *(const CourierMeta *) lfirst(cell);
	request.metadata = pairs;
	request.cache_control = PG_ARGISNULL(4) ? store->cache_control : header_argument(fcinfo, 4);
	request.if_none_match = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6);

	value_open(&value, PG_GETARG_DATUM(2));
	request.content_type = header_argument(fcinfo, 3);
	if (request.content_type == NULL)
		request.content_type = facts_mime_type(facts_format(&value.reader));
	if (request.content_type == NULL)
		request.content_type = UNKNOWN_TYPE;
	sha256_value(&value, sha256);
	request.sha256 = sha256;

	transfer_put(store, &request, &value);
	value_release(&value);
	if (!has_url)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(url);
}

/* --- media_get, media_head, media_delete ----------------------------------- */

/* media_get(server name, key text) returns bytea */
Datum
media_get(PG_FUNCTION_ARGS)
{
	StoreServer *store = store_argument(fcinfo);

	PG_RETURN_BYTEA_P(transfer_get(store, key_argument(store, fcinfo)));
}

static Datum
metadata_as_jsonb(const List *metadata)
{
	JsonbParseState *state = NULL;
	ListCell   *cell;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(cell, metadata)
	{
		const CourierMeta *meta = (const CourierMeta *) lfirst(cell);
		JsonbValue	part;

		part.type = jbvString;
		part.val.string.val = unconstify(char *, meta->name);
		part.val.string.len = (int) strlen(meta->name);
		(void) pushJsonbValue(&state, WJB_KEY, &part);
		part.val.string.val = unconstify(char *, meta->value);
		part.val.string.len = (int) strlen(meta->value);
		(void) pushJsonbValue(&state, WJB_VALUE, &part);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

static void
set_text(const char *string, Datum *value, bool *isnull)
{
	*isnull = string == NULL;
	if (string != NULL)
		*value = CStringGetTextDatum(string);
}

static void
set_time(pg_time_t time, Datum *value, bool *isnull)
{
	*isnull = time == 0;
	if (time != 0)
		*value = TimestampTzGetDatum(time_t_to_timestamptz(time));
}

/* media_head(server name, key text) returns record */
Datum
media_head(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor = result_type(fcinfo, HEAD_COLUMNS);
	StoreServer *store = store_argument(fcinfo);
	Datum		values[HEAD_COLUMNS] = {0};
	bool		nulls[HEAD_COLUMNS];
	CourierEvent result;

	memset(nulls, true, sizeof(nulls));
	if (transfer_head(store, key_argument(store, fcinfo), &result))
	{
		nulls[HEAD_BYTES] = result.length > (uint64) PG_INT64_MAX;
		values[HEAD_BYTES] = Int64GetDatum((int64) result.length);
		set_text(result.content_type, &values[HEAD_CONTENT_TYPE], &nulls[HEAD_CONTENT_TYPE]);
		set_text(result.cache_control, &values[HEAD_CACHE_CONTROL], &nulls[HEAD_CACHE_CONTROL]);
		set_text(result.etag, &values[HEAD_ETAG], &nulls[HEAD_ETAG]);
		set_time(result.last_modified, &values[HEAD_LAST_MODIFIED], &nulls[HEAD_LAST_MODIFIED]);
		values[HEAD_METADATA] = metadata_as_jsonb(result.metadata);
		nulls[HEAD_METADATA] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}

/*
 * media_delete(server name, key text) returns boolean
 *
 * Stores say the same of what they have deleted and of what was not there, so
 * they are asked before.
 */
Datum
media_delete(PG_FUNCTION_ARGS)
{
	StoreServer *store;
	const char *key;
	CourierEvent result;

	PreventCommandIfReadOnly("media_delete()");
	PreventCommandIfParallelMode("media_delete()");

	store = store_argument(fcinfo);
	key = key_argument(store, fcinfo);
	if (!transfer_head(store, key, &result))
		PG_RETURN_BOOL(false);
	transfer_delete(store, key);
	PG_RETURN_BOOL(true);
}

/* --- media_list ------------------------------------------------------------ */

static void
add_item(const TransferItem *item, void *context)
{
	ReturnSetInfo *info = (ReturnSetInfo *) context;
	Datum		values[LIST_COLUMNS] = {0};
	bool		nulls[LIST_COLUMNS] = {false};

	values[LIST_KEY] = CStringGetTextDatum(item->key);
	values[LIST_BYTES] = Int64GetDatum(item->bytes);
	nulls[LIST_BYTES] = item->bytes < 0;
	set_text(item->etag, &values[LIST_ETAG], &nulls[LIST_ETAG]);
	set_time(item->last_modified, &values[LIST_LAST_MODIFIED], &nulls[LIST_LAST_MODIFIED]);
	tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

/*
 * What keys begin with.  Its folders are whole names, and must be no way out
 * of the store's; what follows them need not be.
 */
static const char *
prefix_argument(const StoreServer *store, FunctionCallInfo fcinfo)
{
	const text *argument = PG_GETARG_TEXT_PP(1);
	char	   *string = text_to_cstring(argument);
	char	   *slash = strrchr(string, '/');
	const char *prefix;
	StoreError	error;

	if (slash != NULL)
		(void) store_key_argument(store, cstring_to_text_with_len(string, (int) (slash - string)));
	prefix = pg_server_to_any(string, (int) strlen(string), PG_UTF8);
	if (prefix[0] != '\0' && !store_key_check(store->bucket.prefix, prefix, false, &error))
		store_raise(&error);
	return prefix;
}

/* media_list(server name, prefix text) returns setof record */
Datum
media_list(PG_FUNCTION_ARGS)
{
	StoreServer *store = store_argument(fcinfo);
	const char *prefix = prefix_argument(store, fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	transfer_list(store, prefix, add_item, fcinfo->resultinfo);
	return (Datum) 0;
}
