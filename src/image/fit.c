/*-------------------------------------------------------------------------
 *
 * fit.c
 *	  What of a picture is wanted, and how large.
 *
 *-------------------------------------------------------------------------
 */
#include "fit.h"
#include "orient.h"

/* a * b / c, to the nearest, but at least 1. */
static int
scaled(uint32_t a, uint64_t b, uint64_t c)
{
	uint64_t	value = (a * b * 2 + c) / (c * 2);

	return value < 1 ? 1 : (int) value;
}

/* The longest side, multiplied by to / from where that makes it shorter. */
static int
longest_scaled(uint32_t width, uint32_t height, int to, uint32_t from)
{
	uint64_t	longest = width > height ? width : height;
	uint64_t	value = (longest * (uint64_t) to + from - 1) / from;

	return (int) (value < longest ? value : longest);
}

void
fit_size(uint32_t width, uint32_t height, int max_width, int max_height,
		 int *result_width, int *result_height)
{
	*result_width = (int) width;
	*result_height = (int) height;
	if (width <= (uint32_t) max_width && height <= (uint32_t) max_height)
		return;
	if ((uint64_t) width * (uint64_t) max_height > (uint64_t) height * (uint64_t) max_width)
	{
		*result_width = max_width;
		*result_height = scaled(height, (uint64_t) max_width, width);
	}
	else
	{
		*result_width = scaled(width, (uint64_t) max_height, height);
		*result_height = max_height;
	}
}

/* The middle of a picture in the ratio of a size, which it is to get. */
static void
fit_cover(uint32_t width, uint32_t height, int box_width, int box_height, Fit *fit)
{
	ResizePart *part = &fit->part;
	int			right_width;
	int			right_height;

	/*
	 * The largest of the box's ratio that the picture has pixels for.  One
	 * that has it already, as nearly as whole pixels can, stays whole.
	 */
	fit->width = width < (uint32_t) box_width ? (int) width : box_width;
	fit->height = height < (uint32_t) box_height ? (int) height : box_height;
	right_width = scaled((uint32_t) box_width, (uint64_t) fit->height, (uint64_t) box_height);
	right_height = scaled((uint32_t) box_height, (uint64_t) fit->width, (uint64_t) box_width);
	if (right_width < fit->width && right_height != fit->height)
		fit->width = right_width;
	else if (right_height < fit->height && right_width != fit->width)
		fit->height = right_height;

	if ((uint64_t) fit->width * height >= (uint64_t) fit->height * width)
	{
		part->height = (double) fit->height * width / fit->width;
		part->top = (height - part->height) / 2;
		fit->target = longest_scaled(width, height, fit->width, width);
	}
	else
	{
		part->width = (double) fit->width * height / fit->height;
		part->left = (width - part->width) / 2;
		fit->target = longest_scaled(width, height, fit->height, height);
	}

	/* half a pixel off the middle is better than a picture that is blurred */
	if (part->width == fit->width && part->height == fit->height)
	{
		part->left = (double) ((int) part->left);
		part->top = (double) ((int) part->top);
	}
}

void
fit_picture(uint32_t width, uint32_t height, int orientation,
			const ImageCompressOptions *options, int side, Fit *fit)
{
	ImageFit	how = IMAGE_FIT_INSIDE;
	int			box_width = side;
	int			box_height = side;
	ResizePart	whole = {width, height, 0, 0, width, height};

	if (options->box_width != 0)
	{
		how = (ImageFit) options->fit;
		box_width = options->box_width;
		box_height = options->box_height;
		orient_size(orientation, &box_width, &box_height);
	}

	fit->part = whole;
	fit_size(width, height, box_width, box_height, &fit->width, &fit->height);
	fit->target = fit->width > fit->height ? fit->width : fit->height;
	if (how == IMAGE_FIT_COVER)
		fit_cover(width, height, box_width, box_height, fit);
	if (how == IMAGE_FIT_FILL)
	{
		int			by_width = longest_scaled(width, height, box_width, width);
		int			by_height = longest_scaled(width, height, box_height, height);

		fit->width = box_width;
		fit->height = box_height;
		fit->target = by_width > by_height ? by_width : by_height;
	}
	fit->canvas_width = how == IMAGE_FIT_CONTAIN ? box_width : fit->width;
	fit->canvas_height = how == IMAGE_FIT_CONTAIN ? box_height : fit->height;
}

bool
fit_keeps(uint32_t width, uint32_t height, const ImageCompressOptions *options)
{
	Fit			fit;

	fit_picture(width, height, 1, options, options->max_dimension, &fit);
	return fit.width == (int) width && fit.height == (int) height &&
		fit.canvas_width == (int) width && fit.canvas_height == (int) height;
}
