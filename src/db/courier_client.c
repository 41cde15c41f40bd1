/*-------------------------------------------------------------------------
 *
 * courier_client.c
 *	  This process's end of the talk with its courier: transfers, slots and
 *	  events.
 *
 * What a courier tells is checked where it comes in (courier_talk.c); here its
 * text is made harmless before it is shown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "compat.h"
#include "courier_parts.h"
#include "courier_text.h"

/* What we show of a text of the courier's at most, bytes. */
#define TEXT_SHOWN		1000

#define LAST_SECOND		INT64CONST(253402300799)	/* of the year 9999 */

/* --- transfers ------------------------------------------------------------- */

int
courier_transfers(void)
{
	int			count = 0;

	for (int i = 0; courier != NULL && i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number != 0)
			count++;
	}
	return count;
}

/* Raises if a header's value can't be sent. */
static void
check_header(const char *name, const char *value)
{
	if (value != NULL && !courier_text_is_header(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s can't be sent to a store", name),
				 errhint("It must be printable ASCII, without blanks at its ends, and not empty.")));
}

static void
add_headers(CourierText *text, const CourierRequest *request)
{
	char		sha256[PG_SHA256_DIGEST_STRING_LENGTH];

	for (int i = 0; i < PG_SHA256_DIGEST_LENGTH; i++)
		snprintf(sha256 + 2 * i, 3, "%02x", request->sha256[i]);
	courier_text_add(text, "sha256", sha256);

	check_header("content_type", request->content_type);
	check_header("cache_control", request->cache_control);
	check_header("content_disposition", request->content_disposition);
	courier_text_add(text, "content_type", request->content_type);
	courier_text_add(text, "cache_control", request->cache_control);
	courier_text_add(text, "content_disposition", request->content_disposition);
	for (int i = 0; i < request->metadata_count; i++)
	{
		const CourierMeta *meta = &request->metadata[i];

		if (!courier_text_is_token(meta->name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a name of metadata can't be sent to a store"),
					 errhint("It is made of letters, digits, \"-\", \"_\" and the like.")));
		check_header("metadata", meta->value);
		courier_text_add_named(text, "meta-", meta->name, meta->value);
	}
}

uint32
courier_begin(const CourierRequest *request)
{
	Transfer   *transfer = NULL;
	bool		known = false;
	CourierFrame frame;
	CourierText text;
	StoreError	error;

	/* the prefix, and what the store's type asks for, are the courier's to check */
	if ((request->operation != COURIER_LIST || request->key[0] != '\0') &&
		!store_key_check(NULL, request->key, false, &error))
		store_raise(&error);

	if (courier == NULL)
		elog(ERROR, "there is no courier");
	for (int i = 0; transfer == NULL && i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number == 0)
			transfer = &courier->transfers[i];
	}
	if (transfer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many transfers are under way"),
				 errdetail("There can be %d.", COURIER_TRANSFERS)));

	memset(&text, 0, sizeof(text));
	text.bytes = courier->outgoing;
	courier_text_add(&text, "key", request->key);
	if (request->concurrency > 0)
	{
		char		number[12];

		snprintf(number, sizeof(number), "%d", request->concurrency);
		courier_text_add(&text, "concurrency", number);
	}
	if (request->operation == COURIER_PUT)
		add_headers(&text, request);
	if (text.overflow)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("headers of an object are too long")));

	memset(transfer, 0, sizeof(*transfer));
	transfer->number = ++courier->last_transfer;
	transfer->store = request->store;
	transfer->operation = request->operation;
	transfer->total = request->operation == COURIER_PUT ? request->length : 0;

	for (int i = 0; i < COURIER_STORES; i++)
		known = known || (request->store != 0 && courier->stores[i].number == request->store);
	if (!known || !courier_is_alive())
	{
		if (!known && courier_is_alive())
			strlcpy(courier->why_lost, "courier process does not know the store", sizeof(courier->why_lost));
		courier_enqueue_lost(transfer);
		return transfer->number;
	}

	memset(&frame, 0, sizeof(frame));
	frame.transfer = transfer->number;
	frame.store = request->store;
	frame.operation = request->operation;
	frame.length = transfer->total;
	frame.flags = request->if_none_match ? COURIER_IF_NONE_MATCH : 0;
	courier_send(&frame, COURIER_BEGIN, text.bytes, text.length);
	return frame.transfer;
}

void
courier_abandon(void)
{
	if (courier_transfers() == 0)
		return;
	if (courier_is_alive())
		helper_end(courier->process);
	for (int i = 0; i < courier->queue_length; i++)
	{
		char	   *text = courier->queue[(courier->queue_start + i) % QUEUE_SIZE].text;

		if (text != NULL)
			pfree(text);
	}
	courier->queue_length = 0;
	memset(courier->transfers, 0, sizeof(courier->transfers));
	memset(courier->stores, 0, sizeof(courier->stores));
	memset(courier->holders, 0, sizeof(courier->holders));
}

/* --- slots ----------------------------------------------------------------- */

/* Whether a slot is what it was when the event was given out. */
static bool
holds_slot(const CourierEvent *event)
{
	return courier_is_alive() && event->slot < COURIER_SLOTS &&
		courier->holders[event->slot] == event->transfer;
}

static uint64
place_in_arena(const CourierEvent *event, uint64 done, size_t length)
{
	if (done > event->length || length > event->length - done)
		elog(ERROR, "bytes lie outside of a slot");
	return event->slot * COURIER_SLOT_SIZE + done;
}

void
courier_write(const CourierEvent *event, uint64 done, const void *bytes, size_t length)
{
	uint64		place = place_in_arena(event, done, length);

	if (holds_slot(event))
		helper_write(courier->process, place, bytes, length);
}

