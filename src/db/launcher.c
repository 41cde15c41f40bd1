/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts a worker in each database where there is something to do.
 *
 * It is connected to no database.  Where nothing is to be done it sleeps, until
 * a backend has left work, a worker ends, or the time comes that a worker has
 * given when it left.  It looks into every database once, at its start; later
 * ones announce themselves, by CREATE EXTENSION or by what they leave.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "compat.h"
#include "worker_process.h"
#include "worker_shmem.h"

/* How long it is before a launcher that has ended comes again. */
#define RESTART_SECONDS 5

/* Rest after there was no process for a worker: doubled each time. */
#define FIRST_REST	(5 * USECS_PER_SEC)
#define LONGEST_REST	(60 * USECS_PER_SEC)

PGDLLEXPORT void media_launcher_main(Datum argument);

/* A worker that was started, until it has ended. */
typedef struct Start
{
	BackgroundWorkerHandle *handle;
	uint32		number;
} Start;

static Start starts[WORKER_SLOTS];
static List *to_look_at = NIL;	/* databases, in TopMemoryContext */
static Oid	looked_at = InvalidOid;
static TimestampTz no_process_until = 0;
static TimestampTz no_process_rest = FIRST_REST;

/* --- registration ------------------------------------------------------ */

/* The file of this module, as the postmaster is to load it. */
static void
set_library(char *name, size_t size)
{
	Dl_info		info;

	if (dladdr((const void *) starts, &info) != 0 && info.dli_fname != NULL &&
		strlen(info.dli_fname) < size)
		strlcpy(name, info.dli_fname, size);
	else
		strlcpy(name, "mediastore", size);
}

/* Fills in what our processes have in common, with the type for a name. */
static void
describe_process(BackgroundWorker *worker, const char *function, const char *type)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	set_library(worker->bgw_library_name, sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_name, type, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, type, sizeof(worker->bgw_type));
}

void
worker_init(void)
{
	BackgroundWorker worker;

	/* an upgrade copies files of databases that nobody else may touch */
	if (IsBinaryUpgrade)
		return;

	worker_shmem_init();
	utility_hook_init();

	describe_process(&worker, "media_launcher_main", "mediastore launcher");
	worker.bgw_restart_time = RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/* --- databases --------------------------------------------------------- */

/* Whether a worker may go into a database. */
static bool
is_open(Form_pg_database database)
{
	return database->datallowconn && !database->datistemplate &&
		database->datconnlimit != DATCONNLIMIT_INVALID_DB;
}

/* Lists the databases to look at. */
static void
list_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	list_free(to_look_at);
	to_look_at = NIL;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext memory;

		if (!is_open(database))
			continue;
		memory = MemoryContextSwitchTo(TopMemoryContext);
		to_look_at = lappend_oid(to_look_at, database->oid);
		MemoryContextSwitchTo(memory);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
}

/* Whether a database is there, and open to workers. */
static bool
database_is_open(Oid database)
{
	HeapTuple	tuple;
	bool		open = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		open = is_open((Form_pg_database) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	return open;
}

/* --- workers ----------------------------------------------------------- */

/* Takes note of workers that have ended. */
static void
reap(void)
{
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		Start	   *start = &starts[i];
		pid_t		pid;

		if (start->handle == NULL ||
			GetBackgroundWorkerPid(start->handle, &pid) != BGWH_STOPPED)
			continue;
		worker_slot_ended(i, start->number, true);
		pfree(start->handle);
		start->handle = NULL;
	}
}

