/*-------------------------------------------------------------------------
 *
 * courier.c
 *	  The main loop of the courier program.
 *
 * One parent, many transfers, over the frames of courier_wire.h; one thread,
 * which waits for the parent, the network and the clock in one place.  What
 * the parent may not say ends the program, since two that disagree on the
 * protocol can't be of use to each other.
 *
 * A RESULT waits until the parent has answered all that it was asked, so that
 * it owes nothing afterwards and the slots are free.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifdef MEDIASTORE_SANITIZE
#include <sanitizer/lsan_interface.h>
#endif

#include "../store/driver_http.h"
#include "courier.h"
#include "sandbox.h"
#include "start.h"
#include "wire.h"

#define MEGABYTE		(1024 * 1024)

/* Blocks from here on go back to the system when they are freed. */
#define MAPPED_BLOCK	(4 * MEGABYTE)

/* The arena's pages go back after so long without a transfer, milliseconds. */
#define TIDY_AFTER		2000

/* Frames that are read in a row before the network gets its turn. */
#define BURST			256

/* How long a transfer may be overdue before its driver is not waited for. */
#define GRACE			1000

#ifdef MEDIASTORE_SANITIZE
/* The environment is empty, so the sanitizers' options are in the program. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
	return "abort_on_error=1:handle_segv=0:allocator_may_return_null=1:detect_leaks=1:leak_check_at_exit=0";
}

const char *
__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}
#endif

static Transfer transfers[COURIER_TRANSFERS];
static int	transfer_count;
static int	waiting_count;
static int	running_count;
static Store *stores[COURIER_STORES];
static bool greeted;

void
courier_leave(int status)
{
#ifdef MEDIASTORE_SANITIZE
	for (int i = 0; i < COURIER_TRANSFERS; i++)
		if (transfers[i].number == 0)
		{
			free(transfers[i].text);
			store_text_drop(&transfers[i].driver.result.meta);
		}
	if (status == EXIT_LEFT && transfer_count == 0)
	{
		http_close();
		if (__lsan_do_recoverable_leak_check() != 0)
			abort();
	}
#endif
	_exit(status);
}

/* --- stores -------------------------------------------------------------- */

static void
release_store(Store *store)
{
	if (--store->users > 0)
		return;
	if (store->opened != NULL)
		store->driver->close(store->opened);
	OPENSSL_cleanse(store->text, store->length);
	free(store->text);
	store_text_drop(&store->why.meta);
	free(store);
}

static Store **
find_store(uint32_t number)
{
	for (int i = 0; i < COURIER_STORES; i++)
		if (stores[i] != NULL && stores[i]->number == number)
			return &stores[i];
	return NULL;
}

static bool
forget_store(uint32_t number)
{
	Store	  **place = find_store(number);

	if (place == NULL)
		return false;
	release_store(*place);
	*place = NULL;
	return true;
}

/* STORE: a number that is known gets another meaning. */
static bool
learn_store(const CourierFrame *frame, const char *text)
{
	Store	   *store = calloc(1, sizeof(Store));
	int			place = 0;

	(void) forget_store(frame->store);
	while (place < COURIER_STORES && stores[place] != NULL)
		place++;
	if (store == NULL)
		courier_leave(EXIT_SETUP);
	store->text = malloc((size_t) frame->text_length + 1);
	if (store->text == NULL)
		courier_leave(EXIT_SETUP);
	store->users = 1;
	store->number = frame->store;
	store->length = frame->text_length;
	memcpy(store->text, text, store->length);
	if (place == COURIER_STORES || frame->store == 0 ||
		!driver_fields_read(store->text, store->length, &store->fields))
	{
		release_store(store);
		return false;
	}

	driver_result_clear(&store->why);
	store->driver = driver_find(driver_field(&store->fields, "type"));
	if (store->driver == NULL)
		driver_fail(&store->why, COURIER_MISCONFIGURED, NULL, "the courier has no such type of store");
	else
		store->opened = store->driver->open(&store->fields, &store->why);
	stores[place] = store;
	return true;
}

/* --- transfers ----------------------------------------------------------- */

static Transfer *
find_transfer(uint32_t number)
{
	for (int i = 0; i < COURIER_TRANSFERS; i++)
		if (transfers[i].number == number)
			return &transfers[i];
	return NULL;
}

void
courier_wake(DriverTransfer *driver_transfer)
{
	((Transfer *) driver_transfer)->awake = true;
}

