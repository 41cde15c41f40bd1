/*-------------------------------------------------------------------------
 *
 * facts_test.h
 *	  Pictures for the tests of the facts room, built byte by byte.
 *
 * They have headers only: where pixels would be there is nothing, or
 * nonsense, for nobody looks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_FACTS_TEST_H
#define MEDIASTORE_FACTS_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bytes
{
	uint8_t    *data;
	size_t		length;
	size_t		room;
} Bytes;

static void
put(Bytes *to, const void *data, size_t length)
{
	if (to->room - to->length < length)
	{
		to->room = (to->length + length) * 2;
		to->data = realloc(to->data, to->room);
		if (to->data == NULL)
			abort();
	}
	if (length > 0)
		memcpy(to->data + to->length, data, length);
	to->length += length;
}

/* A literal, whose zero bytes count. */
#define PUT(to, literal) put((to), (literal), sizeof(literal) - 1)

static void
put_be(Bytes *to, int size, uint64_t value)
{
	for (int i = size - 1; i >= 0; i--)
	{
		uint8_t		byte = (uint8_t) (value >> 8 * i);

		put(to, &byte, 1);
	}
}

static void
put_le(Bytes *to, int size, uint64_t value)
{
	for (int i = 0; i < size; i++)
	{
		uint8_t		byte = (uint8_t) (value >> 8 * i);

		put(to, &byte, 1);
	}
}

static void
put_zeros(Bytes *to, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put(to, "", 1);
}

/* Appends one to another and gives the other up. */
static void
put_all(Bytes *to, Bytes from)
{
	put(to, from.data, from.length);
	free(from.data);
}

static void
set_be32(Bytes *in, size_t at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		in->data[at + i] = (uint8_t) (value >> (24 - 8 * i));
}

/* An EXIF block, the orientation between two other tags. */
static Bytes
make_exif(bool big_endian, bool prefix, int orientation)
{
	void		(*number) (Bytes *, int, uint64_t) = big_endian ? put_be : put_le;
	Bytes		exif = {0};

	if (prefix)
		PUT(&exif, "Exif\0\0");
	put(&exif, big_endian ? "MM" : "II", 2);
	number(&exif, 2, 42);
	number(&exif, 4, 8);
	number(&exif, 2, 3);
	/* tag, type, count, value or its place */
	number(&exif, 2, 0x10f);
	number(&exif, 2, 2);
	number(&exif, 4, 6);
	number(&exif, 4, 50);
	number(&exif, 2, 0x112);
	number(&exif, 2, 3);
	number(&exif, 4, 1);
	number(&exif, 2, (uint64_t) orientation);
	number(&exif, 2, 0);
	number(&exif, 2, 0x11a);
	number(&exif, 2, 5);
	number(&exif, 4, 1);
	number(&exif, 4, 56);
	number(&exif, 4, 0);
	PUT(&exif, "maker\0" "\0\0\0\1\0\0\0\1");
	return exif;
}

static void
put_segment(Bytes *jpeg, int marker, Bytes payload)
{
	put_be(jpeg, 1, 0xff);
	put_be(jpeg, 1, (uint64_t) marker);
	put_be(jpeg, 2, payload.length + 2);
	put_all(jpeg, payload);
}

static void
put_application(Bytes *jpeg, int marker, const char *data, size_t length)
{
	Bytes		payload = {0};

	put(&payload, data, length);
	put_segment(jpeg, marker, payload);
}

#define PUT_APPLICATION(jpeg, marker, literal) \
	put_application((jpeg), (marker), (literal), sizeof(literal) - 1)

static void
put_frame(Bytes *jpeg, int marker, int depth, unsigned width, unsigned height, const char *ids)
{
	Bytes		payload = {0};

	put_be(&payload, 1, (uint64_t) depth);
	put_be(&payload, 2, height);
	put_be(&payload, 2, width);
	put_be(&payload, 1, strlen(ids));
	for (const char *id = ids; *id != '\0'; id++)
	{
		put(&payload, id, 1);
		PUT(&payload, "\x11\0");
	}
	put_segment(jpeg, marker, payload);
}

