/*-------------------------------------------------------------------------
 *
 * heif.c
 *	  Header facts of HEIF and AVIF.
 *
 * Both are boxes within boxes (ISO/IEC 14496-12).  The box "meta" names a
 * primary item; "iprp" has an array of properties ("ipco") and a table that
 * says which item has which of them, in which order ("ipma").  A sequence has
 * its frames in the tracks of a box "moov" instead, and as a rule a primary
 * item besides.
 *
 * Every box has its place in this file and is looked for there only, so the
 * depth is that of our own calls; and a budget of steps for all of the file
 * bounds what is done for it.
 *
 *-------------------------------------------------------------------------
 */
#include "reader.h"

#include <string.h>

#define HEIF_MAX_STEPS			16384	/* boxes and table rows looked at */
#define HEIF_MAX_PROPERTIES		32	/* of one item */
#define HEIF_MAX_AUXILIARIES	16	/* looked through for the alpha plane */

#define BOX(name) FACTS_FOURCC((name)[0], (name)[1], (name)[2], (name)[3])

typedef struct HeifBox
{
	uint32_t	type;
	uint64_t	body;
	uint64_t	end;			/* never past the box around it */
} HeifBox;

typedef struct HeifWalk
{
	FactsReader *reader;
	ImageFacts *facts;
	int			steps;			/* left of HEIF_MAX_STEPS */
	/* the boxes that are needed together; absent ones have end 0 */
	HeifBox		properties;		/* ipco */
	HeifBox		item_properties;	/* iprp, where the ipma are */
	HeifBox		references;		/* iref */
	uint32_t	primary;
	bool		has_primary;
	/* of the picture as it grows */
	uint64_t	width;
	uint64_t	height;
	uint64_t	crop_width;		/* clean aperture; 0 if none */
	uint64_t	crop_height;
	int			turns;			/* quarter turns clockwise, after mirroring */
	bool		mirrored;		/* left to right, first of all */
	bool		monochrome;
	bool		identity;		/* RGB, coded as three planes */
} HeifWalk;

/* A full box's version and flags, and where its contents begin. */
typedef struct HeifVersion
{
	unsigned	version;
	uint32_t	flags;
	uint64_t	body;
} HeifVersion;

/*
 * The box at *position in something that ends at "end"; moves *position
 * behind it.  False when there is none, or the budget is used up.
 */
static bool
next_box(HeifWalk *walk, uint64_t *position, uint64_t end, HeifBox *box)
{
	const uint8_t *bytes;
	uint64_t	size;
	uint64_t	header = 8;

	if (walk->steps-- <= 0 || *position > end || end - *position < 8)
		return false;
	bytes = facts_bytes(walk->reader, *position, 8);
	if (bytes == NULL)
		return false;
	size = facts_be32(bytes);
	box->type = facts_be32(bytes + 4);
	if (size == 0)
		size = end - *position;
	else if (size == 1)
	{
		bytes = facts_bytes(walk->reader, *position, 16);
		if (bytes == NULL)
			return false;
		size = facts_be64(bytes + 8);
		header = 16;
	}
	if (size < header)
		return false;
	if (size > end - *position)
	{
		size = end - *position;
		if (size < header)
			return false;
	}
	box->body = *position + header;
	box->end = *position + size;
	*position = box->end;
	return true;
}

/*
 * The first box of a type in something; "end" 0 if there is none.
 */
static HeifBox
find_box(HeifWalk *walk, uint64_t position, uint64_t end, uint32_t type)
{
	HeifBox		box;

	while (next_box(walk, &position, end, &box))
	{
		if (box.type == type)
			return box;
	}
	memset(&box, 0, sizeof(box));
	return box;
}

/*
 * Bytes inside a box.
 */
static const uint8_t *
box_bytes(HeifWalk *walk, const HeifBox *box, uint64_t position, size_t length)
{
	if (position < box->body || position > box->end || length > box->end - position)
		return NULL;
	return facts_bytes(walk->reader, position, length);
}

static bool
read_version(HeifWalk *walk, const HeifBox *box, HeifVersion *version)
{
	const uint8_t *bytes = box_bytes(walk, box, box->body, 4);

	if (bytes == NULL)
		return false;
	version->version = bytes[0];
	version->flags = facts_be32(bytes) & 0xffffff;
	version->body = box->body + 4;
	return true;
}

