/*-------------------------------------------------------------------------
 *
 * decode_bmp.c
 *	  BMP to rows, without a library.
 *
 * Windows' and OS/2's headers of every length, 1 to 64 bits a pixel, bit
 * masks, and the run-length kinds.  Rows go straight from the input to the
 * sink, from its end where the picture is stored bottom-up; only run-length
 * data need a canvas, for they may jump about in it.
 *
 * What a header claims about its palette or where the pixels are is often
 * wrong in files that everybody shows; that much is put right here.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "lab.h"

#define BMP_FILE_HEADER_SIZE 14
#define BMP_CORE_HEADER_SIZE 12
#define BMP_INFO_HEADER_SIZE 40
#define BMP_V2_HEADER_SIZE 52	/* with masks */
#define BMP_V3_HEADER_SIZE 56	/* with an alpha mask */
#define BMP_OS2_HEADER_SIZE 64
#define BMP_V4_HEADER_SIZE 108
#define BMP_V5_HEADER_SIZE 124

/* "MBED" as it is stored: the profile is in the file. */
#define BMP_PROFILE_EMBEDDED 0x4D424544

typedef enum BmpCompression
{
	BMP_RGB = 0,
	BMP_RLE8 = 1,
	BMP_RLE4 = 2,
	BMP_BITFIELDS = 3,
	BMP_JPEG = 4,
	BMP_PNG = 5,
	BMP_ALPHABITFIELDS = 6,
	BMP_OTHER,
	/* what OS/2 means by 3 and 4 */
	BMP_HUFFMAN,
	BMP_RLE24
} BmpCompression;

/* A channel wider than this is read to this many bits. */
#define BMP_CHANNEL_BITS 12

/* Where one channel is within a pixel, and what its values mean. */
typedef struct BmpChannel
{
	uint32_t	mask;
	int			shift;
	uint8_t		table[1 << BMP_CHANNEL_BITS];
} BmpChannel;

/* 64-bit pixels: linear light, 8192 is one. */
#define BMP_LINEAR_ONE 8192

typedef struct BmpReader
{
	const uint8_t *data;
	size_t		length;
	uint32_t	header_size;	/* of the second header */
	uint32_t	width;
	uint32_t	height;
	bool		top_down;
	int			bits;			/* a pixel */
	BmpCompression compression;
	size_t		pixels;			/* offset of the first stored row */
	SinkLayout	layout;
	uint8_t		palette[256][3];
	BmpChannel	channel[4];		/* red, green, blue, alpha */
	uint8_t		linear[BMP_LINEAR_ONE + 1]; /* to sRGB */
	uint8_t    *canvas;			/* run-length: indices, or BGR */
	uint8_t    *row;			/* for the sink */
} BmpReader;

static uint32_t
bmp_get16(const uint8_t *bytes)
{
	return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8;
}

static uint32_t
bmp_get32(const uint8_t *bytes)
{
	return bmp_get16(bytes) | bmp_get16(bytes + 2) << 16;
}

/* A field of the second header; 0 where the header is too short to have it. */
static uint32_t
bmp_header_field(const BmpReader *reader, uint32_t offset)
{
	if (offset + 4 > reader->header_size)
		return 0;
	return bmp_get32(reader->data + BMP_FILE_HEADER_SIZE + offset);
}

static ImageStatus
bmp_read_size(BmpReader *reader, ImageError *error)
{
	const uint8_t *header = reader->data + BMP_FILE_HEADER_SIZE;
	int64_t		width;
	int64_t		height;

	if (reader->header_size == BMP_CORE_HEADER_SIZE)
	{
		width = bmp_get16(header + 4);
		height = bmp_get16(header + 6);
		reader->bits = (int) bmp_get16(header + 10);
	}
	else
	{
		width = (int32_t) bmp_get32(header + 4);
		height = (int32_t) bmp_get32(header + 8);
		reader->bits = (int) bmp_get16(header + 14);
	}
	if (height < 0)
	{
		reader->top_down = true;
		height = -height;
	}
	if (width <= 0 || height == 0)
		return image_fail(error, IMAGE_DAMAGED, "damaged BMP: its size is %lld x %lld",
						  (long long) width, (long long) height);
	reader->width = (uint32_t) width;
	reader->height = (uint32_t) height;
	return IMAGE_OK;
}

