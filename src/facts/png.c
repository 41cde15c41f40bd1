/*-------------------------------------------------------------------------
 *
 * png.c
 *	  Header facts of PNG and APNG.
 *
 * Everything stands before the pixels but the EXIF block, which many writers
 * put after them.  To get there the headers of the IDAT chunks are leapt over,
 * and because encoders cut them all to one length, not each of them: see
 * skip_equal_chunks.
 *
 *-------------------------------------------------------------------------
 */
#include "exif.h"

#include <inttypes.h>
#include <string.h>

#define PNG_SIGNATURE_SIZE	8
#define PNG_CHUNK_FRAME		12		/* length, type and CRC of a chunk */
#define PNG_MAX_CHUNKS		4096	/* looked at before, and after, pixels */
#define PNG_MAX_SIDE		0x7fffffff

#define PNG_ACTL	FACTS_FOURCC('a', 'c', 'T', 'L')
#define PNG_CGBI	FACTS_FOURCC('C', 'g', 'B', 'I')
#define PNG_EXIF	FACTS_FOURCC('e', 'X', 'I', 'f')
#define PNG_ICCP	FACTS_FOURCC('i', 'C', 'C', 'P')
#define PNG_IDAT	FACTS_FOURCC('I', 'D', 'A', 'T')
#define PNG_IEND	FACTS_FOURCC('I', 'E', 'N', 'D')
#define PNG_IHDR	FACTS_FOURCC('I', 'H', 'D', 'R')
#define PNG_TRNS	FACTS_FOURCC('t', 'R', 'N', 'S')

typedef struct PngChunk
{
	uint32_t	type;
	uint32_t	length;			/* of the data, at most PNG_MAX_SIDE */
	uint64_t	data;
	uint64_t	next;			/* the chunk behind it */
} PngChunk;

/*
 * The chunk at a position; false when the value ends before its data, or
 * there can't be a chunk.
 */
static bool
read_chunk(FactsReader *reader, uint64_t position, size_t ahead, PngChunk *chunk)
{
	const uint8_t *bytes = facts_bytes_ahead(reader, position, 8, ahead);

	if (bytes == NULL)
		return false;
	chunk->length = facts_be32(bytes);
	chunk->type = facts_be32(bytes + 4);
	chunk->data = position + 8;
	chunk->next = position + PNG_CHUNK_FRAME + chunk->length;
	if (chunk->length > PNG_MAX_SIDE)
		return false;
	for (int i = 4; i < 8; i++)
	{
		uint8_t		letter = bytes[i] | 0x20;

		if (letter < 'a' || letter > 'z')
			return false;
	}
	return true;
}

/*
 * Given the first of a run of chunks, gives the last one of the run that has
 * the same type and length: guesses where the chunk 1, 2, 4... further on
 * begins, and halves the step when it is not there.  A match is no proof, but
 * a file has to be made for it to be fooled, and is then the only one to be.
 */
static uint64_t
skip_equal_chunks(FactsReader *reader, uint64_t position, const PngChunk *first)
{
	uint64_t	stride = PNG_CHUNK_FRAME + (uint64_t) first->length;
	uint64_t	step = 1;
	bool		growing = true;

	while (step > 0)
	{
		PngChunk	guess;

		if (position < reader->total &&
			step <= (reader->total - position) / stride &&
			read_chunk(reader, position + step * stride, FACTS_AHEAD_LEAP, &guess) &&
			guess.type == first->type && guess.length == first->length)
		{
			position += step * stride;
			if (growing)
			{
				step *= 2;
				continue;
			}
		}
		else
			growing = false;
		step /= 2;
	}
	return position;
}

/*
 * CRC-32 of a few bytes; too few for a table to be worth it.
 */
