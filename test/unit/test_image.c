/*-------------------------------------------------------------------------
 *
 * test_image.c
 *	  The image room as a library: pictures in, what comes out looked at.
 *
 * All pictures are made here.  The usual one has four quadrants (red, green,
 * blue, white) and a yellow bar left of its middle, so that every turn, every
 * mix-up of channels and a shift by one column show.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <lcms2.h>
#include <png.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "../../src/image/image.h"
#include "../../src/image/orient.h"
#include "../../src/image/resize.h"
#include "check.h"

static const ImageCompressOptions usual_options = {
	1024, 500000, 85, 40, 4, IMAGE_ALPHA_KEEP, 0, IMAGE_LOSSLESS_AUTO,
	IMAGE_ANIMATION_KEEP
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

static Picture
picture_new(int width, int height, int channels)
{
	Picture		picture = {width, height, channels, NULL};

	picture.data = calloc((size_t) width * height, (size_t) channels);
	if (picture.data == NULL)
		abort();
	return picture;
}

static uint8_t *
pixel(const Picture *picture, int x, int y)
{
	return picture->data + ((size_t) y * picture->width + x) * picture->channels;
}

static Picture
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
static Picture
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

static Bytes
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

static Bytes
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
static ImageStatus
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

static double
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

static void
test_orientations(void)
{
	static const int sizes[][3] = {{160, 96, 1024}, {161, 97, 1024}, {163, 96, 77}, {480, 318, 101}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		Picture		upright = quadrants(sizes[s][0], sizes[s][1]);
		ImageCompressOptions options = usual_options;
		Picture		first;

		options.max_dimension = sizes[s][2];
		options.quality = 95;
		memset(&first, 0, sizeof(first));
		for (int orientation = 1; orientation <= 8; orientation++)
		{
			Picture		stored = stored_for(&upright, orientation);
			Bytes		jpeg = make_jpeg(&stored, NULL, orientation, NULL, 0);
			ImageResult result;
			ImageError	error;
			Picture		decoded;

			CHECK(run(jpeg, &options, &result, &decoded, &error) == IMAGE_OK);
			if (orientation == 1)
				first = decoded;
			else
			{
				/* a shift of chroma by one column alone would make it 4 and more */
				CHECK(mean_difference(&first, &decoded) < 2.5);
				free(decoded.data);
			}
			free(result.data);
			free(jpeg.data);
			free(stored.data);
		}
		free(first.data);
		free(upright.data);
	}
}

static void
test_jpeg_kinds(void)
{
	static const JpegCase cases[] = {
		{"4:4:4", 0, 0, 1, 1, false, false, 0, false},
		{"4:2:2", 0, 0, 2, 1, false, false, 0, false},
		{"4:2:0", 0, 0, 2, 2, false, false, 0, false},
		{"4:1:1", 0, 0, 4, 1, false, false, 0, false},
		{"4:4:0", 0, 0, 1, 2, false, false, 0, false},
		{"3 x 1", 0, 0, 3, 1, false, false, 0, false},
		{"RGB", 0, JCS_RGB, 0, 0, false, false, 0, false},
		{"progressive", 0, 0, 0, 0, true, false, 0, false},
		{"arithmetic", 0, 0, 0, 0, false, true, 0, false},
		{"arithmetic progressive", 0, 0, 0, 0, true, true, 0, false},
		{"restart intervals", 0, 0, 0, 0, false, false, 3, false},
	};
	Picture		upright = quadrants(201, 135);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int max_dimension = 201; max_dimension > 20; max_dimension -= 120)
		{
			ImageCompressOptions options = usual_options;
			Bytes		jpeg = make_jpeg(&upright, &cases[i], 0, NULL, 0);
			ImageResult result;
			ImageError	error;
			Picture		decoded;
			Picture		small;

			options.max_dimension = max_dimension;
			options.quality = 95;
			if (!CHECK(run(jpeg, &options, &result, &decoded, &error) == IMAGE_OK))
				printf("# %s: %s\n", cases[i].name, error.message);
			else
			{
				small = quadrants(decoded.width, decoded.height);
				if (!CHECK(mean_difference(&small, &decoded) < (max_dimension > 100 ? 6 : 16)))
					printf("# %s at %d: %.2f\n", cases[i].name, max_dimension,
						   mean_difference(&small, &decoded));
				free(small.data);
			}
			free(decoded.data);
			free(result.data);
			free(jpeg.data);
		}
	free(upright.data);
}

