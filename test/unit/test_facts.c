/*-------------------------------------------------------------------------
 *
 * test_facts.c
 *	  The facts room: every format.
 *
 *-------------------------------------------------------------------------
 */
#include "facts_source.h"

static void
test_jpeg(void)
{
	static const int frames[] = {0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9,
	0xca, 0xcb, 0xcd, 0xce, 0xcf};
	Bytes		jpeg;

	check_subject = "jpeg";
	CHECK_EQUAL(read_and_free(make_jpeg(0)), FACTS_OK);
	CHECK_EQUAL(facts.format, FACTS_FORMAT_JPEG);
	CHECK_SIZE(640, 480);
	CHECK_EQUAL(facts.bit_depth, 8);
	CHECK_EQUAL(facts.channels, 3);
	CHECK_EQUAL(facts.frames, 1);
	CHECK_EQUAL(facts.orientation, 1);
	CHECK_STRING(facts_color_name(facts.color), "ycbcr");
	CHECK(facts.has_icc && !facts.has_metadata && !facts.has_alpha && !facts.animated);
	CHECK_EQUAL(read_and_free(make_jpeg(6)), FACTS_OK);
	CHECK(facts.has_metadata);

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
	{
		jpeg = jpeg_start();
		put_frame(&jpeg, frames[i], 12, 7, 9, "\1");
		put_scan(&jpeg);
		CHECK_EQUAL(read_and_free(jpeg), FACTS_OK);
		CHECK_SIZE(7, 9);
		CHECK_EQUAL(facts.bit_depth, 12);
		CHECK_EQUAL(facts.color, FACTS_COLOR_GRAY);
	}

	CHECK_EQUAL(jpeg_color("\1\2\3", false, -1), FACTS_COLOR_YCBCR);
	CHECK_EQUAL(jpeg_color("RGB", false, -1), FACTS_COLOR_RGB);
	CHECK_EQUAL(jpeg_color("RGB", true, -1), FACTS_COLOR_YCBCR);
	CHECK_EQUAL(jpeg_color("\5\6\7", false, -1), FACTS_COLOR_YCBCR);
	CHECK_EQUAL(jpeg_color("\1\2\3", false, 0), FACTS_COLOR_RGB);
	CHECK_EQUAL(jpeg_color("\1\2\3", true, 0), FACTS_COLOR_YCBCR);
	CHECK_EQUAL(jpeg_color("RGB", false, 1), FACTS_COLOR_YCBCR);
	CHECK_EQUAL(jpeg_color("\1\2\3\4", false, -1), FACTS_COLOR_CMYK);
	CHECK_EQUAL(jpeg_color("\1\2\3\4", false, 0), FACTS_COLOR_CMYK);
	CHECK_EQUAL(jpeg_color("\1\2\3\4", false, 2), FACTS_COLOR_YCCK);

	/* fill bytes and stray ones, and markers that stand alone */
	jpeg = jpeg_start();
	PUT(&jpeg, "\xff\xff\xff\xfe\0\3x" "\0\0\0" "\xff\1" "\xff\xd0");
	put_frame(&jpeg, 0xc0, 8, 20, 10, "\1\2\3");
	PUT(&jpeg, "\xff\xff");
	put_scan(&jpeg);
	CHECK_EQUAL(read_and_free(jpeg), FACTS_OK);
	CHECK_SIZE(20, 10);

	/* what is wrong */
	jpeg = jpeg_start();
	put_scan(&jpeg);
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);
	CHECK_STRING(message, "JPEG has a scan before its frame header");
	jpeg = jpeg_start();
	PUT_APPLICATION(&jpeg, 0xe0, JFIF);
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);
	CHECK_STRING(message, "JPEG ends inside its header");
	CHECK_EQUAL(facts.format, FACTS_FORMAT_JPEG);
	jpeg = jpeg_start();
	put_frame(&jpeg, 0xc0, 8, 20, 0, "\1\2\3");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_UNSUPPORTED);
	jpeg = jpeg_start();
	put_frame(&jpeg, 0xc0, 8, 0, 20, "\1\2\3");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);
	CHECK_STRING(message, "JPEG claims 0 x 20 pixels");
	jpeg = jpeg_start();
	put_frame(&jpeg, 0xf7, 8, 20, 20, "\1\2\3");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_UNSUPPORTED);
	jpeg = jpeg_start();
	PUT(&jpeg, "\xff\xe0\0\1");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);
	jpeg = jpeg_start();
	PUT(&jpeg, "\xff\xd9");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);

	/* no amount of markers or of stray bytes is walked through */
	jpeg = jpeg_start();
	for (int i = 0; i < 5000; i++)
		PUT(&jpeg, "\xff\xfe\0\2");
	put_frame(&jpeg, 0xc0, 8, 20, 20, "\1");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);
	jpeg = jpeg_start();
	PUT(&jpeg, "\xff\xfe\0\2");
	for (int i = 0; i < 1000000; i++)
		PUT(&jpeg, "\xff");
	CHECK_EQUAL(read_and_free(jpeg), FACTS_DAMAGED);
	CHECK(source.fetches < 20);
}

