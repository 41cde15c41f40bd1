/*-------------------------------------------------------------------------
 *
 * driver_file_list.c
 *	  Lists of the files in a folder and in those below it.
 *
 * In the order of S3's, by the bytes of whole keys; so a folder is sorted as
 * if its name ended in its slash.  The names of a folder are read and sorted
 * when the list comes to it, the rest of the tree has not been looked at then.
 * Symbolic links are not listed, nor is what can be no key.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver_file.h"

#define SLICE			500		/* names until others have their turn */
#define DEPTH_MOST		(STORE_KEY_MOST / 2)
#define ITEM_MOST		(STORE_KEY_MOST + 256)

/* A folder the list is in. */
typedef struct Level
{
	struct Level *above;
	int			folder;
	DIR		   *reading;		/* while its names are read */
	size_t		path_length;	/* of its path, with a slash if it is not "" */
	char	  **names;			/* of folders with a slash behind */
	size_t		count;
	size_t		room;
	size_t		next;
} Level;

struct FileList
{
	Level	   *level;
	int			depth;
	char		path[STORE_KEY_MOST + 1];	/* of the level */
	char		begins[STORE_KEY_MOST + 1]; /* with what names of the first level begin */
	size_t		skip;			/* bytes of the store's prefix */
	uint64_t	listed;
};

static void
drop_level(FileList *list)
{
	Level	   *level = list->level;

	list->level = level->above;
	list->depth--;
	for (size_t i = 0; i < level->count; i++)
		free(level->names[i]);
	free(level->names);
	if (level->reading != NULL)
		closedir(level->reading);
	close(level->folder);
	free(level);
}

void
file_list_drop(FileTransfer *file)
{
	while (file->list->level != NULL)
		drop_level(file->list);
	free(file->list);
	file->list = NULL;
}

/* Goes into a folder, whose path is in list->path; owns the descriptor. */
static bool
enter(FileList *list, int folder, size_t path_length)
{
	Level	   *level = calloc(1, sizeof(Level));
	int			copy = level != NULL ? openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (copy >= 0)
		level->reading = fdopendir(copy);
	if (level == NULL || level->reading == NULL)
	{
		int			error = errno;

		if (copy >= 0)
			close(copy);
		close(folder);
		free(level);
		errno = level == NULL ? ENOMEM : error;
		return false;
	}
	level->folder = folder;
	level->path_length = path_length;
	level->above = list->level;
	list->level = level;
	list->depth++;
	return true;
}

static int
compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *) left, *(char *const *) right);
}

/* Keeps a name that may be (of) a key; false: no memory. */
static bool
keep_name(Level *level, const char *name, bool folder)
{
	size_t		length = strlen(name);
	char	   *copy;

	if (level->count == level->room)
	{
		size_t		room = level->room == 0 ? 64 : level->room * 2;
		char	  **names = realloc(level->names, room * sizeof(char *));

		if (names == NULL)
			return false;
		level->names = names;
		level->room = room;
	}
	copy = malloc(length + 2);
	if (copy == NULL)
		return false;
	memcpy(copy, name, length + 1);
	if (folder)
		strcpy(copy + length, "/");
	level->names[level->count++] = copy;
	return true;
}

