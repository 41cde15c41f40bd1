/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  What people may do to the queue: media_retry, media_discard, media_pause,
 *	  media_resume, media_adopt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "store_identity.h"
#include "wake.h"

PG_FUNCTION_INFO_V1(media_retry);
PG_FUNCTION_INFO_V1(media_discard);
PG_FUNCTION_INFO_V1(media_pause);
PG_FUNCTION_INFO_V1(media_resume);
PG_FUNCTION_INFO_V1(media_adopt);

#define EQUAL " OPERATOR(pg_catalog.=) "

/* $1: an object.  One that was given up is put or deleted, as it is referred to or not. */
static OwnStatement retry_object = {
	.text = "UPDATE mediastore.object AS o SET attempts = 0, next_attempt_at = pg_catalog.now(),"
	" state = CASE WHEN o.state OPERATOR(pg_catalog.<>) 'dead' THEN o.state"
	" WHEN EXISTS (SELECT FROM mediastore.attachment AS t WHERE t.object" EQUAL "o.id) THEN 'pending'"
	" ELSE 'deleting' END"
	" WHERE o.id" EQUAL "$1 AND o.state OPERATOR(pg_catalog.<>) 'stored'",
	.result = SPI_OK_UPDATE, .count = 1, .types = {INT8OID}, .table = "object"
};

/* $1: an object.  One that was given up, or whose server is gone for good. */
static OwnStatement discard_object = {
	.text = "DELETE FROM mediastore.object AS o WHERE o.id" EQUAL "$1 AND (o.state" EQUAL "'dead'"
	" OR (o.state OPERATOR(pg_catalog.<>) 'stored' AND NOT EXISTS"
	" (SELECT FROM pg_catalog.pg_foreign_server AS f WHERE f.srvname" EQUAL "o.server)))",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8OID}, .table = "object"
};

static OwnStatement discard_places = {
	.text = "DELETE FROM mediastore.attachment AS t WHERE t.object" EQUAL "$1",
	.result = SPI_OK_DELETE, .count = 1, .types = {INT8OID}, .table = "attachment"
};

#define INSERT_STORE \
	"INSERT INTO mediastore.store AS s (server, system_identifier, database, timeline, paused)" \
	" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (server) DO UPDATE SET "

/* $1: a server, $2 to $4: who this database is, $5: whether a new one is paused. */
static OwnStatement pause_store = {
	.text = INSERT_STORE "paused = excluded.paused",
	.result = SPI_OK_INSERT, .count = 5, .types = {NAMEOID, INT8OID, OIDOID, INT4OID, BOOLOID},
	.table = "store"
};

static OwnStatement resume_store = {
	.text = INSERT_STORE "paused = excluded.paused, rest_until = NULL, failures = 0, last_error = NULL",
	.result = SPI_OK_INSERT, .count = 5, .types = {NAMEOID, INT8OID, OIDOID, INT4OID, BOOLOID},
	.table = "store"
};

static OwnStatement adopt_store = {
	.text = INSERT_STORE "system_identifier = excluded.system_identifier,"
	" database = excluded.database, timeline = excluded.timeline,"
	" rest_until = NULL, failures = 0, last_error = NULL",
	.result = SPI_OK_INSERT, .count = 5, .types = {NAMEOID, INT8OID, OIDOID, INT4OID, BOOLOID},
	.table = "store"
};

static OwnStatement note_store = {
	.text = INSERT_STORE "server = s.server WHERE false",
	.result = SPI_OK_INSERT, .count = 5, .types = {NAMEOID, INT8OID, OIDOID, INT4OID, BOOLOID},
	.table = "store"
};

static void
connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* media_retry(int8) returns bool */
Datum
media_retry(PG_FUNCTION_ARGS)
{
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	bool		found;

	connect();
	own_execute(&retry_object, values, NULL);
	found = SPI_processed > 0;
	SPI_finish();
	if (found)
		wake_at_commit();
	PG_RETURN_BOOL(found);
}

/* media_discard(int8) returns bool */
Datum
media_discard(PG_FUNCTION_ARGS)
{
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	bool		found;

	connect();
	own_execute(&discard_object, values, NULL);
	found = SPI_processed > 0;
	if (found)
		own_execute(&discard_places, values, NULL);
	SPI_finish();
	PG_RETURN_BOOL(found);
}

/* Executes a statement on a store, by its server's name. */
static void
set_store(OwnStatement *statement, Name name, bool paused)
{
	ForeignServer *server = GetForeignServerByName(NameStr(*name), false);
	AclResult	allowed = foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE);
	StoreIdentity identity;
	Datum		values[5];

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FOREIGN_SERVER, server->servername);
	store_identity(&identity);
	values[0] = NameGetDatum(name);
	values[1] = Int64GetDatum(identity.system_identifier);
	values[2] = ObjectIdGetDatum(identity.database);
	values[3] = Int32GetDatum(identity.timeline);
	values[4] = BoolGetDatum(paused);
	connect();
	own_execute(statement, values, NULL);
	SPI_finish();
	wake_at_commit();
}

void
push_note_store(const char *server)
{
	NameData	name;

	namestrcpy(&name, server);
	set_store(&note_store, &name, false);
}

/* media_pause(name) returns void */
Datum
media_pause(PG_FUNCTION_ARGS)
{
	set_store(&pause_store, PG_GETARG_NAME(0), true);
	PG_RETURN_VOID();
}

/* media_resume(name) returns void */
Datum
media_resume(PG_FUNCTION_ARGS)
{
	set_store(&resume_store, PG_GETARG_NAME(0), false);
	PG_RETURN_VOID();
}

/* media_adopt(name) returns void */
Datum
media_adopt(PG_FUNCTION_ARGS)
{
	set_store(&adopt_store, PG_GETARG_NAME(0), false);
	PG_RETURN_VOID();
}