static void
test_gray_and_ink(void)
{
	static const JpegCase inks[] = {
		{"CMYK, Adobe", JCS_CMYK, JCS_CMYK, 0, 0, false, false, 0, false},
		{"CMYK, no marker", JCS_CMYK, JCS_CMYK, 0, 0, false, false, 0, true},
		{"YCCK", JCS_CMYK, JCS_YCCK, 0, 0, false, false, 0, false},
		{"YCCK subsampled", JCS_CMYK, JCS_YCCK, 2, 2, false, false, 0, false},
	};
	Picture		colors = quadrants(96, 64);
	Picture		gray = picture_new(96, 64, 1);
	ImageResult result;
	ImageError	error;
	Picture		decoded;
	Bytes		jpeg;

	for (int x = 0; x < 96; x++)
		for (int y = 0; y < 64; y++)
			*pixel(&gray, x, y) = (uint8_t) (x * 2 + y);
	jpeg = make_jpeg(&gray, NULL, 6, NULL, 0);
	CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(decoded.width == 64 && decoded.height == 96);
	if (decoded.data != NULL)
	{
		/* turned clockwise: the stored left bottom is the top left */
		CHECK(abs(pixel(&decoded, 0, 0)[0] - 63) < 6);
		CHECK(abs(pixel(&decoded, 63, 95)[1] - 190) < 6);
		CHECK(abs(pixel(&decoded, 10, 10)[0] - pixel(&decoded, 10, 10)[2]) < 3);
	}
	free(decoded.data);
	free(result.data);
	free(jpeg.data);
	free(gray.data);

	for (size_t i = 0; i < sizeof(inks) / sizeof(inks[0]); i++)
	{
		Picture		cmyk = picture_new(96, 64, 4);

		for (int y = 0; y < 64; y++)
			for (int x = 0; x < 96; x++)
				for (int c = 0; c < 4; c++)
				{
					int			ink = c < 3 ? 255 - pixel(&colors, x, y)[c] : 0;

					pixel(&cmyk, x, y)[c] = (uint8_t) (inks[i].no_adobe ? ink : 255 - ink);
				}
		jpeg = make_jpeg(&cmyk, &inks[i], 0, NULL, 0);
		if (!CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_OK))
			printf("# %s: %s\n", inks[i].name, error.message);
		if (!CHECK(mean_difference(&colors, &decoded) < 7))
			printf("# %s: %.2f\n", inks[i].name, mean_difference(&colors, &decoded));
		free(decoded.data);
		free(result.data);
		free(jpeg.data);
		free(cmyk.data);
	}
	free(colors.data);
}

static void
test_damage(void)
{
	Picture		upright = quadrants(300, 200);

	for (int progressive = 0; progressive < 2; progressive++)
	{
		JpegCase	how = {"", 0, 0, 0, 0, false, false, 0, false};
		Bytes		jpeg;
		ImageResult result;
		ImageError	error;
		Picture		decoded;
		size_t		whole;

		how.progressive = progressive;
		jpeg = make_jpeg(&upright, &how, 0, NULL, 0);
		whole = jpeg.length;

		/* without its EOI nothing is missing; likewise below, in many scans */
		jpeg.length = whole - 2;
		CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_OK);
		free(decoded.data);
		free(result.data);
		for (int i = 1; i < 32; i++)
		{
			jpeg.length = whole * (size_t) i / 32;
			CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_DAMAGED);
			CHECK(result.data == NULL && error.message[0] != '\0');
		}
		free(jpeg.data);
	}
	free(upright.data);
}