/* The driver has ended with it, or never began. */
static void
end_turn(Transfer *transfer)
{
	if (transfer->waiting)
		waiting_count--;
	if (transfer->running)
		running_count--;
	transfer->waiting = false;
	transfer->running = false;
}

/* The RESULT goes out, and the transfer is no more. */
static void
finish(Transfer *transfer)
{
	end_turn(transfer);
	courier_send_result(transfer);
	release_store(transfer->store);
	transfer->store = NULL;
	transfer->number = 0;
	transfer->awake = false;
	transfer->ended = false;
	transfer_count--;
#ifdef MEDIASTORE_SANITIZE
	/* a leak must not pass unseen: the parent gets an end of file */
	if (transfer_count == 0 && __lsan_do_recoverable_leak_check() != 0)
		abort();
#endif
}

static void
end_waiting(Transfer *transfer, const char *message)
{
	driver_result_clear(&transfer->driver.result);
	driver_fail(&transfer->driver.result, COURIER_CANCELLED, NULL, "%s", message);
	courier_end(&transfer->driver);
}

void
courier_end(DriverTransfer *driver_transfer)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	CourierStatus status = driver_transfer->result.status;

	end_turn(transfer);
	transfer->ended = true;
	transfer->awake = true;
	slots_flush(transfer);
	if (status != COURIER_UNREACHABLE && status != COURIER_BUSY && status != COURIER_MISCONFIGURED)
		return;
	for (int i = 0; i < COURIER_TRANSFERS && waiting_count > 0; i++)
		if (transfers[i].waiting && transfers[i].store == transfer->store)
			end_waiting(&transfers[i], "another transfer to the store has failed");
}

/* Has the driver begin it. */
static void
start(Transfer *transfer)
{
	if (transfer->waiting)
		waiting_count--;
	transfer->waiting = false;
	transfer->running = true;
	running_count++;
	/* bytes that are there already will not wake it */
	transfer->awake = true;
	transfer->store->driver->begin(&transfer->driver);
}

/* Whose turn it is; NULL: nobody's. */
static Transfer *
next_waiting(void)
{
	Transfer   *next = NULL;

	for (int i = 0; i < COURIER_TRANSFERS && waiting_count > 0; i++)
		if (transfers[i].waiting && (next == NULL || transfers[i].number < next->number))
			next = &transfers[i];
	return next != NULL && running_count < next->concurrency ? next : NULL;
}

static bool
start_waiting(void)
{
	bool		started = false;
	Transfer   *next;

	while ((next = next_waiting()) != NULL)
	{
		/* a failure for want of time would be nobody's fault but ours */
		if (next->driver.deadline > 0 && driver_now() > next->driver.deadline - next->timeout / 2)
			end_waiting(next, "the transfer's turn came too late");
		else
			start(next);
		started = true;
	}
	return started;
}

