/*-------------------------------------------------------------------------
 *
 * test_thumbnail.c
 *	  Pictures fitted into boxes: sizes, which part is taken, what lies around.
 *
 *-------------------------------------------------------------------------
 */
#include "../../src/image/fit.h"
#include "image_test.h"

static const char *const fit_names[] = {"inside", "cover", "contain", "fill"};

#define FOR_EACH_FIT(fit) \
	for (int fit = IMAGE_FIT_INSIDE; fit <= IMAGE_FIT_FILL; fit++)

static ImageCompressOptions
box_options(int width, int height, int fit)
{
	ImageCompressOptions options = usual_options;

	options.max_bytes = 1000000000;
	options.quality = 95;
	options.min_quality = 95;
	options.animation = IMAGE_ANIMATION_FIRST;
	options.box_width = width;
	options.box_height = height;
	options.fit = fit;
	return options;
}

/*
 * What a fit should make of a picture, on a transparent canvas: each pixel
 * the mean of the pixels it covers, or parts of them.  Only its size comes
 * from the code that is tested.
 */
static Picture
reference(const Picture *picture, int fit, const Fit *sizes)
{
	Picture		result = picture_new(sizes->canvas_width, sizes->canvas_height, 4);
	int			left = (sizes->canvas_width - sizes->width) / 2;
	int			top = (sizes->canvas_height - sizes->height) / 2;
	double		step_x = (double) picture->width / sizes->width;
	double		step_y = (double) picture->height / sizes->height;

	if (fit == IMAGE_FIT_COVER)
		step_x = step_y = step_x < step_y ? step_x : step_y;
	for (int y = 0; y < sizes->height; y++)
		for (int x = 0; x < sizes->width; x++)
		{
			double		from_x = (picture->width - step_x * sizes->width) / 2 + step_x * x;
			double		from_y = (picture->height - step_y * sizes->height) / 2 + step_y * y;
			double		sums[3] = {0, 0, 0};

			for (int i = 0; i < 64; i++)
			{
				int			at_x = (int) (from_x + step_x * (i % 8 + 0.5) / 8);
				int			at_y = (int) (from_y + step_y * (i / 8 + 0.5) / 8);

				for (int c = 0; c < 3; c++)
					sums[c] += pixel(picture, at_x, at_y)[c];
			}
			for (int c = 0; c < 3; c++)
				pixel(&result, left + x, top + y)[c] = (uint8_t) (sums[c] / 64 + 0.5);
			pixel(&result, left + x, top + y)[3] = 255;
		}
	return result;
}

/* Like mean_difference, of what can be seen; the alphas must be the same. */
static double
visible_difference(const Picture *expected, const Picture *actual)
{
	double		sum = 0;
	size_t		count = 0;

	if (expected->width != actual->width || expected->height != actual->height)
		return 1000;
	for (int y = 0; y < expected->height; y++)
		for (int x = 0; x < expected->width; x++)
		{
			if (pixel(expected, x, y)[3] != pixel(actual, x, y)[3])
				return 1000;
			if (pixel(expected, x, y)[3] == 0)
				continue;
			count++;
			for (int c = 0; c < 3; c++)
				sum += abs(pixel(expected, x, y)[c] - pixel(actual, x, y)[c]);
		}
	return sum / (3.0 * (double) count);
}

