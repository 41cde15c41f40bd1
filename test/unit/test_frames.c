/*-------------------------------------------------------------------------
 *
 * test_frames.c
 *	  The decoders of GIF and WebP: small pictures and animations made here,
 *	  and every pixel of them.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include <gif_lib.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "decode_test.h"

/*
 * GIF
 */
static int
gif_to_bytes(GifFileType *gif, const GifByteType *data, int length)
{
	put(gif->UserData, data, (size_t) length);
	return length;
}

static const GifColorType gif_colors[4] = {{10, 20, 30}, {200, 0, 0}, {0, 200, 0}, {0, 0, 200}};

static GifFileType *
gif_begin(Bytes *bytes, int width, int height)
{
	ColorMapObject *map = GifMakeMapObject(4, gif_colors);
	GifFileType *gif;
	int			code;

	memset(bytes, 0, sizeof(*bytes));
	gif = EGifOpen(bytes, gif_to_bytes, &code);
	EGifSetGifVersion(gif, true);
	EGifPutScreenDesc(gif, width, height, 2, 1, map);
	GifFreeMapObject(map);
	return gif;
}

static void
gif_loops(GifFileType *gif, int again)
{
	uint8_t		sub[3] = {1, (uint8_t) again, 0};

	EGifPutExtensionLeader(gif, APPLICATION_EXT_FUNC_CODE);
	EGifPutExtensionBlock(gif, 11, "NETSCAPE2.0");
	EGifPutExtensionBlock(gif, 3, sub);
	EGifPutExtensionTrailer(gif);
}

/* One image, all pixels of one index or, with -1, (x + y) % 4. */
static void
gif_image(GifFileType *gif, int left, int top, int width, int height, bool interlaced,
		  int index, int disposal, int delay, int transparent, const ColorMapObject *map)
{
	static const int start[4] = {0, 4, 2, 1};
	static const int step[4] = {8, 8, 4, 2};
	GraphicsControlBlock control = {disposal, false, delay, transparent};
	GifByteType block[4];
	GifPixelType line[64];

	EGifGCBToExtension(&control, block);
	EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, block);
	EGifPutImageDesc(gif, left, top, width, height, interlaced, map);
	for (int pass = 0; pass < (interlaced ? 4 : 1); pass++)
		for (int y = interlaced ? start[pass] : 0; y < height; y += interlaced ? step[pass] : 1)
		{
			for (int x = 0; x < width; x++)
				line[x] = (GifPixelType) (index < 0 ? (x + y) % 4 : index);
			EGifPutLine(gif, line, width);
		}
}

static bool
gif_pixel_is(int x, int y, int index, int alpha)
{
	return pixel_is(x, y, gif_colors[index].Red, gif_colors[index].Green,
					gif_colors[index].Blue, alpha);
}

static void
test_gif(void)
{
	static const uint8_t no_palette[] = "GIF89a\1\0\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\2\x4c\1\0;";
	static const GifColorType local_colors[2] = {{1, 2, 3}, {4, 5, 6}};
	ColorMapObject *local = GifMakeMapObject(2, local_colors);
	GifFileType *gif;
	Bytes		bytes;

	for (int interlaced = 0; interlaced < 2; interlaced++)
	{
		bool		right = true;

		gif = gif_begin(&bytes, 7, 19);
		gif_image(gif, 0, 0, 7, 19, interlaced != 0, -1, 0, 0, -1, NULL);
		EGifCloseFile(gif, NULL);
		CHECK(decode(image_decode_gif, &bytes, bytes.length, 7, 19) == IMAGE_OK);
		CHECK(sink.raster.planes == 3);
		for (int y = 0; y < 19; y++)
			for (int x = 0; x < 7; x++)
				right = right && gif_pixel_is(x, y, (x + y) % 4, 0);
		CHECK(right);
		check_cuts(image_decode_gif, &bytes, 7, 19, bytes.length - 1);
		bytes_free(&bytes);
	}

	/* Transparency, an own palette, and a place half outside of the canvas. */
	for (int interlaced = 0; interlaced < 2; interlaced++)
	{
		gif = gif_begin(&bytes, 6, 6);
		gif_image(gif, 3, 4, 5, 9, interlaced != 0, -1, 0, 0, 1, NULL);
		EGifCloseFile(gif, NULL);
		CHECK(decode(image_decode_gif, &bytes, bytes.length, 6, 6) == IMAGE_OK);
		CHECK(sink.raster.planes == 4);
		CHECK(pixel_is(0, 0, 0, 0, 0, 0) && pixel_is(2, 5, 0, 0, 0, 0));
		/* what is transparent keeps its colour, for who wants no alpha */
		CHECK(gif_pixel_is(3, 4, 0, 255) && gif_pixel_is(4, 4, 1, 0) &&
			  gif_pixel_is(5, 4, 2, 255) && gif_pixel_is(5, 5, 3, 255));
		bytes_free(&bytes);
	}
	gif = gif_begin(&bytes, 3, 3);
	gif_image(gif, 9, 9, 3, 3, false, 1, 0, 0, -1, NULL);
	EGifCloseFile(gif, NULL);
	CHECK(decode(image_decode_gif, &bytes, bytes.length, 3, 3) == IMAGE_OK);
	CHECK(pixel_is(2, 2, 0, 0, 0, 0));
	bytes_free(&bytes);
	gif = gif_begin(&bytes, 3, 3);
	gif_image(gif, 0, 0, 3, 3, false, 1, 0, 0, -1, local);
	EGifCloseFile(gif, NULL);
	CHECK(decode(image_decode_gif, &bytes, bytes.length, 3, 3) == IMAGE_OK);
	CHECK(pixel_is(2, 2, 4, 5, 6, 0));
	bytes_free(&bytes);
	GifFreeMapObject(local);

	memset(&bytes, 0, sizeof(bytes));
	put(&bytes, no_palette, sizeof(no_palette) - 1);
	CHECK(decode(image_decode_gif, &bytes, bytes.length, 1, 1) == IMAGE_DAMAGED);
	bytes_free(&bytes);
}

