/*-------------------------------------------------------------------------
 *
 * test_webp.c
 *	  What the image room makes: WebP within a budget, lossless, animated, and
 *	  WebP that is kept.
 *
 *-------------------------------------------------------------------------
 */
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "image_test.h"

static void
test_budget(void)
{
	static const int ladder[] = {85, 75, 60, 50, 40};
	Picture		picture = noise(700, 500);
	Bytes		png = make_png(&picture);
	ImageCompressOptions options = usual_options;
	ImageResult result;
	ImageError	error;
	Picture		decoded;

	for (int budget = 128; budget < 400000; budget = budget * 7 / 3)
	{
		int			found;

		options = usual_options;
		options.max_bytes = budget;
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		CHECK(result.length <= (size_t) budget);
		CHECK(result.length >= (size_t) budget / 2 || result.quality == 85);
		CHECK(result.encodes <= 16);
		found = result.width == 700 ? result.quality : 0;
		free(decoded.data);
		free(result.data);

		/* no rung of the usual ladder that fits is above what was found ... */
		for (int i = 0; i < 5; i++)
		{
			options.max_bytes = 10000000;
			options.quality = options.min_quality = ladder[i];
			CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
			if (result.length <= (size_t) budget)
				CHECK(found >= ladder[i]);
			free(decoded.data);
			free(result.data);
		}
	}

	/* ... not even where the budget is just what that rung takes */
	for (int i = 1; i < 5; i++)
	{
		options = usual_options;
		options.quality = options.min_quality = ladder[i];
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		options = usual_options;
		options.max_bytes = (int32_t) result.length;
		free(decoded.data);
		free(result.data);
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		CHECK(result.quality >= ladder[i]);
		free(decoded.data);
		free(result.data);
	}
	free(png.data);
	free(picture.data);
}

static void
test_lossless(void)
{
	Picture		flat = quadrants(320, 200);
	Picture		rough = noise(64, 64);
	Bytes		png = make_png(&flat);
	ImageCompressOptions options = usual_options;
	ImageResult result;
	ImageResult again;
	ImageError	error;
	Picture		decoded;
	Bytes		webp;

	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(result.quality == 101);
	CHECK(mean_difference(&flat, &decoded) == 0);
	free(decoded.data);

	/* what keeps the limits comes back as it is */
	webp.data = result.data;
	webp.length = result.length;
	CHECK(run(webp, &options, &again, &decoded, &error) == IMAGE_OK);
	CHECK(again.unchanged && again.data == NULL && again.length == webp.length);
	free(decoded.data);

	/* but not where its kind was asked not to be */
	options.lossless = IMAGE_LOSSLESS_NEVER;
	CHECK(run(webp, &options, &again, &decoded, &error) == IMAGE_OK);
	CHECK(!again.unchanged && again.quality <= 85);
	free(decoded.data);
	free(again.data);
	free(webp.data);
	free(png.data);

	png = make_png(&rough);
	options = usual_options;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(result.quality <= 85);
	free(decoded.data);
	free(result.data);
	free(png.data);
	free(rough.data);
	free(flat.data);
}

/* Adds chunks to a WebP. */
static Bytes
with_chunks(Bytes webp, const uint8_t *exif, size_t exif_length)
{
	WebPData	from = {webp.data, webp.length};
	WebPData	chunk = {exif, exif_length};
	WebPData	assembled;
	WebPMux    *mux = WebPMuxCreate(&from, 1);
	Bytes		bytes;

	WebPMuxSetChunk(mux, "EXIF", &chunk, 1);
	if (WebPMuxAssemble(mux, &assembled) != WEBP_MUX_OK)
		abort();
	WebPMuxDelete(mux);
	bytes.data = (uint8_t *) assembled.bytes;
	bytes.length = assembled.size;
	return bytes;
}