static void
test_png(void)
{
	/* every colour type; a bit for each depth */
	static const struct
	{
		int			type;
		int			depths;
		int			channels;
		bool		alpha;
		FactsColor	color;
	}			types[] = {
		{0, 31, 1, false, FACTS_COLOR_GRAY}, {2, 24, 3, false, FACTS_COLOR_RGB},
		{3, 15, 3, false, FACTS_COLOR_PALETTE}, {4, 24, 2, true, FACTS_COLOR_GRAY},
		{6, 24, 4, true, FACTS_COLOR_RGB}, {1, 0, 0, false, 0}, {5, 0, 0, false, 0},
		{7, 0, 0, false, 0}
	};
	Bytes		png;
	Bytes		actl = {0};

	check_subject = "png";
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		for (int depth = 0; depth <= 32; depth++)
		{
			bool		allowed = false;

			for (int bit = 0; bit < 5; bit++)
				allowed = allowed || (depth == 1 << bit && (types[i].depths >> bit & 1));
			png = png_start(5, 6, depth, types[i].type);
			put_chunk(&png, "IDAT", filler(9));
			CHECK_EQUAL(read_and_free(png_end(png)), allowed ? FACTS_OK : FACTS_DAMAGED);
			if (!allowed)
				continue;
			CHECK_SIZE(5, 6);
			CHECK_EQUAL(facts.bit_depth, depth);
			CHECK_EQUAL(facts.channels, types[i].channels);
			CHECK_EQUAL(facts.has_alpha, types[i].alpha);
			CHECK_EQUAL(facts.color, types[i].color);
		}
	}

	png = png_start(5, 6, 4, 3);
	put_chunk(&png, "iCCP", filler(20));
	put_be(&actl, 4, 12);
	put_be(&actl, 4, 0);
	put_chunk(&png, "acTL", actl);
	put_chunk(&png, "PLTE", filler(6));
	put_chunk(&png, "tRNS", filler(2));
	put_chunk(&png, "IDAT", filler(2));
	CHECK_EQUAL(read_and_free(png_end(png)), FACTS_OK);
	CHECK_EQUAL(facts.channels, 4);
	CHECK(facts.has_alpha && facts.has_icc && facts.animated && !facts.has_metadata);
	CHECK_EQUAL(facts.frames, 12);

	/* EXIF behind 4 MB of pixels costs a few looks, wherever the run ends */
	for (int chunks = 490; chunks < 525; chunks++)
	{
		CHECK_EQUAL(read_and_free(make_png(8, chunks, 8192)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, 8);
		CHECK(facts.has_metadata);
		if (!CHECK(source.fetches < 40 && source.fetched < 8192))
			break;
	}

	png = png_start(5, 6, 8, 0);
	put_chunk(&png, "eXIf", make_exif(false, false, 4));
	put_chunk(&png, "tRNS", filler(2));
	CHECK_EQUAL(read_and_free(png), FACTS_OK);
	CHECK_EQUAL(facts.orientation, 4);
	CHECK_EQUAL(facts.channels, 2);
	CHECK(facts.has_alpha);

	CHECK_EQUAL(read_and_free(png_start(0, 5, 8, 2)), FACTS_DAMAGED);
	CHECK_STRING(message, "PNG claims 0 x 5 pixels");
	CHECK_EQUAL(read_and_free(png_start(0x80000000, 5, 8, 2)), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(png_start(0x7fffffff, 0x7fffffff, 8, 2)), FACTS_OK);
	CHECK_EQUAL(read_and_free(png_end(png_start(5, 5, 8, 2))), FACTS_DAMAGED);
	png = png_start(5, 5, 8, 2);
	png.data[20] ^= 1;			/* the width, against the checksum */
	CHECK_EQUAL(read_and_free(png), FACTS_DAMAGED);
	png = png_start(5, 5, 8, 2);
	png.data[4] = '\n';
	CHECK_EQUAL(read_and_free(png), FACTS_DAMAGED);
	png = (Bytes) {0};
	PUT(&png, "\x89PNG\r\n\x1a\n");
	put_chunk(&png, "CgBI", filler(4));
	CHECK_EQUAL(read_and_free(png), FACTS_UNSUPPORTED);
}

