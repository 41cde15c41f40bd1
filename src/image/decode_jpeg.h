/*-------------------------------------------------------------------------
 *
 * decode_jpeg.h
 *	  JPEG to planes as they are coded (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_DECODE_JPEG_H
#define MEDIASTORE_IMAGE_DECODE_JPEG_H

#include "raster.h"

/*
 * Decodes into sink->raster: one plane a component, each in its own
 * resolution and neither upsampled nor colour-converted, shrunk by the
 * inverse DCT as long as 1.5 times sink->target remains.  The colour is GRAY,
 * YCC, RGB, CMYK or YCCK as coded; of the last two, Adobe's inversion is
 * undone, so that 0 is no ink.  The embedded profile goes to sink->icc.
 */
extern ImageStatus image_decode_jpeg(const uint8_t *data, size_t length,
									 const struct ImageFacts *facts,
									 ImageSink *sink, ImageError *error);

#endif							/* MEDIASTORE_IMAGE_DECODE_JPEG_H */
