/*-------------------------------------------------------------------------
 *
 * image_test.h
 *	  Pictures for the tests of the image room, and what runs them through it.
 *
 * All pictures are made here.  The usual one has four quadrants (red, green,
 * blue, white) and a yellow bar left of its middle, so that every turn, every
 * mix-up of channels and a shift by one column show.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_TEST_H
#define MEDIASTORE_IMAGE_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/decode.h>

#include "../../src/image/image.h"
#include "../../src/image/orient.h"
#include "check.h"

static const ImageCompressOptions usual_options = {
	1024, 500000, 85, 40, 4, IMAGE_ALPHA_KEEP, 0, IMAGE_LOSSLESS_AUTO,
	IMAGE_ANIMATION_KEEP, 0, 0, IMAGE_FIT_INSIDE
};
static const ImageLimits usual_limits = {100000000, 1000};

/* Interleaved samples, 1 to 4 channels. */
typedef struct Picture
{
	int			width;
	int			height;
	int			channels;
	uint8_t    *data;
} Picture;

typedef struct Bytes
{
	uint8_t    *data;
	size_t		length;
} Bytes;

static inline Picture
picture_new(int width, int height, int channels)
{
	Picture		picture = {width, height, channels, NULL};

	picture.data = calloc((size_t) width * height, (size_t) channels);
	if (picture.data == NULL)
		abort();
	return picture;
}

static inline uint8_t *
pixel(const Picture *picture, int x, int y)
{
	return picture->data + ((size_t) y * picture->width + x) * picture->channels;
}

static inline Picture
quadrants(int width, int height)
{
	static const uint8_t colors[5][3] = {
		{220, 20, 20}, {20, 180, 20}, {20, 20, 220}, {250, 250, 250}, {230, 220, 20}
	};
	Picture		picture = picture_new(width, height, 3);

	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
		{
			int			which = (y * 2 >= height ? 2 : 0) + (x * 2 >= width ? 1 : 0);

			if (x >= width * 3 / 8 && x < width * 3 / 8 + width / 16)
				which = 4;
			memcpy(pixel(&picture, x, y), colors[which], 3);
		}
	return picture;
}

/* What a camera held so as to need this orientation stores. */
static inline Picture
stored_for(const Picture *upright, int orientation)
{
	bool		turned = orientation_transposes(orientation);
	Picture		stored = picture_new(turned ? upright->height : upright->width,
									 turned ? upright->width : upright->height,
									 upright->channels);

	for (int y = 0; y < stored.height; y++)
		for (int x = 0; x < stored.width; x++)
		{
			int			sx = orientation_flips_x(orientation) ? stored.width - 1 - x : x;
			int			sy = orientation_flips_y(orientation) ? stored.height - 1 - y : y;

			memcpy(pixel(&stored, x, y),
				   turned ? pixel(upright, sy, sx) : pixel(upright, sx, sy),
				   (size_t) upright->channels);
		}
	return stored;
}

/* How to code a JPEG; zeroes are libjpeg's defaults. */
typedef struct JpegCase
{
	const char *name;
	J_COLOR_SPACE in;			/* of the samples given */
	J_COLOR_SPACE coded;
	int			h;				/* sampling of the first component */
	int			v;
	bool		progressive;
	bool		arithmetic;
	int			restart;
	bool		no_adobe;
} JpegCase;

