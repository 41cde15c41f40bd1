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

#include "access/xlog.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
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
#include "pusher_transaction.h"
#include "sender.h"
#include "source.h"
#include "subtransaction.h"
#include "write_back.h"

/* Objects that are ready, running or to be recorded, at most. */
#define MOST_OBJECTS	(4 * COURIER_TRANSFERS)

/* Results are recorded when there are so many, or when one is so old (ms). */
#define RECORDED_AT_ONCE	16
#define LONGEST_UNRECORDED	50

/* Changes that are folded at once, and in a round. */
#define FOLDED_AT_ONCE	500
#define FOLDED_IN_ROUND 2000

/* What was claimed so long ago (ms) is not begun any more. */
#define LONGEST_READY	(30 * 1000)

/* A round that has nothing to do looks at the queue so often, if asked (ms). */
#define LOOK_AGAIN		1000

/* How soon what could not be read for a lock is tried again, in seconds. */
#define LOCKED_DELAY	1.0

/* How often a place that does not hold the bytes is asked for them. */
#define MISSING_TRIES	3
#define MISSING_DELAY	0.2
#define MISSING_MESSAGE	"no row holds the value any more"

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

/* A store that has failed, which is not recorded yet. */
typedef struct Failure
{
	NameData	server;
	char		message[1000];
	int			retry_after;	/* seconds, or -1 */
} Failure;

static Failure failures[8];
static int	failure_count = 0;

static MemoryContext pusher_memory = NULL;
static MemoryContext round_memory = NULL;	/* reset with each round */
static PushObject objects[MOST_OBJECTS];
static Want wants[COURIER_SLOTS];
static int	want_count = 0;

static bool is_locked = false;
static bool has_taken_over = false;
static bool look_wanted = true; /* at the queue: somebody has woken us, say */
static bool more_due = false;	/* the last claim took all that it could */
static bool stores_failed = false;	/* a store has failures to be taken back */
static TimestampTz taken_over_until = 0;
static TimestampTz next_due = 0;
static TimestampTz looked_at = 0;
static TimestampTz ended_since = 0; /* the oldest result not recorded */

/* --- objects -------------------------------------------------------------- */

static int
count_stage(PushStage stage)
{
	int			count = 0;

	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		if (objects[i].stage == stage)
			count++;
	}
	return count;
}

/* Makes an object free, for another one. */
static void
free_object(PushObject *object)
{
	MemoryContext memory = object->memory;

	if (object->stage == PUSH_FREE)
		return;
	MemoryContextReset(memory);
	memset(object, 0, sizeof(*object));
	object->memory = memory;
}

static PushObject *
find_transfer(uint32 transfer)
{
	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		if (objects[i].stage == PUSH_RUNNING && objects[i].transfer == transfer)
			return &objects[i];
	}
	return NULL;
}

/* A try has ended; message is copied. */
static void
end_object(PushObject *object, PushOutcome outcome, double delay, const char *message)
{
	object->outcome = outcome;
	object->delay = delay;
	object->message = message == NULL ? NULL : MemoryContextStrdup(object->memory, message);
	object->stage = PUSH_ENDED;
	if (ended_since == 0)
		ended_since = GetCurrentTimestamp();
}

/* A failure that counts: later again, or given up. */
static void
fail_object(PushObject *object, double delay, const char *message)
{
	end_object(object, object->attempts >= mediastore_max_attempts ? PUSH_DEAD : PUSH_RETRY,
			   delay, message);
}