static void
test_sizes(void)
{
	static const struct
	{
		uint32_t	picture[2];
		int			orientation;
		int			box[2];
		int			fit;
		int			size[2];	/* of the part, as stored */
		int			canvas[2];
	}			cases[] = {
		{{4000, 3000}, 1, {200, 200}, IMAGE_FIT_INSIDE, {200, 150}, {200, 150}},
		{{4000, 3000}, 1, {200, 100}, IMAGE_FIT_INSIDE, {133, 100}, {133, 100}},
		{{4000, 3000}, 1, {200, 16383}, IMAGE_FIT_INSIDE, {200, 150}, {200, 150}},
		{{4000, 3000}, 6, {200, 16383}, IMAGE_FIT_INSIDE, {267, 200}, {267, 200}},
		{{100, 50}, 1, {200, 200}, IMAGE_FIT_INSIDE, {100, 50}, {100, 50}},
		{{1, 100000}, 1, {200, 16383}, IMAGE_FIT_INSIDE, {1, 16383}, {1, 16383}},
		{{4000, 3000}, 1, {200, 200}, IMAGE_FIT_COVER, {200, 200}, {200, 200}},
		{{4000, 3000}, 8, {200, 100}, IMAGE_FIT_COVER, {100, 200}, {100, 200}},
		{{150, 300}, 1, {200, 200}, IMAGE_FIT_COVER, {150, 150}, {150, 150}},
		{{300, 50}, 1, {200, 100}, IMAGE_FIT_COVER, {100, 50}, {100, 50}},
		{{100, 50}, 1, {200, 100}, IMAGE_FIT_COVER, {100, 50}, {100, 50}},
		{{3, 32}, 1, {10, 100}, IMAGE_FIT_COVER, {3, 32}, {3, 32}},
		{{32, 3}, 1, {100, 10}, IMAGE_FIT_COVER, {32, 3}, {32, 3}},
		{{1, 1}, 1, {200, 100}, IMAGE_FIT_COVER, {1, 1}, {1, 1}},
		{{100, 100}, 1, {16383, 1}, IMAGE_FIT_COVER, {100, 1}, {100, 1}},
		{{4000, 3000}, 1, {200, 200}, IMAGE_FIT_CONTAIN, {200, 150}, {200, 200}},
		{{4000, 3000}, 5, {200, 100}, IMAGE_FIT_CONTAIN, {100, 75}, {100, 200}},
		{{100, 50}, 1, {200, 200}, IMAGE_FIT_CONTAIN, {100, 50}, {200, 200}},
		{{4000, 3000}, 1, {200, 300}, IMAGE_FIT_FILL, {200, 300}, {200, 300}},
		{{4000, 3000}, 7, {200, 300}, IMAGE_FIT_FILL, {300, 200}, {300, 200}},
		{{1, 1}, 1, {16383, 16383}, IMAGE_FIT_FILL, {16383, 16383}, {16383, 16383}},
	};
	static const uint32_t sides[] = {1, 2, 3, 7, 99, 100, 101, 640, 16383, 100000};
	static const int boxes[] = {1, 2, 99, 100, 333, 16383};
	ImageCompressOptions options;
	Fit			fit;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		options = box_options(cases[i].box[0], cases[i].box[1], cases[i].fit);
		fit_picture(cases[i].picture[0], cases[i].picture[1], cases[i].orientation,
					&options, 1, &fit);
		CHECK_EQUAL(fit.width, cases[i].size[0]);
		CHECK_EQUAL(fit.height, cases[i].size[1]);
		CHECK_EQUAL(fit.canvas_width, cases[i].canvas[0]);
		CHECK_EQUAL(fit.canvas_height, cases[i].canvas[1]);
	}

	/* what is true of all: the part lies in the picture, in its middle */
	for (int i = 0; i < 10 * 10 * 6 * 6; i++)
	{
		uint32_t	width = sides[i % 10];
		uint32_t	height = sides[i / 10 % 10];
		uint32_t	longest = width > height ? width : height;

		FOR_EACH_FIT(how)
		{
			const ResizePart *part = &fit.part;
			bool		good;

			options = box_options(boxes[i / 100 % 6], boxes[i / 600], how);
			fit_picture(width, height, 1, &options, 1, &fit);
			good = fit.width >= 1 && fit.height >= 1 &&
				fit.canvas_width >= fit.width && fit.canvas_width <= options.box_width &&
				fit.canvas_height >= fit.height && fit.canvas_height <= options.box_height &&
				part->left >= 0 && part->left + part->width <= width &&
				part->top >= 0 && part->top + part->height <= height &&
				(2 * part->left + part->width - width) * (2 * part->left + part->width - width) <= 1 &&
				(2 * part->top + part->height - height) * (2 * part->top + part->height - height) <= 1 &&
				fit.target >= 1 && (uint32_t) fit.target <= longest;
			/* enough is decoded for the part, and no more than has to be */
			if (how != IMAGE_FIT_FILL)
				good = good && part->width >= fit.width && part->height >= fit.height;
			if (how == IMAGE_FIT_COVER)
				good = good && (double) fit.target * part->width >= (double) longest * fit.width - 1 &&
					(double) fit.target * part->height >= (double) longest * fit.height - 1 &&
					((fit.target - 1) * part->width < (double) longest * fit.width ||
					 (fit.target - 1) * part->height < (double) longest * fit.height);
			/* once more changes nothing */
			good = good && fit_keeps((uint32_t) fit.canvas_width, (uint32_t) fit.canvas_height,
									 &options);
			if (!CHECK(good))
				printf("# %s: %u x %u into %d x %d\n", fit_names[how], width, height,
					   options.box_width, options.box_height);
		}
	}

	/* of a large photograph only what is needed */
	options = box_options(200, 200, IMAGE_FIT_COVER);
	fit_picture(4000, 3000, 1, &options, 1, &fit);
	CHECK_EQUAL(fit.target, 267);
}

