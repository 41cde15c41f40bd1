/*-------------------------------------------------------------------------
 *
 * test_decode.c
 *	  The decoders of PNG and BMP: small pictures made here, and every pixel
 *	  of them.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdio.h>

#include <png.h>

#include "decode_test.h"

/*
 * PNG
 */
typedef struct PngOptions
{
	int			width;
	int			height;
	int			color_type;
	int			depth;
	int			interlace;
	double		gamma;			/* 0: none */
	bool		srgb;
	bool		icc;
	int			transparent;	/* gray level or palette entries, -1: none */
} PngOptions;

static void
png_to_bytes(png_structp png, png_bytep data, size_t length)
{
	put(png_get_io_ptr(png), data, length);
}

static void
png_flush_nothing(png_structp png)
{
	(void) png;
}

/* rows are as a PNG holds them. */
static Bytes
make_png(const PngOptions *options, const uint8_t *rows, size_t row_size)
{
	static Bytes bytes;
	uint8_t		profile[PROFILE_SIZE];
	png_color	palette[16];
	png_byte	alpha[16];
	png_color_16 gray = {0};
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop	info = png_create_info_struct(png);
	png_bytep  *pointers = calloc((size_t) options->height, sizeof(png_bytep));

	memset(&bytes, 0, sizeof(bytes));
	if (setjmp(png_jmpbuf(png)))
		abort();
	png_set_write_fn(png, &bytes, png_to_bytes, png_flush_nothing);
	png_set_IHDR(png, info, (png_uint_32) options->width, (png_uint_32) options->height,
				 options->depth, options->color_type, options->interlace,
				 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (options->gamma > 0)
		png_set_gAMA(png, info, options->gamma);
	if (options->srgb)
		png_set_sRGB(png, info, PNG_sRGB_INTENT_PERCEPTUAL);
	make_profile(profile);
	if (options->icc)
		png_set_iCCP(png, info, "test", 0, profile, sizeof(profile));
	for (int i = 0; i < 16; i++)
	{
		palette[i] = (png_color) {(png_byte) (i * 3), (png_byte) (255 - i), (png_byte) (i * 16)};
		alpha[i] = (png_byte) (i * 100);
	}
	if (options->color_type == PNG_COLOR_TYPE_PALETTE)
	{
		png_set_PLTE(png, info, palette, 16);
		if (options->transparent > 0)
			png_set_tRNS(png, info, alpha, options->transparent, NULL);
	}
	else if (options->transparent >= 0)
	{
		gray.gray = (png_uint_16) options->transparent;
		png_set_tRNS(png, info, NULL, 0, &gray);
	}
	for (int y = 0; y < options->height; y++)
		pointers[y] = (png_bytep) rows + y * row_size;
	png_set_rows(png, info, pointers);
	png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
	png_destroy_write_struct(&png, &info);
	free(pointers);
	return bytes;
}

static size_t
find_chunk(const Bytes *bytes, const char *name)
{
	for (size_t i = 0; i + 4 <= bytes->length; i++)
		if (memcmp(bytes->data + i, name, 4) == 0)
			return i;
	abort();
}

static void
test_png(void)
{
	enum
	{
		W = 17, H = 13
	};
	uint8_t		rgba[H][W][4];
	uint8_t		rgb[H][W][3];
	uint8_t		gray[4][4];
	PngOptions	options = {W, H, PNG_COLOR_TYPE_RGB_ALPHA, 8, PNG_INTERLACE_NONE, 0, false, false, -1};
	Bytes		bytes;

	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			for (int c = 0; c < 4; c++)
			{
				rgba[y][x][c] = pattern(x, y, c);
				if (c < 3)
					rgb[y][x][c] = pattern(x, y, c);
			}

	bytes = make_png(&options, &rgba[0][0][0], sizeof(rgba[0]));
	CHECK(decode(image_decode_png, &bytes, bytes.length, W, H) == IMAGE_OK);
	CHECK(all_pattern(W, H, 4));
	check_cuts(image_decode_png, &bytes, W, H, SIZE_MAX);

	/* A header that is larger than the facts, as if it had been swapped. */
	CHECK(decode(image_decode_png, &bytes, bytes.length, W - 1, H) == IMAGE_DAMAGED);

	/* A flipped bit in the pixels. */
	bytes.data[find_chunk(&bytes, "IDAT") + 20] ^= 4;
	CHECK(decode(image_decode_png, &bytes, bytes.length, W, H) == IMAGE_DAMAGED);
	bytes_free(&bytes);

	options.color_type = PNG_COLOR_TYPE_RGB;
	options.interlace = PNG_INTERLACE_ADAM7;
	options.icc = true;
	bytes = make_png(&options, &rgb[0][0][0], sizeof(rgb[0]));
	CHECK(decode(image_decode_png, &bytes, bytes.length, W, H) == IMAGE_OK);
	CHECK(all_pattern(W, H, 3));
	CHECK(sink.icc_length == PROFILE_SIZE);
	check_cuts(image_decode_png, &bytes, W, H, SIZE_MAX);
	bytes_free(&bytes);

	/* Gamma: linear light is brightened, unless sRGB is said, too. */
	options = (PngOptions) {4, 4, PNG_COLOR_TYPE_GRAY, 8, PNG_INTERLACE_NONE, 1.0, false, false, -1};
	memset(gray, 128, sizeof(gray));
	bytes = make_png(&options, &gray[0][0], 4);
	CHECK(decode(image_decode_png, &bytes, bytes.length, 4, 4) == IMAGE_OK);
	CHECK(abs(sample(0, 1, 1) - (int) lround(255 * pow(128 / 255.0, 1 / 2.2))) <= 1);

	/* An ancillary chunk that is broken counts as absent. */
	bytes.data[find_chunk(&bytes, "gAMA") + 5] ^= 1;
	CHECK(decode(image_decode_png, &bytes, bytes.length, 4, 4) == IMAGE_OK);
	CHECK(sample(0, 1, 1) == 128);
	bytes_free(&bytes);
	options.srgb = true;
	options.gamma = 0.45455;
	bytes = make_png(&options, &gray[0][0], 4);
	CHECK(decode(image_decode_png, &bytes, bytes.length, 4, 4) == IMAGE_OK);
	CHECK(sample(0, 1, 1) == 128 && sink.raster.planes == 1);
	bytes_free(&bytes);

	/* 16 bits are rounded, not cut. */
	options = (PngOptions) {2, 4, PNG_COLOR_TYPE_GRAY, 16, PNG_INTERLACE_NONE, 0, false, false, -1};
	memcpy(gray, "\x00\x81\x00\x80\x7f\xff\x80\x7f\xff\xff\xfe\x7d\x12\x12\x12\x93", 16);
	bytes = make_png(&options, &gray[0][0], 4);
	CHECK(decode(image_decode_png, &bytes, bytes.length, 2, 4) == IMAGE_OK);
	CHECK(sample(0, 0, 0) == 1 && sample(0, 1, 0) == 0 && sample(0, 0, 1) == 127 &&
		  sample(0, 1, 1) == 128 && sample(0, 0, 2) == 255 && sample(0, 1, 2) == 253 &&
		  sample(0, 0, 3) == 0x12 && sample(0, 1, 3) == 0x13);
	bytes_free(&bytes);

	/* 4 bits, one level transparent; 2 bits of a palette with some alpha. */
	options = (PngOptions) {4, 2, PNG_COLOR_TYPE_GRAY, 4, PNG_INTERLACE_NONE, 0, false, false, 5};
	bytes = make_png(&options, (const uint8_t *) "\x05\x0f\x7a\x51", 2);
	CHECK(decode(image_decode_png, &bytes, bytes.length, 4, 2) == IMAGE_OK);
	CHECK(sink.raster.planes == 2);
	CHECK(pixel_is(0, 0, 0, 255, 0, 0) && pixel_is(1, 0, 85, 0, 0, 0) &&
		  pixel_is(3, 0, 255, 255, 0, 0) && pixel_is(1, 1, 170, 255, 0, 0));
	bytes_free(&bytes);
	options = (PngOptions) {4, 1, PNG_COLOR_TYPE_PALETTE, 4, PNG_INTERLACE_NONE, 0, false, false, 2};
	bytes = make_png(&options, (const uint8_t *) "\x01\x2f", 2);
	CHECK(decode(image_decode_png, &bytes, bytes.length, 4, 1) == IMAGE_OK);
	CHECK(pixel_is(0, 0, 0, 255, 0, 0) && pixel_is(1, 0, 3, 254, 16, 100) &&
		  pixel_is(2, 0, 6, 253, 32, 255) && pixel_is(3, 0, 45, 240, 240, 255));
	check_cuts(image_decode_png, &bytes, 4, 1, SIZE_MAX);
	bytes_free(&bytes);
}

/*
 * BMP
 */
typedef struct BmpOptions
{
	int			header_size;	/* 12, 40, 56, 124 */
	int			width;
	int			height;			/* negative: top-down */
	int			bits;
	int			compression;
	int			colors;			/* declared; as many are written */
	uint32_t	mask[4];
	int			offset_error;	/* added to where the pixels are said to be */
} BmpOptions;

/* The headers and a palette of (i, 2 i, 100 + i); pixels are put behind. */
static Bytes
bmp_begin(const BmpOptions *options)
{
	bool		core = options->header_size == 12;
	bool		masked = options->compression == 3;
	Bytes		bytes = {0};
	uint32_t	offset = 14 + (uint32_t) options->header_size +
		(uint32_t) options->colors * (core ? 3 : 4);

	if (masked && options->header_size == 40)
		offset += 12;
	put(&bytes, "BM", 2);
	put32(&bytes, 0);
	put32(&bytes, 0);
	put32(&bytes, offset + (uint32_t) options->offset_error);
	put32(&bytes, (uint32_t) options->header_size);
	if (core)
	{
		put16(&bytes, (unsigned) options->width);
		put16(&bytes, (unsigned) options->height);
	}
	else
	{
		put32(&bytes, (uint32_t) options->width);
		put32(&bytes, (uint32_t) options->height);
	}
	put16(&bytes, 1);
	put16(&bytes, (unsigned) options->bits);
	if (!core)
	{
		put32(&bytes, (uint32_t) options->compression);
		for (int i = 0; i < 3; i++)
			put32(&bytes, 0);
		put32(&bytes, (uint32_t) options->colors);
		put32(&bytes, 0);
		for (int i = 0; i < (options->header_size > 40 ? 4 : masked ? 3 : 0); i++)
			put32(&bytes, options->mask[i]);
		while (bytes.length < 14 + (size_t) options->header_size)
			put8(&bytes, 0);
	}
	for (int i = 0; i < options->colors; i++)
	{
		put8(&bytes, 100 + (unsigned) i);
		put8(&bytes, 2 * (unsigned) i);
		put8(&bytes, (unsigned) i);
		if (!core)
			put8(&bytes, 0);
	}
	return bytes;
}

static bool
bmp_color_is(int x, int y, int index)
{
	return pixel_is(x, y, index, 2 * index, 100 + index, 0);
}

static ImageStatus
bmp_decode(const Bytes *bytes, const BmpOptions *options)
{
	return decode(image_decode_bmp, bytes, bytes->length, (uint32_t) options->width,
				  (uint32_t) abs(options->height));
}

static void
test_bmp_plain(void)
{
	BmpOptions	options = {40, 5, 3, 24, 0, 0, {0}, 0};
	Bytes		bytes;

	for (int top_down = 0; top_down < 2; top_down++)
	{
		options.height = top_down ? -3 : 3;
		bytes = bmp_begin(&options);
		for (int i = 0; i < 3; i++)
		{
			for (int x = 0; x < 5; x++)
				for (int c = 2; c >= 0; c--)
					put8(&bytes, pattern(x, top_down ? i : 2 - i, c));
			put8(&bytes, 0);
		}
		CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
		CHECK(all_pattern(5, 3, 3));
		check_cuts(image_decode_bmp, &bytes, 5, 3, bytes.length - 1);
		bytes_free(&bytes);
	}

	/* 1, 4 and 8 bits; a core header, a wrong offset, an index too large. */
	options = (BmpOptions) {12, 10, 1, 1, 0, 2, {0}, 0};
	bytes = bmp_begin(&options);
	put(&bytes, "\x40\x80\0\0", 4);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(bmp_color_is(0, 0, 0) && bmp_color_is(1, 0, 1) && bmp_color_is(8, 0, 1) &&
		  bmp_color_is(9, 0, 0));
	bytes_free(&bytes);
	options = (BmpOptions) {40, 3, 1, 4, 0, 9, {0}, 1000000};
	bytes = bmp_begin(&options);
	put(&bytes, "\x81\xf0\0\0", 4);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(bmp_color_is(0, 0, 8) && bmp_color_is(1, 0, 1) && pixel_is(2, 0, 0, 0, 0, 0));
	bytes_free(&bytes);
	options = (BmpOptions) {40, 3, 1, 8, 0, 200, {0}, -814};
	bytes = bmp_begin(&options);
	put(&bytes, "\x03\xc7\xc8\0", 4);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(bmp_color_is(0, 0, 3) && pixel_is(1, 0, 199, 142, 43, 0) && pixel_is(2, 0, 0, 0, 0, 0));
	bytes_free(&bytes);

	/* Sizes from the far side of sense. */
	options = (BmpOptions) {40, -3, 1, 8, 0, 2, {0}, 0};
	bytes = bmp_begin(&options);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_DAMAGED);
	bytes_free(&bytes);
	options = (BmpOptions) {40, INT32_MAX, INT32_MIN, 64, 0, 0, {0}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0);
	CHECK(decode(image_decode_bmp, &bytes, bytes.length, 1, 1) == IMAGE_DAMAGED);
	bytes_free(&bytes);
	options = (BmpOptions) {40, 1, 1, 0, 4, 0, {0}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_UNSUPPORTED);
	bytes_free(&bytes);
}