/* The next frame's pixel in hexadecimal RGBA; -1 at the end or an error. */
static long long
next_pixel(FrameReader *reader, int width, int x, int y, int *duration)
{
	const uint8_t *canvas;

	if (frame_reader_next(reader, &canvas, duration, &error) != IMAGE_OK || canvas == NULL)
		return -1;
	canvas += (y * width + x) * 4;
	return (long long) canvas[0] << 24 | canvas[1] << 16 | canvas[2] << 8 | canvas[3];
}

static void
test_gif_frames(void)
{
	struct ImageFacts facts = facts_of(FACTS_FORMAT_GIF, 4, 4, 6);
	FrameReader *reader;
	GifFileType *gif;
	Bytes		bytes;
	const uint8_t *canvas;
	int			duration;
	size_t		frames;

	/*
	 * At (1, 1): red; green over it; red again, as it asked for; blue, which
	 * is wiped out; transparent where nothing is painted; dark.
	 */
	gif = gif_begin(&bytes, 4, 4);
	gif_loops(gif, 2);
	gif_image(gif, 0, 0, 4, 4, false, 1, DISPOSE_DO_NOT, 7, -1, NULL);
	gif_image(gif, 1, 1, 2, 2, false, 2, DISPOSE_PREVIOUS, 1, -1, NULL);
	gif_image(gif, 0, 0, 2, 2, false, 3, DISPOSE_DO_NOT, 2, 3, NULL);
	gif_image(gif, 1, 1, 9, 9, true, 3, DISPOSE_BACKGROUND, 10, -1, NULL);
	gif_image(gif, 0, 0, 1, 1, false, 1, DISPOSE_DO_NOT, 10, -1, NULL);
	gif_image(gif, 0, 0, 4, 4, false, 0, DISPOSE_DO_NOT, 10, -1, NULL);
	EGifCloseFile(gif, NULL);

	CHECK(frame_reader_open(bytes.data, bytes.length, &facts, &reader, &error) == IMAGE_OK);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) == 0xC80000FF && duration == 70);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) == 0x00C800FF && duration == 100);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) == 0xC80000FF && duration == 20);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) == 0x0000C8FF && duration == 100);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) == 0);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) == 0x0A141EFF);
	CHECK(frame_reader_next(reader, &canvas, &duration, &error) == IMAGE_OK && canvas == NULL);
	CHECK(frame_reader_loops(reader) == 3);
	CHECK(frame_reader_next(reader, &canvas, &duration, &error) == IMAGE_OK && canvas == NULL);
	frame_reader_close(reader);

	/* More frames than were counted are refused. */
	facts.frames = 2;
	CHECK(frame_reader_open(bytes.data, bytes.length, &facts, &reader, &error) == IMAGE_OK);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) >= 0);
	CHECK(next_pixel(reader, 4, 1, 1, &duration) >= 0);
	CHECK(frame_reader_next(reader, &canvas, &duration, &error) == IMAGE_DAMAGED);
	frame_reader_close(reader);

	/* Cut short: whole frames first, then an error, never half a frame. */
	facts.frames = 6;
	for (size_t length = 14; length < bytes.length; length += 5)
	{
		uint8_t    *copy = malloc(length);
		ImageStatus status;

		memcpy(copy, bytes.data, length);
		status = frame_reader_open(copy, length, &facts, &reader, &error);
		canvas = NULL;
		for (frames = 0; status == IMAGE_OK; frames++)
		{
			status = frame_reader_next(reader, &canvas, &duration, &error);
			if (canvas == NULL)
				break;
		}
		CHECK(status == IMAGE_DAMAGED || frames > 0);
		frame_reader_close(reader);
		free(copy);
	}
	bytes_free(&bytes);
	frame_reader_close(NULL);
}

/*
 * WebP
 */
static void
make_rgba(uint8_t *rgba, int width, int height, int alpha)
{
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++, rgba += 4)
		{
			for (int c = 0; c < 3; c++)
				rgba[c] = pattern(x, y, c);
			/* Colours that can't be seen are not kept. */
			rgba[3] = (uint8_t) (alpha > 0 ? alpha : (pattern(x, y, 3) | 1));
		}
}

