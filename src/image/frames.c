/*-------------------------------------------------------------------------
 *
 * frames.c
 *	  The frames of an animation, whichever format it is.
 *
 * The work is done in decode_gif.c and decode_webp.c.  What is kept here is
 * the promise that no more frames come than the facts told, for those were
 * what the limits were checked with.
 *
 *-------------------------------------------------------------------------
 */
#include "frames.h"

ImageStatus
frame_reader_open(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				  FrameReader **reader, ImageError *error)
{
	ImageStatus status;

	*reader = NULL;
	switch (facts->format)
	{
		case FACTS_FORMAT_GIF:
			status = gif_frames_open(data, length, facts, reader, error);
			break;
		case FACTS_FORMAT_WEBP:
			status = webp_frames_open(data, length, facts, reader, error);
			break;
		default:
			return image_fail(error, IMAGE_UNSUPPORTED,
							  "animations are read from GIF and WebP only");
	}
	if (status == IMAGE_OK)
		(*reader)->frames_left = facts->frames;
	return status;
}

ImageStatus
frame_reader_next(FrameReader *reader, const uint8_t **canvas, int *duration,
				  ImageError *error)
{
	ImageStatus status;

	*canvas = NULL;
	*duration = 0;
	if (reader->over)
		return IMAGE_OK;
	status = reader->methods->next(reader, canvas, duration, error);
	if (status != IMAGE_OK || *canvas == NULL)
	{
		reader->over = true;
		return status;
	}
	if (reader->frames_left == 0)
	{
		reader->over = true;
		*canvas = NULL;
		return image_fail(error, IMAGE_DAMAGED,
						  "the animation has more frames than its structure tells");
	}
	reader->frames_left--;
	return IMAGE_OK;
}

int
frame_reader_loops(const FrameReader *reader)
{
	return reader->methods->loops(reader);
}

void
frame_reader_close(FrameReader *reader)
{
	if (reader != NULL)
		reader->methods->close(reader);
}