static inline Bytes
make_jpeg(const Picture *picture, const JpegCase *how, int orientation,
		  const uint8_t *icc, size_t icc_length)
{
	struct jpeg_compress_struct cinfo;
	struct jpeg_error_mgr errors;
	unsigned char *out = NULL;
	unsigned long length = 0;
	Bytes		bytes;

	cinfo.err = jpeg_std_error(&errors);
	jpeg_create_compress(&cinfo);
	jpeg_mem_dest(&cinfo, &out, &length);
	cinfo.image_width = (JDIMENSION) picture->width;
	cinfo.image_height = (JDIMENSION) picture->height;
	cinfo.input_components = picture->channels;
	cinfo.in_color_space = how && how->in ? how->in :
		(picture->channels == 1 ? JCS_GRAYSCALE : JCS_RGB);
	jpeg_set_defaults(&cinfo);
	if (how && how->coded)
		jpeg_set_colorspace(&cinfo, how->coded);
	jpeg_set_quality(&cinfo, 96, TRUE);
	if (how && how->h)
	{
		cinfo.comp_info[0].h_samp_factor = how->h;
		cinfo.comp_info[0].v_samp_factor = how->v;
		if (how->coded == JCS_YCCK)
		{
			cinfo.comp_info[3].h_samp_factor = how->h;
			cinfo.comp_info[3].v_samp_factor = how->v;
		}
	}
	if (how && how->progressive)
		jpeg_simple_progression(&cinfo);
	if (how)
	{
		cinfo.arith_code = how->arithmetic;
		cinfo.restart_interval = (unsigned) how->restart;
		if (how->no_adobe)
			cinfo.write_Adobe_marker = FALSE;
	}
	jpeg_start_compress(&cinfo, TRUE);
	if (orientation > 0)
	{
		uint8_t		exif[] = {
			'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
			0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0
		};

		exif[25] = (uint8_t) orientation;
		jpeg_write_marker(&cinfo, JPEG_APP0 + 1, exif, sizeof(exif));
	}
	if (icc != NULL)
		jpeg_write_icc_profile(&cinfo, icc, (unsigned) icc_length);
	while (cinfo.next_scanline < cinfo.image_height)
	{
		JSAMPROW	row = pixel(picture, 0, (int) cinfo.next_scanline);

		jpeg_write_scanlines(&cinfo, &row, 1);
	}
	jpeg_finish_compress(&cinfo);
	jpeg_destroy_compress(&cinfo);
	bytes.data = out;
	bytes.length = length;
	return bytes;
}

static inline Bytes
make_png(const Picture *picture)
{
	static const png_uint_32 formats[] = {
		0, PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA
	};
	png_image	image;
	png_alloc_size_t length = 0;
	Bytes		bytes;

	memset(&image, 0, sizeof(image));
	image.version = PNG_IMAGE_VERSION;
	image.width = (png_uint_32) picture->width;
	image.height = (png_uint_32) picture->height;
	image.format = formats[picture->channels];
	png_image_write_to_memory(&image, NULL, &length, 0, picture->data, 0, NULL);
	bytes.data = malloc(length);
	bytes.length = length;
	if (!png_image_write_to_memory(&image, bytes.data, &length, 0, picture->data, 0, NULL))
		abort();
	return bytes;
}

/* Compresses, and decodes what came of it to RGBA. */
static inline ImageStatus
run(Bytes input, const ImageCompressOptions *options, ImageResult *result,
	Picture *decoded, ImageError *error)
{
	ImageStatus status = image_compress(input.data, input.length, options, &usual_limits,
										result, error);

	memset(decoded, 0, sizeof(*decoded));
	if (status == IMAGE_OK)
	{
		const uint8_t *data = result->unchanged ? input.data : result->data;

		decoded->channels = 4;
		decoded->data = WebPDecodeRGBA(data, result->length, &decoded->width,
									   &decoded->height);
		CHECK(decoded->data != NULL);
		CHECK(decoded->width == result->width && decoded->height == result->height);
	}
	return status;
}

static inline double
mean_difference(const Picture *a, const Picture *b)
{
	double		sum = 0;

	if (a->width != b->width || a->height != b->height)
		return 1000;
	for (int y = 0; y < a->height; y++)
		for (int x = 0; x < a->width; x++)
			for (int c = 0; c < 3; c++)
				sum += abs(pixel(a, x, y)[c] - pixel(b, x, y)[c]);
	return sum / (3.0 * a->width * a->height);
}

static inline Picture
noise(int width, int height)
{
	Picture		picture = picture_new(width, height, 3);
	uint32_t	state = 12345;

	for (int i = 0; i < width * height * 3; i++)
	{
		state = state * 1664525u + 1013904223u;
		picture.data[i] = (uint8_t) (state >> 24);
	}
	return picture;
}

#endif							/* MEDIASTORE_IMAGE_TEST_H */
