/*-------------------------------------------------------------------------
 *
 * driver_file.c
 *	  A folder of files as a store.
 *
 * A key is a path below the root.  The root has to be there already: a disk
 * that is not mounted is not to be filled in its place.  No symbolic link below
 * the root is followed, so nothing outside of it is read or written.
 *
 * A file is written in a folder of the driver's own in the root, FILE_OWN_FOLDER,
 * flushed, and then renamed to its place: who reads it sees all of it or none.
 * Files that couriers have left there when they were killed are removed.
 *
 * Files are made readable by all, since a web server is to serve them.  What
 * else an object has, a content type and metadata, a file has not: it is not
 * kept, and a HEAD does not tell it.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "driver_file.h"

#define PIECE			((size_t) 256 * 1024)	/* bytes that are written at once */
#define SLICE			4		/* pieces until others have their turn */
#define CLEAN_EVERY		3600000 /* milliseconds between looks for what was left behind */
#define RENAME_TRIES	10
#define FOLDER			(O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Older C libraries have no names for it. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE	(1 << 0)
#endif

static unsigned names_given;

/* --- stores -------------------------------------------------------------- */

static void *
open_store(const DriverFields *fields, DriverResult *why)
{
	FileStore  *store = calloc(1, sizeof(FileStore));

	if (store == NULL)
	{
		driver_fail_memory(why);
		return NULL;
	}
	store->root = driver_field(fields, "root");
	store->prefix = driver_field(fields, "prefix");
	if (store->prefix == NULL)
		store->prefix = "";
	if (store->root != NULL && store->root[0] == '/')
		return store;
	driver_fail(why, COURIER_MISCONFIGURED, NULL, "the store's root is not an absolute path");
	free(store);
	return NULL;
}

static void
close_store(void *store)
{
	free(store);
}

/* --- results ------------------------------------------------------------- */

static void
drop(FileTransfer *file)
{
	if (file->temporary[0] != '\0')
		(void) unlinkat(file->own, file->temporary, 0);
	if (file->file >= 0)
		close(file->file);
	if (file->own >= 0)
		close(file->own);
	if (file->root >= 0)
		close(file->root);
	if (file->list != NULL)
		file_list_drop(file);
	driver_body_free(&file->body);
	file->transfer->state = NULL;
	free(file);
}

void
file_end(FileTransfer *file)
{
	DriverTransfer *transfer = file->transfer;

	drop(file);
	transfer->host->end(transfer);
}

static void
cancel(DriverTransfer *transfer)
{
	if (transfer->state != NULL)
		drop(transfer->state);
}

void
file_end_errno(FileTransfer *file, const char *what)
{
	DriverResult *result = &file->transfer->result;
	int			error = errno;
	const char *hint = NULL;
	CourierStatus status;

	driver_result_clear(result);
	switch (error)
	{
		case ENOSPC:
		case EDQUOT:
			driver_fail(result, COURIER_BUSY, NULL, "could not %s: no space left in the store's folder", what);
			file_end(file);
			return;
		case EACCES:
		case EPERM:
		case EROFS:
			status = COURIER_MISCONFIGURED;
			hint = "The server's operating system user must have the right to write into the store's root and all below it.";
			break;
		case ELOOP:
		case ENOTDIR:
		case EISDIR:
		case ENAMETOOLONG:
		case EFBIG:
			status = COURIER_REFUSED;
			break;
		case ENOMEM:
			status = COURIER_INTERNAL;
			break;
		default:
			status = COURIER_RETRY;
			break;
	}
	driver_fail(result, status, hint, "could not %s: %s", what, strerror(error));
	file_end(file);
}

void
file_etag(const struct stat *status, char *etag, size_t size)
{
	snprintf(etag, size, "%jd-%" PRIx64, (intmax_t) status->st_size,
			 (uint64_t) status->st_mtim.tv_sec * 1000000000u + (uint64_t) status->st_mtim.tv_nsec);
}

/* --- folders ------------------------------------------------------------- */

