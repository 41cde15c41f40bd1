/*-------------------------------------------------------------------------
 *
 * drain.c
 *	  media_drain: waits until the queue is worked off, or works it off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "own_tables.h"
#include "pusher.h"
#include "pusher_transaction.h"
#include "run.h"
#include "store_identity.h"
#include "wake.h"

/* How often the work of another session is looked at, and that is asked to go on, ms. */
#define LOOK	30
#define ASK		1000

/* The longest a round of our own waits, ms. */
#define LONGEST_WAIT	200

PG_FUNCTION_INFO_V1(media_drain);

/* What there is to do. */
typedef struct Queue
{
	int64		changes;
	int64		pending;
	int64		deleting;		/* whose time has come */
	int64		unwritten;		/* places whose rows are to be told */
	int64		left;			/* objects that nothing is to be done about */
} Queue;

/*
 * $1 system identifier, $2 database, $3 timeline of now.  Objects of a paused
 * store or of another database's are left alone; after a recovery, those are
 * that are to be deleted, or put over what may be newer.
 */
static OwnStatement count_queue = {
	"SELECT (SELECT pg_catalog.count(*) FROM mediastore.change),"
	" pg_catalog.count(*) FILTER (WHERE q.is_put AND NOT q.is_left),"
	" pg_catalog.count(*) FILTER (WHERE q.is_delete AND NOT q.is_left),"
	" pg_catalog.count(*) FILTER (WHERE q.is_unwritten AND NOT q.is_left),"
	" pg_catalog.count(*) FILTER (WHERE (q.is_put OR q.is_delete) AND q.is_left)"
	" FROM (SELECT o.state OPERATOR(pg_catalog.=) 'pending' AS is_put,"
	"  o.state OPERATOR(pg_catalog.=) 'deleting' AND (o.attempts OPERATOR(pg_catalog.>) 0"
	"   OR o.next_attempt_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()) AS is_delete,"
	"  o.state OPERATOR(pg_catalog.=) 'stored' AS is_unwritten,"
	"  s.server IS NOT NULL AND (s.paused"
	"   OR s.system_identifier OPERATOR(pg_catalog.<>) $1 OR s.database OPERATOR(pg_catalog.<>) $2"
	"   OR ((o.state OPERATOR(pg_catalog.=) 'deleting' OR (o.state OPERATOR(pg_catalog.=) 'pending'"
	"    AND NOT o.immutable)) AND s.timeline OPERATOR(pg_catalog.<>) $3)) AS is_left"
	"  FROM (SELECT p.server, p.state, p.attempts, p.next_attempt_at, p.immutable FROM mediastore.object AS p"
	"    WHERE p.state OPERATOR(pg_catalog.=) ANY ('{pending,deleting}'::pg_catalog.text[])"
	"   UNION ALL SELECT p.server, p.state, p.attempts, p.next_attempt_at, p.immutable FROM mediastore.attachment AS a"
	"    JOIN mediastore.object AS p ON p.id OPERATOR(pg_catalog.=) a.object"
	"    WHERE NOT a.written AND p.state OPERATOR(pg_catalog.=) 'stored') AS o"
	"  LEFT JOIN mediastore.store AS s ON s.server OPERATOR(pg_catalog.=) o.server) AS q",
	SPI_OK_SELECT, 3, {INT8OID, OIDOID, INT4OID}, NULL, NULL
};

static int64
count_at(int column)
{
	bool		is_null;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null));
}

/* Looks at the queue; false if there is nothing to do. */
static bool
look_at_queue(Queue *queue)
{
	StoreIdentity identity;
	Datum		values[3];

	pusher_begin();
	if (!OidIsValid(own_role()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the extension mediastore has been dropped")));
	store_identity(&identity);
	values[0] = Int64GetDatum(identity.system_identifier);
	values[1] = ObjectIdGetDatum(identity.database);
	values[2] = Int32GetDatum(identity.timeline);
	own_execute(&count_queue, values, NULL);
	queue->changes = count_at(1);
	queue->pending = count_at(2);
	queue->deleting = count_at(3);
	queue->unwritten = count_at(4);
	queue->left = count_at(5);
	SPI_freetuptable(SPI_tuptable);
	pusher_commit();
	return queue->changes + queue->pending + queue->deleting + queue->unwritten > 0;
}

_Noreturn static void
too_late(const Queue *queue)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("queue was not worked off in time"),
			 errdetail("There are " INT64_FORMAT " changes to be looked at, " INT64_FORMAT
					   " objects to be put, " INT64_FORMAT " to be deleted, " INT64_FORMAT
					   " values whose rows are to be told.",
					   queue->changes, queue->pending, queue->deleting, queue->unwritten),
			 errhint("The view mediastore.worker tells what is waited for.")));
}

/* Waits for the session that works off the queue.  asked: when that was last asked to. */
static void
wait_for_other(TimestampTz *asked)
{
	static uint32 wait_event = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (wait_event == 0)
		wait_event = mediastore_wait_event_new("MediastoreDrain");
	if (TimestampDifferenceExceeds(*asked, now, ASK))
	{
		wake_now();
		*asked = now;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK, wait_event);
	ResetLatch(MyLatch);
}

/* Whether this session has the pusher's lock. */
static bool is_locked = false;

/* Works the queue off, or has it worked off, until then. */
static void
drain(TimestampTz end)
{
	TimestampTz asked = 0;
	long		timeout = 0;

	for (;;)
	{
		PusherStatus status = {.state = PUSHER_WAITING};
		Queue		queue = {0};
		long		left;

		CHECK_FOR_INTERRUPTS();
		if (!is_locked)
			is_locked = pusher_lock();
		if (is_locked)
			pusher_round(true, timeout, &status);
		if (status.state != PUSHER_BUSY && !look_at_queue(&queue))
		{
			if (queue.left > 0)
				ereport(WARNING,
						(errmsg_plural("%lu object was left as it is",
									   "%lu objects were left as they are",
									   (unsigned long) queue.left, (unsigned long) queue.left),
						 errdetail("The store is paused, or not this database's."),
						 errhint("The view mediastore.worker tells why.")));
			return;
		}

		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		if (left == 0)
		{
			(void) look_at_queue(&queue);
			too_late(&queue);
		}
		/* who has committed these does not wake us */
		timeout = Min(left, queue.changes > 0 ? pusher_delay() : LONGEST_WAIT);
		if (!is_locked)
			wait_for_other(&asked);
	}
}

/* media_drain(interval) */
Datum
media_drain(PG_FUNCTION_ARGS)
{
	Interval   *timeout;
	double		milliseconds;
	TimestampTz end;

	run_connect(fcinfo, "media_drain");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("timeout of media_drain must not be null")));
	timeout = PG_GETARG_INTERVAL_P(0);
	milliseconds = (double) timeout->time / 1000 +
		((double) timeout->month * DAYS_PER_MONTH + timeout->day) * SECS_PER_DAY * 1000;
	if (milliseconds < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout of media_drain must not be negative")));
	/* a day more or less makes no difference, an overflow would */
	end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) Min(milliseconds, 1e12));

	/* what the statement has locked and seen is let go */
	SPI_commit();
	pusher_in_procedure(true);
	PG_TRY();
	{
		drain(end);
	}
	PG_FINALLY();
	{
		if (is_locked)
		{
			is_locked = false;
			pusher_unlock();
			/* what is left is for the worker, which has kept away meanwhile */
			wake_now();
		}
		pusher_in_procedure(false);
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}
