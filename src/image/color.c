/*-------------------------------------------------------------------------
 *
 * color.c
 *	  Colours to sRGB: ICC profiles by Little CMS, CMYK without a profile by
 *	  the product of paper and inks, YCbCr by JFIF's matrix.
 *
 * Everything here happens after resizing, on the few pixels that are left.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

#include "color.h"

struct ColorTransform
{
	cmsContext	context;
	cmsHTRANSFORM handle;
	int			channels;		/* of the input */
};

/* No profile of a picture is larger; CMYK ones reach 2 MB. */
#define COLOR_LARGEST_PROFILE (16 * 1024 * 1024)

/*
 * A profile is sRGB in all but name when no colour of a grid of 6 x 6 x 6
 * moves by more than this: then pixels stay as they are, which is both faster
 * and closer to the original than converting and rounding.
 */
#define COLOR_SAME_WITHIN 3

static bool
changes_nothing(cmsHTRANSFORM handle, int channels)
{
	uint8_t		from[3 * 216];
	uint8_t		to[3 * 216];
	uint8_t    *next = from;

	for (int i = 0; i < 216; i++)
	{
		if (channels == 3)
		{
			*next++ = (uint8_t) (i / 36 * 51);
			*next++ = (uint8_t) (i / 6 % 6 * 51);
			*next++ = (uint8_t) (i % 6 * 51);
		}
		else
			*next++ = (uint8_t) (i * 255 / 215);
	}
	cmsDoTransform(handle, from, to, 216);
	for (int i = 0; i < 3 * 216; i++)
		if (abs(to[i] - from[channels == 3 ? i : i / 3]) > COLOR_SAME_WITHIN)
			return false;
	return true;
}

/*
 * Makes the conversion, or nothing if there is nothing to convert.  The
 * look whether there is goes without Little CMS's optimizing, which takes
 * four times as long and pays only when many pixels follow.
 */
static cmsHTRANSFORM
make_transform(const ColorTransform *transform, cmsHPROFILE profile, cmsHPROFILE srgb,
			   cmsUInt32Number format)
{
	if (transform->channels != 4)
	{
		cmsHTRANSFORM trial = cmsCreateTransformTHR(transform->context, profile, format,
													srgb, TYPE_RGB_8,
													INTENT_RELATIVE_COLORIMETRIC,
													cmsFLAGS_BLACKPOINTCOMPENSATION |
													cmsFLAGS_NOOPTIMIZE);
		bool		nothing;

		if (trial == NULL)
			return NULL;
		nothing = changes_nothing(trial, transform->channels);
		cmsDeleteTransform(trial);
		if (nothing)
			return NULL;
	}
	return cmsCreateTransformTHR(transform->context, profile, format, srgb, TYPE_RGB_8,
								 INTENT_RELATIVE_COLORIMETRIC,
								 cmsFLAGS_BLACKPOINTCOMPENSATION);
}

ImageStatus
color_transform_open(const uint8_t *icc, size_t length, RasterColor color,
					 ColorTransform **transform, ImageError *error)
{
	ColorTransform *made;
	cmsHPROFILE profile;
	cmsHPROFILE srgb;
	cmsColorSpaceSignature space = cmsSigRgbData;
	cmsUInt32Number format = TYPE_RGB_8;

	*transform = NULL;
	if (icc == NULL || length == 0 || length > COLOR_LARGEST_PROFILE)
		return IMAGE_OK;

	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
	made->channels = 3;
	if (color == RASTER_GRAY)
	{
		made->channels = 1;
		space = cmsSigGrayData;
		format = TYPE_GRAY_8;
	}
	else if (color == RASTER_CMYK || color == RASTER_YCCK)
	{
		made->channels = 4;
		space = cmsSigCmykData;
		format = TYPE_CMYK_8;
	}

	made->context = cmsCreateContext(NULL, NULL);
	if (made->context == NULL)
	{
		free(made);
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
	}
	profile = cmsOpenProfileFromMemTHR(made->context, icc, (cmsUInt32Number) length);
	srgb = cmsCreate_sRGBProfileTHR(made->context);
	if (profile != NULL && srgb != NULL && cmsGetColorSpace(profile) == space)
		made->handle = make_transform(made, profile, srgb, format);
	if (profile != NULL)
		cmsCloseProfile(profile);
	if (srgb != NULL)
		cmsCloseProfile(srgb);

	if (made->handle == NULL)
		color_transform_free(made);
	else
		*transform = made;
	return IMAGE_OK;
}

void
color_transform_free(ColorTransform *transform)
{
	if (transform == NULL)
		return;
	if (transform->handle != NULL)
		cmsDeleteTransform(transform->handle);
	cmsDeleteContext(transform->context);
	free(transform);
}

static uint8_t
clamp_sample(int value)
{
	return (uint8_t) (value < 0 ? 0 : (value > 255 ? 255 : value));
}

/*
 * JFIF's YCbCr to RGB (ITU-T T.871, 7), in 16.16 fixed point, in place on the
 * first three planes.
 */
