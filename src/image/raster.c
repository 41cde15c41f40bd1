/*-------------------------------------------------------------------------
 *
 * raster.c
 *	  Planes of 8-bit samples, and the sink that makes them of rows.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raster.h"

/*
 * A whole factor above this gains nothing, and the running sums of
 * alpha-weighted samples (255 * 255 * factor^2) stay within 32 bits.
 */
#define SINK_LARGEST_SHRINK 64

ImageStatus
image_fail(ImageError *error, ImageStatus status, const char *format,...)
{
	va_list		args;

	error->status = status;
	error->limit[0] = '\0';
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return status;
}

ImageStatus
image_fail_limit(ImageError *error, const char *limit, const char *format,...)
{
	va_list		args;

	error->status = IMAGE_OVER_LIMIT;
	snprintf(error->limit, sizeof(error->limit), "%s", limit);
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return IMAGE_OVER_LIMIT;
}

int
raster_color_planes(RasterColor color)
{
	switch (color)
	{
		case RASTER_GRAY:
			return 1;
		case RASTER_RGB:
		case RASTER_YCC:
			return 3;
		case RASTER_CMYK:
		case RASTER_YCCK:
			return 4;
	}
	return 0;
}

bool
raster_plane_allocate(RasterPlane *plane, int width, int height)
{
	size_t		stride = ((size_t) width + RASTER_ALIGNMENT - 1) &
		~(size_t) (RASTER_ALIGNMENT - 1);
	void	   *data;

	if (width <= 0 || height <= 0)
		return false;
	if (posix_memalign(&data, RASTER_ALIGNMENT, stride * (size_t) height) != 0)
		return false;
	plane->data = data;
	plane->width = width;
	plane->height = height;
	plane->stride = (ptrdiff_t) stride;
	plane->covered_width = width;
	plane->covered_height = height;
	return true;
}

bool
raster_allocate(Raster *raster, RasterColor color, bool alpha, int width, int height)
{
	int			planes = raster_color_planes(color) + (alpha ? 1 : 0);

	memset(raster, 0, sizeof(*raster));
	raster->color = color;
	raster->alpha = alpha;
	for (; raster->planes < planes; raster->planes++)
	{
		if (!raster_plane_allocate(&raster->plane[raster->planes], width, height))
		{
			raster_free(raster);
			return false;
		}
	}
	return true;
}

void
raster_free(Raster *raster)
{
	for (int i = 0; i < RASTER_MAX_PLANES; i++)
		free(raster->plane[i].data);
	memset(raster, 0, sizeof(*raster));
}

static int
layout_channels(SinkLayout layout)
{
	switch (layout)
	{
		case SINK_GRAY:
			return 1;
		case SINK_GRAY_ALPHA:
			return 2;
		case SINK_RGB:
			return 3;
		case SINK_RGBA:
		case SINK_CMYK:
			return 4;
	}
	return 0;
}

ImageStatus
image_sink_begin(ImageSink *sink, uint32_t width, uint32_t height,
				 SinkLayout layout, ImageError *error)
{
	uint32_t	longest = width > height ? width : height;
	uint32_t	shrink;
	RasterColor color = RASTER_GRAY;
	bool		alpha = (layout == SINK_GRAY_ALPHA || layout == SINK_RGBA) &&
		!sink->ignore_alpha;

	if (sink->raster.planes != 0)
		return image_fail(error, IMAGE_INTERNAL, "decoder began a picture twice");
	if (width == 0 || height == 0 || longest > INT32_MAX)
		return image_fail(error, IMAGE_DAMAGED, "picture of %u x %u pixels",
						  width, height);
	if ((uint64_t) width * height > sink->limits.max_pixels)
		return image_fail_limit(error, "max_pixels",
								"picture of %u x %u pixels is too large",
								width, height);

	if (layout == SINK_RGB || layout == SINK_RGBA)
		color = RASTER_RGB;
	else if (layout == SINK_CMYK)
		color = RASTER_CMYK;

	shrink = (uint32_t) ((uint64_t) longest * 2 / ((uint64_t) sink->target * 3));
	if (shrink < 1)
		shrink = 1;
	if (shrink > SINK_LARGEST_SHRINK)
		shrink = SINK_LARGEST_SHRINK;

	sink->layout = layout;
	sink->width = width;
	sink->height = height;
	sink->row = 0;
	sink->shrink = (int) shrink;

	if (!raster_allocate(&sink->raster, color, alpha,
						 (int) ((width + shrink - 1) / shrink),
						 (int) ((height + shrink - 1) / shrink)))
		return image_fail(error, IMAGE_NO_MEMORY,
						  "out of memory for %u x %u pixels", width, height);
	if (shrink > 1)
	{
		sink->sums = calloc((size_t) sink->raster.plane[0].width *
							layout_channels(layout), sizeof(uint32_t));
		if (sink->sums == NULL)
			return image_fail(error, IMAGE_NO_MEMORY,
							  "out of memory for %u x %u pixels", width, height);
		for (int i = 0; i < sink->raster.planes; i++)
		{
			sink->raster.plane[i].covered_width = (double) width / shrink;
			sink->raster.plane[i].covered_height = (double) height / shrink;
		}
	}
	return IMAGE_OK;
}

