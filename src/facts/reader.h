/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  What the parsers of the facts room share (private to this room): bytes
 *	  by their offset, numbers out of bytes, a way to say what is wrong, and
 *	  the list of the parsers.
 *
 * The one rule of the window: a pointer from facts_bytes is good until the
 * next call of facts_bytes or facts_bytes_ahead.  Copy numbers out first,
 * then ask again.
 *
 * Calls: facts.c -> jpeg.c, png.c, gif.c, webp.c, bmp.c, tiff.c, heif.c
 *		  -> exif.c -> reader.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_FACTS_READER_H
#define MEDIASTORE_FACTS_READER_H

#include "facts.h"

/* How far a parser that leaps from header to header looks ahead. */
#define FACTS_AHEAD_LEAP	64

/* One call of facts_read. */
typedef struct FactsParse
{
	FactsReader *reader;
	bool		count_frames;
	ImageFacts *facts;
	const char *label;			/* "JPEG": how every message begins */
	char	   *message;		/* may be NULL */
	size_t		message_size;
} FactsParse;

/*
 * The length bytes at offset; NULL when the value ends before or the fetch
 * said no (facts_read tells these apart by reader->failed).  length is 1 to
 * FACTS_FETCH_LARGEST.  What has to be fetched is fetched with some more
 * behind it: FACTS_FETCH_USUAL bytes, or "ahead".
 */
extern const uint8_t *facts_bytes(FactsReader *reader, uint64_t offset, size_t length);
extern const uint8_t *facts_bytes_ahead(FactsReader *reader, uint64_t offset,
										size_t length, size_t ahead);

/* How many of length bytes at offset the value has. */
extern uint64_t facts_clip(const FactsReader *reader, uint64_t offset, uint64_t length);

/* Sets the message, label before it; returns status. */
extern FactsStatus facts_fail(FactsParse *parse, FactsStatus status,
							  const char *format,...)
			__attribute__((format(printf, 3, 4)));

/* Sets width and height, or fails when the picture can't have that size. */
extern FactsStatus facts_claim_size(FactsParse *parse, uint64_t width, uint64_t height);

/*
 * The parsers.  *parse->facts comes with its format set, one frame,
 * orientation 1, and all else zero.
 */
extern FactsStatus facts_parse_jpeg(FactsParse *parse);
extern FactsStatus facts_parse_png(FactsParse *parse);
extern FactsStatus facts_parse_gif(FactsParse *parse);
extern FactsStatus facts_parse_webp(FactsParse *parse);
extern FactsStatus facts_parse_bmp(FactsParse *parse);
extern FactsStatus facts_parse_tiff(FactsParse *parse);
extern FactsStatus facts_parse_heif(FactsParse *parse);

/* Numbers. */
static inline uint16_t
facts_be16(const uint8_t *bytes)
{
	return (uint16_t) (bytes[0] << 8 | bytes[1]);
}

static inline uint32_t
facts_be32(const uint8_t *bytes)
{
	return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 |
		(uint32_t) bytes[2] << 8 | bytes[3];
}

static inline uint64_t
facts_be64(const uint8_t *bytes)
{
	return (uint64_t) facts_be32(bytes) << 32 | facts_be32(bytes + 4);
}

static inline uint16_t
facts_le16(const uint8_t *bytes)
{
	return (uint16_t) (bytes[1] << 8 | bytes[0]);
}

static inline uint32_t
facts_le24(const uint8_t *bytes)
{
	return (uint32_t) bytes[2] << 16 | (uint32_t) bytes[1] << 8 | bytes[0];
}

static inline uint32_t
facts_le32(const uint8_t *bytes)
{
	return (uint32_t) bytes[3] << 24 | facts_le24(bytes);
}

static inline uint64_t
facts_le64(const uint8_t *bytes)
{
	return (uint64_t) facts_le32(bytes + 4) << 32 | facts_le32(bytes);
}

/* Four letters as facts_be32 reads them. */
#define FACTS_FOURCC(a, b, c, d) \
	((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8 | (uint32_t) (d))

#endif							/* MEDIASTORE_FACTS_READER_H */
