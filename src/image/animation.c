/*-------------------------------------------------------------------------
 *
 * animation.c
 *	  Animations, frame by frame, by libwebp's animation encoder.
 *
 * Frames are decoded anew for every attempt: that is cheap against encoding
 * them, and holds one canvas in memory instead of all.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <webp/mux.h>

#include "animation.h"
#include "budget.h"
#include "encode.h"
#include "fit.h"
#include "keep.h"
#include "orient.h"
#include "prepare.h"
#include "resize.h"

/*
 * Long animations are sized up by their first frames: if these alone pass the
 * limit, the rest need not be encoded to see that all of it does.
 */
#define ANIMATION_SAMPLE 64
#define ANIMATION_LONG	(3 * ANIMATION_SAMPLE)

typedef struct Animation
{
	const uint8_t *data;
	size_t		length;
	const ImageFacts *facts;
	const ImageCompressOptions *options;
	const ImageLimits *limits;
	ColorTransform *transform;
	uint32_t	most_frames;	/* unless 0: encode no more than so many */
	int			encodes;
} Animation;

/*
 * One canvas to a picture ready for the encoder, width x height before
 * orientation.
 */
static ImageStatus
animation_frame(const Animation *animation, const uint8_t *canvas, int width,
				int height, WebPPicture *picture, ImageError *error)
{
	const ImageFacts *facts = animation->facts;
	ImageSink	sink;
	Raster		frame;
	ImageStatus status;

	memset(&sink, 0, sizeof(sink));
	memset(&frame, 0, sizeof(frame));
	sink.limits = *animation->limits;
	sink.target = animation->options->max_dimension;
	sink.ignore_alpha = (animation->options->alpha == IMAGE_ALPHA_DROP);
	status = image_sink_begin(&sink, facts->width, facts->height, SINK_RGBA, error);
	for (uint32_t y = 0; y < facts->height && status == IMAGE_OK; y++)
		status = image_sink_row(&sink, canvas + (size_t) y * facts->width * 4, error);
	if (status == IMAGE_OK)
		status = resize_raster(&sink.raster, NULL, width, height, &frame, error);
	image_sink_free(&sink);
	if (status == IMAGE_OK)
		status = orient_raster(&frame, facts->orientation, error);
	if (status == IMAGE_OK)
		status = color_to_srgb(&frame, animation->transform, error);
	if (status == IMAGE_OK)
		status = prepare_alpha(&frame, animation->options, error);
	if (status == IMAGE_OK)
		status = encoder_pack_argb(picture, &frame, error);
	raster_free(&frame);
	return status;
}

/* Feeds all frames to the encoder; *end is when the last one ends. */
static ImageStatus
animation_add_frames(const Animation *animation, FrameReader *reader, int width,
					 int height, WebPAnimEncoder *encoder, const WebPConfig *config,
					 int *end, ImageError *error)
{
	int64_t		time = 0;

	for (uint32_t frame = 0;; frame++)
	{
		const uint8_t *canvas = NULL;
		int			duration;
		WebPPicture picture;
		ImageStatus status = IMAGE_OK;

		if (animation->most_frames == 0 || frame < animation->most_frames)
			status = frame_reader_next(reader, &canvas, &duration, error);
		if (status != IMAGE_OK)
			return status;
		if (canvas == NULL)
		{
			*end = (int) time;
			return IMAGE_OK;
		}
		status = animation_frame(animation, canvas, width, height, &picture, error);
		if (status != IMAGE_OK)
			return status;
		if (!WebPAnimEncoderAdd(encoder, &picture, (int) time, config))
			status = encoder_fail(error, picture.error_code == VP8_ENC_OK ?
								  VP8_ENC_ERROR_OUT_OF_MEMORY : picture.error_code);
		WebPPictureFree(&picture);
		if (status != IMAGE_OK)
			return status;

		/* a WebP counts milliseconds in 24 bits a frame; all in an int */
		time += duration < 0 ? 0 : (duration > 0xFFFFFF ? 0xFFFFFF : duration);
		if (time > INT32_MAX)
			return image_fail(error, IMAGE_UNSUPPORTED, "animation lasts too long");
	}
}

/*
 * Sets how often to play, which is known only after the last frame, when the
 * encoder can't be told any more.
 */