/* Runs an upright picture, stored for each orientation, through every fit. */
static void
check_fits(const Picture *upright, int box_width, int box_height, bool jpeg, double most)
{
	for (int orientation = 1; orientation <= (jpeg ? 8 : 1); orientation++)
	{
		Picture		stored = stored_for(upright, orientation);
		Bytes		coded = jpeg ? make_jpeg(&stored, NULL, orientation, NULL, 0) :
			make_png(&stored);

		FOR_EACH_FIT(how)
		{
			ImageCompressOptions options = box_options(box_width, box_height, how);
			ImageResult result;
			ImageError	error;
			Picture		decoded;
			Picture		expected;
			Fit			fit;

			if (!jpeg)
				options.lossless = IMAGE_LOSSLESS_ALWAYS;
			fit_picture((uint32_t) upright->width, (uint32_t) upright->height, 1, &options, 1,
						&fit);
			expected = reference(upright, how, &fit);
			if (!CHECK(run(coded, &options, &result, &decoded, &error) == IMAGE_OK))
				printf("# %s: %s\n", fit_names[how], error.message);
			else if (!CHECK(visible_difference(&expected, &decoded) < most))
				printf("# %s %s: %d x %d into %d x %d, orientation %d: %.2f\n",
					   jpeg ? "JPEG" : "PNG", fit_names[how], upright->width, upright->height,
					   box_width, box_height, orientation,
					   visible_difference(&expected, &decoded));
			free(decoded.data);
			free(result.data);
			free(expected.data);
		}
		free(coded.data);
		free(stored.data);
	}
}

static void
test_fits(void)
{
	static const int cases[][4] = {
		{480, 318, 100, 100}, {481, 317, 101, 77}, {317, 481, 160, 51}, {640, 480, 33, 99},
		{161, 97, 120, 120}, {97, 161, 96, 96}, {96, 64, 200, 200}, {97, 65, 201, 120},
		{1200, 900, 75, 75}
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Picture		upright = quadrants(cases[i][0], cases[i][1]);

		check_fits(&upright, cases[i][2], cases[i][3], true, 9);
		check_fits(&upright, cases[i][2], cases[i][3], false, 3);
		free(upright.data);
	}
}

