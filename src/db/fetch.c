/*-------------------------------------------------------------------------
 *
 * fetch.c
 *	  media_fetch and media_serve_row: values that were moved to a store, for
 *	  those who see their rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "row_value.h"
#include "serve.h"
#include "sha256.h"
#include "store_functions.h"

PG_FUNCTION_INFO_V1(media_fetch);
PG_FUNCTION_INFO_V1(media_serve_row);

/* of store.c */
extern Datum media_url(PG_FUNCTION_ARGS);
extern Datum media_presign(PG_FUNCTION_ARGS);

/* The arguments of media_serve_row. */
enum
{
	ARGUMENT_ROW,
	ARGUMENT_COLUMN,
	ARGUMENT_REQUEST,
	ARGUMENT_OPTIONS,			/* cache_control, etag, last_modified, filename */
	ARGUMENT_INDEX = ARGUMENT_OPTIONS + 4,
	ARGUMENT_EXPIRES
};

/* Who we were before an owner's name was taken. */
typedef struct Identity
{
	Oid			user;
	int			context;
} Identity;

/*
 * Becomes the owner of an object: the table's owner moved the value, with that
 * one's rights on the server, and whoever sees the row sees the value.  An error
 * takes it back.
 */
static void
become_owner(const RowObject *object, Identity *identity)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(object->owner)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u, which owns object " INT64_FORMAT ", does not exist",
						object->owner, object->id)));
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(object->owner, identity->context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

static void
check_stored(const RowObject *object)
{
	if (!object->stored)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the value is not at store \"%s\" yet", object->server),
				 errdetail("Object " INT64_FORMAT " is %s.", object->id, object->state),
				 errhint("The view mediastore.queue tells what it waits for.")));
}

/* --- getting ---------------------------------------------------------------- */

static bool
has_sha256(const char *bytes, size_t length, const uint8 *expected)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	sha256_bytes(bytes, length, digest);
	return memcmp(digest, expected, sizeof(digest)) == 0;
}

bytea *
row_object_get(const RowObject *object)
{
	Identity	identity;
	const char *key;
	bytea	   *result;

	check_stored(object);
	key = pg_server_to_any(object->key, (int) strlen(object->key), PG_UTF8);
	become_owner(object, &identity);
	result = transfer_get(store_server(object->server), key);
	SetUserIdAndSecContext(identity.user, identity.context);

	if (!has_sha256(VARDATA(result), VARSIZE(result) - VARHDRSZ, object->sha256))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("what store \"%s\" has is not what was put there", object->server),
				 errdetail("The SHA-256 of object " INT64_FORMAT " is another one.", object->id),
				 errhint("mediastore.audit looks through a store.")));
	return result;
}

/*
 * media_fetch("row" anyelement, column_name name, index int) returns bytea
 */
Datum
media_fetch(PG_FUNCTION_ARGS)
{
	RowValue	value;

	row_value_find(fcinfo, 2, &value);
	if (value.offloaded)
		PG_RETURN_BYTEA_P(row_object_get(&value.object));
	if (value.is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value.data);
}

/* --- serving ---------------------------------------------------------------- */

/* Half of what a signed address is good for at most, in seconds. */
static int64
half_of(const Interval *expires)
{
	/* media_presign has refused all that is not a second to a week */
	return ((int64) expires->day * SECS_PER_DAY + expires->time / USECS_PER_SEC) / 2;
}

/* Tells where an object is to be had; false if that is nowhere but here. */
static bool
find_location(const RowObject *object, const char *method, Interval *expires, ServeSource *source)
{
	Identity	identity;
	StoreServer *store;
	NameData	server;
	Datum		key = CStringGetTextDatum(object->key);
	bool		found = true;

	namestrcpy(&server, object->server);
	become_owner(object, &identity);
	store = store_server(object->server);
	if (store->bucket.public_url != NULL)
	{
		source->location = TextDatumGetCString(DirectFunctionCall2(media_url, NameGetDatum(&server), key));
		source->location_seconds = -1;
	}
	else if (store->type == STORE_TYPE_S3)
	{
		/* a signature is for one method */
		source->location =
			TextDatumGetCString(DirectFunctionCall5(media_presign, NameGetDatum(&server), key,
													IntervalPGetDatum(expires),
													CStringGetTextDatum(method != NULL ? method : "GET"),
													TimestampTzGetDatum(GetCurrentStatementStartTimestamp())));
		source->location_seconds = half_of(expires);
	}
	else
		found = false;
	SetUserIdAndSecContext(identity.user, identity.context);
	return found;
}

/*
 * media_serve_row("row" anyelement, column_name name, request jsonb,
 * cache_control text, etag text, last_modified timestamptz, filename text,
 * index int, expires interval) returns media_response
 *
 * What is in a store of files that nobody serves is served from here.
 */
Datum
media_serve_row(PG_FUNCTION_ARGS)
{
	static Interval default_expires = {.time = 15 * USECS_PER_MINUTE};
	HttpRequest request = {0};
	ServeSource source = {0};
	RowValue	value;

	if (!PG_ARGISNULL(ARGUMENT_REQUEST))
		serve_read_request(&request, PG_GETARG_JSONB_P(ARGUMENT_REQUEST));
	row_value_find(fcinfo, ARGUMENT_INDEX, &value);
	source.is_null = !value.offloaded && value.is_null;
	source.data = value.data;
	if (value.offloaded)
	{
		Interval   *expires = PG_ARGISNULL(ARGUMENT_EXPIRES) ? &default_expires :
			PG_GETARG_INTERVAL_P(ARGUMENT_EXPIRES);

		check_stored(&value.object);
		source.sha256 = value.object.sha256;
		if (!http_method_allowed(request.method))
			source.location = "";	/* is not given */
		else if (!find_location(&value.object, request.method, expires, &source))
			source.data = PointerGetDatum(row_object_get(&value.object));
	}
	PG_RETURN_DATUM(serve_response(fcinfo, &request, &source, ARGUMENT_OPTIONS));
}
