/*-------------------------------------------------------------------------
 *
 * webp.c
 *	  Header facts of WebP.
 *
 * A WebP is a RIFF file: either one chunk with a picture, VP8 (lossy) or VP8L
 * (lossless), or, when the first chunk is VP8X, a canvas with a row of chunks
 * in this order:
 *
 *		VP8X  ICCP?  ANIM?  (ALPH? VP8 | VP8L | ANMF...)  EXIF?  XMP?
 *
 * Besides the facts this finds out whether the file is exactly that and
 * nothing more (webp_exact), for then it may be passed on as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "exif.h"

#include <string.h>

#define WEBP_MAX_CHUNKS	32768

#define WEBP_ALPH	FACTS_FOURCC('A', 'L', 'P', 'H')
#define WEBP_ANIM	FACTS_FOURCC('A', 'N', 'I', 'M')
#define WEBP_ANMF	FACTS_FOURCC('A', 'N', 'M', 'F')
#define WEBP_EXIF	FACTS_FOURCC('E', 'X', 'I', 'F')
#define WEBP_ICCP	FACTS_FOURCC('I', 'C', 'C', 'P')
#define WEBP_VP8	FACTS_FOURCC('V', 'P', '8', ' ')
#define WEBP_VP8L	FACTS_FOURCC('V', 'P', '8', 'L')
#define WEBP_VP8X	FACTS_FOURCC('V', 'P', '8', 'X')
#define WEBP_XMP	FACTS_FOURCC('X', 'M', 'P', ' ')

/* Flags of VP8X. */
#define WEBP_HAS_ANIMATION	0x02
#define WEBP_HAS_XMP		0x04
#define WEBP_HAS_EXIF		0x08
#define WEBP_HAS_ALPHA		0x10
#define WEBP_HAS_ICC		0x20
#define WEBP_KNOWN_FLAGS	0x3e

typedef struct WebpChunk
{
	uint32_t	type;
	uint32_t	length;
	uint64_t	data;
	uint64_t	next;			/* behind the padding */
} WebpChunk;

/* A VP8 or VP8L picture's own header. */
typedef struct WebpPicture
{
	uint32_t	width;
	uint32_t	height;
	bool		lossless;
	bool		has_alpha;
} WebpPicture;

typedef enum WebpResult
{
	WEBP_FOUND,
	WEBP_CUT,					/* the value ends first */
	WEBP_NONSENSE
} WebpResult;

/* What of an extended file was seen. */
typedef struct WebpWalk
{
	FactsParse *parse;
	uint64_t	end;			/* of the RIFF file, as it claims */
	uint8_t		flags;
	uint8_t		seen;			/* the flags that the chunks bear out */
	bool		alpha_chunk;	/* ALPH before the still picture */
	bool		picture;		/* the still picture, or a frame */
	bool		exact;
} WebpWalk;

/*
 * The chunk at a position of something that ends at "end"; its data may not
 * be all there.  False when its header is not.
 */
static bool
read_chunk(FactsReader *reader, uint64_t position, uint64_t end, WebpChunk *chunk)
{
	const uint8_t *bytes;

	if (position > end || end - position < 8)
		return false;
	bytes = facts_bytes_ahead(reader, position, 8, 2 * FACTS_AHEAD_LEAP);
	if (bytes == NULL)
		return false;
	chunk->type = facts_be32(bytes);
	chunk->length = facts_le32(bytes + 4);
	chunk->data = position + 8;
	chunk->next = chunk->data + chunk->length + (chunk->length & 1);
	return true;
}

/*
 * The header in a VP8 or VP8L chunk.
 */