/* Tells whether bits and compression go together, and says what does not. */
static ImageStatus
bmp_check_kind(const BmpReader *reader, ImageError *error)
{
	int			bits = reader->bits;
	bool		known;

	switch (reader->compression)
	{
		case BMP_RGB:
			known = bits == 1 || bits == 2 || bits == 4 || bits == 8 ||
				bits == 16 || bits == 24 || bits == 32 || bits == 64;
			break;
		case BMP_RLE8:
			known = bits == 8;
			break;
		case BMP_RLE4:
			known = bits == 4;
			break;
		case BMP_RLE24:
			known = bits == 24;
			break;
		case BMP_BITFIELDS:
		case BMP_ALPHABITFIELDS:
			known = bits == 16 || bits == 32;
			break;
		case BMP_JPEG:
		case BMP_PNG:
			return image_fail(error, IMAGE_UNSUPPORTED,
							  "a BMP with a %s inside is not read",
							  reader->compression == BMP_PNG ? "PNG" : "JPEG");
		case BMP_HUFFMAN:
			return image_fail(error, IMAGE_UNSUPPORTED,
							  "a BMP with Huffman compression is not read");
		default:
			known = false;
			break;
	}
	if (!known)
		return image_fail(error, IMAGE_UNSUPPORTED,
						  "a BMP with %d bits a pixel and compression %u is not read",
						  bits, bmp_header_field(reader, 16));
	return IMAGE_OK;
}

/* Sets a channel up from its mask; false when the mask has holes. */
static bool
bmp_set_channel(BmpChannel *channel, uint32_t mask)
{
	int			bits = 0;
	uint32_t	top;

	channel->mask = mask;
	channel->shift = 0;
	channel->table[0] = 0;
	if (mask == 0)
		return true;
	while (((mask >> channel->shift) & 1) == 0)
		channel->shift++;
	while (channel->shift + bits < 32 && ((mask >> (channel->shift + bits)) & 1) != 0)
		bits++;
	if (((uint64_t) mask >> (channel->shift + bits)) != 0)
		return false;
	if (bits > BMP_CHANNEL_BITS)
	{
		channel->shift += bits - BMP_CHANNEL_BITS;
		bits = BMP_CHANNEL_BITS;
	}
	top = (1u << bits) - 1;
	for (uint32_t i = 0; i <= top; i++)
		channel->table[i] = (uint8_t) ((i * 255 + top / 2) / top);
	return true;
}

/* Reads the masks of 16 and 32 bits; *after is where the headers end. */
static ImageStatus
bmp_read_masks(BmpReader *reader, size_t *after, ImageError *error)
{
	uint32_t	mask[4] = {0, 0, 0, 0};

	if (reader->compression == BMP_RGB)
	{
		mask[0] = reader->bits == 16 ? 0x7C00 : 0xFF0000;
		mask[1] = reader->bits == 16 ? 0x03E0 : 0x00FF00;
		mask[2] = reader->bits == 16 ? 0x001F : 0x0000FF;
	}
	else if (reader->header_size >= BMP_V2_HEADER_SIZE)
	{
		for (uint32_t i = 0; i < 4; i++)
			mask[i] = bmp_header_field(reader, BMP_INFO_HEADER_SIZE + 4 * i);
	}
	else
	{
		size_t		count = reader->compression == BMP_ALPHABITFIELDS ? 4 : 3;

		if (reader->length - *after < 4 * count)
			return image_fail(error, IMAGE_DAMAGED, "damaged BMP: the data end early");
		for (size_t i = 0; i < count; i++)
			mask[i] = bmp_get32(reader->data + *after + 4 * i);
		*after += 4 * count;
	}
	for (int i = 0; i < 4; i++)
	{
		if (!bmp_set_channel(&reader->channel[i], mask[i]))
			return image_fail(error, IMAGE_UNSUPPORTED,
							  "a BMP whose bit masks have holes is not read");
	}
	return IMAGE_OK;
}

