/*-------------------------------------------------------------------------
 *
 * rogue.c
 *	  What a codec process could do that was taken over by a picture.
 *
 * Linked into a test's own mediastore-codec (see the Makefile) in front of
 * the real functions: an input whose last bytes are "ROGUE:word" has the
 * process do what the word says, as the decoder's own code could.  Any other
 * input is compressed as usual.
 *
 * A file named "hello" beside the program has the word for what it does when
 * it is greeted, before there is any input.
 *
 * Apart from that it is a witness: if there is a file named "witness" beside
 * the program, it writes down there what it was started with and what it has
 * left when it locks itself in.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "helper/sandbox.h"
#include "helper/wire.h"

#define MARK "ROGUE:"

extern char **environ;

extern ImageStatus __real_image_compress(const uint8_t *data, size_t length,
										 const ImageCompressOptions *options,
										 const ImageLimits *limits,
										 ImageResult *result, ImageError *error);
extern ImageStatus __wrap_image_compress(const uint8_t *data, size_t length,
										 const ImageCompressOptions *options,
										 const ImageLimits *limits,
										 ImageResult *result, ImageError *error);
extern bool __real_sandbox_enter(const SandboxNeeds *needs, bool *filtered);
extern bool __wrap_sandbox_enter(const SandboxNeeds *needs, bool *filtered);
extern ssize_t __real_recv(int socket, void *buffer, size_t length, int flags);
extern ssize_t __wrap_recv(int socket, void *buffer, size_t length, int flags);

static uint32_t request_number;

/* What to do when greeted, or "". */
static char hello_word[32];

/* Is the next picture, whatever it is, to be called fine as it is? */
static bool next_unchanged;

/* ---------------------------------------------------------------- witness */

static void
note(int file, const char *format,...)
			__attribute__((format(printf, 2, 3)));

static void
note(int file, const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	(void) vdprintf(file, format, arguments);
	va_end(arguments);
}

/* Opens a file beside the program; -1 if there is none. */
static int
open_beside(const char *name, int flags)
{
	char		path[4096];
	ssize_t		length = readlink("/proc/self/exe", path, sizeof(path) - 16);
	char	   *slash;

	if (length < 0)
		return -1;
	path[length] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return -1;
	strcpy(slash + 1, name);
	return open(path, flags | O_CLOEXEC);
}

static int
open_witness(void)
{
	return open_beside("witness", O_WRONLY | O_APPEND);
}

static void
note_descriptors(int file, const char *when)
{
	for (int fd = 0; fd < 4096; fd++)
	{
		char		path[64];
		char		target[256] = "";

		if (fd == file || fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0)
			target[0] = '\0';
		*strchrnul(target, ':') = '\0';
		note(file, "%s: descriptor %d %s\n", when, fd, target);
	}
}

__attribute__((constructor))
static void
testify(void)
{
	int			file = open_witness();
	int			count = 0;
	sigset_t	blocked;

	if (file < 0)
		return;
	note_descriptors(file, "start");
	while (environ != NULL && environ[count] != NULL)
		count++;
	note(file, "start: environment %d\n", count);
	note(file, "start: session %s\n", getsid(0) == getpid() ? "own" : "shared");

	count = 0;
	if (sigprocmask(SIG_SETMASK, NULL, &blocked) == 0)
	{
		for (int i = 1; i < NSIG; i++)
			count += sigismember(&blocked, i) == 1 ? 1 : 0;
	}
	note(file, "start: blocked signals %d\n", count);

	count = 0;
	for (int i = 1; i < NSIG; i++)
	{
		struct sigaction action;

		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			count++;
	}
	note(file, "start: handled signals %d\n", count);
	close(file);
}

__attribute__((constructor))
static void
read_hello_word(void)
{
	int			file = open_beside("hello", O_RDONLY);

	if (file < 0)
		return;
	if (read(file, hello_word, sizeof(hello_word) - 1) < 0)
		hello_word[0] = '\0';
	close(file);
}

bool
__wrap_sandbox_enter(const SandboxNeeds *needs, bool *filtered)
{
	int			file = open_witness();

	if (file >= 0)
	{
		char		directory[256] = "";

		note_descriptors(file, "locked");
		note(file, "locked: directory %s\n", getcwd(directory, sizeof(directory)));
		close(file);
	}
	/* here, where it may still sleep */
	if (strcmp(hello_word, "late") == 0)
		usleep(500 * 1000);
	return __real_sandbox_enter(needs, filtered);
}