/* Forgets all: what is leased is tried again when the leases end. */
static void
forget_all(void)
{
	courier_abandon();
	for (int i = 0; i < MOST_OBJECTS; i++)
		free_object(&objects[i]);
	want_count = 0;
	ended_since = 0;
	look_wanted = true;
	write_back_forget();
	more_due = false;
	has_taken_over = false;
	next_due = 0;
	failure_count = 0;
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

		if (subtransaction_try(answer_wants, &answering, &error))
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

/* A store that can't be used: all of it, or by this owner. */
static void
cannot_send(PushObject *object, Sender *sender)
{
	const char *server = NameStr(object->server);
	double		delay = 0;

	if (sender->is_owners)
		delay = sender->is_noted ? sender->delay : sender_trouble(server, object->owner);
	end_object(object, PUSH_POSTPONE, delay, sender->error->message);
	if (sender->is_noted)
		return;
	sender->is_noted = true;
	sender->delay = delay;
	stores_failed = true;
	if (sender->is_owners)
		claim_note(server, sender->error->message);
	else
		claim_rest(server, sender->error->message, -1);
}

static void
add_metadata(CourierMeta *metadata, int *count, const char *name, const char *value)
{
	metadata[*count].name = name;
	metadata[*count].value = value;
	(*count)++;
}

/* Makes the request for an object that is claimed. */
static void
make_request(PushObject *object, const Sender *sender)
{
	const StoreServer *store = sender->store;
	MemoryContext old = MemoryContextSwitchTo(object->memory);
	CourierRequest *request = &object->request;

	request->store = sender->number;
	request->operation = object->is_delete ? COURIER_DELETE : COURIER_PUT;
	if (!object->is_delete)
	{
		CourierMeta *metadata = (CourierMeta *)
			palloc(sizeof(CourierMeta) * (list_length(store->metadata) + 2));
		char	   *hex = (char *) palloc(2 * sizeof(object->sha256) + 1);
		int			count = 0;
		ListCell   *cell;

		hex[hex_encode((const char *) object->sha256, sizeof(object->sha256), hex)] = '\0';
		request->length = object->bytes;
		request->sha256 = object->sha256;
		request->content_type = object->content_type != NULL ? object->content_type :
			"application/octet-stream";
		request->cache_control = store->cache_control != NULL ? pstrdup(store->cache_control) :
			object->immutable ? "public, max-age=31536000, immutable" : "public, max-age=3600";
		add_metadata(metadata, &count, "mediastore",
					 psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId));
		add_metadata(metadata, &count, "sha256", hex);
		foreach(cell, store->metadata)
		{
			const StoreMeta *given = (const StoreMeta *) lfirst(cell);

			if (strcmp(given->name, "mediastore") != 0 && strcmp(given->name, "sha256") != 0)
				add_metadata(metadata, &count, pstrdup(given->name), pstrdup(given->value));
		}
		request->metadata = metadata;
		request->metadata_count = count;
		request->if_none_match = store->if_none_match && object->immutable;
	}
	MemoryContextSwitchTo(old);
}

/* What is claimed can be sent, or has ended already. */
static void
prepare_objects(PushObject **claimed, int count)
{
	List	   *senders = NIL;

	for (int i = 0; i < count; i++)
	{
		PushObject *object = claimed[i];
		Sender	   *sender = sender_find(&senders, NameStr(object->server), object->owner, true);

		if (sender->store == NULL)
			cannot_send(object, sender);
		else if (!object->is_delete && !object->has_place)
			end_object(object, object->attempts < MISSING_TRIES ? PUSH_RETRY : PUSH_DEAD, MISSING_DELAY,
					   MISSING_MESSAGE);
		else
			make_request(object, sender);
	}
}

/* How many are claimed ahead of those that are sent at once. */
static int
most_ready(void)
{
	return Min(Max(mediastore_push_concurrency, RECORDED_AT_ONCE), COURIER_TRANSFERS);
}

/*
 * That they are claimed is known for good before the network hears of them:
 * after a crash, what may be at the store is not to be taken for what never
 * was, nor what may have been deleted for what is there.  (A standby need not
 * know.)
 */