static WebpResult
read_picture(FactsReader *reader, const WebpChunk *chunk, WebpPicture *picture)
{
	const uint8_t *bytes;
	uint32_t	word;

	memset(picture, 0, sizeof(*picture));
	if (chunk->type == WEBP_VP8L)
	{
		if (chunk->length < 5)
			return WEBP_NONSENSE;
		bytes = facts_bytes(reader, chunk->data, 5);
		if (bytes == NULL)
			return WEBP_CUT;
		word = facts_le32(bytes + 1);
		if (bytes[0] != 0x2f || word >> 29 != 0)
			return WEBP_NONSENSE;
		picture->lossless = true;
		picture->width = (word & 0x3fff) + 1;
		picture->height = (word >> 14 & 0x3fff) + 1;
		picture->has_alpha = word >> 28 & 1;
		return WEBP_FOUND;
	}

	if (chunk->length < 10)
		return WEBP_NONSENSE;
	bytes = facts_bytes(reader, chunk->data, 10);
	if (bytes == NULL)
		return WEBP_CUT;
	/* a key frame, of a known profile, that is to be shown, and its mark */
	if ((bytes[0] & 1) != 0 || (bytes[0] >> 1 & 7) > 3 || (bytes[0] >> 4 & 1) == 0 ||
		memcmp(bytes + 3, "\x9d\x01\x2a", 3) != 0)
		return WEBP_NONSENSE;
	picture->width = facts_le16(bytes + 6) & 0x3fff;
	picture->height = facts_le16(bytes + 8) & 0x3fff;
	return WEBP_FOUND;
}

/*
 * A file that is one picture.
 */
static FactsStatus
read_simple(FactsParse *parse, const WebpChunk *chunk, uint64_t end)
{
	ImageFacts *facts = parse->facts;
	WebpPicture picture;

	switch (read_picture(parse->reader, chunk, &picture))
	{
		case WEBP_CUT:
			return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
		case WEBP_NONSENSE:
			return facts_fail(parse, FACTS_DAMAGED, "has a picture header that makes no sense");
		case WEBP_FOUND:
			break;
	}
	facts->webp_lossless = picture.lossless;
	facts->has_alpha = picture.has_alpha;
	facts->webp_exact = chunk->next == end + (end & 1) && chunk->data + chunk->length <= end &&
		end + (end & 1) == parse->reader->total;
	return facts_claim_size(parse, picture.width, picture.height);
}

/*
 * A frame of an animation: where it lies, and the chunks of its picture.
 */
static WebpResult
read_frame(WebpWalk *walk, const WebpChunk *frame)
{
	ImageFacts *facts = walk->parse->facts;
	FactsReader *reader = walk->parse->reader;
	const uint8_t *bytes;
	uint64_t	end = frame->data + frame->length;
	uint64_t	position = frame->data + 16;
	uint64_t	x;
	uint64_t	y;
	uint32_t	width;
	uint32_t	height;
	bool		alpha_chunk = false;
	WebpChunk	chunk;
	WebpPicture picture;
	WebpResult	result;

	if (frame->length < 16)
		return WEBP_NONSENSE;
	bytes = facts_bytes_ahead(reader, frame->data, 16, FACTS_AHEAD_LEAP);
	if (bytes == NULL)
		return WEBP_CUT;
	x = (uint64_t) facts_le24(bytes) * 2;
	y = (uint64_t) facts_le24(bytes + 3) * 2;
	width = facts_le24(bytes + 6) + 1;
	height = facts_le24(bytes + 9) + 1;
	if (x + width > facts->width || y + height > facts->height)
		walk->exact = false;

	if (!read_chunk(reader, position, end, &chunk))
		return end > reader->total ? WEBP_CUT : WEBP_NONSENSE;
	if (chunk.type == WEBP_ALPH)
	{
		alpha_chunk = true;
		if (!read_chunk(reader, chunk.next, end, &chunk))
			return end > reader->total ? WEBP_CUT : WEBP_NONSENSE;
	}
	if (chunk.type != WEBP_VP8 && chunk.type != WEBP_VP8L)
		return WEBP_NONSENSE;
	result = read_picture(reader, &chunk, &picture);
	if (result != WEBP_FOUND)
		return result;

	if (picture.width != width || picture.height != height ||
		chunk.next != end + (end & 1) || (alpha_chunk && picture.lossless))
		walk->exact = false;
	if (alpha_chunk || picture.has_alpha)
		walk->seen |= WEBP_HAS_ALPHA;
	if (!walk->picture)
		facts->webp_lossless = picture.lossless;
	else if (facts->webp_lossless != picture.lossless)
		facts->webp_mixed = true;
	return WEBP_FOUND;
}

