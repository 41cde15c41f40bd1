/*-------------------------------------------------------------------------
 *
 * courier_client.c
 *	  This process's end of the talk with its courier.
 *
 * The courier speaks to strangers, so nothing it says is believed: a frame has
 * a length, a kind, a transfer and a slot that it may have, and its text is
 * checked before it is read and made harmless before it is shown.
 *
 * Frames that come are put in a queue, whose length is bounded by the slots
 * (each of which is given to us by one frame until we give it back) and the
 * transfers (each of which ends once).  So frames can be taken at any time,
 * while we wait to send one for instance: neither side ever waits for the other
 * to read first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "../mediastore.h"
#include "compat.h"
#include "courier_client.h"
#include "courier_text.h"
#include "credentials.h"
#include "helper_process.h"

/* Loading the libraries takes milliseconds; this is for a machine in trouble. */
#define START_TIMEOUT	(30 * 1000)

/* What we show of a text of the courier's at most, bytes. */
#define TEXT_SHOWN		1000

#define QUEUE_SIZE		(COURIER_SLOTS + COURIER_TRANSFERS)

#define LAST_SECOND		INT64CONST(253402300799)	/* of the year 9999 */

typedef struct Transfer
{
	uint32		number;			/* 0: this place is free */
	uint32		store;
	CourierOperation operation;
	uint64		total;			/* of a PUT: its bytes */
	uint64		received;		/* of a GET or LIST, so far */
	bool		ended;			/* its RESULT is in the queue */
} Transfer;

/* A store that the courier knows. */
typedef struct KnownStore
{
	uint32		number;			/* 0: this place is free */
	Oid			server;
	Oid			user;			/* whose credentials these are */
	uint8		digest[PG_SHA256_DIGEST_LENGTH];	/* of what it was told */
	uint64		used;			/* larger: later */
} KnownStore;

typedef struct QueuedFrame
{
	CourierFrame frame;
	char	   *text;			/* in TopMemoryContext, or NULL */
	bool		lost;			/* a RESULT that the courier owed us */
} QueuedFrame;

typedef struct Courier
{
	HelperProcess *process;		/* NULL: there never was one */
	uint32		starts;			/* which of its lives the rest is about */
	Transfer	transfers[COURIER_TRANSFERS];
	KnownStore	stores[COURIER_STORES];
	uint32		holders[COURIER_SLOTS]; /* for which transfer we hold a slot;
										 * 0: it is the courier's */
	QueuedFrame queue[QUEUE_SIZE];	/* a ring */
	int			queue_start;
	int			queue_length;
	uint32		last_transfer;
	uint32		last_store;
	uint64		last_use;		/* of a store */
	instr_time	last_sent;
	char		why_lost[200];
	const char *lost_hint;		/* or NULL */
	struct
	{
		CourierFrame frame;
		char		text[COURIER_TEXT_MOST];
	}			incoming;
	char		outgoing[COURIER_TEXT_MOST];
} Courier;

static Courier *courier = NULL;

/* --- what is under way ---------------------------------------------------- */

static bool
is_alive(void)
{
	return courier != NULL && courier->process != NULL && courier->process->pid != 0 &&
		courier->process->starts == courier->starts;
}

static Transfer *
find_transfer(uint32 number)
{
	for (int i = 0; courier != NULL && number != 0 && i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number == number)
			return &courier->transfers[i];
	}
	return NULL;
}

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

static void
enqueue(const CourierFrame *frame, char *text, bool lost)
{
	QueuedFrame *queued;

	Assert(courier->queue_length < QUEUE_SIZE);
	queued = &courier->queue[(courier->queue_start + courier->queue_length++) % QUEUE_SIZE];
	queued->frame = *frame;
	queued->text = text;
	queued->lost = lost;
}