static void
test_alpha(void)
{
	Picture		disc = picture_new(600, 600, 4);
	ImageCompressOptions options = usual_options;
	ImageResult result;
	ImageError	error;
	Picture		decoded;
	Bytes		png;
	int			edges = 0;
	int			dark = 0;

	/* red within, black and transparent without */
	for (int y = 0; y < 600; y++)
		for (int x = 0; x < 600; x++)
			if ((x - 300) * (x - 300) + (y - 300) * (y - 300) < 250 * 250)
				memcpy(pixel(&disc, x, y), "\xff\x00\x00\xff", 4);
	png = make_png(&disc);

	options.lossless = IMAGE_LOSSLESS_ALWAYS;
	for (options.max_dimension = 97; options.max_dimension <= 400; options.max_dimension += 303)
	{
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		for (int y = 0; y < decoded.height; y++)
			for (int x = 0; x < decoded.width; x++)
			{
				const uint8_t *p = pixel(&decoded, x, y);

				if (p[3] >= 16 && p[3] < 240)
				{
					edges++;
					dark += p[0] < 250;
				}
			}
		free(decoded.data);
		free(result.data);
	}
	CHECK(edges > 200);
	CHECK(dark == 0);

	options = usual_options;
	options.alpha = IMAGE_ALPHA_FLATTEN;
	options.alpha_color = 0x2040e0;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(pixel(&decoded, 0, 0)[3] == 255);
	CHECK(abs(pixel(&decoded, 0, 0)[0] - 0x20) < 4 && abs(pixel(&decoded, 0, 0)[2] - 0xe0) < 4);
	CHECK(pixel(&decoded, 300, 300)[0] > 250);
	free(decoded.data);
	free(result.data);

	options.alpha = IMAGE_ALPHA_DROP;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(pixel(&decoded, 0, 0)[3] == 255 && pixel(&decoded, 0, 0)[2] < 4);
	free(decoded.data);
	free(result.data);
	free(png.data);
	free(disc.data);
}

static Picture
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

static void
test_budget(void)
{
	static const int ladder[] = {85, 75, 60, 50, 40};
	Picture		picture = noise(700, 500);
	Bytes		png = make_png(&picture);
	ImageCompressOptions options = usual_options;
	ImageResult result;
	ImageError	error;
	Picture		decoded;

	for (int budget = 128; budget < 400000; budget = budget * 7 / 3)
	{
		int			found;

		options = usual_options;
		options.max_bytes = budget;
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		CHECK(result.length <= (size_t) budget);
		CHECK(result.length >= (size_t) budget / 2 || result.quality == 85);
		CHECK(result.encodes <= 16);
		found = result.width == 700 ? result.quality : 0;
		free(decoded.data);
		free(result.data);

		/* no rung of the usual ladder that fits is above what was found ... */
		for (int i = 0; i < 5; i++)
		{
			options.max_bytes = 10000000;
			options.quality = options.min_quality = ladder[i];
			CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
			if (result.length <= (size_t) budget)
				CHECK(found >= ladder[i]);
			free(decoded.data);
			free(result.data);
		}
	}

	/* ... not even where the budget is just what that rung takes */
	for (int i = 1; i < 5; i++)
	{
		options = usual_options;
		options.quality = options.min_quality = ladder[i];
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		options = usual_options;
		options.max_bytes = (int32_t) result.length;
		free(decoded.data);
		free(result.data);
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		CHECK(result.quality >= ladder[i]);
		free(decoded.data);
		free(result.data);
	}
	free(png.data);
	free(picture.data);
}

