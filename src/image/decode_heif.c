/*-------------------------------------------------------------------------
 *
 * decode_heif.c
 *	  HEIF and AVIF to rows, by libheif.
 *
 * Linked only into the program made for it.  libheif may keep its decoders in
 * plugins; image_heif_init loads them, and must be called while files can
 * still be opened.
 *
 * libheif applies the picture's own rotation, mirroring and cropping, so what
 * comes is upright.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "decode.h"

#ifndef LIBHEIF_HAVE_VERSION
#define LIBHEIF_HAVE_VERSION(h, m, l) \
	(LIBHEIF_NUMERIC_VERSION >= (((h) << 24) | ((m) << 16) | ((l) << 8)))
#endif

/* How much longer a side than the result's is borne, beside its double. */
#define HEIF_SIZE_EXCESS 8192

typedef struct HeifReader
{
	struct heif_context *context;
	struct heif_image_handle *handle;
	struct heif_decoding_options *options;
	struct heif_image *image;
	uint8_t    *row;
} HeifReader;

void
image_heif_init(void)
{
#if LIBHEIF_HAVE_VERSION(1, 13, 0)
	(void) heif_init(NULL);
#endif
	/* Asking makes libheif set its decoders up. */
	(void) heif_have_decoder_for_format(heif_compression_HEVC);
	(void) heif_have_decoder_for_format(heif_compression_AV1);
}

static ImageStatus
heif_failure(struct heif_error failure, ImageError *error)
{
	const char *message = failure.message != NULL ? failure.message : "unknown error";

	switch (failure.code)
	{
		case heif_error_Memory_allocation_error:
			if (failure.subcode == heif_suberror_Security_limit_exceeded)
				return image_fail(error, IMAGE_DAMAGED, "damaged HEIF: %s", message);
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a HEIF");
		case heif_error_Unsupported_filetype:
		case heif_error_Unsupported_feature:
		case heif_error_Plugin_loading_error:
			return image_fail(error, IMAGE_UNSUPPORTED, "a HEIF that libheif does not read: %s",
							  message);
		case heif_error_Usage_error:
			return image_fail(error, IMAGE_INTERNAL, "libheif failed: %s", message);
		default:
			return image_fail(error, IMAGE_DAMAGED, "damaged HEIF: %s", message);
	}
}

/* Nothing larger than what the facts told, and that by one thread. */
static void
heif_set_limits(struct heif_context *context, const struct ImageFacts *facts)
{
	uint32_t	longest = facts->width > facts->height ? facts->width : facts->height;

	/* Grids and crops are made of pictures somewhat larger than themselves. */
	longest = longest > INT_MAX / 4 ? INT_MAX : longest * 2 + HEIF_SIZE_EXCESS;
	heif_context_set_maximum_image_size_limit(context, (int) longest);
#if LIBHEIF_HAVE_VERSION(1, 13, 0)
	heif_context_set_max_decoding_threads(context, 0);
#endif
#if LIBHEIF_HAVE_VERSION(1, 19, 0)
	{
		struct heif_security_limits *limits = heif_context_get_security_limits(context);

		if (limits != NULL)
			limits->max_image_size_pixels = (uint64_t) facts->width * facts->height * 4 +
				(uint64_t) HEIF_SIZE_EXCESS * HEIF_SIZE_EXCESS;
	}
#endif
}

