/*-------------------------------------------------------------------------
 *
 * test_tiff.c
 *	  The decoder of TIFF: small pictures made here, and every pixel of them.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include <tiffio.h>

#include "decode_test.h"

static tmsize_t
tiff_read(thandle_t handle, void *out, tmsize_t size)
{
	Bytes	   *bytes = handle;

	if (bytes->offset > bytes->length || (size_t) size > bytes->length - bytes->offset)
		return 0;
	memcpy(out, bytes->data + bytes->offset, (size_t) size);
	bytes->offset += (size_t) size;
	return size;
}

static tmsize_t
tiff_write(thandle_t handle, void *data, tmsize_t size)
{
	put(handle, data, (size_t) size);
	return size;
}

static toff_t
tiff_seek(thandle_t handle, toff_t offset, int whence)
{
	Bytes	   *bytes = handle;

	bytes->offset = (size_t) offset + (whence == SEEK_CUR ? bytes->offset :
									   whence == SEEK_END ? bytes->length : 0);
	return bytes->offset;
}

static int
tiff_close(thandle_t handle)
{
	(void) handle;
	return 0;
}

static toff_t
tiff_size(thandle_t handle)
{
	return ((Bytes *) handle)->length;
}

typedef struct TiffOptions
{
	int			width;
	int			height;
	int			photometric;
	int			samples;
	int			bits;
	int			compression;
	int			planar;
	int			tile;			/* side, or 0 for strips of two rows */
	int			extra;			/* kind of the extra sample, -1: none */
	int			format;
} TiffOptions;

/* stored holds rows (of tiles: a tile after the other) as libtiff takes them. */
static Bytes
make_tiff(const TiffOptions *options, const void *stored, size_t row_size)
{
	Bytes		bytes = {0};
	TIFF	   *tif = TIFFClientOpen("test", "w", &bytes, tiff_read, tiff_write, tiff_seek,
									 tiff_close, tiff_size, NULL, NULL);
	uint8_t    *copy = malloc(65536);
	uint16_t	extra = (uint16_t) options->extra;
	uint16_t	map[3][256];

	TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, options->width);
	TIFFSetField(tif, TIFFTAG_IMAGELENGTH, options->height);
	TIFFSetField(tif, TIFFTAG_SAMPLESPERPIXEL, options->samples);
	TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, options->bits);
	TIFFSetField(tif, TIFFTAG_PHOTOMETRIC, options->photometric);
	TIFFSetField(tif, TIFFTAG_PLANARCONFIG, options->planar);
	TIFFSetField(tif, TIFFTAG_COMPRESSION, options->compression);
	TIFFSetField(tif, TIFFTAG_SAMPLEFORMAT, options->format);
	TIFFSetField(tif, TIFFTAG_ORIENTATION, ORIENTATION_BOTRIGHT);
	TIFFSetField(tif, TIFFTAG_ICCPROFILE, 4, "test");
	if (options->photometric == PHOTOMETRIC_YCBCR)
		TIFFSetField(tif, TIFFTAG_YCBCRSUBSAMPLING, 1, 1);
	if (options->extra >= 0)
		TIFFSetField(tif, TIFFTAG_EXTRASAMPLES, 1, &extra);
	for (int i = 0; i < 256; i++)
		for (int c = 0; c < 3; c++)
			map[c][i] = (uint16_t) (pattern(i, 0, c) * 257);
	if (options->photometric == PHOTOMETRIC_PALETTE)
		TIFFSetField(tif, TIFFTAG_COLORMAP, map[0], map[1], map[2]);

	if (options->tile > 0)
	{
		size_t		size = row_size * (size_t) options->tile;

		TIFFSetField(tif, TIFFTAG_TILEWIDTH, options->tile);
		TIFFSetField(tif, TIFFTAG_TILELENGTH, options->tile);
		for (uint32_t i = 0; i < TIFFNumberOfTiles(tif); i++)
		{
			memcpy(copy, (const uint8_t *) stored + i * size, size);
			TIFFWriteEncodedTile(tif, i, copy, (tmsize_t) size);
		}
	}
	else
	{
		TIFFSetField(tif, TIFFTAG_ROWSPERSTRIP, 2);
		for (int s = 0; s < (options->planar == PLANARCONFIG_SEPARATE ? options->samples : 1); s++)
			for (int y = 0; y < options->height; y++, stored = (const uint8_t *) stored + row_size)
			{
				memcpy(copy, stored, row_size);
				TIFFWriteScanline(tif, copy, (uint32_t) y, (uint16_t) s);
			}
	}
	TIFFClose(tif);
	free(copy);
	return bytes;
}

static ImageStatus
tiff_decode(const Bytes *bytes, const TiffOptions *options)
{
	return decode(image_decode_tiff, bytes, bytes->length, (uint32_t) options->width,
				  (uint32_t) options->height);
}