static void
test_lossless(void)
{
	Picture		flat = quadrants(320, 200);
	Picture		rough = noise(64, 64);
	Bytes		png = make_png(&flat);
	ImageCompressOptions options = usual_options;
	ImageResult result;
	ImageResult again;
	ImageError	error;
	Picture		decoded;
	Bytes		webp;

	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(result.quality == 101);
	CHECK(mean_difference(&flat, &decoded) == 0);
	free(decoded.data);

	/* what keeps the limits comes back as it is */
	webp.data = result.data;
	webp.length = result.length;
	CHECK(run(webp, &options, &again, &decoded, &error) == IMAGE_OK);
	CHECK(again.unchanged && again.data == NULL && again.length == webp.length);
	free(decoded.data);

	/* but not where its kind was asked not to be */
	options.lossless = IMAGE_LOSSLESS_NEVER;
	CHECK(run(webp, &options, &again, &decoded, &error) == IMAGE_OK);
	CHECK(!again.unchanged && again.quality <= 85);
	free(decoded.data);
	free(again.data);
	free(webp.data);
	free(png.data);

	png = make_png(&rough);
	options = usual_options;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(result.quality <= 85);
	free(decoded.data);
	free(result.data);
	free(png.data);
	free(rough.data);
	free(flat.data);
}

/* Adds chunks to a WebP. */
static Bytes
with_chunks(Bytes webp, const uint8_t *exif, size_t exif_length)
{
	WebPData	from = {webp.data, webp.length};
	WebPData	chunk = {exif, exif_length};
	WebPData	assembled;
	WebPMux    *mux = WebPMuxCreate(&from, 1);
	Bytes		bytes;

	WebPMuxSetChunk(mux, "EXIF", &chunk, 1);
	if (WebPMuxAssemble(mux, &assembled) != WEBP_MUX_OK)
		abort();
	WebPMuxDelete(mux);
	bytes.data = (uint8_t *) assembled.bytes;
	bytes.length = assembled.size;
	return bytes;
}

static void
test_webp_metadata(void)
{
	uint8_t		exif[] = {
		'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
		0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0
	};
	Picture		flat = quadrants(120, 80);
	Bytes		webp;
	Bytes		tagged;
	ImageResult result;
	ImageError	error;
	Picture		decoded;
	Picture		turned;

	webp.length = WebPEncodeRGB(flat.data, 120, 80, 360, 80, &webp.data);
	tagged = with_chunks(webp, exif, sizeof(exif));
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(!result.unchanged && result.quality == 0);
	CHECK(result.length == webp.length && memcmp(result.data, webp.data, webp.length) == 0);
	free(decoded.data);
	free(result.data);
	free(tagged.data);

	exif[19] = 6;
	tagged = with_chunks(webp, exif, sizeof(exif));
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(decoded.width == 80 && decoded.height == 120);
	turned = stored_for(&flat, 8);
	CHECK(mean_difference(&turned, &decoded) < 8);
	free(turned.data);
	free(decoded.data);
	free(result.data);
	free(tagged.data);

	/* bytes after the end go; a cut is damage, though the header is whole */
	tagged.data = malloc(webp.length + 100);
	memset(tagged.data, 0, webp.length + 100);
	memcpy(tagged.data, webp.data, webp.length);
	tagged.length = webp.length + 100;
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(result.length == webp.length);
	free(decoded.data);
	free(result.data);
	tagged.length = webp.length * 3 / 4;
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_DAMAGED);
	free(tagged.data);
	free(webp.data);
	free(flat.data);
}

/*
 * Chunks that contradict the flags are no reason to refuse a picture that
 * every decoder shows.
 */