/* Reads some names of the folder; *done when it has all of them, sorted. */
static bool
read_names(FileList *list, bool *done)
{
	Level	   *level = list->level;
	bool		first = level->above == NULL;

	*done = false;
	for (int i = 0; i < SLICE; i++)
	{
		struct dirent *entry;
		const char *name;
		unsigned char type;

		errno = 0;
		entry = readdir(level->reading);
		if (entry == NULL)
		{
			if (errno != 0)
				return false;
			closedir(level->reading);
			level->reading = NULL;
			if (level->count > 0)
				qsort(level->names, level->count, sizeof(char *), compare_names);
			*done = true;
			return true;
		}
		name = entry->d_name;
		type = entry->d_type;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !store_is_plain(name) ||
			(level->path_length == 0 && strcmp(name, FILE_OWN_FOLDER) == 0) ||
			(first && strncmp(name, list->begins, strlen(list->begins)) != 0) ||
			level->path_length + strlen(name) > STORE_KEY_MOST)
			continue;
		if (type == DT_UNKNOWN)
		{
			struct stat status;

			if (fstatat(level->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
				continue;
			type = S_ISDIR(status.st_mode) ? DT_DIR : S_ISREG(status.st_mode) ? DT_REG : DT_LNK;
		}
		if ((type == DT_DIR || type == DT_REG) && !keep_name(level, name, type == DT_DIR))
		{
			errno = ENOMEM;
			return false;
		}
	}
	return true;
}

static uint8_t *
put_field(uint8_t *to, const char *name, const char *value)
{
	to = (uint8_t *) stpcpy((char *) to, name) + 1;
	return (uint8_t *) stpcpy((char *) to, value) + 1;
}

/* Lists a file; one that is gone by now is left out. */
static void
list_file(FileTransfer *file, const char *name, size_t path_length)
{
	FileList   *list = file->list;
	DriverTransfer *transfer = file->transfer;
	struct stat status;
	char		bytes[24];
	char		etag[64];
	char		modified[24];
	uint8_t    *start;
	uint8_t    *end;
	size_t		room;

	if (fstatat(list->level->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISREG(status.st_mode))
		return;
	strcpy(list->path + path_length, name);
	if (list->path[list->skip] == '\0')
		return;
	snprintf(bytes, sizeof(bytes), "%jd", (intmax_t) status.st_size);
	file_etag(&status, etag, sizeof(etag));
	snprintf(modified, sizeof(modified), "%jd", (intmax_t) status.st_mtime);
	start = transfer->host->space(transfer, &room);
	end = put_field(start, "key", list->path + list->skip);
	end = put_field(end, "bytes", bytes);
	end = put_field(end, "etag", etag);
	end = put_field(end, "modified", modified);
	transfer->host->added(transfer, (size_t) (end - start));
	list->listed++;
}

/* Goes into a folder of the level's. */
static bool
list_folder(FileTransfer *file, char *name, size_t path_length)
{
	FileList   *list = file->list;
	size_t		length = strlen(name) - 1;
	int			folder;

	if (list->depth == DEPTH_MOST || path_length + length + 1 >= STORE_KEY_MOST)
		return true;
	name[length] = '\0';
	folder = file_open_folder(list->level->folder, name, length);
	if (folder < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
	memcpy(list->path + path_length, name, length);
	list->path[path_length + length] = '/';
	return enter(list, folder, path_length + length + 1);
}

void
file_list_step(FileTransfer *file)
{
	FileList   *list = file->list;
	DriverTransfer *transfer = file->transfer;

	for (int i = 0; i < SLICE; i++)
	{
		Level	   *level = list->level;
		char	   *name;
		bool		done;

		if (level == NULL)
		{
			transfer->result.length = list->listed;
			file_end(file);
			return;
		}
		if (level->reading != NULL)
		{
			if (!read_names(list, &done))
			{
				file_end_errno(file, "read a folder");
				return;
			}
			if (!done)
				break;
			continue;
		}
		if (level->next == level->count)
		{
			drop_level(list);
			continue;
		}
		if (!transfer->host->fit(transfer, ITEM_MOST))
			return;
		name = level->names[level->next++];
		if (name[strlen(name) - 1] != '/')
			list_file(file, name, level->path_length);
		else if (!list_folder(file, name, level->path_length))
		{
			file_end_errno(file, "read a folder");
			return;
		}
	}
	transfer->host->wake(transfer);
}

void
file_list_begin(FileTransfer *file)
{
	DriverTransfer *transfer = file->transfer;
	const char *prefix = file->store->prefix;
	size_t		length = strlen(prefix) + strlen(transfer->key);
	char		whole[STORE_KEY_MOST + 1];
	char	   *slash;
	size_t		folder_length;
	int			folder = -1;

	file->list = calloc(1, sizeof(FileList));
	if (file->list == NULL)
	{
		driver_fail_memory(&transfer->result);
		file_end(file);
		return;
	}
	file->list->skip = strlen(prefix);

	/* a prefix that no key of a file's can have is one of none */
	if (length > STORE_KEY_MOST)
	{
		file_end(file);
		return;
	}
	snprintf(whole, sizeof(whole), "%s%s", prefix, transfer->key);
	slash = strrchr(whole, '/');
	folder_length = slash != NULL ? (size_t) (slash - whole) : 0;
	strcpy(file->list->begins, slash != NULL ? slash + 1 : whole);
	if (slash != NULL)
	{
		StoreError	error;

		*slash = '\0';
		if (!store_key_check(NULL, whole, true, &error) ||
			strncmp(whole, FILE_OWN_FOLDER "/", sizeof(FILE_OWN_FOLDER)) == 0 ||
			strcmp(whole, FILE_OWN_FOLDER) == 0)
		{
			file_end(file);
			return;
		}
	}
	folder = file_open_folder(file->root, whole, folder_length);
	if (folder < 0)
	{
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			file_end(file);
		else
			file_end_errno(file, "read a folder");
		return;
	}
	memcpy(file->list->path, whole, folder_length);
	if (folder_length > 0)
		file->list->path[folder_length++] = '/';
	if (enter(file->list, folder, folder_length))
		transfer->host->wake(transfer);
	else
		file_end_errno(file, "read a folder");
}