/* Columns and rows count up, so that a crop shows where it was taken. */
static void
test_middle(void)
{
	Picture		ramp = picture_new(240, 240, 3);
	Bytes		png;
	Bytes		jpeg;
	ImageResult result;
	ImageError	error;
	Picture		decoded;

	for (int y = 0; y < 240; y++)
		for (int x = 0; x < 240; x++)
		{
			pixel(&ramp, x, y)[0] = (uint8_t) x;
			pixel(&ramp, x, y)[1] = (uint8_t) y;
			pixel(&ramp, x, y)[2] = 128;
		}
	png = make_png(&ramp);
	jpeg = make_jpeg(&ramp, NULL, 0, NULL, 0);

	for (int wide = 0; wide <= 1; wide++)
		for (int i = 0; i < 2; i++)
		{
			/* 60 of 120, after a reduction to a half */
			ImageCompressOptions options = box_options(wide ? 120 : 60, wide ? 60 : 120,
													   IMAGE_FIT_COVER);

			if (!CHECK(run(i == 0 ? png : jpeg, &options, &result, &decoded, &error) == IMAGE_OK))
				continue;
			for (int at = 2; at < 58; at += 5)
				CHECK(abs(pixel(&decoded, wide ? 60 : at, wide ? at : 60)[wide ? 1 : 0] -
						  (60 + 2 * at)) <= 4);
			for (int at = 2; at < 118; at += 5)
				CHECK(abs(pixel(&decoded, wide ? at : 30, wide ? 30 : at)[wide ? 0 : 1] -
						  (2 * at)) <= 4);
			free(decoded.data);
			free(result.data);
		}
	free(png.data);
	free(jpeg.data);
	free(ramp.data);
}

/* Of a reduction that is too strong for filters, too, only the part counts. */
static void
test_means(void)
{
	static const uint8_t around[4] = {255, 0, 0, 255};
	static const uint8_t within[4] = {0, 255, 60, 128};

	for (int i = 0; i < 4; i++)
	{
		int			width = i < 2 ? 300 : 100;
		int			height = i < 2 ? 100 : 300;
		bool		alpha = i % 2 == 1;
		ResizePart	part = {(uint32_t) width, (uint32_t) height, (width - 100) / 2.0,
		(height - 100) / 2.0, 100, 100};
		Raster		raster;
		Raster		result;
		ImageError	error;

		if (!CHECK(raster_allocate(&raster, RASTER_RGB, alpha, width, height)))
			return;
		for (int p = 0; p < raster.planes; p++)
			for (int y = 0; y < height; y++)
				for (int x = 0; x < width; x++)
					raster.plane[p].data[y * raster.plane[p].stride + x] =
						abs(2 * x - width) <= 100 && abs(2 * y - height) <= 100 ? within[p] : around[p];
		if (CHECK(resize_raster(&raster, &part, 1, 1, &result, &error) == IMAGE_OK))
		{
			for (int p = 0; p < result.planes; p++)
				CHECK(abs(result.plane[p].data[0] - within[p]) <= 2);
			raster_free(&result);
		}
		raster_free(&raster);
	}
}

/* Nothing to resize: the pixels are those that came in. */
static void
test_exact(void)
{
	Picture		picture = noise(151, 302);
	Bytes		png = make_png(&picture);
	ImageCompressOptions options = box_options(200, 200, IMAGE_FIT_COVER);
	ImageResult result;
	ImageError	error;
	Picture		decoded;

	options.lossless = IMAGE_LOSSLESS_ALWAYS;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK_EQUAL(decoded.width, 151);
	CHECK_EQUAL(decoded.height, 151);
	for (int y = 0; y < 151; y += 10)
	{
		bool		same = true;

		for (int x = 0; x < 151; x++)
			same = same && memcmp(pixel(&decoded, x, y), pixel(&picture, x, y + 75), 3) == 0;
		CHECK(same);
	}
	free(decoded.data);
	free(result.data);

	options = box_options(200, 311, IMAGE_FIT_CONTAIN);
	options.lossless = IMAGE_LOSSLESS_ALWAYS;
	CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK);
	CHECK_EQUAL(decoded.width, 200);
	CHECK_EQUAL(decoded.height, 311);
	for (int y = 0; y < 311; y += 10)
	{
		bool		same = true;

		for (int x = 0; x < 200; x++)
		{
			if (x < 24 || x >= 24 + 151 || y < 4 || y >= 4 + 302)
				same = same && pixel(&decoded, x, y)[3] == 0;
			else
				same = same && pixel(&decoded, x, y)[3] == 255 &&
					memcmp(pixel(&decoded, x, y), pixel(&picture, x - 24, y - 4), 3) == 0;
		}
		CHECK(same);
	}
	free(decoded.data);
	free(result.data);
	free(png.data);
	free(picture.data);
}

