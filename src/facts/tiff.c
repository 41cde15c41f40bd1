/*-------------------------------------------------------------------------
 *
 * tiff.c
 *	  Header facts of TIFF and BigTIFF: those of the first directory, and the
 *	  number of directories in the chain.
 *
 *-------------------------------------------------------------------------
 */
#include "exif.h"

#include <inttypes.h>

#define TIFF_MAX_ENTRIES	1024	/* of the first directory */
#define TIFF_MAX_PAGES		16384	/* counted; more are not worth the walk */
#define TIFF_MAX_CHANNELS	5

#define TIFF_WIDTH			256
#define TIFF_HEIGHT			257
#define TIFF_BITS			258
#define TIFF_PHOTOMETRIC	262
#define TIFF_SAMPLES		277
#define TIFF_EXTRA_SAMPLES	338
#define TIFF_EXIF			34665
#define TIFF_ICC			34675

/* What the tags of the first directory say; photometric -1 if nothing. */
typedef struct TiffTags
{
	uint64_t	width;
	uint64_t	height;
	uint64_t	bits;
	uint64_t	samples;
	int64_t		photometric;
	bool		has_alpha;
} TiffTags;

/*
 * Takes in one entry.  Values that can't be read are as if they were not
 * there.
 */
static void
read_tag(const ExifBlock *block, const ExifEntry *entry, TiffTags *tags,
		 ImageFacts *facts)
{
	uint64_t	value;

	switch (entry->tag)
	{
		case TIFF_EXIF:
			facts->has_metadata = true;
			return;
		case TIFF_ICC:
			facts->has_icc = entry->count > 0;
			return;
		case TIFF_EXTRA_SAMPLES:
			/* associated alpha or not; 0 is for anything else */
			for (uint64_t i = 0; i < TIFF_MAX_CHANNELS; i++)
			{
				if (facts_exif_value(block, entry, i, &value) &&
					(value == 1 || value == 2))
					tags->has_alpha = true;
			}
			return;
	}

	if (!facts_exif_value(block, entry, 0, &value))
		return;
	switch (entry->tag)
	{
		case TIFF_WIDTH:
			tags->width = value;
			break;
		case TIFF_HEIGHT:
			tags->height = value;
			break;
		case TIFF_BITS:
			tags->bits = value;
			break;
		case TIFF_SAMPLES:
			tags->samples = value;
			break;
		case TIFF_PHOTOMETRIC:
			tags->photometric = value <= UINT16_MAX ? (int64_t) value : -1;
			break;
		case EXIF_TAG_ORIENTATION:
			if (value >= 1 && value <= 8)
				facts->orientation = (int) value;
			break;
	}
}

static FactsColor
color_space(int64_t photometric)
{
	switch (photometric)
	{
		case 0:					/* white is zero */
		case 1:					/* black is zero */
		case 4:					/* a mask */
			return FACTS_COLOR_GRAY;
		case 2:
			return FACTS_COLOR_RGB;
		case 3:
			return FACTS_COLOR_PALETTE;
		case 5:
			return FACTS_COLOR_CMYK;
		case 6:
			return FACTS_COLOR_YCBCR;
		case 8:
		case 9:
		case 10:
			return FACTS_COLOR_LAB;
		default:
			return FACTS_COLOR_UNKNOWN;
	}
}

/*
 * Follows the chain of directories.  A mark that is set anew at every power
 * of two of steps finds any circle, without a list of where we were.
 */
static FactsStatus
count_pages(FactsParse *parse, const ExifBlock *block, ExifDirectory directory,
			uint64_t first)
{
	uint64_t	mark = first;
	uint32_t	pages = 1;

	while (pages < TIFF_MAX_PAGES)
	{
		uint64_t	next = facts_exif_next_directory(block, &directory);

		if (!facts_exif_directory(block, next, &directory))
			break;				/* the end, or cut short */
		if (next == mark)
			return facts_fail(parse, FACTS_DAMAGED, "has pages that go round in a circle");
		if ((pages & (pages - 1)) == 0)
			mark = next;
		pages++;
	}
	parse->facts->frames = pages;
	return FACTS_OK;
}

FactsStatus
facts_parse_tiff(FactsParse *parse)
{
	ImageFacts *facts = parse->facts;
	TiffTags	tags = {.bits = 1, .samples = 1, .photometric = -1};
	ExifBlock	block;
	ExifDirectory directory;
	uint64_t	first;
	FactsStatus status;

	if (!facts_exif_open(&block, parse->reader, 0, UINT64_MAX, &first))
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	if (!facts_exif_directory(&block, first, &directory))
		return facts_fail(parse, FACTS_DAMAGED, "ends before its first directory");
	if (directory.entries > TIFF_MAX_ENTRIES)
		return facts_fail(parse, FACTS_DAMAGED, "claims a directory of %" PRIu64 " entries",
						  directory.entries);

	for (uint64_t i = 0; i < directory.entries; i++)
	{
		ExifEntry	entry;

		if (!facts_exif_entry(&block, &directory, i, &entry))
			return facts_fail(parse, FACTS_DAMAGED, "ends inside its first directory");
		read_tag(&block, &entry, &tags, facts);
	}

	status = facts_claim_size(parse, tags.width, tags.height);
	if (status != FACTS_OK)
		return status;
	if (tags.bits == 0 || tags.bits > 64 || tags.samples == 0)
		return facts_fail(parse, FACTS_DAMAGED, "claims %" PRIu64 " samples of %" PRIu64 " bits",
						  tags.samples, tags.bits);
	if (tags.samples > TIFF_MAX_CHANNELS)
		return facts_fail(parse, FACTS_UNSUPPORTED, "has %" PRIu64 " channels", tags.samples);

	facts->color = color_space(tags.photometric);
	facts->bit_depth = (int) tags.bits;
	/* The alpha of one sample alone would be all of the picture. */
	facts->has_alpha = tags.has_alpha && tags.samples > 1;
	facts->channels = (int) tags.samples;
	if (facts->color == FACTS_COLOR_PALETTE)
		facts->channels = facts->has_alpha ? 4 : 3;

	if (parse->count_frames)
		return count_pages(parse, &block, directory, first);
	return FACTS_OK;
}