static void
test_webp_odd_chunks(void)
{
	Picture		flat = quadrants(60, 40);
	Bytes		webp;
	Bytes		odd;
	ImageResult result;
	ImageError	error;
	Picture		decoded;

	webp.length = WebPEncodeRGB(flat.data, 60, 40, 180, 80, &webp.data);
	for (int kind = 0; kind < 4; kind++)
	{
		/* VP8X with a wrong flag, then an EXIF chunk or none */
		static const uint8_t flags[] = {0x00, 0x08, 0x04, 0x20};
		static const uint8_t exif[] = {'E', 'X', 'I', 'F', 4, 0, 0, 0, 'M', 'M', 0, 42};
		size_t		riff;

		odd.data = calloc(1, webp.length + 100);
		memcpy(odd.data, "RIFF....WEBPVP8X\012\0\0\0", 20);
		odd.data[20] = flags[kind];
		odd.data[24] = 59;
		odd.data[27] = 39;
		memcpy(odd.data + 30, webp.data + 12, webp.length - 12);
		odd.length = 30 + webp.length - 12;
		if (kind == 0)
		{
			memcpy(odd.data + odd.length, exif, sizeof(exif));
			odd.length += sizeof(exif);
		}
		riff = odd.length - 8;
		for (int i = 0; i < 4; i++)
			odd.data[4 + i] = (uint8_t) (riff >> (8 * i));
		if (!CHECK(run(odd, &usual_options, &result, &decoded, &error) == IMAGE_OK))
			printf("# kind %d: %s\n", kind, error.message);
		if (!CHECK(!result.unchanged && mean_difference(&flat, &decoded) < 12))
			printf("# kind %d: %.2f\n", kind, mean_difference(&flat, &decoded));
		free(decoded.data);
		free(result.data);
		free(odd.data);
	}
	free(webp.data);
	free(flat.data);
}

static Bytes
make_animation(int frames, int width, int height)
{
	WebPAnimEncoderOptions settings;
	WebPAnimEncoder *encoder;
	WebPConfig	config;
	WebPData	assembled;
	Bytes		bytes;

	WebPAnimEncoderOptionsInit(&settings);
	settings.anim_params.loop_count = 2;
	encoder = WebPAnimEncoderNew(width, height, &settings);
	WebPConfigInit(&config);
	for (int i = 0; i < frames; i++)
	{
		Picture		frame = quadrants(width, height);
		WebPPicture picture;

		memset(pixel(&frame, 0, i * height / frames), 10 * i, (size_t) width * 3 * 4);
		WebPPictureInit(&picture);
		picture.use_argb = 1;
		picture.width = width;
		picture.height = height;
		WebPPictureImportRGB(&picture, frame.data, width * 3);
		WebPAnimEncoderAdd(encoder, &picture, i * 100, &config);
		WebPPictureFree(&picture);
		free(frame.data);
	}
	WebPAnimEncoderAdd(encoder, NULL, frames * 100, NULL);
	WebPAnimEncoderAssemble(encoder, &assembled);
	WebPAnimEncoderDelete(encoder);
	bytes.data = (uint8_t *) assembled.bytes;
	bytes.length = assembled.size;
	return bytes;
}

static void
test_animation(void)
{
	Bytes		webp = make_animation(5, 200, 100);
	ImageCompressOptions options = usual_options;
	ImageLimits limits = usual_limits;
	ImageResult result;
	ImageResult again;
	ImageError	error;
	WebPData	data;
	WebPAnimDecoder *decoder;
	WebPAnimInfo info;
	int			time = 0;
	int			frames = 0;

	options.max_dimension = 50;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	CHECK(result.width == 50 && result.height == 25);
	data.bytes = result.data;
	data.size = result.length;
	decoder = WebPAnimDecoderNew(&data, NULL);
	CHECK(decoder != NULL && WebPAnimDecoderGetInfo(decoder, &info));
	CHECK(info.frame_count == 5 && info.loop_count == 2);
	CHECK(info.canvas_width == 50 && info.canvas_height == 25);
	while (WebPAnimDecoderHasMoreFrames(decoder))
	{
		uint8_t    *canvas;

		CHECK(WebPAnimDecoderGetNext(decoder, &canvas, &time));
		frames++;
		CHECK(time == frames * 100);
		/* the lower right is white in every frame but for its own stripe */
		CHECK(canvas[(24 * 50 + 48) * 4] > 235);
	}
	WebPAnimDecoderDelete(decoder);

	CHECK(image_compress(result.data, result.length, &options, &limits, &again, &error) == IMAGE_OK);
	CHECK(again.unchanged);
	free(result.data);

	/* frames blend on the one before: that is no alpha to flatten again */
	options.alpha = IMAGE_ALPHA_FLATTEN;
	options.lossless = IMAGE_LOSSLESS_ALWAYS;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	CHECK(image_compress(result.data, result.length, &options, &limits, &again, &error) == IMAGE_OK);
	CHECK(again.unchanged);
	free(result.data);
	options.alpha = IMAGE_ALPHA_KEEP;
	options.lossless = IMAGE_LOSSLESS_AUTO;

	options.animation = IMAGE_ANIMATION_FIRST;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	data.bytes = result.data;
	data.size = result.length;
	decoder = WebPAnimDecoderNew(&data, NULL);
	CHECK(decoder != NULL && WebPAnimDecoderGetInfo(decoder, &info) && info.frame_count == 1);
	WebPAnimDecoderDelete(decoder);
	free(result.data);

	options.animation = IMAGE_ANIMATION_REJECT;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) ==
		  IMAGE_UNSUPPORTED);

	options.animation = IMAGE_ANIMATION_KEEP;
	options.max_bytes = 600;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	CHECK(result.length <= 600);
	free(result.data);

	limits.max_frames = 4;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_frames") == 0);
	limits.max_frames = 1000;
	limits.max_pixels = 200 * 100 * 5 - 1;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_pixels") == 0);
	free(webp.data);
}

