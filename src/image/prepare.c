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

static ImageStatus
prepare_planar(const Raster *source, int width, int height, int orientation,
			   const ImageCompressOptions *options, Encoder *encoder, ImageError *error)
{
	Raster		planes;
	ImageStatus status;

	status = resize_raster_420(source, width, height, orientation_flips_x(orientation),
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
prepare_picture(const Raster *source, int width, int height, int orientation,
				const ColorTransform *transform, const ImageCompressOptions *options,
				bool planar, Encoder *encoder, ImageError *error)
{
	Raster		picture;
	ImageStatus status;

	if (planar && transform == NULL && !source->alpha &&
		options->lossless != IMAGE_LOSSLESS_ALWAYS &&
		(source->color == RASTER_GRAY || source->color == RASTER_YCC))
		return prepare_planar(source, width, height, orientation, options, encoder, error);

	status = resize_raster(source, width, height, &picture, error);
	if (status != IMAGE_OK)
		return status;
	status = orient_raster(&picture, orientation, error);
	if (status == IMAGE_OK)
		status = color_to_srgb(&picture, transform, error);
	if (status == IMAGE_OK)
		status = prepare_alpha(&picture, options, error);
	if (status == IMAGE_OK)
		status = encoder_from_raster(encoder, &picture, options->effort, error);
	raster_free(&picture);
	return status;
}
