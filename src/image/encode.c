/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  One picture to WebP, at one quality at a time, by libwebp.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "color.h"
#include "encode.h"

ImageStatus
encoder_fail(ImageError *error, WebPEncodingError code)
{
	switch (code)
	{
		case VP8_ENC_ERROR_OUT_OF_MEMORY:
		case VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY:
		case VP8_ENC_ERROR_BAD_WRITE:
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory while encoding");
		case VP8_ENC_ERROR_BAD_DIMENSION:
		case VP8_ENC_ERROR_PARTITION0_OVERFLOW:
		case VP8_ENC_ERROR_PARTITION_OVERFLOW:
		case VP8_ENC_ERROR_FILE_TOO_BIG:
			return image_fail_limit(error, "max_dimension",
									"picture is too large for WebP (libwebp error %d)",
									(int) code);
		default:
			return image_fail(error, IMAGE_INTERNAL, "libwebp failed with code %d",
							  (int) code);
	}
}

bool
encoder_config(WebPConfig *config, int effort, int quality)
{
	if (!WebPConfigInit(config))
		return false;
	config->method = effort;
	config->quality = (float) quality;

	/*
	 * Alpha is coded without loss, in as many levels as its quality allows.
	 * Where a budget forces the colours down, it has to give way too: 15
	 * levels at 40, all of them from 75 on.
	 */
	config->alpha_quality = quality < 75 ? 25 + quality : 100;
	if (quality == ENCODE_LOSSLESS)
	{
		/* of lossless, this is how hard to try */
		config->lossless = 1;
		config->quality = 25.0f + 12.5f * (float) effort;
	}
	return WebPValidateConfig(config) != 0;
}

ImageStatus
encoder_pack_argb(WebPPicture *picture, const Raster *raster, ImageError *error)
{
	const RasterPlane *plane = raster->plane;
	int			green = raster->color == RASTER_GRAY ? 0 : 1;
	int			blue = raster->color == RASTER_GRAY ? 0 : 2;

	if (!WebPPictureInit(picture))
		return image_fail(error, IMAGE_INTERNAL, "libwebp's versions do not match");
	picture->use_argb = 1;
	picture->width = plane[0].width;
	picture->height = plane[0].height;
	if (!WebPPictureAlloc(picture))
		return encoder_fail(error, picture->error_code);

	for (int y = 0; y < picture->height; y++)
	{
		const uint8_t *r = plane[0].data + y * plane[0].stride;
		const uint8_t *g = plane[green].data + y * plane[green].stride;
		const uint8_t *b = plane[blue].data + y * plane[blue].stride;
		const uint8_t *a = NULL;
		uint32_t   *out = picture->argb + (ptrdiff_t) y * picture->argb_stride;

		if (raster->alpha)
			a = plane[raster->planes - 1].data + y * plane[raster->planes - 1].stride;
		for (int x = 0; x < picture->width; x++)
			out[x] = (uint32_t) (a ? a[x] : 255) << 24 | (uint32_t) r[x] << 16 |
				(uint32_t) g[x] << 8 | b[x];
	}
	return IMAGE_OK;
}

ImageStatus
encoder_from_raster(Encoder *encoder, const Raster *raster, int effort, ImageError *error)
{
	memset(encoder, 0, sizeof(*encoder));
	encoder->effort = effort;
	encoder->width = raster->plane[0].width;
	encoder->height = raster->plane[0].height;
	return encoder_pack_argb(&encoder->argb, raster, error);
}

ImageStatus
encoder_from_planes(Encoder *encoder, Raster *raster, int effort, ImageError *error)
{
	WebPPicture *yuv = &encoder->yuv;

	memset(encoder, 0, sizeof(*encoder));
	encoder->effort = effort;
	encoder->planes = *raster;
	memset(raster, 0, sizeof(*raster));
	raster = &encoder->planes;
	encoder->width = raster->plane[0].width;
	encoder->height = raster->plane[0].height;

	for (int i = 0; i < raster->planes; i++)
		color_limit_range(&raster->plane[i], i > 0);

	if (!WebPPictureInit(yuv))
	{
		encoder_free(encoder);
		return image_fail(error, IMAGE_INTERNAL, "libwebp's versions do not match");
	}
	yuv->use_argb = 0;
	yuv->colorspace = WEBP_YUV420;
	yuv->width = encoder->width;
	yuv->height = encoder->height;
	yuv->y = raster->plane[0].data;
	yuv->y_stride = (int) raster->plane[0].stride;
	if (raster->color == RASTER_GRAY)
	{
		/* one row of no colour serves for all: its stride is 0 */
		size_t		row = ((size_t) encoder->width + 1) / 2;

		encoder->gray_chroma = malloc(row);
		if (encoder->gray_chroma == NULL)
		{
			encoder_free(encoder);
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
		}
		memset(encoder->gray_chroma, 128, row);
		yuv->u = encoder->gray_chroma;
		yuv->v = encoder->gray_chroma;
		yuv->uv_stride = 0;
	}
	else
	{
		yuv->u = raster->plane[1].data;
		yuv->v = raster->plane[2].data;
		yuv->uv_stride = (int) raster->plane[1].stride;
	}
	return IMAGE_OK;
}

