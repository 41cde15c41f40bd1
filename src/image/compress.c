/*-------------------------------------------------------------------------
 *
 * compress.c
 *	  One picture from its bytes to a WebP within its budget.
 *
 * Decoding happens once.  Of the planes or rows that come of it, a picture of
 * the size wanted is prepared once, and again only if no quality fits and it
 * has to be smaller still.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "animation.h"
#include "budget.h"
#include "color.h"
#include "decode_jpeg.h"
#include "encode.h"
#include "fit.h"
#include "keep.h"
#include "orient.h"
#include "prepare.h"

static ImageDecodeFunction heif_decoder;

void
image_set_heif_decoder(ImageDecodeFunction decode)
{
	heif_decoder = decode;
}

static ImageStatus
check_options(const ImageCompressOptions *options, ImageError *error)
{
	if (options->max_dimension < 1 || options->max_dimension > IMAGE_LARGEST_SIDE ||
		options->max_bytes < IMAGE_SMALLEST_BUDGET ||
		options->quality < 1 || options->quality > 100 ||
		options->min_quality < 1 || options->min_quality > options->quality ||
		options->effort < 0 || options->effort > 6 ||
		options->alpha < IMAGE_ALPHA_KEEP || options->alpha > IMAGE_ALPHA_FLATTEN ||
		options->lossless < IMAGE_LOSSLESS_AUTO || options->lossless > IMAGE_LOSSLESS_ALWAYS ||
		options->animation < IMAGE_ANIMATION_KEEP ||
		options->animation > IMAGE_ANIMATION_REJECT ||
		(options->box_width != 0 &&
		 (options->box_width < 1 || options->box_width > IMAGE_LARGEST_SIDE ||
		  options->box_height < 1 || options->box_height > IMAGE_LARGEST_SIDE ||
		  options->fit < IMAGE_FIT_INSIDE || options->fit > IMAGE_FIT_FILL ||
		  options->animation == IMAGE_ANIMATION_KEEP)))
		return image_fail(error, IMAGE_BAD_OPTION, "option out of its range");
	return IMAGE_OK;
}

/* Will all frames be kept?  Of anything else only the first picture is seen. */
static bool
is_kept_animation(const ImageFacts *facts, const ImageCompressOptions *options)
{
	return facts->animated && facts->frames > 1 &&
		options->animation == IMAGE_ANIMATION_KEEP &&
		(facts->format == FACTS_FORMAT_GIF || facts->format == FACTS_FORMAT_WEBP);
}

/* Reads the facts and holds them against the limits. */
static ImageStatus
check_facts(const uint8_t *data, size_t length, const ImageCompressOptions *options,
			const ImageLimits *limits, ImageFacts *facts, ImageError *error)
{
	FactsReader reader;
	char		message[IMAGE_MESSAGE_SIZE];
	uint64_t	frames = 1;

	facts_reader_memory(&reader, data, length);
	switch (facts_read(&reader, true, facts, message, sizeof(message)))
	{
		case FACTS_OK:
			break;
		case FACTS_UNKNOWN:
			return image_fail(error, IMAGE_NOT_AN_IMAGE, "%s", message);
		case FACTS_UNSUPPORTED:
			return image_fail(error, IMAGE_UNSUPPORTED, "%s", message);
		default:
			return image_fail(error, IMAGE_DAMAGED, "%s", message);
	}

	if (facts->animated && options->animation == IMAGE_ANIMATION_REJECT)
		return image_fail(error, IMAGE_UNSUPPORTED, "picture is an animation of %u frames",
						  facts->frames);
	if (is_kept_animation(facts, options))
		frames = facts->frames;
	if (frames > limits->max_frames)
		return image_fail_limit(error, "max_frames", "animation of %u frames is too long",
								facts->frames);
	if ((uint64_t) facts->width * facts->height > limits->max_pixels / frames)
		return image_fail_limit(error, "max_pixels",
								"picture of %u x %u pixels and %u frames is too large",
								facts->width, facts->height, (unsigned) frames);
	return IMAGE_OK;
}

