/*-------------------------------------------------------------------------
 *
 * pusher_objects.c
 *	  The objects the pusher has claimed: what is sent, and what comes of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "claim.h"
#include "courier_client.h"
#include "pusher_objects.h"
#include "sender.h"
#include "write_back.h"

/* What was claimed so long ago (ms) is not begun any more. */
#define LONGEST_READY	(30 * 1000)

/* The courier ends a transfer that takes too long; it may be late by so much (ms). */
#define LONGEST_OVERDUE	(10 * 1000)

/*
 * Transfers that wait for their turn at the courier, if there are some: more of
 * them the smaller they are, so that it has something to do for as long as our
 * statements take.
 */
#define LEAST_AHEAD		16
#define MOST_AHEAD		32
#define AHEAD_OF_EACH	4
#define BYTES_AHEAD		((uint64) 8 * 1024 * 1024)

/* How soon what could not be read for a lock is tried again, in seconds. */
#define LOCKED_SECONDS	1.0

/* How often a place that does not hold the bytes is asked for them. */
#define MISSING_TRIES	3
#define MISSING_DELAY	0.2
#define MISSING_MESSAGE	"no row holds the value any more"

/* A store that has failed, which is not recorded yet. */
typedef struct Failure
{
	NameData	server;
	char		message[1000];
	int			retry_after;	/* seconds, or -1 */
} Failure;

static Failure failures[8];
static int	failure_count = 0;

PushObject	push_objects[PUSH_OBJECTS];
bool		push_stores_failed = false;
TimestampTz push_ended_since = 0;

/* --- objects -------------------------------------------------------------- */

int
push_most_begun(void)
{
	int			ahead = Min(AHEAD_OF_EACH * mediastore_push_concurrency, MOST_AHEAD);

	ahead = Max(ahead, Max(mediastore_push_concurrency, LEAST_AHEAD));
	return Min(mediastore_push_concurrency + ahead, COURIER_TRANSFERS);
}

int
push_count(PushStage stage)
{
	int			count = 0;

	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		if (push_objects[i].stage == stage)
			count++;
	}
	return count;
}

/* Makes an object free, for another one. */
static void
push_free(PushObject *object)
{
	MemoryContext memory = object->memory;

	if (object->stage == PUSH_FREE)
		return;
	MemoryContextReset(memory);
	memset(object, 0, sizeof(*object));
	object->memory = memory;
}

PushObject *
push_find_transfer(uint32 transfer)
{
	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		if (push_objects[i].stage == PUSH_RUNNING && push_objects[i].transfer == transfer)
			return &push_objects[i];
	}
	return NULL;
}

/* A try has ended; message is copied. */
void
push_end(PushObject *object, PushOutcome outcome, double delay, const char *message)
{
	object->outcome = outcome;
	object->delay = delay;
	object->message = message == NULL ? NULL : MemoryContextStrdup(object->memory, message);
	object->stage = PUSH_ENDED;
	if (push_ended_since == 0)
		push_ended_since = GetCurrentTimestamp();
}

/* A failure that counts: later again, or given up. */
static void
fail_object(PushObject *object, double delay, const char *message)
{
	push_end(object, object->attempts >= mediastore_max_attempts ? PUSH_DEAD : PUSH_RETRY,
			 delay, message);
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
	push_end(object, PUSH_POSTPONE, delay, sender->error->message);
	if (sender->is_noted)
		return;
	sender->is_noted = true;
	sender->delay = delay;
	push_stores_failed = true;
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
void
push_prepare(PushObject **claimed, int count)
{
	List	   *senders = NIL;

	for (int i = 0; i < count; i++)
	{
		PushObject *object = claimed[i];
		Sender	   *sender = sender_find(&senders, NameStr(object->server), object->owner, true);

		if (sender->store == NULL)
			cannot_send(object, sender);
		else if (!object->is_delete && !object->has_place)
			push_end(object, object->attempts < MISSING_TRIES ? PUSH_RETRY : PUSH_DEAD, MISSING_DELAY,
					 MISSING_MESSAGE);
		else
			make_request(object, sender);
	}
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
	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		if (push_objects[i].stage == PUSH_READY && namestrcmp(&push_objects[i].server, NameStr(object->server)) == 0)
			push_end(&push_objects[i], PUSH_POSTPONE, 0, NULL);
	}
	push_end(object, PUSH_POSTPONE, 0, message);
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
			push_end(object, PUSH_POSTPONE, LOCKED_SECONDS, "table of the value is locked");
			break;
		case PUSH_LOSS_MISSING:
			push_end(object, object->attempts < MISSING_TRIES ? PUSH_RETRY : PUSH_DEAD,
					 MISSING_DELAY, MISSING_MESSAGE);
			break;
		case PUSH_LOSS_ERROR:
			fail_object(object, claim_back_off(object->attempts), object->loss_message);
			break;
		default:
			fail_object(object, LOCKED_SECONDS, "value of the row is not the one that was attached");
			break;
	}
}

/* Has an object sent (again) as its request says by now. */
static void
go_on(PushObject *object)
{
	object->claimed_at = GetCurrentTimestamp();
	object->stage = PUSH_READY;
}

/*
 * By an object's key there is something at the store.  It is taken to be what
 * was to be put there only if it says so itself; else it is put over it.
 */
