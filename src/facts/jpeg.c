/*-------------------------------------------------------------------------
 *
 * jpeg.c
 *	  Header facts of JPEG.
 *
 * Leaps from marker to marker up to the first scan, so that hundreds of
 * kilobytes of profiles and thumbnails before the frame header cost one
 * window each, not their bytes.
 *
 * What is lenient here is what libjpeg is lenient about: stray bytes before a
 * marker, fill bytes, markers without a meaning.  Once the frame header is
 * read, the rest is only looked through for what may still follow it, and
 * trouble there is left to the decoder.
 *
 *-------------------------------------------------------------------------
 */
#include "exif.h"

#include <string.h>

#define JPEG_MAX_MARKERS	4096
#define JPEG_MAX_STRAY		65536	/* bytes that belong to no segment */
#define JPEG_STRAY_BEHIND	16		/* of them, behind the frame header */

/* What the segments before the scan told. */
typedef struct JpegSeen
{
	bool		frame;
	bool		jfif;
	bool		adobe;
	int			adobe_transform;
	uint8_t		component_ids[3];
} JpegSeen;

/*
 * Finds the marker at or after *position and moves *position behind it.
 * Returns its second byte, or -1 at the end or when *stray is used up.
 */
static int
next_marker(FactsReader *reader, uint64_t *position, unsigned *stray)
{
	bool		after_ff = false;
	const uint8_t *bytes;

	for (;;)
	{
		bytes = facts_bytes(reader, *position, 1);
		if (bytes == NULL)
			return -1;
		(*position)++;
		if (after_ff && *bytes != 0xff && *bytes != 0)
			return *bytes;
		if (after_ff || *bytes != 0xff)
		{
			/* a fill byte, or a byte that should not be here */
			if (*stray == 0)
				return -1;
			(*stray)--;
		}
		after_ff = *bytes == 0xff;
	}
}

/*
 * A frame header, at the position of its payload.
 */
static FactsStatus
read_frame(FactsParse *parse, JpegSeen *seen, uint64_t position, unsigned payload)
{
	ImageFacts *facts = parse->facts;
	const uint8_t *bytes;
	unsigned	components;
	unsigned	height;
	unsigned	width;

	if (payload < 6)
		return facts_fail(parse, FACTS_DAMAGED, "has a frame header of %u bytes", payload);
	bytes = facts_bytes(parse->reader, position, 6);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");

	facts->bit_depth = bytes[0];
	height = facts_be16(bytes + 1);
	width = facts_be16(bytes + 3);
	components = bytes[5];

	if (width != 0 && height == 0)
		return facts_fail(parse, FACTS_UNSUPPORTED, "tells its height only after its pixels");
	if (facts->bit_depth < 2 || facts->bit_depth > 16)
		return facts_fail(parse, FACTS_DAMAGED, "claims %d bits a sample", facts->bit_depth);
	if (components == 0 || payload < 6 + 3 * components)
		return facts_fail(parse, FACTS_DAMAGED,
						  "has a frame header of %u bytes for %u components", payload, components);
	if (components > 5)
		return facts_fail(parse, FACTS_UNSUPPORTED, "has %u components", components);
	facts->channels = (int) components;

	bytes = facts_bytes(parse->reader, position + 6, 3 * components);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	for (unsigned i = 0; i < components && i < 3; i++)
		seen->component_ids[i] = bytes[3 * i];
	seen->frame = true;
	return facts_claim_size(parse, width, height);
}

/*
 * An application segment that tells something.
 */
