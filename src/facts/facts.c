/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  Signatures, names, and the way to the parser of each format.
 *
 * What counts as FACTS_OK is the same for all: the size is known and nothing
 * that was read contradicts itself.  A picture whose end is missing may still
 * be FACTS_OK; whether its pixels are there is for the decoder to find out.
 *
 *-------------------------------------------------------------------------
 */
#include "reader.h"

#include <stdio.h>
#include <string.h>

#define HEIF_MAX_BRANDS		64
#define BRAND(name) FACTS_FOURCC((name)[0], (name)[1], (name)[2], (name)[3])

typedef struct FormatEntry
{
	const char *name;
	const char *mime_type;
	const char *label;			/* for messages */
	FactsStatus (*parse) (FactsParse *parse);	/* NULL: nobody here reads it */
} FormatEntry;

static const FormatEntry formats[] = {
	[FACTS_FORMAT_UNKNOWN] = {NULL, NULL, NULL, NULL},
	[FACTS_FORMAT_JPEG] = {"jpeg", "image/jpeg", "JPEG", facts_parse_jpeg},
	[FACTS_FORMAT_PNG] = {"png", "image/png", "PNG", facts_parse_png},
	[FACTS_FORMAT_GIF] = {"gif", "image/gif", "GIF", facts_parse_gif},
	[FACTS_FORMAT_WEBP] = {"webp", "image/webp", "WebP", facts_parse_webp},
	[FACTS_FORMAT_BMP] = {"bmp", "image/bmp", "BMP", facts_parse_bmp},
	[FACTS_FORMAT_TIFF] = {"tiff", "image/tiff", "TIFF", facts_parse_tiff},
	[FACTS_FORMAT_HEIF] = {"heif", "image/heif", "HEIF", facts_parse_heif},
	[FACTS_FORMAT_AVIF] = {"avif", "image/avif", "AVIF", facts_parse_heif},
	[FACTS_FORMAT_SVG] = {"svg", "image/svg+xml", "SVG", NULL},
	[FACTS_FORMAT_JXL] = {"jxl", "image/jxl", "JPEG XL", NULL},
	[FACTS_FORMAT_JP2] = {"jp2", "image/jp2", "JPEG 2000", NULL},
	[FACTS_FORMAT_ICO] = {"ico", "image/vnd.microsoft.icon", "ICO", NULL},
	[FACTS_FORMAT_PSD] = {"psd", "image/vnd.adobe.photoshop", "PSD", NULL},
};

static const char *const color_names[] = {
	[FACTS_COLOR_UNKNOWN] = NULL,
	[FACTS_COLOR_GRAY] = "gray",
	[FACTS_COLOR_RGB] = "rgb",
	[FACTS_COLOR_YCBCR] = "ycbcr",
	[FACTS_COLOR_CMYK] = "cmyk",
	[FACTS_COLOR_YCCK] = "ycck",
	[FACTS_COLOR_PALETTE] = "palette",
	[FACTS_COLOR_LAB] = "lab",
};

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

static bool
begins(const uint8_t *bytes, size_t length, size_t offset, const void *with, size_t size)
{
	return offset <= length && size <= length - offset &&
		memcmp(bytes + offset, with, size) == 0;
}

/* The same with a literal, whose zero bytes count. */
#define BEGINS(offset, literal) \
	begins(bytes, length, (offset), (literal), sizeof(literal) - 1)

/*
 * Where a literal begins at or after "from"; length if nowhere.
 */
static size_t
find(const uint8_t *bytes, size_t length, size_t from, const char *literal)
{
	size_t		size = strlen(literal);

	while (from < length && !begins(bytes, length, from, literal, size))
		from++;
	return from < length ? from : length;
}

/*
 * Whether this is XML whose first element is svg.  Only the prolog is passed
 * over, so a page with a drawing in it is none.
 */
