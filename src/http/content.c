/*-------------------------------------------------------------------------
 *
 * content.c
 *	  As what a value is shown: by its bytes, whatever anybody says it is.
 *
 * Pictures are told by the facts room.  Here are sound, video and PDF, by the
 * signatures of their own specifications, about as the WHATWG's "MIME
 * Sniffing" has them.  There is no sniffing of text on purpose: HTML, XML,
 * scripts and whatever else a browser might run are bytes to be saved.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "parts.h"

static bool
has(const uint8_t *bytes, size_t length, size_t offset, const char *literal, size_t size)
{
	return offset <= length && size <= length - offset &&
		memcmp(bytes + offset, literal, size) == 0;
}

#define HAS(offset, literal) \
	has(bytes, length, (offset), (literal), sizeof(literal) - 1)

static uint32_t
be32(const uint8_t *bytes)
{
	return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 |
		(uint32_t) bytes[2] << 8 | bytes[3];
}

/*
 * The ISO base media file format (ISO/IEC 14496-12, 4.3) and its elder,
 * QuickTime: by the brands in its file type box, the main one first.  The box
 * has to be all there, as in "MIME Sniffing" (6.2.1): a text that begins as one
 * has a length of hundreds of megabytes.
 */
static const char *
iso_media(const uint8_t *bytes, size_t length)
{
	static const struct
	{
		const char *brand;		/* as far as it counts */
		const char *type;
	}			brands[] = {
		{"qt  ", "video/quicktime"},
		{"M4A ", "audio/mp4"},
		{"M4B ", "audio/mp4"},
		{"M4V", "video/mp4"},
		{"mp4", "video/mp4"},
		{"iso", "video/mp4"},
		{"avc1", "video/mp4"},
		{"dash", "video/mp4"},
	};
	size_t		box;

	if (length < 16 || !HAS(4, "ftyp"))
		return NULL;
	box = be32(bytes);
	if (box < 16 || box % 4 != 0 || box > length)
		return NULL;
	for (size_t at = 8; at + 4 <= box; at += 4)
	{
		if (at == 12)			/* the minor version */
			continue;
		for (size_t i = 0; i < sizeof(brands) / sizeof(brands[0]); i++)
		{
			if (has(bytes, length, at, brands[i].brand, strlen(brands[i].brand)))
				return brands[i].type;
		}
	}
	return NULL;
}

/* Matroska and WebM (RFC 9559, RFC 8794): by the DocType in the EBML header. */
static const char *
matroska(const uint8_t *bytes, size_t length)
{
	if (!HAS(0, "\x1a\x45\xdf\xa3"))
		return NULL;
	/* the header's few elements are small */
	for (size_t at = 4; at < 64; at++)
	{
		if (HAS(at, "\x42\x82\x84webm"))
			return "video/webm";
		if (HAS(at, "\x42\x82\x88matroska"))
			return "video/matroska";
	}
	return NULL;
}

/* The length of an MPEG audio frame of layer III (ISO/IEC 11172-3, 13818-3). */
static size_t
mp3_frame(const uint8_t *bytes, size_t length, size_t offset)
{
	static const uint16_t rates[2][15] = {
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
	};
	static const uint16_t frequencies[3] = {44100, 48000, 32000};
	const uint8_t *header = bytes + offset;
	unsigned	version;		/* 0: 2.5, 2: 2, 3: 1 */
	unsigned	rate;
	unsigned	frequency;

	if (offset > length || length - offset < 4)
		return 0;
	version = header[1] >> 3 & 3;
	rate = header[2] >> 4;
	frequency = header[2] >> 2 & 3;
	if (header[0] != 0xff || (header[1] & 0xe6) != 0xe2 || version == 1 ||
		rate == 0 || rate == 15 || frequency == 3)
		return 0;
	return (version == 3 ? 144000u : 72000u) * rates[version == 3][rate] /
		(frequencies[frequency] >> (version == 3 ? 0 : version == 2 ? 1 : 2)) +
		(header[2] >> 1 & 1);
}

static const char *
mp3(const uint8_t *bytes, size_t length)
{
	size_t		frame;

	/* ID3v2: version and flags that are, and a length of 7 bits a byte */
	if (length >= 10 && HAS(0, "ID3") && bytes[3] >= 2 && bytes[3] <= 4 && bytes[4] != 0xff &&
		((bytes[6] | bytes[7] | bytes[8] | bytes[9]) & 0x80) == 0)
		return "audio/mpeg";
	/* the sync word is too short a signature for one */
	frame = mp3_frame(bytes, length, 0);
	return frame > 0 && mp3_frame(bytes, length, frame) > 0 ? "audio/mpeg" : NULL;
}

HttpType
http_type(const char *picture, const uint8_t *bytes, size_t length)
{
	HttpType	type = {picture, false};

	if (picture != NULL)
	{
		/* a picture that may hold scripts */
		type.attachment = strcmp(picture, "image/svg+xml") == 0;
		return type;
	}

	if (HAS(0, "%PDF-"))
	{
		type.name = "application/pdf";
		type.attachment = true;
	}
	else if (HAS(0, "OggS\0"))
		type.name = "application/ogg";
	else if (HAS(0, "RIFF") && HAS(8, "WAVE"))
		type.name = "audio/wav";
	else if (HAS(0, "fLaC"))
		type.name = "audio/flac";
	else if ((type.name = iso_media(bytes, length)) == NULL &&
			 (type.name = matroska(bytes, length)) == NULL &&
			 (type.name = mp3(bytes, length)) == NULL)
	{
		type.name = "application/octet-stream";
		type.attachment = true;
	}
	return type;
}