static void
enqueue_lost(Transfer *transfer)
{
	CourierFrame frame;

	memset(&frame, 0, sizeof(frame));
	frame.kind = COURIER_RESULT;
	frame.transfer = transfer->number;
	frame.status = COURIER_RETRY;
	frame.retry_after = -1;
	transfer->ended = true;
	enqueue(&frame, NULL, true);
}

static void lose_all(const char *hint, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/*
 * The courier is gone.  What it had told before is told still, but for bytes,
 * which it had in its arena; all else is lost.
 */
static void
lose_all(const char *hint, const char *format,...)
{
	va_list		arguments;
	int			kept = 0;

	va_start(arguments, format);
	vsnprintf(courier->why_lost, sizeof(courier->why_lost), format, arguments);
	va_end(arguments);
	courier->lost_hint = hint;

	memset(courier->stores, 0, sizeof(courier->stores));
	memset(courier->holders, 0, sizeof(courier->holders));
	for (int i = 0; i < courier->queue_length; i++)
	{
		QueuedFrame *queued = &courier->queue[(courier->queue_start + i) % QUEUE_SIZE];

		if (queued->frame.kind == COURIER_RESULT)
			courier->queue[(courier->queue_start + kept++) % QUEUE_SIZE] = *queued;
	}
	courier->queue_length = kept;

	/*
	 * A GET whose last bytes were in the queue has not got them, whatever its
	 * RESULT says; its user sees the gap and has to be told why.
	 */
	for (int i = 0; i < kept; i++)
	{
		QueuedFrame *queued = &courier->queue[(courier->queue_start + i) % QUEUE_SIZE];
		Transfer   *transfer = find_transfer(queued->frame.transfer);

		if (!queued->lost && transfer != NULL &&
			(transfer->operation == COURIER_GET || transfer->operation == COURIER_LIST) &&
			queued->frame.status == COURIER_OK)
		{
			if (queued->text != NULL)
				pfree(queued->text);
			queued->text = NULL;
			queued->frame.status = COURIER_RETRY;
			queued->lost = true;
		}
	}
	for (int i = 0; i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number != 0 && !courier->transfers[i].ended)
			enqueue_lost(&courier->transfers[i]);
	}
}

/* It broke the rules. */
static void
violation(const char *what)
{
	helper_end(courier->process);
	ereport(LOG,
			(errmsg("courier process broke the protocol"),
			 errdetail_internal("%s", what)));
	lose_all("What a store sent may have been made to attack; the server was not affected.",
			 "courier process broke the protocol");
}

/* Its socket has ended. */
static void
ended(void)
{
	bool		greeted = courier->process->greeted;
	int			status;

	if (!helper_wait(courier->process, &status))
		lose_all(NULL, "courier process closed its socket");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		lose_all("The system may be short of memory; its log would tell.",
				 "courier process was killed");
	else if (WIFSIGNALED(status))
		lose_all(NULL, "courier process was terminated by signal %d: %s", WTERMSIG(status),
				 pg_strsignal(WTERMSIG(status)));
	else if (!greeted)
		lose_all("Run the program \"mediastore-courier\", beside the module, by hand to see whether its libraries are found.",
				 "courier process could not start (exit status %d)", WEXITSTATUS(status));
	else
		lose_all(NULL, "courier process ended (exit status %d)", WEXITSTATUS(status));
}

/* --- what it says ---------------------------------------------------------- */

