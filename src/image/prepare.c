/*-------------------------------------------------------------------------
 *
 * prepare.c
 *	  Decoded planes to a picture ready to encode.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "orient.h"
#include "prepare.h"
#include "resize.h"

static bool
is_opaque(const RasterPlane *alpha)
{
	for (int y = 0; y < alpha->height; y++)
		for (int x = 0; x < alpha->width; x++)
			if (alpha->data[y * alpha->stride + x] != 255)
				return false;
	return true;
}

/* Blends one plane on a value, by alpha. */
static void
flatten_plane(RasterPlane *plane, const RasterPlane *alpha, int background)
{
	for (int y = 0; y < plane->height; y++)
	{
		uint8_t    *row = plane->data + y * plane->stride;
		const uint8_t *weight = alpha->data + y * alpha->stride;

		for (int x = 0; x < plane->width; x++)
			row[x] = (uint8_t) ((row[x] * weight[x] + background * (255 - weight[x]) + 127) / 255);
	}
}

ImageStatus
prepare_alpha(Raster *raster, const ImageCompressOptions *options, ImageError *error)
{
	RasterPlane *alpha = &raster->plane[raster->planes - 1];

	if (!raster->alpha)
		return IMAGE_OK;
	if (options->alpha == IMAGE_ALPHA_KEEP && !is_opaque(alpha))
		return IMAGE_OK;
	if (options->alpha == IMAGE_ALPHA_FLATTEN)
	{
		ImageStatus status = color_widen_gray(raster, error);

		if (status != IMAGE_OK)
			return status;
		alpha = &raster->plane[raster->planes - 1];
		for (int i = 0; i < 3; i++)
			flatten_plane(&raster->plane[i], alpha,
						  (int) (options->alpha_color >> (16 - 8 * i) & 0xFF));
	}
	free(alpha->data);
	memset(alpha, 0, sizeof(*alpha));
	raster->alpha = false;
	raster->planes--;
	return IMAGE_OK;
}

/* Puts a raster, all planes of one size, in the middle of a transparent one. */
static ImageStatus
place_on_canvas(Raster *raster, int width, int height, ImageError *error)
{
	int			left = (width - raster->plane[0].width) / 2;
	int			top = (height - raster->plane[0].height) / 2;
	Raster		canvas;

	if (left == 0 && top == 0 &&
		raster->plane[0].width == width && raster->plane[0].height == height)
		return IMAGE_OK;
	if (!raster_allocate(&canvas, raster->color, true, width, height))
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for %d x %d pixels",
						  width, height);
	for (int i = 0; i < canvas.planes; i++)
	{
		const RasterPlane *from = &raster->plane[i];
		RasterPlane *to = &canvas.plane[i];
		size_t		length = (size_t) raster->plane[0].width;

		memset(to->data, 0, (size_t) to->stride * (size_t) to->height);
		for (int y = 0; y < raster->plane[0].height; y++)
		{
			uint8_t    *row = to->data + (top + y) * to->stride + left;

			/* what had no alpha is opaque */
			if (i < raster->planes)
				memcpy(row, from->data + y * from->stride, length);
			else
				memset(row, 255, length);
		}
	}
	raster_free(raster);
	*raster = canvas;
	return IMAGE_OK;
}

static ImageStatus
prepare_planar(const Raster *source, const Fit *fit, int orientation,
			   const ImageCompressOptions *options, Encoder *encoder, ImageError *error)
{
	Raster		planes;
	ImageStatus status;

	status = resize_raster_420(source, &fit->part, fit->width, fit->height,
							   orientation_flips_x(orientation),
							   orientation_flips_y(orientation), &planes, error);
	if (status != IMAGE_OK)
		return status;
	status = orient_raster(&planes, orientation, error);
	if (status != IMAGE_OK)
	{
		raster_free(&planes);
		return status;
	}
	return encoder_from_planes(encoder, &planes, options->effort, error);
}

ImageStatus
prepare_picture(const Raster *source, const Fit *fit, int orientation,
				const ColorTransform *transform, const ImageCompressOptions *options,
				bool planar, Encoder *encoder, ImageError *error)
{
	int			canvas_width = fit->canvas_width;
	int			canvas_height = fit->canvas_height;
	Raster		picture;
	ImageStatus status;

	if (planar && transform == NULL && !source->alpha &&
		options->lossless != IMAGE_LOSSLESS_ALWAYS &&
		fit->width == canvas_width && fit->height == canvas_height &&
		(source->color == RASTER_GRAY || source->color == RASTER_YCC))
		return prepare_planar(source, fit, orientation, options, encoder, error);

	orient_size(orientation, &canvas_width, &canvas_height);
	status = resize_raster(source, &fit->part, fit->width, fit->height, &picture, error);
	if (status != IMAGE_OK)
		return status;
	status = orient_raster(&picture, orientation, error);
	if (status == IMAGE_OK)
		status = color_to_srgb(&picture, transform, error);
	if (status == IMAGE_OK)
		status = place_on_canvas(&picture, canvas_width, canvas_height, error);
	if (status == IMAGE_OK)
		status = prepare_alpha(&picture, options, error);
	if (status == IMAGE_OK)
		status = encoder_from_raster(encoder, &picture, options->effort, error);
	raster_free(&picture);
	return status;
}
