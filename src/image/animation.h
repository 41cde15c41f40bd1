/*-------------------------------------------------------------------------
 *
 * animation.h
 *	  Animations, frame by frame (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_ANIMATION_H
#define MEDIASTORE_IMAGE_ANIMATION_H

#include "decode.h"

/*
 * Compresses an animation of several frames (facts->animated) to an animated
 * WebP within the options' limits; orientation and profile are applied to
 * each frame.  result is the caller's as of image_compress.
 */
extern ImageStatus animation_compress(const uint8_t *data, size_t length,
									  const struct ImageFacts *facts,
									  const ImageCompressOptions *options,
									  const ImageLimits *limits,
									  ImageResult *result, ImageError *error);

#endif							/* MEDIASTORE_IMAGE_ANIMATION_H */