static void
read_application(FactsParse *parse, JpegSeen *seen, int marker, uint64_t position,
				 unsigned payload)
{
	ImageFacts *facts = parse->facts;
	size_t		length = payload < 14 ? payload : 14;
	const uint8_t *bytes;

	/* The shortest identifier that counts has six bytes. */
	if (length < 6)
		return;
	bytes = facts_bytes(parse->reader, position, length);
	if (bytes == NULL)
		return;

	if (marker == 0xe0 && length >= 14 && memcmp(bytes, "JFIF", 5) == 0)
		seen->jfif = true;
	else if (marker == 0xe1 && memcmp(bytes, "Exif", 5) == 0)
	{
		/* The first one counts. */
		if (!facts->has_metadata)
			facts->orientation = facts_exif_orientation(parse->reader, position + 6, payload - 6);
		facts->has_metadata = true;
	}
	else if (marker == 0xe2 && length >= 14 && memcmp(bytes, "ICC_PROFILE", 12) == 0)
		facts->has_icc = true;
	else if (marker == 0xee && length >= 12 && memcmp(bytes, "Adobe", 5) == 0)
	{
		seen->adobe = true;
		seen->adobe_transform = bytes[11];
	}
}

/*
 * The colour space of the samples, told as libjpeg tells it.
 */
static FactsColor
color_space(const JpegSeen *seen, int components)
{
	switch (components)
	{
		case 1:
			return FACTS_COLOR_GRAY;
		case 3:
			if (seen->jfif)
				return FACTS_COLOR_YCBCR;
			if (seen->adobe)
				return seen->adobe_transform == 0 ? FACTS_COLOR_RGB : FACTS_COLOR_YCBCR;
			if (memcmp(seen->component_ids, "RGB", 3) == 0)
				return FACTS_COLOR_RGB;
			return FACTS_COLOR_YCBCR;
		case 4:
			if (seen->adobe && seen->adobe_transform != 0)
				return FACTS_COLOR_YCCK;
			return FACTS_COLOR_CMYK;
		default:
			return FACTS_COLOR_UNKNOWN;
	}
}

FactsStatus
facts_parse_jpeg(FactsParse *parse)
{
	JpegSeen	seen = {0};
	unsigned	stray = JPEG_MAX_STRAY;
	uint64_t	position = 2;	/* behind the start of image */
	int			markers;

	for (markers = 0; markers < JPEG_MAX_MARKERS; markers++)
	{
		FactsStatus status;
		const uint8_t *bytes;
		unsigned	length;
		int			marker;

		/* behind the frame header nothing is worth a search */
		if (seen.frame && stray > JPEG_STRAY_BEHIND)
			stray = JPEG_STRAY_BEHIND;
		marker = next_marker(parse->reader, &position, &stray);
		if (marker < 0)
			break;

		if (marker == 0xd9)
			return facts_fail(parse, FACTS_DAMAGED, "has no picture in it");
		if (marker == 0xda)
		{
			if (!seen.frame)
				return facts_fail(parse, FACTS_DAMAGED, "has a scan before its frame header");
			break;
		}
		if (marker == 0xd8)
		{
			if (!seen.frame)
				return facts_fail(parse, FACTS_DAMAGED, "starts twice");
			break;
		}
		if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7))
			continue;			/* these stand alone */

		bytes = facts_bytes(parse->reader, position, 2);
		if (bytes == NULL)
			break;
		length = facts_be16(bytes);
		if (length < 2)
		{
			if (!seen.frame)
				return facts_fail(parse, FACTS_DAMAGED, "has a segment of %u bytes", length);
			break;
		}

		if (marker == 0xf7)
			return facts_fail(parse, FACTS_UNSUPPORTED, "is JPEG-LS");
		if (marker >= 0xc0 && marker <= 0xcf &&
			marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
		{
			if (seen.frame)
				break;
			status = read_frame(parse, &seen, position + 2, length - 2);
			if (status != FACTS_OK)
				return status;
		}
		else if (marker >= 0xe0 && marker <= 0xef)
			read_application(parse, &seen, marker, position + 2, length - 2);

		position += length;
	}

	if (!seen.frame)
	{
		if (markers == JPEG_MAX_MARKERS)
			return facts_fail(parse, FACTS_DAMAGED, "has no frame header among its first %d markers",
							  JPEG_MAX_MARKERS);
		if (stray == 0)
			return facts_fail(parse, FACTS_DAMAGED, "has no frame header, only stray bytes");
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	}
	parse->facts->color = color_space(&seen, parse->facts->channels);
	return FACTS_OK;
}
