/*-------------------------------------------------------------------------
 *
 * resize.c
 *	  Rasters to other sizes, by zimg: Lanczos with three lobes.
 *
 * zimg works on planes.  Each plane says which part of it the picture covers,
 * in fractions of samples, and that part (zimg's active region), or a part of
 * it, is what gets resized: so odd sizes, subsampled chroma, DCT-scaled planes
 * and cropped pictures all land on the pixels they belong to.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <zimg.h>

#include "resize.h"

/* The part of a plane that is to fill the result, in samples. */
typedef struct Region
{
	double		left;
	double		top;
	double		width;
	double		height;
} Region;

/*
 * The mean of the source samples that each result sample covers, in one
 * dimension: for pictures too thin for zimg's filters.
 */
static void
average_line(const uint8_t *source, ptrdiff_t source_step, int source_length,
			 double start, double extent,
			 uint8_t *result, ptrdiff_t result_step, int result_length)
{
	for (int i = 0; i < result_length; i++)
	{
		double		from = start + extent * i / result_length;
		double		to = start + extent * (i + 1) / result_length;
		double		sum = 0;
		double		weight = 0;
		int			first = (int) floor(from);
		int			last = (int) ceil(to);

		for (int s = first; s < last; s++)
		{
			double		part = fmin(to, s + 1.0) - fmax(from, s);
			int			at = s < 0 ? 0 : (s >= source_length ? source_length - 1 : s);

			sum += part * source[at * source_step];
			weight += part;
		}
		result[i * result_step] = (uint8_t) (weight > 0 ? sum / weight + 0.5 : 0);
	}
}

static ImageStatus
average_plane(const RasterPlane *source, const Region *region, RasterPlane *result,
			  ImageError *error)
{
	RasterPlane between;

	memset(&between, 0, sizeof(between));
	if (!raster_plane_allocate(&between, result->width, source->height))
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
	for (int y = 0; y < source->height; y++)
		average_line(source->data + y * source->stride, 1, source->width,
					 region->left, region->width,
					 between.data + y * between.stride, 1, result->width);
	for (int x = 0; x < result->width; x++)
		average_line(between.data + x, between.stride, source->height,
					 region->top, region->height,
					 result->data + x, result->stride, result->height);
	free(between.data);
	return IMAGE_OK;
}

/* zimg's last error in our words; IMAGE_UNSUPPORTED for what it can't do. */
static ImageStatus
zimg_fail(ImageError *error, zimg_error_code_e code)
{
	zimg_clear_last_error();
	if (code == ZIMG_ERROR_OUT_OF_MEMORY)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory while resizing");
	if (code == ZIMG_ERROR_RESAMPLING_NOT_AVAILABLE)
		return image_fail(error, IMAGE_UNSUPPORTED, "picture is too thin to be resized");
	return image_fail(error, IMAGE_INTERNAL, "zimg failed with code %d", (int) code);
}

/*
 * Runs a graph of so many planes; with alpha the last of them is it.
 */
static zimg_error_code_e
zimg_run(const zimg_filter_graph *graph, void *scratch, const RasterPlane *source,
		 int planes, bool alpha, RasterPlane *result)
{
	zimg_image_buffer_const input;
	zimg_image_buffer output;

	memset(&input, 0, sizeof(input));
	memset(&output, 0, sizeof(output));
	input.version = ZIMG_API_VERSION;
	output.version = ZIMG_API_VERSION;
	for (int i = 0; i < planes; i++)
	{
		/* zimg's alpha is the fourth plane, even of a gray picture */
		int			at = (alpha && i == planes - 1) ? 3 : i;

		input.plane[at].data = source[i].data;
		input.plane[at].stride = source[i].stride;
		input.plane[at].mask = ZIMG_BUFFER_MAX;
		output.plane[at].data = result[i].data;
		output.plane[at].stride = result[i].stride;
		output.plane[at].mask = ZIMG_BUFFER_MAX;
	}
	return zimg_filter_graph_process(graph, &input, &output, scratch, NULL, NULL, NULL, NULL);
}

/*
 * Runs zimg over planes of one geometry: one by one with the same filters, or,
 * with alpha (the last plane), all together.
 */