static void
test_tiff(void)
{
	enum
	{
		W = 21, H = 7
	};
	TiffOptions options = {W, H, PHOTOMETRIC_RGB, 3, 8, COMPRESSION_LZW,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_UINT};
	uint8_t		rgb[H][W][3];
	uint8_t		planes[3][H][W];
	uint8_t		cmyk[H][W][4];
	uint8_t		tiles[4][16][16][4];
	Bytes		bytes;

	memset(tiles, 0, sizeof(tiles));
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			for (int c = 0; c < 4; c++)
			{
				cmyk[y][x][c] = pattern(x, y, c);
				tiles[x / 16][y][x % 16][c] = pattern(x, y, c);
				if (c < 3)
					rgb[y][x][c] = planes[c][y][x] = pattern(x, y, c);
			}

	/* The orientation tag turns nothing here. */
	bytes = make_tiff(&options, rgb, sizeof(rgb[0]));
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(all_pattern(W, H, 3) && !sink.upright && sink.icc_length == 4);
	check_cuts(image_decode_tiff, &bytes, W, H, SIZE_MAX);
	memset(bytes.data + 60, 0x55, 40);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_DAMAGED);
	bytes_free(&bytes);

	options.planar = PLANARCONFIG_SEPARATE;
	bytes = make_tiff(&options, planes, W);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(all_pattern(W, H, 3));
	bytes_free(&bytes);

	options = (TiffOptions) {W, H, PHOTOMETRIC_SEPARATED, 4, 8, COMPRESSION_ADOBE_DEFLATE,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_UINT};
	bytes = make_tiff(&options, cmyk, sizeof(cmyk[0]));
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(all_pattern(W, H, 4) && sink.raster.color == RASTER_CMYK);
	bytes_free(&bytes);

	/* Tiles; straight alpha, then the same taken for premultiplied. */
	options = (TiffOptions) {W, H, PHOTOMETRIC_RGB, 4, 8, COMPRESSION_NONE,
		PLANARCONFIG_CONTIG, 16, EXTRASAMPLE_UNASSALPHA, SAMPLEFORMAT_UINT};
	bytes = make_tiff(&options, tiles, 16 * 4);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(all_pattern(W, H, 4) && sink.raster.alpha);
	bytes_free(&bytes);
	options.extra = EXTRASAMPLE_ASSOCALPHA;
	memcpy(tiles[0][0], "\x40\x20\x80\x80\x10\x10\x10\x00", 8);
	bytes = make_tiff(&options, tiles, 16 * 4);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(pixel_is(0, 0, 128, 64, 255, 128) && pixel_is(1, 0, 0, 0, 0, 0));
	bytes_free(&bytes);
	options.extra = EXTRASAMPLE_UNSPECIFIED;
	bytes = make_tiff(&options, tiles, 16 * 4);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sink.raster.planes == 3 && pixel_is(0, 0, 64, 32, 128, 0));
	bytes_free(&bytes);
}

static void
test_tiff_depths(void)
{
	static const uint16_t gray16[4] = {0, 129, 32768, 65535};
	static const float numbers[2] = {0.5, 1};
	TiffOptions options = {4, 1, PHOTOMETRIC_MINISBLACK, 1, 16, COMPRESSION_NONE,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_UINT};
	Bytes		bytes;

	bytes = make_tiff(&options, gray16, 8);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sink.raster.planes == 1 && sample(0, 0, 0) == 0 && sample(0, 1, 0) == 1 &&
		  sample(0, 2, 0) == 128 && sample(0, 3, 0) == 255);
	/* The last four bytes would say where the next page is. */
	check_cuts(image_decode_tiff, &bytes, 4, 1, bytes.length - 4);
	bytes_free(&bytes);

	options.bits = 12;
	bytes = make_tiff(&options, "\xff\xf8\x00\x00\x0f\xff", 6);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sample(0, 0, 0) == 255 && sample(0, 1, 0) == 128 && sample(0, 2, 0) == 0 &&
		  sample(0, 3, 0) == 255);
	bytes_free(&bytes);

	options.bits = 1;
	options.width = 10;
	options.photometric = PHOTOMETRIC_MINISWHITE;
	options.compression = COMPRESSION_CCITTFAX4;
	bytes = make_tiff(&options, "\x81\x40", 2);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(sample(0, 0, 0) == 0 && sample(0, 1, 0) == 255 && sample(0, 7, 0) == 0 &&
		  sample(0, 8, 0) == 255 && sample(0, 9, 0) == 0);
	bytes_free(&bytes);

	options = (TiffOptions) {3, 1, PHOTOMETRIC_PALETTE, 1, 4, COMPRESSION_NONE,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_UINT};
	bytes = make_tiff(&options, "\x5f\x20", 2);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(pixel_is(0, 0, pattern(5, 0, 0), pattern(5, 0, 1), pattern(5, 0, 2), 0) &&
		  pixel_is(1, 0, pattern(15, 0, 0), pattern(15, 0, 1), pattern(15, 0, 2), 0));
	bytes_free(&bytes);

	/* Lab: gray stays gray, and red is red. */
	options = (TiffOptions) {4, 1, PHOTOMETRIC_CIELAB, 3, 8, COMPRESSION_NONE,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_UINT};
	bytes = make_tiff(&options, "\0\0\0\x80\0\0\xff\0\0\x8a\x51\x46", 12);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
	CHECK(pixel_is(0, 0, 0, 0, 0, 0) && pixel_is(1, 0, 119, 119, 119, 0) &&
		  pixel_is(2, 0, 255, 255, 255, 0) && sink.icc_length == 0);
	CHECK(sample(0, 3, 0) > 250 && sample(1, 3, 0) < 12 && sample(2, 3, 0) < 12);
	bytes_free(&bytes);

	options = (TiffOptions) {2, 1, PHOTOMETRIC_MINISBLACK, 1, 32, COMPRESSION_NONE,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_IEEEFP};
	bytes = make_tiff(&options, numbers, 8);
	CHECK(tiff_decode(&bytes, &options) == IMAGE_UNSUPPORTED);
	bytes_free(&bytes);
}

