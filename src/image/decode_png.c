/*-------------------------------------------------------------------------
 *
 * decode_png.c
 *	  PNG to rows, by libpng.
 *
 * libpng reports errors by longjmp.  The three functions that call setjmp
 * here keep everything they change in the PngReader on the heap, so no local
 * variable is read after a jump, and they own nothing themselves: what was
 * taken is given back by image_decode_png alone.
 *
 * Of the chunks that a picture can do without only those that change what it
 * looks like are read; text, EXIF and the rest are skipped unseen, so there
 * is nothing to inflate in them.  An animated PNG is its default image.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "decode.h"

/* Enough for any ICC profile in use; a larger one is ignored by libpng. */
#define PNG_LARGEST_CHUNK (4 * 1024 * 1024)

/* What screens of an sRGB world do, and how far a file may be from it. */
#define PNG_SCREEN_GAMMA 2.2
#define PNG_GAMMA_TOLERANCE 0.05

typedef struct PngReader
{
	const uint8_t *data;
	size_t		length;
	size_t		offset;			/* of the next byte libpng gets */
	const struct ImageFacts *facts;
	ImageSink  *sink;
	ImageError *error;
	ImageStatus status;			/* of the sink, when it refused */
	png_structp png;
	png_infop	info;
	bool		out_of_memory;
	char		message[120];	/* libpng's, of the error that ended it */
	uint32_t	width;
	uint32_t	height;
	SinkLayout	layout;
	int			passes;			/* 7 when interlaced, else 1 */
	int			pass;
	uint32_t	row;
	size_t		row_size;
	uint8_t    *rows;			/* one row, or all when interlaced */
} PngReader;

static void
png_reader_error(png_structp png, png_const_charp message)
{
	PngReader  *reader = png_get_error_ptr(png);

	snprintf(reader->message, sizeof(reader->message), "%s", message);
	png_longjmp(png, 1);
}

/* Warnings concern chunks that are then ignored. */
static void
png_reader_warning(png_structp png, png_const_charp message)
{
	(void) png;
	(void) message;
}

static png_voidp
png_reader_malloc(png_structp png, png_alloc_size_t size)
{
	PngReader  *reader = png_get_mem_ptr(png);
	void	   *memory = malloc(size);

	if (memory == NULL)
		reader->out_of_memory = true;
	return memory;
}

static void
png_reader_free(png_structp png, png_voidp memory)
{
	(void) png;
	free(memory);
}

static void
png_reader_read(png_structp png, png_bytep out, size_t count)
{
	PngReader  *reader = png_get_io_ptr(png);

	if (count > reader->length - reader->offset)
		png_error(png, "the data end early");
	memcpy(out, reader->data + reader->offset, count);
	reader->offset += count;
}

