/*-------------------------------------------------------------------------
 *
 * prepare.h
 *	  Decoded planes to a picture ready to encode (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_PREPARE_H
#define MEDIASTORE_IMAGE_PREPARE_H

#include "color.h"
#include "encode.h"
#include "fit.h"

/*
 * Fits a decoded raster (as stored, before orientation), makes it upright and
 * sRGB, and settles its alpha as the options say; the caller ends *encoder
 * with encoder_free.  With planar, gray and YCC go to the encoder as planes
 * where nothing needs their RGB.
 */
extern ImageStatus prepare_picture(const Raster *source, const Fit *fit,
								   int orientation, const ColorTransform *transform,
								   const ImageCompressOptions *options, bool planar,
								   Encoder *encoder, ImageError *error);

/*
 * The alpha of a raster, all planes of one size: blended on a colour if the
 * options say so, else kept unless every pixel is opaque.
 */
extern ImageStatus prepare_alpha(Raster *raster, const ImageCompressOptions *options,
								 ImageError *error);

#endif							/* MEDIASTORE_IMAGE_PREPARE_H */
