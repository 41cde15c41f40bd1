/*-------------------------------------------------------------------------
 *
 * decode_gif.c
 *	  GIF to rows, and GIF animations to frames, by giflib.
 *
 * giflib's record-by-record interface is used, one line of indices at a time,
 * so that memory does not grow with the number of frames.  Frames are clipped
 * to the canvas; what lies outside is decoded only as far as it stands in the
 * way.  Where no frame ever painted, the canvas is transparent, whatever
 * background colour the header names: nobody else honours that either.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "frames.h"

/* Delays too short to be meant, and what is shown instead, milliseconds. */
#define GIF_SHORTEST_DELAY 20
#define GIF_USUAL_DELAY 100

/* Some writers took the disposal's third bit for "previous". */
#define GIF_DISPOSE_PREVIOUS_TOO 4

/* The largest count a WebP can tell. */
#define GIF_MOST_LOOPS 65535

/* An image within the file, and the part of the canvas it paints. */
typedef struct GifFrame
{
	uint32_t	line_width;		/* of a coded line */
	uint32_t	line_count;
	bool		interlaced;
	uint32_t	left;			/* of the part on the canvas */
	uint32_t	top;
	uint32_t	width;
	uint32_t	height;
	int			disposal;
	int			duration;
	int			transparent;	/* index, or -1 */
	uint8_t		palette[256][4];	/* RGBA; black where none was given */
} GifFrame;

typedef struct GifReader
{
	const uint8_t *data;
	size_t		length;
	size_t		offset;
	GifFileType *gif;
	uint32_t	width;			/* of the canvas */
	uint32_t	height;
	int			loops;			/* as WebP counts: 0 is for ever */
	uint32_t	frames_read;
	GifFrame	frame;
	uint8_t    *line;			/* indices of one coded line */
	uint32_t	line_room;
} GifReader;

/* Takes the indices of a row of the frame, y within the part on the canvas. */
typedef ImageStatus (*GifRowFunction) (void *context, const GifFrame *frame, uint32_t y,
									   const uint8_t *indices, ImageError *error);

static int
gif_source_read(GifFileType *gif, GifByteType *out, int count)
{
	GifReader  *reader = gif->UserData;
	size_t		left = reader->length - reader->offset;
	size_t		size = count < 0 ? 0 : (size_t) count;

	if (size > left)
		size = left;
	memcpy(out, reader->data + reader->offset, size);
	reader->offset += size;
	return (int) size;
}

/* Why giflib gave up. */
static ImageStatus
gif_failure(int code, ImageError *error)
{
	const char *message = GifErrorString(code);

	if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a GIF");
	if (code == D_GIF_ERR_READ_FAILED)
		message = "the data end early or make no sense";
	return image_fail(error, IMAGE_DAMAGED, "damaged GIF: %s",
					  message != NULL ? message : "corrupt data");
}

static ImageStatus
gif_reader_open(GifReader *reader, const uint8_t *data, size_t length,
				const struct ImageFacts *facts, ImageError *error)
{
	int			code = 0;

	memset(reader, 0, sizeof(*reader));
	reader->data = data;
	reader->length = length;
	reader->width = facts->width;
	reader->height = facts->height;
	reader->loops = 1;
	reader->gif = DGifOpen(reader, gif_source_read, &code);
	if (reader->gif == NULL)
	{
		/* With all it asked for at hand, only memory can have been short. */
		if (code == D_GIF_ERR_NO_SCRN_DSCR && reader->offset < length)
			code = D_GIF_ERR_NOT_ENOUGH_MEM;
		return gif_failure(code, error);
	}
	return IMAGE_OK;
}

static void
gif_reader_close(GifReader *reader)
{
	if (reader->gif != NULL)
		DGifCloseFile(reader->gif, NULL);
	free(reader->line);
	reader->gif = NULL;
	reader->line = NULL;
}

/* Reads an extension, of which the frame's control and the loops matter. */
static bool
gif_read_extension(GifReader *reader, GraphicsControlBlock *control)
{
	GifByteType *block;
	int			code;
	bool		looping = false;

	if (DGifGetExtension(reader->gif, &code, &block) != GIF_OK)
		return false;
	if (block != NULL && code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4)
		DGifExtensionToGCB(4, block + 1, control);
	if (block != NULL && code == APPLICATION_EXT_FUNC_CODE && block[0] == 11)
		looping = memcmp(block + 1, "NETSCAPE2.0", 11) == 0 ||
			memcmp(block + 1, "ANIMEXTS1.0", 11) == 0;
	while (block != NULL)
	{
		if (DGifGetExtensionNext(reader->gif, &block) != GIF_OK)
			return false;
		if (looping && block != NULL && block[0] >= 3 && block[1] == 1)
		{
			int			again = block[2] | block[3] << 8;

			/* It tells how often to repeat after the first time. */
			reader->loops = again == 0 ? 0 : again + 1;
			if (reader->loops > GIF_MOST_LOOPS)
				reader->loops = GIF_MOST_LOOPS;
		}
	}
	return true;
}