static void
test_alpha(void)
{
	Picture		disc = picture_new(301, 201, 4);
	Bytes		png;

	/* red within, black and transparent without */
	for (int y = 0; y < 201; y++)
		for (int x = 0; x < 301; x++)
			if ((x - 150) * (x - 150) + (y - 100) * (y - 100) < 80 * 80)
				memcpy(pixel(&disc, x, y), "\xff\x00\x00\xff", 4);
	png = make_png(&disc);

	FOR_EACH_FIT(how)
		for (int lossless = IMAGE_LOSSLESS_AUTO; lossless <= IMAGE_LOSSLESS_ALWAYS; lossless++)
		{
			ImageCompressOptions options = box_options(100, 100, how);
			ImageResult result;
			ImageError	error;
			Picture		decoded;
			const uint8_t *middle;
			const uint8_t *corner;

			options.lossless = lossless;
			if (!CHECK(run(png, &options, &result, &decoded, &error) == IMAGE_OK))
				continue;
			middle = pixel(&decoded, decoded.width / 2, decoded.height / 2);
			corner = pixel(&decoded, 0, decoded.height - 1);
			CHECK(middle[3] == 255 && middle[0] > 240 && middle[1] < 12);
			CHECK_EQUAL(corner[3], 0);
			CHECK_EQUAL(decoded.width, 100);
			CHECK_EQUAL(decoded.height, how == IMAGE_FIT_INSIDE ? 67 : 100);
			if (how == IMAGE_FIT_COVER)
			{
				/* 80 of 201 rows, so 40 of 100, and as many columns */
				CHECK_EQUAL(pixel(&decoded, 50, 14)[3], 255);
				CHECK_EQUAL(pixel(&decoded, 14, 50)[3], 255);
				CHECK_EQUAL(pixel(&decoded, 50, 7)[3], 0);
				CHECK_EQUAL(pixel(&decoded, 7, 50)[3], 0);
			}
			free(decoded.data);
			free(result.data);
		}
	free(png.data);
	free(disc.data);
}

/* Of one colour, whatever its shape: so is what comes of it. */
static void
test_shapes(void)
{
	static const int sizes[][2] = {
		{1, 1}, {2, 1}, {1, 2}, {2, 2}, {3, 3}, {1, 900}, {900, 1}, {3, 2000}, {2000, 3}, {1, 30000}, {129, 65}
	};
	static const int boxes[][2] = {
		{1, 1}, {1, 50}, {50, 1}, {2, 2}, {3, 5}, {40, 31}, {300, 300}, {7, 500}
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int kind = 0; kind < 4; kind++)
		{
			/* PNG, PNG with alpha, JPEG, gray JPEG */
			int			channels = kind == 3 ? 1 : (kind == 1 ? 4 : 3);
			Picture		picture = picture_new(sizes[i][0], sizes[i][1], channels);
			Bytes		coded;

			memset(picture.data, 130, (size_t) picture.width * picture.height * channels);
			coded = kind < 2 ? make_png(&picture) : make_jpeg(&picture, NULL, 6, NULL, 0);
			for (size_t b = 0; b < sizeof(boxes) / sizeof(boxes[0]); b++)
				FOR_EACH_FIT(how)
				{
					ImageCompressOptions options = box_options(boxes[b][0], boxes[b][1], how);
					ImageResult result;
					ImageError	error;
					Picture		decoded;
					bool		good = true;

					if (!CHECK(run(coded, &options, &result, &decoded, &error) == IMAGE_OK))
					{
						printf("# %s: %d x %d into %d x %d: %s\n", fit_names[how], sizes[i][0],
							   sizes[i][1], boxes[b][0], boxes[b][1], error.message);
						continue;
					}
					for (int y = 0; y < decoded.height; y++)
						for (int x = 0; x < decoded.width; x++)
						{
							const uint8_t *p = pixel(&decoded, x, y);

							if (how == IMAGE_FIT_CONTAIN && p[3] == 0)
								continue;
							good = good && abs(p[0] - 130) < 6 && abs(p[2] - 130) < 6 &&
								abs(p[3] - (kind == 1 ? 130 : 255)) < 3;
						}
					good = good && decoded.width <= boxes[b][0] && decoded.height <= boxes[b][1];
					if (how == IMAGE_FIT_CONTAIN || how == IMAGE_FIT_FILL)
						good = good && decoded.width == boxes[b][0] && decoded.height == boxes[b][1];
					if (!CHECK(good))
						printf("# %s: %d x %d into %d x %d, kind %d: %d x %d\n", fit_names[how],
							   sizes[i][0], sizes[i][1], boxes[b][0], boxes[b][1], kind,
							   decoded.width, decoded.height);
					free(decoded.data);
					free(result.data);
				}
			free(coded.data);
			free(picture.data);
		}
}