/*
 * Finds the pixels and reads the palette, which starts at after.  An offset
 * within the headers or beyond the end is taken for missing; a palette that
 * would run into the pixels ends there (OS/2's headers can't tell how many
 * colours there are).
 */
static void
bmp_read_palette(BmpReader *reader, size_t after)
{
	size_t		entry_size = reader->header_size == BMP_CORE_HEADER_SIZE ? 3 : 4;
	size_t		most = reader->bits <= 8 ? (size_t) 1 << reader->bits : 0;
	size_t		declared = bmp_header_field(reader, 32);
	size_t		offset = bmp_get32(reader->data + 10);
	bool		offset_given = offset >= after && offset < reader->length;
	size_t		room = ((offset_given ? offset : reader->length) - after) / entry_size;
	size_t		count;

	if (declared == 0)
		declared = most;
	count = declared < most ? declared : most;
	if (count > room)
		count = room;
	for (size_t i = 0; i < count; i++)
	{
		const uint8_t *entry = reader->data + after + i * entry_size;

		reader->palette[i][0] = entry[2];
		reader->palette[i][1] = entry[1];
		reader->palette[i][2] = entry[0];
	}

	if (offset_given)
		reader->pixels = offset;
	else
		reader->pixels = after + (declared <= room ? declared : count) * entry_size;
}

static void
bmp_choose_layout(BmpReader *reader)
{
	bool		gray = reader->bits <= 8;

	for (int i = 0; gray && i < 256; i++)
		gray = reader->palette[i][0] == reader->palette[i][1] &&
			reader->palette[i][0] == reader->palette[i][2];
	if (gray)
		reader->layout = SINK_GRAY;
	else if (reader->bits == 64 || reader->channel[3].mask != 0)
		reader->layout = SINK_RGBA;
	else
		reader->layout = SINK_RGB;
}

static ImageStatus
bmp_read_header(BmpReader *reader, ImageError *error)
{
	uint32_t	header_size;
	uint32_t	compression;
	size_t		after;
	bool		os2;
	ImageStatus status;

	if (reader->length < BMP_FILE_HEADER_SIZE + BMP_CORE_HEADER_SIZE)
		return image_fail(error, IMAGE_DAMAGED, "damaged BMP: the data end early");
	header_size = bmp_get32(reader->data + BMP_FILE_HEADER_SIZE);
	if (header_size != BMP_CORE_HEADER_SIZE &&
		!(header_size >= 16 && header_size <= BMP_OS2_HEADER_SIZE) &&
		header_size != BMP_V4_HEADER_SIZE && header_size != BMP_V5_HEADER_SIZE)
		return image_fail(error, IMAGE_UNSUPPORTED,
						  "a BMP with a header of %u bytes is not read", header_size);
	if (header_size > reader->length - BMP_FILE_HEADER_SIZE)
		return image_fail(error, IMAGE_DAMAGED, "damaged BMP: the data end early");
	reader->header_size = header_size;
	after = BMP_FILE_HEADER_SIZE + header_size;

	status = bmp_read_size(reader, error);
	if (status != IMAGE_OK)
		return status;
	os2 = header_size <= BMP_OS2_HEADER_SIZE && header_size != BMP_INFO_HEADER_SIZE &&
		header_size != BMP_V2_HEADER_SIZE && header_size != BMP_V3_HEADER_SIZE;
	compression = bmp_header_field(reader, 16);
	reader->compression = compression < BMP_OTHER ? (BmpCompression) compression : BMP_OTHER;
	if (os2 && reader->compression == BMP_BITFIELDS)
		reader->compression = BMP_HUFFMAN;
	else if (os2 && reader->compression == BMP_JPEG)
		reader->compression = BMP_RLE24;
	status = bmp_check_kind(reader, error);
	if (status != IMAGE_OK)
		return status;

	if (reader->bits == 16 || reader->bits == 32)
	{
		status = bmp_read_masks(reader, &after, error);
		if (status != IMAGE_OK)
			return status;
	}
	bmp_read_palette(reader, after);
	bmp_choose_layout(reader);
	return IMAGE_OK;
}