/* Starts the worker of a slot; false if there is no process for it. */
static bool
start_worker(int index, Oid database)
{
	Start	   *start = &starts[index];
	BackgroundWorker worker;
	WorkerOrder order;
	MemoryContext memory;
	bool		registered;

	if (!database_is_open(database))
	{
		worker_slot_free(index);
		return true;
	}

	memset(&order, 0, sizeof(order));
	order.database = database;
	order.index = index;
	order.is_look = database == looked_at;
	order.number = worker_slot_start(index);
	if (order.number == 0)
		return true;

	describe_process(&worker, "media_worker_main", "mediastore worker");
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "mediastore worker of database %u", database);
	worker.bgw_notify_pid = MyProcPid;
	StaticAssertStmt(sizeof(order) <= BGW_EXTRALEN, "order does not fit");
	memcpy(worker.bgw_extra, &order, sizeof(order));

	if (start->handle != NULL)
		pfree(start->handle);
	start->handle = NULL;
	start->number = order.number;
	memory = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &start->handle);
	MemoryContextSwitchTo(memory);

	if (!registered)
	{
		worker_slot_ended(index, order.number, false);
		if (no_process_until == 0)
			ereport(WARNING,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("no background process is left for a worker of mediastore"),
					 errhint("You may need to increase max_worker_processes.")));
		no_process_until = GetCurrentTimestamp() + no_process_rest;
		no_process_rest = Min(2 * no_process_rest, LONGEST_REST);
		worker_set_no_process(true);
		return false;
	}
	if (no_process_until != 0)
		worker_set_no_process(false);
	no_process_until = 0;
	no_process_rest = FIRST_REST;
	return true;
}

/* When the worker of a database is to be started; 0: not before it is wanted. */
static TimestampTz
start_time(const WorkerSlot *slot)
{
	if (slot->phase != WORKER_NONE || slot->blocked > 0)
		return 0;
	if (slot->wanted)
		return Max(slot->wanted_since, slot->not_before);
	if (slot->next_due != 0)
		return Max(slot->next_due, slot->not_before);
	return 0;
}

/* Has the next database looked at, once the one before has been. */
static void
look_on(TimestampTz now)
{
	while (to_look_at != NIL || OidIsValid(looked_at))
	{
		WorkerSlot	slot;

		if (OidIsValid(looked_at) && worker_look(looked_at, &slot) &&
			(slot.phase == WORKER_STARTING || slot.phase == WORKER_LOOKING ||
			 (slot.phase == WORKER_NONE && slot.wanted && slot.blocked == 0 &&
			  slot.not_before <= now)))
			return;
		looked_at = InvalidOid;
		if (to_look_at != NIL)
		{
			looked_at = linitial_oid(to_look_at);
			to_look_at = list_delete_first(to_look_at);
			worker_want(looked_at, false);
		}
	}
}

/*
 * Starts what is to be started, those who have waited longest first.  Gives
 * when there will be more to start; 0: when it is woken.
 */
static TimestampTz
start_workers(void)
{
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next = 0;
		TimestampTz first = 0;
		int			first_index = 0;
		Oid			first_database = InvalidOid;
		int			workers = 0;

		CHECK_FOR_INTERRUPTS();
		look_on(now);
		for (int i = 0; i < WORKER_SLOTS; i++)
		{
			WorkerSlot	slot;
			TimestampTz time;

			if (!worker_slot_copy(i, &slot))
				continue;
			if (slot.phase != WORKER_NONE)
				workers++;
			time = start_time(&slot);
			if (time == 0)
				continue;
			if (time > now)
				next = next == 0 ? time : Min(next, time);
			else if (first == 0 || time < first)
			{
				first = time;
				first_index = i;
				first_database = slot.database;
			}
		}

		if (first == 0)
		{
			worker_set_crowded(false);
			return next;
		}
		if (workers >= mediastore_max_workers)
		{
			/* the end of one of them wakes us */
			worker_set_crowded(true);
			return next;
		}
		if (no_process_until > now)
			return next == 0 ? no_process_until : Min(next, no_process_until);
		(void) start_worker(first_index, first_database);
	}
}

void
media_launcher_main(Datum argument pg_attribute_unused())
{
	uint32		wait_event;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	/* its exit code is that of an error, so it comes again */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("mediastore launcher");
	wait_event = mediastore_wait_event_new("MediastoreLauncher");

	worker_launcher_begin();
	list_databases();

	for (;;)
	{
		TimestampTz next = 0;
		long		timeout = -1;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* what other processes have changed in the catalogs while it slept */
		ProcessCatchupInterrupt();

		reap();
		if (mediastore_enabled)
		{
			if (worker_take_overflow())
				list_databases();
			next = start_workers();
		}
		if (next != 0)
			timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next) + 1;

		pgstat_report_activity(STATE_IDLE, NULL);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0),
						 timeout, wait_event);
		ResetLatch(MyLatch);
	}
}
