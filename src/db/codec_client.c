/*-------------------------------------------------------------------------
 *
 * codec_client.c
 *	  The backend's end of the talk with its codec process.
 *
 * The codec may have been taken over by the picture it was given.  So
 * nothing it says is believed: a reply has exactly the size, the number and
 * the ranges it must have, its text is made harmless, its result is copied
 * out of the arena first and looked at then.  What it could still do is to
 * give back another picture than the one it should.
 *
 * A codec that is in the middle of a request when an error is raised (a
 * cancel, a time-out, a violation) is killed; there is no other way to stop
 * it, and none is needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"

#include "../helper/wire.h"
#include "../mediastore.h"
#include "codec_client.h"
#include "compat.h"
#include "errors.h"
#include "helper_process.h"
#include "limits.h"

/* The arena's pages are given back after a picture larger than this. */
#define ARENA_KEPT		(16 * 1024 * 1024)

/* Loading the libraries takes milliseconds; this is for a machine in trouble. */
#define START_TIMEOUT	(30 * 1000)

/* libheif's decoders use several processors at once. */
#define HEIF_CPU_FACTOR 4

#define HOSTILE_HINT \
	"The picture may be damaged or made to attack; the server was not affected."

typedef enum TalkResult
{
	TALK_DONE,					/* there is a reply */
	TALK_LEFT					/* the codec left before it took the request */
} TalkResult;

/* Raises that the codec broke the rules. */
_Noreturn static void
violation(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYSTEM_ERROR),
			 errmsg("codec process broke the protocol"),
			 errdetail_internal("%s", what),
			 errhint(HOSTILE_HINT)));
}

/* Raises that the codec took too long. */
_Noreturn static void
too_slow(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("codec process took longer than %d ms", mediastore_codec_timeout),
			 errhint("The limit is set by \"mediastore.codec_timeout\".")));
}

/* Raises how the codec ended.  status is waitpid's. */
_Noreturn static void
died(int status, bool greeted)
{
	int			signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (signal_number == SIGXCPU)
		too_slow();
	if (signal_number == SIGSYS)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("codec process tried something its sandbox forbids"),
				 errhint(HOSTILE_HINT)));
	if (signal_number == SIGKILL)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("codec process was killed"),
				 errhint("The system may be short of memory; its log would tell.")));
	if (signal_number != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("codec process was terminated by signal %d: %s", signal_number,
						pg_strsignal(signal_number)),
				 errhint(HOSTILE_HINT)));
	if (!greeted)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("codec process could not start (exit status %d)", WEXITSTATUS(status)),
				 errhint("Run the program \"mediastore-codec\", beside the module, by hand to see whether its libraries are found.")));
	ereport(ERROR,
			(errcode(ERRCODE_SYSTEM_ERROR),
			 errmsg("codec process ended in the middle of its work (exit status %d)",
					WEXITSTATUS(status)),
			 errhint(HOSTILE_HINT)));
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

/* Sends a request; false if nobody is there to take it. */
static bool
send_request(HelperProcess *helper, WireRequest *request)
{
	ssize_t		sent;

	request->magic = WIRE_MAGIC;
	request->version = WIRE_VERSION;
	request->number = ++helper->last_number;
	do
		sent = send(helper->socket, request, sizeof(*request), MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);

	if (sent == (ssize_t) sizeof(*request))
		return true;
	if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_SYSTEM_ERROR),
			 errmsg("could not send to codec process: %m"),
			 errhint("The system may be short of memory.")));
}

/*
 * Waits for the reply to the last request and checks its frame.  Raises what
 * keeps it from coming: an interrupt, timeout milliseconds gone by, the end
 * of the codec.
 */
