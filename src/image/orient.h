/*-------------------------------------------------------------------------
 *
 * orient.h
 *	  The eight orientations (private to this room).
 *
 * Numbers are EXIF's (tag 0x0112): 1 as it is, 2 mirrored, 3 turned by 180
 * degrees, 4 mirrored top to bottom, 5 transposed, 6 to be turned 90 degrees
 * clockwise, 7 transposed along the other diagonal, 8 to be turned 90
 * degrees counter-clockwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_ORIENT_H
#define MEDIASTORE_IMAGE_ORIENT_H

#include "raster.h"

/* What an orientation does to the stored picture, in this order. */
extern bool orientation_flips_x(int orientation);	/* columns reversed */
extern bool orientation_flips_y(int orientation);	/* rows reversed */
extern bool orientation_transposes(int orientation);	/* then rows become
														 * columns */

/* The size of the upright picture, of that of the stored one. */
extern void orient_size(int orientation, int *width, int *height);

/*
 * Makes every plane of the raster upright, sample by sample and without loss.
 * On failure the raster is as it was.
 */
extern ImageStatus orient_raster(Raster *raster, int orientation, ImageError *error);

#endif							/* MEDIASTORE_IMAGE_ORIENT_H */