/*
 * An item's number, of two or four bytes; moves *position behind it.
 */
static bool
read_item(HeifWalk *walk, const HeifBox *box, uint64_t *position, bool wide, uint32_t *item)
{
	const uint8_t *bytes = box_bytes(walk, box, *position, wide ? 4 : 2);

	if (bytes == NULL)
		return false;
	*item = wide ? facts_be32(bytes) : facts_be16(bytes);
	*position += wide ? 4 : 2;
	return true;
}

/*
 * The numbers, counted from 1, of the properties that an item has, in their
 * order.  Returns how many.
 */
static int
find_associations(HeifWalk *walk, uint32_t item, unsigned *numbers)
{
	uint64_t	boxes = walk->item_properties.body;
	HeifBox		box;

	while (next_box(walk, &boxes, walk->item_properties.end, &box))
	{
		HeifVersion version;
		const uint8_t *bytes;
		uint64_t	position;
		uint32_t	rows;

		if (box.type != BOX("ipma") || !read_version(walk, &box, &version))
			continue;
		bytes = box_bytes(walk, &box, version.body, 4);
		if (bytes == NULL)
			continue;
		rows = facts_be32(bytes);
		position = version.body + 4;

		for (uint32_t row = 0; row < rows && walk->steps-- > 0; row++)
		{
			size_t		size = version.flags & 1 ? 2 : 1;
			uint32_t	row_item;
			unsigned	count;

			if (!read_item(walk, &box, &position, version.version > 0, &row_item))
				break;
			bytes = box_bytes(walk, &box, position, 1);
			if (bytes == NULL)
				break;
			count = *bytes;
			position++;
			if (row_item != item)
			{
				position += count * size;
				continue;
			}

			if (count > HEIF_MAX_PROPERTIES)
				count = HEIF_MAX_PROPERTIES;
			if (count == 0)
				return 0;
			bytes = box_bytes(walk, &box, position, count * size);
			if (bytes == NULL)
				return 0;
			/* the topmost bit says whether it is essential */
			for (unsigned i = 0; i < count; i++)
				numbers[i] = size == 2 ? facts_be16(bytes + 2 * i) & 0x7fff : bytes[i] & 0x7f;
			return (int) count;
		}
	}
	return 0;
}

/*
 * The properties of an item, in their order; those not found have end 0.
 * Returns how many.
 */
static int
find_properties(HeifWalk *walk, uint32_t item, HeifBox *found)
{
	unsigned	numbers[HEIF_MAX_PROPERTIES];
	int			count = find_associations(walk, item, numbers);
	uint64_t	position = walk->properties.body;
	HeifBox		box;

	for (int i = 0; i < count; i++)
		memset(&found[i], 0, sizeof(found[i]));
	for (unsigned number = 1;
		 count > 0 && next_box(walk, &position, walk->properties.end, &box); number++)
	{
		for (int i = 0; i < count; i++)
		{
			if (numbers[i] == number)
				found[i] = box;
		}
	}
	return count;
}

/*
 * A codec's configuration: what it says of depth and colour.
 */
static void
read_configuration(HeifWalk *walk, const HeifBox *box)
{
	const uint8_t *bytes;

	if (box->type == BOX("av1C"))
	{
		bytes = box_bytes(walk, box, box->body, 4);
		if (bytes == NULL)
			return;
		walk->facts->bit_depth = (bytes[2] & 0x40) == 0 ? 8 : (bytes[2] & 0x20) == 0 ? 10 : 12;
		walk->monochrome = (bytes[2] & 0x10) != 0;
	}
	else
	{
		bytes = box_bytes(walk, box, box->body, 18);
		if (bytes == NULL)
			return;
		walk->monochrome = (bytes[16] & 3) == 0;
		walk->facts->bit_depth = (bytes[17] & 7) + 8;
	}
}

/*
 * The clean aperture: the middle of the picture, as large as two fractions
 * say.
 */
static void
read_crop(HeifWalk *walk, const HeifBox *box)
{
	const uint8_t *bytes = box_bytes(walk, box, box->body, 16);
	uint32_t	fraction[4];
	bool		turned = (walk->turns & 1) != 0;

	if (bytes == NULL)
		return;
	for (int i = 0; i < 4; i++)
		fraction[i] = facts_be32(bytes + 4 * i);
	if (fraction[1] == 0 || fraction[3] == 0)
		return;
	walk->crop_width = fraction[turned ? 2 : 0] / fraction[turned ? 3 : 1];
	walk->crop_height = fraction[turned ? 0 : 2] / fraction[turned ? 1 : 3];
}