/*
 * Colours that libtiff converts: gray as YCbCr, in bands that must come in
 * their stored order although the tag says bottom right.
 */
static void
test_tiff_ycbcr(void)
{
	TiffOptions options = {20, 18, PHOTOMETRIC_YCBCR, 3, 8, COMPRESSION_ADOBE_DEFLATE,
		PLANARCONFIG_CONTIG, 0, -1, SAMPLEFORMAT_UINT};
	uint8_t		rows[18][20][3];
	uint8_t		tiles[4][16][16][3];

	memset(rows, 128, sizeof(rows));
	memset(tiles, 128, sizeof(tiles));
	for (int y = 0; y < 18; y++)
		for (int x = 0; x < 20; x++)
			rows[y][x][0] = tiles[y / 16 * 2 + x / 16][y % 16][x % 16][0] = pattern(x, y, 0);

	for (options.tile = 0; options.tile <= 16; options.tile += 16)
	{
		Bytes		bytes = options.tile == 0 ? make_tiff(&options, rows, sizeof(rows[0])) :
			make_tiff(&options, tiles, 16 * 3);
		bool		right = true;

		CHECK(tiff_decode(&bytes, &options) == IMAGE_OK);
		CHECK(sink.raster.planes == 3 && image_sink_complete(&sink));
		for (int y = 0; y < 18; y++)
			for (int x = 0; x < 20; x++)
				right = right && pixel_is(x, y, pattern(x, y, 0), pattern(x, y, 0),
										  pattern(x, y, 0), 0);
		CHECK(right);
		check_cuts(image_decode_tiff, &bytes, 20, 18, SIZE_MAX);
		bytes_free(&bytes);
	}
}

/* A header that claims tiles of a billion pixels for a small picture. */
static void
test_tiff_claims(void)
{
	static const struct
	{
		uint16_t	tag;
		uint16_t	type;
		uint32_t	count;
		uint32_t	value;
	}			entries[] =
	{
		{TIFFTAG_IMAGEWIDTH, 4, 1, 8}, {TIFFTAG_IMAGELENGTH, 4, 1, 8},
		{TIFFTAG_BITSPERSAMPLE, 3, 1, 8}, {TIFFTAG_COMPRESSION, 3, 1, COMPRESSION_LZW},
		{TIFFTAG_PHOTOMETRIC, 3, 1, PHOTOMETRIC_MINISBLACK},
		{TIFFTAG_SAMPLESPERPIXEL, 3, 1, 1},
		{TIFFTAG_TILEWIDTH, 4, 1, 1 << 16}, {TIFFTAG_TILELENGTH, 4, 1, 1 << 14},
		{TIFFTAG_TILEOFFSETS, 4, 1, 8}, {TIFFTAG_TILEBYTECOUNTS, 4, 1, 8}
	};
	size_t		count = sizeof(entries) / sizeof(entries[0]);
	Bytes		bytes = {0};

	put(&bytes, "II*\0", 4);
	put32(&bytes, 8);
	put16(&bytes, (unsigned) count);
	for (size_t i = 0; i < count; i++)
	{
		put16(&bytes, entries[i].tag);
		put16(&bytes, entries[i].type);
		put32(&bytes, entries[i].count);
		put32(&bytes, entries[i].value);
	}
	put32(&bytes, 0);
	CHECK(decode(image_decode_tiff, &bytes, bytes.length, 8, 8) == IMAGE_UNSUPPORTED);
	bytes_free(&bytes);
}

int
main(void)
{
	test_tiff();
	test_tiff_depths();
	test_tiff_ycbcr();
	test_tiff_claims();
	image_sink_free(&sink);
	return check_report();
}
