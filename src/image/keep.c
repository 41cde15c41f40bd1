/*-------------------------------------------------------------------------
 *
 * keep.c
 *	  WebP that needs no encoding.
 *
 * Encoding a lossy picture again loses quality each time, so a WebP within
 * the limits stays as it is, bit for bit; and if only chunks around the coded
 * picture are in the way, they go and it stays.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <webp/mux.h>

#include "fit.h"
#include "keep.h"

ImageStatus
webp_color_transform(const uint8_t *data, size_t length, ColorTransform **transform,
					 ImageError *error)
{
	ImageSink	sink;
	ImageStatus status;

	*transform = NULL;
	memset(&sink, 0, sizeof(sink));
	status = image_webp_profile(data, length, &sink, error);
	if (status == IMAGE_OK)
		status = color_transform_open(sink.icc, sink.icc_length, RASTER_RGB, transform, error);
	image_sink_free(&sink);
	return status;
}

/*
 * Decodes all of an animation, to see that it can be.  *opaque tells whether
 * it shows nothing through: its frames have alpha even then, where they leave
 * the pixels of the frame before.
 */
static ImageStatus
check_animation(const uint8_t *data, size_t length, const ImageFacts *facts,
				bool *opaque, ImageError *error)
{
	size_t		pixels = (size_t) facts->width * facts->height;
	FrameReader *reader;
	ImageStatus status;

	status = frame_reader_open(data, length, facts, &reader, error);
	if (status != IMAGE_OK)
		return status;
	*opaque = true;
	for (;;)
	{
		const uint8_t *canvas;
		int			duration;

		status = frame_reader_next(reader, &canvas, &duration, error);
		if (status != IMAGE_OK || canvas == NULL)
			break;
		for (size_t i = 0; i < pixels && *opaque; i++)
			*opaque = (canvas[i * 4 + 3] == 255);
	}
	frame_reader_close(reader);
	return status;
}

/* Builds the file anew of nothing but its frames. */
static ImageStatus
rebuild(const uint8_t *data, size_t length, const ImageFacts *facts,
		uint8_t **rebuilt, size_t *rebuilt_length, ImageError *error)
{
	/* what follows the RIFF chunk is none of it; the facts saw 12 bytes of it */
	uint64_t	riff = 8 + ((uint64_t) data[4] | (uint64_t) data[5] << 8 |
							(uint64_t) data[6] << 16 | (uint64_t) data[7] << 24);
	WebPData	bytes = {data, riff < length ? (size_t) riff : length};
	WebPData	assembled = {NULL, 0};
	WebPMux    *from = WebPMuxCreate(&bytes, 0);
	WebPMux    *to = WebPMuxNew();
	WebPMuxError code = (from == NULL || to == NULL) ? WEBP_MUX_BAD_DATA : WEBP_MUX_OK;

	if (code == WEBP_MUX_OK && facts->animated)
	{
		WebPMuxAnimParams params;
		int			frames = 0;

		code = WebPMuxNumChunks(from, WEBP_CHUNK_ANMF, &frames);
		for (int i = 1; i <= frames && code == WEBP_MUX_OK; i++)
		{
			WebPMuxFrameInfo frame;

			code = WebPMuxGetFrame(from, (uint32_t) i, &frame);
			if (code != WEBP_MUX_OK)
				break;
			code = WebPMuxPushFrame(to, &frame, 1);
			WebPDataClear(&frame.bitstream);
		}
		if (code == WEBP_MUX_OK)
			code = WebPMuxGetAnimationParams(from, &params);
		if (code == WEBP_MUX_OK)
			code = WebPMuxSetAnimationParams(to, &params);
		if (code == WEBP_MUX_OK)
			code = WebPMuxSetCanvasSize(to, (int) facts->width, (int) facts->height);
	}
	else if (code == WEBP_MUX_OK)
	{
		WebPMuxFrameInfo frame;

		code = WebPMuxGetFrame(from, 1, &frame);
		if (code == WEBP_MUX_OK)
		{
			code = WebPMuxSetImage(to, &frame.bitstream, 1);
			WebPDataClear(&frame.bitstream);
		}
	}
	if (code == WEBP_MUX_OK)
		code = WebPMuxAssemble(to, &assembled);
	WebPMuxDelete(from);
	WebPMuxDelete(to);

	if (code == WEBP_MUX_MEMORY_ERROR)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a WebP");
	if (code != WEBP_MUX_OK)
		return image_fail(error, IMAGE_DAMAGED, "WebP has chunks out of order");
	*rebuilt = (uint8_t *) assembled.bytes;
	*rebuilt_length = assembled.size;
	return IMAGE_OK;
}

ImageStatus
keep_webp(const uint8_t *data, size_t length, const struct ImageFacts *facts,
		  const ImageCompressOptions *options, bool *kept, ImageResult *result,
		  ImageError *error)
{
	ImageStatus status;
	bool		opaque = !facts->has_alpha;
	bool		stray = !facts->webp_exact || facts->has_metadata || facts->has_icc;

	*kept = false;
	if (facts->format != FACTS_FORMAT_WEBP ||
		facts->orientation != 1 ||
		!fit_keeps(facts->width, facts->height, options) ||
		(facts->has_alpha && !facts->animated && options->alpha != IMAGE_ALPHA_KEEP) ||
		(facts->animated && options->animation != IMAGE_ANIMATION_KEEP) ||
		(options->lossless != IMAGE_LOSSLESS_AUTO && facts->webp_mixed) ||
		(options->lossless == IMAGE_LOSSLESS_NEVER && facts->webp_lossless) ||
		(options->lossless == IMAGE_LOSSLESS_ALWAYS && !facts->webp_lossless) ||
		(!stray && length > (size_t) options->max_bytes))
		return IMAGE_OK;

	if (facts->has_icc)
	{
		ColorTransform *transform;

		status = webp_color_transform(data, length, &transform, error);
		if (status != IMAGE_OK || transform != NULL)
		{
			color_transform_free(transform);
			return status;
		}
	}
	if (facts->animated)
		status = check_animation(data, length, facts, &opaque, error);
	else
		status = image_check_webp(data, length, facts, error);
	if (status != IMAGE_OK || (!opaque && options->alpha != IMAGE_ALPHA_KEEP))
		return status;

	if (stray)
	{
		status = rebuild(data, length, facts, &result->data, &result->length, error);

		/*
		 * libwebpmux is stricter with chunks than decoders are.  The picture
		 * is sound, so it takes the long way.
		 */
		if (status == IMAGE_DAMAGED)
			return IMAGE_OK;
		if (status != IMAGE_OK)
			return status;
		if (result->length > (size_t) options->max_bytes)
		{
			free(result->data);
			memset(result, 0, sizeof(*result));
			return IMAGE_OK;
		}
	}
	else
	{
		result->unchanged = true;
		result->length = length;
	}
	result->width = (int32_t) facts->width;
	result->height = (int32_t) facts->height;
	*kept = true;
	return IMAGE_OK;
}