/* Whether it is a SHA-256 as BEGIN has it. */
static bool
is_sha256(const char *text)
{
	return text != NULL && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* BEGIN */
static bool
begin_transfer(const CourierFrame *frame, const char *text)
{
	Store	  **store = find_store(frame->store);
	Transfer   *transfer = find_transfer(0);
	DriverTransfer *driver;
	long		timeout;

	if (frame->transfer == 0 || transfer == NULL || store == NULL ||
		find_transfer(frame->transfer) != NULL || frame->operation < COURIER_PUT ||
		frame->operation > COURIER_LIST || (frame->flags & ~(uint32_t) COURIER_IF_NONE_MATCH) != 0)
		return false;

	if (transfer->text_room < frame->text_length)
	{
		free(transfer->text);
		transfer->text = malloc(frame->text_length);
		if (transfer->text == NULL)
			courier_leave(EXIT_SETUP);
		transfer->text_room = frame->text_length;
	}
	if (frame->text_length > 0)
		memcpy(transfer->text, text, frame->text_length);
	if (!driver_fields_read(transfer->text, frame->text_length, &transfer->fields))
		return false;

	driver = &transfer->driver;
	driver->host = &courier_host;
	driver->state = NULL;
	driver->operation = (CourierOperation) frame->operation;
	driver->if_none_match = (frame->flags & COURIER_IF_NONE_MATCH) != 0;
	driver->key = driver_field(&transfer->fields, "key");
	driver->length = frame->operation == COURIER_PUT ? frame->length : 0;
	driver->sha256 = driver_field(&transfer->fields, "sha256");
	driver->fields = &transfer->fields;
	if (driver->key == NULL || (frame->operation == COURIER_PUT && !is_sha256(driver->sha256)))
		return false;
	driver_result_clear(&driver->result);

	transfer->number = frame->transfer;
	transfer->store = *store;
	transfer->store->users++;
	transfer->ended = false;
	transfer->awake = false;
	transfer_count++;
	timeout = driver_milliseconds(&transfer->store->fields, "transfer_timeout");
	driver->deadline = timeout > 0 ? driver_now() + timeout : 0;
	transfer->timeout = timeout;
	transfer->concurrency = (int) driver_milliseconds(&transfer->fields, "concurrency");
	driver->store = transfer->store->opened;
	if (driver->store == NULL)
	{
		driver_fail(&driver->result, transfer->store->why.status, transfer->store->why.hint, "%s",
					transfer->store->why.message);
		driver->length = 0;
		slots_begin(transfer);
		courier_end(driver);
		return true;
	}
	slots_begin(transfer);
	transfer->waiting = transfer->concurrency > 0;
	if (transfer->waiting)
		waiting_count++;
	else
		start(transfer);
	return true;
}

/* Ends it without a word of the driver. */
static void
break_off(Transfer *transfer)
{
	if (transfer->running)
		transfer->store->driver->cancel(&transfer->driver);
}

/* Goes on with all that can, and ends what has ended; false: nothing to do. */
static bool
work(void)
{
	int64_t		now = driver_now();
	bool		more = false;

	(void) start_waiting();
	for (int i = 0; i < COURIER_TRANSFERS && transfer_count > 0; i++)
	{
		Transfer   *transfer = &transfers[i];

		if (transfer->number == 0)
			continue;
		if (!transfer->ended && transfer->driver.deadline > 0 &&
			now > transfer->driver.deadline + GRACE && transfer->waiting)
			end_waiting(transfer, "the transfer's turn did not come");
		else if (!transfer->ended && transfer->driver.deadline > 0 &&
				 now > transfer->driver.deadline + GRACE)
		{
			break_off(transfer);
			driver_result_clear(&transfer->driver.result);
			driver_fail(&transfer->driver.result, COURIER_RETRY, NULL,
						"the transfer took longer than %ld ms",
						driver_milliseconds(&transfer->store->fields, "transfer_timeout"));
			courier_end(&transfer->driver);
		}
		if (!transfer->awake)
			continue;
		transfer->awake = false;
		if (transfer->running)
			transfer->store->driver->step(&transfer->driver);
		if (transfer->ended && !slots_out(transfer))
			finish(transfer);
		else if (transfer->awake)
			more = true;
	}
	return start_waiting() || more;
}

/* --- from the parent ----------------------------------------------------- */

/* Does what a frame says; false if it breaks the rules. */
static bool
obey(const CourierFrame *frame, const char *text)
{
	CourierFrame hello = {.kind = COURIER_HELLO};
	Transfer   *transfer;

	if (!greeted && frame->kind != COURIER_HELLO)
		return false;
	switch (frame->kind)
	{
		case COURIER_HELLO:
			greeted = true;
			courier_send(&hello, NULL, 0);
			return true;
		case COURIER_STORE:
			return learn_store(frame, text);
		case COURIER_FORGET:
			return forget_store(frame->store);
		case COURIER_BEGIN:
			return begin_transfer(frame, text);
		case COURIER_FILLED:
		case COURIER_TAKEN:
			transfer = frame->transfer != 0 ? find_transfer(frame->transfer) : NULL;
			if (transfer == NULL)
				return false;
			return frame->kind == COURIER_FILLED ? slots_filled(transfer, frame) :
				slots_taken(transfer, frame);
		default:
			return false;
	}
}

/* Reads what has come; whether anything had, and whether there may be more. */
static bool
listen_to_parent(bool *more)
{
	static uint8_t packet[sizeof(CourierFrame) + COURIER_TEXT_MOST];

	for (int i = 0; i < BURST; i++)
	{
		CourierFrame frame;
		ssize_t		length = recv(WIRE_SOCKET_FD, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);
		bool		good;

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			*more = false;
			return i > 0;
		}
		if (length <= 0)
			courier_leave(EXIT_LEFT);	/* the parent has ended */
		if ((size_t) length < sizeof(frame) || (size_t) length > sizeof(packet))
			courier_leave(EXIT_PROTOCOL);
		memcpy(&frame, packet, sizeof(frame));
		if (frame.magic != COURIER_MAGIC || frame.version != COURIER_VERSION ||
			frame.text_length != (size_t) length - sizeof(frame))
			courier_leave(EXIT_PROTOCOL);
		good = obey(&frame, (const char *) packet + sizeof(frame));

		/* secrets are only ever in STORE */
		if (frame.kind == COURIER_STORE)
			OPENSSL_cleanse(packet, sizeof(packet));
		if (!good)
			courier_leave(EXIT_PROTOCOL);
	}
	*more = true;
	return true;
}