/* Looks at a frame and takes what it says; NULL, or what is wrong with it. */
static const char *
take_frame(const CourierFrame *frame, const char *text, size_t length)
{
	Transfer   *transfer;
	char	   *copy = NULL;

	if (frame->magic != COURIER_MAGIC || frame->version != COURIER_VERSION)
		return "A frame has a wrong mark or version.";
	if (frame->text_length != length)
		return "A frame has a wrong size.";
	if (frame->kind == COURIER_HELLO)
	{
		if (courier->process->greeted)
			return "A second greeting.";
		courier->process->greeted = true;
		return NULL;
	}
	if (frame->kind == COURIER_GOODBYE)
	{
		helper_end(courier->process);
		lose_all(NULL, "courier process has left");
		return NULL;
	}
	if (!courier->process->greeted)
		return "A frame comes before the greeting.";

	transfer = find_transfer(frame->transfer);
	if (transfer == NULL || transfer->ended)
		return "A frame is of no transfer that is under way.";

	switch (frame->kind)
	{
		case COURIER_WANT:
		case COURIER_DATA:
			if (frame->slot >= COURIER_SLOTS || courier->holders[frame->slot] != 0)
				return "A slot is not the courier's to give.";
			if (frame->length == 0 || frame->length > COURIER_SLOT_SIZE)
				return "A slot's content has a wrong length.";
			if (frame->kind == COURIER_WANT)
			{
				if (transfer->operation != COURIER_PUT || frame->offset > transfer->total ||
					frame->length > transfer->total - frame->offset)
					return "Bytes are wanted that there are not.";
			}
			else
			{
				if (transfer->operation != COURIER_GET && transfer->operation != COURIER_LIST)
					return "Bytes come that nobody asked for.";
				if (frame->offset != transfer->received)
					return "Bytes come out of order.";
				transfer->received += frame->length;
			}
			courier->holders[frame->slot] = transfer->number;
			break;
		case COURIER_RESULT:
			if (frame->status > COURIER_INTERNAL)
				return "A result has an unknown status.";
			if (!courier_text_check(text, length))
				return "A result's text is damaged.";
			if (frame->status == COURIER_OK && transfer->operation == COURIER_GET &&
				frame->length != transfer->received)
				return "An object has another length than what came of it.";
			if (length > 0)
			{
				copy = MemoryContextAlloc(TopMemoryContext, length);
				memcpy(copy, text, length);
			}
			transfer->ended = true;
			break;
		default:
			return "A frame is of an unknown kind.";
	}
	enqueue(frame, copy, false);
	return NULL;
}

/*
 * Takes a frame if there is one, or sees that the courier is gone; false if
 * there is nothing new.
 */
static bool
receive(void)
{
	bool		was_reset = false;

	if (!is_alive())
	{
		/* reaped at the end of a transaction */
		for (int i = 0; courier != NULL && i < COURIER_TRANSFERS; i++)
		{
			if (courier->transfers[i].number != 0 && !courier->transfers[i].ended)
			{
				lose_all(NULL, "courier process has ended");
				return true;
			}
		}
		return false;
	}

	for (;;)
	{
		ssize_t		length = recv(courier->process->socket, &courier->incoming,
								  sizeof(courier->incoming), MSG_DONTWAIT | MSG_TRUNC);
		const char *wrong;

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (length < 0 && errno == ECONNRESET && !was_reset)
		{
			/* it left without reading what we sent; what it said is next */
			was_reset = true;
			continue;
		}
		if (length <= 0)
		{
			ended();
			return true;
		}
		if (length < (ssize_t) sizeof(CourierFrame) || length > (ssize_t) sizeof(courier->incoming))
			wrong = "A frame has a wrong size.";
		else
			wrong = take_frame(&courier->incoming.frame, courier->incoming.text,
							   (size_t) length - sizeof(CourierFrame));
		if (wrong != NULL)
			violation(wrong);
		return true;
	}
}

/*
 * Waits for the courier's socket (WL_SOCKET_READABLE, perhaps
 * WL_SOCKET_WRITEABLE too) and the latch; timeout in milliseconds, or -1.
 */
static int
wait_for(int socket_events, long timeout)
{
	static uint32 wait_event = 0;
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0);

	if (wait_event == 0)
		wait_event = mediastore_wait_event_new("MediastoreCourier");
	if (!is_alive())
		return WaitLatch(MyLatch, events, timeout, wait_event);
	return WaitLatchOrSocket(MyLatch, events | socket_events, courier->process->socket, timeout,
							 wait_event);
}