/*
 * Takes in one property of the picture.  Turning and mirroring apply in the
 * order they come in.
 */
static void
read_property(HeifWalk *walk, const HeifBox *box)
{
	ImageFacts *facts = walk->facts;
	const uint8_t *bytes;

	switch (box->type)
	{
		case FACTS_FOURCC('i', 's', 'p', 'e'):
			bytes = box_bytes(walk, box, box->body, 12);
			if (bytes != NULL)
			{
				walk->width = facts_be32(bytes + 4);
				walk->height = facts_be32(bytes + 8);
			}
			break;

		case FACTS_FOURCC('c', 'l', 'a', 'p'):
			read_crop(walk, box);
			break;

		case FACTS_FOURCC('i', 'r', 'o', 't'):
			/* quarter turns anti-clockwise */
			bytes = box_bytes(walk, box, box->body, 1);
			if (bytes != NULL)
				walk->turns = (walk->turns - (*bytes & 3)) & 3;
			break;

		case FACTS_FOURCC('i', 'm', 'i', 'r'):
			/* 0 exchanges top and bottom, 1 left and right */
			bytes = box_bytes(walk, box, box->body, 1);
			if (bytes != NULL)
			{
				walk->turns = ((*bytes & 1 ? 0 : 2) - walk->turns) & 3;
				walk->mirrored = !walk->mirrored;
			}
			break;

		case FACTS_FOURCC('p', 'i', 'x', 'i'):
			bytes = box_bytes(walk, box, box->body, 6);
			if (bytes != NULL && bytes[4] > 0 && bytes[5] > 0 && bytes[5] <= 16)
			{
				facts->bit_depth = bytes[5];
				walk->monochrome = bytes[4] == 1;
			}
			break;

		case FACTS_FOURCC('c', 'o', 'l', 'r'):
			bytes = box_bytes(walk, box, box->body, 4);
			if (bytes == NULL)
				break;
			if (facts_be32(bytes) == BOX("prof") || facts_be32(bytes) == BOX("rICC"))
				facts->has_icc = true;
			else if (facts_be32(bytes) == BOX("nclx"))
			{
				bytes = box_bytes(walk, box, box->body, 10);
				if (bytes != NULL)
					walk->identity = facts_be16(bytes + 8) == 0;
			}
			break;

		case FACTS_FOURCC('a', 'v', '1', 'C'):
		case FACTS_FOURCC('h', 'v', 'c', 'C'):
			read_configuration(walk, box);
			break;
	}
}

/*
 * Whether an item is an alpha plane.
 */
static bool
is_alpha(HeifWalk *walk, uint32_t item)
{
	static const char *const kinds[] = {
		"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
		"urn:mpeg:hevc:2015:auxid:1",
		"urn:mpeg:avc:2015:auxid:1"
	};
	HeifBox		found[HEIF_MAX_PROPERTIES];
	int			count = find_properties(walk, item, found);

	for (int i = 0; i < count; i++)
	{
		if (found[i].type != BOX("auxC"))
			continue;
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		{
			size_t		length = strlen(kinds[k]) + 1;
			const uint8_t *bytes = box_bytes(walk, &found[i], found[i].body + 4, length);

			if (bytes != NULL && memcmp(bytes, kinds[k], length) == 0)
				return true;
		}
	}
	return false;
}

/*
 * Whether the primary item has an alpha plane: an item that refers to it as
 * its auxiliary, and is one for alpha.
 */
static bool
primary_has_alpha(HeifWalk *walk)
{
	HeifVersion version;
	HeifBox		box;
	uint64_t	boxes;
	int			auxiliaries = 0;

	if (walk->references.end == 0 || !read_version(walk, &walk->references, &version))
		return false;
	boxes = version.body;
	while (auxiliaries < HEIF_MAX_AUXILIARIES &&
		   next_box(walk, &boxes, walk->references.end, &box))
	{
		bool		wide = version.version > 0;
		uint64_t	position = box.body;
		uint32_t	from;
		uint32_t	to;
		const uint8_t *bytes;
		unsigned	count;

		if (box.type != BOX("auxl") || !read_item(walk, &box, &position, wide, &from))
			continue;
		bytes = box_bytes(walk, &box, position, 2);
		if (bytes == NULL)
			continue;
		count = facts_be16(bytes);
		position += 2;
		for (unsigned i = 0; i < count && walk->steps-- > 0; i++)
		{
			if (!read_item(walk, &box, &position, wide, &to))
				break;
			if (to != walk->primary)
				continue;
			if (is_alpha(walk, from))
				return true;
			auxiliaries++;
			break;
		}
	}
	return false;
}

