/*-------------------------------------------------------------------------
 *
 * color.h
 *	  Colours to sRGB (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_COLOR_H
#define MEDIASTORE_IMAGE_COLOR_H

#include "raster.h"

/* A conversion from an embedded profile to sRGB; NULL stands for "none". */
typedef struct ColorTransform ColorTransform;

/*
 * Looks at an embedded ICC profile.  *transform stays NULL when there is none,
 * when it is broken or of another colour than the picture, and when it is
 * sRGB in all but name; else the caller ends it with color_transform_free.
 */
extern ImageStatus color_transform_open(const uint8_t *icc, size_t length,
										RasterColor color,
										ColorTransform **transform,
										ImageError *error);
extern void color_transform_free(ColorTransform *transform);

/*
 * Converts a raster, all planes of one size, to RGB (alpha stays) or, of a
 * GRAY one without transform, leaves it.  In place where it can be.
 */
extern ImageStatus color_to_srgb(Raster *raster, const ColorTransform *transform,
								 ImageError *error);

/* Makes a GRAY raster an RGB one of three equal planes; leaves others. */
extern ImageStatus color_widen_gray(Raster *raster, ImageError *error);

/*
 * Maps full-range samples to the limited range of WebP's YUV (BT.601: luma
 * 16..235, chroma 16..240), in place.
 */
extern void color_limit_range(RasterPlane *plane, bool chroma);

#endif							/* MEDIASTORE_IMAGE_COLOR_H */