static TalkResult
receive_reply(HelperProcess *helper, WireKind kind, long timeout, WireReply *reply)
{
	static uint32 wait_event = 0;
	instr_time	start;
	bool		was_reset = false;

	if (wait_event == 0)
		wait_event = mediastore_wait_event_new("MediastoreCodec");

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		ssize_t		length;
		long		left;
		int			events;

		CHECK_FOR_INTERRUPTS();

		length = recv(helper->socket, reply, sizeof(*reply), MSG_DONTWAIT | MSG_TRUNC);
		if (length == (ssize_t) sizeof(*reply))
			break;
		if (length > 0)
			violation("A frame has a wrong size.");
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && errno == ECONNRESET && !was_reset)
		{
			/* it left without reading what we sent; its goodbye is next */
			was_reset = true;
			continue;
		}
		if (length == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		{
			bool		greeted = helper->greeted;
			int			status;

			if (!helper_wait(helper, &status))
				violation("The process closed its socket.");
			died(status, greeted);
		}

		left = timeout - elapsed(start);
		if (left <= 0 && !helper->greeted)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("codec process did not start within %ld ms", timeout),
					 errhint("The system may be overloaded.")));
		if (left <= 0)
			too_slow();
		events = WaitLatchOrSocket(MyLatch,
								   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT |
								   WL_EXIT_ON_PM_DEATH,
								   helper->socket, left, wait_event);
		if (events & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}

	if (reply->magic != WIRE_MAGIC || reply->version != WIRE_VERSION)
		violation("A frame has a wrong mark or version.");
	if (reply->kind == WIRE_GOODBYE)
		return TALK_LEFT;
	if (reply->kind != kind)
		violation("A frame is of a wrong kind.");
	if (reply->number != helper->last_number)
		violation("A frame does not belong to the request.");
	return TALK_DONE;
}

/* Writes the input to the arena. */
static void
write_input(const HelperProcess *helper, Value *input)
{
	uint64		done = 0;

	while (done < input->total)
	{
		const uint8 *bytes;
		size_t		count = value_read_on(input, done, &bytes);

		helper_write(helper, done, bytes, count);
		done += count;
	}

	/* the codec has it: one copy less while it works */
	value_release(input);
}

/* Copies the result out of the arena, into a new bytea. */
static bytea *
read_result(const HelperProcess *helper, uint64 offset, size_t length)
{
	bytea	   *result = (bytea *) palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	helper_read(helper, offset, VARDATA(result), length, HOSTILE_HINT);
	return result;
}