static ImageStatus
decode_still(const uint8_t *data, size_t length, const ImageFacts *facts,
			 ImageSink *sink, ImageError *error)
{
	ImageStatus status;

	switch (facts->format)
	{
		case FACTS_FORMAT_JPEG:
			return image_decode_jpeg(data, length, facts, sink, error);
		case FACTS_FORMAT_PNG:
			status = image_decode_png(data, length, facts, sink, error);
			break;
		case FACTS_FORMAT_GIF:
			status = image_decode_gif(data, length, facts, sink, error);
			break;
		case FACTS_FORMAT_WEBP:
			status = image_decode_webp(data, length, facts, sink, error);
			break;
		case FACTS_FORMAT_BMP:
			status = image_decode_bmp(data, length, facts, sink, error);
			break;
		case FACTS_FORMAT_TIFF:
			status = image_decode_tiff(data, length, facts, sink, error);
			break;
		case FACTS_FORMAT_HEIF:
		case FACTS_FORMAT_AVIF:
			if (heif_decoder == NULL)
				return image_fail(error, IMAGE_UNSUPPORTED, "no decoder for %s here",
								  facts_format_name(facts->format));
			status = heif_decoder(data, length, facts, sink, error);
			break;
		default:
			return image_fail(error, IMAGE_UNSUPPORTED, "no decoder for %s",
							  facts_format_name(facts->format));
	}
	if (status == IMAGE_OK && !image_sink_complete(sink))
		return image_fail(error, IMAGE_DAMAGED, "picture lacks rows");
	return status;
}

/* A still picture on its way into a budget. */
typedef struct Still
{
	const ImageSink *sink;
	int			orientation;
	const ColorTransform *transform;
	const ImageFacts *facts;
	const ImageCompressOptions *options;
	int			side;			/* what encoder was prepared for, 0: nothing */
	Encoder		encoder;
	int			encodes;
} Still;

/* Prepares the picture in another size, if it is not the one at hand. */
static ImageStatus
still_prepare(Still *still, int side, ImageError *error)
{
	Fit			fit;
	ImageStatus status;

	if (still->side == side)
		return IMAGE_OK;
	if (still->side != 0)
		encoder_free(&still->encoder);
	still->side = 0;
	fit_picture(still->sink->width, still->sink->height, still->orientation, still->options,
				side, &fit);
	status = prepare_picture(&still->sink->raster, &fit, still->orientation,
							 still->transform, still->options,
							 still->facts->format == FACTS_FORMAT_JPEG,
							 &still->encoder, error);
	if (status == IMAGE_OK)
		still->side = side;
	return status;
}

static ImageStatus
still_encode(void *context, int side, int quality, uint8_t **data, size_t *length,
			 ImageError *error)
{
	Still	   *still = context;
	ImageStatus status = still_prepare(still, side, error);

	if (status != IMAGE_OK)
		return status;
	still->encodes++;
	return encoder_run(&still->encoder, quality, data, length, error);
}

/* May lossless be the smaller one?  Never of what was a photograph's format. */
static bool
lossless_is_worth_trying(const ImageFacts *facts, const ImageCompressOptions *options,
						 const Encoder *encoder)
{
	if (options->lossless != IMAGE_LOSSLESS_AUTO || encoder->argb.argb == NULL)
		return false;
	if (facts->format == FACTS_FORMAT_JPEG || facts->format == FACTS_FORMAT_HEIF ||
		facts->format == FACTS_FORMAT_AVIF ||
		(facts->format == FACTS_FORMAT_WEBP && !facts->webp_lossless))
		return false;
	return encoder_looks_drawn(&encoder->argb);
}

/*
 * Finds the best encoding within the options' budget.  A result larger than
 * the input is avoided as far as min_quality allows.
 */
