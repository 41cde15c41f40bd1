/*-------------------------------------------------------------------------
 *
 * bmp.c
 *	  Header facts of BMP: Windows' headers of 12, 40, 52, 56, 108 and 124
 *	  bytes, and those of OS/2 of 12 and 16 to 64.
 *
 *-------------------------------------------------------------------------
 */
#include "reader.h"

#include <inttypes.h>

#define BMP_HEADER_AT	14			/* the information header, behind the file's */

/* Compression. */
#define BMP_RLE8			1
#define BMP_RLE4			2
#define BMP_BITFIELDS		3
#define BMP_JPEG			4
#define BMP_PNG				5
#define BMP_ALPHABITFIELDS	6

static int
count_bits(uint32_t mask)
{
	int			bits = 0;

	for (; mask != 0; mask &= mask - 1)
		bits++;
	return bits;
}

/*
 * Channels of pixels that are no palette indices.
 */
static void
read_channels(FactsParse *parse, uint32_t header_size, unsigned bits, uint32_t compression)
{
	ImageFacts *facts = parse->facts;
	bool		has_fields;
	bool		has_alpha_field;
	const uint8_t *bytes;

	facts->color = FACTS_COLOR_RGB;
	facts->channels = 3;
	facts->bit_depth = bits == 16 ? 5 : bits == 64 ? 16 : 8;

	/* Half floats with alpha, always. */
	if (bits == 64)
	{
		facts->has_alpha = true;
		facts->channels = 4;
		return;
	}

	/* The masks have one place, whether that is in the header or behind. */
	has_fields = header_size >= 40 && (bits == 16 || bits == 32) &&
		(compression == BMP_BITFIELDS || compression == BMP_ALPHABITFIELDS);
	has_alpha_field = has_fields &&
		(header_size >= 56 || compression == BMP_ALPHABITFIELDS);
	if (!has_fields)
		return;
	bytes = facts_bytes(parse->reader, BMP_HEADER_AT + 40, has_alpha_field ? 16 : 12);
	if (bytes == NULL)
		return;

	facts->bit_depth = 1;
	for (int i = 0; i < 3; i++)
	{
		int			depth = count_bits(facts_le32(bytes + 4 * i));

		if (depth > facts->bit_depth)
			facts->bit_depth = depth;
	}
	if (has_alpha_field && facts_le32(bytes + 12) != 0)
	{
		facts->has_alpha = true;
		facts->channels = 4;
	}
}

FactsStatus
facts_parse_bmp(FactsParse *parse)
{
	ImageFacts *facts = parse->facts;
	const uint8_t *bytes;
	uint32_t	header_size;
	uint32_t	compression = 0;
	int64_t		width;
	int64_t		height;
	unsigned	bits;
	bool		os2;
	FactsStatus status;

	bytes = facts_bytes(parse->reader, BMP_HEADER_AT, 4);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");
	header_size = facts_le32(bytes);
	os2 = header_size == 12 ||
		(header_size >= 16 && header_size <= 64 &&
		 header_size != 40 && header_size != 52 && header_size != 56);
	if (!os2 && header_size != 40 && header_size != 52 && header_size != 56 &&
		header_size != 108 && header_size != 124)
		return facts_fail(parse, FACTS_DAMAGED, "claims a header of %" PRIu32 " bytes",
						  header_size);
	bytes = facts_bytes(parse->reader, BMP_HEADER_AT, header_size);
	if (bytes == NULL)
		return facts_fail(parse, FACTS_DAMAGED, "ends inside its header");

	if (header_size == 12)
	{
		width = facts_le16(bytes + 4);
		height = facts_le16(bytes + 6);
		bits = facts_le16(bytes + 10);
	}
	else
	{
		width = (int32_t) facts_le32(bytes + 4);
		height = (int32_t) facts_le32(bytes + 8);
		bits = facts_le16(bytes + 14);
		if (header_size >= 20)
			compression = facts_le32(bytes + 16);
	}
	/* 'MBED' or 'LINK': the profile is in the file or at some path */
	if (header_size == 124 && facts_le32(bytes + 56) == 0x4d424544 &&
		facts_le32(bytes + 116) != 0)
		facts->has_icc = true;

	/* Rows from the top down have a negative height. */
	if (height < 0)
		height = -height;
	if (width <= 0 || height == 0 || height > INT32_MAX)
		return facts_fail(parse, FACTS_DAMAGED, "claims %" PRId64 " x %" PRId64 " pixels",
						  width, height);
	status = facts_claim_size(parse, (uint64_t) width, (uint64_t) height);
	if (status != FACTS_OK)
		return status;

	if (!os2 && (compression == BMP_JPEG || compression == BMP_PNG))
	{
		facts->color = FACTS_COLOR_RGB;
		facts->channels = 3;
		facts->bit_depth = 8;
		return FACTS_OK;
	}

	switch (bits)
	{
		case 1:
		case 2:
		case 4:
		case 8:
			facts->color = FACTS_COLOR_PALETTE;
			facts->channels = 3;
			facts->bit_depth = (int) bits;
			break;
		case 16:
		case 24:
		case 32:
		case 64:
			read_channels(parse, os2 ? 0 : header_size, bits, compression);
			break;
		default:
			return facts_fail(parse, FACTS_DAMAGED, "claims %u bits a pixel", bits);
	}
	if ((compression == BMP_RLE8 && bits != 8) || (compression == BMP_RLE4 && bits != 4))
		return facts_fail(parse, FACTS_DAMAGED,
						  "claims a run-length coding that does not fit %u bits a pixel", bits);

	/*
	 * The file's size is a field of 32 bits, so more pixels than that can't
	 * have been written.  Both sides are below 2^31 and bits at most 64: the
	 * product of all three may be 2^68, so divide.
	 */
	if ((uint64_t) width * (uint64_t) height > (uint64_t) UINT32_MAX * 8 / bits)
		return facts_fail(parse, FACTS_DAMAGED, "claims %" PRId64 " x %" PRId64
						  " pixels, which no such file can hold", width, height);
	return FACTS_OK;
}