static void
put_scan(Bytes *jpeg)
{
	PUT(jpeg, "\xff\xda\0\10\1\1\0\0\77\0pixels\xff\xd9");
}

static Bytes
jpeg_start(void)
{
	Bytes		jpeg = {0};

	PUT(&jpeg, "\xff\xd8");
	return jpeg;
}

#define JFIF	"JFIF\0\1\1\0\0\1\0\1\0\0"

static Bytes
make_jpeg(int orientation)
{
	Bytes		jpeg = jpeg_start();

	PUT_APPLICATION(&jpeg, 0xe0, JFIF);
	if (orientation > 0)
		put_segment(&jpeg, 0xe1, make_exif(orientation % 2 == 0, true, orientation));
	PUT_APPLICATION(&jpeg, 0xe2, "ICC_PROFILE\0\1\1profile");
	put_frame(&jpeg, 0xc0, 8, 640, 480, "\1\2\3");
	put_scan(&jpeg);
	return jpeg;
}

static void
put_chunk(Bytes *png, const char *type, Bytes payload)
{
	uint32_t	crc = 0xffffffff;
	size_t		start = png->length + 4;

	put_be(png, 4, payload.length);
	put(png, type, 4);
	put_all(png, payload);
	for (size_t i = start; i < png->length; i++)
	{
		crc ^= png->data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	put_be(png, 4, ~crc);
}

static Bytes
filler(size_t length)
{
	Bytes		zeros = {0};

	put_zeros(&zeros, length);
	return zeros;
}

static Bytes
png_start(uint32_t width, uint32_t height, int depth, int color_type)
{
	Bytes		png = {0};
	Bytes		header = {0};

	PUT(&png, "\x89PNG\r\n\x1a\n");
	put_be(&header, 4, width);
	put_be(&header, 4, height);
	put_be(&header, 1, (uint64_t) depth);
	put_be(&header, 1, (uint64_t) color_type);
	PUT(&header, "\0\0\0");
	put_chunk(&png, "IHDR", header);
	return png;
}

static Bytes
png_end(Bytes png)
{
	put_chunk(&png, "IEND", filler(0));
	return png;
}

/* EXIF behind that many equal IDAT chunks and a last one that is shorter. */
static Bytes
make_png(int orientation, int chunks, size_t chunk_length)
{
	Bytes		png = png_start(300, 200, 8, 6);

	for (int i = 0; i < chunks; i++)
		put_chunk(&png, "IDAT", filler(chunk_length));
	put_chunk(&png, "IDAT", filler(7));
	if (orientation > 0)
		put_chunk(&png, "eXIf", make_exif(true, false, orientation));
	return png_end(png);
}

static Bytes
gif_start(unsigned width, unsigned height, int palette_bits)
{
	Bytes		gif = {0};

	PUT(&gif, "GIF89a");
	put_le(&gif, 2, width);
	put_le(&gif, 2, height);
	put_le(&gif, 1, palette_bits > 0 ? (uint64_t) (0x80 | (palette_bits - 1)) : 0);
	PUT(&gif, "\0\0");
	if (palette_bits > 0)
		put_zeros(&gif, (size_t) 3 << palette_bits);
	return gif;
}

static void
put_gif_image(Bytes *gif, bool transparent, unsigned left, unsigned top, unsigned width,
			  unsigned height)
{
	PUT(gif, "\x21\xf9\4");
	put_le(gif, 1, transparent);
	PUT(gif, "\0\0\0\0");
	PUT(gif, "\x2c");
	put_le(gif, 2, left);
	put_le(gif, 2, top);
	put_le(gif, 2, width);
	put_le(gif, 2, height);
	PUT(gif, "\0\10\5codes\3, !\0");
}

static Bytes
make_gif(int frames, bool transparent)
{
	Bytes		gif = gif_start(32, 16, 3);

	PUT(&gif, "\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0");
	for (int i = 0; i < frames; i++)
		put_gif_image(&gif, transparent, 0, 0, 32, 16);
	PUT(&gif, ";");
	return gif;
}

static void
put_riff_chunk(Bytes *webp, const char *type, Bytes payload)
{
	put(webp, type, 4);
	put_le(webp, 4, payload.length);
	put_all(webp, payload);
	if (webp->length % 2 == 1)
		put_zeros(webp, 1);
}

static Bytes
vp8(unsigned width, unsigned height)
{
	Bytes		picture = {0};

	PUT(&picture, "\x10\0\0\x9d\x01\x2a");
	put_le(&picture, 2, width);
	put_le(&picture, 2, height);
	PUT(&picture, "pixels.");
	return picture;
}

static Bytes
vp8l(unsigned width, unsigned height, bool alpha)
{
	Bytes		picture = {0};

	PUT(&picture, "\x2f");
	put_le(&picture, 4, (width - 1) | (height - 1) << 14 | (uint32_t) alpha << 28);
	PUT(&picture, "pixels.");
	return picture;
}

static Bytes
webp_start(void)
{
	Bytes		webp = {0};

	PUT(&webp, "RIFF\0\0\0\0WEBP");
	return webp;
}

static Bytes
webp_extended(unsigned flags, unsigned width, unsigned height)
{
	Bytes		webp = webp_start();
	Bytes		canvas = {0};

	put_le(&canvas, 4, flags);
	put_le(&canvas, 3, width - 1);
	put_le(&canvas, 3, height - 1);
	put_riff_chunk(&webp, "VP8X", canvas);
	return webp;
}

static void
put_webp_frame(Bytes *webp, unsigned x, unsigned y, unsigned width, unsigned height, bool lossless)
{
	Bytes		frame = {0};

	put_le(&frame, 3, x / 2);
	put_le(&frame, 3, y / 2);
	put_le(&frame, 3, width - 1);
	put_le(&frame, 3, height - 1);
	PUT(&frame, "\x64\0\0\0");
	if (lossless)
		put_riff_chunk(&frame, "VP8L", vp8l(width, height, false));
	else
	{
		put_riff_chunk(&frame, "ALPH", filler(5));
		put_riff_chunk(&frame, "VP8 ", vp8(width, height));
	}
	put_riff_chunk(webp, "ANMF", frame);
}

static Bytes
webp_end(Bytes webp)
{
	uint32_t	size = (uint32_t) webp.length - 8;

	for (int i = 0; i < 4; i++)
		webp.data[4 + i] = (uint8_t) (size >> 8 * i);
	return webp;
}

static Bytes
make_webp_simple(bool lossless, bool alpha)
{
	Bytes		webp = webp_start();

	put_riff_chunk(&webp, lossless ? "VP8L" : "VP8 ",
				   lossless ? vp8l(99, 77, alpha) : vp8(99, 77));
	return webp_end(webp);
}

static Bytes
make_webp_still(int orientation, bool prefix)
{
	Bytes		webp = webp_extended(0x3c, 64, 48);

	put_riff_chunk(&webp, "ICCP", filler(9));
	put_riff_chunk(&webp, "ALPH", filler(4));
	put_riff_chunk(&webp, "VP8 ", vp8(64, 48));
	put_riff_chunk(&webp, "EXIF", make_exif(false, prefix, orientation));
	put_riff_chunk(&webp, "XMP ", filler(3));
	return webp_end(webp);
}

static Bytes
make_webp_animation(int frames)
{
	Bytes		webp = webp_extended(0x12, 64, 48);

	put_riff_chunk(&webp, "ANIM", filler(6));
	for (int i = 0; i < frames; i++)
		put_webp_frame(&webp, 2, 4, 20, 30, i == 0);
	return webp_end(webp);
}

static Bytes
make_bmp(uint32_t header, int32_t width, int32_t height, unsigned bits, uint32_t compression,
		 uint32_t alpha_mask)
{
	Bytes		bmp = {0};
	size_t		start;

	PUT(&bmp, "BM\0\0\0\0\0\0\0\0\x8a\0\0\0");
	start = bmp.length;
	put_le(&bmp, 4, header);
	put_le(&bmp, header == 12 ? 2 : 4, (uint32_t) width);
	put_le(&bmp, header == 12 ? 2 : 4, (uint32_t) height);
	put_le(&bmp, 2, 1);
	put_le(&bmp, 2, bits);
	if (header > 16)
	{
		put_le(&bmp, 4, compression);
		put_zeros(&bmp, 20);
		if (compression == 3 || compression == 6)
		{
			put_le(&bmp, 4, 0xf800);
			put_le(&bmp, 4, 0x07e0);
			put_le(&bmp, 4, 0x001f);
			put_le(&bmp, 4, alpha_mask);
		}
	}
	while (bmp.length < start + header)
		put_zeros(&bmp, 1);
	PUT(&bmp, "pixels");
	return bmp;
}

/* One entry of a TIFF directory, its value in the entry. */
static void
put_tag(Bytes *tiff, bool big_endian, bool big, int tag, int type, uint64_t value)
{
	void		(*number) (Bytes *, int, uint64_t) = big_endian ? put_be : put_le;
	int			size = type == 3 ? 2 : 4;

	number(tiff, 2, (uint64_t) tag);
	number(tiff, 2, (uint64_t) type);
	number(tiff, big ? 8 : 4, 1);
	number(tiff, size, value);
	put_zeros(tiff, (size_t) ((big ? 8 : 4) - size));
}

/* As many equal directories; the last one's successor is "last". */
static Bytes
make_tiff(bool big_endian, bool big, int orientation, int pages, uint64_t last)
{
	void		(*number) (Bytes *, int, uint64_t) = big_endian ? put_be : put_le;
	Bytes		tiff = {0};

	put(&tiff, big_endian ? "MM" : "II", 2);
	number(&tiff, 2, big ? 43 : 42);
	if (big)
	{
		number(&tiff, 2, 8);
		number(&tiff, 2, 0);
	}
	number(&tiff, big ? 8 : 4, big ? 16 : 8);
	for (int page = 1; page <= pages; page++)
	{
		number(&tiff, big ? 8 : 2, 9);
		put_tag(&tiff, big_endian, big, 256, 3, 123);
		put_tag(&tiff, big_endian, big, 257, 4, 45);
		put_tag(&tiff, big_endian, big, 258, 3, 16);
		put_tag(&tiff, big_endian, big, 262, 3, 2);
		put_tag(&tiff, big_endian, big, 274, 3, (uint64_t) orientation);
		put_tag(&tiff, big_endian, big, 277, 3, 4);
		put_tag(&tiff, big_endian, big, 338, 3, 2);
		put_tag(&tiff, big_endian, big, 34665, 4, 0);
		put_tag(&tiff, big_endian, big, 34675, 4, 0);
		number(&tiff, big ? 8 : 4,
			   page == pages ? last : tiff.length + (big ? 8 : 4));
	}
	return tiff;
}

/* Boxes: begin gives what end wants. */
static size_t
box_begin(Bytes *heif, const char *type)
{
	size_t		start = heif->length;

	put_be(heif, 4, 0);
	put(heif, type, 4);
	return start;
}

static void
box_end(Bytes *heif, size_t start)
{
	set_be32(heif, start, (uint32_t) (heif->length - start));
}

static void
put_box(Bytes *heif, const char *type, const char *data, size_t length)
{
	size_t		box = box_begin(heif, type);

	put(heif, data, length);
	box_end(heif, box);
}

#define PUT_BOX(heif, type, literal) put_box((heif), (type), (literal), sizeof(literal) - 1)

/* turn and mirror: -1 none; mirror_first: the mirror before the turn. */
static Bytes
make_heif(const char *brands, int turn, int mirror, bool mirror_first, bool alpha, int frames)
{
	Bytes		heif = {0};
	size_t		meta;
	size_t		box;
	size_t		inner;
	char		byte;

	box = box_begin(&heif, "ftyp");
	put(&heif, brands, 4);
	put_be(&heif, 4, 0);
	put(&heif, brands, strlen(brands));
	box_end(&heif, box);

	meta = box_begin(&heif, "meta");
	put_be(&heif, 4, 0);
	PUT_BOX(&heif, "hdlr", "\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0");
	PUT_BOX(&heif, "pitm", "\0\0\0\0\0\7");
	box = box_begin(&heif, "iinf");
	PUT(&heif, "\0\0\0\0\0\2");
	PUT_BOX(&heif, "infe", "\2\0\0\0\0\7\0\0av01");
	PUT_BOX(&heif, "infe", "\2\0\0\0\0\x9\0\0Exif");
	box_end(&heif, box);
	if (alpha)
	{
		box = box_begin(&heif, "iref");
		put_be(&heif, 4, 0);
		PUT_BOX(&heif, "cdsc", "\0\x9\0\1\0\7");
		PUT_BOX(&heif, "auxl", "\0\x8\0\1\0\7");
		box_end(&heif, box);
	}
	box = box_begin(&heif, "iprp");
	inner = box_begin(&heif, "ipco");
	PUT_BOX(&heif, "ispe", "\0\0\0\0\0\0\1\x40\0\0\0\xf0");	/* 320 x 240 */
	PUT_BOX(&heif, "av1C", "\x81\x40\x40\0");	/* ten bits */
	byte = (char) turn;
	put_box(&heif, "irot", &byte, 1);
	byte = (char) mirror;
	put_box(&heif, "imir", &byte, 1);
	PUT_BOX(&heif, "auxC", "\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0");
	PUT_BOX(&heif, "colr", "profxxxx");
	box_end(&heif, inner);
	inner = box_begin(&heif, "ipma");
	PUT(&heif, "\0\0\0\0\0\0\0\2\0\x8\2\1\x85");
	PUT(&heif, "\0\7");
	put_be(&heif, 1, (uint64_t) (3 + (turn >= 0) + (mirror >= 0)));
	PUT(&heif, "\1\x82\x6");
	if (mirror_first && mirror >= 0)
		PUT(&heif, "\x84");
	if (turn >= 0)
		PUT(&heif, "\x83");
	if (!mirror_first && mirror >= 0)
		PUT(&heif, "\x84");
	box_end(&heif, inner);
	box_end(&heif, box);
	box_end(&heif, meta);

	if (frames > 0)
	{
		size_t		moov = box_begin(&heif, "moov");
		size_t		trak = box_begin(&heif, "trak");
		size_t		mdia;
		size_t		minf;

		box = box_begin(&heif, "tkhd");
		put_zeros(&heif, 76);
		PUT(&heif, "\1\x40\0\0\0\xf0\0\0");
		box_end(&heif, box);
		mdia = box_begin(&heif, "mdia");
		PUT_BOX(&heif, "hdlr", "\0\0\0\0\0\0\0\0pict\0\0\0\0");
		minf = box_begin(&heif, "minf");
		inner = box_begin(&heif, "stbl");
		box = box_begin(&heif, "stsz");
		put_be(&heif, 8, 0);
		put_be(&heif, 4, (uint64_t) frames);
		for (int i = 0; i < frames; i++)
			put_be(&heif, 4, 100);
		box_end(&heif, box);
		box_end(&heif, inner);
		box_end(&heif, minf);
		box_end(&heif, mdia);
		box_end(&heif, trak);
		box_end(&heif, moov);
	}
	PUT_BOX(&heif, "mdat", "pixels");
	return heif;
}

#endif							/* MEDIASTORE_FACTS_TEST_H */