static void
test_gif(void)
{
	Bytes		gif;

	check_subject = "gif";
	CHECK_EQUAL(read_and_free(make_gif(1, false)), FACTS_OK);
	CHECK_SIZE(32, 16);
	CHECK_EQUAL(facts.bit_depth, 3);
	CHECK_EQUAL(facts.channels, 3);
	CHECK_EQUAL(facts.color, FACTS_COLOR_PALETTE);
	CHECK(!facts.has_alpha && !facts.animated);
	CHECK_EQUAL(facts.frames, 1);

	CHECK_EQUAL(read_and_free(make_gif(70000, true)), FACTS_OK);
	CHECK_EQUAL(facts.frames, 70000);
	CHECK_EQUAL(facts.channels, 4);
	CHECK(facts.has_alpha && facts.animated);

	gif = make_gif(70000, true);
	CHECK_EQUAL(read_bytes(gif.data, gif.length, false, 0), FACTS_OK);
	CHECK_EQUAL(facts.frames, 1);
	CHECK(!facts.animated);
	CHECK_EQUAL(source.fetches, 1);
	/* cut in the middle of a frame: what is there counts */
	gif.length = gif.length / 2;
	CHECK_EQUAL(read_and_free(gif), FACTS_OK);
	CHECK(facts.frames > 34000 && facts.frames < 35001);

	/* a first frame that leaves some of the screen open */
	gif = gif_start(32, 16, 0);
	put_gif_image(&gif, false, 1, 0, 31, 16);
	CHECK_EQUAL(read_and_free(gif), FACTS_OK);
	CHECK(facts.has_alpha);
	CHECK_EQUAL(facts.bit_depth, 8);
	/* no screen, and no frame size */
	gif = gif_start(0, 0, 2);
	put_gif_image(&gif, false, 2, 3, 30, 10);
	CHECK_EQUAL(read_and_free(gif), FACTS_OK);
	CHECK_SIZE(32, 13);
	gif = gif_start(9, 8, 2);
	put_gif_image(&gif, false, 0, 0, 0, 0);
	CHECK_EQUAL(read_and_free(gif), FACTS_OK);
	CHECK_SIZE(9, 8);
	CHECK(!facts.has_alpha);
	gif = gif_start(0, 0, 2);
	put_gif_image(&gif, false, 0, 0, 0, 5);
	CHECK_EQUAL(read_and_free(gif), FACTS_DAMAGED);

	gif = gif_start(9, 8, 2);
	CHECK_EQUAL(read_and_free(gif), FACTS_DAMAGED);
	gif = gif_start(9, 8, 2);
	PUT(&gif, ";");
	CHECK_EQUAL(read_and_free(gif), FACTS_DAMAGED);
	CHECK_STRING(message, "GIF has no picture in it");
}