static void
test_bmp_masks(void)
{
	BmpOptions	options = {40, 2, 1, 16, 0, 0, {0}, 0};
	Bytes		bytes;

	bytes = bmp_begin(&options);
	put16(&bytes, 31 << 10 | 1 << 5 | 16);
	put16(&bytes, 0x8000);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sink.raster.planes == 3 && pixel_is(0, 0, 255, 8, 132, 0) && pixel_is(1, 0, 0, 0, 0, 0));
	bytes_free(&bytes);

	options = (BmpOptions) {40, 2, 1, 16, 3, 0, {0xF800, 0x07E0, 0x001F, 0}, 0};
	bytes = bmp_begin(&options);
	put16(&bytes, 0xFFFF);
	put16(&bytes, 32 << 5);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(pixel_is(0, 0, 255, 255, 255, 0) && pixel_is(1, 0, 0, 130, 0, 0));
	bytes_free(&bytes);

	/* 10 bits a channel and 2 of alpha; a channel of no bits at all. */
	options = (BmpOptions) {124, 2, 1, 32, 3, 0,
	{0x3FF00000, 0x000FFC00, 0x000003FF, 0xC0000000}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0x7FF00000 | 512 << 10);
	put32(&bytes, 0);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sink.raster.planes == 4 && pixel_is(0, 0, 255, 128, 0, 85) && pixel_is(1, 0, 0, 0, 0, 0));
	check_cuts(image_decode_bmp, &bytes, 2, 1, SIZE_MAX);
	bytes_free(&bytes);
	options = (BmpOptions) {56, 2, 1, 32, 3, 0, {0xFFFF0000, 0x0000FFFF, 0, 0}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0xFFFF8000);
	put32(&bytes, 0x0000FFFF);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(pixel_is(0, 0, 255, 128, 0, 0) && pixel_is(1, 0, 0, 255, 0, 0));
	bytes_free(&bytes);

	/* Alpha that was never written is none; nor is there any without mask. */
	options = (BmpOptions) {56, 1, 1, 32, 3, 0, {0xFF0000, 0xFF00, 0xFF, 0xFF000000}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0x00102030);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sink.raster.planes == 3 && pixel_is(0, 0, 0x10, 0x20, 0x30, 0));
	bytes_free(&bytes);
	options = (BmpOptions) {40, 1, 1, 32, 0, 0, {0}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0x55102030);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sink.raster.planes == 3 && pixel_is(0, 0, 0x10, 0x20, 0x30, 0));
	bytes_free(&bytes);
	options = (BmpOptions) {56, 1, 1, 32, 3, 0, {0xFF00FF, 0xFF00, 0, 0}, 0};
	bytes = bmp_begin(&options);
	put32(&bytes, 0);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_UNSUPPORTED);
	bytes_free(&bytes);
}

