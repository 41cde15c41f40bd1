/*-------------------------------------------------------------------------
 *
 * fuzz_compress.c
 *	  libFuzzer over all of image_compress: whatever comes in, either an error
 *	  with its message comes out, or a WebP that keeps every limit, is of the
 *	  size asked for, and comes back unchanged when compressed again.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/facts/facts.h"
#include "../../src/image/image.h"

static void
must(int truth)
{
	if (!truth)
		abort();
}

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	ImageCompressOptions options = {
		48, 6000, 80, 40, 1, IMAGE_ALPHA_KEEP, 0x336699, IMAGE_LOSSLESS_AUTO,
		IMAGE_ANIMATION_KEEP, 0, 0, IMAGE_FIT_INSIDE
	};
	ImageLimits limits = {256 * 1024, 8};
	ImageResult result;
	ImageResult again;
	ImageError	error;
	FactsReader reader;
	ImageFacts	facts;
	uint32_t	width;
	uint32_t	height;

	/* the length picks the options: seeds of any format meet all of them */
	options.alpha = (int32_t) (length % 3);
	options.lossless = (int32_t) (length / 3 % 3);
	options.animation = (int32_t) (length / 9 % 3);
	if (length / 27 % 2)
		options.max_bytes = 400;
	if (length / 54 % 2)
	{
		options.box_width = 1 + (int32_t) (length / 108 % 48);
		options.box_height = 1 + (int32_t) (length / 108 % 37);
		options.fit = (int32_t) (length / 108 % 4);
		options.animation = IMAGE_ANIMATION_FIRST;
		options.max_bytes = 100000;
		options.min_quality = options.quality;
	}

	if (image_compress(data, length, &options, &limits, &result, &error) != IMAGE_OK)
	{
		must(result.data == NULL && error.status != IMAGE_OK && error.message[0] != '\0');
		must(memchr(error.message, '\0', sizeof(error.message)) != NULL);
		return 0;
	}
	must(result.length <= (size_t) options.max_bytes);
	if (result.unchanged)
	{
		must(result.data == NULL && result.length == length);
		return 0;
	}
	facts_reader_memory(&reader, result.data, result.length);
	must(facts_read(&reader, true, &facts, NULL, 0) == FACTS_OK);
	facts_display_size(&facts, &width, &height);
	must(facts.format == FACTS_FORMAT_WEBP && facts.orientation == 1 && facts.webp_exact);
	must(width <= 48 && height <= 48);
	must(width == (uint32_t) result.width && height == (uint32_t) result.height);
	if (options.box_width != 0)
	{
		must(!facts.animated);
		must(result.width <= options.box_width && result.height <= options.box_height);
		if (options.fit == IMAGE_FIT_CONTAIN || options.fit == IMAGE_FIT_FILL)
			must(result.width == options.box_width && result.height == options.box_height);
	}

	must(image_compress(result.data, result.length, &options, &limits, &again, &error) ==
		 IMAGE_OK);
	must(again.unchanged && again.length == result.length);
	free(result.data);
	return 0;
}
