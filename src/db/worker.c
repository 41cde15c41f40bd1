/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  Works off the queue of one database.
 *
 * It stays for as long as there is something to do, and a moment more; what is
 * due later is the launcher's to remember.  So a database without work has no
 * process in it that would stand in the way of DROP DATABASE and the like.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "compat.h"
#include "helper_process.h"
#include "own_tables.h"
#include "pusher.h"
#include "pusher_transaction.h"
#include "worker_process.h"
#include "worker_shmem.h"

/*
 * How long it stays when there is nothing to do, ms.  PostgreSQL waits 5 s for
 * a database to become free.
 */
#define LINGER	1500

/* How long it stays while other databases wait for a worker, ms. */
#define TURN	(10 * 1000)

/* After that time, past failures are past, ms. */
#define HEALTHY (60 * 1000)

/* The longest a round waits, ms. */
#define LONGEST_WAIT	1000

/* The least time to what is due, lest it be too soon again and again, ms. */
#define SHORTEST_WAIT	50
#define SHORTEST_LEAVE	1000

/* When to come back if another session works off the queue, ms. */
#define OTHERS_WORK		5000

/* How often, and how long apart (ms), that session's lock is asked for. */
#define LOCK_TRIES	5
#define LOCK_WAIT	100

/* Freed memory up to this much stays with the process, bytes. */
#define KEPT_MEMORY (4 * 1024 * 1024)

PGDLLEXPORT void media_worker_main(Datum argument);

/* Whether the extension is in this database. */
static bool
has_extension(void)
{
	bool		found;

	pusher_begin();
	found = OidIsValid(own_role());
	pusher_commit();
	return found;
}

/* Settings that the database or the cluster has for its users, not for this. */
static void
set_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"session_replication_role", "origin"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
#endif
		/* the last of what it records may be lost: it then does something twice */
		{"synchronous_commit", "off"},
		{"application_name", "mediastore worker"}
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static void
reload_settings(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Waits, ms, or until the latch is set. */
static void
wait(long timeout)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = mediastore_wait_event_new("MediastoreWorker");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	reload_settings();
}

/* Takes the pusher's lock; false if another session keeps it. */
static bool
take_lock(void)
{
	for (int i = 0; i < LOCK_TRIES; i++)
	{
		if (pusher_lock())
			return true;
		wait(LOCK_WAIT);
	}
	return false;
}

/* Milliseconds from one time to another; 0 if that has passed. */
static long
until(TimestampTz now, TimestampTz then)
{
	return TimestampDifferenceMilliseconds(now, then);
}

/*
 * Rounds, until there is nothing to do, or it is another's turn.  A round that
 * does not wait looks at the queue; so the first one does, that after a wake-up,
 * and the last one.  linger: even if there is nothing to do.
 */
static void
work(bool linger)
{
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz idle_since = 0;
	bool		is_healthy = false;
	long		timeout = 0;

	for (;;)
	{
		PusherStatus status = {.state = PUSHER_WAITING};
		TimestampTz now = GetCurrentTimestamp();
		bool		is_turn = !worker_is_crowded() || until(start, now) < TURN;
		bool		claim;
		int			delay;

		CHECK_FOR_INTERRUPTS();
		reload_settings();
		claim = mediastore_enabled && is_turn;
		/* who commits meanwhile need not wake us again */
		delay = pusher_delay();
		if (delay > 0 && timeout > 0)
			timeout = Min(timeout, delay);
		else if (worker_begin_round())
		{
			timeout = 0;
			idle_since = 0;
			linger = true;
		}
		pgstat_report_activity(STATE_RUNNING, "mediastore: pushing");
		pusher_round(claim, timeout, &status);
		now = GetCurrentTimestamp();
		if (!is_healthy && until(start, now) >= HEALTHY)
		{
			is_healthy = true;
			worker_is_healthy();
		}

		if (status.state == PUSHER_GONE)
		{
			worker_leave_forever();
			return;
		}
		pgstat_report_stat(true);
		if (status.state == PUSHER_BUSY)
		{
			linger = true;
			idle_since = 0;
			timeout = LONGEST_WAIT;
			continue;
		}

		/* nothing is under way */
		pgstat_report_activity(STATE_IDLE, NULL);
		if (!claim)
		{
			(void) worker_leave(LEAVE_MORE, 0);
			return;
		}
		if (idle_since == 0)
			idle_since = now;
		if (!linger || worker_is_crowded() || until(idle_since, now) >= LINGER)
		{
			TimestampTz next_due = status.next_due;

			if (next_due != 0)
				next_due = Max(next_due, TimestampTzPlusMilliseconds(now, SHORTEST_LEAVE));
			if (timeout == 0 && worker_leave(LEAVE_IF_UNWANTED, next_due))
				return;
			timeout = 0;
			continue;
		}
		timeout = Min(LINGER - until(idle_since, now), LONGEST_WAIT);
		if (status.next_due != 0)
			timeout = Min(timeout, Max(until(now, status.next_due), SHORTEST_WAIT));
	}
}

/*
 * The courier takes as long to start as we take to enter the database; so it is
 * started first, where there seems to be a use for it.  If it can't be, that is
 * found out when it is needed.
 */
static void
start_courier(const WorkerOrder *order)
{
	MemoryContext memory = CurrentMemoryContext;
	WorkerSlot	slot;

	if (order->is_look || !worker_look(order->database, &slot) || !slot.has_extension)
		return;
	PG_TRY();
	{
		(void) helper_get(HELPER_COURIER);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		FlushErrorState();
	}
	PG_END_TRY();
}

/*
 * Values are read in pieces of some hundred kilobytes: their memory is not to be
 * given back to the system, and got from it, for each.
 */
static void
keep_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY);
	(void) mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
#endif
}

/* What an error says, without what is of no use in one line. */
static void
tell_failure(const ErrorData *error)
{
	worker_tell_failure(error->message != NULL ? error->message : "");
}

void
media_worker_main(Datum argument pg_attribute_unused())
{
	WorkerOrder order;
	MemoryContext memory;
	volatile bool is_gone = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	if (!worker_attach(order.index, order.number))
		proc_exit(0);
	start_courier(&order);
	BackgroundWorkerInitializeConnectionByOid(order.database, InvalidOid, 0);
	set_settings();
	keep_memory();
	memory = AllocSetContextCreate(TopMemoryContext, "mediastore worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(memory);

	PG_TRY();
	{
		/* what is wanted from here on is for another look */
		bool		linger = worker_begin_round() && !order.is_look;

		if (!has_extension())
			worker_leave_forever();
		else
		{
			worker_found_extension();
			if (take_lock())
			{
				work(linger);
				pusher_unlock();
			}
			else
				(void) worker_leave(LEAVE_TO_ANOTHER,
									TimestampTzPlusMilliseconds(GetCurrentTimestamp(), OTHERS_WORK));
		}
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* it may be but that the extension was dropped under its hands */
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(memory);
		tell_failure(error);
		is_gone = !has_extension();
		if (!is_gone)
			ReThrowError(error);
	}
	PG_END_TRY();

	if (is_gone)
	{
		pusher_unlock();
		worker_leave_forever();
	}
	proc_exit(0);
}