/* ------------------------------------------------------------------ rogue */

/* A reply as it should be, to be made worse. */
static WireReply
good_reply(void)
{
	WireReply	reply;

	memset(&reply, 0, sizeof(reply));
	reply.magic = WIRE_MAGIC;
	reply.version = WIRE_VERSION;
	reply.kind = WIRE_RESULT;
	reply.number = request_number;
	reply.status = IMAGE_OK;
	reply.length = 100;
	return reply;
}

/* Works for ever. */
_Noreturn static void
spin(void)
{
	for (;;)
		__asm__ volatile("");
}

/* Sends bytes, and waits for the end. */
_Noreturn static void
say(const void *bytes, size_t length)
{
	(void) send(WIRE_SOCKET_FD, bytes, length, MSG_NOSIGNAL);
	for (;;)
	{
		char		byte;

		if (__real_recv(WIRE_SOCKET_FD, &byte, 1, 0) == 0)
			_exit(0);
	}
}

/* Sends a packet that looks like the end of the socket, and stays. */
_Noreturn static void
send_nothing(void)
{
	(void) send(WIRE_SOCKET_FD, "", 0, MSG_NOSIGNAL);
	spin();
}

/* Answers a greeting in a way that breaks the protocol. */
static void
greet(const char *word)
{
	WireReply	reply = good_reply();

	reply.kind = WIRE_HELLO;
	if (strcmp(word, "magic") == 0)
	{
		reply.magic++;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "version") == 0)
	{
		reply.version++;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "number") == 0)
	{
		reply.number++;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "result") == 0)
	{
		reply.kind = WIRE_RESULT;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "short-frame") == 0)
		say(&reply, sizeof(reply) - 1);
	if (strcmp(word, "empty-frame") == 0)
		send_nothing();
	if (strcmp(word, "silent") == 0)
		spin();
}

ssize_t
__wrap_recv(int socket, void *buffer, size_t length, int flags)
{
	ssize_t		got = __real_recv(socket, buffer, length, flags);

	if (got == (ssize_t) sizeof(WireRequest))
	{
		const WireRequest *request = buffer;

		request_number = request->number;
		if (request->kind == WIRE_HELLO)
			greet(hello_word);
	}
	return got;
}

/* Says what breaks the protocol. */
static void
speak(const char *word)
{
	WireReply	reply = good_reply();
	char		junk[1000];

	memset(junk, 'x', sizeof(junk));
	if (strcmp(word, "garbage") == 0)
		say(junk, sizeof(reply));
	if (strcmp(word, "short-frame") == 0)
		say(&reply, 10);
	if (strcmp(word, "long-frame") == 0)
		say(junk, sizeof(junk));
	if (strcmp(word, "empty-frame") == 0)
		send_nothing();
	if (strcmp(word, "version") == 0)
	{
		reply.version++;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "kind") == 0)
	{
		reply.kind = WIRE_HELLO;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "goodbye") == 0)
	{
		reply.kind = WIRE_GOODBYE;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "number") == 0)
	{
		reply.number += 1;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "status") == 0)
	{
		reply.status = 99;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "unchanged") == 0)
	{
		reply.unchanged = 1;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "no-result") == 0)
	{
		reply.length = 0;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "offset") == 0)
	{
		reply.offset = WIRE_ARENA_SIZE;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "overflow") == 0)
	{
		reply.offset = UINT64_MAX - 50;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "length") == 0)
	{
		reply.length = WIRE_ARENA_SIZE + 1;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "too-long") == 0)
	{
		reply.length = WIRE_ARENA_SIZE;
		say(&reply, sizeof(reply));
	}
	if (strcmp(word, "no-webp") == 0)
		say(&reply, sizeof(reply));
}