/* How long nothing happens by itself, in milliseconds. */
static int
time_to_wait(int64_t now, int64_t leave_at, int64_t tidy_at)
{
	int64_t		until = now + 60000;

	for (int i = 0; i < COURIER_TRANSFERS && transfer_count > 0; i++)
		if (transfers[i].number != 0 && !transfers[i].ended && transfers[i].driver.deadline > 0 &&
			transfers[i].driver.deadline + GRACE + 1 < until)
			until = transfers[i].driver.deadline + GRACE + 1;
	if (transfer_count == 0 && leave_at < until)
		until = leave_at;
	if (tidy_at > 0 && tidy_at < until)
		until = tidy_at;
	return until > now ? (int) (until - now) : 0;
}

_Noreturn static void
serve(int64_t idle)
{
	int64_t		leave_at = driver_now() + idle;
	int64_t		tidy_at = 0;

	for (;;)
	{
		bool		more;
		bool		heard = listen_to_parent(&more);
		int64_t		now;

		more = work() || more;
		http_work();
		more = work() || more;
		(void) courier_send_kept();

		now = driver_now();
		if (heard || transfer_count > 0)
			leave_at = now + idle;
		if (transfer_count > 0)
			tidy_at = now + TIDY_AFTER;
		else if (tidy_at > 0 && now >= tidy_at)
		{
			/* the parent may keep us, and do nothing, for as long as it likes */
			(void) madvise(courier_arena, COURIER_ARENA_SIZE, MADV_REMOVE);
#ifdef __GLIBC__
			(void) malloc_trim(MEGABYTE);
#endif
			tidy_at = 0;
		}
		if (transfer_count == 0 && http_calls() == 0 && now >= leave_at)
		{
			CourierFrame goodbye = {.kind = COURIER_GOODBYE};

			courier_send(&goodbye, NULL, 0);
			for (int i = 0; i < COURIER_STORES; i++)
				if (stores[i] != NULL)
					(void) forget_store(stores[i]->number);
			courier_leave(EXIT_LEFT);
		}
		http_wait(WIRE_SOCKET_FD, courier_send_kept(),
				  more ? 0 : time_to_wait(now, leave_at, tidy_at));
	}
}

/* --- beginning ----------------------------------------------------------- */

/*
 * Gives up what a courier has no use for.  The network and files it needs, so
 * there is no filter of system calls.
 */
static bool
lock_in(void)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
		return false;
#ifndef MEDIASTORE_UNSEALED
	/* secrets are in its memory */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return false;
#endif
	return true;
}

int
courier_run(int argc, char **argv)
{
	pid_t		parent;
	long		idle;
	size_t		size;

	if (argc != COURIER_ARGUMENTS + 1)
	{
		fprintf(stderr, "This program is started by the PostgreSQL extension mediastore.\n");
		return EXIT_USAGE;
	}
	parent = (pid_t) start_argument(argv[1], 1, INT32_MAX);
	idle = start_argument(argv[2], 1, INT32_MAX);

	if (!sandbox_bind_to_parent(parent) || chdir("/") != 0)
		return EXIT_SETUP;
	courier_arena = start_arena(COURIER_ARENA_SIZE, COURIER_ARENA_SIZE, &size);

	/* a connection that ends while it is written to is an error and no signal */
	if (courier_arena == NULL || !lock_in() || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return EXIT_SETUP;

	/* what a file store makes is there to be read by others */
	umask(022);
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, MAPPED_BLOCK);
	(void) mallopt(M_TRIM_THRESHOLD, 8 * MEGABYTE);
	(void) mallopt(M_ARENA_MAX, 2);
#endif
	for (int i = 0; i < COURIER_TRANSFERS; i++)
		transfers[i].first_slot = (uint32_t) (i * SLOTS_EACH);
	if (!http_open())
		return EXIT_SETUP;
	serve((int64_t) idle * 1000);
}
