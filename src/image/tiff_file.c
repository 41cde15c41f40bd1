/*-------------------------------------------------------------------------
 *
 * tiff_file.c
 *	  A TIFF in memory, opened for libtiff, and what it says of it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "tiff_file.h"

#if TIFFLIB_VERSION >= 20221213 /* 4.5.0 */
#define TIFF_HAS_OPEN_OPTIONS
#endif

/* What libtiff may take at once, beside what the picture's size explains. */
#define TIFF_USUAL_MEMORY (64 * 1024 * 1024)

static void
tiff_note_error(TiffFile *file, const char *format, va_list args)
{
	if (file->errors++ == 0)
		vsnprintf(file->message, sizeof(file->message), format, args);
}

/* Some warnings mean that pixels were made up. */
static void
tiff_note_warning(TiffFile *file, const char *format, va_list args)
{
	char		message[120];
	va_list		again;

	va_copy(again, args);
	vsnprintf(message, sizeof(message), format, args);
	if (strstr(message, "remature") != NULL || strstr(message, "bad Huffman") != NULL)
		tiff_note_error(file, format, again);
	va_end(again);
}

#ifdef TIFF_HAS_OPEN_OPTIONS
static int
tiff_handle_error(TIFF *tif, void *context, const char *module, const char *format,
				  va_list args)
{
	(void) tif;
	(void) module;
	tiff_note_error(context, format, args);
	return 1;
}

static int
tiff_handle_warning(TIFF *tif, void *context, const char *module, const char *format,
					va_list args)
{
	(void) tif;
	(void) module;
	tiff_note_warning(context, format, args);
	return 1;
}
#else
static void
tiff_handle_error(thandle_t context, const char *module, const char *format, va_list args)
{
	(void) module;
	if (context != NULL)
		tiff_note_error(context, format, args);
}

static void
tiff_handle_warning(thandle_t context, const char *module, const char *format, va_list args)
{
	(void) module;
	if (context != NULL)
		tiff_note_warning(context, format, args);
}
#endif

/* The file, as libtiff sees it: bytes in memory that can't be written. */
static tmsize_t
tiff_file_read(thandle_t handle, void *out, tmsize_t size)
{
	TiffFile   *file = handle;
	uint64_t	left = file->offset < file->length ? file->length - file->offset : 0;

	if (size < 0)
		return -1;
	if ((uint64_t) size > left)
		size = (tmsize_t) left;
	memcpy(out, file->data + (left > 0 ? file->offset : 0), (size_t) size);
	file->offset += (uint64_t) size;
	return size;
}

static tmsize_t
tiff_file_write(thandle_t handle, void *bytes, tmsize_t size)
{
	(void) handle;
	(void) bytes;
	(void) size;
	return -1;
}

static toff_t
tiff_file_seek(thandle_t handle, toff_t offset, int whence)
{
	TiffFile   *file = handle;

	if (whence == SEEK_CUR)
		offset += file->offset;
	else if (whence == SEEK_END)
		offset += file->length;
	file->offset = offset;
	return offset;
}

static int
tiff_file_end(thandle_t handle)
{
	(void) handle;
	return 0;
}

static toff_t
tiff_file_size(thandle_t handle)
{
	return ((TiffFile *) handle)->length;
}

/* libtiff only reads what is mapped, in a mode that has no "w" in it. */
static int
tiff_file_map(thandle_t handle, void **base, toff_t *size)
{
	TiffFile   *file = handle;

	*base = (void *) (uintptr_t) file->data;
	*size = file->length;
	return 1;
}

static void
tiff_file_unmap(thandle_t handle, void *base, toff_t size)
{
	(void) handle;
	(void) base;
	(void) size;
}

TIFF *
tiff_file_open(TiffFile *file, const uint8_t *data, size_t length, uint64_t pixels)
{
	memset(file, 0, sizeof(*file));
	file->data = data;
	file->length = length;

	/* What belongs to no file goes here, and must not be printed either. */
	TIFFSetErrorHandler(NULL);
	TIFFSetWarningHandler(NULL);

#ifdef TIFF_HAS_OPEN_OPTIONS
	{
		TIFFOpenOptions *options = TIFFOpenOptionsAlloc();

		if (options == NULL)
		{
			snprintf(file->message, sizeof(file->message), "out of memory");
			return NULL;
		}
		TIFFOpenOptionsSetMaxSingleMemAlloc(options,
											(tmsize_t) (pixels * 8 + TIFF_USUAL_MEMORY));
		TIFFOpenOptionsSetErrorHandlerExtR(options, tiff_handle_error, file);
		TIFFOpenOptionsSetWarningHandlerExtR(options, tiff_handle_warning, file);
		file->tif = TIFFClientOpenExt("memory", "r", file, tiff_file_read, tiff_file_write,
									  tiff_file_seek, tiff_file_end, tiff_file_size,
									  tiff_file_map, tiff_file_unmap, options);
		TIFFOpenOptionsFree(options);
	}
#else
	(void) pixels;
	TIFFSetErrorHandlerExt(tiff_handle_error);
	TIFFSetWarningHandlerExt(tiff_handle_warning);
	file->tif = TIFFClientOpen("memory", "r", file, tiff_file_read, tiff_file_write,
							   tiff_file_seek, tiff_file_end, tiff_file_size,
							   tiff_file_map, tiff_file_unmap);
#endif
	return file->tif;
}

void
tiff_file_close(TiffFile *file)
{
	if (file->tif != NULL)
		TIFFClose(file->tif);
	file->tif = NULL;
}
