/*-------------------------------------------------------------------------
 *
 * decode_tiff.c
 *	  TIFF's first page to rows, by libtiff.
 *
 * What is stored as gray, RGB, CMYK, Lab or palette samples of up to 16 bits
 * is read as samples, strip by strip or tile by tile, and made 8-bit here: so
 * straight alpha stays straight, CMYK stays CMYK for its profile, and no more
 * than a band of the picture is in memory.  YCbCr that is not JPEG's goes
 * through libtiff's own conversion to RGB, a band at a time too.
 *
 * Rows are pushed as stored; the orientation tag is among the facts.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "lab.h"
#include "tiff_file.h"

/* More samples a pixel than this are no picture for people. */
#define TIFF_MOST_SAMPLES 16

/* Tiles may stick out of the picture by this many pixels a row of tiles. */
#define TIFF_TILE_EXCESS (16 * 1024 * 1024)

typedef struct TiffReader
{
	TiffFile	file;
	TIFF	   *tif;			/* the file's, for short */
	ImageSink  *sink;
	ImageError *error;
	uint32_t	width;
	uint32_t	height;
	uint16_t	bits;			/* a sample */
	uint16_t	samples;		/* a pixel, as coded */
	uint16_t	photometric;
	bool		separate;		/* a plane for each sample */
	bool		tiled;
	bool		by_library;		/* libtiff makes RGB of it */
	int			colors;			/* samples that are colours */
	uint16_t	alpha;			/* EXTRASAMPLE_..., or 0 without */
	SinkLayout	layout;
	int			channels;		/* of the layout */
	int			taken;			/* samples of a pixel that are looked at */
	uint8_t		palette[256][3];
	LabConverter lab;
	/* a band: rows decoded together, in segments side by side */
	uint32_t	band_rows;
	uint32_t	segments;
	uint32_t	segment_width;	/* pixels */
	size_t		row_size;		/* of a segment */
	size_t		segment_size;
	size_t		plane_size;		/* of all segments */
	uint8_t    *band;
	uint16_t   *values;			/* a row of samples */
	uint8_t    *row;			/* the same for the sink */
} TiffReader;

static ImageStatus
tiff_no_memory(const TiffReader *reader)
{
	return image_fail(reader->error, IMAGE_NO_MEMORY, "out of memory while reading a TIFF");
}

/*
 * Why libtiff gave up.  It has words only; those on a limit concern sizes
 * that nothing about the picture explains.
 */
static ImageStatus
tiff_failure(const TiffReader *reader)
{
	const char *message = reader->file.message;

	if (strstr(message, "limit") == NULL &&
		(strstr(message, "memory") != NULL || strstr(message, "No space") != NULL))
		return tiff_no_memory(reader);
	return image_fail(reader->error, IMAGE_DAMAGED, "damaged TIFF: %s",
					  message[0] != '\0' ? message : "it can't be decoded");
}

