/*-------------------------------------------------------------------------
 *
 * gif.c
 *	  Header facts of GIF.
 *
 * Up to the first image for the facts, and through to the end if the frames
 * are to be counted, which no header tells.
 *
 * The size is the logical screen's.  Some writers leave that 0 x 0; then it
 * is what holds the first frame, as in browsers.  (A first frame that goes
 * beyond a screen that has a size is clipped here, as most decoders do;
 * Chromium enlarges the screen for it, Firefox replaces the screen by it.)
 *
 *-------------------------------------------------------------------------
 */
#include "reader.h"

#include <string.h>

/* What stands before an image and belongs to it. */
typedef struct GifWalk
{
	FactsReader *reader;
	uint64_t	position;
	size_t		ahead;			/* how much to fetch at a time */
	bool		transparent;	/* as the last graphic control said */
} GifWalk;

/*
 * Skips data sub-blocks up to and including the empty one that ends them;
 * false if the value ends before.
 */
static bool
skip_sub_blocks(GifWalk *walk)
{
	for (;;)
	{
		const uint8_t *bytes = facts_bytes_ahead(walk->reader, walk->position, 1, walk->ahead);
		unsigned	length;

		if (bytes == NULL)
			return false;
		length = *bytes;
		walk->position += 1 + length;
		if (length == 0)
			return true;
	}
}

/*
 * Moves to behind the next image separator.  False at the trailer, at the
 * end, and at anything else that can't begin a block: there browsers end the
 * picture, too.
 */
static bool
next_image(GifWalk *walk)
{
	walk->transparent = false;
	for (;;)
	{
		const uint8_t *bytes = facts_bytes_ahead(walk->reader, walk->position, 1, walk->ahead);

		if (bytes == NULL)
			return false;
		if (*bytes == 0x2c)
		{
			walk->position++;
			return true;
		}
		if (*bytes != 0x21)
			return false;

		bytes = facts_bytes_ahead(walk->reader, walk->position, 4, walk->ahead);
		if (bytes == NULL)
			return false;
		if (bytes[1] == 0xf9 && bytes[2] >= 4)
			walk->transparent = bytes[3] & 1;
		walk->position += 2;
		if (!skip_sub_blocks(walk))
			return false;
	}
}

/*
 * Skips an image: its descriptor of nine bytes, its colour table, its pixels.
 */
static bool
skip_image(GifWalk *walk, unsigned flags)
{
	walk->position += 9;
	if (flags & 0x80)
		walk->position += (uint64_t) 3 << ((flags & 7) + 1);
	walk->position++;			/* the smallest code's size */
	return skip_sub_blocks(walk);
}

FactsStatus
facts_parse_gif(FactsParse *parse)
{
	ImageFacts *facts = parse->facts;
	GifWalk		walk = {parse->reader, 13, FACTS_FETCH_USUAL, false};
	const uint8_t *bytes;
	uint32_t	screen_width;
	uint32_t	screen_height;
	uint32_t	left;
	uint32_t	top;
	uint32_t	width;
	uint32_t	height;
	unsigned	screen_flags;
	unsigned	flags;
	FactsStatus status;

	bytes = facts_bytes(parse->reader, 0, 13);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	screen_width = facts_le16(bytes + 6);
	screen_height = facts_le16(bytes + 8);
	screen_flags = bytes[10];
	if (screen_flags & 0x80)
		walk.position += (uint64_t) 3 << ((screen_flags & 7) + 1);

	if (!next_image(&walk) && walk.position < parse->reader->total)
		return facts_fail(parse, FACTS_DAMAGED, "has no picture in it");
	bytes = facts_bytes(parse->reader, walk.position, 9);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends before its first picture");
	left = facts_le16(bytes);
	top = facts_le16(bytes + 2);
	width = facts_le16(bytes + 4);
	height = facts_le16(bytes + 6);
	flags = bytes[8];

	/* An image without a size is as large as the screen. */
	if (width == 0 || height == 0)
	{
		width = screen_width;
		height = screen_height;
	}
	status = facts_claim_size(parse,
							  screen_width != 0 || width == 0 ? screen_width : left + width,
							  screen_height != 0 || height == 0 ? screen_height : top + height);
	if (status != FACTS_OK)
		return status;

	facts->color = FACTS_COLOR_PALETTE;
	facts->bit_depth = (flags & 0x80) ? (int) (flags & 7) + 1 :
		(screen_flags & 0x80) ? (int) (screen_flags & 7) + 1 : 8;
	facts->has_alpha = walk.transparent || left > 0 || top > 0 ||
		left + width < facts->width || top + height < facts->height;
	facts->channels = facts->has_alpha ? 4 : 3;

	if (!parse->count_frames)
		return FACTS_OK;

	/* All of the value passes by from here on: take it in large pieces. */
	walk.ahead = FACTS_FETCH_LARGEST;
	while (skip_image(&walk, flags) && next_image(&walk))
	{
		bytes = facts_bytes_ahead(parse->reader, walk.position, 9, walk.ahead);
		if (bytes == NULL || facts->frames == UINT32_MAX)
			break;
		flags = bytes[8];
		facts->frames++;
	}
	facts->animated = facts->frames > 1;
	return FACTS_OK;
}