static void
commit_for_good(void)
{
	(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

/* Claims what there is room for. */
static void
claim_more(void)
{
	int			most = Min(mediastore_push_concurrency, COURIER_TRANSFERS) + most_ready();
	int			room = most - count_stage(PUSH_READY) - count_stage(PUSH_RUNNING);
	TimestampTz now = GetCurrentTimestamp();
	PushObject *free[MOST_OBJECTS];
	ClaimStores stores;
	int			count = 0;

	claim_read_stores(&stores);
	stores_failed = stores.any_failed;
	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		PushObject *object = &objects[i];

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
		count = claim_objects(&stores, free, count, most * 3 / 4);
		prepare_objects(free, count);
		if (count > 0)
			commit_for_good();
	}

	next_due = claim_next_due(&stores);
	more_due = next_due != 0 && next_due <= now;
	/* locked by somebody? */
	if (more_due && count == 0 && count_stage(PUSH_RUNNING) + count_stage(PUSH_READY) == 0)
	{
		next_due = TimestampTzPlusMilliseconds(now, LOCKED_DELAY * 1000);
		more_due = false;
	}
	if (taken_over_until != 0 && taken_over_until <= now)
		taken_over_until = 0;
	if (taken_over_until != 0 && (next_due == 0 || taken_over_until < next_due))
		next_due = taken_over_until;
}

/* --- recording ------------------------------------------------------------ */

/* A store has failed: it will rest, and what is ready for it is given back. */
static void
store_failed(PushObject *object, const CourierEvent *event, const char *message)
{
	Failure    *failure = NULL;

	for (int i = 0; i < failure_count; i++)
	{
		if (namestrcmp(&failures[i].server, NameStr(object->server)) == 0)
			failure = &failures[i];
	}
	if (failure == NULL && failure_count < (int) lengthof(failures))
	{
		failure = &failures[failure_count++];
		failure->server = object->server;
		failure->retry_after = -1;
	}
	if (failure != NULL)
	{
		strlcpy(failure->message, message, sizeof(failure->message));
		failure->message[pg_mbcliplen(message, strlen(failure->message),
									  strlen(failure->message))] = '\0';
		failure->retry_after = Max(failure->retry_after, event->retry_after);
	}
	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		if (objects[i].stage == PUSH_READY && namestrcmp(&objects[i].server, NameStr(object->server)) == 0)
			end_object(&objects[i], PUSH_POSTPONE, 0, NULL);
	}
	end_object(object, PUSH_POSTPONE, 0, message);
}

/* Whether it is the credentials that are wrong, which are the owner's own. */
static bool
is_owners_trouble(const CourierEvent *event)
{
	static const char *const codes[] = {
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AccessDenied"
	};

	for (size_t i = 0; event->code != NULL && i < lengthof(codes); i++)
	{
		if (strcmp(event->code, codes[i]) == 0)
			return true;
	}
	return false;
}

/* The bytes were not what was attached, or could not be had. */
static void
source_failed(PushObject *object)
{
	switch (object->loss)
	{
		case PUSH_LOSS_LOCKED:
			end_object(object, PUSH_POSTPONE, LOCKED_DELAY, "table of the value is locked");
			break;
		case PUSH_LOSS_MISSING:
			end_object(object, object->attempts < MISSING_TRIES ? PUSH_RETRY : PUSH_DEAD,
					   MISSING_DELAY, MISSING_MESSAGE);
			break;
		case PUSH_LOSS_ERROR:
			fail_object(object, claim_back_off(object->attempts), object->loss_message);
			break;
		default:
			fail_object(object, LOCKED_DELAY, "value of the row is not the one that was attached");
			break;
	}
}