/*
 * Whether one of the items is an EXIF block.
 */
static bool
has_exif_item(HeifWalk *walk, const HeifBox *items)
{
	HeifVersion version;
	HeifBox		box;
	uint64_t	position;

	if (!read_version(walk, items, &version))
		return false;
	position = version.body + (version.version == 0 ? 2 : 4);
	while (next_box(walk, &position, items->end, &box))
	{
		HeifVersion entry;
		const uint8_t *bytes;

		if (box.type != BOX("infe") || !read_version(walk, &box, &entry) || entry.version < 2)
			continue;
		/* behind the item's number and its protection */
		bytes = box_bytes(walk, &box, entry.body + (entry.version == 2 ? 4 : 6), 4);
		if (bytes != NULL && facts_be32(bytes) == BOX("Exif"))
			return true;
	}
	return false;
}

/*
 * The box meta: finds the primary item and takes in its properties.
 */
static void
read_meta(HeifWalk *walk, const HeifBox *meta)
{
	HeifVersion version;
	HeifBox		box;
	HeifBox		items = {0};
	HeifBox		found[HEIF_MAX_PROPERTIES];
	uint64_t	position;
	int			count;
	bool		configured = false;

	if (!read_version(walk, meta, &version))
		return;
	position = version.body;
	while (next_box(walk, &position, meta->end, &box))
	{
		HeifVersion inner;
		uint64_t	at;

		if (box.type == BOX("pitm") && read_version(walk, &box, &inner))
		{
			at = inner.body;
			walk->has_primary = read_item(walk, &box, &at, inner.version > 0, &walk->primary);
		}
		else if (box.type == BOX("iprp"))
			walk->item_properties = box;
		else if (box.type == BOX("iref"))
			walk->references = box;
		else if (box.type == BOX("iinf"))
			items = box;
	}
	if (!walk->has_primary || walk->item_properties.end == 0)
		return;

	walk->properties = find_box(walk, walk->item_properties.body, walk->item_properties.end,
								BOX("ipco"));
	count = find_properties(walk, walk->primary, found);

	/*
	 * A picture made of tiles has its codec's configuration with the tiles;
	 * the first one there is tells for all.
	 */
	for (int i = 0; i < count; i++)
	{
		if (found[i].type == BOX("av1C") || found[i].type == BOX("hvcC"))
			configured = true;
	}
	if (!configured)
	{
		position = walk->properties.body;
		while (next_box(walk, &position, walk->properties.end, &box))
		{
			if (box.type == BOX("av1C") || box.type == BOX("hvcC"))
			{
				read_configuration(walk, &box);
				break;
			}
		}
	}
	for (int i = 0; i < count; i++)
		read_property(walk, &found[i]);

	walk->facts->has_alpha = primary_has_alpha(walk);
	if (items.end != 0)
		walk->facts->has_metadata = has_exif_item(walk, &items);
}

/*
 * How many samples a track's table of sample sizes has; 0 if it claims more
 * than there is room for.
 */
static uint32_t
count_samples(HeifWalk *walk, const HeifBox *sizes)
{
	const uint8_t *bytes = box_bytes(walk, sizes, sizes->body, 12);
	uint32_t	size;
	uint32_t	count;

	if (bytes == NULL)
		return 0;
	size = facts_be32(bytes + 4);
	count = facts_be32(bytes + 8);
	/* all of one size, or a table of them */
	if (size != 0 ? count > walk->reader->total / size :
		count > (sizes->end - sizes->body - 12) / 4)
		return 0;
	return count;
}

/*
 * One track: its frames, and its size if no item told one.  False if it is
 * not one of pictures.
 */
