/*-------------------------------------------------------------------------
 *
 * resize.h
 *	  Rasters to other sizes, by zimg (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_RESIZE_H
#define MEDIASTORE_IMAGE_RESIZE_H

#include "raster.h"

/*
 * Part of a picture, in pixels (and fractions) of one of whole_width x
 * whole_height, however many samples its planes have.
 */
typedef struct ResizePart
{
	uint32_t	whole_width;
	uint32_t	whole_height;
	double		left;
	double		top;
	double		width;
	double		height;
} ResizePart;

/*
 * Resizes all planes of source, or a part of them (NULL: all), to width x
 * height into *result, which the caller frees; alpha is respected (colours are
 * weighted by it).  Planes of lower resolution come out in full resolution.
 */
extern ImageStatus resize_raster(const Raster *source, const ResizePart *part,
								 int width, int height, Raster *result,
								 ImageError *error);

/*
 * The same of a GRAY or YCC source without alpha, with chroma planes of half
 * the size, (width + 1) / 2 by (height + 1) / 2, each sample centred on its
 * four pixels.  Where width (height) is odd, the last column (row) of chroma
 * covers one column of pixels only; with flip_x (flip_y) the first one does,
 * so that it is the last after the caller has mirrored the planes.
 */
extern ImageStatus resize_raster_420(const Raster *source, const ResizePart *part,
									 int width, int height, bool flip_x, bool flip_y,
									 Raster *result, ImageError *error);

#endif							/* MEDIASTORE_IMAGE_RESIZE_H */