static void
test_webp(void)
{
	Bytes		webp;

	check_subject = "webp";
	for (int kind = 0; kind < 3; kind++)
	{
		CHECK_EQUAL(read_and_free(make_webp_simple(kind > 0, kind > 1)), FACTS_OK);
		CHECK_SIZE(99, 77);
		CHECK_EQUAL(facts.webp_lossless, kind > 0);
		CHECK_EQUAL(facts.has_alpha, kind > 1);
		CHECK_EQUAL(facts.channels, kind > 1 ? 4 : 3);
		CHECK(facts.webp_exact && !facts.animated);
	}

	CHECK_EQUAL(read_and_free(make_webp_still(3, false)), FACTS_OK);
	CHECK_SIZE(64, 48);
	CHECK_EQUAL(facts.orientation, 3);
	CHECK(facts.webp_exact && facts.has_icc && facts.has_metadata && facts.has_alpha);
	CHECK(!facts.webp_lossless);

	CHECK_EQUAL(read_and_free(make_webp_animation(5)), FACTS_OK);
	CHECK_SIZE(64, 48);
	CHECK_EQUAL(facts.frames, 5);
	CHECK(facts.webp_exact && facts.animated && facts.has_alpha && facts.webp_lossless);
	webp = make_webp_animation(5);
	CHECK_EQUAL(read_bytes(webp.data, webp.length, false, 0), FACTS_OK);
	CHECK_EQUAL(facts.frames, 1);
	CHECK(facts.animated);
	free(webp.data);

	/* whatever keeps a file from being exact */
	webp = make_webp_simple(false, false);
	PUT(&webp, "x");
	CHECK_EQUAL(read_and_free(webp), FACTS_OK);
	CHECK(!facts.webp_exact);
	webp = make_webp_simple(false, false);
	put_riff_chunk(&webp, "junk", filler(2));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact);
	webp = make_webp_simple(false, false);
	webp.length -= 2;
	CHECK_EQUAL(read_and_free(webp), FACTS_OK);
	CHECK(!facts.webp_exact);
	webp = make_webp_still(1, false);
	put_riff_chunk(&webp, "junk", filler(2));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact);
	webp = make_webp_still(1, false);
	webp.length = webp.length / 2;
	CHECK_EQUAL(read_and_free(webp), FACTS_OK);
	CHECK(!facts.webp_exact);
	webp = webp_extended(0x08, 64, 48);	/* no EXIF comes */
	put_riff_chunk(&webp, "VP8 ", vp8(64, 48));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact);
	webp = webp_extended(0, 64, 48);	/* an XMP comes */
	put_riff_chunk(&webp, "VP8 ", vp8(64, 48));
	put_riff_chunk(&webp, "XMP ", filler(2));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact && facts.has_metadata);
	webp = webp_extended(0, 64, 48);	/* transparent, and not said to be */
	put_riff_chunk(&webp, "VP8L", vp8l(64, 48, true));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact && facts.has_alpha && facts.webp_lossless);
	webp = webp_extended(0x10, 64, 48);	/* the other way round */
	put_riff_chunk(&webp, "VP8L", vp8l(64, 48, false));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(facts.webp_exact && !facts.has_alpha);
	webp = webp_extended(0x20, 64, 48);	/* the profile behind the picture */
	put_riff_chunk(&webp, "VP8 ", vp8(64, 48));
	put_riff_chunk(&webp, "ICCP", filler(2));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact && facts.has_icc);
	for (int flagged = 0; flagged < 2; flagged++)	/* EXIF behind frames */
	{
		/* decoders pass over an EXIF chunk that is not announced */
		webp = webp_extended(flagged ? 0x1a : 0x12, 64, 48);
		put_riff_chunk(&webp, "ANIM", filler(6));
		put_webp_frame(&webp, 0, 0, 64, 48, false);
		put_webp_frame(&webp, 0, 0, 64, 48, false);
		put_riff_chunk(&webp, "EXIF", make_exif(false, false, 6));
		webp = webp_end(webp);
		for (int count = 0; count < 2; count++)
		{
			CHECK_EQUAL(read_bytes(webp.data, webp.length, count > 0, 0), FACTS_OK);
			CHECK_EQUAL(facts.orientation, flagged ? 6 : 1);
		}
		free(webp.data);
	}
	webp = webp_extended(0x12, 64, 48);	/* a frame beyond the canvas */
	put_riff_chunk(&webp, "ANIM", filler(6));
	put_webp_frame(&webp, 50, 0, 20, 30, false);
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_OK);
	CHECK(!facts.webp_exact);

	/* what is wrong */
	webp = webp_extended(0, 64, 48);
	put_riff_chunk(&webp, "VP8 ", vp8(64, 47));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(webp_end(webp_extended(0, 64, 48))), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(webp_end(webp_extended(0, 1 << 24, 1 << 24))), FACTS_DAMAGED);
	webp = webp_start();
	put_riff_chunk(&webp, "VP8 ", vp8(0, 47));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_DAMAGED);
	CHECK_STRING(message, "WebP claims 0 x 47 pixels");
	webp = webp_start();
	put_riff_chunk(&webp, "ALPH", filler(8));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_DAMAGED);

	/* a file of many chunks is left before it takes long */
	webp = webp_extended(0x02, 64, 48);
	for (int i = 0; i < 40000; i++)
		put_riff_chunk(&webp, "junk", filler(0));
	CHECK_EQUAL(read_and_free(webp_end(webp)), FACTS_UNSUPPORTED);
}