/* --- what it is told ------------------------------------------------------- */

/*
 * Sends a frame.  If the courier is gone, it is not: whoever receives next finds
 * out why.
 */
static void
send_frame(CourierFrame *frame, CourierKind kind, char *text, size_t text_length)
{
	struct iovec parts[2];
	struct msghdr message;
	bool		latch_was_set = false;

	frame->magic = COURIER_MAGIC;
	frame->version = COURIER_VERSION;
	frame->kind = kind;
	frame->text_length = (uint32) text_length;
	parts[0].iov_base = frame;
	parts[0].iov_len = sizeof(*frame);
	parts[1].iov_base = text;
	parts[1].iov_len = text_length;
	memset(&message, 0, sizeof(message));
	message.msg_iov = parts;
	message.msg_iovlen = text_length > 0 ? 2 : 1;

	while (is_alive())
	{
		if (sendmsg(courier->process->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		{
			INSTR_TIME_SET_CURRENT(courier->last_sent);
			break;
		}
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET)
			break;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not send to courier process: %m"),
					 errhint("The system may be short of memory.")));

		/* it may be waiting for us, too */
		CHECK_FOR_INTERRUPTS();
		if (!receive() && (wait_for(WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE, -1) & WL_LATCH_SET))
		{
			ResetLatch(MyLatch);
			latch_was_set = true;
		}
	}

	/* whoever waits for the latch shall see it */
	if (latch_was_set)
		SetLatch(MyLatch);
}

/* Milliseconds since a time. */
static long
elapsed(instr_time since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return (long) INSTR_TIME_GET_MILLISEC(now);
}

/* Waits for the greeting of a new courier. */
static void
greet(void)
{
	CourierFrame frame;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	memset(&frame, 0, sizeof(frame));
	send_frame(&frame, COURIER_HELLO, NULL, 0);
	while (is_alive() && !courier->process->greeted)
	{
		long		left = START_TIMEOUT - elapsed(start);

		CHECK_FOR_INTERRUPTS();
		if (receive())
			continue;
		if (left <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("courier process did not start within %d ms", START_TIMEOUT),
					 errhint("The system may be overloaded.")));
		if (wait_for(WL_SOCKET_READABLE, left) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
	if (!is_alive())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("%s", courier->why_lost),
				 courier->lost_hint != NULL ? errhint("%s", courier->lost_hint) : 0));
}

