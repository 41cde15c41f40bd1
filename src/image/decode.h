/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  What the decoders give, and where they put it (private to this room).
 *
 * A decoder of stills pushes rows, top to bottom, into an ImageSink, which
 * makes planes of them and shrinks them on the way where the result is much
 * smaller.  A decoder of animations is a FrameReader, asked frame by frame.
 * JPEG is neither: it gives planes as they are coded (decode_jpeg.c).
 *
 * Rules for every decoder: the header's claims were checked against the
 * limits before it is called; it allocates nothing that its own look at the
 * header does not bear out; library callbacks only note or longjmp inside the
 * decoder's own leaf function; whatever it took it gives back on every path;
 * a picture that ends early or whose data is corrupt is IMAGE_DAMAGED, never
 * a half-filled picture.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_DECODE_H
#define MEDIASTORE_IMAGE_DECODE_H

#include "../facts/facts.h"
#include "image.h"

/* How the bytes of a pushed row are laid out: 8-bit samples, interleaved. */
typedef enum SinkLayout
{
	SINK_GRAY,					/* 1 byte a pixel */
	SINK_GRAY_ALPHA,			/* 2, straight (not premultiplied) alpha */
	SINK_RGB,					/* 3 */
	SINK_RGBA,					/* 4, straight alpha */
	SINK_CMYK					/* 4, 0 = no ink, 255 = full ink */
} SinkLayout;

typedef struct ImageSink ImageSink;

/* Fills in *error and returns status, for "return image_fail(...)". */
extern ImageStatus image_fail(ImageError *error, ImageStatus status,
							  const char *format,...)
			__attribute__((format(printf, 3, 4)));

/* The same for IMAGE_OVER_LIMIT, naming the limit ("max_pixels"). */
extern ImageStatus image_fail_limit(ImageError *error, const char *limit,
									const char *format,...)
			__attribute__((format(printf, 3, 4)));

/*
 * Begins the picture; once, before any row.  Checks the size against the
 * limits again (the decoder may have seen other numbers than the facts) and
 * allocates the planes.
 */
extern ImageStatus image_sink_begin(ImageSink *sink, uint32_t width, uint32_t height,
									SinkLayout layout, ImageError *error);

/* Takes the next row: width pixels in the layout begun with. */
extern ImageStatus image_sink_row(ImageSink *sink, const uint8_t *row, ImageError *error);

/*
 * Remembers the embedded ICC profile (copies it).  Any time before the last
 * row.  Whether it makes sense is found out later: a broken profile is
 * ignored, not an error.
 */
extern ImageStatus image_sink_icc(ImageSink *sink, const uint8_t *profile, size_t length,
								  ImageError *error);

/* Says that the rows come upright, whatever orientation the facts tell. */
extern void image_sink_upright(ImageSink *sink);

/*
 * The decoders of stills.  Each is an ImageDecodeFunction (image.h); of an
 * animation they give the first frame, composed on its canvas.  facts are
 * those of the same bytes.
 */
extern ImageStatus image_decode_png(const uint8_t *data, size_t length, const struct ImageFacts *facts, ImageSink *sink, ImageError *error);
extern ImageStatus image_decode_gif(const uint8_t *data, size_t length, const struct ImageFacts *facts, ImageSink *sink, ImageError *error);
extern ImageStatus image_decode_webp(const uint8_t *data, size_t length, const struct ImageFacts *facts, ImageSink *sink, ImageError *error);
extern ImageStatus image_decode_bmp(const uint8_t *data, size_t length, const struct ImageFacts *facts, ImageSink *sink, ImageError *error);
extern ImageStatus image_decode_tiff(const uint8_t *data, size_t length, const struct ImageFacts *facts, ImageSink *sink, ImageError *error);

/*
 * Two looks at a WebP: hands its embedded profile to the sink, as its decoder
 * does; decodes a still to its end and keeps nothing, to see that it is whole.
 */
extern ImageStatus image_webp_profile(const uint8_t *data, size_t length, ImageSink *sink, ImageError *error);
extern ImageStatus image_check_webp(const uint8_t *data, size_t length, const struct ImageFacts *facts, ImageError *error);

/*
 * The frames of an animation (GIF, WebP), each as the whole canvas looks
 * while it is shown: RGBA, straight alpha, facts->width x facts->height,
 * disposal and blending done.
 */
typedef struct FrameReader FrameReader;

extern ImageStatus frame_reader_open(const uint8_t *data, size_t length,
									 const struct ImageFacts *facts,
									 FrameReader **reader, ImageError *error);

/*
 * Gives the next frame.  *canvas is NULL after the last; else it points to
 * width * height * 4 bytes that stay the reader's and live until the next
 * call.  *duration is in milliseconds; GIF delays below 20 ms become 100, as
 * browsers have it.
 */
extern ImageStatus frame_reader_next(FrameReader *reader, const uint8_t **canvas,
									 int *duration, ImageError *error);

/* How often to play; 0 is for ever.  Right after the last frame was given. */
extern int	frame_reader_loops(const FrameReader *reader);

/* Ends it; NULL is allowed. */
extern void frame_reader_close(FrameReader *reader);

#endif							/* MEDIASTORE_IMAGE_DECODE_H */
