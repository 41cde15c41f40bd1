/*-------------------------------------------------------------------------
 *
 * decode_webp.c
 *	  WebP to rows, and WebP animations to frames, by libwebp.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "frames.h"

/* What libwebp takes beside the pixels, about. */
#define WEBP_WORKING_MEMORY (1024 * 1024)

typedef struct WebpFrames
{
	FrameReader base;
	WebPAnimDecoder *decoder;
	WebPAnimInfo info;
	uint32_t	frames_given;
	int			timestamp;		/* when the last frame given ends */
} WebpFrames;

/*
 * libwebp often calls corrupt what it only had no memory for.  So, when it
 * gave up: could a second picture of that size be held now?
 */
static bool
webp_memory_is_short(uint32_t width, uint32_t height)
{
	void	   *probe = malloc((size_t) width * height * 4 + WEBP_WORKING_MEMORY);

	free(probe);
	return probe == NULL;
}

/* What a status of libwebp's says about the picture. */
static ImageStatus
webp_failure(VP8StatusCode code, uint32_t width, uint32_t height, ImageError *error)
{
	switch (code)
	{
		case VP8_STATUS_NOT_ENOUGH_DATA:
		case VP8_STATUS_SUSPENDED:
			return image_fail(error, IMAGE_DAMAGED, "damaged WebP: the data end early");
		case VP8_STATUS_UNSUPPORTED_FEATURE:
			return image_fail(error, IMAGE_UNSUPPORTED,
							  "the WebP uses a feature that libwebp does not read");
		case VP8_STATUS_BITSTREAM_ERROR:
			if (!webp_memory_is_short(width, height))
				return image_fail(error, IMAGE_DAMAGED, "damaged WebP: corrupt data");
			/* FALLTHROUGH */
		case VP8_STATUS_OUT_OF_MEMORY:
			return image_fail(error, IMAGE_NO_MEMORY,
							  "out of memory while reading a WebP");
		default:
			return image_fail(error, IMAGE_INTERNAL, "libwebp failed with status %d",
							  (int) code);
	}
}

/*
 * Hands over the ICC profile, if there is one.  Metadata that can't be
 * parsed are no reason to refuse the picture.
 */
ImageStatus
image_webp_profile(const uint8_t *data, size_t length, ImageSink *sink, ImageError *error)
{
	WebPData	file = {data, length};
	WebPDemuxer *demuxer = WebPDemux(&file);
	WebPChunkIterator chunk;
	ImageStatus status = IMAGE_OK;

	if (demuxer == NULL)
		return IMAGE_OK;
	if (WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS) & ICCP_FLAG)
	{
		if (WebPDemuxGetChunk(demuxer, "ICCP", 1, &chunk))
			status = image_sink_icc(sink, chunk.chunk.bytes, chunk.chunk.size, error);
		WebPDemuxReleaseChunkIterator(&chunk);
	}
	WebPDemuxDelete(demuxer);
	return status;
}

static ImageStatus
webp_push_rows(ImageSink *sink, const uint8_t *pixels, uint32_t height, size_t stride,
			   ImageError *error)
{
	for (uint32_t y = 0; y < height; y++)
	{
		ImageStatus status = image_sink_row(sink, pixels + y * stride, error);

		if (status != IMAGE_OK)
			return status;
	}
	return IMAGE_OK;
}

/* The first frame of an animation, on its canvas. */
static ImageStatus
webp_decode_first_frame(const uint8_t *data, size_t length, const struct ImageFacts *facts,
						ImageSink *sink, ImageError *error)
{
	FrameReader *reader;
	const uint8_t *canvas;
	int			duration;
	ImageStatus status;

	status = image_sink_begin(sink, facts->width, facts->height, SINK_RGBA, error);
	if (status != IMAGE_OK)
		return status;
	status = webp_frames_open(data, length, facts, &reader, error);
	if (status != IMAGE_OK)
		return status;
	status = reader->methods->next(reader, &canvas, &duration, error);
	if (status == IMAGE_OK && canvas == NULL)
		status = image_fail(error, IMAGE_DAMAGED, "damaged WebP: no frame in it");
	if (status == IMAGE_OK)
		status = webp_push_rows(sink, canvas, facts->height,
								(size_t) facts->width * 4, error);
	reader->methods->close(reader);
	return status;
}

static ImageStatus
webp_decode_still(const uint8_t *data, size_t length, const WebPBitstreamFeatures *features,
				  ImageSink *sink, ImageError *error)
{
	uint32_t	width = (uint32_t) features->width;
	uint32_t	height = (uint32_t) features->height;
	bool		alpha = features->has_alpha != 0;
	size_t		stride = (size_t) width * (alpha ? 4 : 3);
	WebPDecoderConfig config;
	VP8StatusCode code;
	uint8_t    *pixels;
	ImageStatus status;

	status = image_sink_begin(sink, width, height, alpha ? SINK_RGBA : SINK_RGB, error);
	if (status != IMAGE_OK)
		return status;
	if (!WebPInitDecoderConfig(&config))
		return image_fail(error, IMAGE_INTERNAL, "libwebp is not the version built with");
	pixels = malloc(stride * height);
	if (pixels == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a WebP of %u x %u pixels",
						  width, height);

	config.options.use_threads = 0;
	config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
	config.output.is_external_memory = 1;
	config.output.u.RGBA.rgba = pixels;
	config.output.u.RGBA.stride = (int) stride;
	config.output.u.RGBA.size = stride * height;
	code = WebPDecode(data, length, &config);
	WebPFreeDecBuffer(&config.output);

	if (code == VP8_STATUS_OK)
		status = webp_push_rows(sink, pixels, height, stride, error);
	else
		status = webp_failure(code, width, height, error);
	free(pixels);
	return status;
}