/* Chunks of no consequence for the pixels are to be skipped unread. */
static void
png_reader_skip_unused_chunks(PngReader *reader)
{
	static const png_byte used[] = "gAMA\0sRGB\0iCCP\0cHRM";

	png_set_keep_unknown_chunks(reader->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
	png_set_keep_unknown_chunks(reader->png, PNG_HANDLE_CHUNK_AS_DEFAULT, used, 4);
}

/*
 * A file's own gamma counts only when nothing better tells its colours, and
 * only when it differs visibly from what everybody assumes.
 */
static void
png_reader_apply_gamma(PngReader *reader)
{
	double		gamma;

	if (png_get_valid(reader->png, reader->info, PNG_INFO_sRGB) != 0 ||
		png_get_valid(reader->png, reader->info, PNG_INFO_iCCP) != 0)
		return;
	if (png_get_gAMA(reader->png, reader->info, &gamma) == 0)
		return;
	if (fabs(gamma * PNG_SCREEN_GAMMA - 1.0) > PNG_GAMMA_TOLERANCE)
		png_set_gamma(reader->png, PNG_SCREEN_GAMMA, gamma);
}

/* Hands the ICC profile over; false when the sink refused. */
static bool
png_reader_take_profile(PngReader *reader)
{
	png_charp	name;
	png_bytep	profile;
	png_uint_32 length;
	int			compression;

	if (png_get_iCCP(reader->png, reader->info, &name, &compression,
					 &profile, &length) == 0)
		return true;
	reader->status = image_sink_icc(reader->sink, profile, length, reader->error);
	return reader->status == IMAGE_OK;
}

/* Reads the header and settles what rows will look like. */
static bool
png_reader_header(PngReader *reader)
{
	if (setjmp(png_jmpbuf(reader->png)))
		return false;

	png_set_read_fn(reader->png, reader, png_reader_read);
	png_set_user_limits(reader->png, reader->facts->width, reader->facts->height);
	png_set_chunk_malloc_max(reader->png, PNG_LARGEST_CHUNK);
	png_set_chunk_cache_max(reader->png, 16);
	png_set_crc_action(reader->png, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
	png_set_benign_errors(reader->png, 1);
#ifdef PNG_MAXIMUM_INFLATE_WINDOW
	/* Some optimizers wrote a window too small for their own data. */
	png_set_option(reader->png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
#endif
	png_reader_skip_unused_chunks(reader);

	png_read_info(reader->png, reader->info);
	reader->width = png_get_image_width(reader->png, reader->info);
	reader->height = png_get_image_height(reader->png, reader->info);

	/* Palettes to RGB, depths below 8 to 8, tRNS to alpha; 16 to 8. */
	png_set_expand(reader->png);
	png_set_scale_16(reader->png);
	png_reader_apply_gamma(reader);
	reader->passes = png_set_interlace_handling(reader->png);
	png_read_update_info(reader->png, reader->info);
	reader->row_size = png_get_rowbytes(reader->png, reader->info);

	return png_reader_take_profile(reader);
}

/* Pushes every row of a picture that comes top to bottom. */
static bool
png_reader_rows(PngReader *reader)
{
	if (setjmp(png_jmpbuf(reader->png)))
		return false;

	for (reader->row = 0; reader->row < reader->height; reader->row++)
	{
		png_read_row(reader->png, reader->rows, NULL);
		reader->status = image_sink_row(reader->sink, reader->rows, reader->error);
		if (reader->status != IMAGE_OK)
			return false;
	}
	png_read_end(reader->png, NULL);
	return true;
}

/* Fills all rows of an interlaced picture, pass by pass. */
static bool
png_reader_passes(PngReader *reader)
{
	if (setjmp(png_jmpbuf(reader->png)))
		return false;

	for (reader->pass = 0; reader->pass < reader->passes; reader->pass++)
		for (reader->row = 0; reader->row < reader->height; reader->row++)
			png_read_row(reader->png,
						 reader->rows + reader->row * reader->row_size, NULL);
	png_read_end(reader->png, NULL);
	return true;
}

static ImageStatus
png_reader_push_rows(PngReader *reader)
{
	for (uint32_t y = 0; y < reader->height; y++)
	{
		ImageStatus status = image_sink_row(reader->sink,
											reader->rows + y * reader->row_size,
											reader->error);

		if (status != IMAGE_OK)
			return status;
	}
	return IMAGE_OK;
}

/* Why a function above gave false. */
static ImageStatus
png_reader_failure(const PngReader *reader)
{
	if (reader->status != IMAGE_OK)
		return reader->status;
	if (reader->out_of_memory)
		return image_fail(reader->error, IMAGE_NO_MEMORY,
						  "out of memory while reading a PNG");
	return image_fail(reader->error, IMAGE_DAMAGED, "damaged PNG: %s",
					  reader->message);
}

static ImageStatus
png_reader_decode(PngReader *reader)
{
	ImageStatus status;
	size_t		row_count;
	int			channels;

	reader->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, reader,
										   png_reader_error, png_reader_warning,
										   reader, png_reader_malloc, png_reader_free);
	if (reader->png == NULL)
		return image_fail(reader->error,
						  reader->out_of_memory ? IMAGE_NO_MEMORY : IMAGE_INTERNAL,
						  "could not start libpng");
	reader->info = png_create_info_struct(reader->png);
	if (reader->info == NULL)
		return image_fail(reader->error, IMAGE_NO_MEMORY, "out of memory for libpng");

	if (!png_reader_header(reader))
		return png_reader_failure(reader);

	channels = png_get_channels(reader->png, reader->info);
	if (reader->row_size != (size_t) reader->width * channels)
		return image_fail(reader->error, IMAGE_INTERNAL,
						  "libpng gives rows of an unexpected size");
	switch (channels)
	{
		case 1:
			reader->layout = SINK_GRAY;
			break;
		case 2:
			reader->layout = SINK_GRAY_ALPHA;
			break;
		case 3:
			reader->layout = SINK_RGB;
			break;
		default:
			reader->layout = SINK_RGBA;
			break;
	}
	status = image_sink_begin(reader->sink, reader->width, reader->height,
							  reader->layout, reader->error);
	if (status != IMAGE_OK)
		return status;

	row_count = reader->passes > 1 ? reader->height : 1;
	reader->rows = calloc(row_count, reader->row_size);
	if (reader->rows == NULL)
		return image_fail(reader->error, IMAGE_NO_MEMORY,
						  "out of memory for a PNG of %u x %u pixels",
						  reader->width, reader->height);

	if (reader->passes == 1)
		return png_reader_rows(reader) ? IMAGE_OK : png_reader_failure(reader);
	if (!png_reader_passes(reader))
		return png_reader_failure(reader);
	return png_reader_push_rows(reader);
}

ImageStatus
image_decode_png(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				 ImageSink *sink, ImageError *error)
{
	PngReader  *reader = calloc(1, sizeof(PngReader));
	ImageStatus status;

	if (reader == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for libpng");
	reader->data = data;
	reader->length = length;
	reader->facts = facts;
	reader->sink = sink;
	reader->error = error;

	status = png_reader_decode(reader);

	if (reader->png != NULL)
		png_destroy_read_struct(&reader->png, &reader->info, NULL);
	free(reader->rows);
	free(reader);
	return status;
}