static bool
read_track(HeifWalk *walk, const HeifBox *track)
{
	HeifBox		header = find_box(walk, track->body, track->end, BOX("tkhd"));
	HeifBox		media = find_box(walk, track->body, track->end, BOX("mdia"));
	HeifBox		box;
	HeifVersion version;
	const uint8_t *bytes;
	uint64_t	position;
	uint32_t	samples;

	box = find_box(walk, media.body, media.end, BOX("hdlr"));
	bytes = box_bytes(walk, &box, box.body + 8, 4);
	if (bytes == NULL ||
		(facts_be32(bytes) != BOX("pict") && facts_be32(bytes) != BOX("vide")))
		return false;

	box = find_box(walk, media.body, media.end, BOX("minf"));
	box = find_box(walk, box.body, box.end, BOX("stbl"));
	media = box;
	box = find_box(walk, media.body, media.end, BOX("stsz"));
	samples = count_samples(walk, &box);
	if (samples > 0)
		walk->facts->frames = samples;

	if (walk->width != 0 || !read_version(walk, &header, &version))
		return true;
	/* 16.16 fixed, at the end of the header, whose times have two widths */
	bytes = box_bytes(walk, &header, header.body + (version.version == 1 ? 88 : 76), 8);
	if (bytes == NULL)
		return true;
	walk->width = facts_be16(bytes);
	walk->height = facts_be16(bytes + 4);

	/* The sample's description has properties behind its fixed 78 bytes. */
	box = find_box(walk, media.body, media.end, BOX("stsd"));
	position = box.body + 8;
	if (box.end != 0 && next_box(walk, &position, box.end, &media))
	{
		position = media.body + 78;
		while (next_box(walk, &position, media.end, &box))
		{
			if (box.type == BOX("av1C") || box.type == BOX("hvcC") ||
				box.type == BOX("colr"))
				read_property(walk, &box);
		}
	}
	return true;
}

FactsStatus
facts_parse_heif(FactsParse *parse)
{
	/* EXIF's number for "mirror or not, then turn so often" */
	static const int orientations[2][4] = {{1, 6, 3, 8}, {2, 7, 4, 5}};
	ImageFacts *facts = parse->facts;
	HeifWalk	walk = {.reader = parse->reader, .facts = facts, .steps = HEIF_MAX_STEPS};
	const uint8_t *bytes;
	HeifBox		box;
	uint64_t	position = 0;
	uint32_t	brand;
	bool		sequence;
	bool		seen_meta = false;
	bool		seen_movie = false;

	/* the major brand says which of items and tracks to show */
	bytes = facts_bytes(parse->reader, 8, 4);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	brand = facts_be32(bytes);
	sequence = brand == BOX("avis") || brand == BOX("msf1") ||
		brand == BOX("hevc") || brand == BOX("hevx") ||
		brand == BOX("hevm") || brand == BOX("hevs");

	facts->bit_depth = 8;
	while ((!seen_meta || (sequence && !seen_movie)) &&
		   next_box(&walk, &position, parse->reader->total, &box))
	{
		if (box.type == BOX("meta") && !seen_meta)
		{
			seen_meta = true;
			read_meta(&walk, &box);
		}
		else if (box.type == BOX("moov") && sequence && !seen_movie)
		{
			uint64_t	tracks = box.body;
			HeifBox		track;

			seen_movie = true;
			while (next_box(&walk, &tracks, box.end, &track))
			{
				if (track.type == BOX("trak") && read_track(&walk, &track))
					break;
			}
		}
	}
	if (walk.steps <= 0)
		return facts_fail(parse, FACTS_UNSUPPORTED, "has too many boxes before its picture");
	if (walk.width == 0 && walk.height == 0)
		return facts_fail(parse, FACTS_DAMAGED, "does not tell the size of its picture");

	/* what is left when it is cropped is all that anybody sees */
	if (walk.crop_width > 0 && walk.crop_width <= walk.width &&
		walk.crop_height > 0 && walk.crop_height <= walk.height)
	{
		walk.width = walk.crop_width;
		walk.height = walk.crop_height;
	}
	facts->orientation = orientations[walk.mirrored][walk.turns];
	facts->animated = facts->frames > 1;
	facts->channels = walk.monochrome ? 1 : 3;
	if (facts->has_alpha)
		facts->channels++;
	facts->color = walk.monochrome ? FACTS_COLOR_GRAY :
		walk.identity ? FACTS_COLOR_RGB : FACTS_COLOR_YCBCR;
	return facts_claim_size(parse, walk.width, walk.height);
}
