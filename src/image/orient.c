/*-------------------------------------------------------------------------
 *
 * orient.c
 *	  The eight orientations, on planes.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "orient.h"

/* Samples are moved in squares of this side, to stay within the cache. */
#define ORIENT_BLOCK 32

bool
orientation_flips_x(int orientation)
{
	return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}

bool
orientation_flips_y(int orientation)
{
	return orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
}

bool
orientation_transposes(int orientation)
{
	return orientation >= 5 && orientation <= 8;
}

void
orient_size(int orientation, int *width, int *height)
{
	if (orientation_transposes(orientation))
	{
		int			swap = *width;

		*width = *height;
		*height = swap;
	}
}

static void
orient_plane(const RasterPlane *from, RasterPlane *to, int orientation)
{
	bool		flip_x = orientation_flips_x(orientation);
	bool		flip_y = orientation_flips_y(orientation);
	ptrdiff_t	step_x;
	ptrdiff_t	step_y;
	const uint8_t *origin = from->data;

	/* where in the source the neighbours of a result sample are */
	if (flip_x)
		origin += from->width - 1;
	if (flip_y)
		origin += (from->height - 1) * from->stride;
	step_x = flip_x ? -1 : 1;
	step_y = flip_y ? -from->stride : from->stride;
	if (orientation_transposes(orientation))
	{
		ptrdiff_t	swap = step_x;

		step_x = step_y;
		step_y = swap;
	}

	for (int top = 0; top < to->height; top += ORIENT_BLOCK)
	{
		int			bottom = top + ORIENT_BLOCK < to->height ? top + ORIENT_BLOCK : to->height;

		for (int left = 0; left < to->width; left += ORIENT_BLOCK)
		{
			int			right = left + ORIENT_BLOCK < to->width ? left + ORIENT_BLOCK : to->width;

			for (int y = top; y < bottom; y++)
			{
				uint8_t    *out = to->data + y * to->stride;
				const uint8_t *in = origin + y * step_y;

				for (int x = left; x < right; x++)
					out[x] = in[x * step_x];
			}
		}
	}
}

ImageStatus
orient_raster(Raster *raster, int orientation, ImageError *error)
{
	bool		transpose = orientation_transposes(orientation);
	Raster		upright;

	if (orientation <= 1 || orientation > 8)
		return IMAGE_OK;

	memset(&upright, 0, sizeof(upright));
	upright.color = raster->color;
	upright.alpha = raster->alpha;
	for (int i = 0; i < raster->planes; i++)
	{
		const RasterPlane *plane = &raster->plane[i];

		if (!raster_plane_allocate(&upright.plane[i],
								   transpose ? plane->height : plane->width,
								   transpose ? plane->width : plane->height))
		{
			raster_free(&upright);
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
		}
		upright.planes++;
		orient_plane(plane, &upright.plane[i], orientation);
	}
	raster_free(raster);
	*raster = upright;
	return IMAGE_OK;
}