/* Sees to it that there is a courier.  Raises if there can't be. */
static void
start(void)
{
	if (courier == NULL)
		courier = MemoryContextAllocZero(TopMemoryContext, sizeof(Courier));

	if (courier_transfers() > 0)
	{
		/* what is lost is to be told before there is another */
		(void) receive();
		if (is_alive())
			return;
	}
	else if (is_alive())
	{
		/* one that is about to leave would not see what it is sent */
		long		limit = courier->process->idle * 1000L;

		if (elapsed(courier->last_sent) >= limit - Min(limit / 2, 1000))
			helper_end(courier->process);
	}

	courier->process = helper_get(HELPER_COURIER);
	if (courier->process->starts == courier->starts)
		return;
	courier->starts = courier->process->starts;
	memset(courier->stores, 0, sizeof(courier->stores));
	memset(courier->holders, 0, sizeof(courier->holders));
	PG_TRY();
	{
		greet();
	}
	PG_CATCH();
	{
		helper_end(courier->process);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* --- stores ---------------------------------------------------------------- */

static void
add_milliseconds(CourierText *text, const char *name, int value)
{
	char		digits[16];

	snprintf(digits, sizeof(digits), "%d", value);
	courier_text_add(text, name, digits);
}

static const char *
style_name(StoreStyle style)
{
	return style == STORE_STYLE_PATH ? "path" : style == STORE_STYLE_VIRTUAL ? "virtual" : "auto";
}

/* All that the courier needs to know of a store, the credentials included. */
static void
describe_store(CourierText *text, const StoreServer *store)
{
	const StoreBucket *bucket = &store->bucket;
	StoreCredentials credentials;

	if (store->type == STORE_TYPE_FILE)
	{
		courier_text_add(text, "type", "file");
		courier_text_add(text, "root", store->root);
		courier_text_add(text, "prefix", bucket->prefix);
	}
	else
	{
		courier_text_add(text, "type", "s3");
		courier_text_add(text, "endpoint", bucket->endpoint);
		courier_text_add(text, "region", bucket->region);
		courier_text_add(text, "bucket", bucket->bucket);
		courier_text_add(text, "prefix", bucket->prefix);
		courier_text_add(text, "style", style_name(bucket->style));
		courier_text_add(text, "storage_class", store->storage_class);
		courier_text_add(text, "server_side_encryption", store->server_side_encryption);
		courier_text_add(text, "kms_key_id", store->kms_key_id);
		courier_text_add(text, "checksum", store->checksum ? "true" : NULL);
		courier_text_add(text, "content_md5", store->content_md5 ? "true" : NULL);
		courier_text_add(text, "private",
						 store->private_network || mediastore_private_networks ? "true" : NULL);
		credentials_find(&credentials, store->server, store->profile);
		courier_text_add(text, "access_key_id", credentials.access_key_id);
		courier_text_add(text, "secret_access_key", credentials.secret_access_key);
		courier_text_add(text, "session_token", credentials.session_token);
		credentials_wipe(&credentials);
	}
	add_milliseconds(text, "connect_timeout", mediastore_connect_timeout);
	add_milliseconds(text, "transfer_timeout", mediastore_transfer_timeout);
	add_milliseconds(text, "stall_timeout", mediastore_stall_timeout);
}

static void
digest_text(const CourierText *text, uint8 *digest)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	bool		failed = context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text->bytes, text->length) < 0 ||
		pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0;

	pg_cryptohash_free(context);
	if (failed)
		elog(ERROR, "could not compute a SHA-256 hash");
}

static bool
is_in_use(uint32 store)
{
	for (int i = 0; i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number != 0 && !courier->transfers[i].ended &&
			courier->transfers[i].store == store)
			return true;
	}
	return false;
}

/* A place for a store: a free one, or that of the one not used for longest. */
static KnownStore *
make_room(void)
{
	KnownStore *oldest = NULL;
	CourierFrame frame;

	for (int i = 0; i < COURIER_STORES; i++)
	{
		KnownStore *known = &courier->stores[i];

		if (known->number == 0)
			return known;
		if ((oldest == NULL || known->used < oldest->used) && !is_in_use(known->number))
			oldest = known;
	}
	if (oldest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many stores are in use at a time"),
				 errdetail("There can be %d.", COURIER_STORES)));
	memset(&frame, 0, sizeof(frame));
	frame.store = oldest->number;
	oldest->number = 0;
	send_frame(&frame, COURIER_FORGET, NULL, 0);
	return oldest;
}

/* Gives the number of a store that the text, whose digest it is, describes. */
static uint32
know_store(const StoreServer *store, const CourierText *text, const uint8 *digest)
{
	KnownStore *known;
	CourierFrame frame;

	for (int i = 0; i < COURIER_STORES; i++)
	{
		known = &courier->stores[i];
		if (known->number != 0 && known->server == store->server->serverid &&
			known->user == GetUserId() && memcmp(known->digest, digest, sizeof(known->digest)) == 0)
		{
			known->used = ++courier->last_use;
			return known->number;
		}
	}

	known = make_room();
	memset(&frame, 0, sizeof(frame));
	frame.store = ++courier->last_store;
	send_frame(&frame, COURIER_STORE, text->bytes, text->length);
	known->number = frame.store;
	known->server = store->server->serverid;
	known->user = GetUserId();
	memcpy(known->digest, digest, sizeof(known->digest));
	known->used = ++courier->last_use;
	return known->number;
}

