/*-------------------------------------------------------------------------
 *
 * fuzz_facts.c
 *	  Throws bytes at the facts room.
 *
 * Each fetch gives the minimum that was asked for, in memory of exactly that
 * size which is freed at the next one: a read past the window, or of a window
 * that is gone, is a report of the address sanitizer.  What is said to be
 * fine must keep the promises of facts.h.
 *
 *		clang -g -O1 -fsanitize=fuzzer,address,undefined \
 *			test/fuzz/fuzz_facts.c src/facts/?*.c -o fuzz_facts
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/facts/facts.h"
#include "input.h"

typedef struct Source
{
	const uint8_t *bytes;
	size_t		length;
	uint8_t    *piece;			/* the fetch before */
	unsigned	fetches;
} Source;

/* Far beyond what any bound in the parsers lets pass. */
#define MOST_FETCHES 200000

static bool
fetch_exactly(void *context, uint64_t offset, size_t minimum,
			  const uint8_t **data, size_t *length)
{
	Source	   *source = context;

	PROMISE(minimum > 0 && minimum <= FACTS_FETCH_LARGEST);
	PROMISE(offset <= source->length && minimum <= source->length - offset);
	PROMISE(++source->fetches < MOST_FETCHES);
	free(source->piece);
	source->piece = malloc(minimum);
	PROMISE(source->piece != NULL);
	memcpy(source->piece, source->bytes + offset, minimum);
	*data = source->piece;
	*length = minimum;
	return true;
}

static FactsStatus
read_once(const uint8_t *bytes, size_t length, bool count_frames, ImageFacts *facts)
{
	Source		source = {bytes, length, NULL, 0};
	FactsReader reader = {.total = length, .fetch = fetch_exactly, .context = &source};
	char		message[100];
	FactsStatus status;
	uint32_t	width;
	uint32_t	height;

	memset(message, 'x', sizeof(message));
	status = facts_read(&reader, count_frames, facts, message, sizeof(message));
	free(source.piece);

	PROMISE(memchr(message, '\0', sizeof(message)) != NULL);
	PROMISE((status == FACTS_OK) == (message[0] == '\0'));
	PROMISE(status != FACTS_READ_FAILED);
	PROMISE((status == FACTS_UNKNOWN) == (facts->format == FACTS_FORMAT_UNKNOWN));
	PROMISE((facts_format_name(facts->format) != NULL) ==
			(facts->format != FACTS_FORMAT_UNKNOWN));
	PROMISE((facts_mime_type(facts->format) != NULL) ==
			(facts->format != FACTS_FORMAT_UNKNOWN));
	if (status != FACTS_OK)
	{
		PROMISE(facts->width == 0 && facts->height == 0);
		return status;
	}

	PROMISE(facts->width > 0 && facts->height > 0);
	PROMISE(facts->orientation >= 1 && facts->orientation <= 8);
	PROMISE(facts->frames >= 1);
	PROMISE(facts->bit_depth >= 1 && facts->bit_depth <= 64);
	PROMISE(facts->channels >= 1 && facts->channels <= 5);
	PROMISE(facts->color == FACTS_COLOR_UNKNOWN || facts_color_name(facts->color) != NULL);
	PROMISE(facts->format == FACTS_FORMAT_WEBP ||
			(!facts->webp_exact && !facts->webp_lossless));
	facts_display_size(facts, &width, &height);
	PROMISE((uint64_t) width * height == (uint64_t) facts->width * facts->height);
	return status;
}

int			LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	ImageFacts	quick;
	ImageFacts	counted;
	ImageFacts	whole;
	FactsReader reader = {0};

	/* Counting may find damage further on, but no other picture. */
	if (read_once(bytes, length, true, &counted) == FACTS_OK)
	{
		PROMISE(read_once(bytes, length, false, &quick) == FACTS_OK);
		PROMISE(quick.width == counted.width && quick.height == counted.height);
		PROMISE(quick.has_alpha == counted.has_alpha);
		PROMISE(quick.orientation == counted.orientation);
		PROMISE(quick.channels == counted.channels);

		/* The windows' sizes must not matter. */
		facts_reader_memory(&reader, bytes, length);
		PROMISE(facts_read(&reader, true, &whole, NULL, 0) == FACTS_OK);
		PROMISE(memcmp(&whole, &counted, sizeof(whole)) == 0);
	}
	else
		read_once(bytes, length, false, &quick);
	return 0;
}