/* Clips the image just begun to the canvas, and takes its colours. */
static ImageStatus
gif_settle_frame(GifReader *reader, const GraphicsControlBlock *control, ImageError *error)
{
	const GifImageDesc *image = &reader->gif->Image;
	const ColorMapObject *colors = image->ColorMap;
	GifFrame   *frame = &reader->frame;
	uint32_t	left = (uint32_t) image->Left;
	uint32_t	top = (uint32_t) image->Top;

	if (colors == NULL)
		colors = reader->gif->SColorMap;
	if (colors == NULL)
		return image_fail(error, IMAGE_DAMAGED, "damaged GIF: an image has no palette");

	memset(frame, 0, sizeof(*frame));
	frame->line_width = (uint32_t) image->Width;
	frame->line_count = (uint32_t) image->Height;
	frame->interlaced = image->Interlace;
	if (left < reader->width && top < reader->height &&
		frame->line_width > 0 && frame->line_count > 0)
	{
		frame->left = left;
		frame->top = top;
		frame->width = reader->width - left;
		if (frame->width > frame->line_width)
			frame->width = frame->line_width;
		frame->height = reader->height - top;
		if (frame->height > frame->line_count)
			frame->height = frame->line_count;
	}

	frame->disposal = control->DisposalMode;
	frame->transparent = control->TransparentColor;
	frame->duration = control->DelayTime * 10;
	if (frame->duration < GIF_SHORTEST_DELAY)
		frame->duration = GIF_USUAL_DELAY;
	for (int i = 0; i < 256; i++)
	{
		if (i < colors->ColorCount)
		{
			frame->palette[i][0] = colors->Colors[i].Red;
			frame->palette[i][1] = colors->Colors[i].Green;
			frame->palette[i][2] = colors->Colors[i].Blue;
		}
		frame->palette[i][3] = 255;
	}
	if (frame->transparent >= 0)
		frame->palette[frame->transparent & 255][3] = 0;

	if (frame->line_width > reader->line_room)
	{
		free(reader->line);
		reader->line_room = 0;
		reader->line = malloc(frame->line_width);
		if (reader->line == NULL)
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a GIF");
		reader->line_room = frame->line_width;
	}
	return IMAGE_OK;
}

/*
 * Goes on to the next image; *found is false at the end.  After the first
 * image, whatever is neither image nor extension ends the file as well as the
 * trailer does, and so does its plain end: files without a trailer are common.
 */
static ImageStatus
gif_reader_advance(GifReader *reader, bool *found, ImageError *error)
{
	GraphicsControlBlock control = {DISPOSAL_UNSPECIFIED, false, 0, NO_TRANSPARENT_COLOR};
	GifRecordType type;

	*found = false;
	for (;;)
	{
		if (reader->offset == reader->length && reader->frames_read > 0)
			return IMAGE_OK;
		if (DGifGetRecordType(reader->gif, &type) != GIF_OK)
		{
			if (reader->gif->Error == D_GIF_ERR_WRONG_RECORD && reader->frames_read > 0)
				return IMAGE_OK;
			return gif_failure(reader->gif->Error, error);
		}
		switch (type)
		{
			case IMAGE_DESC_RECORD_TYPE:
				reader->gif->Error = D_GIF_ERR_READ_FAILED;
				if (DGifGetImageHeader(reader->gif) != GIF_OK)
					return gif_failure(reader->gif->Error, error);
				*found = true;
				return gif_settle_frame(reader, &control, error);
			case EXTENSION_RECORD_TYPE:
				if (!gif_read_extension(reader, &control))
					return gif_failure(reader->gif->Error, error);
				break;
			default:
				if (reader->frames_read == 0)
					return image_fail(error, IMAGE_DAMAGED, "damaged GIF: no image in it");
				return IMAGE_OK;
		}
	}
}

/*
 * Decodes the image the reader stands at, in the order of its lines, which
 * for an interlaced one is not that of the rows; then skips what is left.
 */
