/*-------------------------------------------------------------------------
 *
 * file.c
 *	  Files of the server, below a folder that no path leads out of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "../facts/facts.h"
#include "../mediastore.h"
#include "compat.h"
#include "errors.h"
#include "file.h"
#include "limits.h"

/* How much is read between two looks for interrupts. */
#define STRIDE			((size_t) 1024 * 1024)

/* A pipe is opened without waiting for who writes, and refused then. */
#define OPEN_FLAGS		(O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* How often a path is tried that changes while it is looked up. */
#define MOST_RACES		100

/* An open file as the facts room reads it. */
typedef struct FileWindow
{
	int			file;
	uint8		bytes[FACTS_FETCH_LARGEST];
} FileWindow;

_Noreturn static void
could_not_open(const char *path)
{
	int			error = errno;

	if (error == EXDEV || error == ELOOP)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("could not open file \"%s\": it leads out of the folder by a link", path)));
	if (error == ENAMETOOLONG)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path of %zu bytes is too long", strlen(path))));
	/* a socket, or a device that is not there */
	if (error == ENXIO)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an ordinary file", path)));
	errno = error;
	ereport(ERROR,
			(error == ENOTDIR ? errcode(ERRCODE_UNDEFINED_FILE) : errcode_for_file_access(),
			 errmsg("could not open file \"%s\": %m", path)));
}

int
file_open_folder(const char *path)
{
	int			folder;

	if (path[0] != '/')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("folder \"%s\" is not an absolute path", path)));
	ReserveExternalFD();
	folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
	{
		int			error = errno;

		ReleaseExternalFD();
		errno = error;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open folder \"%s\": %m", path)));
	}
	return folder;
}

void
file_close_folder(int folder)
{
	close(folder);
	ReleaseExternalFD();
}

/* Gives the path without slashes at its start; refuses what can't be one. */
static const char *
check_path(const char *path)
{
	const char *relative = path + strspn(path, "/");

	if (*relative == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path is empty")));
	for (const char *part = relative; *part != '\0'; part += strspn(part, "/"))
	{
		size_t		length = strcspn(part, "/");

		if (length == 2 && part[0] == '.' && part[1] == '.')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path \"%s\" contains \"..\"", path)));
		part += length;
	}
	return relative;
}

/*
 * Opens a path part by part, no links followed: what there is where openat2
 * is not, or is not allowed.  -1 and errno if that fails.
 */
static int
walk(int folder, const char *path)
{
	int			at = folder;

	for (;;)
	{
		char		part[NAME_MAX + 1];
		size_t		length = strcspn(path, "/");
		const char *rest = path + length + strspn(path + length, "/");
		bool		last = path[length] == '\0';
		int			next;
		int			error;

		if (length >= sizeof(part))
		{
			next = -1;
			error = ENAMETOOLONG;
		}
		else
		{
			memcpy(part, path, length);
			part[length] = '\0';
			next = last ? openat(at, part, OPEN_FLAGS | O_NOFOLLOW) :
				openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			error = errno;

			/* a link is no folder, says the system: tell these apart */
			if (next < 0 && !last && error == ENOTDIR)
			{
				struct stat status;

				if (fstatat(at, part, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
					error = ELOOP;
			}
		}
		if (at != folder)
			close(at);
		if (next < 0 || last)
		{
			errno = error;
			return next;
		}
		/* "name/" is a folder's */
		if (*rest == '\0')
			rest = ".";
		path = rest;
		at = next;
	}
}

/* Opens a path below a folder.  -1 and errno if that fails. */
static int
open_beneath(int folder, const char *path)
{
	struct open_how how = {
		.flags = OPEN_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
	};
	int			file;

	/* "the kernel could not ensure that a ".." component didn't escape" */
	for (int i = 0; i < MOST_RACES; i++)
	{
		file = (int) syscall(SYS_openat2, folder, path, &how, sizeof(how));
		if (file >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (file < 0 && (errno == ENOSYS || errno == EPERM))
		file = walk(folder, path);
	return file;
}

/* Opens an ordinary file that is not too large.  Tells its length. */
static int
open_file(int folder, const char *path, uint64 *length)
{
	const char *relative = check_path(path);
	uint64		most = Min((uint64) mediastore_max_input_bytes, MaxAllocSize - VARHDRSZ);
	struct stat status;
	int			file;

	ReserveExternalFD();
	file = open_beneath(folder, relative);
	if (file < 0 || fstat(file, &status) < 0)
	{
		int			error = errno;

		if (file >= 0)
			close(file);
		ReleaseExternalFD();
		errno = error;
		could_not_open(path);
	}
	*length = (uint64) status.st_size;
	if (S_ISREG(status.st_mode) && *length <= most)
		return file;

	close(file);
	ReleaseExternalFD();
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an ordinary file", path)));
	error_over_limit("max_input_bytes",
					 "file is too large: " UINT64_FORMAT " bytes, more than " UINT64_FORMAT,
					 *length, most);
}

static void
close_file(int file)
{
	close(file);
	ReleaseExternalFD();
}

/* Reads so many bytes as there are, at most length. */
static size_t
read_at(int file, uint64 offset, uint8 *bytes, size_t length)
{
	size_t		done = 0;

	while (done < length)
	{
		ssize_t		count;

		CHECK_FOR_INTERRUPTS();
		count = pread(file, bytes + done, Min(length - done, STRIDE), (off_t) (offset + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file: %m")));
		if (count == 0)
			break;
		done += (size_t) count;
	}
	return done;
}

bytea *
file_read(int folder, const char *path)
{
	uint64		length;
	int			file = open_file(folder, path, &length);
	bytea	   *data = NULL;

	PG_TRY();
	{
		uint8		more;

		data = (bytea *) palloc(VARHDRSZ + length);
		SET_VARSIZE(data, VARHDRSZ + length);
		if (read_at(file, 0, (uint8 *) VARDATA(data), length) != length ||
			read_at(file, length, &more, 1) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("file \"%s\" was changed while it was read", path)));
	}
	PG_FINALLY();
	{
		close_file(file);
	}
	PG_END_TRY();
	return data;
}

/* FactsReader's fetch */
static bool
fetch(void *context, uint64_t offset, size_t minimum, const uint8_t **data, size_t *length)
{
	FileWindow *window = (FileWindow *) context;

	*length = read_at(window->file, offset, window->bytes, Max(minimum, FACTS_FETCH_USUAL));
	*data = window->bytes;
	return *length >= minimum;
}

uint64
file_check(int folder, const char *path, const ImageCompressOptions *options)
{
	uint64		length;
	int			file = open_file(folder, path, &length);

	PG_TRY();
	{
		if (options != NULL)
		{
			FileWindow *window = (FileWindow *) palloc(sizeof(FileWindow));
			FactsReader reader = {.total = length, .fetch = fetch, .context = window};
			char		message[200] = "";
			ImageFacts	facts;
			FactsStatus status;

			window->file = file;
			status = facts_read(&reader, true, &facts, message, sizeof(message));
			if (status != FACTS_OK)
				error_facts(status, facts.format, message);
			limits_check_claims(&facts, options);
			pfree(window);
		}
	}
	PG_FINALLY();
	{
		close_file(file);
	}
	PG_END_TRY();
	return length;
}
