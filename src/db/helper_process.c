/*-------------------------------------------------------------------------
 *
 * helper_process.c
 *	  The life and death of the helper processes of this backend.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#include "../helper/courier_wire.h"
#include "../helper/wire.h"
#include "../mediastore.h"
#include "compat.h"
#include "helper_process.h"

/* Descriptors that are passed on are kept clear of the numbers they get. */
#define FIRST_SAFE_FD	10

/* Killed processes whose end we have not waited for yet. */
#define MOST_DYING		8

/* How many milliseconds a process may take to end once its socket has. */
#define LEAVE_TRIES		200

/* How much is read or written between two looks for interrupts. */
#define COPY_STEP		((size_t) 1024 * 1024)

static HelperProcess helpers[HELPER_PROGRAMS] = {
	{.name = "mediastore-codec",.is_codec = true,.arena_size = WIRE_ARENA_SIZE,.socket = -1,.arena = -1},
	{.name = "mediastore-codec-heif",.is_codec = true,.arena_size = WIRE_ARENA_SIZE,.socket = -1,.arena = -1},
	{.name = "mediastore-courier",.arena_size = COURIER_ARENA_SIZE,.socket = -1,.arena = -1}
};

static pid_t dying[MOST_DYING];
static int	dying_count = 0;
static bool callbacks_registered = false;

/* Waits for a child that is ending. */
static int
wait_for(pid_t pid)
{
	int			status = 0;

	while (waitpid(pid, &status, 0) < 0)
	{
		if (errno != EINTR)
			break;
	}
	return status;
}

/* Reaps the killed ones that have ended; with wait, all of them. */
static void
reap_dying(bool wait)
{
	int			left = 0;

	for (int i = 0; i < dying_count; i++)
	{
		if (wait)
			(void) wait_for(dying[i]);
		else if (waitpid(dying[i], NULL, WNOHANG) == 0)
			dying[left++] = dying[i];
	}
	dying_count = left;
}

/* Closes our ends.  The process slot is free afterwards. */
static void
forget(HelperProcess *helper)
{
	if (helper->socket >= 0)
	{
		close(helper->socket);
		ReleaseExternalFD();
	}
	if (helper->arena >= 0)
	{
		close(helper->arena);
		ReleaseExternalFD();
	}
	helper->socket = -1;
	helper->arena = -1;
	helper->pid = 0;
	helper->busy = false;
	helper->greeted = false;
	helper->sandboxed = false;
	helper->requests = 0;
}

void
helper_end(HelperProcess *helper)
{
	pid_t		pid = helper->pid;

	if (pid == 0)
		return;
	forget(helper);
	kill(pid, SIGKILL);

	/*
	 * Giving back a large address space takes a while, and whoever cancels
	 * should not wait for it.
	 */
	if (waitpid(pid, NULL, WNOHANG) == 0)
	{
		reap_dying(dying_count == MOST_DYING);
		dying[dying_count++] = pid;
	}
}

bool
helper_wait(HelperProcess *helper, int *status)
{
	pid_t		pid = helper->pid;

	forget(helper);

	/* a socket ends a little before its process does */
	for (int tries = 0; tries < LEAVE_TRIES; tries++)
	{
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		pg_usleep(1000);
	}

	/* the end may have come after the last look: its status tells */
	kill(pid, SIGKILL);
	*status = wait_for(pid);
	return !(WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL);
}

void
helper_reap(void)
{
	if (dying_count > 0)
		reap_dying(false);
	for (int i = 0; i < HELPER_PROGRAMS; i++)
	{
		if (helpers[i].pid != 0 && waitpid(helpers[i].pid, NULL, WNOHANG) != 0)
			forget(&helpers[i]);
	}
}

const HelperProcess *
helper_peek(HelperProgram program)
{
	return &helpers[program];
}

/* on_proc_exit: nothing of ours outlives this process, not even a zombie. */
static void
end_all(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	for (int i = 0; i < HELPER_PROGRAMS; i++)
		helper_end(&helpers[i]);
	reap_dying(true);
}