static bool
is_svg(const uint8_t *bytes, size_t length)
{
	size_t		at = BEGINS(0, "\xef\xbb\xbf") ? 3 : 0;

	while (at < length)
	{
		if (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r' || bytes[at] == '\n')
			at++;
		else if (BEGINS(at, "<?"))
			at = find(bytes, length, at, "?>") + 2;
		else if (BEGINS(at, "<!--"))
			at = find(bytes, length, at + 4, "-->") + 3;
		else if (BEGINS(at, "<!DOCTYPE"))
		{
			size_t		end = find(bytes, length, at, ">");
			size_t		subset = find(bytes, length, at, "[");

			/* declarations of its own, in brackets, have their own ">" */
			if (subset < end)
				end = find(bytes, length, find(bytes, length, subset, "]"), ">");
			at = end + 1;
		}
		else
		{
			size_t		end = at;

			if (BEGINS(at, "<svg:svg"))
				end += 8;
			else if (BEGINS(at, "<svg"))
				end += 4;
			return end > at && end < length &&
				(bytes[end] == ' ' || bytes[end] == '\t' || bytes[end] == '\r' ||
				 bytes[end] == '\n' || bytes[end] == '>' || bytes[end] == '/');
		}
	}
	return false;
}

/*
 * HEIF or AVIF, when the first bytes are an ISO base media file type box that
 * names one of their brands; FACTS_FORMAT_UNKNOWN else.
 */
static FactsFormat
heif_brand(const uint8_t *bytes, size_t length)
{
	FactsFormat found = FACTS_FORMAT_UNKNOWN;
	uint32_t	size;

	if (length < 16 || facts_be32(bytes + 4) != FACTS_FOURCC('f', 't', 'y', 'p'))
		return FACTS_FORMAT_UNKNOWN;
	size = facts_be32(bytes);
	if (size < 16)
		return FACTS_FORMAT_UNKNOWN;
	if (length > size)
		length = size;

	/*
	 * The major brand at 8 decides if it is of one codec.  Else the list
	 * from 16 on does, where an HEVC brand counts for more than an AV1 one.
	 */
	for (size_t i = 0; i < HEIF_MAX_BRANDS && 8 + 4 * i + 4 <= length; i++)
	{
		uint32_t	brand = facts_be32(bytes + 8 + 4 * i);

		if (i == 1)				/* the minor version */
			continue;
		if (brand == BRAND("avif") || brand == BRAND("avis"))
		{
			if (i == 0)
				return FACTS_FORMAT_AVIF;
			found = FACTS_FORMAT_AVIF;
		}
		else if (brand == BRAND("heic") || brand == BRAND("heix") ||
				 brand == BRAND("heim") || brand == BRAND("heis") ||
				 brand == BRAND("hevc") || brand == BRAND("hevx") ||
				 brand == BRAND("hevm") || brand == BRAND("hevs"))
		{
			/*
			 * The brands of sequences say nothing if not the first: videos
			 * may bear them.
			 */
			if (i == 0 || brand == BRAND("heic") || brand == BRAND("heix") ||
				found != FACTS_FORMAT_UNKNOWN)
				return FACTS_FORMAT_HEIF;
		}
		else if ((brand == BRAND("mif1") || brand == BRAND("msf1") || brand == BRAND("mif2")) &&
				 found == FACTS_FORMAT_UNKNOWN)
			found = FACTS_FORMAT_HEIF;
	}
	return found;
}

/*
 * The format by the first bytes.  Signatures of few bytes ask for some more
 * that must hold, for texts shall not be taken for pictures.
 */
static FactsFormat
format_of(const uint8_t *bytes, size_t length)
{
	FactsFormat brand;

	if (BEGINS(0, "\xff\xd8\xff"))
		return FACTS_FORMAT_JPEG;
	if (BEGINS(0, "\x89PNG"))
		return FACTS_FORMAT_PNG;
	if (BEGINS(0, "GIF87a") || BEGINS(0, "GIF89a"))
		return FACTS_FORMAT_GIF;
	if (BEGINS(0, "RIFF") && BEGINS(8, "WEBP"))
		return FACTS_FORMAT_WEBP;
	if (BEGINS(0, "II*\0") || BEGINS(0, "MM\0*") ||
		BEGINS(0, "II+\0\10\0\0\0") || BEGINS(0, "MM\0+\0\10\0\0"))
		return FACTS_FORMAT_TIFF;
	/* no header of BMP has more than 124 bytes */
	if (BEGINS(0, "BM") && length >= 18 &&
		facts_le32(bytes + 14) >= 12 && facts_le32(bytes + 14) <= 255)
		return FACTS_FORMAT_BMP;
	if (BEGINS(0, "\xff\x0a") || BEGINS(0, "\0\0\0\14JXL \r\n\x87\n"))
		return FACTS_FORMAT_JXL;
	if (BEGINS(0, "\0\0\0\14jP  \r\n\x87\n") || BEGINS(0, "\xff\x4f\xff\x51"))
		return FACTS_FORMAT_JP2;
	if (BEGINS(0, "8BPS\0\1") || BEGINS(0, "8BPS\0\2"))
		return FACTS_FORMAT_PSD;
	/* icons and cursors: some entries, the first with a zero where one is due */
	if ((BEGINS(0, "\0\0\1\0") || BEGINS(0, "\0\0\2\0")) && length >= 22 &&
		facts_le16(bytes + 4) != 0 && facts_le16(bytes + 4) <= 255 && bytes[9] == 0)
		return FACTS_FORMAT_ICO;
	brand = heif_brand(bytes, length);
	if (brand != FACTS_FORMAT_UNKNOWN)
		return brand;
	if (is_svg(bytes, length))
		return FACTS_FORMAT_SVG;
	return FACTS_FORMAT_UNKNOWN;
}

FactsFormat
facts_format(FactsReader *reader)
{
	size_t		length = (size_t) facts_clip(reader, 0, FACTS_FETCH_USUAL);
	const uint8_t *bytes;

	reader->failed = false;
	bytes = facts_bytes(reader, 0, length);
	return bytes != NULL ? format_of(bytes, length) : FACTS_FORMAT_UNKNOWN;
}

FactsStatus
facts_read(FactsReader *reader, bool count_frames, ImageFacts *facts,
		   char *message, size_t message_size)
{
	FactsParse	parse = {reader, count_frames, facts, "value", message, message_size};
	FactsStatus status;
	FactsFormat format;

	if (message != NULL && message_size > 0)
		message[0] = '\0';

	format = facts_format(reader);
	memset(facts, 0, sizeof(*facts));
	facts->format = format;
	facts->orientation = 1;
	facts->frames = 1;

	if (format == FACTS_FORMAT_UNKNOWN)
		status = facts_fail(&parse, FACTS_UNKNOWN, reader->total == 0 ?
							"is empty" : "is no picture of a known format");
	else
	{
		parse.label = formats[format].label;
		if (formats[format].parse != NULL)
			status = formats[format].parse(&parse);
		else
			status = facts_fail(&parse, FACTS_UNSUPPORTED, "is not supported");
	}

	/* Parsers take a failed fetch for the end; here it is told apart. */
	if (reader->failed)
	{
		parse.label = "value";
		status = facts_fail(&parse, FACTS_READ_FAILED, "could not be read");
	}
	if (status != FACTS_OK)
	{
		memset(facts, 0, sizeof(*facts));
		facts->format = format;
	}
	return status;
}

const char *
facts_format_name(FactsFormat format)
{
	return (size_t) format < lengthof(formats) ? formats[format].name : NULL;
}

const char *
facts_mime_type(FactsFormat format)
{
	return (size_t) format < lengthof(formats) ? formats[format].mime_type : NULL;
}

const char *
facts_color_name(FactsColor color)
{
	return (size_t) color < lengthof(color_names) ? color_names[color] : NULL;
}

void
facts_display_size(const ImageFacts *facts, uint32_t *width, uint32_t *height)
{
	bool		swapped = facts->orientation >= 5 && facts->orientation <= 8;

	*width = swapped ? facts->height : facts->width;
	*height = swapped ? facts->width : facts->height;
}
