/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  The main loop of the codec programs.
 *
 * One parent, one request at a time, over the frames of wire.h.  Everything
 * that needs the file system comes before sandbox_enter, every byte of a
 * stranger after it.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#ifdef MEDIASTORE_SANITIZE
#include <sanitizer/lsan_interface.h>
#endif

#include "codec.h"
#include "sandbox.h"
#include "start.h"
#include "wire.h"

/* Exit statuses; a parent sees nothing worse than an end of file. */
#define EXIT_LEFT		0
#define EXIT_SETUP		3
#define EXIT_PROTOCOL	4

#define MEGABYTE		(1024 * 1024)

/*
 * Blocks from here on are mapped, and so go back to the system when they are
 * freed; smaller ones stay in a heap whose pages need not be had (and
 * zeroed) again for each picture.
 */
#define MAPPED_BLOCK	(8 * MEGABYTE)

/* Free heap that is kept between requests at most, and what is left of more. */
#define HEAP_KEPT_MOST	(32 * MEGABYTE)
#define HEAP_KEPT		(8 * MEGABYTE)

/*
 * A gray JPEG of 16 x 16 pixels, 4:2:0, to work on once before the sandbox
 * closes: at first use the libraries look at the processor (which takes a
 * file on some) and build their tables.
 */
static const uint8_t warm_up_picture[] = {
	0xff, 0xd8, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x01, 0x01, 0x01, 0x01, 0x01,
	0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
	0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
	0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
	0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
	0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0xff,
	0xc0, 0x00, 0x11, 0x08, 0x00, 0x10, 0x00, 0x10, 0x03, 0x01, 0x22, 0x00,
	0x02, 0x11, 0x00, 0x03, 0x11, 0x00, 0xff, 0xc4, 0x00, 0x26, 0x00, 0x01,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda,
	0x00, 0x0c, 0x03, 0x01, 0x00, 0x02, 0x00, 0x03, 0x00, 0x00, 0x3f, 0x00,
	0x00, 0x0f, 0xff, 0xd9
};

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

/* The window both sides see. */
typedef struct Arena
{
	uint8_t    *start;
	size_t		size;
} Arena;

/* Sends a frame; false if the parent is gone. */
static bool
send_reply(WireReply *reply)
{
	struct rusage used;
	ssize_t		sent;

	reply->magic = WIRE_MAGIC;
	reply->version = WIRE_VERSION;
	if (getrusage(RUSAGE_SELF, &used) == 0)
		reply->peak_memory = (uint64_t) used.ru_maxrss * 1024;
	do
		sent = send(WIRE_SOCKET_FD, reply, sizeof(*reply), MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t) sizeof(*reply);
}

/* Compresses what is in the arena, and puts the result there. */
static void
compress_picture(const Arena *arena, const WireRequest *request, WireReply *reply)
{
	ImageResult result;
	ImageError	error;
	ImageStatus status;

	memset(&result, 0, sizeof(result));
	memset(&error, 0, sizeof(error));
	status = image_compress(arena->start, (size_t) request->input_length,
							&request->options, &request->limits, &result, &error);
	if (status == IMAGE_OK && !result.unchanged && result.length > arena->size)
	{
		status = IMAGE_INTERNAL;
		snprintf(error.message, sizeof(error.message), "the result is too long");
	}

	reply->status = (int32_t) status;
	if (status == IMAGE_OK)
	{
		reply->unchanged = result.unchanged ? 1 : 0;
		reply->width = result.width;
		reply->height = result.height;
		reply->quality = result.quality;
		reply->encodes = result.encodes;
		if (!result.unchanged)
		{
			/* the input has been used: the result may take its place */
			memcpy(arena->start, result.data, result.length);
			reply->offset = 0;
			reply->length = result.length;
		}
	}
	else
	{
		memcpy(reply->message, error.message, sizeof(reply->message));
		memcpy(reply->limit, error.limit, sizeof(reply->limit));
	}
	free(result.data);
}

/* Gives back what a large picture left in the heap. */
static void
tidy_heap(void)
{
#ifdef MEDIASTORE_SANITIZE
	/* a leak must not pass unseen: the parent gets an end of file */
	if (__lsan_do_recoverable_leak_check() != 0)
		abort();
#elif defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	if (mallinfo2().fordblks > HEAP_KEPT_MOST)
		(void) malloc_trim(HEAP_KEPT);
#elif defined(__GLIBC__)
	(void) malloc_trim(HEAP_KEPT);
#endif
}