/* At the end of a transaction: nothing to do but to pick up who has left. */
static void
at_transaction_end(XactEvent event pg_attribute_unused(), void *arg pg_attribute_unused())
{
	helper_reap();
}

/* Where the programs are: beside the module. */
static const char *
module_directory(void)
{
	static char directory[MAXPGPATH];

	if (directory[0] == '\0')
	{
		Dl_info		info;
		const char *slash;

		if (dladdr(helpers, &info) == 0 || info.dli_fname == NULL ||
			(slash = strrchr(info.dli_fname, '/')) == NULL ||
			slash - info.dli_fname >= MAXPGPATH)
			elog(ERROR, "could not tell where the module was loaded from");
		strlcpy(directory, info.dli_fname, (size_t) (slash - info.dli_fname) + 1);
	}
	return directory;
}

/* Moves a descriptor to a number of FIRST_SAFE_FD or more; -1 with errno. */
static int
move_up(int fd)
{
	int			moved;

	if (fd < 0 || fd >= FIRST_SAFE_FD)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_SAFE_FD);
	close(fd);
	return moved;
}

/*
 * Starts the program with its descriptors, and nothing else of ours: no
 * environment, no other descriptor, no signal setting, a session of its own.
 * Returns an errno.
 */
static int
spawn(const char *path, char *const *arguments, int socket, int arena, pid_t *pid)
{
	char	   *environment[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t	signals;
	int			result;

	result = posix_spawn_file_actions_init(&actions);
	if (result != 0)
		return result;
	result = posix_spawnattr_init(&attributes);
	if (result != 0)
	{
		posix_spawn_file_actions_destroy(&actions);
		return result;
	}

	result = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(&actions, 0, 1);
#ifndef MEDIASTORE_SANITIZE
	/* the sanitizers' reports go to the server's log */
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(&actions, 0, 2);
#endif
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(&actions, socket, WIRE_SOCKET_FD);
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(&actions, arena, WIRE_ARENA_FD);
	if (result == 0)
		result = posix_spawn_file_actions_addclosefrom_np(&actions, WIRE_ARENA_FD + 1);

	if (result == 0)
		result = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID |
										  POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	sigfillset(&signals);
	if (result == 0)
		result = posix_spawnattr_setsigdefault(&attributes, &signals);
	sigemptyset(&signals);
	if (result == 0)
		result = posix_spawnattr_setsigmask(&attributes, &signals);

	if (result == 0)
		result = posix_spawn(pid, path, &actions, &attributes, arguments, environment);

	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return result;
}

/* Raises why a helper could not be started. */
_Noreturn static void
start_failed(const HelperProcess *helper, int error)
{
	errno = error;
	if (error == ENOENT && helper == &helpers[HELPER_CODEC_HEIF])
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("HEIF and AVIF images cannot be decoded by this installation"),
				 errhint("The program \"%s\" is built where libheif is found.",
						 helper->name)));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not start program \"%s\": %m", helper->name),
			 error == ENOENT ?
			 errhint("It is installed beside the module, in \"%s\".", module_directory()) :
			 error == EMFILE || error == ENFILE ?
			 errhint("A lower \"max_files_per_process\" or a higher limit of the system leaves it the descriptors it needs.") :
			 errhint("The system may be short of memory or processes.")));
}

