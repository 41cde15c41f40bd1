/*-------------------------------------------------------------------------
 *
 * limits.c
 *	  What a header says, held against what is allowed and what is wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../mediastore.h"
#include "errors.h"
#include "limits.h"

void
limits_check_claims(const ImageFacts *facts, const ImageCompressOptions *options)
{
	uint64		frames = 1;
	uint64		pixels;

	if (!mediastore_format_enabled(facts->format))
		error_format_disabled(facts->format);

	if (options->animation == IMAGE_ANIMATION_REJECT && facts->animated)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("image is an animation of %u frames", facts->frames),
				 errhint("The option \"animation\" is \"reject\".")));

	/* of all others only the first picture is looked at */
	if (options->animation == IMAGE_ANIMATION_KEEP && facts->animated &&
		(facts->format == FACTS_FORMAT_GIF || facts->format == FACTS_FORMAT_WEBP))
		frames = facts->frames;

	if (frames > (uint64) mediastore_max_frames)
		error_over_limit("max_frames",
						 "image has " UINT64_FORMAT " frames, more than %d",
						 frames, mediastore_max_frames);

	/* two 32-bit numbers and a 31-bit one: check before the third */
	pixels = (uint64) facts->width * facts->height;
	if (pixels > (uint64) mediastore_max_pixels ||
		pixels * frames > (uint64) mediastore_max_pixels)
		error_over_limit("max_pixels",
						 "image has too many pixels: %u x %u in " UINT64_FORMAT " frames, more than %d",
						 facts->width, facts->height, frames, mediastore_max_pixels);
}

/* Whether a picture of that size may come of the options' box, if any. */
static bool
fits_box(uint32 width, uint32 height, const ImageCompressOptions *options)
{
	uint32		box_width = (uint32) options->box_width;
	uint32		box_height = (uint32) options->box_height;

	if (box_width == 0)
		return width <= (uint32) options->max_dimension &&
			height <= (uint32) options->max_dimension;
	if (options->fit == IMAGE_FIT_CONTAIN || options->fit == IMAGE_FIT_FILL)
		return width == box_width && height == box_height;
	return width <= box_width && height <= box_height;
}

bool
limits_allow_result(const ImageFacts *facts, uint64 length, const ImageCompressOptions *options)
{
	return facts->format == FACTS_FORMAT_WEBP && facts->webp_exact &&
		fits_box(facts->width, facts->height, options) &&
		facts->orientation == 1 && !facts->has_metadata && !facts->has_icc &&
		(!facts->animated || options->animation == IMAGE_ANIMATION_KEEP) &&
		length <= (uint64) options->max_bytes;
}

/* The same that keep_webp (src/image/keep.c) asks, as far as a header tells. */
bool
limits_kept(const ImageFacts *facts, uint64 length, const ImageCompressOptions *options)
{
	if (!limits_allow_result(facts, length, options))
		return false;
	if (facts->has_alpha && options->alpha != IMAGE_ALPHA_KEEP)
		return false;
	switch ((ImageLossless) options->lossless)
	{
		case IMAGE_LOSSLESS_AUTO:
			return true;
		case IMAGE_LOSSLESS_NEVER:
			return !facts->webp_lossless && !facts->webp_mixed;
		case IMAGE_LOSSLESS_ALWAYS:
			return facts->webp_lossless && !facts->webp_mixed;
	}
	return false;
}