static void
test_sizes(void)
{
	static const int sizes[][2] = {
		{1, 1}, {1, 200000}, {150000, 2}, {1, 900}, {900, 1}, {3, 2000}, {2000, 3}, {5000, 10}, {2, 2}, {1025, 1023}
	};
	int			width;
	int			height;

	resize_fit(4000, 3000, 1024, &width, &height);
	CHECK(width == 1024 && height == 768);
	resize_fit(1000, 1, 10, &width, &height);
	CHECK(width == 10 && height == 1);
	resize_fit(300, 200, 1024, &width, &height);
	CHECK(width == 300 && height == 200);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int channels = 3; channels <= 4; channels++)
		{
			Picture		picture = picture_new(sizes[i][0], sizes[i][1], channels);
			Bytes		coded[2];
			ImageResult result;
			ImageError	error;
			Picture		decoded;

			memset(picture.data, 130, (size_t) picture.width * picture.height * channels);
			coded[0] = make_png(&picture);
			coded[1] = coded[0];
			if (channels == 3 && picture.width <= 65500 && picture.height <= 65500)
				coded[1] = make_jpeg(&picture, NULL, 6, NULL, 0);
			for (int k = 0; channels == 3 && k < 2; k++)
			{
				if (!CHECK(run(coded[k], &usual_options, &result, &decoded, &error) == IMAGE_OK))
					printf("# %d x %d: %s\n", sizes[i][0], sizes[i][1], error.message);
				else
				{
					const uint8_t *middle = pixel(&decoded, decoded.width / 2, decoded.height / 2);

					CHECK(abs(middle[0] - 130) < 6 && abs(middle[2] - 130) < 6);
				}
				free(decoded.data);
				free(result.data);
			}
			if (channels == 4)
			{
				CHECK(run(coded[0], &usual_options, &result, &decoded, &error) == IMAGE_OK);
				CHECK(abs(pixel(&decoded, 0, 0)[3] - 130) < 3);
				free(decoded.data);
				free(result.data);
			}
			if (coded[1].data != coded[0].data)
				free(coded[1].data);
			free(coded[0].data);
			free(picture.data);
		}
}