void
courier_read(const CourierEvent *event, uint64 done, void *bytes, size_t length)
{
	uint64		place = place_in_arena(event, done, length);

	/* else the RESULT will tell that it is lost */
	if (holds_slot(event))
		helper_read(courier->process, place, bytes, length, NULL);
	else
		memset(bytes, 0, length);
}

/* The slot is the courier's again, even if its transfer has ended meanwhile. */
static void
give_back(const CourierFrame *slot, CourierKind kind, uint64 length)
{
	CourierFrame frame;

	memset(&frame, 0, sizeof(frame));
	frame.transfer = slot->transfer;
	frame.slot = slot->slot;
	frame.offset = slot->offset;
	frame.length = length;
	courier->holders[slot->slot] = 0;
	courier_send(&frame, kind, NULL, 0);
}

static void
give_event_back(const CourierEvent *event, CourierKind kind, uint64 length)
{
	CourierFrame slot;

	if (!holds_slot(event))
		return;
	memset(&slot, 0, sizeof(slot));
	slot.transfer = event->transfer;
	slot.slot = event->slot;
	slot.offset = event->offset;
	give_back(&slot, kind, length);
}

void
courier_filled(const CourierEvent *event, bool good)
{
	give_event_back(event, COURIER_FILLED, good ? event->length : 0);
}

void
courier_taken(const CourierEvent *event)
{
	give_event_back(event, COURIER_TAKEN, event->length);
}

/* --- events ---------------------------------------------------------------- */

/* Reads the fields of a RESULT. */
static void
read_fields(CourierEvent *event, const char *text, size_t length)
{
	const char *at = text;
	const char *name;
	const char *value;

	while (courier_text_next(&at, text + length, &name, &value))
	{
		const char **field = NULL;

		if (strcmp(name, "message") == 0)
			field = &event->message;
		else if (strcmp(name, "hint") == 0)
			field = &event->hint;
		else if (strcmp(name, "code") == 0)
			field = &event->code;
		else if (strcmp(name, "etag") == 0)
			field = &event->etag;
		else if (strcmp(name, "content_type") == 0)
			field = &event->content_type;
		else if (strcmp(name, "cache_control") == 0)
			field = &event->cache_control;
		if (field != NULL)
			*field = courier_text_tame(value, TEXT_SHOWN);
		else if (strncmp(name, "meta-", 5) == 0)
		{
			CourierMeta *meta = palloc(sizeof(CourierMeta));

			meta->name = courier_text_tame(name + 5, TEXT_SHOWN);
			meta->value = courier_text_tame(value, COURIER_TEXT_MOST);
			event->metadata = lappend(event->metadata, meta);
		}
	}
}

static void
make_result(CourierEvent *event, const QueuedFrame *queued)
{
	const CourierFrame *frame = &queued->frame;

	event->kind = COURIER_EVENT_RESULT;
	event->status = (CourierStatus) frame->status;
	event->http_status = frame->http_status > 0 && frame->http_status < 1000 ? frame->http_status : 0;
	event->retry_after = frame->retry_after;
	if (event->retry_after < -1)
		event->retry_after = -1;
	event->last_modified = frame->time > 0 && frame->time <= LAST_SECOND ? frame->time : 0;
	event->message = "";
	if (queued->lost)
	{
		event->message = pstrdup(courier->why_lost);
		event->hint = courier->lost_hint;
		event->code = "CourierDied";
	}
	else if (queued->text != NULL)
		read_fields(event, queued->text, frame->text_length);
	if (event->status != COURIER_OK && event->message[0] == '\0')
		event->message = "unknown reason";
}

/* Takes the next event out of the queue; false if there is none. */
static bool
take_event(CourierEvent *event)
{
	while (courier != NULL && courier->queue_length > 0)
	{
		QueuedFrame queued = courier->queue[courier->queue_start];
		Transfer   *transfer = courier_find(queued.frame.transfer);

		courier->queue_start = (courier->queue_start + 1) % QUEUE_SIZE;
		courier->queue_length--;
		event->transfer = queued.frame.transfer;
		event->slot = queued.frame.slot;
		event->offset = queued.frame.offset;
		event->length = queued.frame.length;

		switch (queued.frame.kind)
		{
			case COURIER_WANT:
				if (transfer == NULL || transfer->ended)
				{
					/* nobody needs them any more */
					give_back(&queued.frame, COURIER_FILLED, 0);
					continue;
				}
				event->kind = COURIER_EVENT_WANT;
				return true;
			case COURIER_DATA:
				event->kind = COURIER_EVENT_DATA;
				return true;
			default:
				make_result(event, &queued);
				if (queued.text != NULL)
					pfree(queued.text);
				if (transfer != NULL)
					memset(transfer, 0, sizeof(*transfer));
				if (courier->process != NULL)
					courier->process->requests++;
				return true;
		}
	}
	return false;
}

void
courier_next(CourierEvent *event, long timeout, bool wake)
{
	instr_time	begun;

	memset(event, 0, sizeof(*event));
	event->kind = COURIER_EVENT_NONE;
	event->retry_after = -1;

	INSTR_TIME_SET_CURRENT(begun);
	for (;;)
	{
		long		left = -1;

		CHECK_FOR_INTERRUPTS();
		if (take_event(event))
			return;
		if (courier_receive())
			continue;
		if (timeout >= 0 && (left = timeout - courier_elapsed(begun)) <= 0)
			return;
		/* nothing could ever come */
		if (timeout < 0 && !wake && courier_transfers() == 0)
			return;

		if (courier_wait(WL_SOCKET_READABLE, left) & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			if (wake)
			{
				CHECK_FOR_INTERRUPTS();
				return;
			}
		}
	}
}