static ImageStatus
still_fit(Still *still, size_t input_length, BudgetBest *best, ImageError *error)
{
	const ImageCompressOptions *options = still->options;
	BudgetTask	task;
	BudgetBest	lossless;
	ImageStatus status;

	memset(&lossless, 0, sizeof(lossless));
	task = budget_task(options, still->sink->width, still->sink->height, input_length);
	task.encode = still_encode;
	task.context = still;
	if (options->lossless == IMAGE_LOSSLESS_ALWAYS)
		return budget_fit(&task, best, error);

	status = still_prepare(still, task.side, error);
	if (status != IMAGE_OK)
		return status;
	if (lossless_is_worth_trying(still->facts, options, &still->encoder))
	{
		lossless.side = task.side;
		lossless.quality = ENCODE_LOSSLESS;
		status = still_encode(still, task.side, ENCODE_LOSSLESS, &lossless.data,
							  &lossless.length, error);
		if (status != IMAGE_OK)
			return status;

		/* lossless that fits leaves lossy to be smaller, not to be worse */
		task.may_shrink = (lossless.length > task.limit);
		if (lossless.length <= task.wish)
			task.min_quality = task.quality;
	}
	status = budget_fit(&task, best, error);
	if (status == IMAGE_OK && lossless.data != NULL &&
		lossless.length <= task.limit && lossless.length <= best->length)
	{
		budget_best_free(best);
		*best = lossless;
		return IMAGE_OK;
	}
	budget_best_free(&lossless);
	return status;
}

static ImageStatus
compress_still(const uint8_t *data, size_t length, const ImageFacts *facts,
			   const ImageCompressOptions *options, const ImageLimits *limits,
			   ImageResult *result, ImageError *error)
{
	ImageSink	sink;
	ColorTransform *transform = NULL;
	Fit			fit;
	ImageStatus status;

	fit_picture(facts->width, facts->height, facts->orientation, options,
				options->max_dimension, &fit);
	memset(&sink, 0, sizeof(sink));
	sink.limits = *limits;
	sink.target = fit.target;
	sink.ignore_alpha = (options->alpha == IMAGE_ALPHA_DROP);
	status = decode_still(data, length, facts, &sink, error);
	if (status == IMAGE_OK)
		status = color_transform_open(sink.icc, sink.icc_length, sink.raster.color,
									  &transform, error);
	if (status == IMAGE_OK)
	{
		Still		still;
		BudgetBest	best;

		memset(&still, 0, sizeof(still));
		still.sink = &sink;
		still.orientation = sink.upright ? 1 : facts->orientation;
		still.transform = transform;
		still.facts = facts;
		still.options = options;
		status = still_fit(&still, length, &best, error);
		if (status == IMAGE_OK)
		{
			fit_picture(sink.width, sink.height, still.orientation, options, best.side, &fit);
			result->width = fit.canvas_width;
			result->height = fit.canvas_height;
			orient_size(still.orientation, &result->width, &result->height);
			result->data = best.data;
			result->length = best.length;
			result->quality = best.quality;
			result->encodes = still.encodes;
		}
		if (still.side != 0)
			encoder_free(&still.encoder);
	}
	color_transform_free(transform);
	image_sink_free(&sink);
	return status;
}

ImageStatus
image_compress(const uint8_t *data, size_t length, const ImageCompressOptions *options,
			   const ImageLimits *limits, ImageResult *result, ImageError *error)
{
	ImageFacts	facts;
	ImageStatus status;
	bool		kept = false;

	memset(result, 0, sizeof(*result));
	memset(error, 0, sizeof(*error));

	status = check_options(options, error);
	if (status == IMAGE_OK)
		status = check_facts(data, length, options, limits, &facts, error);
	if (status == IMAGE_OK)
		status = keep_webp(data, length, &facts, options, &kept, result, error);
	if (status == IMAGE_OK && !kept)
	{
		if (is_kept_animation(&facts, options))
			status = animation_compress(data, length, &facts, options, limits, result,
										error);
		else
			status = compress_still(data, length, &facts, options, limits, result, error);
	}
	if (status != IMAGE_OK)
	{
		free(result->data);
		memset(result, 0, sizeof(*result));
	}
	return status;
}