/* A transfer has ended. */
static void
take_result(PushObject *object, const CourierEvent *event)
{
	char	   *message = event->hint == NULL ? pstrdup(event->message) :
		psprintf("%s (%s)", event->message, event->hint);

	object->transfer = 0;
	switch (event->status)
	{
		case COURIER_OK:
		case COURIER_ABSENT:
		case COURIER_EXISTS:
			object->store_works = true;
			if (event->etag != NULL)
				object->etag = MemoryContextStrdup(object->memory, event->etag);
			end_object(object, PUSH_DONE, 0, NULL);
			break;
		case COURIER_REFUSED:
			object->store_works = true;
			end_object(object, PUSH_DEAD, 0, message);
			break;
		case COURIER_CHANGED:
			source_failed(object);
			break;
		case COURIER_UNREACHABLE:
		case COURIER_BUSY:
			store_failed(object, event, message);
			break;
		case COURIER_MISCONFIGURED:
			if (is_owners_trouble(event))
			{
				stores_failed = true;
				end_object(object, PUSH_POSTPONE,
						   sender_trouble(NameStr(object->server), object->owner), message);
			}
			else
				store_failed(object, event, message);
			break;
		case COURIER_CANCELLED:
			end_object(object, PUSH_POSTPONE, 0, NULL);
			break;
		case COURIER_RETRY:
		case COURIER_INTERNAL:
		default:
			fail_object(object, Max(claim_back_off(object->attempts), (double) event->retry_after),
						message);
			break;
	}
	pfree(message);
}

/* Records all that has ended.  Their objects are free then. */
static void
record_results(void)
{
	PushObject *ended[MOST_OBJECTS];
	int			count = 0;
	List	   *working = NIL;

	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		if (objects[i].stage == PUSH_ENDED)
			ended[count++] = &objects[i];
	}
	claim_record(ended, count);
	for (int i = 0; i < count; i++)
	{
		PushObject *object = ended[i];

		if (object->store_works)
		{
			sender_works(NameStr(object->server), object->owner);
			if (stores_failed)
				working = lappend(working, &object->server);
		}
		if (object->is_stored)
			write_back_stored(object->id, &object->pointer);
	}
	if (working != NIL)
		claim_recover(working);
	for (int i = 0; i < failure_count; i++)
		claim_rest(NameStr(failures[i].server), failures[i].message, failures[i].retry_after);
	failure_count = 0;
	for (int i = 0; i < count; i++)
		free_object(ended[i]);
	ended_since = 0;
}

/* --- transfers ------------------------------------------------------------ */

/*
 * Begins a transfer.  A key or a header that can't be sent is the object's
 * fault; nothing has been done then, and there is no transaction to be ended.
 */
static void
begin_transfer(PushObject *object)
{
	MemoryContext memory = CurrentMemoryContext;

	PG_TRY();
	{
		object->transfer = courier_begin(&object->request);
		object->stage = PUSH_RUNNING;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_INVALID_PARAMETER_VALUE)
			PG_RE_THROW();
		FlushErrorState();
		end_object(object, PUSH_DEAD, 0, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
}

/* Begins transfers of what is ready, as many as are allowed. */
static void
begin_transfers(void)
{
	uint64		most_bytes = (uint64) mediastore_push_inflight_bytes * 1024;
	TimestampTz now = GetCurrentTimestamp();
	uint64		bytes = 0;
	int			running = 0;

	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		if (objects[i].stage == PUSH_RUNNING)
		{
			running++;
			bytes += objects[i].request.length;
		}
	}
	for (int i = 0; i < MOST_OBJECTS; i++)
	{
		PushObject *object = &objects[i];

		if (running >= Min(mediastore_push_concurrency, COURIER_TRANSFERS))
			break;
		if (object->stage != PUSH_READY)
			continue;
		if (TimestampDifferenceExceeds(object->claimed_at, now, LONGEST_READY))
		{
			/* its lease would not last */
			end_object(object, PUSH_POSTPONE, 0, NULL);
			continue;
		}
		if (running > 0 && bytes + object->request.length > most_bytes)
			continue;
		begin_transfer(object);
		if (object->stage == PUSH_RUNNING)
		{
			running++;
			bytes += object->request.length;
		}
	}
}