static ImageStatus
bmp_take_profile(const BmpReader *reader, ImageSink *sink, ImageError *error)
{
	size_t		room = reader->length - BMP_FILE_HEADER_SIZE;
	size_t		offset;
	size_t		size;

	if (reader->header_size != BMP_V5_HEADER_SIZE ||
		bmp_header_field(reader, 56) != BMP_PROFILE_EMBEDDED)
		return IMAGE_OK;
	offset = bmp_header_field(reader, 112);
	size = bmp_header_field(reader, 116);
	if (offset > room || size > room - offset)
		return IMAGE_OK;
	return image_sink_icc(sink, reader->data + BMP_FILE_HEADER_SIZE + offset, size, error);
}

static uint32_t
bmp_pixel(const BmpReader *reader, const uint8_t *stored, uint32_t x)
{
	return reader->bits == 16 ? bmp_get16(stored + 2 * (size_t) x)
		: bmp_get32(stored + 4 * (size_t) x);
}

/* Turns a stored row of indices, of 1 to 8 bits, into colours. */
static void
bmp_convert_indices(BmpReader *reader, const uint8_t *stored, int bits)
{
	uint32_t	per_byte = 8 / (uint32_t) bits;
	uint32_t	mask = (1u << bits) - 1;
	uint8_t    *out = reader->row;

	for (uint32_t x = 0; x < reader->width; x++)
	{
		uint32_t	shift = 8 - (uint32_t) bits * (x % per_byte + 1);
		const uint8_t *color = reader->palette[(stored[x / per_byte] >> shift) & mask];

		*out++ = color[0];
		if (reader->layout == SINK_GRAY)
			continue;
		*out++ = color[1];
		*out++ = color[2];
	}
}

/* The same for 24 bits: blue, green, red. */
static void
bmp_convert_bgr(BmpReader *reader, const uint8_t *stored)
{
	uint8_t    *out = reader->row;

	for (uint32_t x = 0; x < reader->width; x++, stored += 3, out += 3)
	{
		out[0] = stored[2];
		out[1] = stored[1];
		out[2] = stored[0];
	}
}

/* The same for 16 and 32 bits by their masks. */
static void
bmp_convert_masked(BmpReader *reader, const uint8_t *stored)
{
	int			channels = reader->layout == SINK_RGBA ? 4 : 3;
	uint8_t    *out = reader->row;

	for (uint32_t x = 0; x < reader->width; x++)
	{
		uint32_t	pixel = bmp_pixel(reader, stored, x);

		for (int i = 0; i < channels; i++)
		{
			const BmpChannel *channel = &reader->channel[i];

			*out++ = channel->table[(pixel & channel->mask) >> channel->shift];
		}
	}
}

/* The same for 64 bits: signed 2.13 fixed-point numbers, blue first. */
static void
bmp_convert_linear(BmpReader *reader, const uint8_t *stored)
{
	uint8_t    *out = reader->row;

	for (uint32_t x = 0; x < reader->width; x++, stored += 8, out += 4)
	{
		for (int i = 0; i < 4; i++)
		{
			int			value = (int16_t) bmp_get16(stored + 2 * i);

			if (value < 0)
				value = 0;
			if (value > BMP_LINEAR_ONE)
				value = BMP_LINEAR_ONE;
			if (i == 3)
				out[3] = (uint8_t) ((value * 255 + BMP_LINEAR_ONE / 2) / BMP_LINEAR_ONE);
			else
				out[2 - i] = reader->linear[value];
		}
	}
}

