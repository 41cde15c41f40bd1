/*-------------------------------------------------------------------------
 *
 * facts_source.h
 *	  Readers for the tests of the facts room that count, and that give no byte
 *	  more than was asked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_FACTS_SOURCE_H
#define MEDIASTORE_FACTS_SOURCE_H

#include "../../src/facts/facts.h"
#include "check.h"
#include "facts_test.h"

typedef struct Source
{
	const uint8_t *bytes;
	uint8_t    *piece;
	int			fetches;
	uint64_t	fetched;
	int			fail_at;		/* the fetch that says no; 0 none */
} Source;

/* Exactly what was asked for, for the sanitizers to see what goes past it. */
static inline bool
fetch_exactly(void *context, uint64_t offset, size_t minimum,
			  const uint8_t **data, size_t *length)
{
	Source	   *source = context;

	source->fetches++;
	source->fetched += minimum;
	if (source->fetches == source->fail_at)
		return false;
	free(source->piece);
	source->piece = malloc(minimum);
	if (source->piece == NULL)
		abort();
	memcpy(source->piece, source->bytes + offset, minimum);
	*data = source->piece;
	*length = minimum;
	return true;
}

static ImageFacts facts;
static char message[120];
static Source source;

static inline FactsStatus
read_bytes(const uint8_t *bytes, size_t length, bool count_frames, int fail_at)
{
	FactsReader reader = {.total = length, .fetch = fetch_exactly, .context = &source};
	FactsStatus status;

	memset(&source, 0, sizeof(source));
	source.bytes = bytes;
	source.fail_at = fail_at;
	status = facts_read(&reader, count_frames, &facts, message, sizeof(message));
	free(source.piece);
	return status;
}

/* Reads with frames counted, and checks what is true of all pictures. */
static inline FactsStatus
read_and_free(Bytes bytes)
{
	FactsStatus status = read_bytes(bytes.data, bytes.length, true, 0);

	CHECK((status == FACTS_OK) == (message[0] == '\0'));
	if (status == FACTS_OK)
	{
		CHECK(facts.width > 0 && facts.height > 0);
		CHECK(facts.orientation >= 1 && facts.orientation <= 8);
		CHECK(facts.frames > 0 && facts.bit_depth > 0);
		CHECK(facts.channels >= 1 && facts.channels <= 5);
	}
	else
		CHECK(facts.width == 0 && facts.height == 0);
	free(bytes.data);
	return status;
}

#define CHECK_SIZE(w, h) \
	do { CHECK_EQUAL(facts.width, (w)); CHECK_EQUAL(facts.height, (h)); } while (0)

static inline FactsColor
jpeg_color(const char *ids, bool jfif, int adobe)
{
	Bytes		jpeg = jpeg_start();

	if (jfif)
		PUT_APPLICATION(&jpeg, 0xe0, JFIF);
	put_frame(&jpeg, 0xc2, 8, 20, 10, ids);
	/* behind the frame header, where libjpeg finds it as well */
	if (adobe >= 0)
	{
		char		segment[] = "Adobe\0\144\0\0\0\0";

		segment[11] = (char) adobe;
		put_application(&jpeg, 0xee, segment, 12);
	}
	put_scan(&jpeg);
	CHECK_EQUAL(read_and_free(jpeg), FACTS_OK);
	return facts.color;
}

#endif							/* MEDIASTORE_FACTS_SOURCE_H */