/*
 * Where in the order of chunks a kind of chunk stands; 0 if nowhere.
 */
static int
chunk_place(uint32_t type)
{
	switch (type)
	{
		case WEBP_ICCP:
			return 1;
		case WEBP_ANIM:
			return 2;
		case WEBP_ALPH:
			return 3;
		case WEBP_VP8:
		case WEBP_VP8L:
		case WEBP_ANMF:
			return 4;
		case WEBP_EXIF:
			return 5;
		case WEBP_XMP:
			return 6;
		default:
			return 0;
	}
}

/*
 * One chunk behind VP8X.
 */
static FactsStatus
read_extended_chunk(WebpWalk *walk, const WebpChunk *chunk)
{
	FactsParse *parse = walk->parse;
	ImageFacts *facts = parse->facts;
	WebpPicture picture;
	WebpResult	result;

	switch (chunk->type)
	{
		case WEBP_ICCP:
			facts->has_icc = true;
			walk->seen |= WEBP_HAS_ICC;
			break;

		case WEBP_ANIM:
			walk->seen |= WEBP_HAS_ANIMATION;
			if (chunk->length != 6)
				walk->exact = false;
			break;

		case WEBP_ALPH:
			/* frames have theirs inside them */
			if (facts->animated)
				walk->exact = false;
			walk->seen |= WEBP_HAS_ALPHA;
			walk->alpha_chunk = true;
			break;

		case WEBP_VP8:
		case WEBP_VP8L:
			if (facts->animated)
			{
				/* decoders pass over a still picture among frames */
				walk->exact = false;
				break;
			}
			if (walk->picture)
				break;			/* the first one counts */
			result = read_picture(parse->reader, chunk, &picture);
			if (result == WEBP_CUT)
				break;
			if (result == WEBP_NONSENSE)
				return facts_fail(parse, FACTS_DAMAGED,
								  "has a picture header that makes no sense");
			if (picture.width != facts->width || picture.height != facts->height)
				return facts_fail(parse, FACTS_DAMAGED,
								  "has a canvas and a picture of different sizes");
			walk->picture = true;
			facts->webp_lossless = picture.lossless;
			if (picture.lossless)
			{
				/* its own word on alpha is the last, as for decoders */
				facts->has_alpha = picture.has_alpha;
				if (picture.has_alpha)
					walk->seen |= WEBP_HAS_ALPHA;
				if (walk->alpha_chunk)
					walk->exact = false;
			}
			else if (walk->alpha_chunk)
				facts->has_alpha = true;
			break;

		case WEBP_ANMF:
			if (!facts->animated)
			{
				walk->exact = false;
				break;
			}
			result = read_frame(walk, chunk);
			if (result == WEBP_NONSENSE)
				return facts_fail(parse, FACTS_DAMAGED, "has a frame that makes no sense");
			if (result == WEBP_CUT)
				break;
			if (walk->picture && parse->count_frames)
				facts->frames++;
			walk->picture = true;
			break;

		case WEBP_EXIF:
			/* decoders pass over one that the flags do not announce */
			if ((walk->flags & ~walk->seen & WEBP_HAS_EXIF) != 0)
				facts->orientation = facts_exif_orientation(parse->reader, chunk->data,
															chunk->length);
			facts->has_metadata = true;
			walk->seen |= WEBP_HAS_EXIF;
			break;

		case WEBP_XMP:
			facts->has_metadata = true;
			walk->seen |= WEBP_HAS_XMP;
			break;
	}
	return FACTS_OK;
}

/*
 * The chunks behind VP8X, from position on.
 */
