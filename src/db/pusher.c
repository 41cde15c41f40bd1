/*-------------------------------------------------------------------------
 *
 * pusher.c
 *	  What works off the queue: rounds, what is under way and what comes of it.
 *
 * Objects are claimed some more than can be sent at once, and results are
 * recorded some at a time; so most rounds need no statement, and what the
 * statements cost is shared by many objects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "claim.h"
#include "compat.h"
#include "courier_client.h"
#include "own_tables.h"
#include "push.h"
#include "pusher.h"
#include "pusher_objects.h"
#include "pusher_transaction.h"
#include "sender.h"
#include "source.h"
#include "subtransaction.h"
#include "write_back.h"

/* Results are recorded when there are so many, or when one is so old (ms). */
#define RECORDED_AT_ONCE	32
#define LONGEST_UNRECORDED	50

/*
 * How many objects are claimed ahead of those that are begun: few at first, and
 * more if they last for less than so long (ms).
 */
#define LEAST_READY		16
#define MOST_READY		64
#define READY_FOR		500

/* Changes that are folded in a round: not so many that the courier would wait. */
#define FOLDED_AT_ONCE	100

/* Values are read when there are so many to be, or for so long (ms), or at need. */
#define READ_AT_ONCE	16
#define LONGEST_UNREAD	5

/* A round that has nothing to do looks at the queue so often, if asked (ms). */
#define LOOK_AGAIN		1000

/*
 * Between two looks is as much time as the first one took, lest it be taken
 * from those who commit meanwhile; within these limits (ms).
 */
#define SHORTEST_PAUSE	5
#define LONGEST_PAUSE	100

/* That is so many times as long where there is a backlog, as long as enough is known to be due. */
#define BACKLOG_PAUSES	3

/* How long values may be read for, ms: functions of their tables' types run. */
#define READ_TIMEOUT	(30 * 1000)

/*
 * The lock's numbers; the last is one that the SQL functions for advisory locks
 * do not use.
 */
#define LOCK_NUMBER		0x6d656469
#define LOCK_KIND		5

/* A WANT that is not answered yet. */
typedef struct Want
{
	CourierEvent event;
	PushObject *object;			/* NULL: its transfer has ended */
} Want;

static MemoryContext pusher_memory = NULL;
static MemoryContext round_memory = NULL;	/* reset with each round */
static Want wants[COURIER_SLOTS];
static int	want_count = 0;
static TimestampTz wants_since = 0;

static bool is_locked = false;
static bool has_taken_over = false;
static bool look_wanted = true; /* at the queue: somebody has woken us, say */
static bool more_due = false;	/* there may be, for the last claim found some */
static TimestampTz taken_over_until = 0;
static TimestampTz next_due = 0;
static TimestampTz looked_at = 0;
static TimestampTz claimed_at = 0;
static int	most_ready = LEAST_READY;
static int	look_pause = 0;		/* until the next look, ms */
static bool has_backlog = false;	/* the last look has left changes */

/* --- what is under way ---------------------------------------------------- */

/* Forgets all: what is leased is tried again when the leases end. */
static void
forget_all(void)
{
	courier_abandon();
	push_forget();
	want_count = 0;
	look_wanted = true;
	write_back_forget();
	more_due = false;
	has_backlog = false;
	has_taken_over = false;
	look_pause = 0;
	next_due = 0;
}

/* --- transactions --------------------------------------------------------- */

/*
 * Whatever the statistics of our tables say, a queue is read by its indexes:
 * plans are kept, and outlive what they were made for.
 */
