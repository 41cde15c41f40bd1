/*-------------------------------------------------------------------------
 *
 * file.h
 *	  Files of the server, below a folder that no path leads out of.
 *
 * A path is taken as relative to the folder, slashes at its start or not.
 * "..", and links that lead out of the folder, are refused; links within it
 * are followed where the system can watch them (Linux 5.6, openat2), and
 * refused where it can't.  Only ordinary files are read.
 *
 *	  no such file				58P01  undefined_file
 *	  not allowed, leads out	42501  insufficient_privilege
 *	  empty, "..", too long		22023  invalid_parameter_value
 *	  folder, pipe, device		42809  wrong_object_type
 *	  too large					54000  program_limit_exceeded
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_FILE_H
#define MEDIASTORE_FILE_H

#include "../image/image.h"

/*
 * Opens a folder by its absolute path.  The descriptor is the caller's to give
 * to file_close_folder, on errors too.  Raises 22023, 58P01, 42501, 42809.
 */
extern int	file_open_folder(const char *path);

extern void file_close_folder(int folder);

/*
 * Reads a file into a bytea, in the current memory context.  Can be
 * interrupted.
 */
extern bytea *file_read(int folder, const char *path);

/*
 * Looks whether a file could be read, and, unless options is NULL, whether
 * its header is that of a picture that may be compressed with them.  Returns
 * its length.  Raises what file_read does and what errors.h lists.
 */
extern uint64 file_check(int folder, const char *path, const ImageCompressOptions *options);

#endif							/* MEDIASTORE_FILE_H */
