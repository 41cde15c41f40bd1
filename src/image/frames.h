/*-------------------------------------------------------------------------
 *
 * frames.h
 *	  What the two kinds of FrameReader share (private to frames.c,
 *	  decode_gif.c and decode_webp.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_FRAMES_H
#define MEDIASTORE_IMAGE_FRAMES_H

#include "decode.h"

/* What a kind of reader does; each takes its own struct by the common head. */
typedef struct FrameReaderMethods
{
	ImageStatus (*next) (FrameReader *reader, const uint8_t **canvas,
						 int *duration, ImageError *error);
	int			(*loops) (const FrameReader *reader);
	void		(*close) (FrameReader *reader);
} FrameReaderMethods;

/* The first member of either reader's struct. */
struct FrameReader
{
	const FrameReaderMethods *methods;
	uint32_t	frames_left;	/* of those the facts counted */
	bool		over;			/* the end was reached, or an error */
};

/*
 * They set *reader only on IMAGE_OK, with methods filled in.  data must live
 * as long as the reader.
 */
extern ImageStatus gif_frames_open(const uint8_t *data, size_t length,
								   const struct ImageFacts *facts,
								   FrameReader **reader, ImageError *error);
extern ImageStatus webp_frames_open(const uint8_t *data, size_t length,
									const struct ImageFacts *facts,
									FrameReader **reader, ImageError *error);

#endif							/* MEDIASTORE_IMAGE_FRAMES_H */