static ImageStatus
gif_reader_rows(GifReader *reader, GifRowFunction take, void *context, ImageError *error)
{
	static const uint8_t pass_start[4] = {0, 4, 2, 1};
	static const uint8_t pass_step[4] = {8, 8, 4, 2};
	const GifFrame *frame = &reader->frame;
	uint32_t	wanted = frame->width > 0 ? frame->height : 0;
	uint32_t	lines = 0;
	uint32_t	y = 0;
	int			pass = 0;
	GifByteType *block;
	ImageStatus status;

	while (wanted > 0)
	{
		reader->gif->Error = D_GIF_ERR_IMAGE_DEFECT;
		if (DGifGetLine(reader->gif, reader->line, (int) frame->line_width) != GIF_OK)
			return gif_failure(reader->gif->Error, error);
		lines++;
		if (y < frame->height)
		{
			status = take(context, frame, y, reader->line, error);
			if (status != IMAGE_OK)
				return status;
			wanted--;
		}
		if (!frame->interlaced)
			y++;
		else
		{
			y += pass_step[pass];
			while (y >= frame->line_count && pass < 3)
				y = pass_start[++pass];
		}
	}

	/* giflib reads up to the terminator itself after the last line only. */
	if (lines < frame->line_count || lines == 0)
	{
		do
		{
			if (DGifGetCodeNext(reader->gif, &block) != GIF_OK)
				return gif_failure(reader->gif->Error, error);
		} while (block != NULL);
	}
	reader->frames_read++;
	return IMAGE_OK;
}

/*
 * The first image as rows.
 */
typedef struct GifStill
{
	ImageSink  *sink;
	uint32_t	width;			/* of the canvas */
	uint32_t	row;			/* next to be pushed */
	bool		alpha;
	uint8_t    *pixels;			/* one row of the canvas */
	uint8_t    *indices;		/* interlaced: all of the frame's */
} GifStill;

/* Pushes one row of the canvas, on which the frame covers some or nothing. */
static ImageStatus
gif_still_push(GifStill *still, const GifFrame *frame, const uint8_t *indices,
			   ImageError *error)
{
	size_t		channels = still->alpha ? 4 : 3;
	uint8_t    *out = still->pixels;

	if (indices == NULL)
		memset(out, 0, still->width * channels);
	else
	{
		out += frame->left * channels;
		for (uint32_t x = 0; x < frame->width; x++, out += channels)
			memcpy(out, frame->palette[indices[x]], channels);
	}
	still->row++;
	return image_sink_row(still->sink, still->pixels, error);
}

static ImageStatus
gif_still_row(void *context, const GifFrame *frame, uint32_t y, const uint8_t *indices,
			  ImageError *error)
{
	GifStill   *still = context;

	if (still->indices == NULL)
		return gif_still_push(still, frame, indices, error);
	memcpy(still->indices + (size_t) y * frame->width, indices, frame->width);
	return IMAGE_OK;
}

static ImageStatus
gif_still_decode(GifReader *reader, GifStill *still, ImageError *error)
{
	const GifFrame *frame = &reader->frame;
	ImageStatus status;

	still->width = reader->width;
	still->alpha = frame->transparent >= 0 ||
		frame->width < reader->width || frame->height < reader->height;
	status = image_sink_begin(still->sink, reader->width, reader->height,
							  still->alpha ? SINK_RGBA : SINK_RGB, error);
	if (status != IMAGE_OK)
		return status;
	still->pixels = calloc(reader->width, 4);
	if (frame->interlaced && frame->width > 0)
		still->indices = malloc((size_t) frame->width * frame->height);
	if (still->pixels == NULL ||
		(frame->interlaced && frame->width > 0 && still->indices == NULL))
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a GIF of %u x %u pixels",
						  reader->width, reader->height);

	while (still->row < frame->top && status == IMAGE_OK)
		status = gif_still_push(still, frame, NULL, error);
	if (status == IMAGE_OK)
		status = gif_reader_rows(reader, gif_still_row, still, error);
	for (uint32_t y = 0; still->indices != NULL && y < frame->height && status == IMAGE_OK; y++)
		status = gif_still_push(still, frame, still->indices + (size_t) y * frame->width,
								error);
	while (still->row < reader->height && status == IMAGE_OK)
		status = gif_still_push(still, frame, NULL, error);
	return status;
}

ImageStatus
image_decode_gif(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				 ImageSink *sink, ImageError *error)
{
	GifReader	reader;
	GifStill	still = {.sink = sink};
	bool		found;
	ImageStatus status;

	status = gif_reader_open(&reader, data, length, facts, error);
	if (status == IMAGE_OK)
		status = gif_reader_advance(&reader, &found, error);
	if (status == IMAGE_OK)
		status = gif_still_decode(&reader, &still, error);
	free(still.pixels);
	free(still.indices);
	gif_reader_close(&reader);
	return status;
}

