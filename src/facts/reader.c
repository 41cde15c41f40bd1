/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Random access to a value by fetching windows of it, and the few things
 *	  all parsers need besides.
 *
 * Nothing is kept but the window fetched last: headers are read forwards, and
 * a second look at an earlier place is rare enough to be paid by a fetch.
 *
 *-------------------------------------------------------------------------
 */
#include "reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * The fetch of facts_reader_memory; its context is the bytes.  The window is
 * all of them from the start, so this is called only if somebody empties it.
 */
static bool
fetch_memory(void *context, uint64_t offset, size_t minimum,
			 const uint8_t **data, size_t *length)
{
	*data = (const uint8_t *) context + offset;
	*length = minimum;
	return true;
}

void
facts_reader_memory(FactsReader *reader, const void *data, size_t length)
{
	reader->total = data != NULL ? length : 0;
	reader->fetch = fetch_memory;
	reader->context = (void *) data;
	reader->window = data;
	reader->window_offset = 0;
	reader->window_length = (size_t) reader->total;
	reader->failed = false;
}

uint64_t
facts_clip(const FactsReader *reader, uint64_t offset, uint64_t length)
{
	if (offset >= reader->total)
		return 0;
	return length < reader->total - offset ? length : reader->total - offset;
}

const uint8_t *
facts_bytes_ahead(FactsReader *reader, uint64_t offset, size_t length, size_t ahead)
{
	const uint8_t *data = NULL;
	size_t		got = 0;
	size_t		minimum;

	if (reader->failed || length == 0 || length > FACTS_FETCH_LARGEST ||
		facts_clip(reader, offset, length) < length)
		return NULL;

	if (offset >= reader->window_offset)
	{
		uint64_t	inside = offset - reader->window_offset;

		if (inside < reader->window_length &&
			length <= reader->window_length - inside)
			return reader->window + inside;
	}

	minimum = length > ahead ? length : ahead;
	if (minimum > FACTS_FETCH_LARGEST)
		minimum = FACTS_FETCH_LARGEST;
	minimum = (size_t) facts_clip(reader, offset, minimum);

	/* The window is gone with the fetch, whatever comes of it. */
	reader->window = NULL;
	reader->window_length = 0;
	if (!reader->fetch(reader->context, offset, minimum, &data, &got) ||
		data == NULL || got < minimum)
	{
		reader->failed = true;
		return NULL;
	}
	reader->window = data;
	reader->window_offset = offset;
	reader->window_length = (size_t) facts_clip(reader, offset, got);
	return data;
}

const uint8_t *
facts_bytes(FactsReader *reader, uint64_t offset, size_t length)
{
	return facts_bytes_ahead(reader, offset, length, FACTS_FETCH_USUAL);
}

FactsStatus
facts_fail(FactsParse *parse, FactsStatus status, const char *format,...)
{
	va_list		arguments;
	int			used;

	if (parse->message == NULL || parse->message_size == 0)
		return status;

	used = snprintf(parse->message, parse->message_size, "%s ", parse->label);
	if (used > 0 && (size_t) used < parse->message_size)
	{
		va_start(arguments, format);
		vsnprintf(parse->message + used, parse->message_size - (size_t) used,
				  format, arguments);
		va_end(arguments);
	}
	return status;
}

FactsStatus
facts_claim_size(FactsParse *parse, uint64_t width, uint64_t height)
{
	if (width == 0 || height == 0 || width > UINT32_MAX || height > UINT32_MAX)
		return facts_fail(parse, FACTS_DAMAGED,
						  "claims %" PRIu64 " x %" PRIu64 " pixels", width, height);
	parse->facts->width = (uint32_t) width;
	parse->facts->height = (uint32_t) height;
	return FACTS_OK;
}