static int
open_beneath(int folder, const char *path)
{
	struct open_how how = {
		.flags = FOLDER | O_RDONLY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
	};

	return (int) syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

/* Opens the folder of a path, name by name; with make, makes those that are missing. */
static int
walk(int root, char *path, bool make)
{
	int			folder = openat(root, ".", FOLDER | O_RDONLY);

	for (char *name = path; folder >= 0 && *name != '\0';)
	{
		size_t		size = strcspn(name, "/");
		bool		last = name[size] == '\0';
		int			next = -1;
		int			error;

		name[size] = '\0';
		if (make && mkdirat(folder, name, 0755) == 0)
			(void) fsync(folder);
		else if (make && errno != EEXIST)
		{
			error = errno;
			close(folder);
			errno = error;
			return -1;
		}
		next = openat(folder, name, FOLDER | O_RDONLY);
		error = errno;
		close(folder);
		errno = error;
		folder = next;
		name += last ? size : size + 1;
	}
	return folder;
}

int
file_open_folder(int root, const char *path, size_t length)
{
	char		copy[STORE_KEY_MOST + 1];
	int			folder;

	if (length > STORE_KEY_MOST)
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(copy, path, length);
	copy[length] = '\0';
	folder = open_beneath(root, length > 0 ? copy : ".");
	if (folder >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL))
		return folder;

	/* where the kernel or its filter has no such call */
	return walk(root, copy, false);
}

/* Opens the folder of a path, making those that are missing. */
static int
make_folder(int root, const char *path, size_t length)
{
	int			folder = file_open_folder(root, path, length);
	char		copy[STORE_KEY_MOST + 1];

	if (folder >= 0 || errno != ENOENT)
		return folder;
	memcpy(copy, path, length);
	copy[length] = '\0';
	return walk(root, copy, true);
}

/* The whole path of the transfer's key, and how much of it is the folder's. */
static size_t
key_path(const FileTransfer *file, char path[STORE_KEY_MOST + 1], const char **name)
{
	const char *slash;

	snprintf(path, STORE_KEY_MOST + 1, "%s%s", file->store->prefix, file->transfer->key);
	slash = strrchr(path, '/');
	*name = slash != NULL ? slash + 1 : path;
	return slash != NULL ? (size_t) (slash - path) : 0;
}

/*
 * Removes what couriers that are no more have left: files that nobody has
 * locked.  At the first change of a store, and at times later on.
 */