/* Takes an event. */
static void
take_event(const CourierEvent *event)
{
	PushObject *object = find_transfer(event->transfer);

	switch (event->kind)
	{
		case COURIER_EVENT_WANT:
			if (want_count == (int) lengthof(wants))
				elog(ERROR, "courier wants more than it has slots for");
			wants[want_count].event = *event;
			wants[want_count++].object = object;
			break;
		case COURIER_EVENT_DATA:
			courier_taken(event);
			break;
		case COURIER_EVENT_RESULT:
			if (object != NULL)
				take_result(object, event);
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

/* Whether the queue is to be looked at, or results to be recorded. */
static bool
needs_statements(bool claim, TimestampTz now, long timeout)
{
	int			ended = count_stage(PUSH_ENDED);
	int			ready = count_stage(PUSH_READY);
	int			running = count_stage(PUSH_RUNNING);

	if (ended >= RECORDED_AT_ONCE || failure_count > 0 ||
		(ended > 0 && (running == 0 || !claim ||
					   TimestampDifferenceExceeds(ended_since, now, LONGEST_UNRECORDED))))
		return true;
	if (!claim)
		return false;
	/* whoever does not want to wait wants to be sure */
	if (timeout == 0)
		return true;
	if (look_wanted || (more_due && ready <= most_ready() / 2))
		return true;
	if (!more_due && next_due != 0 && next_due <= now)
		return true;
	if (write_back_next() != 0 && write_back_next() <= now)
		return true;
	return running + ready + ended == 0 && TimestampDifferenceExceeds(looked_at, now, LOOK_AGAIN);
}

/* Records, folds, claims.  False if the extension is gone. */
static bool
do_statements(bool claim)
{
	int			folded = 0;

	if (!OidIsValid(own_table("object")))
		return false;
	record_results();
	if (!claim)
		return true;
	if (!has_taken_over)
	{
		taken_over_until = claim_take_over();
		has_taken_over = true;
	}
	look_wanted = false;
	looked_at = GetCurrentTimestamp();
	while (folded < FOLDED_IN_ROUND)
	{
		int			count = fold_changes(FOLDED_AT_ONCE);

		CHECK_FOR_INTERRUPTS();
		if (count == 0)
			break;
		folded += count;
	}
	if (folded > 0)
		write_back_sweep();
	if (folded >= FOLDED_IN_ROUND)
		look_wanted = true;
	claim_more();
	write_back_find();
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
		for (int i = 0; i < MOST_OBJECTS; i++)
		{
			if (objects[i].stage == PUSH_READY)
				end_object(&objects[i], PUSH_POSTPONE, 0, NULL);
		}
	}
	if (want_count > 0 || needs_statements(claim, now, timeout))
	{
		begin_transaction();
		if (want_count > 0)
			read_values();
		if (needs_statements(claim, now, timeout))
			is_there = do_statements(claim);
		pusher_commit();
	}
	if (!is_there)
		return false;

	if (claim)
		begin_transfers();
	if (claim && write_back_due(now))
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
	bool		is_idle = courier_transfers() == 0 && count_stage(PUSH_READY) == 0;
	TimestampTz due = more_due ? 0 : next_due;

	if (write_back != 0 && (due == 0 || write_back < due))
		due = write_back;
	if (!claim)
		due = 0;
	if (is_idle && (count_stage(PUSH_ENDED) > 0 || (claim && (look_wanted || more_due))))
		timeout = 0;
	else if (claim && (look_wanted || (due != 0 && due <= now)))
		timeout = 0;
	else if (due != 0)
		timeout = Min(timeout, milliseconds_until(now, due));
	if (ended_since != 0)
		timeout = Min(timeout, LONGEST_UNRECORDED);

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
	if (courier_transfers() > 0 || count_stage(PUSH_READY) > 0 || count_stage(PUSH_ENDED) > 0 ||
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
	for (int i = 0; i < MOST_OBJECTS; i++)
		objects[i].memory = AllocSetContextCreate(pusher_memory, "mediastore object",
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
