/*-------------------------------------------------------------------------
 *
 * courier_talk.c
 *	  Frames to and from the courier, its start and its end.
 *
 * The courier speaks to strangers, so nothing it says is believed: a frame has
 * a length, a kind, a transfer and a slot that it may have, and its text is
 * checked before it is read.
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

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "compat.h"
#include "courier_parts.h"
#include "courier_text.h"

/* Loading the libraries takes milliseconds; this is for a machine in trouble. */
#define START_TIMEOUT	(30 * 1000)

Courier    *courier = NULL;

/* --- what is under way ---------------------------------------------------- */

bool
courier_is_alive(void)
{
	return courier != NULL && courier->process != NULL && courier->process->pid != 0 &&
		courier->process->starts == courier->starts;
}

Transfer *
courier_find(uint32 number)
{
	for (int i = 0; courier != NULL && number != 0 && i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number == number)
			return &courier->transfers[i];
	}
	return NULL;
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

void
courier_enqueue_lost(Transfer *transfer)
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
		Transfer   *transfer = courier_find(queued->frame.transfer);

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
			courier_enqueue_lost(&courier->transfers[i]);
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

	transfer = courier_find(frame->transfer);
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

bool
courier_receive(void)
{
	bool		was_reset = false;

	if (!courier_is_alive())
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

int
courier_wait(int socket_events, long timeout)
{
	static uint32 wait_event = 0;
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0);

	if (wait_event == 0)
		wait_event = mediastore_wait_event_new("MediastoreCourier");
	if (!courier_is_alive())
		return WaitLatch(MyLatch, events, timeout, wait_event);
	return WaitLatchOrSocket(MyLatch, events | socket_events, courier->process->socket, timeout,
							 wait_event);
}

/* --- what it is told ------------------------------------------------------- */

void
courier_send(CourierFrame *frame, CourierKind kind, char *text, size_t text_length)
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

	while (courier_is_alive())
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
		if (!courier_receive() && (courier_wait(WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE, -1) & WL_LATCH_SET))
		{
			ResetLatch(MyLatch);
			latch_was_set = true;
		}
	}

	/* whoever waits for the latch shall see it */
	if (latch_was_set)
		SetLatch(MyLatch);
}

long
courier_elapsed(instr_time since)
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
	courier_send(&frame, COURIER_HELLO, NULL, 0);
	while (courier_is_alive() && !courier->process->greeted)
	{
		long		left = START_TIMEOUT - courier_elapsed(start);

		CHECK_FOR_INTERRUPTS();
		if (courier_receive())
			continue;
		if (left <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("courier process did not start within %d ms", START_TIMEOUT),
					 errhint("The system may be overloaded.")));
		if (courier_wait(WL_SOCKET_READABLE, left) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
	if (!courier_is_alive())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("%s", courier->why_lost),
				 courier->lost_hint != NULL ? errhint("%s", courier->lost_hint) : 0));
}

void
courier_start(void)
{
	if (courier == NULL)
		courier = MemoryContextAllocZero(TopMemoryContext, sizeof(Courier));

	if (courier_transfers() > 0)
	{
		/* what is lost is to be told before there is another */
		(void) courier_receive();
		if (courier_is_alive())
			return;
	}
	else if (courier_is_alive())
	{
		/* one that is about to leave would not see what it is sent */
		long		limit = courier->process->idle * 1000L;

		if (courier_elapsed(courier->last_sent) >= limit - Min(limit / 2, 1000))
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