void
encoder_free(Encoder *encoder)
{
	/* frees only what libwebp allocated itself */
	if (encoder->argb.argb != NULL)
		WebPPictureFree(&encoder->argb);
	if (encoder->yuv.y != NULL)
		WebPPictureFree(&encoder->yuv);
	raster_free(&encoder->planes);
	free(encoder->gray_chroma);
	memset(encoder, 0, sizeof(*encoder));
}

/* Converts to YUV once for all lossy encodes, which each would do it else. */
static ImageStatus
encoder_need_yuv(Encoder *encoder, ImageError *error)
{
	if (encoder->yuv.y != NULL)
		return IMAGE_OK;
	/* a view owns no pixels; the conversion gives it YUV of its own */
	if (!WebPPictureView(&encoder->argb, 0, 0, encoder->width, encoder->height,
						 &encoder->yuv))
		return image_fail(error, IMAGE_INTERNAL, "libwebp gives no view of a picture");
	if (!WebPPictureARGBToYUVA(&encoder->yuv, WEBP_YUV420))
	{
		WebPPictureFree(&encoder->yuv);
		memset(&encoder->yuv, 0, sizeof(encoder->yuv));
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory while encoding");
	}
	return IMAGE_OK;
}

ImageStatus
encoder_run(Encoder *encoder, int quality, uint8_t **data, size_t *length,
			ImageError *error)
{
	/* how much of the first partition's bits to save, should they not fit */
	static const int partition_limits[] = {0, 50, 100};
	WebPPicture *picture = &encoder->argb;
	WebPConfig	config;

	if (quality != ENCODE_LOSSLESS)
	{
		ImageStatus status = encoder_need_yuv(encoder, error);

		if (status != IMAGE_OK)
			return status;
		picture = &encoder->yuv;
	}

	for (int i = 0;; i++)
	{
		WebPMemoryWriter writer;

		if (!encoder_config(&config, encoder->effort, quality))
			return image_fail(error, IMAGE_INTERNAL, "libwebp refuses its settings");
		config.partition_limit = partition_limits[i];
		WebPMemoryWriterInit(&writer);
		picture->writer = WebPMemoryWrite;
		picture->custom_ptr = &writer;
		if (WebPEncode(&config, picture))
		{
			*data = writer.mem;
			*length = writer.size;
			return IMAGE_OK;
		}
		WebPMemoryWriterClear(&writer);
		if (picture->error_code != VP8_ENC_ERROR_PARTITION0_OVERFLOW || i == 2)
			return encoder_fail(error, picture->error_code);
	}
}

/* More colours than this are no palette. */
#define DRAWN_COLORS 256
#define DRAWN_HASH 1024

bool
encoder_looks_drawn(const WebPPicture *argb)
{
	uint32_t	table[DRAWN_HASH];
	bool		used[DRAWN_HASH];
	int			colors = 0;
	uint64_t	alike = 0;
	uint64_t	pixels = (uint64_t) argb->width * (uint64_t) argb->height;

	memset(used, 0, sizeof(used));
	for (int y = 0; y < argb->height; y++)
	{
		const uint32_t *row = argb->argb + (ptrdiff_t) y * argb->argb_stride;

		for (int x = 0; x < argb->width; x++)
		{
			uint32_t	slot;

			if (x > 0 && row[x] == row[x - 1])
			{
				alike++;
				continue;
			}
			if (y > 0 && row[x] == row[x - argb->argb_stride])
				alike++;
			if (colors > DRAWN_COLORS)
				continue;
			for (slot = row[x] * 2654435761u >> 22; used[slot] && table[slot] != row[x];
				 slot = (slot + 1) % DRAWN_HASH)
				;
			if (!used[slot])
			{
				used[slot] = true;
				table[slot] = row[x];
				colors++;
			}
		}
	}
	return colors <= DRAWN_COLORS || alike * 5 >= pixels * 2;
}
