/*-------------------------------------------------------------------------
 *
 * fuzz_decode.c
 *	  Any bytes through the facts and the decoder they call for.
 *
 * Built with -fsanitize=fuzzer,address,undefined.  What is looked for beside
 * crashes: memory that is not given back, a picture said to be whole with
 * rows missing, an error without words, more frames than were counted.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/image/raster.h"

#define FUZZ_MOST_PIXELS (4 * 1024 * 1024)
#define FUZZ_MOST_FRAMES 64

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static ImageDecodeFunction
decoder_of(FactsFormat format)
{
	switch (format)
	{
		case FACTS_FORMAT_PNG:
			return image_decode_png;
		case FACTS_FORMAT_GIF:
			return image_decode_gif;
		case FACTS_FORMAT_WEBP:
			return image_decode_webp;
		case FACTS_FORMAT_BMP:
			return image_decode_bmp;
		case FACTS_FORMAT_TIFF:
			return image_decode_tiff;
#ifdef FUZZ_HEIF
		case FACTS_FORMAT_HEIF:
		case FACTS_FORMAT_AVIF:
			return image_decode_heif;
#endif
		default:
			return NULL;
	}
}

static void
check_outcome(ImageStatus status, const ImageError *error)
{
	if (status != IMAGE_OK && (error->status != status || error->message[0] == '\0'))
		abort();
	if (status == IMAGE_INTERNAL)
		abort();
}

static void
decode_still(const uint8_t *data, size_t length, const struct ImageFacts *facts)
{
	ImageDecodeFunction decode = decoder_of(facts->format);
	ImageSink	sink;
	ImageError	error;
	ImageStatus status;

	if (decode == NULL)
		return;
	memset(&sink, 0, sizeof(sink));
	memset(&error, 0, sizeof(error));
	sink.limits.max_pixels = FUZZ_MOST_PIXELS;
	sink.limits.max_frames = FUZZ_MOST_FRAMES;
	sink.target = 64;
	status = decode(data, length, facts, &sink, &error);
	check_outcome(status, &error);
	if (status == IMAGE_OK && !image_sink_complete(&sink))
		abort();
	image_sink_free(&sink);
}

static void
decode_frames(const uint8_t *data, size_t length, const struct ImageFacts *facts)
{
	FrameReader *reader;
	ImageError	error;
	ImageStatus status;
	const uint8_t *canvas;
	uint32_t	frames = 0;
	int			duration;

	memset(&error, 0, sizeof(error));
	status = frame_reader_open(data, length, facts, &reader, &error);
	while (status == IMAGE_OK)
	{
		size_t		size = (size_t) facts->width * facts->height * 4;
		volatile uint8_t touched;

		status = frame_reader_next(reader, &canvas, &duration, &error);
		if (status != IMAGE_OK || canvas == NULL)
			break;
		touched = canvas[0];
		touched = canvas[size - 1];
		(void) touched;
		if (++frames > facts->frames || frame_reader_loops(reader) < 0)
			abort();
	}
	check_outcome(status, &error);
	frame_reader_close(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FactsReader reader;
	struct ImageFacts facts;
	char		message[200];

	facts_reader_memory(&reader, data, length);
	if (facts_read(&reader, true, &facts, message, sizeof(message)) != FACTS_OK)
		return 0;
	if (facts.frames > FUZZ_MOST_FRAMES ||
		(uint64_t) facts.width * facts.height * facts.frames > FUZZ_MOST_PIXELS)
		return 0;

	decode_still(data, length, &facts);
	if (facts.format == FACTS_FORMAT_GIF || facts.format == FACTS_FORMAT_WEBP)
		decode_frames(data, length, &facts);
	return 0;
}
