/*-------------------------------------------------------------------------
 *
 * fit.h
 *	  What of a picture is wanted, and how large (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_FIT_H
#define MEDIASTORE_IMAGE_FIT_H

#include "resize.h"

/*
 * The way of a picture to its size, all of it as stored, before orientation:
 * a part is resized to width x height, which then lies in the middle of
 * canvas_width x canvas_height.
 */
typedef struct Fit
{
	ResizePart	part;
	int			width;
	int			height;
	int			canvas_width;
	int			canvas_height;
	int			target;			/* the longest side that the whole picture has
								 * where its part is resized so; at most its
								 * own */
} Fit;

/*
 * Within a size: aspect kept as nearly as whole pixels can, never larger than
 * the picture, at least 1.
 */
extern void fit_size(uint32_t width, uint32_t height, int max_width, int max_height,
					 int *result_width, int *result_height);

/*
 * Fits a picture of width x height, as stored, into the options' box, or, if
 * there is none, within side x side.  Only IMAGE_FIT_FILL enlarges.  What
 * IMAGE_FIT_COVER makes of a picture that is narrower or lower than the box
 * is the largest that has the box's ratio.
 */
extern void fit_picture(uint32_t width, uint32_t height, int orientation,
						const ImageCompressOptions *options, int side, Fit *fit);

/* Is an upright picture of that size to keep it, and all of it? */
extern bool fit_keeps(uint32_t width, uint32_t height, const ImageCompressOptions *options);

#endif							/* MEDIASTORE_IMAGE_FIT_H */