static ImageStatus
animation_set_loops(WebPData *assembled, int loops, ImageError *error)
{
	WebPMux    *mux = WebPMuxCreate(assembled, 0);
	WebPMuxAnimParams params;
	WebPData	again = {NULL, 0};
	WebPMuxError code;

	if (mux == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for an animation");
	code = WebPMuxGetAnimationParams(mux, &params);
	if (code == WEBP_MUX_NOT_FOUND)
	{
		/* frames that were all alike have become a still */
		WebPMuxDelete(mux);
		return IMAGE_OK;
	}
	params.loop_count = loops;
	if (code == WEBP_MUX_OK)
		code = WebPMuxSetAnimationParams(mux, &params);
	if (code == WEBP_MUX_OK)
		code = WebPMuxAssemble(mux, &again);
	WebPMuxDelete(mux);
	if (code != WEBP_MUX_OK)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for an animation");
	WebPDataClear(assembled);
	*assembled = again;
	return IMAGE_OK;
}

static ImageStatus
animation_encode(void *context, int side, int quality, uint8_t **data, size_t *length,
				 ImageError *error)
{
	Animation  *animation = context;
	const ImageCompressOptions *options = animation->options;
	WebPAnimEncoderOptions settings;
	WebPAnimEncoder *encoder;
	WebPConfig	config;
	WebPData	assembled = {NULL, 0};
	FrameReader *reader = NULL;
	ImageStatus status;
	int			width;
	int			height;
	int			upright_width;
	int			upright_height;
	int			end = 0;

	if (!WebPAnimEncoderOptionsInit(&settings) ||
		!encoder_config(&config, options->effort, quality))
		return image_fail(error, IMAGE_INTERNAL, "libwebp refuses its settings");

	/* frames that look drawn may be smaller lossless: let it take which is */
	settings.allow_mixed = (options->lossless == IMAGE_LOSSLESS_AUTO &&
							(animation->facts->format == FACTS_FORMAT_GIF ||
							 animation->facts->webp_lossless));

	fit_size(animation->facts->width, animation->facts->height, side, side, &width, &height);
	upright_width = width;
	upright_height = height;
	orient_size(animation->facts->orientation, &upright_width, &upright_height);
	encoder = WebPAnimEncoderNew(upright_width, upright_height, &settings);
	if (encoder == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for an animation");
	animation->encodes++;
	status = frame_reader_open(animation->data, animation->length, animation->facts,
							   &reader, error);
	if (status == IMAGE_OK)
		status = animation_add_frames(animation, reader, width, height, encoder, &config,
									  &end, error);
	if (status == IMAGE_OK)
	{
		int			loops = frame_reader_loops(reader);

		if (!WebPAnimEncoderAdd(encoder, NULL, end, NULL) ||
			!WebPAnimEncoderAssemble(encoder, &assembled))
			status = image_fail(error, IMAGE_NO_MEMORY, "out of memory for an animation");
		else if (loops != 0)
			status = animation_set_loops(&assembled, loops, error);
		if (status != IMAGE_OK)
			WebPDataClear(&assembled);
	}
	frame_reader_close(reader);
	WebPAnimEncoderDelete(encoder);
	*data = (uint8_t *) assembled.bytes;
	*length = assembled.size;
	return status;
}

/*
 * Guesses what a long animation takes at the size and the lowest quality
 * wanted.  *too_large is that if its first part is above the limit, else 0.
 */
static ImageStatus
animation_size_up(Animation *animation, const BudgetTask *task, size_t *too_large,
				  ImageError *error)
{
	uint8_t    *data;
	size_t		length;
	ImageStatus status;

	*too_large = 0;

	/* what came in within the limit will mostly go out so */
	if (animation->facts->frames < ANIMATION_LONG || animation->length <= task->limit)
		return IMAGE_OK;
	animation->most_frames = ANIMATION_SAMPLE;
	status = animation_encode(animation, task->side, task->min_quality, &data, &length, error);
	animation->most_frames = 0;
	if (status != IMAGE_OK)
		return status;
	free(data);
	if (length > task->limit)
		*too_large = length / ANIMATION_SAMPLE * animation->facts->frames;
	return IMAGE_OK;
}

ImageStatus
animation_compress(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				   const ImageCompressOptions *options, const ImageLimits *limits,
				   ImageResult *result, ImageError *error)
{
	Animation	animation;
	BudgetTask	task;
	BudgetBest	best;
	ImageStatus status = IMAGE_OK;

	memset(&animation, 0, sizeof(animation));
	animation.data = data;
	animation.length = length;
	animation.facts = facts;
	animation.options = options;
	animation.limits = limits;
	if (facts->format == FACTS_FORMAT_WEBP)
	{
		status = webp_color_transform(data, length, &animation.transform, error);
		if (status != IMAGE_OK)
			return status;
	}

	task = budget_task(options, facts->width, facts->height, length);
	task.encode = animation_encode;
	task.context = &animation;
	status = animation_size_up(&animation, &task, &task.too_large, error);
	if (status == IMAGE_OK)
		status = budget_fit(&task, &best, error);
	color_transform_free(animation.transform);
	if (status == IMAGE_OK)
	{
		fit_size(facts->width, facts->height, best.side, best.side, &result->width,
				 &result->height);
		orient_size(facts->orientation, &result->width, &result->height);
		result->data = best.data;
		result->length = best.length;
		result->quality = best.quality;
		result->encodes = animation.encodes;
	}
	return status;
}