static void
ycc_to_rgb(Raster *raster)
{
	for (int y = 0; y < raster->plane[0].height; y++)
	{
		uint8_t    *first = raster->plane[0].data + y * raster->plane[0].stride;
		uint8_t    *second = raster->plane[1].data + y * raster->plane[1].stride;
		uint8_t    *third = raster->plane[2].data + y * raster->plane[2].stride;

		for (int x = 0; x < raster->plane[0].width; x++)
		{
			int			luma = first[x] * 65536 + 32768;
			int			cb = second[x] - 128;
			int			cr = third[x] - 128;

			first[x] = clamp_sample((luma + 91881 * cr) >> 16);
			second[x] = clamp_sample((luma - 22554 * cb - 46802 * cr) >> 16);
			third[x] = clamp_sample((luma + 116130 * cb) >> 16);
		}
	}
}

/* Inks on white paper: each lets through what it does not take. */
static void
cmyk_to_rgb(Raster *raster)
{
	for (int y = 0; y < raster->plane[0].height; y++)
	{
		const uint8_t *black = raster->plane[3].data + y * raster->plane[3].stride;

		for (int i = 0; i < 3; i++)
		{
			uint8_t    *ink = raster->plane[i].data + y * raster->plane[i].stride;

			for (int x = 0; x < raster->plane[0].width; x++)
				ink[x] = (uint8_t) (((255 - ink[x]) * (255 - black[x]) + 127) / 255);
		}
	}
}

/* Runs the transform row by row, planes to planes. */
static ImageStatus
apply_transform(Raster *raster, const ColorTransform *transform, ImageError *error)
{
	int			width = raster->plane[0].width;
	int			channels = transform->channels;
	uint8_t    *from = malloc((size_t) width * 4);
	uint8_t    *to = malloc((size_t) width * 3);

	if (from == NULL || to == NULL)
	{
		free(from);
		free(to);
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
	}
	for (int y = 0; y < raster->plane[0].height; y++)
	{
		for (int c = 0; c < channels; c++)
		{
			const uint8_t *row = raster->plane[c].data + y * raster->plane[c].stride;

			for (int x = 0; x < width; x++)
				from[x * channels + c] = row[x];
		}
		cmsDoTransform(transform->handle, from, to, (cmsUInt32Number) width);
		for (int c = 0; c < 3; c++)
		{
			uint8_t    *row = raster->plane[c].data + y * raster->plane[c].stride;

			for (int x = 0; x < width; x++)
				row[x] = to[x * 3 + c];
		}
	}
	free(from);
	free(to);
	return IMAGE_OK;
}

ImageStatus
color_widen_gray(Raster *raster, ImageError *error)
{
	RasterPlane more[2];

	if (raster->color != RASTER_GRAY)
		return IMAGE_OK;
	memset(more, 0, sizeof(more));
	for (int i = 0; i < 2; i++)
	{
		if (!raster_plane_allocate(&more[i], raster->plane[0].width,
								   raster->plane[0].height))
		{
			free(more[0].data);
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
		}
		for (int y = 0; y < more[i].height; y++)
			memcpy(more[i].data + y * more[i].stride,
				   raster->plane[0].data + y * raster->plane[0].stride,
				   (size_t) more[i].width);
	}
	if (raster->alpha)
		raster->plane[3] = raster->plane[1];
	raster->plane[1] = more[0];
	raster->plane[2] = more[1];
	raster->planes += 2;
	raster->color = RASTER_RGB;
	return IMAGE_OK;
}

ImageStatus
color_to_srgb(Raster *raster, const ColorTransform *transform, ImageError *error)
{
	ImageStatus status;

	switch (raster->color)
	{
		case RASTER_GRAY:
			if (transform == NULL)
				return IMAGE_OK;
			status = color_widen_gray(raster, error);
			if (status != IMAGE_OK)
				return status;
			break;
		case RASTER_YCC:
			ycc_to_rgb(raster);
			raster->color = RASTER_RGB;
			break;
		case RASTER_YCCK:
			ycc_to_rgb(raster);
			raster->color = RASTER_CMYK;
			break;
		case RASTER_RGB:
		case RASTER_CMYK:
			break;
	}
	if (transform != NULL)
	{
		status = apply_transform(raster, transform, error);
		if (status != IMAGE_OK)
			return status;
	}
	else if (raster->color == RASTER_CMYK)
		cmyk_to_rgb(raster);

	if (raster->color == RASTER_CMYK)
	{
		free(raster->plane[3].data);
		memset(&raster->plane[3], 0, sizeof(raster->plane[3]));
		raster->planes = 3;
		raster->color = RASTER_RGB;
	}
	return IMAGE_OK;
}

void
color_limit_range(RasterPlane *plane, bool chroma)
{
	uint8_t		map[256];

	for (int i = 0; i < 256; i++)
		map[i] = chroma ? (uint8_t) (128 + ((i - 128) * 224 + (i < 128 ? -127 : 127)) / 255)
			: (uint8_t) (16 + (i * 219 + 127) / 255);
	for (int y = 0; y < plane->height; y++)
	{
		uint8_t    *row = plane->data + y * plane->stride;

		for (int x = 0; x < plane->width; x++)
			row[x] = map[row[x]];
	}
}