/*
 * A picture without a single visible pixel had its alpha never written, by
 * one of many programs that set the mask and forget the rest.
 */
static void
bmp_drop_empty_alpha(BmpReader *reader, size_t stride)
{
	for (uint32_t y = 0; y < reader->height; y++)
	{
		const uint8_t *stored = reader->data + reader->pixels + y * stride;

		for (uint32_t x = 0; x < reader->width; x++)
			if ((bmp_pixel(reader, stored, x) & reader->channel[3].mask) != 0)
				return;
	}
	reader->layout = SINK_RGB;
}

/* Converts every stored row in its turn and pushes it. */
static ImageStatus
bmp_push_rows(BmpReader *reader, const uint8_t *stored, size_t stride, int bits,
			  ImageSink *sink, ImageError *error)
{
	ImageStatus status;

	reader->row = malloc((size_t) reader->width * 4);
	if (reader->row == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a row of a BMP");

	for (uint32_t y = 0; y < reader->height; y++)
	{
		uint32_t	from = reader->top_down ? y : reader->height - 1 - y;
		const uint8_t *row = stored + from * stride;

		if (bits <= 8)
			bmp_convert_indices(reader, row, bits);
		else if (bits == 24)
			bmp_convert_bgr(reader, row);
		else if (bits == 64)
			bmp_convert_linear(reader, row);
		else
			bmp_convert_masked(reader, row);
		status = image_sink_row(sink, reader->row, error);
		if (status != IMAGE_OK)
			return status;
	}
	return IMAGE_OK;
}

static ImageStatus
bmp_decode_plain(BmpReader *reader, ImageSink *sink, ImageError *error)
{
	uint64_t	row_bits = (uint64_t) reader->width * reader->bits;
	uint64_t	stride = (row_bits + 31) / 32 * 4;
	uint64_t	needed = stride * (reader->height - 1) + (row_bits + 7) / 8;
	ImageStatus status;

	/* The last row may lack the bytes that fill it up. */
	if (reader->pixels > reader->length || needed > reader->length - reader->pixels)
		return image_fail(error, IMAGE_DAMAGED, "damaged BMP: the data end early");
	if (reader->bits == 64)
	{
		for (int i = 0; i <= BMP_LINEAR_ONE; i++)
			reader->linear[i] = srgb_from_linear((double) i / BMP_LINEAR_ONE);
	}
	else if (reader->layout == SINK_RGBA)
		bmp_drop_empty_alpha(reader, (size_t) stride);
	status = image_sink_begin(sink, reader->width, reader->height, reader->layout, error);
	if (status != IMAGE_OK)
		return status;
	return bmp_push_rows(reader, reader->data + reader->pixels, (size_t) stride,
						 reader->bits, sink, error);
}

/*
 * Writes count pixels to the canvas from (x, y) on, as far as they are in the
 * row.  The bytes are those of a run (repeated) or of as many pixels.
 */
static void
bmp_write_run(BmpReader *reader, uint64_t x, uint64_t y, uint32_t count,
			  const uint8_t *bytes, bool repeated)
{
	size_t		pixel_size = reader->compression == BMP_RLE24 ? 3 : 1;
	uint8_t    *out;

	if (x >= reader->width || y >= reader->height)
		return;
	if (count > reader->width - x)
		count = (uint32_t) (reader->width - x);
	out = reader->canvas + (y * reader->width + x) * pixel_size;
	for (uint32_t i = 0; i < count; i++, out += pixel_size)
	{
		uint32_t	from = repeated ? 0 : i;

		if (reader->compression == BMP_RLE24)
			memcpy(out, bytes + 3 * from, 3);
		else if (reader->compression == BMP_RLE8)
			*out = bytes[from];
		else
			*out = (i & 1) ? bytes[from / 2] & 15 : bytes[from / 2] >> 4;
	}
}

/*
 * Fills the canvas, rows in stored order.  True when the data came to an end
 * of their own: the end marker, or the end of the last row.
 */
static bool
bmp_read_runs(BmpReader *reader)
{
	const uint8_t *p = reader->data + reader->pixels;
	const uint8_t *end = reader->data + reader->length;
	size_t		run_size = reader->compression == BMP_RLE24 ? 3 : 1;
	uint64_t	x = 0;
	uint64_t	y = 0;

	while (y < reader->height)
	{
		uint32_t	count;
		size_t		size;

		if (end - p < 2)
			return y == reader->height - 1 && x >= reader->width;
		if (p[0] > 0)
		{
			if ((size_t) (end - p) < 1 + run_size)
				return false;
			bmp_write_run(reader, x, y, p[0], p + 1, true);
			x += p[0];
			p += 1 + run_size;
			continue;
		}
		count = p[1];
		p += 2;
		switch (count)
		{
			case 0:				/* end of row */
				x = 0;
				y++;
				break;
			case 1:				/* end of picture */
				return true;
			case 2:				/* jump */
				if (end - p < 2)
					return false;
				x += p[0];
				y += p[1];
				p += 2;
				break;
			default:			/* pixels as they are, up to an even byte */
				size = reader->compression == BMP_RLE4 ? (count + 1) / 2 : count * run_size;
				if ((size_t) (end - p) < size)
					return false;
				bmp_write_run(reader, x, y, count, p, false);
				x += count;
				p += size;
				if ((size & 1) != 0 && p < end)
					p++;
				break;
		}
	}
	return true;
}

static ImageStatus
bmp_decode_runs(BmpReader *reader, ImageSink *sink, ImageError *error)
{
	size_t		pixel_size = reader->compression == BMP_RLE24 ? 3 : 1;
	ImageStatus status;

	if (reader->pixels > reader->length)
		return image_fail(error, IMAGE_DAMAGED, "damaged BMP: the data end early");

	/* A few bytes can stand for any size, so the limits come first. */
	status = image_sink_begin(sink, reader->width, reader->height, reader->layout, error);
	if (status != IMAGE_OK)
		return status;
	reader->canvas = calloc((size_t) reader->width * reader->height, pixel_size);
	if (reader->canvas == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a BMP of %u x %u pixels",
						  reader->width, reader->height);
	if (!bmp_read_runs(reader))
		return image_fail(error, IMAGE_DAMAGED, "damaged BMP: the data end early");
	return bmp_push_rows(reader, reader->canvas, reader->width * pixel_size,
						 pixel_size == 3 ? 24 : 8, sink, error);
}

ImageStatus
image_decode_bmp(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				 ImageSink *sink, ImageError *error)
{
	BmpReader  *reader = calloc(1, sizeof(BmpReader));
	ImageStatus status;

	if (reader == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a BMP");
	reader->data = data;
	reader->length = length;
	status = bmp_read_header(reader, error);
	if (status == IMAGE_OK && (reader->width != facts->width || reader->height != facts->height))
		status = image_fail(error, IMAGE_DAMAGED, "BMP tells two sizes");
	if (status == IMAGE_OK)
		status = bmp_take_profile(reader, sink, error);
	if (status == IMAGE_OK)
	{
		if (reader->compression == BMP_RLE4 || reader->compression == BMP_RLE8 ||
			reader->compression == BMP_RLE24)
			status = bmp_decode_runs(reader, sink, error);
		else
			status = bmp_decode_plain(reader, sink, error);
	}
	free(reader->canvas);
	free(reader->row);
	free(reader);
	return status;
}