static void
test_webp_metadata(void)
{
	uint8_t		exif[] = {
		'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
		0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0
	};
	Picture		flat = quadrants(120, 80);
	Bytes		webp;
	Bytes		tagged;
	ImageResult result;
	ImageError	error;
	Picture		decoded;
	Picture		turned;

	webp.length = WebPEncodeRGB(flat.data, 120, 80, 360, 80, &webp.data);
	tagged = with_chunks(webp, exif, sizeof(exif));
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(!result.unchanged && result.quality == 0);
	CHECK(result.length == webp.length && memcmp(result.data, webp.data, webp.length) == 0);
	free(decoded.data);
	free(result.data);
	free(tagged.data);

	exif[19] = 6;
	tagged = with_chunks(webp, exif, sizeof(exif));
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(decoded.width == 80 && decoded.height == 120);
	turned = stored_for(&flat, 8);
	CHECK(mean_difference(&turned, &decoded) < 8);
	free(turned.data);
	free(decoded.data);
	free(result.data);
	free(tagged.data);

	/* bytes after the end go; a cut is damage, though the header is whole */
	tagged.data = malloc(webp.length + 101);
	memset(tagged.data, 0, webp.length + 101);
	memcpy(tagged.data, webp.data, webp.length);
	for (tagged.length = webp.length + 1; tagged.length <= webp.length + 101;
		 tagged.length += 50)
	{
		CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_OK);
		CHECK(result.length == webp.length &&
			  memcmp(result.data, webp.data, webp.length) == 0);
		free(decoded.data);
		free(result.data);
	}
	tagged.length = webp.length * 3 / 4;
	CHECK(run(tagged, &usual_options, &result, &decoded, &error) == IMAGE_DAMAGED);
	free(tagged.data);
	free(webp.data);
	free(flat.data);
}

/*
 * Chunks that contradict the flags are no reason to refuse a picture that
 * every decoder shows.
 */
static void
test_webp_odd_chunks(void)
{
	Picture		flat = quadrants(60, 40);
	Bytes		webp;
	Bytes		odd;
	ImageResult result;
	ImageError	error;
	Picture		decoded;

	webp.length = WebPEncodeRGB(flat.data, 60, 40, 180, 80, &webp.data);
	for (int kind = 0; kind < 4; kind++)
	{
		/* VP8X with a wrong flag, then an EXIF chunk or none */
		static const uint8_t flags[] = {0x00, 0x08, 0x04, 0x20};
		static const uint8_t exif[] = {'E', 'X', 'I', 'F', 4, 0, 0, 0, 'M', 'M', 0, 42};
		size_t		riff;

		odd.data = calloc(1, webp.length + 100);
		memcpy(odd.data, "RIFF....WEBPVP8X\012\0\0\0", 20);
		odd.data[20] = flags[kind];
		odd.data[24] = 59;
		odd.data[27] = 39;
		memcpy(odd.data + 30, webp.data + 12, webp.length - 12);
		odd.length = 30 + webp.length - 12;
		if (kind == 0)
		{
			memcpy(odd.data + odd.length, exif, sizeof(exif));
			odd.length += sizeof(exif);
		}
		riff = odd.length - 8;
		for (int i = 0; i < 4; i++)
			odd.data[4 + i] = (uint8_t) (riff >> (8 * i));
		if (!CHECK(run(odd, &usual_options, &result, &decoded, &error) == IMAGE_OK))
			printf("# kind %d: %s\n", kind, error.message);
		if (!CHECK(!result.unchanged && mean_difference(&flat, &decoded) < 12))
			printf("# kind %d: %.2f\n", kind, mean_difference(&flat, &decoded));
		free(decoded.data);
		free(result.data);
		free(odd.data);
	}
	free(webp.data);
	free(flat.data);
}