static void
test_bmp_runs(void)
{
	BmpOptions	options = {40, 6, 3, 8, 1, 7, {0}, 0};
	Bytes		bytes;

	/* A run too long; a jump; pixels as they are; the end. */
	bytes = bmp_begin(&options);
	put(&bytes, "\x09\x03\0\0\0\2\2\1\0\3\4\5\6\0\0\1", 16);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(bmp_color_is(0, 2, 3) && bmp_color_is(5, 2, 3) && bmp_color_is(0, 1, 0));
	CHECK(bmp_color_is(1, 0, 0) && bmp_color_is(2, 0, 4) && bmp_color_is(4, 0, 6) &&
		  bmp_color_is(5, 0, 0));
	check_cuts(image_decode_bmp, &bytes, 6, 3, SIZE_MAX);
	bytes_free(&bytes);

	options.bits = 4;
	options.compression = 2;
	bytes = bmp_begin(&options);
	put(&bytes, "\5\x12\0\0\0\5\x65\x43\x20\0\0\0\6\x30", 14);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(bmp_color_is(0, 2, 1) && bmp_color_is(1, 2, 2) && bmp_color_is(4, 2, 1) &&
		  bmp_color_is(5, 2, 0));
	CHECK(bmp_color_is(0, 1, 6) && bmp_color_is(3, 1, 3) && bmp_color_is(4, 1, 2));
	CHECK(bmp_color_is(0, 0, 3) && bmp_color_is(1, 0, 0));
	bytes_free(&bytes);

	options = (BmpOptions) {64, 3, 1, 24, 4, 0, {0}, 0};
	bytes = bmp_begin(&options);
	put(&bytes, "\2\1\2\3\1\4\5\6\0\1", 10);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OK);
	CHECK(pixel_is(1, 0, 3, 2, 1, 0) && pixel_is(2, 0, 6, 5, 4, 0));
	bytes_free(&bytes);

	/* Two bytes that claim a large picture. */
	options = (BmpOptions) {40, 30000, 30000, 8, 1, 2, {0}, 0};
	bytes = bmp_begin(&options);
	put16(&bytes, 0x0100);
	CHECK(bmp_decode(&bytes, &options) == IMAGE_OVER_LIMIT);
	bytes_free(&bytes);
}

int
main(void)
{
	test_png();
	test_bmp_plain();
	test_bmp_masks();
	test_bmp_runs();
	image_sink_free(&sink);
	return check_report();
}
