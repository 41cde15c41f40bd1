/*-------------------------------------------------------------------------
 *
 * test_image.c
 *	  The image room as a library: kinds of pictures in, what comes out looked
 *	  at.
 *
 *-------------------------------------------------------------------------
 */
#include <lcms2.h>

#include "../../src/image/fit.h"
#include "image_test.h"

static void
test_orientations(void)
{
	static const int sizes[][3] = {{160, 96, 1024}, {161, 97, 1024}, {163, 96, 77}, {480, 318, 101}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		Picture		upright = quadrants(sizes[s][0], sizes[s][1]);
		ImageCompressOptions options = usual_options;
		Picture		first;

		options.max_dimension = sizes[s][2];
		options.quality = 95;
		memset(&first, 0, sizeof(first));
		for (int orientation = 1; orientation <= 8; orientation++)
		{
			Picture		stored = stored_for(&upright, orientation);
			Bytes		jpeg = make_jpeg(&stored, NULL, orientation, NULL, 0);
			ImageResult result;
			ImageError	error;
			Picture		decoded;

			CHECK(run(jpeg, &options, &result, &decoded, &error) == IMAGE_OK);
			if (orientation == 1)
				first = decoded;
			else
			{
				/* a shift of chroma by one column alone would make it 4 and more */
				CHECK(mean_difference(&first, &decoded) < 2.5);
				free(decoded.data);
			}
			free(result.data);
			free(jpeg.data);
			free(stored.data);
		}
		free(first.data);
		free(upright.data);
	}
}

static void
test_jpeg_kinds(void)
{
	static const JpegCase cases[] = {
		{"4:4:4", 0, 0, 1, 1, false, false, 0, false},
		{"4:2:2", 0, 0, 2, 1, false, false, 0, false},
		{"4:2:0", 0, 0, 2, 2, false, false, 0, false},
		{"4:1:1", 0, 0, 4, 1, false, false, 0, false},
		{"4:4:0", 0, 0, 1, 2, false, false, 0, false},
		{"3 x 1", 0, 0, 3, 1, false, false, 0, false},
		{"RGB", 0, JCS_RGB, 0, 0, false, false, 0, false},
		{"progressive", 0, 0, 0, 0, true, false, 0, false},
		{"arithmetic", 0, 0, 0, 0, false, true, 0, false},
		{"arithmetic progressive", 0, 0, 0, 0, true, true, 0, false},
		{"restart intervals", 0, 0, 0, 0, false, false, 3, false},
	};
	Picture		upright = quadrants(201, 135);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int max_dimension = 201; max_dimension > 20; max_dimension -= 120)
		{
			ImageCompressOptions options = usual_options;
			Bytes		jpeg = make_jpeg(&upright, &cases[i], 0, NULL, 0);
			ImageResult result;
			ImageError	error;
			Picture		decoded;
			Picture		small;

			options.max_dimension = max_dimension;
			options.quality = 95;
			if (!CHECK(run(jpeg, &options, &result, &decoded, &error) == IMAGE_OK))
				printf("# %s: %s\n", cases[i].name, error.message);
			else
			{
				small = quadrants(decoded.width, decoded.height);
				if (!CHECK(mean_difference(&small, &decoded) < (max_dimension > 100 ? 6 : 16)))
					printf("# %s at %d: %.2f\n", cases[i].name, max_dimension,
						   mean_difference(&small, &decoded));
				free(small.data);
			}
			free(decoded.data);
			free(result.data);
			free(jpeg.data);
		}
	free(upright.data);
}