static void
test_bmp(void)
{
	static const struct
	{
		uint32_t	header;
		unsigned	bits;
		uint32_t	compression;
		uint32_t	alpha_mask;
		FactsStatus status;
		int			depth;
		int			channels;
	}			kinds[] = {
		{12, 1, 0, 0, FACTS_OK, 1, 3}, {12, 24, 0, 0, FACTS_OK, 8, 3},
		{16, 8, 0, 0, FACTS_OK, 8, 3}, {64, 4, 2, 0, FACTS_OK, 4, 3},
		{64, 24, 4, 0, FACTS_OK, 8, 3}, {40, 2, 0, 0, FACTS_OK, 2, 3},
		{40, 8, 1, 0, FACTS_OK, 8, 3}, {40, 16, 0, 0, FACTS_OK, 5, 3},
		{40, 16, 3, 0x8000, FACTS_OK, 6, 3}, {40, 16, 6, 0x8000, FACTS_OK, 6, 4},
		{40, 32, 0, 0, FACTS_OK, 8, 3}, {52, 32, 3, 0, FACTS_OK, 6, 3},
		{56, 16, 3, 0x8000, FACTS_OK, 6, 4}, {56, 16, 3, 0, FACTS_OK, 6, 3},
		{108, 32, 3, 0xff000000, FACTS_OK, 6, 4}, {108, 32, 0, 0, FACTS_OK, 8, 3},
		{124, 32, 3, 0xff000000, FACTS_OK, 6, 4}, {124, 64, 0, 0, FACTS_OK, 16, 4},
		{40, 0, 4, 0, FACTS_OK, 8, 3}, {40, 0, 5, 0, FACTS_OK, 8, 3},
		{40, 0, 0, 0, FACTS_DAMAGED, 0, 0}, {40, 30000, 0, 0, FACTS_DAMAGED, 0, 0},
		{40, 24, 1, 0, FACTS_DAMAGED, 0, 0}, {66, 24, 0, 0, FACTS_DAMAGED, 0, 0},
		{13, 24, 0, 0, FACTS_DAMAGED, 0, 0}
	};

	check_subject = "bmp";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		CHECK_EQUAL(read_and_free(make_bmp(kinds[i].header, 30, 20, kinds[i].bits,
										   kinds[i].compression, kinds[i].alpha_mask)),
					kinds[i].status);
		if (kinds[i].status != FACTS_OK)
			continue;
		CHECK_SIZE(30, 20);
		CHECK_EQUAL(facts.bit_depth, kinds[i].depth);
		CHECK_EQUAL(facts.channels, kinds[i].channels);
		CHECK_EQUAL(facts.has_alpha, kinds[i].channels == 4);
		CHECK_EQUAL(facts.color, kinds[i].bits >= 1 && kinds[i].bits <= 8 ?
					FACTS_COLOR_PALETTE : FACTS_COLOR_RGB);
	}
	CHECK_EQUAL(read_and_free(make_bmp(40, 30, -20, 24, 0, 0)), FACTS_OK);
	CHECK_SIZE(30, 20);
	CHECK_EQUAL(read_and_free(make_bmp(40, -30, 20, 24, 0, 0)), FACTS_DAMAGED);
	CHECK_STRING(message, "BMP claims -30 x 20 pixels");
	CHECK_EQUAL(read_and_free(make_bmp(40, 30, INT32_MIN, 24, 0, 0)), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(make_bmp(40, 0, 20, 24, 0, 0)), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(make_bmp(40, 30, 0, 24, 0, 0)), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(make_bmp(40, 3000000, 2000000, 24, 0, 0)), FACTS_DAMAGED);
	CHECK_EQUAL(read_and_free(make_bmp(40, INT32_MAX, INT32_MAX, 64, 0, 0)), FACTS_DAMAGED);
}

