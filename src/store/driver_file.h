/*-------------------------------------------------------------------------
 *
 * driver_file.h
 *	  What the files of the file driver have of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_DRIVER_FILE_H
#define MEDIASTORE_DRIVER_FILE_H

#include <sys/stat.h>

#include "driver.h"

/* The folder in a root that is the driver's own: files that are not whole yet. */
#define FILE_OWN_FOLDER		".mediastore"

typedef struct FileStore
{
	const char *root;
	const char *prefix;			/* or "" */
	int64_t		clean_at;		/* when to look for what was left behind, by driver_now */
} FileStore;

typedef struct FileList FileList;

typedef struct FileTransfer
{
	DriverTransfer *transfer;
	FileStore  *store;
	int			root;			/* descriptors, -1: none */
	int			file;
	int			own;			/* PUT: the driver's own folder */
	char		temporary[64];	/* PUT: the file's name there, or "" */
	DriverBody	body;
	uint64_t	done;
	FileList   *list;
} FileTransfer;

/* Ends the transfer, with what its result has. */
extern void file_end(FileTransfer *file);

/* Ends it for errno of something; what is "write the file", as in "could not ...". */
extern void file_end_errno(FileTransfer *file, const char *what);

/*
 * Opens a folder below another, by a path of names between slashes that
 * has neither "." nor ".." in it ("" is the folder itself), and follows no
 * symbolic link.  -1 with errno.
 */
extern int	file_open_folder(int root, const char *path, size_t length);

/* What a file is known by: its length and when it was last modified. */
extern void file_etag(const struct stat *status, char *etag, size_t size);

extern void file_list_begin(FileTransfer *file);
extern void file_list_step(FileTransfer *file);
extern void file_list_drop(FileTransfer *file);

#endif							/* MEDIASTORE_DRIVER_FILE_H */
