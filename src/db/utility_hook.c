/*-------------------------------------------------------------------------
 *
 * utility_hook.c
 *	  Statements that need a database to themselves, or bring work to one.
 *
 * DROP DATABASE and its like fail if anybody else is in the database.  So the
 * worker is asked to leave, and none is started before the end of the
 * transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "wake.h"
#include "worker_process.h"
#include "worker_shmem.h"

/* How long a worker may take to leave, ms; the statement then tries its luck. */
#define LEAVE_TIMEOUT	5000
#define LEAVE_LOOK		20

static ProcessUtility_hook_type next_hook = NULL;

/* What is to be done at the end of the transaction. */
static Oid	blocked = InvalidOid;	/* workers may come again */
static bool is_dropped = false;		/* ... unless it is committed */
static Oid	changed = InvalidOid;	/* to be looked at, if committed */

/* --- the end of the transaction ---------------------------------------- */

static void
at_end(XactEvent event, void *argument pg_attribute_unused())
{
	bool		committed = event == XACT_EVENT_COMMIT;

	if (!committed && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (OidIsValid(blocked))
	{
		Oid			database = blocked;

		blocked = InvalidOid;
		worker_unblock(database, committed && is_dropped);
		is_dropped = false;
	}
	if (OidIsValid(changed))
	{
		Oid			database = changed;

		changed = InvalidOid;
		if (committed)
			worker_want(database, false);
	}
}

static void
watch_end(void)
{
	static bool is_registered = false;

	if (!is_registered)
	{
		RegisterXactCallback(at_end, NULL);
		is_registered = true;
	}
}

/* --- a database to oneself --------------------------------------------- */

/* Keeps workers out of a database until the end of the transaction. */
static void
send_worker_away(Oid database)
{
	static uint32 wait_event = 0;
	TimestampTz end;

	/* a transaction is not here twice: none of these may be in a block */
	if (OidIsValid(blocked))
		return;
	if (wait_event == 0)
		wait_event = mediastore_wait_event_new("MediastoreWorkerLeave");
	watch_end();
	if (!worker_block(database))
		return;
	blocked = database;
	is_dropped = false;

	end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_TIMEOUT);
	while (worker_is_there(database) && GetCurrentTimestamp() < end)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LEAVE_LOOK, wait_event);
		ResetLatch(MyLatch);
	}
}

/* The database a CREATE DATABASE copies; 0 if it is not there, or is not for the user. */
static Oid
template_of(const CreatedbStmt *statement)
{
	const char *name = "template1";
	Oid			database;
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			name = defGetString(option);
	}
	database = get_database_oid(name, true);
	return OidIsValid(database) && database_ownercheck(database, GetUserId()) ? database : InvalidOid;
}

/* The database that a statement needs to itself, if the user may have that. */
static Oid
database_needed(Node *statement)
{
	const char *name = NULL;
	Oid			database;

	if (IsA(statement, CreatedbStmt))
		return template_of((CreatedbStmt *) statement);
	if (IsA(statement, DropdbStmt))
		name = ((DropdbStmt *) statement)->dbname;
	else if (IsA(statement, RenameStmt) && ((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
		name = ((RenameStmt *) statement)->subname;
	else if (IsA(statement, AlterDatabaseStmt))
	{
		AlterDatabaseStmt *alter = (AlterDatabaseStmt *) statement;
		ListCell   *cell;

		foreach(cell, alter->options)
		{
			if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
				name = alter->dbname;
		}
	}
	if (name == NULL)
		return InvalidOid;
	database = get_database_oid(name, true);
	return OidIsValid(database) && database_ownercheck(database, GetUserId()) ? database : InvalidOid;
}

/* --- the hook ---------------------------------------------------------- */

/* Whether a statement brings work to this database when it is committed. */
static bool
brings_extension(Node *statement)
{
	if (IsA(statement, CreateExtensionStmt))
		return strcmp(((CreateExtensionStmt *) statement)->extname, "mediastore") == 0;
	if (IsA(statement, AlterExtensionStmt))
		return strcmp(((AlterExtensionStmt *) statement)->extname, "mediastore") == 0;
	return false;
}

static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

static void
watch_utility(PlannedStmt *planned, const char *text, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo parameters,
			  QueryEnvironment *environment, DestReceiver *destination, QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;
	bool		is_prepared = commits_prepared(statement);
	bool		is_extension = brings_extension(statement);
	bool		is_drop = IsA(statement, DropdbStmt);
	char	   *changing = NULL;

	if (worker_shmem_exists() && context == PROCESS_UTILITY_TOPLEVEL && IsTransactionState())
	{
		Oid			database = database_needed(statement);

		if (OidIsValid(database))
			send_worker_away(database);

		/* a new one may have the extension; or it may have been a template */
		if (IsA(statement, CreatedbStmt))
			changing = pstrdup(((CreatedbStmt *) statement)->dbname);
		else if (IsA(statement, AlterDatabaseStmt))
			changing = pstrdup(((AlterDatabaseStmt *) statement)->dbname);
	}

	if (next_hook != NULL)
		next_hook(planned, text, read_only_tree, context, parameters, environment, destination,
				  completion);
	else
		standard_ProcessUtility(planned, text, read_only_tree, context, parameters, environment,
								destination, completion);

	if (!worker_shmem_exists())
		return;
	if (is_drop && OidIsValid(blocked))
		is_dropped = true;
	if (changing != NULL)
	{
		watch_end();
		changed = get_database_oid(changing, true);
	}
	if (is_extension)
		wake_at_commit();
	if (is_prepared)
	{
		WorkerSlot	slot;

		/* it may have been prepared by another, long ago */
		if (worker_look(MyDatabaseId, &slot) && slot.has_extension)
			worker_want(MyDatabaseId, false);
	}
}

void
utility_hook_init(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