/* A WebP that is what is asked for stays as it is, and only that. */
static void
test_keeping(void)
{
	Picture		picture = quadrants(60, 40);
	Bytes		jpeg = make_jpeg(&picture, NULL, 0, NULL, 0);
	ImageCompressOptions options = box_options(60, 40, IMAGE_FIT_INSIDE);
	ImageResult webp;
	ImageError	error;
	Picture		decoded;
	Bytes		bytes;

	CHECK(run(jpeg, &options, &webp, &decoded, &error) == IMAGE_OK);
	free(decoded.data);
	bytes.data = webp.data;
	bytes.length = webp.length;
	for (int kind = 0; kind < 3; kind++)
		FOR_EACH_FIT(how)
		{
			/* of its size; larger; of another ratio */
			static const int boxes[][2] = {{60, 40}, {120, 80}, {50, 50}};
			ImageResult result;

			options = box_options(boxes[kind][0], boxes[kind][1], how);
			if (!CHECK(run(bytes, &options, &result, &decoded, &error) == IMAGE_OK))
				continue;
			CHECK_EQUAL(result.unchanged, kind == 0 || (kind == 1 && how <= IMAGE_FIT_COVER));
			free(decoded.data);
			free(result.data);
		}
	free(webp.data);
	free(jpeg.data);
	free(picture.data);
}

static void
test_refusals(void)
{
	Picture		picture = quadrants(10, 10);
	Bytes		png = make_png(&picture);
	ImageCompressOptions good = box_options(10, 10, IMAGE_FIT_COVER);
	ImageCompressOptions bad[7];
	ImageResult result;
	ImageError	error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad[i] = good;
	bad[0].box_width = -1;
	bad[1].box_width = IMAGE_LARGEST_SIDE + 1;
	bad[2].box_height = 0;
	bad[3].box_height = IMAGE_LARGEST_SIDE + 1;
	bad[4].fit = -1;
	bad[5].fit = IMAGE_FIT_FILL + 1;
	bad[6].animation = IMAGE_ANIMATION_KEEP;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(image_compress(png.data, png.length, &bad[i], &usual_limits, &result, &error) ==
			  IMAGE_BAD_OPTION);

	/* a box is not made smaller to keep a budget */
	good = box_options(200, 200, IMAGE_FIT_FILL);
	good.max_bytes = IMAGE_SMALLEST_BUDGET;
	CHECK(image_compress(png.data, png.length, &good, &usual_limits, &result, &error) ==
		  IMAGE_OVER_LIMIT);
	CHECK_STRING(error.limit, "max_bytes");
	free(png.data);
	free(picture.data);
}

int
main(void)
{
	test_sizes();
	test_fits();
	test_middle();
	test_means();
	test_exact();
	test_alpha();
	test_shapes();
	test_keeping();
	test_refusals();
	return check_report();
}