static void
take_existing(PushObject *object, const CourierEvent *event)
{
	bool		same = event->status == COURIER_OK && event->length == object->bytes;
	bool		has_sum = false;
	ListCell   *cell;

	foreach(cell, event->metadata)
	{
		const CourierMeta *meta = (const CourierMeta *) lfirst(cell);
		uint8		sha256[sizeof(object->sha256)];

		if (strcmp(meta->name, "sha256") == 0 && strlen(meta->value) == 2 * sizeof(sha256) &&
			strspn(meta->value, "0123456789abcdef") == 2 * sizeof(sha256))
		{
			(void) hex_decode(meta->value, 2 * sizeof(sha256), (char *) sha256);
			has_sum = memcmp(sha256, object->sha256, sizeof(sha256)) == 0;
		}
	}
	if (same && has_sum)
	{
		if (event->etag != NULL)
			object->etag = MemoryContextStrdup(object->memory, event->etag);
		push_end(object, PUSH_DONE, 0, NULL);
		return;
	}
	object->request.operation = COURIER_PUT;
	object->request.if_none_match = false;
	go_on(object);
}

/* A transfer has ended. */
void
push_take_result(PushObject *object, const CourierEvent *event)
{
	char	   *message = event->hint == NULL ? pstrdup(event->message) :
		psprintf("%s (%s)", event->message, event->hint);

	object->transfer = 0;
	switch (event->status)
	{
		case COURIER_OK:
		case COURIER_ABSENT:
			object->store_works = true;
			if (object->request.operation == COURIER_HEAD)
			{
				take_existing(object, event);
				break;
			}
			/* nothing is put where there is nothing */
			if (event->status == COURIER_ABSENT && !object->is_delete)
			{
				fail_object(object, claim_back_off(object->attempts), message);
				break;
			}
			if (event->etag != NULL)
				object->etag = MemoryContextStrdup(object->memory, event->etag);
			push_end(object, PUSH_DONE, 0, NULL);
			break;
		case COURIER_EXISTS:
			object->store_works = true;
			if (object->request.if_none_match)
			{
				object->request.operation = COURIER_HEAD;
				go_on(object);
			}
			else
				fail_object(object, claim_back_off(object->attempts), message);
			break;
		case COURIER_REFUSED:
			object->store_works = true;
			push_end(object, PUSH_DEAD, 0, message);
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
				push_stores_failed = true;
				push_end(object, PUSH_POSTPONE,
						 sender_trouble(NameStr(object->server), object->owner), message);
			}
			else
				store_failed(object, event, message);
			break;
		case COURIER_CANCELLED:
			push_end(object, PUSH_POSTPONE, 0, NULL);
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
void
push_record(void)
{
	PushObject *ended[PUSH_OBJECTS];
	int			count = 0;
	List	   *working = NIL;

	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		if (push_objects[i].stage == PUSH_ENDED)
			ended[count++] = &push_objects[i];
	}
	claim_record(ended, count);
	for (int i = 0; i < count; i++)
	{
		PushObject *object = ended[i];

		if (object->store_works)
		{
			sender_works(NameStr(object->server), object->owner);
			if (push_stores_failed)
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
		push_free(ended[i]);
	push_ended_since = 0;
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
		object->request.concurrency = mediastore_push_concurrency;
		object->transfer = courier_begin(&object->request);
		object->begun_at = GetCurrentTimestamp();
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
		push_end(object, PUSH_DEAD, 0, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
}

/* Begins transfers of what is ready, as many as are allowed. */
void
push_begin(void)
{
	uint64		most_bytes = (uint64) mediastore_push_inflight_bytes * 1024;
	TimestampTz now = GetCurrentTimestamp();
	uint64		bytes = 0;
	int			running = 0;

	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		if (push_objects[i].stage == PUSH_RUNNING)
		{
			/* whoever catches this kills it */
			if (TimestampDifferenceMilliseconds(push_objects[i].begun_at, now) - LONGEST_OVERDUE >
				mediastore_transfer_timeout)
				ereport(ERROR,
						(errcode(ERRCODE_SYSTEM_ERROR),
						 errmsg("courier process does not answer"),
						 errhint("The folder of a store of type file may be on a file system that hangs.")));
			running++;
			bytes += push_objects[i].request.length;
		}
	}

	/* as long as the courier has some that wait, it has time: for many at once */
	if (running > (push_most_begun() + mediastore_push_concurrency) / 2)
		return;
	for (int i = 0; i < PUSH_OBJECTS; i++)
	{
		PushObject *object = &push_objects[i];

		if (running >= push_most_begun())
			break;
		if (object->stage != PUSH_READY)
			continue;
		if (TimestampDifferenceExceeds(object->claimed_at, now, LONGEST_READY))
		{
			/* its lease would not last */
			push_end(object, PUSH_POSTPONE, 0, NULL);
			continue;
		}
		if (running > 0 && bytes + object->request.length > most_bytes)
			continue;
		if (running >= mediastore_push_concurrency + LEAST_AHEAD &&
			bytes + object->request.length > BYTES_AHEAD)
			continue;
		begin_transfer(object);
		if (object->stage == PUSH_RUNNING)
		{
			running++;
			bytes += object->request.length;
		}
	}
}

bool
push_has_failures(void)
{
	return failure_count > 0;
}

void
push_forget(void)
{
	for (int i = 0; i < PUSH_OBJECTS; i++)
		push_free(&push_objects[i]);
	failure_count = 0;
	push_ended_since = 0;
}
