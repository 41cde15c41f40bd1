/*-------------------------------------------------------------------------
 *
 * test_facts_hostile.c
 *	  The facts room: every container of an orientation, what is fetched, and
 *	  every way for a header to be cut short or changed.
 *
 *-------------------------------------------------------------------------
 */
#include "facts_source.h"

static void
test_orientations(void)
{
	uint32_t	width;
	uint32_t	height;

	check_subject = "orientation";
	for (int orientation = 0; orientation <= 9; orientation++)
	{
		int			told = orientation >= 1 && orientation <= 8 ? orientation : 1;

		CHECK_EQUAL(read_and_free(make_jpeg(orientation)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, told);
		facts_display_size(&facts, &width, &height);
		CHECK_EQUAL(width, told >= 5 ? 480 : 640);
		CHECK_EQUAL(height, told >= 5 ? 640 : 480);

		CHECK_EQUAL(read_and_free(make_png(orientation, 3, 100)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, told);
		CHECK_EQUAL(read_and_free(make_webp_still(orientation, false)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, told);
		CHECK_EQUAL(read_and_free(make_webp_still(orientation, true)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, told);
		CHECK_EQUAL(read_and_free(make_tiff(true, false, orientation, 1, 0)), FACTS_OK);
		CHECK_EQUAL(facts.orientation, told);
	}
}

static FactsFormat
format_of(const char *data, size_t length)
{
	Bytes		bytes = {0};
	FactsReader reader = {0};
	FactsFormat format;
	FactsStatus status;

	put(&bytes, data, length);
	facts_reader_memory(&reader, bytes.data, bytes.length);
	format = facts_format(&reader);
	status = read_and_free(bytes);
	CHECK_EQUAL(facts.format, format);
	CHECK_EQUAL(status == FACTS_UNKNOWN, format == FACTS_FORMAT_UNKNOWN);
	return format;
}

#define FORMAT_OF(literal) format_of((literal), sizeof(literal) - 1)

static void
test_signatures(void)
{
	check_subject = "signature";
	CHECK_EQUAL(FORMAT_OF("\xff\x0a\x01"), FACTS_FORMAT_JXL);
	CHECK_EQUAL(FORMAT_OF("\0\0\0\14JXL \r\n\x87\n"), FACTS_FORMAT_JXL);
	CHECK_EQUAL(FORMAT_OF("\0\0\0\14jP  \r\n\x87\n"), FACTS_FORMAT_JP2);
	CHECK_EQUAL(FORMAT_OF("\xff\x4f\xff\x51\0"), FACTS_FORMAT_JP2);
	CHECK_EQUAL(FORMAT_OF("8BPS\0\1\0\0"), FACTS_FORMAT_PSD);
	CHECK_EQUAL(FORMAT_OF("\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\0\0\0\0\0\0\0\0"),
				FACTS_FORMAT_ICO);
	CHECK_STRING(message, "ICO is not supported");
	CHECK_EQUAL(FORMAT_OF("<svg xmlns=''/>"), FACTS_FORMAT_SVG);
	CHECK_EQUAL(FORMAT_OF("\xef\xbb\xbf \r\n<?xml version='1.0'?><!-- <html> -->"
						  "<!DOCTYPE svg PUBLIC '' ''>\n<svg>"), FACTS_FORMAT_SVG);
	CHECK_EQUAL(FORMAT_OF("<!DOCTYPE svg [ <!ENTITY a 'b'> ]><svg:svg>"), FACTS_FORMAT_SVG);
	CHECK_EQUAL(FORMAT_OF("<html><svg></svg></html>"), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF("<svgfoo>"), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF("<?xml"), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF("BMW makes cars, and motorcycles too"), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF("hello, world"), FACTS_FORMAT_UNKNOWN);
	CHECK_STRING(message, "value is no picture of a known format");
	CHECK_EQUAL(FORMAT_OF("%PDF-1.4"), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF("RIFF\0\0\0\0WAVEfmt "), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF("\xff\xd8"), FACTS_FORMAT_UNKNOWN);
	CHECK_EQUAL(FORMAT_OF(""), FACTS_FORMAT_UNKNOWN);
	CHECK_STRING(message, "value is empty");

	for (int format = FACTS_FORMAT_JPEG; format <= FACTS_FORMAT_PSD; format++)
	{
		CHECK(facts_format_name(format) != NULL);
		CHECK(strncmp(facts_mime_type(format), "image/", 6) == 0);
	}
	CHECK(facts_format_name(FACTS_FORMAT_UNKNOWN) == NULL);
	CHECK(facts_mime_type(FACTS_FORMAT_UNKNOWN) == NULL);
	CHECK(facts_format_name(FACTS_FORMAT_PSD + 1) == NULL);
	CHECK_STRING(facts_format_name(FACTS_FORMAT_WEBP), "webp");
	CHECK_STRING(facts_mime_type(FACTS_FORMAT_SVG), "image/svg+xml");
	CHECK(facts_color_name(FACTS_COLOR_UNKNOWN) == NULL);
	CHECK_STRING(facts_color_name(FACTS_COLOR_LAB), "lab");
}

/*
 * What is fetched, and what happens when it can't be.
 */
static void
test_fetching(void)
{
	Bytes		jpeg;
	FactsReader reader = {0};
	int			fetches;

	check_subject = "fetching";

	/* a header in the first 4 KiB of 5 MB */
	jpeg = make_jpeg(6);
	put_zeros(&jpeg, 5000000);
	CHECK_EQUAL(read_and_free(jpeg), FACTS_OK);
	CHECK_EQUAL(source.fetches, 1);
	CHECK_EQUAL(source.fetched, FACTS_FETCH_USUAL);

	/* 200 KB of profile before it */
	jpeg = jpeg_start();
	PUT_APPLICATION(&jpeg, 0xe0, JFIF);
	put_segment(&jpeg, 0xe1, make_exif(true, true, 6));
	for (int i = 0; i < 4; i++)
	{
		Bytes		segment = {0};

		PUT(&segment, "ICC_PROFILE\0");
		put_zeros(&segment, 50000);
		put_segment(&jpeg, 0xe2, segment);
	}
	put_frame(&jpeg, 0xc0, 8, 640, 480, "\1\2\3");
	put_scan(&jpeg);
	put_zeros(&jpeg, 100000);
	CHECK_EQUAL(read_bytes(jpeg.data, jpeg.length, true, 0), FACTS_OK);
	CHECK_SIZE(640, 480);
	CHECK_EQUAL(facts.orientation, 6);
	CHECK(facts.has_icc);
	CHECK_EQUAL(source.fetches, 5);
	CHECK_EQUAL(source.fetched, 5 * FACTS_FETCH_USUAL);

	/* any of the fetches may fail */
	fetches = source.fetches;
	for (int i = 1; i <= fetches; i++)
	{
		CHECK_EQUAL(read_bytes(jpeg.data, jpeg.length, true, i), FACTS_READ_FAILED);
		CHECK_STRING(message, "value could not be read");
		CHECK_EQUAL(source.fetches, i);
		CHECK_EQUAL(facts.width, 0);
	}

	/* from memory, without a message, and twice with one reader */
	facts_reader_memory(&reader, jpeg.data, jpeg.length);
	for (int i = 0; i < 2; i++)
	{
		CHECK_EQUAL(facts_read(&reader, false, &facts, NULL, 0), FACTS_OK);
		CHECK_SIZE(640, 480);
	}
	/* a message that does not fit is cut */
	facts_reader_memory(&reader, jpeg.data, 20);
	memset(message, 'x', sizeof(message));
	CHECK_EQUAL(facts_read(&reader, false, &facts, message, 10), FACTS_DAMAGED);
	CHECK_STRING(message, "JPEG ends");
	CHECK_EQUAL(message[10], 'x');
	CHECK_EQUAL(facts_read(&reader, false, &facts, message, 3), FACTS_DAMAGED);
	CHECK_STRING(message, "JP");
	facts_reader_memory(&reader, NULL, 0);
	CHECK_EQUAL(facts_read(&reader, false, &facts, NULL, 0), FACTS_UNKNOWN);
	free(jpeg.data);
}

/*
 * Every beginning of every sample, and many samples with bits flipped: no
 * answer is wrong, as long as there is one and the sanitizers are silent.
 */
static void
test_damage(void)
{
	enum
	{
		SAMPLES = 14, MUTATIONS = 120000
	};
	Bytes		samples[SAMPLES] = {
		make_jpeg(6), make_png(3, 4, 10), make_gif(3, true),
		make_webp_simple(false, false), make_webp_simple(true, true),
		make_webp_still(5, true), make_webp_animation(3),
		make_bmp(40, 30, 20, 16, 3, 0x8000), make_bmp(124, 30, -20, 32, 3, 0xff000000),
		make_tiff(false, false, 6, 3, 0), make_tiff(true, true, 6, 3, 0),
		make_heif("avifmif1", 1, 0, false, true, 0),
		make_heif("heicmif1", 3, -1, false, false, 0),
		make_heif("avisavif", 1, 1, true, true, 4)
	};
	uint64_t	random = 88172645463325252;
	unsigned long answers[FACTS_READ_FAILED + 1] = {0};

	check_subject = "damage";
	for (int i = 0; i < SAMPLES; i++)
	{
		CHECK_EQUAL(read_bytes(samples[i].data, samples[i].length, true, 0), FACTS_OK);
		for (size_t length = 0; length < samples[i].length; length++)
		{
			/* a copy of its own, so that nothing lies behind it */
			uint8_t    *copy = malloc(length + (length == 0));

			if (copy == NULL)
				abort();
			memcpy(copy, samples[i].data, length);
			for (int counting = 0; counting < 2; counting++)
				answers[read_bytes(copy, length, counting, 0)]++;
			free(copy);
		}
	}
	CHECK(answers[FACTS_OK] > 0 && answers[FACTS_UNKNOWN] > 0 && answers[FACTS_DAMAGED] > 0);
	CHECK_EQUAL(answers[FACTS_UNSUPPORTED], 0);

	for (int i = 0; i < MUTATIONS; i++)
	{
		Bytes	   *sample = &samples[i % SAMPLES];
		size_t		places[8];
		uint8_t		before[8];
		int			count = 1 + i / SAMPLES % 8;
		FactsStatus status;

		for (int k = 0; k < count; k++)
		{
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			places[k] = random % sample->length;
			before[k] = sample->data[places[k]];
			/* a bit, or one of the numbers that are the end of something */
			if (random >> 40 & 1)
				sample->data[places[k]] ^= (uint8_t) (1 << (random >> 41 & 7));
			else
				sample->data[places[k]] = "\0\1\x7f\x80\xfe\xff\x10\x20"[random >> 41 & 7];
		}
		status = read_bytes(sample->data, sample->length, i & 1, 0);
		if (status == FACTS_READ_FAILED ||
			(status == FACTS_OK && (facts.width == 0 || facts.height == 0 ||
									facts.orientation < 1 || facts.orientation > 8 ||
									facts.frames == 0 || facts.channels < 1 ||
									facts.channels > 5)))
			CHECK(!"an answer that facts.h rules out");
		while (--count >= 0)
			sample->data[places[count]] = before[count];
	}
	for (int i = 0; i < SAMPLES; i++)
	{
		CHECK_EQUAL(read_bytes(samples[i].data, samples[i].length, true, 0), FACTS_OK);
		free(samples[i].data);
	}
}

int
main(void)
{
	test_orientations();
	test_signatures();
	test_fetching();
	test_damage();
	return check_report();
}