/* Spreads an interleaved row over the planes. */
static void
sink_split_row(const ImageSink *sink, const uint8_t *row)
{
	const Raster *raster = &sink->raster;
	int			channels = layout_channels(sink->layout);
	int			width = raster->plane[0].width;

	for (int i = 0; i < raster->planes; i++)
	{
		uint8_t    *out = raster->plane[i].data + sink->row * raster->plane[i].stride;
		const uint8_t *in = row + i;

		/* constant steps are what the compiler can make fast */
		switch (channels)
		{
			case 1:
				memcpy(out, in, (size_t) width);
				break;
			case 2:
				for (int x = 0; x < width; x++)
					out[x] = in[2 * x];
				break;
			case 3:
				for (int x = 0; x < width; x++)
					out[x] = in[3 * x];
				break;
			default:
				for (int x = 0; x < width; x++)
					out[x] = in[4 * x];
				break;
		}
	}
}

/*
 * Adds a row to the running sums.  Colours are weighted by their alpha, so
 * that what lies under transparent pixels does not bleed into the others.
 */
static void
sink_add_row(ImageSink *sink, const uint8_t *row)
{
	int			channels = layout_channels(sink->layout);
	int			colors = raster_color_planes(sink->raster.color);
	uint32_t	left = sink->width;
	uint32_t   *sum = sink->sums;

	while (left > 0)
	{
		uint32_t	count = left < (uint32_t) sink->shrink ? left : (uint32_t) sink->shrink;

		left -= count;
		if (sink->raster.alpha)
		{
			for (; count > 0; count--, row += channels)
			{
				uint32_t	weight = row[colors];

				for (int c = 0; c < colors; c++)
					sum[c] += row[c] * weight;
				sum[colors] += weight;
			}
		}
		else
		{
			for (; count > 0; count--, row += channels)
				for (int c = 0; c < channels; c++)
					sum[c] += row[c];
		}
		sum += channels;
	}
}

/* Writes the means of the running sums as row y, and clears them. */
static void
sink_write_sums(ImageSink *sink, int y, uint32_t rows)
{
	Raster	   *raster = &sink->raster;
	int			channels = layout_channels(sink->layout);
	int			colors = raster_color_planes(raster->color);
	uint32_t   *sum = sink->sums;
	int			width = raster->plane[0].width;

	for (int x = 0; x < width; x++, sum += channels)
	{
		uint32_t	columns = (uint32_t) sink->shrink;
		uint32_t	weight;

		if (x == width - 1)
			columns = sink->width - (uint32_t) x * columns;
		weight = columns * rows;
		if (raster->alpha)
		{
			uint32_t	alpha = sum[colors];

			raster->plane[colors].data[y * raster->plane[colors].stride + x] =
				(uint8_t) ((alpha + weight / 2) / weight);
			weight = alpha;
		}
		for (int c = 0; c < colors; c++)
			raster->plane[c].data[y * raster->plane[c].stride + x] =
				weight == 0 ? 0 : (uint8_t) ((sum[c] + weight / 2) / weight);
	}
	memset(sink->sums, 0, (size_t) width * channels * sizeof(uint32_t));
}

ImageStatus
image_sink_row(ImageSink *sink, const uint8_t *row, ImageError *error)
{
	uint32_t	shrink = (uint32_t) sink->shrink;

	if (sink->raster.planes == 0 || sink->row >= sink->height)
		return image_fail(error, IMAGE_INTERNAL, "decoder gave a row too many");
	if (shrink == 1)
		sink_split_row(sink, row);
	else
	{
		sink_add_row(sink, row);
		if ((sink->row + 1) % shrink == 0 || sink->row + 1 == sink->height)
			sink_write_sums(sink, (int) (sink->row / shrink), sink->row % shrink + 1);
	}
	sink->row++;
	return IMAGE_OK;
}

ImageStatus
image_sink_icc(ImageSink *sink, const uint8_t *profile, size_t length, ImageError *error)
{
	uint8_t    *copy;

	if (length == 0 || sink->icc != NULL)
		return IMAGE_OK;
	copy = malloc(length);
	if (copy == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for an ICC profile");
	memcpy(copy, profile, length);
	sink->icc = copy;
	sink->icc_length = length;
	return IMAGE_OK;
}

void
image_sink_upright(ImageSink *sink)
{
	sink->upright = true;
}

bool
image_sink_complete(const ImageSink *sink)
{
	return sink->raster.planes != 0 && sink->row == sink->height;
}

void
image_sink_free(ImageSink *sink)
{
	raster_free(&sink->raster);
	free(sink->icc);
	free(sink->sums);
	sink->icc = NULL;
	sink->sums = NULL;
}