/* An RGB profile with these primaries and gamma 2.2, in malloc'd bytes. */
static Bytes
make_profile(bool wide)
{
	cmsCIExyY	white = {0.3127, 0.3290, 1};
	cmsCIExyYTRIPLE p3 = {{0.680, 0.320, 1}, {0.265, 0.690, 1}, {0.150, 0.060, 1}};
	cmsHPROFILE profile;
	cmsUInt32Number length = 0;
	Bytes		bytes;

	if (wide)
	{
		cmsToneCurve *curve = cmsBuildGamma(NULL, 2.2);
		cmsToneCurve *curves[3] = {curve, curve, curve};

		profile = cmsCreateRGBProfile(&white, &p3, curves);
		cmsFreeToneCurve(curve);
	}
	else
		profile = cmsCreate_sRGBProfile();
	cmsSaveProfileToMem(profile, NULL, &length);
	bytes.data = malloc(length);
	cmsSaveProfileToMem(profile, bytes.data, &length);
	bytes.length = length;
	cmsCloseProfile(profile);
	return bytes;
}

static void
test_profiles(void)
{
	Picture		picture = picture_new(64, 64, 3);
	Bytes		srgb = make_profile(false);
	Bytes		wide = make_profile(true);
	Bytes		plain;
	Bytes		tagged;
	ImageResult result;
	ImageResult other;
	ImageError	error;
	Picture		decoded;

	for (int i = 0; i < 64 * 64; i++)
		memcpy(picture.data + i * 3, "\x40\xb0\x60", 3);
	plain = make_jpeg(&picture, NULL, 0, NULL, 0);
	CHECK(run(plain, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	free(decoded.data);

	/* a profile that is sRGB changes nothing at all */
	tagged = make_jpeg(&picture, NULL, 0, srgb.data, srgb.length);
	CHECK(run(tagged, &usual_options, &other, &decoded, &error) == IMAGE_OK);
	CHECK(other.length == result.length && memcmp(other.data, result.data, other.length) == 0);
	free(decoded.data);
	free(other.data);
	free(tagged.data);

	/* a wide one makes this green greener: red would have to be negative */
	tagged = make_jpeg(&picture, NULL, 0, wide.data, wide.length);
	CHECK(run(tagged, &usual_options, &other, &decoded, &error) == IMAGE_OK);
	CHECK(pixel(&decoded, 32, 32)[0] < 0x20);
	CHECK(pixel(&decoded, 32, 32)[1] > 0xb0);
	free(decoded.data);
	free(other.data);
	free(tagged.data);

	/* a broken one is no reason to refuse the picture */
	memset(wide.data, 0x55, wide.length);
	tagged = make_jpeg(&picture, NULL, 0, wide.data, wide.length);
	CHECK(run(tagged, &usual_options, &other, &decoded, &error) == IMAGE_OK);
	CHECK(abs(pixel(&decoded, 32, 32)[0] - 0x40) < 6);
	free(decoded.data);
	free(other.data);
	free(tagged.data);
	free(plain.data);
	free(result.data);
	free(srgb.data);
	free(wide.data);
	free(picture.data);
}

static void
test_refusals(void)
{
	Picture		picture = quadrants(100, 50);
	Bytes		jpeg = make_jpeg(&picture, NULL, 0, NULL, 0);
	ImageCompressOptions options = usual_options;
	ImageLimits limits = usual_limits;
	ImageResult result;
	ImageError	error;

	limits.max_pixels = 4999;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_pixels") == 0);
	limits.max_pixels = 5000;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) == IMAGE_OK);
	free(result.data);

	CHECK(image_compress((const uint8_t *) "fake image content", 18, &options, &limits,
						 &result, &error) == IMAGE_NOT_AN_IMAGE);
	CHECK(image_compress((const uint8_t *) "", 0, &options, &limits, &result, &error) ==
		  IMAGE_NOT_AN_IMAGE);

	options.quality = 101;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) ==
		  IMAGE_BAD_OPTION);
	options = usual_options;
	options.min_quality = 86;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) ==
		  IMAGE_BAD_OPTION);
	free(jpeg.data);
	free(picture.data);
}

int
main(void)
{
	test_sizes();
	test_orientations();
	test_jpeg_kinds();
	test_gray_and_ink();
	test_damage();
	test_alpha();
	test_budget();
	test_lossless();
	test_webp_metadata();
	test_webp_odd_chunks();
	test_animation();
	test_profiles();
	test_refusals();
	return check_report();
}