static ImageStatus
zimg_planes(const RasterPlane *source, int planes, bool alpha, const Region *region,
			RasterPlane *result, ImageError *error)
{
	zimg_image_format from;
	zimg_image_format to;
	zimg_graph_builder_params params;
	zimg_filter_graph *graph;
	void	   *scratch = NULL;
	size_t		scratch_size = 0;
	zimg_error_code_e code;

	zimg_image_format_default(&from, ZIMG_API_VERSION);
	from.width = (unsigned) source->width;
	from.height = (unsigned) source->height;
	from.pixel_type = ZIMG_PIXEL_BYTE;
	from.pixel_range = ZIMG_RANGE_FULL;
	if (alpha && planes == 4)
	{
		from.color_family = ZIMG_COLOR_RGB;
		from.matrix_coefficients = ZIMG_MATRIX_RGB;
	}
	from.alpha = alpha ? ZIMG_ALPHA_STRAIGHT : ZIMG_ALPHA_NONE;
	to = from;
	to.width = (unsigned) result->width;
	to.height = (unsigned) result->height;
	from.active_region.left = region->left;
	from.active_region.top = region->top;
	from.active_region.width = region->width;
	from.active_region.height = region->height;

	zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
	params.resample_filter = ZIMG_RESIZE_LANCZOS;
	params.filter_param_a = 3;

	graph = zimg_filter_graph_build(&from, &to, &params);
	if (graph == NULL)
		return zimg_fail(error, zimg_get_last_error(NULL, 0));
	code = zimg_filter_graph_get_tmp_size(graph, &scratch_size);
	if (code == ZIMG_ERROR_SUCCESS &&
		posix_memalign(&scratch, RASTER_ALIGNMENT, scratch_size + RASTER_ALIGNMENT) != 0)
		code = ZIMG_ERROR_OUT_OF_MEMORY;
	if (alpha && code == ZIMG_ERROR_SUCCESS)
		code = zimg_run(graph, scratch, source, planes, true, result);
	for (int i = 0; i < planes && !alpha && code == ZIMG_ERROR_SUCCESS; i++)
		code = zimg_run(graph, scratch, &source[i], 1, false, &result[i]);
	zimg_filter_graph_free(graph);
	free(scratch);
	return code == ZIMG_ERROR_SUCCESS ? IMAGE_OK : zimg_fail(error, code);
}

/*
 * From this reduction on means are used: what Lanczos would add cannot be
 * seen, and zimg takes time by the square of it to make its filters.
 */
#define RESIZE_MEANS_FROM 64

static bool
reduces_too_much(const Region *region, const RasterPlane *result)
{
	return region->width > (double) RESIZE_MEANS_FROM * result->width ||
		region->height > (double) RESIZE_MEANS_FROM * result->height;
}

/* Is a region of a plane made of whole samples, as many as the result has? */
static bool
needs_no_filter(const RasterPlane *source, const Region *region, const RasterPlane *result)
{
	return region->width == result->width && region->height == result->height &&
		region->left == floor(region->left) && region->top == floor(region->top) &&
		region->left >= 0 && region->left + region->width <= source->width &&
		region->top >= 0 && region->top + region->height <= source->height;
}

/*
 * Resizes planes of one geometry.  Copies where nothing is to be resized; else
 * zimg, and where that is no good, unless there is alpha (IMAGE_UNSUPPORTED then),
 * means.
 */
static ImageStatus
resize_planes(const RasterPlane *source, int planes, bool alpha, const Region *region,
			  RasterPlane *result, ImageError *error)
{
	ImageStatus status;

	if (needs_no_filter(source, region, result))
	{
		for (int i = 0; i < planes; i++)
			for (int y = 0; y < result[i].height; y++)
				memcpy(result[i].data + y * result[i].stride,
					   source[i].data + (y + (int) region->top) * source[i].stride +
					   (int) region->left,
					   (size_t) result[i].width);
		return IMAGE_OK;
	}
	if (reduces_too_much(region, result))
		status = IMAGE_UNSUPPORTED;
	else
		status = zimg_planes(source, planes, alpha, region, result, error);
	if (status == IMAGE_UNSUPPORTED && !alpha)
	{
		status = IMAGE_OK;
		for (int i = 0; i < planes && status == IMAGE_OK; i++)
			status = average_plane(&source[i], region, &result[i], error);
	}
	return status;
}

/* How many planes from this one on have its geometry. */
static int
planes_alike(const Raster *raster, int first)
{
	const RasterPlane *plane = &raster->plane[first];
	int			count = 1;

	while (first + count < raster->planes &&
		   plane[count].width == plane->width && plane[count].height == plane->height &&
		   plane[count].covered_width == plane->covered_width &&
		   plane[count].covered_height == plane->covered_height)
		count++;
	return count;
}