static FactsStatus
read_extended(WebpWalk *walk, uint64_t position)
{
	FactsParse *parse = walk->parse;
	ImageFacts *facts = parse->facts;
	WebpChunk	chunk;
	int			place = 0;
	int			chunks;

	for (chunks = 0; chunks < WEBP_MAX_CHUNKS; chunks++)
	{
		int			next_place;
		FactsStatus status;

		if (!read_chunk(parse->reader, position, walk->end, &chunk))
			break;

		/* kinds in their order, each once; only frames are many */
		next_place = chunk_place(chunk.type);
		if (next_place < place || next_place == 0 ||
			(next_place == place && chunk.type != WEBP_ANMF) ||
			chunk.data + chunk.length > walk->end)
			walk->exact = false;
		place = next_place;

		status = read_extended_chunk(walk, &chunk);
		if (status != FACTS_OK)
			return status;
		position = chunk.next;

		/* Behind the first frame there may be hundreds: not for nothing. */
		if (facts->animated && walk->picture && !parse->count_frames &&
			(walk->flags & (WEBP_HAS_EXIF | WEBP_HAS_XMP)) == 0)
			return FACTS_OK;
	}
	if (chunks == WEBP_MAX_CHUNKS)
		return facts_fail(parse, FACTS_UNSUPPORTED, "has more than %d chunks", WEBP_MAX_CHUNKS);
	if (!walk->picture && position <= parse->reader->total &&
		walk->end <= parse->reader->total)
		return facts_fail(parse, FACTS_DAMAGED, "has no picture in it");

	/*
	 * Alpha may be claimed and not used; the other flags must be as the
	 * chunks are.
	 */
	facts->webp_exact = walk->exact && walk->picture &&
		position == walk->end + (walk->end & 1) && position == parse->reader->total &&
		(walk->flags | WEBP_HAS_ALPHA) == (walk->seen | WEBP_HAS_ALPHA) &&
		(walk->flags & walk->seen) == walk->seen;
	return FACTS_OK;
}

FactsStatus
facts_parse_webp(FactsParse *parse)
{
	ImageFacts *facts = parse->facts;
	WebpWalk	walk = {.parse = parse, .exact = true};
	WebpChunk	chunk;
	const uint8_t *bytes;
	uint32_t	riff_size;
	uint64_t	width;
	uint64_t	height;
	FactsStatus status;

	bytes = facts_bytes(parse->reader, 0, 12);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	riff_size = facts_le32(bytes + 4);
	walk.end = (uint64_t) riff_size + 8;
	if (!read_chunk(parse->reader, 12, walk.end, &chunk))
		return facts_fail(parse, FACTS_DAMAGED,
						  walk.end < 20 ? "claims to be empty" : "ends inside its header");

	/* all files have these */
	facts->bit_depth = 8;
	facts->color = FACTS_COLOR_YCBCR;

	if (chunk.type == WEBP_VP8 || chunk.type == WEBP_VP8L)
		status = read_simple(parse, &chunk, walk.end);
	else if (chunk.type == WEBP_VP8X)
	{
		if (chunk.length < 10)
			return facts_fail(parse, FACTS_DAMAGED, "has a canvas header that makes no sense");
		bytes = facts_bytes(parse->reader, chunk.data, 10);
		if (bytes == NULL)
			return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
		walk.flags = bytes[0] & WEBP_KNOWN_FLAGS;
		walk.exact = chunk.length == 10 && walk.flags == bytes[0] &&
			facts_le24(bytes + 1) == 0;
		width = (uint64_t) facts_le24(bytes + 4) + 1;
		height = (uint64_t) facts_le24(bytes + 7) + 1;
		if (width * height > UINT32_MAX)
			return facts_fail(parse, FACTS_DAMAGED, "claims more pixels than there can be");
		status = facts_claim_size(parse, width, height);
		facts->has_alpha = (walk.flags & WEBP_HAS_ALPHA) != 0;
		facts->animated = (walk.flags & WEBP_HAS_ANIMATION) != 0;
		if (status == FACTS_OK)
			status = read_extended(&walk, chunk.next);
	}
	else
		return facts_fail(parse, FACTS_DAMAGED, "does not begin with a picture");

	if (facts->webp_lossless)
		facts->color = FACTS_COLOR_RGB;
	facts->channels = facts->has_alpha ? 4 : 3;
	return status;
}