static void
clean(FileTransfer *file)
{
	int			own;
	DIR		   *folder;
	struct dirent *entry;

	if (driver_now() < file->store->clean_at)
		return;
	file->store->clean_at = driver_now() + CLEAN_EVERY;
	own = openat(file->root, FILE_OWN_FOLDER, FOLDER | O_RDONLY);
	folder = own >= 0 ? fdopendir(own) : NULL;
	if (folder == NULL)
	{
		if (own >= 0)
			close(own);
		return;
	}
	while ((entry = readdir(folder)) != NULL)
	{
		struct stat status;
		int			left;

		if (fstatat(own, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
			continue;
		left = openat(own, entry->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (left < 0)
			continue;
		if (flock(left, LOCK_EX | LOCK_NB) == 0)
			(void) unlinkat(own, entry->d_name, 0);
		close(left);
	}
	closedir(folder);
}

/* --- PUT ----------------------------------------------------------------- */

/* Opens the file that is written at first. */
static bool
open_temporary(FileTransfer *file)
{
	if (mkdirat(file->root, FILE_OWN_FOLDER, 0700) != 0 && errno != EEXIST)
		return false;
	file->own = openat(file->root, FILE_OWN_FOLDER, FOLDER | O_RDONLY);
	if (file->own < 0)
		return false;
	for (int tries = 0; tries < 100; tries++)
	{
		struct stat status;

		snprintf(file->temporary, sizeof(file->temporary), "%ld-%u-%" PRId64, (long) getpid(),
				 ++names_given, (int64_t) time(NULL));
		file->file = openat(file->own, file->temporary,
							O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (file->file < 0)
		{
			if (errno != EEXIST)
				break;
			continue;
		}
		/* another courier may have taken it for one that was left behind */
		if ((flock(file->file, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == EOPNOTSUPP) &&
			fstat(file->file, &status) == 0 && status.st_nlink > 0)
			return true;
		(void) unlinkat(file->own, file->temporary, 0);
		close(file->file);
		file->file = -1;
	}
	file->temporary[0] = '\0';
	return false;
}

/* Renames the file to where nothing may be. */
static int
rename_new(FileTransfer *file, int folder, const char *name)
{
	if (syscall(SYS_renameat2, file->own, file->temporary, folder, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
		return -1;
	if (linkat(file->own, file->temporary, folder, name, 0) != 0)
		return -1;
	return unlinkat(file->own, file->temporary, 0);
}

/* All is written: it goes to its place. */
static void
put_in_place(FileTransfer *file)
{
	DriverResult *result = &file->transfer->result;
	char		path[STORE_KEY_MOST + 1];
	const char *name;
	size_t		length = key_path(file, path, &name);
	struct stat status;

	if (fsync(file->file) != 0 || fstat(file->file, &status) != 0)
	{
		file_end_errno(file, "write the file");
		return;
	}
	for (int tries = 1;; tries++)
	{
		int			folder = make_folder(file->root, path, length);
		int			renamed = -1;

		if (folder >= 0)
		{
			int			error;

			if (file->transfer->if_none_match)
				renamed = rename_new(file, folder, name);
			else
				renamed = renameat(file->own, file->temporary, folder, name);
			error = errno;
			if (renamed == 0)
			{
				file->temporary[0] = '\0';
				renamed = fsync(folder);
				error = errno;
			}
			close(folder);
			errno = error;
		}
		if (renamed == 0)
			break;
		if (file->transfer->if_none_match && errno == EEXIST)
		{
			driver_fail(result, COURIER_EXISTS, NULL, "there is a file of that name");
			file_end(file);
			return;
		}

		/* a folder may be removed, since it was empty, before a file is in it */
		if (errno != ENOENT || tries == RENAME_TRIES)
		{
			file_end_errno(file, "put the file into its folder");
			return;
		}
	}
	file_etag(&status, result->etag, sizeof(result->etag));
	result->time = (int64_t) status.st_mtime;
	file_end(file);
}

static bool
write_all(int file, const uint8_t *bytes, size_t length)
{
	while (length > 0)
	{
		ssize_t		written = write(file, bytes, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			if (written == 0)
				errno = ENOSPC;
			return false;
		}
		bytes += written;
		length -= (size_t) written;
	}
	return true;
}

static void
step_put(FileTransfer *file)
{
	static uint8_t bytes[PIECE];
	DriverTransfer *transfer = file->transfer;

	for (int i = 0; i < SLICE; i++)
	{
		ssize_t		length = driver_body_read(&file->body, transfer, bytes, sizeof(bytes));

		if (length == DRIVER_BODY_LATER)
			return;
		if (length < 0)
		{
			driver_body_fail(&file->body, &transfer->result);
			file_end(file);
			return;
		}
		if (file->file < 0 && !open_temporary(file))
		{
			file_end_errno(file, "make a file");
			return;
		}
		if (length == 0)
		{
			put_in_place(file);
			return;
		}
		if (!write_all(file->file, bytes, (size_t) length))
		{
			file_end_errno(file, "write the file");
			return;
		}

		/* begun now, it takes less time in the end */
		if (transfer->length > SLICE * PIECE)
			(void) sync_file_range(file->file, (off64_t) file->done, (off64_t) length,
								   SYNC_FILE_RANGE_WRITE);
		file->done += (uint64_t) length;
	}
	transfer->host->wake(transfer);
}

/* --- GET, HEAD ----------------------------------------------------------- */

/* Opens the file, or ends the transfer. */
static bool
open_file(FileTransfer *file, struct stat *status)
{
	DriverResult *result = &file->transfer->result;
	char		path[STORE_KEY_MOST + 1];
	const char *name;
	size_t		length = key_path(file, path, &name);
	int			folder = file_open_folder(file->root, path, length);

	if (folder >= 0)
	{
		int			error;

		file->file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		error = errno;
		close(folder);
		errno = error;
	}
	if (file->file < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
	{
		file_end_errno(file, "open the file");
		return false;
	}
	if (file->file >= 0 && fstat(file->file, status) != 0)
	{
		file_end_errno(file, "open the file");
		return false;
	}
	if (file->file < 0 || !S_ISREG(status->st_mode))
	{
		driver_fail(result, COURIER_ABSENT, NULL, "there is no such object");
		file_end(file);
		return false;
	}
	file_etag(status, result->etag, sizeof(result->etag));
	result->time = (int64_t) status->st_mtime;
	result->length = (uint64_t) status->st_size;
	return true;
}

static void
step_get(FileTransfer *file)
{
	DriverTransfer *transfer = file->transfer;

	for (int i = 0; i < SLICE; i++)
	{
		size_t		room;
		uint8_t    *space = transfer->host->space(transfer, &room);
		ssize_t		length;

		if (space == NULL)
			return;
		do
			length = read(file->file, space, room);
		while (length < 0 && errno == EINTR);
		if (length < 0)
		{
			file_end_errno(file, "read the file");
			return;
		}
		if (length == 0)
		{
			transfer->result.length = file->done;
			file_end(file);
			return;
		}
		transfer->host->added(transfer, (size_t) length);
		file->done += (uint64_t) length;
	}
	transfer->host->wake(transfer);
}

/* --- DELETE -------------------------------------------------------------- */

static void
delete_file(FileTransfer *file)
{
	char		path[STORE_KEY_MOST + 1];
	const char *name;
	size_t		length = key_path(file, path, &name);
	const char *kept = strrchr(file->store->prefix, '/');
	size_t		kept_length = kept != NULL ? (size_t) (kept - file->store->prefix) : 0;
	int			folder = file_open_folder(file->root, path, length);
	int			error = errno;
	bool		removed;

	removed = folder >= 0 && unlinkat(folder, name, 0) == 0;
	if (folder >= 0 && !removed)
		error = errno;
	if (removed)
		(void) fsync(folder);
	if (folder >= 0)
		close(folder);
	errno = error;

	/* a folder or a link is no object, so there was none */
	if (!removed && errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EISDIR)
	{
		file_end_errno(file, "remove the file");
		return;
	}

	/* the folders that are empty now, but those of the prefix */
	while (removed && length > kept_length)
	{
		const char *slash;
		size_t		above;

		path[length] = '\0';
		slash = strrchr(path, '/');
		above = slash != NULL ? (size_t) (slash - path) : 0;
		folder = file_open_folder(file->root, path, above);
		if (folder < 0)
			break;
		removed = unlinkat(folder, slash != NULL ? slash + 1 : path, AT_REMOVEDIR) == 0;
		close(folder);
		length = above;
	}
	file_end(file);
}

/* --- all ----------------------------------------------------------------- */

/* Whether a key can be that of a file, and is not the driver's own. */
static bool
check_key(FileTransfer *file)
{
	DriverTransfer *transfer = file->transfer;
	char		path[STORE_KEY_MOST + 1];
	const char *name;
	StoreError	error;

	if (!store_key_check(file->store->prefix, transfer->key, true, &error))
	{
		driver_fail(&transfer->result, COURIER_REFUSED, error.hint, "%s", error.message);
		return false;
	}
	(void) key_path(file, path, &name);
	path[strcspn(path, "/")] = '\0';
	if (strcmp(path, FILE_OWN_FOLDER) != 0)
		return true;
	driver_fail(&transfer->result, COURIER_REFUSED, NULL,
				"key is in \"%s\", which is the store's own", FILE_OWN_FOLDER);
	return false;
}

static void
begin(DriverTransfer *transfer)
{
	FileTransfer *file = calloc(1, sizeof(FileTransfer));
	struct stat status;

	if (file == NULL)
	{
		driver_fail_memory(&transfer->result);
		transfer->host->end(transfer);
		return;
	}
	file->transfer = transfer;
	file->store = transfer->store;
	file->root = file->file = file->own = -1;
	transfer->state = file;
	if (transfer->operation != COURIER_LIST && !check_key(file))
	{
		file_end(file);
		return;
	}
	file->root = open(file->store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->root < 0)
	{
		driver_fail(&transfer->result, COURIER_MISCONFIGURED,
					"The store's root must be a folder that the server's operating system user may write into.",
					"could not open the store's root: %s", strerror(errno));
		file_end(file);
		return;
	}
	if (transfer->operation == COURIER_PUT || transfer->operation == COURIER_DELETE)
		clean(file);
	switch (transfer->operation)
	{
		case COURIER_PUT:
			driver_body_begin(&file->body);
			transfer->host->wake(transfer);
			break;
		case COURIER_GET:
			if (open_file(file, &status))
				transfer->host->wake(transfer);
			break;
		case COURIER_HEAD:
			if (open_file(file, &status))
				file_end(file);
			break;
		case COURIER_DELETE:
			delete_file(file);
			break;
		case COURIER_LIST:
			file_list_begin(file);
			break;
	}
}

static void
step(DriverTransfer *transfer)
{
	FileTransfer *file = transfer->state;

	if (transfer->operation == COURIER_PUT)
		step_put(file);
	else if (transfer->operation == COURIER_GET)
		step_get(file);
	else if (transfer->operation == COURIER_LIST)
		file_list_step(file);
}

const StoreDriver driver_file = {
	.type = "file",
	.open = open_store,
	.close = close_store,
	.begin = begin,
	.step = step,
	.cancel = cancel,
};