/* Does what the sandbox should forbid. */
static void
break_out(const char *word)
{
	if (strcmp(word, "open") == 0)
		(void) open("/etc/passwd", O_RDONLY);
	if (strcmp(word, "create") == 0)
		(void) open("/tmp/rogue", O_WRONLY | O_CREAT, 0600);
	if (strcmp(word, "unlink") == 0)
		(void) unlink("/tmp/rogue");
	if (strcmp(word, "read-other") == 0)
	{
		char		byte;

		(void) !read(0, &byte, 1);
	}
	if (strcmp(word, "socket-inet") == 0)
		(void) socket(AF_INET, SOCK_STREAM, 0);
	if (strcmp(word, "socket-unix") == 0)
		(void) socket(AF_UNIX, SOCK_STREAM, 0);
	if (strcmp(word, "connect") == 0)
	{
		struct sockaddr_un address = {.sun_family = AF_UNIX,.sun_path = "/rogue"};

		(void) connect(WIRE_SOCKET_FD, (const struct sockaddr *) &address, sizeof(address));
	}
	if (strcmp(word, "fork") == 0 && fork() == 0)
		_exit(0);
	if (strcmp(word, "exec") == 0)
		(void) execl("/bin/true", "true", (char *) NULL);
	if (strcmp(word, "kill-parent") == 0)
		(void) kill(getppid(), SIGKILL);
	if (strcmp(word, "ptrace") == 0)
		(void) ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
	if (strcmp(word, "executable") == 0)
		(void) mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (strcmp(word, "make-executable") == 0)
	{
		void	   *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
								MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page != MAP_FAILED)
			(void) mprotect(page, 4096, PROT_READ | PROT_EXEC);
	}
	if (strcmp(word, "raise-limit") == 0)
	{
		struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

		(void) setrlimit(RLIMIT_AS, &limit);
	}
}

/* Ends or goes on in ways of its own. */
static void
misbehave(const char *word)
{
	if (strcmp(word, "segfault") == 0)
	{
		volatile int *volatile nowhere = NULL;

		*nowhere = 1;
	}
	if (strcmp(word, "abort") == 0)
		abort();
	if (strcmp(word, "exit") == 0)
		_exit(7);
	if (strcmp(word, "exit-0") == 0)
		_exit(0);
	if (strcmp(word, "stop") == 0)
		(void) raise(SIGSTOP);
	if (strcmp(word, "spin") == 0)
		spin();
	if (strcmp(word, "bus") == 0)
		(void) raise(SIGBUS);
	if (strcmp(word, "hang-up") == 0)
	{
		close(WIRE_SOCKET_FD);
		spin();
	}
	if (strcmp(word, "killed") == 0)
		(void) raise(SIGKILL);
}

/*
 * Takes much of the arena, up to its end, which counts as the parent's
 * memory.  The input lies at its start.
 */
static void
dirty(const uint8_t *arena)
{
	uint8_t    *bytes = (uint8_t *) (uintptr_t) arena;

	/* every 16th page: 64 MB of 1 GB */
	for (uint64_t at = 1024 * 1024; at < WIRE_ARENA_SIZE; at += 16 * 4096)
		bytes[at] = 1;
}

/* Takes all the memory there is. */
static ImageStatus
devour(ImageError *error)
{
	for (;;)
	{
		char	   *block = malloc(1024 * 1024);

		if (block == NULL)
			break;
		memset(block, 1, 1024 * 1024);
	}
	error->status = IMAGE_NO_MEMORY;
	snprintf(error->message, sizeof(error->message), "out of memory");
	return IMAGE_NO_MEMORY;
}

ImageStatus
__wrap_image_compress(const uint8_t *data, size_t length,
					  const ImageCompressOptions *options, const ImageLimits *limits,
					  ImageResult *result, ImageError *error)
{
	char		tail[65] = "";
	size_t		tail_length = length < 64 ? length : 64;
	const char *word;

	for (size_t i = 0; i < tail_length; i++)
	{
		uint8_t		byte = data[length - tail_length + i];

		tail[i] = byte == 0 ? ' ' : (char) byte;
	}
	if (next_unchanged)
	{
		next_unchanged = false;
		memset(result, 0, sizeof(*result));
		result->unchanged = true;
		return IMAGE_OK;
	}
	word = strstr(tail, MARK);
	if (word == NULL)
		return __real_image_compress(data, length, options, limits, result, error);
	word += strlen(MARK);

	if (strcmp(word, "devour") == 0)
		return devour(error);
	if (strcmp(word, "message") == 0)
	{
		/* neither text ends, and a format takes either for its own */
		for (size_t i = 0; i < sizeof(error->message); i++)
			error->message[i] = "%n%s\033\n\x80"[i % 7];
		for (size_t i = 0; i < sizeof(error->limit); i++)
			error->limit[i] = "%n%s\033\n\x80"[i % 7];
		return IMAGE_OVER_LIMIT;
	}
	if (strcmp(word, "dirty") == 0)
		dirty(data);
	if (strcmp(word, "then-unchanged") == 0)
		next_unchanged = true;
	misbehave(word);
	break_out(word);
	speak(word);
	return __real_image_compress(data, length, options, limits, result, error);
}