/* Where a part of the picture lies in a plane of it. */
static Region
plane_region(const RasterPlane *plane, const ResizePart *part)
{
	Region		region = {0, 0, plane->covered_width, plane->covered_height};

	if (part != NULL)
	{
		/* multiplied first: what are whole samples stay so */
		region.left = part->left * plane->covered_width / part->whole_width;
		region.top = part->top * plane->covered_height / part->whole_height;
		region.width = part->width * plane->covered_width / part->whole_width;
		region.height = part->height * plane->covered_height / part->whole_height;
	}
	return region;
}

/*
 * Averaging of pictures with alpha: colours are multiplied by it before and
 * divided after.  For pictures too thin for zimg only.
 */
static ImageStatus
average_with_alpha(const Raster *source, const ResizePart *part, Raster *result,
				   ImageError *error)
{
	const RasterPlane *alpha = &source->plane[source->planes - 1];
	RasterPlane *result_alpha = &result->plane[result->planes - 1];
	Region		region = plane_region(alpha, part);
	RasterPlane weighted;
	ImageStatus status;

	memset(&weighted, 0, sizeof(weighted));
	if (!raster_plane_allocate(&weighted, alpha->width, alpha->height))
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
	status = average_plane(alpha, &region, result_alpha, error);
	for (int i = 0; i < source->planes - 1 && status == IMAGE_OK; i++)
	{
		for (int y = 0; y < alpha->height; y++)
			for (int x = 0; x < alpha->width; x++)
				weighted.data[y * weighted.stride + x] = (uint8_t)
					((source->plane[i].data[y * source->plane[i].stride + x] *
					  alpha->data[y * alpha->stride + x] + 127) / 255);
		status = average_plane(&weighted, &region, &result->plane[i], error);
		for (int y = 0; y < result_alpha->height && status == IMAGE_OK; y++)
			for (int x = 0; x < result_alpha->width; x++)
			{
				uint8_t    *sample = &result->plane[i].data[y * result->plane[i].stride + x];
				int			a = result_alpha->data[y * result_alpha->stride + x];
				int			value = a == 0 ? 0 : (*sample * 255 + a / 2) / a;

				*sample = (uint8_t) (value > 255 ? 255 : value);
			}
	}
	free(weighted.data);
	return status;
}

ImageStatus
resize_raster(const Raster *source, const ResizePart *part, int width, int height,
			  Raster *result, ImageError *error)
{
	ImageStatus status = IMAGE_OK;
	Region		region;

	if (!raster_allocate(result, source->color, source->alpha, width, height))
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for %d x %d pixels",
						  width, height);
	if (source->alpha)
	{
		region = plane_region(&source->plane[0], part);
		status = resize_planes(source->plane, source->planes, true, &region,
							   result->plane, error);
		if (status == IMAGE_UNSUPPORTED)
			status = average_with_alpha(source, part, result, error);
	}
	else
	{
		int			count;

		for (int i = 0; i < source->planes && status == IMAGE_OK; i += count)
		{
			region = plane_region(&source->plane[i], part);
			count = planes_alike(source, i);
			status = resize_planes(&source->plane[i], count, false, &region,
								   &result->plane[i], error);
		}
	}
	if (status != IMAGE_OK)
		raster_free(result);
	return status;
}

ImageStatus
resize_raster_420(const Raster *source, const ResizePart *part, int width, int height,
				  bool flip_x, bool flip_y, Raster *result, ImageError *error)
{
	int			chroma_width = (width + 1) / 2;
	int			chroma_height = (height + 1) / 2;
	ImageStatus status;
	Region		region;

	memset(result, 0, sizeof(*result));
	result->color = source->color;
	for (int i = 0; i < source->planes; i++)
	{
		if (!raster_plane_allocate(&result->plane[i], i == 0 ? width : chroma_width,
								   i == 0 ? height : chroma_height))
		{
			raster_free(result);
			return image_fail(error, IMAGE_NO_MEMORY,
							  "out of memory for %d x %d pixels", width, height);
		}
		result->planes++;
	}

	for (int i = 0, count; i < source->planes; i += count)
	{
		count = i == 0 ? 1 : planes_alike(source, i);
		region = plane_region(&source->plane[i], part);
		if (i > 0)
		{
			/* source samples a result pixel */
			double		step_x = region.width / width;
			double		step_y = region.height / height;

			region.width = 2 * chroma_width * step_x;
			region.height = 2 * chroma_height * step_y;
			if (width % 2 == 1 && flip_x)
				region.left -= step_x;
			if (height % 2 == 1 && flip_y)
				region.top -= step_y;
		}
		status = resize_planes(&source->plane[i], count, false, &region,
							   &result->plane[i], error);
		if (status != IMAGE_OK)
		{
			raster_free(result);
			return status;
		}
	}
	return IMAGE_OK;
}
