/*-------------------------------------------------------------------------
 *
 * tiff_file.h
 *	  A TIFF in memory, opened for libtiff, and what it says of it (private
 *	  to decode_tiff.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_TIFF_FILE_H
#define MEDIASTORE_IMAGE_TIFF_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <tiffio.h>

typedef struct TiffFile
{
	const uint8_t *data;
	size_t		length;
	uint64_t	offset;			/* as libtiff set it; may be anything */
	TIFF	   *tif;
	int			errors;			/* and warnings of pixels that were made up */
	char		message[120];	/* the first one's */
} TiffFile;

/*
 * Opens the first page, for reading only; NULL when it can't be.  data must
 * live as long as the file.  No single allocation of libtiff's may be out of
 * proportion to a picture of so many pixels.
 */
extern TIFF *tiff_file_open(TiffFile *file, const uint8_t *data, size_t length,
							uint64_t pixels);

extern void tiff_file_close(TiffFile *file);

#endif							/* MEDIASTORE_IMAGE_TIFF_FILE_H */