/* The ICC profile; the few numbers of nclx are as good as sRGB here. */
static ImageStatus
heif_take_profile(const struct heif_image_handle *handle, ImageSink *sink, ImageError *error)
{
	enum heif_color_profile_type type = heif_image_handle_get_color_profile_type(handle);
	size_t		size;
	uint8_t    *profile;
	struct heif_error result;
	ImageStatus status = IMAGE_OK;

	if (type != heif_color_profile_type_rICC && type != heif_color_profile_type_prof)
		return IMAGE_OK;
	size = heif_image_handle_get_raw_color_profile_size(handle);
	if (size == 0)
		return IMAGE_OK;
	profile = malloc(size);
	if (profile == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory for an ICC profile");
	result = heif_image_handle_get_raw_color_profile(handle, profile);
	if (result.code == heif_error_Ok)
		status = image_sink_icc(sink, profile, size, error);
	free(profile);
	return status;
}

/*
 * libheif goes on where it can, and notes what was wrong.  Unknown colour
 * numbers are harmless; anything else means missing pixels.
 */
static ImageStatus
heif_check_warnings(struct heif_image *image, ImageError *error)
{
#if LIBHEIF_HAVE_VERSION(1, 13, 0)
	struct heif_error warning;

	for (int i = 0; heif_image_get_decoding_warnings(image, i, &warning, 1) == 1; i++)
	{
		if (warning.subcode != heif_suberror_Unknown_NCLX_color_primaries &&
			warning.subcode != heif_suberror_Unknown_NCLX_transfer_characteristics &&
			warning.subcode != heif_suberror_Unknown_NCLX_matrix_coefficients)
			return heif_failure(warning, error);
	}
#else
	(void) image;
	(void) error;
#endif
	return IMAGE_OK;
}

/* Divides the colours of a row by its alpha. */
static void
heif_straighten_row(uint8_t *row, uint32_t width)
{
	for (; width > 0; width--, row += 4)
	{
		uint32_t	alpha = row[3];

		for (int c = 0; c < 3; c++)
		{
			uint32_t	level = alpha == 0 ? 0 : (row[c] * 255u + alpha / 2) / alpha;

			row[c] = level > 255 ? 255 : (uint8_t) level;
		}
	}
}

static ImageStatus
heif_push_rows(HeifReader *reader, bool alpha, ImageSink *sink, ImageError *error)
{
	int			channels = alpha ? 4 : 3;
	int			width = heif_image_get_width(reader->image, heif_channel_interleaved);
	int			height = heif_image_get_height(reader->image, heif_channel_interleaved);
	bool		premultiplied = alpha &&
		heif_image_handle_is_premultiplied_alpha(reader->handle) != 0;
	int			stride;
	const uint8_t *pixels;
	ImageStatus status;

	pixels = heif_image_get_plane_readonly(reader->image, heif_channel_interleaved, &stride);
	if (pixels == NULL || width <= 0 || height <= 0 || stride / channels < width ||
		heif_image_get_bits_per_pixel_range(reader->image, heif_channel_interleaved) != 8)
		return image_fail(error, IMAGE_INTERNAL, "libheif gave no 8-bit pixels");
	status = image_sink_begin(sink, (uint32_t) width, (uint32_t) height,
							  alpha ? SINK_RGBA : SINK_RGB, error);
	if (status != IMAGE_OK)
		return status;
	image_sink_upright(sink);
	if (premultiplied)
	{
		reader->row = malloc((size_t) width * 4);
		if (reader->row == NULL)
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory for a row of a HEIF");
	}

	for (int y = 0; y < height; y++)
	{
		const uint8_t *row = pixels + (size_t) y * (size_t) stride;

		if (premultiplied)
		{
			memcpy(reader->row, row, (size_t) width * 4);
			heif_straighten_row(reader->row, (uint32_t) width);
			row = reader->row;
		}
		status = image_sink_row(sink, row, error);
		if (status != IMAGE_OK)
			return status;
	}
	return IMAGE_OK;
}

static ImageStatus
heif_decode(HeifReader *reader, const uint8_t *data, size_t length,
			const struct ImageFacts *facts, ImageSink *sink, ImageError *error)
{
	struct heif_error result;
	bool		alpha;
	ImageStatus status;

	reader->context = heif_context_alloc();
	if (reader->context == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a HEIF");
	heif_set_limits(reader->context, facts);
	result = heif_context_read_from_memory_without_copy(reader->context, data, length, NULL);
	if (result.code == heif_error_Ok)
		result = heif_context_get_primary_image_handle(reader->context, &reader->handle);
	if (result.code != heif_error_Ok)
		return heif_failure(result, error);
	alpha = heif_image_handle_has_alpha_channel(reader->handle) != 0;

	status = heif_take_profile(reader->handle, sink, error);
	if (status != IMAGE_OK)
		return status;
	reader->options = heif_decoding_options_alloc();
	if (reader->options == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory while reading a HEIF");
	reader->options->convert_hdr_to_8bit = 1;
	result = heif_decode_image(reader->handle, &reader->image, heif_colorspace_RGB,
							   alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB,
							   reader->options);
	if (result.code != heif_error_Ok)
		return heif_failure(result, error);
	status = heif_check_warnings(reader->image, error);
	if (status != IMAGE_OK)
		return status;
	return heif_push_rows(reader, alpha, sink, error);
}

ImageStatus
image_decode_heif(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				  ImageSink *sink, ImageError *error)
{
	HeifReader	reader = {0};
	ImageStatus status;

	status = heif_decode(&reader, data, length, facts, sink, error);
	if (reader.image != NULL)
		heif_image_release(reader.image);
	if (reader.options != NULL)
		heif_decoding_options_free(reader.options);
	if (reader.handle != NULL)
		heif_image_handle_release(reader.handle);
	if (reader.context != NULL)
		heif_context_free(reader.context);
	free(reader.row);
	return status;
}
