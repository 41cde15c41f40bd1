/*-------------------------------------------------------------------------
 *
 * image.h
 *	  The door of the image room: bytes and options in, bytes out.
 *
 * This room turns a picture of any kind we read into a small, upright, sRGB
 * WebP without metadata.  It is plain C over the codec libraries and runs in
 * the codec process only, never in a server process.  It is written to be
 * right and leak-free by itself, all the same: the process around it is the
 * second wall, not the first.
 *
 * The way of a picture:
 *	  facts (src/facts)	  what the header claims, checked against the limits
 *						  before anything is allocated
 *	  keep.c			  WebP that keeps every limit already
 *	  decode_*.c		  a library's pixels, pushed row by row into a raster,
 *						  or, for JPEG, planes as they are coded
 *						  (frames.c: animations, frame by frame)
 *	  raster.c			  planes of 8-bit samples; shrinks by whole factors
 *						  while rows arrive
 *	  fit.c				  what of the picture is wanted, and how large
 *	  prepare.c			  planes to a picture ready to encode, by
 *		resize.c		  zimg: planes to the size wanted
 *		orient.c		  the eight orientations, on planes
 *		color.c			  ICC and CMYK to sRGB
 *	  encode.c			  one WebP at one quality
 *	  budget.c			  the search for the best quality that fits
 *	  animation.c		  all of that for GIF and WebP with several frames
 *	  compress.c		  all of it, in order
 *
 * Calls go up that list, from compress.c; nothing here knows of PostgreSQL,
 * processes or sockets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_H
#define MEDIASTORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ImageStatus
{
	IMAGE_OK = 0,
	IMAGE_NOT_AN_IMAGE,			/* no known signature */
	IMAGE_DAMAGED,				/* a picture, but broken or cut short */
	IMAGE_UNSUPPORTED,			/* a format or feature not read here */
	IMAGE_OVER_LIMIT,			/* error.limit names which */
	IMAGE_BAD_OPTION,
	IMAGE_NO_MEMORY,
	IMAGE_INTERNAL				/* a library failed for no reason of the input */
} ImageStatus;

#define IMAGE_MESSAGE_SIZE 200
#define IMAGE_LIMIT_SIZE 32

/*
 * Why a call failed.  message is a lower-case phrase without a full stop;
 * limit is the name of the limit that was passed, without prefix
 * ("max_pixels"), or empty.
 */
typedef struct ImageError
{
	ImageStatus status;
	char		message[IMAGE_MESSAGE_SIZE];
	char		limit[IMAGE_LIMIT_SIZE];
} ImageError;

typedef enum ImageAlpha
{
	IMAGE_ALPHA_KEEP = 0,
	IMAGE_ALPHA_DROP,			/* the colours under it, as they are */
	IMAGE_ALPHA_FLATTEN			/* blended on alpha_color */
} ImageAlpha;

typedef enum ImageLossless
{
	IMAGE_LOSSLESS_AUTO = 0,
	IMAGE_LOSSLESS_NEVER,
	IMAGE_LOSSLESS_ALWAYS
} ImageLossless;

typedef enum ImageAnimation
{
	IMAGE_ANIMATION_KEEP = 0,
	IMAGE_ANIMATION_FIRST,
	IMAGE_ANIMATION_REJECT
} ImageAnimation;

/* How a picture is fitted into a box, both as displayed. */
typedef enum ImageFit
{
	IMAGE_FIT_INSIDE = 0,		/* all of it, within the box */
	IMAGE_FIT_COVER,			/* the middle of it, in the box's ratio */
	IMAGE_FIT_CONTAIN,			/* all of it, in the middle of a transparent
								 * canvas of the box's size; the alpha option
								 * goes for that, too */
	IMAGE_FIT_FILL				/* stretched to the box's size */
} ImageFit;

typedef struct ImageCompressOptions
{
	int32_t		max_dimension;	/* longest side, 1..16383 pixels */
	int32_t		max_bytes;		/* of the result, >= IMAGE_SMALLEST_BUDGET */
	int32_t		quality;		/* 1..100 */
	int32_t		min_quality;	/* 1..quality */
	int32_t		effort;			/* libwebp's method, 0..6 */
	int32_t		alpha;			/* ImageAlpha */
	uint32_t	alpha_color;	/* 0xRRGGBB, for IMAGE_ALPHA_FLATTEN */
	int32_t		lossless;		/* ImageLossless */
	int32_t		animation;		/* ImageAnimation */
	int32_t		box_width;		/* 1..16383, then max_dimension counts for
								 * nothing and animation is not KEEP; or 0:
								 * there is no box */
	int32_t		box_height;		/* likewise */
	int32_t		fit;			/* ImageFit, into the box */
} ImageCompressOptions;

/* Every still picture can be made to fit in this, at 1 x 1 if need be. */
#define IMAGE_SMALLEST_BUDGET 128

/* The longest side a WebP can have. */
#define IMAGE_LARGEST_SIDE 16383

typedef struct ImageLimits
{
	uint64_t	max_pixels;		/* width x height x frames of the input */
	uint32_t	max_frames;
} ImageLimits;

typedef struct ImageResult
{
	uint8_t    *data;			/* malloc'd; NULL when unchanged */
	size_t		length;
	bool		unchanged;		/* the input keeps every limit: keep its bytes */
	int32_t		width;			/* of the result */
	int32_t		height;
	int32_t		quality;		/* that was found; 101 for lossless, 0 when
								 * unchanged */
	int32_t		encodes;		/* how many it took */
} ImageResult;

/*
 * Compresses one picture.  data stays the caller's and is only read.  On
 * IMAGE_OK the caller owns result->data and ends it with free(); otherwise
 * *result is zeroed and *error says why.
 */
extern ImageStatus image_compress(const uint8_t *data, size_t length,
								  const ImageCompressOptions *options,
								  const ImageLimits *limits,
								  ImageResult *result, ImageError *error);

/*
 * HEIF and AVIF come from libheif, which loads decoders from disk and starts
 * threads: only the program made for it (mediastore-codec-heif) links it, and
 * hands its decoder in here before it locks itself in.  Without it HEIF and
 * AVIF are IMAGE_UNSUPPORTED.
 */
struct ImageSink;
struct ImageFacts;
typedef ImageStatus (*ImageDecodeFunction) (const uint8_t *data, size_t length,
											const struct ImageFacts *facts,
											struct ImageSink *sink,
											ImageError *error);
extern void image_set_heif_decoder(ImageDecodeFunction decode);

/* The libheif decoder, and what it must load before a sandbox closes. */
extern ImageStatus image_decode_heif(const uint8_t *data, size_t length,
									 const struct ImageFacts *facts,
									 struct ImageSink *sink, ImageError *error);
extern void image_heif_init(void);

#endif							/* MEDIASTORE_IMAGE_H */