/*
 * All images as frames.
 */
typedef struct GifFrames
{
	FrameReader base;
	GifReader	reader;
	uint8_t    *canvas;
	uint8_t    *backup;			/* what the frame's place looked like before */
} GifFrames;

static size_t
gif_canvas_offset(const GifFrames *frames, const GifFrame *frame, uint32_t y)
{
	return ((size_t) (frame->top + y) * frames->reader.width + frame->left) * 4;
}

static ImageStatus
gif_frames_row(void *context, const GifFrame *frame, uint32_t y, const uint8_t *indices,
			   ImageError *error)
{
	GifFrames  *frames = context;
	uint8_t    *out = frames->canvas + gif_canvas_offset(frames, frame, y);

	(void) error;
	for (uint32_t x = 0; x < frame->width; x++, out += 4)
		if (indices[x] != frame->transparent)
			memcpy(out, frame->palette[indices[x]], 4);
	return IMAGE_OK;
}

static bool
gif_disposes_to_previous(const GifFrame *frame)
{
	return frame->disposal == DISPOSE_PREVIOUS ||
		frame->disposal == GIF_DISPOSE_PREVIOUS_TOO;
}

/* Takes the frame shown last off the canvas, as it asked. */
static void
gif_dispose(GifFrames *frames)
{
	const GifFrame *frame = &frames->reader.frame;

	for (uint32_t y = 0; y < frame->height; y++)
	{
		size_t		offset = gif_canvas_offset(frames, frame, y);
		size_t		size = (size_t) frame->width * 4;

		if (frame->disposal == DISPOSE_BACKGROUND)
			memset(frames->canvas + offset, 0, size);
		else if (gif_disposes_to_previous(frame))
			memcpy(frames->canvas + offset, frames->backup + offset, size);
	}
}

static ImageStatus
gif_frames_next(FrameReader *base, const uint8_t **canvas, int *duration, ImageError *error)
{
	GifFrames  *frames = (GifFrames *) base;
	GifReader  *reader = &frames->reader;
	GifFrame   *frame = &reader->frame;
	size_t		canvas_size = (size_t) reader->width * reader->height * 4;
	bool		found;
	ImageStatus status;

	*canvas = NULL;
	if (reader->frames_read > 0)
		gif_dispose(frames);
	status = gif_reader_advance(reader, &found, error);
	if (status != IMAGE_OK || !found)
		return status;

	if (gif_disposes_to_previous(frame) && frames->backup == NULL)
	{
		frames->backup = malloc(canvas_size);
		if (frames->backup == NULL)
			return image_fail(error, IMAGE_NO_MEMORY,
							  "out of memory for GIF frames of %u x %u pixels",
							  reader->width, reader->height);
	}
	if (gif_disposes_to_previous(frame))
	{
		for (uint32_t y = 0; y < frame->height; y++)
		{
			size_t		offset = gif_canvas_offset(frames, frame, y);

			memcpy(frames->backup + offset, frames->canvas + offset,
				   (size_t) frame->width * 4);
		}
	}

	status = gif_reader_rows(reader, gif_frames_row, frames, error);
	if (status != IMAGE_OK)
		return status;
	*canvas = frames->canvas;
	*duration = frame->duration;
	return IMAGE_OK;
}

static int
gif_frames_loops(const FrameReader *reader)
{
	return ((const GifFrames *) reader)->reader.loops;
}

static void
gif_frames_close(FrameReader *reader)
{
	GifFrames  *frames = (GifFrames *) reader;

	gif_reader_close(&frames->reader);
	free(frames->canvas);
	free(frames->backup);
	free(frames);
}

static const FrameReaderMethods gif_frames_methods = {
	gif_frames_next,
	gif_frames_loops,
	gif_frames_close
};

ImageStatus
gif_frames_open(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				FrameReader **reader, ImageError *error)
{
	GifFrames  *frames = calloc(1, sizeof(GifFrames));
	ImageStatus status;

	if (frames == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a GIF animation");
	frames->base.methods = &gif_frames_methods;
	status = gif_reader_open(&frames->reader, data, length, facts, error);
	if (status == IMAGE_OK)
	{
		frames->canvas = calloc((size_t) facts->width * facts->height, 4);
		if (frames->canvas == NULL)
			status = image_fail(error, IMAGE_NO_MEMORY,
								"out of memory for GIF frames of %u x %u pixels",
								facts->width, facts->height);
	}
	if (status != IMAGE_OK)
	{
		gif_frames_close(&frames->base);
		return status;
	}
	*reader = &frames->base;
	return IMAGE_OK;
}
