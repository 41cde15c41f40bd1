/*-------------------------------------------------------------------------
 *
 * encode.h
 *	  One picture to WebP, at one quality at a time (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_ENCODE_H
#define MEDIASTORE_IMAGE_ENCODE_H

#include <webp/encode.h>

#include "raster.h"

/* Stands where a quality does, for lossless. */
#define ENCODE_LOSSLESS 101

/*
 * A picture made ready for as many encodes as the budget takes.
 */
typedef struct Encoder
{
	int			effort;			/* libwebp's method, 0..6 */
	int			width;
	int			height;
	Raster		planes;			/* what yuv points into, if anything */
	uint8_t    *gray_chroma;	/* the chroma row of a gray picture */
	WebPPicture argb;			/* .argb NULL when made of planes */
	WebPPicture yuv;			/* .y NULL until needed */
} Encoder;

/*
 * Makes an encoder of upright GRAY or YCC planes in 4:2:0, full range; takes
 * the raster (frees it on failure too).  Lossy only.
 */
extern ImageStatus encoder_from_planes(Encoder *encoder, Raster *raster, int effort,
									   ImageError *error);

/*
 * Makes an encoder of an upright GRAY or RGB raster in full resolution, with
 * or without alpha.  The raster stays the caller's.
 */
extern ImageStatus encoder_from_raster(Encoder *encoder, const Raster *raster,
									   int effort, ImageError *error);

extern void encoder_free(Encoder *encoder);

/*
 * Encodes at quality 1..100 or ENCODE_LOSSLESS.  On IMAGE_OK the caller owns
 * *data and ends it with free().
 */
extern ImageStatus encoder_run(Encoder *encoder, int quality, uint8_t **data,
							   size_t *length, ImageError *error);

/* The settings of libwebp for that; shared with animations. */
extern bool encoder_config(WebPConfig *config, int effort, int quality);

/* An error of libwebp's encoder in our words. */
extern ImageStatus encoder_fail(ImageError *error, WebPEncodingError code);

/*
 * Does a picture look drawn rather than photographed, so that lossless may be
 * smaller?  True of few colours, or of many pixels like their neighbours.
 */
extern bool encoder_looks_drawn(const WebPPicture *argb);

/* Interleaves a GRAY or RGB raster into a picture, whose argb it allocates. */
extern ImageStatus encoder_pack_argb(WebPPicture *picture, const Raster *raster,
									 ImageError *error);

#endif							/* MEDIASTORE_IMAGE_ENCODE_H */