static uint32_t
crc32_of(const uint8_t *bytes, size_t length)
{
	uint32_t	crc = 0xffffffff;

	for (size_t i = 0; i < length; i++)
	{
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/*
 * The header chunk.  Its CRC is checked, because every decoder does and
 * refuses the picture.
 */
static FactsStatus
read_header(FactsParse *parse, uint64_t position)
{
	ImageFacts *facts = parse->facts;
	const uint8_t *bytes = facts_bytes(parse->reader, position, 25);
	uint32_t	width;
	uint32_t	height;
	int			depths;			/* a bit for each depth that is allowed */

	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	if (facts_be32(bytes) != 13 || facts_be32(bytes + 4) != PNG_IHDR)
		return facts_fail(parse, FACTS_DAMAGED, "does not begin with its header");
	if (crc32_of(bytes + 4, 17) != facts_be32(bytes + 21))
		return facts_fail(parse, FACTS_DAMAGED, "has a header whose checksum is wrong");

	width = facts_be32(bytes + 8);
	height = facts_be32(bytes + 12);
	facts->bit_depth = bytes[16];
	switch (bytes[17])
	{
		case 0:
			facts->color = FACTS_COLOR_GRAY;
			facts->channels = 1;
			depths = 1 | 2 | 4 | 8 | 16;
			break;
		case 2:
			facts->color = FACTS_COLOR_RGB;
			facts->channels = 3;
			depths = 8 | 16;
			break;
		case 3:
			facts->color = FACTS_COLOR_PALETTE;
			facts->channels = 3;
			depths = 1 | 2 | 4 | 8;
			break;
		case 4:
			facts->color = FACTS_COLOR_GRAY;
			facts->channels = 2;
			facts->has_alpha = true;
			depths = 8 | 16;
			break;
		case 6:
			facts->color = FACTS_COLOR_RGB;
			facts->channels = 4;
			facts->has_alpha = true;
			depths = 8 | 16;
			break;
		default:
			return facts_fail(parse, FACTS_DAMAGED, "claims colour type %d", bytes[17]);
	}
	if ((facts->bit_depth & (facts->bit_depth - 1)) != 0 || (facts->bit_depth & depths) == 0)
		return facts_fail(parse, FACTS_DAMAGED, "claims %d bits a sample for colour type %d",
						  facts->bit_depth, bytes[17]);
	if (bytes[18] != 0 || bytes[19] != 0 || bytes[20] > 1)
		return facts_fail(parse, FACTS_DAMAGED,
						  "claims unknown methods of compression, filtering or interlacing");
	if (width > PNG_MAX_SIDE || height > PNG_MAX_SIDE)
		return facts_fail(parse, FACTS_DAMAGED, "claims %" PRIu32 " x %" PRIu32 " pixels",
						  width, height);
	return facts_claim_size(parse, width, height);
}

/*
 * A chunk that tells something and may stand before the pixels or after.
 */
static void
read_exif(FactsParse *parse, const PngChunk *chunk)
{
	if (!parse->facts->has_metadata)
		parse->facts->orientation =
			facts_exif_orientation(parse->reader, chunk->data, chunk->length);
	parse->facts->has_metadata = true;
}

/*
 * The chunks between header and pixels.  Gives the position of the first IDAT
 * chunk, or the end of what is there.
 */
static FactsStatus
read_before_pixels(FactsParse *parse, uint64_t *position)
{
	ImageFacts *facts = parse->facts;
	PngChunk	chunk;
	const uint8_t *bytes;

	for (int i = 0; i < PNG_MAX_CHUNKS; i++)
	{
		if (!read_chunk(parse->reader, *position, FACTS_FETCH_USUAL, &chunk))
			return FACTS_OK;	/* cut short, or left to the decoder */

		switch (chunk.type)
		{
			case PNG_IDAT:
				return FACTS_OK;
			case PNG_IEND:
				return facts_fail(parse, FACTS_DAMAGED, "has no pixels in it");
			case PNG_TRNS:
				/* forbidden, so without a meaning, where there is alpha */
				if (!facts->has_alpha)
				{
					facts->has_alpha = true;
					facts->channels++;
				}
				break;
			case PNG_ICCP:
				facts->has_icc = true;
				break;
			case PNG_ACTL:
				bytes = chunk.length == 8 ? facts_bytes(parse->reader, chunk.data, 8) : NULL;
				if (bytes != NULL && facts_be32(bytes) != 0 &&
					facts_be32(bytes) <= PNG_MAX_SIDE)
				{
					facts->frames = facts_be32(bytes);
					facts->animated = facts->frames > 1;
				}
				break;
			case PNG_EXIF:
				read_exif(parse, &chunk);
				break;
		}
		*position = chunk.next;
	}
	return FACTS_OK;
}

/*
 * The chunks behind the pixels, for the EXIF block.  The picture is told
 * already: whatever is wrong here ends the search, no more.
 */
static void
read_behind_pixels(FactsParse *parse, uint64_t position)
{
	PngChunk	chunk;

	for (int i = 0; i < PNG_MAX_CHUNKS; i++)
	{
		if (!read_chunk(parse->reader, position, FACTS_AHEAD_LEAP, &chunk))
			return;
		if (chunk.type == PNG_IEND)
			return;
		if (chunk.type == PNG_EXIF)
		{
			read_exif(parse, &chunk);
			return;
		}
		if (chunk.type == PNG_IDAT)
			position = skip_equal_chunks(parse->reader, position, &chunk) +
				PNG_CHUNK_FRAME + chunk.length;
		else
			position = chunk.next;
	}
}

FactsStatus
facts_parse_png(FactsParse *parse)
{
	uint64_t	position = PNG_SIGNATURE_SIZE;
	const uint8_t *bytes;
	PngChunk	chunk;
	FactsStatus status;

	bytes = facts_bytes(parse->reader, 0, PNG_SIGNATURE_SIZE);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	if (memcmp(bytes, "\x89PNG\r\n\x1a\n", PNG_SIGNATURE_SIZE) != 0)
		return facts_fail(parse, FACTS_DAMAGED,
						  "has its line ends changed, as by a transfer in text mode");
	if (read_chunk(parse->reader, position, FACTS_FETCH_USUAL, &chunk) &&
		chunk.type == PNG_CGBI)
		return facts_fail(parse, FACTS_UNSUPPORTED, "is Apple's own variant for applications");

	status = read_header(parse, position);
	if (status != FACTS_OK)
		return status;
	position += PNG_CHUNK_FRAME + 13;

	status = read_before_pixels(parse, &position);
	if (status == FACTS_OK && !parse->facts->has_metadata)
		read_behind_pixels(parse, position);
	return status;
}
