/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  The door of the facts room: what a picture's header says.
 *
 * This room answers "what is this?" from header bytes alone: format, size,
 * orientation, frames, depth, channels, colour.  It is plain C without a
 * library, because it runs inside the database server on bytes that strangers
 * sent; so it trusts no length, follows no pointer twice, and is bounded in
 * time and memory on any input.  Nothing is decoded here (src/image does
 * that, in a process of its own).
 *
 * The bytes come through a FactsReader.  Parsers ask it for the ranges they
 * need; whoever owns the value fetches them, so a stored value of many
 * megabytes costs the few slices its header takes.
 *
 * Calls: db -> facts, image -> facts.  This room calls nobody.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_FACTS_H
#define MEDIASTORE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum FactsFormat
{
	FACTS_FORMAT_UNKNOWN = 0,
	FACTS_FORMAT_JPEG,
	FACTS_FORMAT_PNG,			/* APNG too: frames > 1 */
	FACTS_FORMAT_GIF,
	FACTS_FORMAT_WEBP,
	FACTS_FORMAT_BMP,
	FACTS_FORMAT_TIFF,
	FACTS_FORMAT_HEIF,
	FACTS_FORMAT_AVIF,
	/* told apart so that errors can name them; facts_read says unsupported */
	FACTS_FORMAT_SVG,
	FACTS_FORMAT_JXL,
	FACTS_FORMAT_JP2,
	FACTS_FORMAT_ICO,
	FACTS_FORMAT_PSD
} FactsFormat;

typedef enum FactsColor
{
	FACTS_COLOR_UNKNOWN = 0,
	FACTS_COLOR_GRAY,			/* "gray" */
	FACTS_COLOR_RGB,			/* "rgb" */
	FACTS_COLOR_YCBCR,			/* "ycbcr" */
	FACTS_COLOR_CMYK,			/* "cmyk" */
	FACTS_COLOR_YCCK,			/* "ycck" */
	FACTS_COLOR_PALETTE,		/* "palette" */
	FACTS_COLOR_LAB				/* "lab" (TIFF) */
} FactsColor;

typedef enum FactsStatus
{
	FACTS_OK = 0,
	FACTS_UNKNOWN,				/* not the signature of any known format */
	FACTS_DAMAGED,				/* a known signature, then nonsense or the end */
	FACTS_UNSUPPORTED,			/* a known format or variant nobody here reads */
	FACTS_READ_FAILED			/* the reader's fetch said no */
} FactsStatus;

/*
 * What a header says.  Width and height are those of the coded picture;
 * facts_display_size gives them as displayed, orientation applied.
 */
typedef struct ImageFacts
{
	FactsFormat format;
	uint32_t	width;			/* pixels, never 0 when FACTS_OK */
	uint32_t	height;
	int			orientation;	/* EXIF's 1..8; HEIF irot/imir as its like; 1
								 * when untold or invalid */
	uint32_t	frames;			/* 1 for stills; counted only if asked for */
	int			bit_depth;		/* bits a channel, as coded */
	int			channels;		/* 1..5 as coded, transparency by colour (PNG's
								 * tRNS) as one more; palette: 3, or 4 with
								 * transparency */
	bool		has_alpha;
	FactsColor	color;
	bool		has_icc;		/* an embedded ICC profile was seen */
	bool		has_metadata;	/* WebP: EXIF or XMP chunk; others: EXIF seen */
	/* of WebP alone; what media_compress needs to leave a picture as it is */
	bool		animated;		/* WebP ANIM flag; GIF, APNG, HEIF: frames > 1 */
	bool		webp_lossless;	/* the (first) image is VP8L */
	bool		webp_mixed;		/* with count_frames: other frames are not as
								 * the first one in that */
	bool		webp_exact;		/* RIFF size equals the value's length, chunks
								 * of known kinds only, in a legal order */
} ImageFacts;

/*
 * The source of bytes.  The owner fills in total, fetch and context (or calls
 * facts_reader_memory) and zeroes the rest.
 *
 * fetch gives bytes from offset: it must set *data to at least minimum bytes
 * (it may give more) and *length to how many there are; false if it can't.
 * minimum is at most FACTS_FETCH_LARGEST and offset + minimum <= total.  The
 * bytes stay the owner's and need only live until the next fetch.
 */
#define FACTS_FETCH_USUAL	4096	/* a good size to fetch at a time */
#define FACTS_FETCH_LARGEST 65536	/* no parser asks for more at once */

typedef struct FactsReader
{
	uint64_t	total;			/* length of the whole value, bytes */
	bool		(*fetch) (void *context, uint64_t offset, size_t minimum,
						  const uint8_t **data, size_t *length);
	void	   *context;
	/* private: the window fetched last */
	const uint8_t *window;
	uint64_t	window_offset;
	size_t		window_length;
	bool		failed;			/* a fetch said no; nothing is asked after */
} FactsReader;

/* Makes a reader over bytes in memory, which must outlive it. */
extern void facts_reader_memory(FactsReader *reader, const void *data, size_t length);

/*
 * Tells the format by its first bytes (at most 4 KiB are looked at), without
 * looking whether the rest makes sense.
 */
extern FactsFormat facts_format(FactsReader *reader);

/*
 * Reads the facts.  On FACTS_OK *facts is whole; else only format is set (as
 * far as known) and message (may be NULL), of message_size bytes, says what
 * is wrong in a lower-case phrase that begins with the format's name.
 *
 * FACTS_OK means that the size is known and nothing contradicts itself; a
 * picture whose pixels are cut short may be FACTS_OK.
 *
 * With count_frames, frames and animated are counted even where that means
 * walking the value's block lengths (GIF, WebP) or directories (TIFF's pages,
 * where a chain in a circle is FACTS_DAMAGED then, and 16384 is the most).
 * Without it these say 1 frame, a GIF is never animated, and an animated
 * WebP never exact.  PNG and HEIF tell their frames in the header.
 */
extern FactsStatus facts_read(FactsReader *reader, bool count_frames,
							  ImageFacts *facts, char *message, size_t message_size);

/* "jpeg", "png", ...; NULL for unknown. */
extern const char *facts_format_name(FactsFormat format);

/*
 * "image/jpeg", ...; NULL for unknown.
 */
extern const char *facts_mime_type(FactsFormat format);

/* "rgb", ...; NULL for unknown. */
extern const char *facts_color_name(FactsColor color);

/* Width and height as displayed: swapped for orientations 5 to 8. */
extern void facts_display_size(const ImageFacts *facts, uint32_t *width, uint32_t *height);

#endif							/* MEDIASTORE_FACTS_H */