static ImageStatus
tiff_read_palette(TiffReader *reader)
{
	uint16_t   *map[3];
	uint32_t	count = 1u << reader->bits;
	bool		wide = false;

	if (!TIFFGetField(reader->tif, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
		return image_fail(reader->error, IMAGE_DAMAGED, "damaged TIFF: its palette is missing");

	/* The entries have 16 bits, but some writers put 8 into them. */
	for (uint32_t i = 0; i < count; i++)
		wide = wide || map[0][i] > 255 || map[1][i] > 255 || map[2][i] > 255;
	for (uint32_t i = 0; i < count; i++)
		for (int c = 0; c < 3; c++)
			reader->palette[i][c] = (uint8_t) (wide ? map[c][i] >> 8 : map[c][i]);
	return IMAGE_OK;
}

/* Alpha, if there is any, is the first sample that is not a colour. */
static uint16_t
tiff_alpha_kind(TIFF *tif)
{
	uint16_t	count = 0;
	uint16_t   *kinds = NULL;

	/* Unspecified ones are seldom alpha: editors store selections there. */
	if (!TIFFGetField(tif, TIFFTAG_EXTRASAMPLES, &count, &kinds) || count == 0)
		return EXTRASAMPLE_UNSPECIFIED;
	if (kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA)
		return kinds[0];
	return EXTRASAMPLE_UNSPECIFIED;
}

/* Settles colours and layout by photometric interpretation. */
static ImageStatus
tiff_choose_colors(TiffReader *reader, uint16_t compression)
{
	uint16_t	inks;

	switch (reader->photometric)
	{
		case PHOTOMETRIC_MINISWHITE:
		case PHOTOMETRIC_MINISBLACK:
			reader->colors = 1;
			reader->layout = SINK_GRAY;
			return IMAGE_OK;
		case PHOTOMETRIC_RGB:
			reader->colors = 3;
			reader->layout = SINK_RGB;
			return IMAGE_OK;
		case PHOTOMETRIC_PALETTE:
			if (reader->bits > 8)
				break;
			reader->colors = 1;
			reader->layout = SINK_RGB;
			return tiff_read_palette(reader);
		case PHOTOMETRIC_SEPARATED:
			TIFFGetFieldDefaulted(reader->tif, TIFFTAG_INKSET, &inks);
			if (inks != INKSET_CMYK)
				break;
			reader->colors = 4;
			reader->layout = SINK_CMYK;
			return IMAGE_OK;
		case PHOTOMETRIC_YCBCR:
			reader->colors = 3;
			reader->layout = SINK_RGB;
			if (compression == COMPRESSION_JPEG && !reader->separate && reader->bits == 8)
				TIFFSetField(reader->tif, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
			else
				reader->by_library = true;
			return IMAGE_OK;
		case PHOTOMETRIC_CIELAB:
		case PHOTOMETRIC_ICCLAB:
			if (reader->bits != 8 && reader->bits != 16)
				break;
			reader->colors = 3;
			reader->layout = SINK_RGB;
			lab_init(&reader->lab);
			return IMAGE_OK;
		default:
			break;
	}
	return image_fail(reader->error, IMAGE_UNSUPPORTED,
					  "a TIFF of photometric kind %u with %u x %u bits a pixel is not read",
					  reader->photometric, reader->samples, reader->bits);
}

/* Reads the tags that say what kind of picture this is. */
static ImageStatus
tiff_read_kind(TiffReader *reader)
{
	static const int channels_of[] = {
		[SINK_GRAY] = 1, [SINK_GRAY_ALPHA] = 2, [SINK_RGB] = 3, [SINK_RGBA] = 4, [SINK_CMYK] = 4
	};
	TIFF	   *tif = reader->tif;
	uint16_t	planar;
	uint16_t	format;
	uint16_t	compression;
	ImageStatus status;

	if (!TIFFGetField(tif, TIFFTAG_IMAGEWIDTH, &reader->width) ||
		!TIFFGetField(tif, TIFFTAG_IMAGELENGTH, &reader->height))
		return image_fail(reader->error, IMAGE_DAMAGED, "damaged TIFF: its size is missing");
	TIFFGetFieldDefaulted(tif, TIFFTAG_BITSPERSAMPLE, &reader->bits);
	TIFFGetFieldDefaulted(tif, TIFFTAG_SAMPLESPERPIXEL, &reader->samples);
	TIFFGetFieldDefaulted(tif, TIFFTAG_PLANARCONFIG, &planar);
	TIFFGetFieldDefaulted(tif, TIFFTAG_SAMPLEFORMAT, &format);
	TIFFGetFieldDefaulted(tif, TIFFTAG_COMPRESSION, &compression);
	if (!TIFFGetField(tif, TIFFTAG_PHOTOMETRIC, &reader->photometric))
	{
		reader->photometric = PHOTOMETRIC_MINISBLACK;
		if (reader->samples >= 3)
			reader->photometric = PHOTOMETRIC_RGB;
		else if (reader->bits == 1)
			reader->photometric = PHOTOMETRIC_MINISWHITE;
	}
	reader->separate = planar == PLANARCONFIG_SEPARATE && reader->samples > 1;
	reader->tiled = TIFFIsTiled(tif) != 0;

	if (!TIFFIsCODECConfigured(compression))
		return image_fail(reader->error, IMAGE_UNSUPPORTED,
						  "a TIFF with compression %u is not read", compression);
	if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID)
		return image_fail(reader->error, IMAGE_UNSUPPORTED,
						  "a TIFF with %s samples is not read",
						  format == SAMPLEFORMAT_IEEEFP ? "floating-point" :
						  format == SAMPLEFORMAT_INT ? "signed" : "complex");
	if (reader->bits < 1 || reader->bits > 16 || reader->samples > TIFF_MOST_SAMPLES)
		return image_fail(reader->error, IMAGE_UNSUPPORTED,
						  "a TIFF with %u samples of %u bits a pixel is not read",
						  reader->samples, reader->bits);
	status = tiff_choose_colors(reader, compression);
	if (status != IMAGE_OK)
		return status;
	if (reader->samples < reader->colors)
		return image_fail(reader->error, IMAGE_DAMAGED,
						  "damaged TIFF: too few samples for its kind of colour");

	if (reader->samples > reader->colors && !reader->by_library &&
		(reader->layout == SINK_GRAY || reader->photometric == PHOTOMETRIC_RGB))
		reader->alpha = tiff_alpha_kind(tif);
	if (reader->alpha != 0)
		reader->layout = reader->layout == SINK_GRAY ? SINK_GRAY_ALPHA : SINK_RGBA;
	reader->channels = channels_of[reader->layout];
	reader->taken = reader->photometric == PHOTOMETRIC_PALETTE ? 1 : reader->channels;
	return IMAGE_OK;
}

/* Settles what is decoded together.  Tiles larger than the picture are odd. */
static ImageStatus
tiff_plan_bands(TiffReader *reader)
{
	TIFF	   *tif = reader->tif;
	uint32_t	rows;
	uint32_t	tile_width = reader->width;

	if (reader->tiled)
	{
		uint64_t	picture = (uint64_t) reader->width * reader->height;
		uint64_t	row_of_tiles;

		if (!TIFFGetField(tif, TIFFTAG_TILEWIDTH, &tile_width) ||
			!TIFFGetField(tif, TIFFTAG_TILELENGTH, &rows) || tile_width == 0 || rows == 0)
			return image_fail(reader->error, IMAGE_DAMAGED,
							  "damaged TIFF: the size of its tiles is missing");
		row_of_tiles = (uint64_t) reader->width + tile_width;
		if (row_of_tiles > (picture * 4 + TIFF_TILE_EXCESS) / rows)
			return image_fail(reader->error, IMAGE_UNSUPPORTED,
							  "a TIFF of %u x %u pixels with tiles of %u x %u is not read",
							  reader->width, reader->height, tile_width, rows);
		reader->row_size = (size_t) TIFFTileRowSize(tif);
	}
	else
	{
		/* Lines can be had singly unless each plane has its own. */
		rows = 1;
		if (reader->separate || reader->by_library)
			TIFFGetFieldDefaulted(tif, TIFFTAG_ROWSPERSTRIP, &rows);
		if (rows > reader->height || rows == 0)
			rows = reader->height;
		reader->row_size = (size_t) TIFFScanlineSize(tif);
	}
	reader->band_rows = rows;
	reader->segment_width = tile_width;
	reader->segments = (uint32_t) (((uint64_t) reader->width + tile_width - 1) / tile_width);
	if (!reader->by_library &&
		reader->row_size < ((uint64_t) tile_width * reader->bits *
							(reader->separate ? 1 : reader->samples) + 7) / 8)
		return reader->file.errors > 0 ? tiff_failure(reader) :
			image_fail(reader->error, IMAGE_DAMAGED, "damaged TIFF: rows of no sensible size");
	reader->segment_size = reader->row_size * rows;
	reader->plane_size = reader->segment_size * reader->segments;
	return IMAGE_OK;
}

/* Decodes the rows from y on into the band. */
static bool
tiff_read_band(TiffReader *reader, uint32_t y)
{
	int			planes = reader->separate ? reader->taken : 1;
	uint32_t	rows = reader->height - y;
	tmsize_t	size;

	if (rows > reader->band_rows)
		rows = reader->band_rows;
	size = (tmsize_t) (rows * reader->row_size);

	if (!reader->tiled && !reader->separate)
		return TIFFReadScanline(reader->tif, reader->band, y, 0) == 1;

	for (int plane = 0; plane < planes; plane++)
	{
		uint8_t    *out = reader->band + plane * reader->plane_size;

		if (!reader->tiled)
		{
			uint32_t	strip = TIFFComputeStrip(reader->tif, y, (uint16_t) plane);

			if (TIFFReadEncodedStrip(reader->tif, strip, out, size) != size)
				return false;
			continue;
		}
		size = (tmsize_t) reader->segment_size;
		for (uint32_t i = 0; i < reader->segments; i++, out += reader->segment_size)
		{
			uint32_t	tile = TIFFComputeTile(reader->tif, i * reader->segment_width, y, 0,
											   (uint16_t) plane);

			if (TIFFReadEncodedTile(reader->tif, tile, out, size) != size)
				return false;
		}
	}
	return true;
}

/*
 * Takes every step'th sample, from first on, out of packed ones.  libtiff
 * gives 16-bit samples in the machine's order, others as a stream of bits.
 */
static void
tiff_unpack(const uint8_t *packed, int bits, size_t first, size_t step, uint32_t count,
			uint16_t *out, int out_step)
{
	for (size_t at = first; count > 0; count--, at += step, out += out_step)
	{
		if (bits == 8)
			*out = packed[at];
		else if (bits == 16)
			memcpy(out, packed + 2 * at, 2);
		else
		{
			const uint8_t *bytes = packed + at * bits / 8;
			uint32_t	window = (uint32_t) bytes[0] << 16 | (uint32_t) bytes[1] << 8 | bytes[2];

			*out = (uint16_t) ((window >> (24 - bits - at * bits % 8)) & ((1u << bits) - 1));
		}
	}
}

static bool
tiff_is_lab(const TiffReader *reader)
{
	return reader->photometric == PHOTOMETRIC_CIELAB ||
		reader->photometric == PHOTOMETRIC_ICCLAB;
}

/*
 * Makes sRGB of a row of Lab.  In CIELAB a and b are signed, and 16 bits are
 * 256 times 8; ICCLAB has them from -128 on, and in 16 bits 0xFF00 for white.
 */
static void
tiff_convert_lab(TiffReader *reader)
{
	const uint16_t *value = reader->values;
	uint8_t    *out = reader->row;
	bool		icc = reader->photometric == PHOTOMETRIC_ICCLAB;
	double		unit = reader->bits == 16 ? 256 : 1;
	double		white = icc ? 255 * unit : (1u << reader->bits) - 1;

	for (uint32_t x = 0; x < reader->width; x++, value += 3, out += 3)
	{
		double		ab[2];

		for (int i = 0; i < 2; i++)
		{
			if (icc)
				ab[i] = value[i + 1] / unit - 128;
			else if (reader->bits == 16)
				ab[i] = (int16_t) value[i + 1] / unit;
			else
				ab[i] = (int8_t) value[i + 1];
		}
		lab_to_srgb(&reader->lab, value[0] * 100 / white, ab[0], ab[1], out);
	}
}

/* Makes 8-bit straight samples of the row's values. */
static void
tiff_convert_row(TiffReader *reader)
{
	const uint16_t *value = reader->values;
	uint8_t    *out = reader->row;
	uint32_t	top = (1u << reader->bits) - 1;

	if (reader->photometric == PHOTOMETRIC_PALETTE)
	{
		for (uint32_t x = 0; x < reader->width; x++, out += 3)
			memcpy(out, reader->palette[value[x]], 3);
		return;
	}
	for (uint32_t x = 0; x < reader->width; x++)
	{
		uint32_t	whole = top;

		if (reader->alpha == EXTRASAMPLE_ASSOCALPHA)
			whole = value[reader->colors];
		for (int c = 0; c < reader->channels; c++)
		{
			uint32_t	full = c < reader->colors ? whole : top;
			uint32_t	level = full == 0 ? 0 : (*value * 255u + full / 2) / full;

			if (level > 255)
				level = 255;
			if (reader->photometric == PHOTOMETRIC_MINISWHITE && c == 0)
				level = 255 - level;
			*out++ = (uint8_t) level;
			value++;
		}
	}
}

/* Gathers row y of the band and pushes it. */
static ImageStatus
tiff_push_row(TiffReader *reader, uint32_t y)
{
	const uint8_t *stored = reader->band + y * reader->row_size;
	size_t		step = reader->separate ? 1 : reader->samples;
	bool		as_is = reader->bits == 8 && reader->samples == reader->channels &&
		!reader->separate && reader->photometric != PHOTOMETRIC_MINISWHITE &&
		reader->photometric != PHOTOMETRIC_PALETTE && !tiff_is_lab(reader) &&
		reader->alpha != EXTRASAMPLE_ASSOCALPHA;

	if (as_is && reader->segments == 1)
		return image_sink_row(reader->sink, stored, reader->error);

	for (uint32_t i = 0; i < reader->segments; i++, stored += reader->segment_size)
	{
		uint32_t	x = i * reader->segment_width;
		uint32_t	count = reader->width - x;

		if (count > reader->segment_width)
			count = reader->segment_width;
		if (as_is)
		{
			memcpy(reader->row + (size_t) x * reader->channels, stored,
				   (size_t) count * reader->channels);
			continue;
		}
		for (int c = 0; c < reader->taken; c++)
			tiff_unpack(stored + (reader->separate ? c * reader->plane_size : 0),
						reader->bits, reader->separate ? 0 : (size_t) c, step, count,
						reader->values + (size_t) x * reader->taken + c, reader->taken);
	}
	if (tiff_is_lab(reader))
		tiff_convert_lab(reader);
	else if (!as_is)
		tiff_convert_row(reader);
	return image_sink_row(reader->sink, reader->row, reader->error);
}

static ImageStatus
tiff_decode_samples(TiffReader *reader)
{
	size_t		planes = reader->separate ? (size_t) reader->taken : 1;
	ImageStatus status;

	/* Unpacking looks two bytes beyond a sample. */
	reader->band = malloc(reader->plane_size * planes + 2);
	reader->values = malloc((size_t) reader->width * 4 * sizeof(uint16_t));
	reader->row = malloc((size_t) reader->width * 4);
	if (reader->band == NULL || reader->values == NULL || reader->row == NULL)
		return tiff_no_memory(reader);
	memset(reader->band + reader->plane_size * planes, 0, 2);

	for (uint32_t y = 0; y < reader->height; y++)
	{
		if (y % reader->band_rows == 0 &&
			(!tiff_read_band(reader, y) || reader->file.errors > 0))
			return tiff_failure(reader);
		status = tiff_push_row(reader, y % reader->band_rows);
		if (status != IMAGE_OK)
			return status;
	}
	return IMAGE_OK;
}

/* What libtiff converts, band by band. */
static ImageStatus
tiff_convert_bands(TiffReader *reader, TIFFRGBAImage *image)
{
	uint32_t   *pixels = (uint32_t *) reader->band;

	/* As stored: asking for what there is makes it turn nothing. */
	image->req_orientation = image->orientation;
	for (uint32_t y = 0; y < reader->height; y += reader->band_rows)
	{
		uint32_t	rows = reader->height - y;

		if (rows > reader->band_rows)
			rows = reader->band_rows;
		image->row_offset = (int) y;
		if (!TIFFRGBAImageGet(image, pixels, reader->width, rows) || reader->file.errors > 0)
			return tiff_failure(reader);
		for (uint32_t i = 0; i < rows; i++)
		{
			const uint32_t *pixel = pixels + (size_t) i * reader->width;
			uint8_t    *out = reader->row;
			ImageStatus status;

			for (uint32_t x = 0; x < reader->width; x++, pixel++)
			{
				*out++ = (uint8_t) TIFFGetR(*pixel);
				*out++ = (uint8_t) TIFFGetG(*pixel);
				*out++ = (uint8_t) TIFFGetB(*pixel);
			}
			status = image_sink_row(reader->sink, reader->row, reader->error);
			if (status != IMAGE_OK)
				return status;
		}
	}
	return IMAGE_OK;
}

static ImageStatus
tiff_decode_by_library(TiffReader *reader)
{
	char		message[1024] = "";
	TIFFRGBAImage image;
	ImageStatus status;

	if (!TIFFRGBAImageOK(reader->tif, message) ||
		!TIFFRGBAImageBegin(&image, reader->tif, 1, message))
		return image_fail(reader->error, IMAGE_UNSUPPORTED, "a TIFF that libtiff can't convert: %s",
						  message);
	reader->band = calloc((size_t) reader->width * reader->band_rows, sizeof(uint32_t));
	reader->row = malloc((size_t) reader->width * 3);
	if (reader->band == NULL || reader->row == NULL)
		status = tiff_no_memory(reader);
	else
		status = tiff_convert_bands(reader, &image);
	TIFFRGBAImageEnd(&image);
	return status;
}

static ImageStatus
tiff_decode(TiffReader *reader, const uint8_t *data, size_t length,
			const struct ImageFacts *facts)
{
	uint32_t	profile_length;
	void	   *profile;
	ImageStatus status;

	reader->tif = tiff_file_open(&reader->file, data, length,
								 (uint64_t) facts->width * facts->height);
	if (reader->tif == NULL)
		return tiff_failure(reader);
	status = tiff_read_kind(reader);
	if (status == IMAGE_OK)
		status = image_sink_begin(reader->sink, reader->width, reader->height,
								  reader->layout, reader->error);

	/* What went wrong with other tags does not concern the pixels. */
	reader->file.errors = 0;
	reader->file.message[0] = '\0';

	if (status == IMAGE_OK)
		status = tiff_plan_bands(reader);
	/* What was Lab is sRGB by then, and its profile says nothing of that. */
	if (status == IMAGE_OK && !tiff_is_lab(reader) &&
		TIFFGetField(reader->tif, TIFFTAG_ICCPROFILE, &profile_length, &profile))
		status = image_sink_icc(reader->sink, profile, profile_length, reader->error);
	if (status != IMAGE_OK)
		return status;
	return reader->by_library ? tiff_decode_by_library(reader) : tiff_decode_samples(reader);
}

ImageStatus
image_decode_tiff(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				  ImageSink *sink, ImageError *error)
{
	TiffReader *reader = calloc(1, sizeof(TiffReader));
	ImageStatus status;

	if (reader == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a TIFF");
	reader->sink = sink;
	reader->error = error;
	status = tiff_decode(reader, data, length, facts);
	tiff_file_close(&reader->file);
	free(reader->band);
	free(reader->values);
	free(reader->row);
	free(reader);
	return status;
}
