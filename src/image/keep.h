/*-------------------------------------------------------------------------
 *
 * keep.h
 *	  WebP that needs no encoding (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_KEEP_H
#define MEDIASTORE_IMAGE_KEEP_H

#include "color.h"

/*
 * Looks whether a WebP keeps every limit already.  If so, *kept is true and
 * the result says unchanged, or holds the same coded picture without the
 * chunks that do not belong in it (metadata, an sRGB profile, strays).  It is
 * decoded to its end first: what is damaged is IMAGE_DAMAGED.
 */
extern ImageStatus keep_webp(const uint8_t *data, size_t length,
							 const struct ImageFacts *facts,
							 const ImageCompressOptions *options,
							 bool *kept, ImageResult *result, ImageError *error);

/*
 * The conversion that a WebP's own profile asks for; as color_transform_open.
 */
extern ImageStatus webp_color_transform(const uint8_t *data, size_t length,
										ColorTransform **transform, ImageError *error);

#endif							/* MEDIASTORE_IMAGE_KEEP_H */
