/*-------------------------------------------------------------------------
 *
 * raster.h
 *	  Planes of 8-bit samples, and the sink that makes them (private to this
 *	  room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_RASTER_H
#define MEDIASTORE_IMAGE_RASTER_H

#include "decode.h"

typedef enum RasterColor
{
	RASTER_GRAY,
	RASTER_RGB,
	RASTER_YCC,					/* full-range BT.601, as JFIF has it */
	RASTER_CMYK,				/* 0 = no ink */
	RASTER_YCCK					/* YCC of which the RGB are the inks C, M and
								 * Y; then K */
} RasterColor;

#define RASTER_MAX_PLANES 4

/*
 * One plane.  The picture covers the samples from (0, 0) to (covered_width,
 * covered_height), which may be fractions: planes that were subsampled or
 * scaled end between samples.
 */
typedef struct RasterPlane
{
	uint8_t    *data;			/* aligned to RASTER_ALIGNMENT */
	int			width;			/* samples */
	int			height;
	ptrdiff_t	stride;			/* bytes, a multiple of RASTER_ALIGNMENT */
	double		covered_width;
	double		covered_height;
} RasterPlane;

/* zimg wants 32; a cache line is as good a reason. */
#define RASTER_ALIGNMENT 64

typedef struct Raster
{
	RasterColor color;
	bool		alpha;			/* the last plane is straight alpha */
	int			planes;			/* alpha included */
	RasterPlane plane[RASTER_MAX_PLANES];
} Raster;

/* How many planes a colour takes, without alpha. */
extern int	raster_color_planes(RasterColor color);

/*
 * Allocates one plane, not cleared; frees nothing on failure.  Returns false
 * when memory is out.
 */
extern bool raster_plane_allocate(RasterPlane *plane, int width, int height);

/* All planes of one size, for results.  On failure nothing stays allocated. */
extern bool raster_allocate(Raster *raster, RasterColor color, bool alpha,
							int width, int height);

/* Frees the planes and zeroes the raster. */
extern void raster_free(Raster *raster);

/*
 * The sink.  The caller sets limits, ignore_alpha and target (the longest side that
 * will be made of it; rows are shrunk by whole factors as long as 1.5 times that
 * remains), zeroes the rest, and afterwards takes what it needs.
 */
struct ImageSink
{
	ImageLimits limits;
	int			target;
	bool		ignore_alpha;	/* keep colours only, as they are */
	Raster		raster;
	uint8_t    *icc;			/* malloc'd or NULL */
	size_t		icc_length;
	bool		upright;
	uint32_t	width;			/* of the picture, before any shrinking */
	uint32_t	height;
	/* private */
	SinkLayout	layout;
	uint32_t	row;
	int			shrink;			/* 1: take samples as they are */
	uint32_t   *sums;			/* shrink > 1: one row of running sums */
};

/* Every row has come? */
extern bool image_sink_complete(const ImageSink *sink);

/* Frees what the sink still holds. */
extern void image_sink_free(ImageSink *sink);

#endif							/* MEDIASTORE_IMAGE_RASTER_H */