static void
begin_transaction(void)
{
	static const char *const settings[][2] = {
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		{"enable_bitmapscan", "off"},
		{"enable_sort", "off"},
		{"plan_cache_mode", "force_generic_plan"},
		{"jit", "off"},
		{"synchronous_commit", "off"}
	};

	pusher_begin();
	for (size_t i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

/* --- bytes ---------------------------------------------------------------- */

/* Reads what a WANT asks for, and hands it over. */
static void
answer(Source *source, Want *want)
{
	PushObject *object = want->object;
	const CourierEvent *event = &want->event;
	SourceRow	row;
	SourcePointer pointer;
	PictureArray array;
	Value		value;

	if (!object->has_place)
	{
		object->loss = PUSH_LOSS_MISSING;
		return;
	}
	switch (source_find(source, &object->place, AccessShareLock, &row))
	{
		case SOURCE_MISSING:
			object->loss = PUSH_LOSS_MISSING;
			return;
		case SOURCE_LOCKED:
			object->loss = PUSH_LOSS_LOCKED;
			return;
		case SOURCE_FOUND:
			break;
	}
	if (!source_open(&row, object->place.index, &array, &value))
	{
		object->loss = PUSH_LOSS_MISSING;
		return;
	}

	source_pointer(row.stored, &pointer);
	if (value.total != object->bytes ||
		(object->pointer.is_set && !source_pointer_equal(&pointer, &object->pointer)))
		object->loss = PUSH_LOSS_CHANGED;
	else
	{
		const uint8 *bytes;

		/* that of the first bytes counts, or the others may be another value's */
		if (event->offset == 0)
			object->pointer = pointer;
		(void) value_read(&value, event->offset, event->length, event->length, &bytes);
		courier_write(event, 0, bytes, event->length);
		object->loss = PUSH_LOSS_NONE;
	}
	value_release(&value);
	if (row.is_array)
		array_close(&array);
}

typedef struct Answering
{
	int			next;			/* of wants */
} Answering;

/* Answers as many as it can; what is raised is the fault of the next one. */
static void
answer_wants(void *context)
{
	Answering  *answering = (Answering *) context;
	Source	   *source = source_begin();

	for (; answering->next < want_count; answering->next++)
	{
		Want	   *want = &wants[answering->next];

		CHECK_FOR_INTERRUPTS();
		if (want->object == NULL || want->object->stage != PUSH_RUNNING ||
			want->object->transfer != want->event.transfer)
			courier_filled(&want->event, false);
		else
		{
			answer(source, want);
			courier_filled(&want->event, want->object->loss == PUSH_LOSS_NONE);
		}
	}
	source_end(source);
}

static void
read_values(void)
{
	Answering	answering = {0};

	PushActiveSnapshot(GetTransactionSnapshot());
	while (answering.next < want_count)
	{
		ErrorData  *error;

		if (subtransaction_try_within(READ_TIMEOUT, answer_wants, &answering, &error))
			break;
		if (answering.next < want_count)
		{
			Want	   *want = &wants[answering.next++];

			if (want->object != NULL)
			{
				want->object->loss = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ?
					PUSH_LOSS_LOCKED : PUSH_LOSS_ERROR;
				want->object->loss_message = MemoryContextStrdup(want->object->memory, error->message);
			}
			courier_filled(&want->event, false);
		}
		FreeErrorData(error);
	}
	PopActiveSnapshot();
	want_count = 0;
}

/* --- claiming ------------------------------------------------------------- */

/* Claims what there is room for. */
static void
claim_more(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_slow = TimestampDifferenceExceeds(claimed_at, now, READY_FOR);
	int			most = push_most_begun() + most_ready;
	int			room = most - push_count(PUSH_READY) - push_count(PUSH_RUNNING);
	PushObject *free[PUSH_OBJECTS];
	ClaimStores stores;
	int			count = 0;

	claim_read_stores(&stores);
	push_stores_failed = stores.any_failed;
	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		PushObject *object = &push_objects[i];

		if (object->stage == PUSH_READY || object->stage == PUSH_RUNNING)
		{
			ClaimStore *store = claim_find_store(&stores, NameStr(object->server));

			if (store != NULL)
				store->in_use++;
		}
		else if (object->stage == PUSH_FREE && count < room)
			free[count++] = object;
	}
	if (count > 0)
	{
		int			asked = count;

		count = claim_objects(&stores, free, count, most * 3 / 4);
		push_prepare(free, count);
		claimed_at = now;
		if (count == asked)
			most_ready = is_slow ? LEAST_READY : Min(2 * most_ready, MOST_READY);
		/* when the next one is due is asked for after these have been sent off */
		if (count > 0)
		{
			more_due = true;
			next_due = 0;
			return;
		}
	}

	next_due = claim_next_due(&stores);
	more_due = next_due != 0 && next_due <= now;
	/* locked by somebody? */
	if (more_due && count == 0 && push_count(PUSH_RUNNING) + push_count(PUSH_READY) == 0)
	{
		next_due = TimestampTzPlusMilliseconds(now, LOOK_AGAIN);
		more_due = false;
	}
	if (taken_over_until != 0 && taken_over_until <= now)
		taken_over_until = 0;
	if (taken_over_until != 0 && (next_due == 0 || taken_over_until < next_due))
		next_due = taken_over_until;
}

/* --- events --------------------------------------------------------------- */

/* Takes an event. */
static void
take_event(const CourierEvent *event)
{
	PushObject *object = push_find_transfer(event->transfer);

	switch (event->kind)
	{
		case COURIER_EVENT_WANT:
			if (want_count == (int) lengthof(wants))
				elog(ERROR, "courier wants more than it has slots for");
			if (want_count == 0)
				wants_since = GetCurrentTimestamp();
			wants[want_count].event = *event;
			wants[want_count++].object = object;
			break;
		case COURIER_EVENT_DATA:
			courier_taken(event);
			break;
		case COURIER_EVENT_RESULT:
			if (object != NULL)
				push_take_result(object, event);
			break;
		case COURIER_EVENT_NONE:
			break;
	}
}

/* Waits for events, and takes all there are.  Whether the latch was set is noted. */
static void
wait_for_events(long timeout)
{
	TimestampTz begun = GetCurrentTimestamp();
	CourierEvent event;

	courier_next(&event, timeout, true);
	if (event.kind == COURIER_EVENT_NONE && timeout > 0 &&
		!TimestampDifferenceExceeds(begun, GetCurrentTimestamp(), (int) timeout))
		look_wanted = true;
	while (event.kind != COURIER_EVENT_NONE)
	{
		take_event(&event);
		courier_next(&event, 0, true);
	}
	CHECK_FOR_INTERRUPTS();
}

/* --- rounds --------------------------------------------------------------- */

static int
milliseconds_until(TimestampTz now, TimestampTz then)
{
	return (int) Min(TimestampDifferenceMilliseconds(now, then), INT_MAX - 1) + 1;
}

/* Whether values are to be read now, or can be with others soon. */
static bool
needs_values(TimestampTz now)
{
	return want_count >= READ_AT_ONCE ||
		(want_count > 0 &&
		 (push_count(PUSH_RUNNING) - want_count <= mediastore_push_concurrency ||
		  TimestampDifferenceExceeds(wants_since, now, LONGEST_UNREAD)));
}

/* As pusher_delay. */
static int
look_delay(TimestampTz now)
{
	TimestampTz then = TimestampTzPlusMilliseconds(looked_at, look_pause);

	return now < looked_at || then <= now ? 0 : milliseconds_until(now, then);
}

int
pusher_delay(void)
{
	return look_delay(GetCurrentTimestamp());
}

/* Whether the queue is to be looked at, or results to be recorded. */
static bool
needs_statements(bool claim, TimestampTz now, long timeout)
{
	int			ended = push_count(PUSH_ENDED);
	int			ready = push_count(PUSH_READY);
	int			running = push_count(PUSH_RUNNING);

	if (ended >= RECORDED_AT_ONCE || push_has_failures() ||
		(ended > 0 && (running == 0 || !claim ||
					   TimestampDifferenceExceeds(push_ended_since, now, LONGEST_UNRECORDED))))
		return true;
	if (!claim)
		return false;
	if (timeout == 0)
		return true;
	if ((look_wanted && look_delay(now) == 0) || (more_due && ready <= most_ready / 2))
		return true;
	if (!more_due && next_due != 0 && next_due <= now)
		return true;
	/* rows that are known by now are told without */
	if (!write_back_due() && write_back_next() != 0 && write_back_next() <= now)
		return true;
	return running + ready + ended == 0 && TimestampDifferenceExceeds(looked_at, now, LOOK_AGAIN);
}

/* Records, folds, claims.  False if the extension is gone. */
static bool
do_statements(bool claim)
{
	int			folded = 0;
	bool		looks;
	TimestampTz begun;

	if (!OidIsValid(own_table("object")))
		return false;
	push_record();
	if (!claim)
		return true;
	if (!has_taken_over)
	{
		taken_over_until = claim_take_over();
		has_taken_over = true;
	}
	/* what is due already comes first, while it lasts */
	begun = GetCurrentTimestamp();
	looks = !more_due || look_delay(begun) == 0;
	if (looks)
	{
		folded = fold_changes(FOLDED_AT_ONCE);
		if (folded > 0)
			write_back_sweep();
		has_backlog = folded >= FOLDED_AT_ONCE;
		look_wanted = has_backlog;
	}
	if (push_count(PUSH_READY) <= most_ready / 2 || (!more_due && folded < FOLDED_AT_ONCE))
		claim_more();
	write_back_find();
	if (looks)
	{
		looked_at = GetCurrentTimestamp();
		look_pause = (int) TimestampDifferenceMilliseconds(begun, looked_at);
		look_pause = Min(Max(look_pause, SHORTEST_PAUSE), LONGEST_PAUSE);
		if (has_backlog)
			look_pause *= BACKLOG_PAUSES;
	}
	if (has_backlog && !more_due)
		look_pause = 0;
	return true;
}

/* All of a round but the waiting.  False if the extension is gone. */
static bool
work(bool claim, long timeout)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		is_there = true;

	if (!claim)
	{
		for (int i = 0; i < PUSH_OBJECTS; i++)
		{
			if (push_objects[i].stage == PUSH_READY)
				push_end(&push_objects[i], PUSH_POSTPONE, 0, NULL);
		}
	}
	/* whoever does not want to wait wants to be sure */
	else if (timeout == 0)
		look_wanted = true;
	if (needs_values(now) || needs_statements(claim, now, timeout))
	{
		begin_transaction();
		if (want_count > 0)
		{
			read_values();
			pusher_keep_lock();
		}
		if (needs_statements(claim, now, timeout))
			is_there = do_statements(claim);
		pusher_commit();
	}
	if (!is_there)
		return false;

	if (claim)
		push_begin();
	if (claim && write_back_due())
	{
		/* what it waits for may have taken a wake-up from us */
		look_wanted = true;
		begin_transaction();
		write_back_some();
		pusher_commit();
	}
	return true;
}