static void
test_tiff(void)
{
	Bytes		tiff;

	check_subject = "tiff";
	for (int kind = 0; kind < 4; kind++)
	{
		bool		big_endian = kind & 1;
		bool		big = kind & 2;
		uint64_t	first = big ? 16 : 8;
		uint64_t	page = big ? 8 + 9 * 20 + 8 : 2 + 9 * 12 + 4;

		CHECK_EQUAL(read_and_free(make_tiff(big_endian, big, 7, 1, 0)), FACTS_OK);
		CHECK_EQUAL(facts.format, FACTS_FORMAT_TIFF);
		CHECK_SIZE(123, 45);
		CHECK_EQUAL(facts.orientation, 7);
		CHECK_EQUAL(facts.bit_depth, 16);
		CHECK_EQUAL(facts.channels, 4);
		CHECK_EQUAL(facts.color, FACTS_COLOR_RGB);
		CHECK_EQUAL(facts.frames, 1);
		CHECK(facts.has_alpha && facts.has_icc && facts.has_metadata && !facts.animated);

		CHECK_EQUAL(read_and_free(make_tiff(big_endian, big, 9, 100, 0)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, 1);
		CHECK_EQUAL(facts.frames, 100);
		CHECK(!facts.animated);
		/* the end of the chain lies outside: the pages there are count */
		CHECK_EQUAL(read_and_free(make_tiff(big_endian, big, 1, 3, 100000)), FACTS_OK);
		CHECK_EQUAL(facts.frames, 3);

		/* circles of every length, and with a tail before */
		for (int pages = 1; pages < 40; pages++)
		{
			CHECK_EQUAL(read_and_free(make_tiff(big_endian, big, 1, pages, first)),
						FACTS_DAMAGED);
			CHECK_EQUAL(read_and_free(make_tiff(big_endian, big, 1, pages,
												first + (uint64_t) (pages / 2) * page)),
						FACTS_DAMAGED);
		}
		/* which do not matter to whoever wants the first page */
		tiff = make_tiff(big_endian, big, 1, 2, first);
		CHECK_EQUAL(read_bytes(tiff.data, tiff.length, false, 0), FACTS_OK);
		free(tiff.data);
	}

	tiff = (Bytes) {0};
	PUT(&tiff, "II*\0\10\0\0\0\0\0\0\0\0\0");
	CHECK_EQUAL(read_and_free(tiff), FACTS_DAMAGED);
	CHECK_STRING(message, "TIFF claims 0 x 0 pixels");
	tiff = (Bytes) {0};
	PUT(&tiff, "MM\0+\0\10\0\0\0\0\0\0\0\0\0\20\xff\xff\xff\xff\xff\xff\xff\xff");
	CHECK_EQUAL(read_and_free(tiff), FACTS_DAMAGED);
}

static void
test_heif(void)
{
	/* what EXIF calls turn (rows, -1 to 3) and mirror (-1 to 1) after it */
	static const int orientations[5][3] = {
		{1, 4, 2}, {1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}
	};

	/* and with the mirror before it */
	static const int mirrored_first[5][3] = {
		{1, 4, 2}, {1, 4, 2}, {8, 7, 5}, {3, 2, 4}, {6, 5, 7}
	};
	static const struct
	{
		const char *brands;
		FactsFormat format;
	}			brands[] = {
		{"avif", FACTS_FORMAT_AVIF}, {"avis", FACTS_FORMAT_AVIF},
		{"heic", FACTS_FORMAT_HEIF}, {"heix", FACTS_FORMAT_HEIF},
		{"heim", FACTS_FORMAT_HEIF}, {"heis", FACTS_FORMAT_HEIF},
		{"hevc", FACTS_FORMAT_HEIF}, {"hevx", FACTS_FORMAT_HEIF},
		{"mif1", FACTS_FORMAT_HEIF}, {"msf1", FACTS_FORMAT_HEIF},
		{"mif1avif", FACTS_FORMAT_AVIF}, {"mif1miafavif", FACTS_FORMAT_AVIF},
		{"mif1avifheic", FACTS_FORMAT_HEIF}, {"mif1heicavif", FACTS_FORMAT_HEIF},
		{"avifmif1heic", FACTS_FORMAT_AVIF}, {"heicavif", FACTS_FORMAT_HEIF},
		{"mp42isom", FACTS_FORMAT_UNKNOWN}, {"qt  ", FACTS_FORMAT_UNKNOWN},
		{"isomhevc", FACTS_FORMAT_UNKNOWN}
	};
	Bytes		heif;

	check_subject = "heif";
	for (size_t i = 0; i < sizeof(brands) / sizeof(brands[0]); i++)
	{
		FactsStatus status = read_and_free(make_heif(brands[i].brands, -1, -1, false, false, 0));

		CHECK_EQUAL(facts.format, brands[i].format);
		CHECK_EQUAL(status, brands[i].format != FACTS_FORMAT_UNKNOWN ? FACTS_OK : FACTS_UNKNOWN);
	}

	for (int turn = -1; turn < 4; turn++)
	{
		for (int mirror = -1; mirror < 2; mirror++)
		{
			CHECK_EQUAL(read_and_free(make_heif("heicmif1", turn, mirror, false, false, 0)),
						FACTS_OK);
			CHECK_SIZE(320, 240);
			CHECK_EQUAL(facts.orientation, orientations[turn + 1][mirror + 1]);
			CHECK_EQUAL(read_and_free(make_heif("heicmif1", turn, mirror, true, false, 0)),
						FACTS_OK);
			CHECK_EQUAL(facts.orientation, mirrored_first[turn + 1][mirror + 1]);
		}
	}

	CHECK_EQUAL(read_and_free(make_heif("avifmif1", -1, -1, false, true, 0)), FACTS_OK);
	CHECK_EQUAL(facts.bit_depth, 10);
	CHECK_EQUAL(facts.channels, 4);
	CHECK_EQUAL(facts.color, FACTS_COLOR_YCBCR);
	CHECK(facts.has_alpha && facts.has_icc && facts.has_metadata && !facts.animated);

	/* a sequence counts its frames, a still that has a track besides doesn't */
	CHECK_EQUAL(read_and_free(make_heif("avisavif", -1, -1, false, false, 33)), FACTS_OK);
	CHECK_EQUAL(facts.frames, 33);
	CHECK(facts.animated && !facts.has_alpha);
	CHECK_EQUAL(facts.channels, 3);
	CHECK_EQUAL(read_and_free(make_heif("avifavis", -1, -1, false, false, 33)), FACTS_OK);
	CHECK_EQUAL(facts.frames, 1);

	/* without items it is the track that tells the size */
	heif = make_heif("avisavif", -1, -1, false, false, 33);
	memcpy(heif.data + 24 + 4, "free", 4);
	CHECK_EQUAL(read_and_free(heif), FACTS_OK);
	CHECK_SIZE(320, 240);
	CHECK_EQUAL(facts.frames, 33);
	heif = make_heif("avifmif1", -1, -1, false, false, 0);
	memcpy(heif.data + 24 + 4, "free", 4);
	CHECK_EQUAL(read_and_free(heif), FACTS_DAMAGED);
	CHECK_STRING(message, "AVIF does not tell the size of its picture");
}

/* A HEIC whose primary item has all of these properties, up to nine. */
static Bytes
make_item(Bytes properties, int count)
{
	Bytes		heif = {0};
	size_t		meta;
	size_t		iprp;
	size_t		box;

	PUT_BOX(&heif, "ftyp", "heic\0\0\0\0mif1heic");
	/* a size of 64 bits for a box to be passed over */
	PUT(&heif, "\0\0\0\1free\0\0\0\0\0\0\0\x12xx");
	meta = box_begin(&heif, "meta");
	put_be(&heif, 4, 0);
	PUT_BOX(&heif, "pitm", "\1\0\0\0\0\1\0\0");
	iprp = box_begin(&heif, "iprp");
	box = box_begin(&heif, "ipco");
	put_all(&heif, properties);
	box_end(&heif, box);
	/* wide item numbers and wide property numbers */
	box = box_begin(&heif, "ipma");
	PUT(&heif, "\1\0\0\1\0\0\0\1\0\1\0\0");
	put_be(&heif, 1, (uint64_t) count);
	for (int i = 1; i <= count; i++)
		put_be(&heif, 2, (uint64_t) (0x8000 | i));
	box_end(&heif, box);
	box_end(&heif, iprp);
	box_end(&heif, meta);
	return heif;
}

static void
test_heif_properties(void)
{
	Bytes		properties = {0};

	check_subject = "heif properties";
	PUT_BOX(&properties, "ispe", "\0\0\0\0\0\0\0\x40\0\0\0\x20");
	PUT_BOX(&properties, "hvcC", "\1\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xfd\xfa\xfa");
	PUT_BOX(&properties, "clap", "\0\0\0\x3f\0\0\0\1\0\0\0\x3c\0\0\0\2\0\0\0\0\0\0\0\1"
			"\0\0\0\0\0\0\0\1");
	PUT_BOX(&properties, "irot", "\1");
	PUT_BOX(&properties, "colr", "nclx\0\1\0\1\0\0\x80");
	CHECK_EQUAL(read_and_free(make_item(properties, 5)), FACTS_OK);
	CHECK_EQUAL(facts.format, FACTS_FORMAT_HEIF);
	CHECK_SIZE(63, 30);
	CHECK_EQUAL(facts.orientation, 8);
	CHECK_EQUAL(facts.bit_depth, 10);
	CHECK_EQUAL(facts.color, FACTS_COLOR_RGB);
	CHECK_EQUAL(facts.channels, 3);

	/* cropped when it is turned already; a crop that is too large */
	for (uint8_t width = 0x1f; width < 0x22; width++)
	{
		properties = (Bytes) {0};
		PUT_BOX(&properties, "ispe", "\0\0\0\0\0\0\0\x40\0\0\0\x20");
		PUT_BOX(&properties, "irot", "\3");
		PUT_BOX(&properties, "clap", "\0\0\0\0\0\0\0\1\0\0\0\x3e\0\0\0\1\0\0\0\0\0\0\0\1"
				"\0\0\0\0\0\0\0\1");
		properties.data[20 + 9 + 8 + 3] = width;
		PUT_BOX(&properties, "pixi", "\0\0\0\0\1\x8");
		CHECK_EQUAL(read_and_free(make_item(properties, 4)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, 6);
		CHECK_SIZE(width > 0x20 ? 64 : 62, width > 0x20 ? 32 : width);
		CHECK_EQUAL(facts.channels, 1);
		CHECK_EQUAL(facts.color, FACTS_COLOR_GRAY);
	}

	properties = (Bytes) {0};
	PUT_BOX(&properties, "ispe", "\0\0\0\0\0\0\0\0\0\0\0\x20");
	CHECK_EQUAL(read_and_free(make_item(properties, 1)), FACTS_DAMAGED);
	CHECK_STRING(message, "HEIF claims 0 x 32 pixels");

	/* more boxes than anybody needs */
	properties = (Bytes) {0};
	for (int i = 0; i < 50000; i++)
		PUT_BOX(&properties, "free", "");
	CHECK_EQUAL(read_and_free(make_item(properties, 1)), FACTS_UNSUPPORTED);
}

int
main(void)
{
	test_jpeg();
	test_png();
	test_gif();
	test_webp();
	test_bmp();
	test_tiff();
	test_heif();
	test_heif_properties();
	return check_report();
}