static void
test_gray_and_ink(void)
{
	static const JpegCase inks[] = {
		{"CMYK, Adobe", JCS_CMYK, JCS_CMYK, 0, 0, false, false, 0, false},
		{"CMYK, no marker", JCS_CMYK, JCS_CMYK, 0, 0, false, false, 0, true},
		{"YCCK", JCS_CMYK, JCS_YCCK, 0, 0, false, false, 0, false},
		{"YCCK subsampled", JCS_CMYK, JCS_YCCK, 2, 2, false, false, 0, false},
	};
	Picture		colors = quadrants(96, 64);
	Picture		gray = picture_new(96, 64, 1);
	ImageResult result;
	ImageError	error;
	Picture		decoded;
	Bytes		jpeg;

	for (int x = 0; x < 96; x++)
		for (int y = 0; y < 64; y++)
			*pixel(&gray, x, y) = (uint8_t) (x * 2 + y);
	jpeg = make_jpeg(&gray, NULL, 6, NULL, 0);
	CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(decoded.width == 64 && decoded.height == 96);
	if (decoded.data != NULL)
	{
		/* turned clockwise: the stored left bottom is the top left */
		CHECK(abs(pixel(&decoded, 0, 0)[0] - 63) < 6);
		CHECK(abs(pixel(&decoded, 63, 95)[1] - 190) < 6);
		CHECK(abs(pixel(&decoded, 10, 10)[0] - pixel(&decoded, 10, 10)[2]) < 3);
	}
	free(decoded.data);
	free(result.data);
	free(jpeg.data);
	free(gray.data);

	for (size_t i = 0; i < sizeof(inks) / sizeof(inks[0]); i++)
	{
		Picture		cmyk = picture_new(96, 64, 4);

		for (int y = 0; y < 64; y++)
			for (int x = 0; x < 96; x++)
				for (int c = 0; c < 4; c++)
				{
					int			ink = c < 3 ? 255 - pixel(&colors, x, y)[c] : 0;

					pixel(&cmyk, x, y)[c] = (uint8_t) (inks[i].no_adobe ? ink : 255 - ink);
				}
		jpeg = make_jpeg(&cmyk, &inks[i], 0, NULL, 0);
		if (!CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_OK))
			printf("# %s: %s\n", inks[i].name, error.message);
		if (!CHECK(mean_difference(&colors, &decoded) < 7))
			printf("# %s: %.2f\n", inks[i].name, mean_difference(&colors, &decoded));
		free(decoded.data);
		free(result.data);
		free(jpeg.data);
		free(cmyk.data);
	}
	free(colors.data);
}

static void
test_damage(void)
{
	Picture		upright = quadrants(300, 200);

	for (int progressive = 0; progressive < 2; progressive++)
	{
		JpegCase	how = {"", 0, 0, 0, 0, false, false, 0, false};
		Bytes		jpeg;
		ImageResult result;
		ImageError	error;
		Picture		decoded;
		size_t		whole;

		how.progressive = progressive;
		jpeg = make_jpeg(&upright, &how, 0, NULL, 0);
		whole = jpeg.length;

		/* without its EOI nothing is missing; likewise below, in many scans */
		jpeg.length = whole - 2;
		CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_OK);
		free(decoded.data);
		free(result.data);
		for (int i = 1; i < 32; i++)
		{
			jpeg.length = whole * (size_t) i / 32;
			CHECK(run(jpeg, &usual_options, &result, &decoded, &error) == IMAGE_DAMAGED);
			CHECK(result.data == NULL && error.message[0] != '\0');
		}
		free(jpeg.data);
	}
	free(upright.data);
}