/* Starts a helper.  Raises if that fails, leaving nothing behind. */
static void
start(HelperProcess *helper)
{
	char		path[MAXPGPATH];
	char		parent[16];
	char		memory[16];
	char		idle[16];
	char	   *arguments[WIRE_ARGUMENTS + 2];
	int			count = 0;
	int			sockets[2] = {-1, -1};
	int			arena = -1;
	pid_t		pid = 0;
	int			error = 0;

	snprintf(path, sizeof(path), "%s/%s", module_directory(), helper->name);
	snprintf(parent, sizeof(parent), "%d", (int) getpid());
	snprintf(memory, sizeof(memory), "%d", mediastore_codec_memory);
	snprintf(idle, sizeof(idle), "%d", mediastore_helper_idle);
	arguments[count++] = unconstify(char *, helper->name);
	arguments[count++] = parent;
	if (helper->is_codec)
		arguments[count++] = memory;
	arguments[count++] = idle;
	arguments[count] = NULL;

	if (!AcquireExternalFD())
		start_failed(helper, EMFILE);
	if (!AcquireExternalFD())
	{
		ReleaseExternalFD();
		start_failed(helper, EMFILE);
	}

	/* nothing from here to the end can raise */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
	{
		error = errno;
		sockets[0] = sockets[1] = -1;
	}
	if (error == 0 && (sockets[1] = move_up(sockets[1])) < 0)
		error = errno;
	if (error == 0 && fcntl(sockets[0], F_SETFL, O_NONBLOCK) != 0)
		error = errno;
	if (error == 0 && (arena = move_up(memfd_create("mediastore-arena", MFD_CLOEXEC))) < 0)
		error = errno;
	if (error == 0 && ftruncate(arena, (off_t) helper->arena_size) != 0)
		error = errno;
	if (error == 0)
		error = spawn(path, arguments, sockets[1], arena, &pid);
	if (sockets[1] >= 0)
		close(sockets[1]);

	if (error != 0)
	{
		if (sockets[0] >= 0)
			close(sockets[0]);
		if (arena >= 0)
			close(arena);
		ReleaseExternalFD();
		ReleaseExternalFD();
		start_failed(helper, error);
	}

	helper->starts++;
	helper->pid = pid;
	helper->socket = sockets[0];
	helper->arena = arena;
	helper->busy = false;
	helper->greeted = false;
	helper->sandboxed = false;
	helper->requests = 0;
	helper->started_at = GetCurrentTimestamp();
	helper->memory = mediastore_codec_memory;
	helper->idle = mediastore_helper_idle;
	helper->user = helper->is_codec ? GetUserId() : InvalidOid;
}

/*
 * Whether a running helper waits for us in silence.  Anything it has sent
 * unasked is a goodbye, or no better.
 */
static bool
is_waiting(const HelperProcess *helper)
{
	char		byte;

	return recv(helper->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		(errno == EAGAIN || errno == EWOULDBLOCK);
}

HelperProcess *
helper_get(HelperProgram program)
{
	HelperProcess *helper = &helpers[program];

	if (!callbacks_registered)
	{
		on_proc_exit(end_all, (Datum) 0);
		RegisterXactCallback(at_transaction_end, NULL);
		callbacks_registered = true;
	}

	helper_reap();
	if (helper->pid != 0 &&
		(helper->busy || helper->idle != mediastore_helper_idle || !is_waiting(helper) ||
		 (helper->is_codec &&
		  (helper->memory != mediastore_codec_memory || helper->user != GetUserId()))))
		helper_end(helper);
	if (helper->pid == 0)
		start(helper);
	return helper;
}

/* --- the arena ------------------------------------------------------------- */

static const char *
kind_of(const HelperProcess *helper)
{
	return helper->is_codec ? "codec" : "courier";
}

void
helper_write(const HelperProcess *helper, uint64 offset, const void *bytes, size_t length)
{
	const char *from = (const char *) bytes;

	while (length > 0)
	{
		ssize_t		written;

		CHECK_FOR_INTERRUPTS();
		written = pwrite(helper->arena, from, Min(length, COPY_STEP), (off_t) offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			if (written == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("could not hand bytes to the %s process: %m", kind_of(helper)),
					 errhint("The system may be short of memory.")));
		}
		from += written;
		length -= (size_t) written;
		offset += (uint64) written;
	}
}

void
helper_read(const HelperProcess *helper, uint64 offset, void *bytes, size_t length,
			const char *hint)
{
	char	   *to = (char *) bytes;

	while (length > 0)
	{
		ssize_t		got;

		CHECK_FOR_INTERRUPTS();
		got = pread(helper->arena, to, Min(length, COPY_STEP), (off_t) offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
		{
			if (got == 0)
				errno = EIO;
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not read from the %s process: %m", kind_of(helper)),
					 hint != NULL ? errhint("%s", hint) : 0));
		}
		to += got;
		length -= (size_t) got;
		offset += (uint64) got;
	}
}