static void
test_webp(void)
{
	enum
	{
		W = 19, H = 11
	};
	uint8_t		rgba[W * H * 4];
	uint8_t		profile[PROFILE_SIZE];
	uint8_t    *out;
	WebPData	image;
	WebPData	icc = {profile, sizeof(profile)};
	WebPData	file;
	WebPMux    *mux;
	Bytes		bytes = {0};
	bool		right = true;

	make_rgba(rgba, W, H, 255);
	image.size = WebPEncodeLosslessRGBA(rgba, W, H, W * 4, &out);
	image.bytes = out;
	put(&bytes, image.bytes, image.size);
	CHECK(decode(image_decode_webp, &bytes, bytes.length, W, H) == IMAGE_OK);
	CHECK(all_pattern(W, H, 3));
	check_cuts(image_decode_webp, &bytes, W, H, SIZE_MAX);
	bytes_free(&bytes);
	WebPFree(out);

	make_rgba(rgba, W, H, 0);
	make_profile(profile);
	image.size = WebPEncodeLosslessRGBA(rgba, W, H, W * 4, &out);
	image.bytes = out;
	mux = WebPMuxNew();
	WebPMuxSetImage(mux, &image, 0);
	WebPMuxSetChunk(mux, "ICCP", &icc, 0);
	WebPMuxAssemble(mux, &file);
	put(&bytes, file.bytes, file.size);
	CHECK(decode(image_decode_webp, &bytes, bytes.length, W, H) == IMAGE_OK);
	CHECK(sink.icc_length == PROFILE_SIZE && sink.raster.planes == 4);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
		{
			const uint8_t *p = rgba + (y * W + x) * 4;

			right = right && pixel_is(x, y, p[0], p[1], p[2], p[3]);
		}
	CHECK(right);
	check_cuts(image_decode_webp, &bytes, W, H, SIZE_MAX);
	WebPDataClear(&file);
	WebPMuxDelete(mux);
	WebPFree(out);
	bytes_free(&bytes);
}

static void
test_webp_frames(void)
{
	struct ImageFacts facts = facts_of(FACTS_FORMAT_WEBP, 8, 8, 3);
	WebPAnimEncoderOptions options;
	WebPAnimEncoder *encoder;
	WebPConfig	config;
	WebPPicture picture;
	WebPData	file;
	FrameReader *reader;
	Bytes		bytes = {0};
	uint8_t		rgba[8 * 8 * 4];
	const uint8_t *canvas;
	int			duration;

	WebPAnimEncoderOptionsInit(&options);
	options.anim_params.loop_count = 5;
	encoder = WebPAnimEncoderNew(8, 8, &options);
	WebPConfigInit(&config);
	config.lossless = 1;
	config.exact = 1;
	for (int i = 0; i < 3; i++)
	{
		WebPPictureInit(&picture);
		picture.use_argb = 1;
		picture.width = picture.height = 8;
		make_rgba(rgba, 8, 8, 255 - i * 60);
		rgba[0] = (uint8_t) i;
		WebPPictureImportRGBA(&picture, rgba, 8 * 4);
		CHECK(WebPAnimEncoderAdd(encoder, &picture, i * 50, &config) != 0);
		WebPPictureFree(&picture);
	}
	WebPAnimEncoderAdd(encoder, NULL, 175, NULL);
	WebPAnimEncoderAssemble(encoder, &file);
	WebPAnimEncoderDelete(encoder);
	put(&bytes, file.bytes, file.size);
	WebPDataClear(&file);

	CHECK(decode(image_decode_webp, &bytes, bytes.length, 8, 8) == IMAGE_OK);
	CHECK(pixel_is(0, 0, 0, pattern(0, 0, 1), pattern(0, 0, 2), 255));
	check_cuts(image_decode_webp, &bytes, 8, 8, SIZE_MAX);
	CHECK(decode(image_decode_webp, &bytes, bytes.length, 9, 8) == IMAGE_DAMAGED);

	CHECK(frame_reader_open(bytes.data, bytes.length, &facts, &reader, &error) == IMAGE_OK);
	CHECK(next_pixel(reader, 8, 0, 0, &duration) == 0x0055AAFF && duration == 50);
	CHECK(next_pixel(reader, 8, 0, 0, &duration) == 0x0155AAC3 && duration == 50);
	CHECK(next_pixel(reader, 8, 0, 0, &duration) == 0x0255AA87 && duration == 75);
	CHECK(frame_reader_next(reader, &canvas, &duration, &error) == IMAGE_OK && canvas == NULL);
	CHECK(frame_reader_loops(reader) == 5);
	frame_reader_close(reader);
	for (size_t i = 0; i < 16; i++)
		CHECK(frame_reader_open(bytes.data, bytes.length * i / 16, &facts, &reader, &error) ==
			  IMAGE_DAMAGED);
	bytes_free(&bytes);
}

int
main(void)
{
	test_gif();
	test_gif_frames();
	test_webp();
	test_webp_frames();
	image_sink_free(&sink);
	return check_report();
}