static void
test_alpha(void)
{
	Picture		disc = picture_new(600, 600, 4);
	ImageCompressOptions options = usual_options;
	ImageResult result;
	ImageError	error;
	Picture		decoded;
	Bytes		png;
	int			edges = 0;
	int			dark = 0;

	/* red within, black and transparent without */
	for (int y = 0; y < 600; y++)
		for (int x = 0; x < 600; x++)
			if ((x - 300) * (x - 300) + (y - 300) * (y - 300) < 250 * 250)
				memcpy(pixel(&disc, x, y), "\xff\x00\x00\xff", 4);
	png = make_png(&disc);

	options.lossless = IMAGE_LOSSLESS_ALWAYS;
	for (options.max_dimension = 97; options.max_dimension <= 400; options.max_dimension += 303)
	{
		CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
		for (int y = 0; y < decoded.height; y++)
			for (int x = 0; x < decoded.width; x++)
			{
				const uint8_t *p = pixel(&decoded, x, y);

				if (p[3] >= 16 && p[3] < 240)
				{
					edges++;
					dark += p[0] < 250;
				}
			}
		free(decoded.data);
		free(result.data);
	}
	CHECK(edges > 200);
	CHECK(dark == 0);

	options = usual_options;
	options.alpha = IMAGE_ALPHA_FLATTEN;
	options.alpha_color = 0x2040e0;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(pixel(&decoded, 0, 0)[3] == 255);
	CHECK(abs(pixel(&decoded, 0, 0)[0] - 0x20) < 4 && abs(pixel(&decoded, 0, 0)[2] - 0xe0) < 4);
	CHECK(pixel(&decoded, 300, 300)[0] > 250);
	free(decoded.data);
	free(result.data);

	options.alpha = IMAGE_ALPHA_DROP;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK(pixel(&decoded, 0, 0)[3] == 255 && pixel(&decoded, 0, 0)[2] < 4);
	free(decoded.data);
	free(result.data);
	free(png.data);
	free(disc.data);
}

static void
test_sizes(void)
{
	static const int sizes[][2] = {
		{1, 1}, {1, 200000}, {150000, 2}, {1, 900}, {900, 1}, {3, 2000}, {2000, 3}, {5000, 10}, {2, 2}, {1025, 1023}
	};
	int			width;
	int			height;

	fit_size(4000, 3000, 1024, 1024, &width, &height);
	CHECK(width == 1024 && height == 768);
	fit_size(1000, 1, 10, 10, &width, &height);
	CHECK(width == 10 && height == 1);
	fit_size(300, 200, 1024, 1024, &width, &height);
	CHECK(width == 300 && height == 200);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int channels = 3; channels <= 4; channels++)
		{
			Picture		picture = picture_new(sizes[i][0], sizes[i][1], channels);
			Bytes		coded[2];
			ImageResult result;
			ImageError	error;
			Picture		decoded;

			memset(picture.data, 130, (size_t) picture.width * picture.height * channels);
			coded[0] = make_png(&picture);
			coded[1] = coded[0];
			if (channels == 3 && picture.width <= 65500 && picture.height <= 65500)
				coded[1] = make_jpeg(&picture, NULL, 6, NULL, 0);
			for (int k = 0; channels == 3 && k < 2; k++)
			{
				if (!CHECK(run(coded[k], &usual_options, &result, &decoded, &error) == IMAGE_OK))
					printf("# %d x %d: %s\n", sizes[i][0], sizes[i][1], error.message);
				else
				{
					const uint8_t *middle = pixel(&decoded, decoded.width / 2, decoded.height / 2);

					CHECK(abs(middle[0] - 130) < 6 && abs(middle[2] - 130) < 6);
				}
				free(decoded.data);
				free(result.data);
			}
			if (channels == 4)
			{
				CHECK(run(coded[0], &usual_options, &result, &decoded, &error) == IMAGE_OK);
				CHECK(abs(pixel(&decoded, 0, 0)[3] - 130) < 3);
				free(decoded.data);
				free(result.data);
			}
			if (coded[1].data != coded[0].data)
				free(coded[1].data);
			free(coded[0].data);
			free(picture.data);
		}
}

/* An RGB profile with these primaries and gamma 2.2, in malloc'd bytes. */
static Bytes
make_profile(bool wide)
{
	cmsCIExyY	white = {0.3127, 0.3290, 1};
	cmsCIExyYTRIPLE p3 = {{0.680, 0.320, 1}, {0.265, 0.690, 1}, {0.150, 0.060, 1}};
	cmsHPROFILE profile;
	cmsUInt32Number length = 0;
	Bytes		bytes;

	if (wide)
	{
		cmsToneCurve *curve = cmsBuildGamma(NULL, 2.2);
		cmsToneCurve *curves[3] = {curve, curve, curve};

		profile = cmsCreateRGBProfile(&white, &p3, curves);
		cmsFreeToneCurve(curve);
	}
	else
		profile = cmsCreate_sRGBProfile();
	cmsSaveProfileToMem(profile, NULL, &length);
	bytes.data = malloc(length);
	cmsSaveProfileToMem(profile, bytes.data, &length);
	bytes.length = length;
	cmsCloseProfile(profile);
	return bytes;
}