uint32
courier_store(const StoreServer *store)
{
	uint32		number = 0;
	CourierText text;

	start();

	memset(&text, 0, sizeof(text));
	text.bytes = courier->outgoing;
	PG_TRY();
	{
		uint8		digest[PG_SHA256_DIGEST_LENGTH];

		describe_store(&text, store);
		if (text.overflow)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options of server \"%s\" are too long", store->server->servername)));
		digest_text(&text, digest);
		number = know_store(store, &text, digest);
	}
	PG_FINALLY();
	{
		explicit_bzero(courier->outgoing, sizeof(courier->outgoing));
	}
	PG_END_TRY();
	return number;
}

/* --- transfers ------------------------------------------------------------- */

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
	if (!known || !is_alive())
	{
		if (!known && is_alive())
			strlcpy(courier->why_lost, "courier process does not know the store", sizeof(courier->why_lost));
		enqueue_lost(transfer);
		return transfer->number;
	}

	memset(&frame, 0, sizeof(frame));
	frame.transfer = transfer->number;
	frame.store = request->store;
	frame.operation = request->operation;
	frame.length = transfer->total;
	frame.flags = request->if_none_match ? COURIER_IF_NONE_MATCH : 0;
	send_frame(&frame, COURIER_BEGIN, text.bytes, text.length);
	return frame.transfer;
}

void
courier_cancel(uint32 transfer)
{
	Transfer   *found = find_transfer(transfer);
	CourierFrame frame;

	if (found == NULL || found->ended)
		return;
	memset(&frame, 0, sizeof(frame));
	frame.transfer = transfer;
	send_frame(&frame, COURIER_CANCEL, NULL, 0);
}

void
courier_abandon(void)
{
	if (courier_transfers() == 0)
		return;
	if (is_alive())
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
	return is_alive() && event->slot < COURIER_SLOTS &&
		courier->holders[event->slot] == event->transfer;
}

static off_t
place_in_arena(const CourierEvent *event, uint64 done, size_t length)
{
	if (done > event->length || length > event->length - done)
		elog(ERROR, "bytes lie outside of a slot");
	return (off_t) (event->slot * COURIER_SLOT_SIZE + done);
}

void
courier_write(const CourierEvent *event, uint64 done, const void *bytes, size_t length)
{
	off_t		place = place_in_arena(event, done, length);
	const char *from = bytes;

	while (length > 0 && holds_slot(event))
	{
		ssize_t		written;

		CHECK_FOR_INTERRUPTS();
		written = pwrite(courier->process->arena, from, length, place);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			if (written == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("could not hand bytes to the courier process: %m"),
					 errhint("The system may be short of memory.")));
		}
		from += written;
		length -= (size_t) written;
		place += written;
	}
}

void
courier_read(const CourierEvent *event, uint64 done, void *bytes, size_t length)
{
	off_t		place = place_in_arena(event, done, length);
	char	   *to = bytes;

	while (length > 0)
	{
		ssize_t		got;

		if (!holds_slot(event))
		{
			/* the RESULT will tell that it is lost */
			memset(to, 0, length);
			return;
		}
		CHECK_FOR_INTERRUPTS();
		got = pread(courier->process->arena, to, length, place);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
		{
			if (got == 0)
				errno = EIO;
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not read from the courier process: %m")));
		}
		to += got;
		length -= (size_t) got;
		place += got;
	}
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
	send_frame(&frame, kind, NULL, 0);
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
		Transfer   *transfer = find_transfer(queued.frame.transfer);

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
		if (receive())
			continue;
		if (timeout >= 0 && (left = timeout - elapsed(begun)) <= 0)
			return;
		/* nothing could ever come */
		if (timeout < 0 && !wake && courier_transfers() == 0)
			return;

		if (wait_for(WL_SOCKET_READABLE, left) & WL_LATCH_SET)
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