/* Waits for as long as there is nothing to do. */
static void
wait_for_work(bool claim, long timeout, PusherStatus *status)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz write_back = write_back_next();
	bool		is_idle = courier_transfers() == 0 && push_count(PUSH_READY) == 0;
	TimestampTz due = more_due ? 0 : next_due;

	if (write_back != 0 && (due == 0 || write_back < due))
		due = write_back;
	if (!claim)
		due = 0;
	if (is_idle && (push_count(PUSH_ENDED) > 0 || (claim && more_due)))
		timeout = 0;
	else if (claim && due != 0 && due <= now)
		timeout = 0;
	else if (due != 0)
		timeout = Min(timeout, milliseconds_until(now, due));
	if (claim && look_wanted)
		timeout = Min(timeout, look_delay(now));
	if (push_ended_since != 0)
		timeout = Min(timeout, LONGEST_UNRECORDED);
	if (want_count > 0)
		timeout = Min(timeout, LONGEST_UNREAD);

	if (!is_idle)
		wait_for_events(timeout);
	else if (timeout > 0)
	{
		static uint32 wait_event = 0;

		if (wait_event == 0)
			wait_event = mediastore_wait_event_new("MediastorePusher");
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout,
					  wait_event) & WL_LATCH_SET)
			look_wanted = true;
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	status->next_due = due;
	status->state = PUSHER_WAITING;
	if (courier_transfers() > 0 || push_count(PUSH_READY) > 0 || push_count(PUSH_ENDED) > 0 ||
		(claim && (look_wanted || more_due || (due != 0 && due <= GetCurrentTimestamp()))))
		status->state = PUSHER_BUSY;
}