static void
test_profiles(void)
{
	Picture		picture = picture_new(64, 64, 3);
	Bytes		srgb = make_profile(false);
	Bytes		wide = make_profile(true);
	Bytes		plain;
	Bytes		tagged;
	ImageResult result;
	ImageResult other;
	ImageError	error;
	Picture		decoded;

	for (int i = 0; i < 64 * 64; i++)
		memcpy(picture.data + i * 3, "\x40\xb0\x60", 3);
	plain = make_jpeg(&picture, NULL, 0, NULL, 0);
	CHECK(run(plain, &usual_options, &result, &decoded, &error) == IMAGE_OK);
	free(decoded.data);

	/* a profile that is sRGB changes nothing at all */
	tagged = make_jpeg(&picture, NULL, 0, srgb.data, srgb.length);
	CHECK(run(tagged, &usual_options, &other, &decoded, &error) == IMAGE_OK);
	CHECK(other.length == result.length && memcmp(other.data, result.data, other.length) == 0);
	free(decoded.data);
	free(other.data);
	free(tagged.data);

	/* a wide one makes this green greener: red would have to be negative */
	tagged = make_jpeg(&picture, NULL, 0, wide.data, wide.length);
	CHECK(run(tagged, &usual_options, &other, &decoded, &error) == IMAGE_OK);
	CHECK(pixel(&decoded, 32, 32)[0] < 0x20);
	CHECK(pixel(&decoded, 32, 32)[1] > 0xb0);
	free(decoded.data);
	free(other.data);
	free(tagged.data);

	/* a broken one is no reason to refuse the picture */
	memset(wide.data, 0x55, wide.length);
	tagged = make_jpeg(&picture, NULL, 0, wide.data, wide.length);
	CHECK(run(tagged, &usual_options, &other, &decoded, &error) == IMAGE_OK);
	CHECK(abs(pixel(&decoded, 32, 32)[0] - 0x40) < 6);
	free(decoded.data);
	free(other.data);
	free(tagged.data);
	free(plain.data);
	free(result.data);
	free(srgb.data);
	free(wide.data);
	free(picture.data);
}

static void
test_refusals(void)
{
	Picture		picture = quadrants(100, 50);
	Bytes		jpeg = make_jpeg(&picture, NULL, 0, NULL, 0);
	ImageCompressOptions options = usual_options;
	ImageLimits limits = usual_limits;
	ImageResult result;
	ImageError	error;

	limits.max_pixels = 4999;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK(strcmp(error.limit, "max_pixels") == 0);
	limits.max_pixels = 5000;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) == IMAGE_OK);
	free(result.data);

	CHECK(image_compress((const uint8_t *) "fake image content", 18, &options, &limits,
						 &result, &error) == IMAGE_NOT_AN_IMAGE);
	CHECK(image_compress((const uint8_t *) "", 0, &options, &limits, &result, &error) ==
		  IMAGE_NOT_AN_IMAGE);

	options.quality = 101;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) ==
		  IMAGE_BAD_OPTION);
	options = usual_options;
	options.min_quality = 86;
	CHECK(image_compress(jpeg.data, jpeg.length, &options, &limits, &result, &error) ==
		  IMAGE_BAD_OPTION);
	free(jpeg.data);
	free(picture.data);
}

int
main(void)
{
	test_sizes();
	test_orientations();
	test_jpeg_kinds();
	test_gray_and_ink();
	test_damage();
	test_alpha();
	test_profiles();
	test_refusals();
	return check_report();
}
