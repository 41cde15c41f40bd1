/*-------------------------------------------------------------------------
 *
 * decode_test.h
 *	  What the tests of the decoders share.
 *
 * Each kind of picture is decoded whole, then cut off at every sixteenth of
 * its length (in a buffer of just that size, so that a tool that watches
 * memory sees a read too far), and then with a limit too small for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_TEST_DECODE_H
#define MEDIASTORE_TEST_DECODE_H

#include <stdlib.h>
#include <string.h>

#include "../../src/image/raster.h"
#include "check.h"

typedef struct Bytes
{
	uint8_t    *data;
	size_t		length;
	size_t		room;
	size_t		offset;			/* where a TIFF is written */
} Bytes;

static inline void
put(Bytes *bytes, const void *data, size_t length)
{
	if (bytes->offset + length > bytes->room)
	{
		bytes->room = (bytes->offset + length) * 2 + 64;
		bytes->data = realloc(bytes->data, bytes->room);
		if (bytes->data == NULL)
			abort();
	}
	if (bytes->offset > bytes->length)
		memset(bytes->data + bytes->length, 0, bytes->offset - bytes->length);
	memcpy(bytes->data + bytes->offset, data, length);
	bytes->offset += length;
	if (bytes->offset > bytes->length)
		bytes->length = bytes->offset;
}

static inline void
put8(Bytes *bytes, unsigned value)
{
	uint8_t		byte = (uint8_t) value;

	put(bytes, &byte, 1);
}

static inline void
put16(Bytes *bytes, unsigned value)
{
	put8(bytes, value & 255);
	put8(bytes, value >> 8 & 255);
}

static inline void
put32(Bytes *bytes, uint32_t value)
{
	put16(bytes, value & 65535);
	put16(bytes, value >> 16);
}

static inline void
bytes_free(Bytes *bytes)
{
	free(bytes->data);
	memset(bytes, 0, sizeof(*bytes));
}

/* What the pixels of most pictures here are. */
static inline uint8_t
pattern(int x, int y, int channel)
{
	return (uint8_t) (x * 37 + y * 11 + channel * 85 + x * y);
}

static ImageSink sink;
static ImageError error;
static uint64_t max_pixels = 1000000;

static inline struct ImageFacts
facts_of(FactsFormat format, uint32_t width, uint32_t height, uint32_t frames)
{
	struct ImageFacts facts;

	memset(&facts, 0, sizeof(facts));
	facts.format = format;
	facts.width = width;
	facts.height = height;
	facts.orientation = 1;
	facts.frames = frames;
	return facts;
}

/* Decodes a copy without a byte of room behind it into the global sink. */
static inline ImageStatus
decode(ImageDecodeFunction function, const Bytes *bytes, size_t length,
	   uint32_t width, uint32_t height)
{
	struct ImageFacts facts = facts_of(FACTS_FORMAT_UNKNOWN, width, height, 1);
	uint8_t    *copy = malloc(length > 0 ? length : 1);
	ImageStatus status;

	image_sink_free(&sink);
	memset(&sink, 0, sizeof(sink));
	sink.limits.max_pixels = max_pixels;
	sink.limits.max_frames = 100;
	sink.target = 16383;
	memset(&error, 0, sizeof(error));
	if (copy == NULL)
		abort();
	memcpy(copy, bytes->data, length);
	status = function(copy, length, &facts, &sink, &error);
	free(copy);
	return status;
}

static inline int
sample(int plane, int x, int y)
{
	return sink.raster.plane[plane].data[y * sink.raster.plane[plane].stride + x];
}

/* Compares one pixel; for a gray picture only the first value counts. */
static inline bool
pixel_is(int x, int y, int a, int b, int c, int d)
{
	const int	values[4] = {a, b, c, d};

	for (int i = 0; i < sink.raster.planes; i++)
		if (sample(i, x, y) != values[i])
			return false;
	return true;
}

static inline bool
all_pattern(int width, int height, int planes)
{
	if (!image_sink_complete(&sink) || sink.raster.planes != planes ||
		(int) sink.width != width || (int) sink.height != height)
		return false;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			for (int c = 0; c < planes; c++)
				if (sample(c, x, y) != pattern(x, y, c))
					return false;
	return true;
}

/*
 * Cut off anywhere, a picture is damaged, unless nothing that counts comes
 * after needed bytes; and its size is checked against the limits.
 */
static inline void
check_cuts(ImageDecodeFunction function, const Bytes *bytes, uint32_t width,
		   uint32_t height, size_t needed)
{
	for (int i = 0; i <= 16; i++)
	{
		size_t		length = i < 16 ? bytes->length * (size_t) i / 16 : bytes->length - 1;
		ImageStatus status = decode(function, bytes, length, width, height);

		if (length >= needed)
			CHECK(status == IMAGE_OK || status == IMAGE_DAMAGED);
		else
			CHECK(status == IMAGE_DAMAGED);
		if (status != IMAGE_OK)
			CHECK(error.status == status && error.message[0] != '\0');
	}
	max_pixels = (uint64_t) width * height - 1;
	CHECK(decode(function, bytes, bytes->length, width, height) == IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_pixels") == 0);
	max_pixels = 1000000;
}

/* A profile with no tags: just enough to be passed on. */
#define PROFILE_SIZE 500

static inline void
make_profile(uint8_t profile[PROFILE_SIZE])
{
	/* Noise, for libpng takes what compresses too well for cut short. */
	for (uint32_t i = 0, noise = 1; i < PROFILE_SIZE; i++)
	{
		noise = noise * 1103515245 + 12345;
		profile[i] = (uint8_t) (i < 132 ? 0 : noise >> 16);
	}
	profile[2] = PROFILE_SIZE >> 8;
	profile[3] = PROFILE_SIZE & 255;
	profile[8] = 2;
	memcpy(profile + 12, "mntrRGB XYZ ", 12);
	memcpy(profile + 36, "acsp", 4);
	memcpy(profile + 68, "\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d", 12);
}

#endif							/* MEDIASTORE_TEST_DECODE_H */