/* What may have been left by an error. */
static void
prepare_memory(void)
{
	if (pusher_memory != NULL)
		return;
	pusher_memory = AllocSetContextCreate(TopMemoryContext, "mediastore pusher", ALLOCSET_DEFAULT_SIZES);
	round_memory = AllocSetContextCreate(pusher_memory, "mediastore pusher round",
										 ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < PUSH_OBJECTS; i++)
		push_objects[i].memory = AllocSetContextCreate(pusher_memory, "mediastore object",
												  ALLOCSET_SMALL_SIZES);
}

void
pusher_round(bool claim, long timeout, PusherStatus *status)
{
	MemoryContext old = CurrentMemoryContext;

	prepare_memory();
	MemoryContextReset(round_memory);
	MemoryContextSwitchTo(round_memory);
	status->next_due = 0;
	PG_TRY();
	{
		if (work(claim, timeout))
			wait_for_work(claim, timeout, status);
		else
		{
			forget_all();
			status->state = PUSHER_GONE;
		}
	}
	PG_CATCH();
	{
		forget_all();
		/* the transaction is the caller's to end, as the error is */
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
}

/* --- the lock ------------------------------------------------------------- */

static void
set_lock_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, LOCK_NUMBER, 0, LOCK_KIND);
}

bool
pusher_lock(void)
{
	LOCKTAG		tag;

	if (is_locked)
		return true;
	set_lock_tag(&tag);
	is_locked = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	if (is_locked)
	{
		has_taken_over = false;
		look_wanted = true;
		write_back_sweep();
	}
	return is_locked;
}

void
pusher_keep_lock(void)
{
	LOCKTAG		tag;

	if (!is_locked)
		return;
	set_lock_tag(&tag);
	switch (LockAcquire(&tag, ExclusiveLock, true, true))
	{
		case LOCKACQUIRE_NOT_AVAIL:
			is_locked = false;
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("another session pushes objects now"),
					 errdetail("A function of a user's has released the lock, maybe by pg_advisory_unlock_all().")));
			break;
		case LOCKACQUIRE_OK:
			break;
		default:
			/* it was held, and is once less now */
			(void) LockRelease(&tag, ExclusiveLock, true);
			break;
	}
}

void
pusher_unlock(void)
{
	LOCKTAG		tag;

	forget_all();
	if (!is_locked)
		return;
	set_lock_tag(&tag);
	(void) LockRelease(&tag, ExclusiveLock, true);
	is_locked = false;
}