static Bytes
make_animation(int frames, int width, int height)
{
	WebPAnimEncoderOptions settings;
	WebPAnimEncoder *encoder;
	WebPConfig	config;
	WebPData	assembled;
	Bytes		bytes;

	WebPAnimEncoderOptionsInit(&settings);
	settings.anim_params.loop_count = 2;
	encoder = WebPAnimEncoderNew(width, height, &settings);
	WebPConfigInit(&config);
	for (int i = 0; i < frames; i++)
	{
		Picture		frame = quadrants(width, height);
		WebPPicture picture;

		memset(pixel(&frame, 0, i * height / frames), 10 * i, (size_t) width * 3 * 4);
		WebPPictureInit(&picture);
		picture.use_argb = 1;
		picture.width = width;
		picture.height = height;
		WebPPictureImportRGB(&picture, frame.data, width * 3);
		WebPAnimEncoderAdd(encoder, &picture, i * 100, &config);
		WebPPictureFree(&picture);
		free(frame.data);
	}
	WebPAnimEncoderAdd(encoder, NULL, frames * 100, NULL);
	WebPAnimEncoderAssemble(encoder, &assembled);
	WebPAnimEncoderDelete(encoder);
	bytes.data = (uint8_t *) assembled.bytes;
	bytes.length = assembled.size;
	return bytes;
}

static void
test_animation(void)
{
	Bytes		webp = make_animation(5, 200, 100);
	ImageCompressOptions options = usual_options;
	ImageLimits limits = usual_limits;
	ImageResult result;
	ImageResult again;
	ImageError	error;
	WebPData	data;
	WebPAnimDecoder *decoder;
	WebPAnimInfo info;
	int			time = 0;
	int			frames = 0;

	options.max_dimension = 50;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	CHECK(result.width == 50 && result.height == 25);
	data.bytes = result.data;
	data.size = result.length;
	decoder = WebPAnimDecoderNew(&data, NULL);
	CHECK(decoder != NULL && WebPAnimDecoderGetInfo(decoder, &info));
	CHECK(info.frame_count == 5 && info.loop_count == 2);
	CHECK(info.canvas_width == 50 && info.canvas_height == 25);
	while (WebPAnimDecoderHasMoreFrames(decoder))
	{
		uint8_t    *canvas;

		CHECK(WebPAnimDecoderGetNext(decoder, &canvas, &time));
		frames++;
		CHECK(time == frames * 100);
		/* the lower right is white in every frame but for its own stripe */
		CHECK(canvas[(24 * 50 + 48) * 4] > 235);
	}
	WebPAnimDecoderDelete(decoder);

	CHECK(image_compress(result.data, result.length, &options, &limits, &again, &error) == IMAGE_OK);
	CHECK(again.unchanged);
	free(result.data);

	/* frames blend on the one before: that is no alpha to flatten again */
	options.alpha = IMAGE_ALPHA_FLATTEN;
	options.lossless = IMAGE_LOSSLESS_ALWAYS;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	CHECK(image_compress(result.data, result.length, &options, &limits, &again, &error) == IMAGE_OK);
	CHECK(again.unchanged);
	free(result.data);
	options.alpha = IMAGE_ALPHA_KEEP;
	options.lossless = IMAGE_LOSSLESS_AUTO;

	options.animation = IMAGE_ANIMATION_FIRST;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	data.bytes = result.data;
	data.size = result.length;
	decoder = WebPAnimDecoderNew(&data, NULL);
	CHECK(decoder != NULL && WebPAnimDecoderGetInfo(decoder, &info) && info.frame_count == 1);
	WebPAnimDecoderDelete(decoder);
	free(result.data);

	options.animation = IMAGE_ANIMATION_REJECT;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) ==
		  IMAGE_UNSUPPORTED);

	options.animation = IMAGE_ANIMATION_KEEP;
	options.max_bytes = 600;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) == IMAGE_OK);
	CHECK(result.length <= 600);
	free(result.data);

	limits.max_frames = 4;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_frames") == 0);
	limits.max_frames = 1000;
	limits.max_pixels = 200 * 100 * 5 - 1;
	CHECK(image_compress(webp.data, webp.length, &options, &limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_pixels") == 0);
	free(webp.data);
}

int
main(void)
{
	test_budget();
	test_lossless();
	test_webp_metadata();
	test_webp_odd_chunks();
	test_animation();
	return check_report();
}