/* Makes a text of the codec's printable, and ends it. */
static void
tame_text(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (char *c = text; *c != '\0'; c++)
	{
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

/*
 * Makes a result of the reply: NULL if the input is to be kept.  If the codec
 * refused, that is in *error, and error->status is not IMAGE_OK.
 */
static bytea *
take_result(const HelperProcess *helper, WireReply *reply, const Value *input,
			const ImageFacts *facts, const ImageCompressOptions *options,
			ImageError *error)
{
	FactsReader reader;
	ImageFacts	result_facts;
	bytea	   *result;

	if (reply->status < IMAGE_OK || reply->status > IMAGE_INTERNAL)
		violation("A reply has an unknown status.");

	error->status = (ImageStatus) reply->status;
	if (reply->status != IMAGE_OK)
	{
		tame_text(reply->message, sizeof(reply->message));
		tame_text(reply->limit, sizeof(reply->limit));
		strlcpy(error->message, reply->message, sizeof(error->message));
		strlcpy(error->limit, reply->limit, sizeof(error->limit));
		return NULL;
	}

	if (reply->unchanged != 0)
	{
		if (!limits_allow_result(facts, input->total, options))
			violation("An image that does not keep the limits was called fine.");
		return NULL;
	}

	if (reply->length == 0 || reply->length > WIRE_ARENA_SIZE ||
		reply->offset > WIRE_ARENA_SIZE - reply->length)
		violation("A result does not lie in the arena.");
	if (reply->length > (uint64) options->max_bytes)
		violation("A result is longer than was asked for.");

	result = read_result(helper, reply->offset, (size_t) reply->length);
	facts_reader_memory(&reader, VARDATA(result), (size_t) reply->length);
	/* with its frames: an animation is known to be exact only at its end */
	if (facts_read(&reader, true, &result_facts, NULL, 0) != FACTS_OK ||
		!limits_allow_result(&result_facts, reply->length, options))
		violation("A result is not what was asked for.");
	return result;
}

/* Has this session's log been told that there is no filter? */
static bool told_unfiltered = false;

/*
 * One try with one codec: says hello if it is new, hands the picture over,
 * waits.  A new codec starts up while the picture is written.
 */
static TalkResult
talk(HelperProcess *helper, Value *input, const ImageCompressOptions *options,
	 int cpu_factor, WireReply *reply)
{
	WireRequest request;

	memset(&request, 0, sizeof(request));
	if (!helper->greeted)
	{
		request.kind = WIRE_HELLO;
		/* if it is gone already, receive_reply finds out why */
		(void) send_request(helper, &request);
	}

	write_input(helper, input);

	if (!helper->greeted)
	{
		if (receive_reply(helper, WIRE_HELLO, START_TIMEOUT, reply) == TALK_LEFT)
			return TALK_LEFT;
		helper->greeted = true;
		helper->sandboxed = reply->sandboxed == 1;
		if (!helper->sandboxed && !told_unfiltered)
		{
			told_unfiltered = true;
			ereport(LOG,
					(errmsg("codec process runs without a system-call filter"),
					 errdetail("It was built without libseccomp, or the system gives it no filter.")));
		}
	}

	request.kind = WIRE_COMPRESS;
	request.input_length = input->total;
	request.cpu_seconds = (uint32) (cpu_factor * (mediastore_codec_timeout / 1000 + 1));
	request.options = *options;
	request.limits.max_pixels = (uint64_t) mediastore_max_pixels;
	request.limits.max_frames = (uint32_t) mediastore_max_frames;
	if (!send_request(helper, &request))
		return TALK_LEFT;
	return receive_reply(helper, WIRE_RESULT, mediastore_codec_timeout, reply);
}

/*
 * Gives back the arena's pages, if they are many.  How many there are is not
 * for the codec to say, which may have touched them all.
 */
static void
tidy_arena(const HelperProcess *helper)
{
	struct stat status;

	if (fstat(helper->arena, &status) != 0 || (uint64) status.st_blocks * 512 > ARENA_KEPT)
		(void) fallocate(helper->arena, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
						 (off_t) WIRE_ARENA_SIZE);
}

bytea *
codec_compress(Value *input, const ImageFacts *facts, const ImageCompressOptions *options)
{
	bool		is_heif = facts->format == FACTS_FORMAT_HEIF ||
		facts->format == FACTS_FORMAT_AVIF;
	HelperProcess *helper;
	bytea	   *result = NULL;
	ImageError	error;
	WireReply	reply;

	if (input->total > WIRE_ARENA_SIZE)
		error_over_limit("max_input_bytes", "image is too large to be handed to the codec process");

	memset(&error, 0, sizeof(error));
	for (int attempt = 0;; attempt++)
	{
		TalkResult	outcome = TALK_DONE;

		helper = helper_get(is_heif ? HELPER_CODEC_HEIF : HELPER_CODEC);
		helper->busy = true;
		PG_TRY();
		{
			outcome = talk(helper, input, options, is_heif ? HEIF_CPU_FACTOR : 1, &reply);
			if (outcome == TALK_DONE)
				result = take_result(helper, &reply, input, facts, options, &error);
		}
		PG_CATCH();
		{
			helper_end(helper);
			PG_RE_THROW();
		}
		PG_END_TRY();

		if (outcome == TALK_DONE)
			break;

		/* it left, or was made to leave, while it had nothing to do */
		helper_end(helper);
		if (attempt > 0)
			violation("The process leaves as soon as it is asked something.");
	}

	helper->busy = false;
	helper->requests++;
	tidy_arena(helper);

	/* one that failed for no reason of the picture may do so again */
	if (error.status == IMAGE_NO_MEMORY || error.status == IMAGE_INTERNAL)
		helper_end(helper);
	if (error.status != IMAGE_OK)
		error_image(&error);
	return result;
}