ImageStatus
image_decode_webp(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				  ImageSink *sink, ImageError *error)
{
	WebPBitstreamFeatures features;
	VP8StatusCode code;
	ImageStatus status;

	code = WebPGetFeatures(data, length, &features);
	if (code != VP8_STATUS_OK)
		return webp_failure(code, 1, 1, error);
	status = image_webp_profile(data, length, sink, error);
	if (status != IMAGE_OK)
		return status;
	if (features.has_animation)
		return webp_decode_first_frame(data, length, facts, sink, error);
	return webp_decode_still(data, length, &features, sink, error);
}

ImageStatus
image_check_webp(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				 ImageError *error)
{
	WebPDecoderConfig config;
	VP8StatusCode code;

	if (!WebPInitDecoderConfig(&config))
		return image_fail(error, IMAGE_INTERNAL, "libwebp is not the version built with");

	/* YUV is what a lossy picture is anyhow, and the smallest to hold */
	config.output.colorspace = facts->webp_lossless ? MODE_BGRA : MODE_YUVA;
	code = WebPDecode(data, length, &config);
	WebPFreeDecBuffer(&config.output);
	return code == VP8_STATUS_OK ? IMAGE_OK :
		webp_failure(code, facts->width, facts->height, error);
}

static ImageStatus
webp_frames_next(FrameReader *reader, const uint8_t **canvas, int *duration,
				 ImageError *error)
{
	WebpFrames *frames = (WebpFrames *) reader;
	uint8_t    *pixels;
	int			timestamp;

	*canvas = NULL;
	if (!WebPAnimDecoderHasMoreFrames(frames->decoder))
		return IMAGE_OK;
	if (!WebPAnimDecoderGetNext(frames->decoder, &pixels, &timestamp))
	{
		if (webp_memory_is_short(frames->info.canvas_width, frames->info.canvas_height))
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a WebP");
		return image_fail(error, IMAGE_DAMAGED, "damaged WebP: frame %u can't be decoded",
						  frames->frames_given + 1);
	}
	frames->frames_given++;
	/* Durations of 24 bits may add up to more than an int holds. */
	*duration = (int) ((unsigned int) timestamp - (unsigned int) frames->timestamp);
	frames->timestamp = timestamp;
	*canvas = pixels;
	return IMAGE_OK;
}

static int
webp_frames_loops(const FrameReader *reader)
{
	return (int) ((const WebpFrames *) reader)->info.loop_count;
}

static void
webp_frames_close(FrameReader *reader)
{
	WebPAnimDecoderDelete(((WebpFrames *) reader)->decoder);
	free(reader);
}

static const FrameReaderMethods webp_frames_methods = {
	webp_frames_next,
	webp_frames_loops,
	webp_frames_close
};

/*
 * libwebp wants all of an animation to be there, and says only yes or no;
 * so first its parser is asked, which takes next to no memory.
 */
ImageStatus
webp_frames_open(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				 FrameReader **reader, ImageError *error)
{
	WebPData	file = {data, length};
	WebPAnimDecoderOptions options;
	WebPDemuxer *demuxer;
	WebpFrames *frames;
	bool		size_agrees;

	demuxer = WebPDemux(&file);
	if (demuxer == NULL)
		return image_fail(error, IMAGE_DAMAGED,
						  "damaged WebP: its structure is broken or cut short");
	size_agrees = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH) == facts->width &&
		WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT) == facts->height;
	WebPDemuxDelete(demuxer);
	if (!size_agrees)
		return image_fail(error, IMAGE_DAMAGED,
						  "damaged WebP: its canvas is not what the header says");

	if (!WebPAnimDecoderOptionsInit(&options))
		return image_fail(error, IMAGE_INTERNAL, "libwebp is not the version built with");
	options.color_mode = MODE_RGBA;
	options.use_threads = 0;

	frames = calloc(1, sizeof(WebpFrames));
	if (frames == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a WebP animation");
	frames->base.methods = &webp_frames_methods;
	frames->decoder = WebPAnimDecoderNew(&file, &options);
	if (frames->decoder == NULL ||
		!WebPAnimDecoderGetInfo(frames->decoder, &frames->info))
	{
		WebPAnimDecoderDelete(frames->decoder);
		free(frames);
		return image_fail(error, IMAGE_NO_MEMORY,
						  "out of memory for WebP frames of %u x %u pixels",
						  facts->width, facts->height);
	}
	*reader = &frames->base;
	return IMAGE_OK;
}