static void *
do_nothing(void *argument)
{
	return argument;
}

/*
 * Has the libraries do once what they do at first use: read the time zone
 * (lcms2 dates its profiles), make themselves ready for threads, and what
 * compressing a picture brings up.
 */
static void
warm_up(bool threads)
{
	const ImageCompressOptions options = {
		.max_dimension = 8,
		.max_bytes = 10000,
		.quality = 85,
		.min_quality = 40,
		.effort = 4,
	};
	const ImageLimits limits = {.max_pixels = 256, .max_frames = 1};
	ImageResult result;
	ImageError	error;
	pthread_t	thread;

	tzset();
	if (threads && pthread_create(&thread, NULL, do_nothing, NULL) == 0)
		(void) pthread_join(thread, NULL);

	memset(&result, 0, sizeof(result));
	(void) image_compress(warm_up_picture, sizeof(warm_up_picture), &options, &limits,
						  &result, &error);
	free(result.data);
}

/* Waits for requests and answers them, until there is a reason to end. */
static int
serve(const Arena *arena, bool filtered)
{
	for (;;)
	{
		WireRequest request;
		WireReply	reply;
		ssize_t		length;

		memset(&reply, 0, sizeof(reply));
		length = recv(WIRE_SOCKET_FD, &request, sizeof(request), MSG_TRUNC);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			/*
			 * Idle for too long.  The arena's pages go now: the parent may keep
			 * it open, and do nothing, for as long as it likes.
			 */
			(void) madvise(arena->start, arena->size, MADV_REMOVE);
			reply.kind = WIRE_GOODBYE;
			(void) send_reply(&reply);
			return EXIT_LEFT;
		}
		if (length == 0)
			return EXIT_LEFT;	/* the parent has ended */
		if (length != (ssize_t) sizeof(request) || request.magic != WIRE_MAGIC ||
			request.version != WIRE_VERSION || request.input_length > arena->size)
			return EXIT_PROTOCOL;

		reply.number = request.number;
		switch (request.kind)
		{
			case WIRE_HELLO:
				reply.kind = WIRE_HELLO;
				reply.sandboxed = filtered ? 1 : 0;
				break;
			case WIRE_COMPRESS:
				reply.kind = WIRE_RESULT;
				sandbox_allow_cpu(request.cpu_seconds);
				compress_picture(arena, &request, &reply);
				tidy_heap();
				break;
			default:
				return EXIT_PROTOCOL;
		}
		if (!send_reply(&reply))
			return EXIT_LEFT;
	}
}

int
codec_run(int argc, char **argv, bool threads)
{
	SandboxNeeds needs = {.socket = WIRE_SOCKET_FD,.threads = threads};
	struct timeval idle = {0};
	Arena		arena;
	pid_t		parent;
	bool		filtered;

	if (argc != WIRE_ARGUMENTS + 1)
	{
		fprintf(stderr, "This program is started by the PostgreSQL extension mediastore.\n");
		return EXIT_USAGE;
	}
	parent = (pid_t) start_argument(argv[1], 1, INT32_MAX);
	needs.memory = (uint64_t) start_argument(argv[2], 1, INT32_MAX) * MEGABYTE;
	idle.tv_sec = start_argument(argv[3], 1, INT32_MAX);

	if (!sandbox_bind_to_parent(parent) || chdir("/") != 0)
		return EXIT_SETUP;
	arena.start = start_arena(1, WIRE_ARENA_SIZE, &arena.size);
	if (arena.start == NULL ||
		setsockopt(WIRE_SOCKET_FD, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle)) != 0)
		return EXIT_SETUP;

#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, MAPPED_BLOCK);
	(void) mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_MOST);
	(void) mallopt(M_TOP_PAD, MEGABYTE);
	(void) mallopt(M_ARENA_MAX, threads ? 2 : 1);
#endif
	warm_up(threads);

	if (!sandbox_enter(&needs, &filtered))
		return EXIT_SETUP;
	return serve(&arena, filtered);
}
