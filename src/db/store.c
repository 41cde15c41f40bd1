/*-------------------------------------------------------------------------
 *
 * store.c
 *	  The addresses of objects at stores: media_url and media_presign.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "credentials.h"
#include "store_functions.h"

/* The seconds between Unix's epoch and PostgreSQL's. */
#define EPOCHS_APART \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* 9999-12-31 23:59:59 UTC, in Unix's seconds: the last with four digits */
#define LAST_SECOND		INT64CONST(253402300799)

PG_FUNCTION_INFO_V1(media_url);
PG_FUNCTION_INFO_V1(media_presign);

const char *
store_key_argument(const StoreServer *store, const text *argument)
{
	char	   *text = text_to_cstring(argument);
	const char *key = pg_server_to_any(text, (int) strlen(text), PG_UTF8);

	if (store_key_has_dots(store->bucket.prefix, key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key has a segment \".\" or \"..\""),
				 errhint("Clients take it out of an URL, which is another object's then.")));
	return key;
}

/* An URL is ASCII. */
text *
store_take_url(char *url, const StoreError *error)
{
	size_t		length;
	text	   *result;

	if (url == NULL)
		store_raise(error);
	length = strlen(url);
	result = palloc_extended(VARHDRSZ + length, MCXT_ALLOC_NO_OOM);
	if (result != NULL)
	{
		SET_VARSIZE(result, VARHDRSZ + length);
		memcpy(VARDATA(result), url, length);
	}
	free(url);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return result;
}

Datum
media_url(PG_FUNCTION_ARGS)
{
	StoreServer *store = store_server(NameStr(*PG_GETARG_NAME(0)));
	const char *key = store_key_argument(store, PG_GETARG_TEXT_PP(1));
	StoreError	error;

	if (store->type == STORE_TYPE_FILE)
	{
		if (store->bucket.public_url == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
					 errmsg("server \"%s\" has no option \"%s\"", store->server->servername, "public_url"),
					 errhint("What a store of type file keeps has an address if its public_url says where it is served.")));
		if (!store_key_check(store->bucket.prefix, key, true, &error))
			store_raise(&error);
	}
	PG_RETURN_TEXT_P(store_take_url(store_public_url(&store->bucket, key, &error), &error));
}

/* Whole seconds, rounded down; anything but a second to a week is an error. */
static int64
seconds_of(const Interval *expires)
{
	int64		seconds;

	if (expires->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires must be given without months and years"),
				 errhint("Months differ in length; use days.")));
	seconds = expires->time / USECS_PER_SEC - (expires->time % USECS_PER_SEC < 0 ? 1 : 0) +
		(int64) expires->day * SECS_PER_DAY;
	if (seconds < 1 || seconds > STORE_MOST_EXPIRES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires must be between 1 second and 7 days")));
	return seconds;
}

/* Seconds since 1970, rounded down. */
static int64
unix_time(TimestampTz at)
{
	int64		seconds = -1;

	if (!TIMESTAMP_NOT_FINITE(at))
		seconds = at / USECS_PER_SEC - (at % USECS_PER_SEC < 0 ? 1 : 0) + EPOCHS_APART;
	if (seconds < 0 || seconds > LAST_SECOND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at must be between the years 1970 and 9999")));
	return seconds;
}

/*
 * The time is that of the statement, and not now(), which is that of the
 * transaction: what a long transaction gives out is to be good.
 */
Datum
media_presign(PG_FUNCTION_ARGS)
{
	StoreServer *store;
	StoreCredentials credentials;
	StorePresign presign;
	StoreError	error;
	char	   *url;

	for (int i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	store = store_server(NameStr(*PG_GETARG_NAME(0)));
	if (store->type == STORE_TYPE_FILE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" is of type file, which has no signed addresses",
						store->server->servername)));

	memset(&presign, 0, sizeof(presign));
	presign.key = store_key_argument(store, PG_GETARG_TEXT_PP(1));
	presign.expires = seconds_of(PG_GETARG_INTERVAL_P(2));
	presign.method = text_to_cstring(PG_GETARG_TEXT_PP(3));
	presign.at = unix_time(PG_ARGISNULL(4) ? GetCurrentStatementStartTimestamp() : PG_GETARG_TIMESTAMPTZ(4));

	credentials_find(&credentials, store->server, store->profile);
	url = store_presign(&store->bucket, &credentials, &presign, &error);
	credentials_wipe(&credentials);
	PG_RETURN_TEXT_P(store_take_url(url, &error));
}
