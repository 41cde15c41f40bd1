/*-------------------------------------------------------------------------
 *
 * limits.h
 *	  What a header says, held against what is allowed and what is wanted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_LIMITS_H
#define MEDIASTORE_LIMITS_H

#include "../facts/facts.h"
#include "../image/image.h"

/*
 * Raises if the picture is not to be decoded: its format is not allowed or
 * read (0A000), it is an animation and those are rejected (0A000), it has
 * too many frames or pixels (54000).
 */
extern void limits_check_claims(const ImageFacts *facts, const ImageCompressOptions *options);

/*
 * Whether a picture of that header and length (bytes) could be a result of
 * media_compress with these options.  facts must have their frames counted.
 */
extern bool limits_allow_result(const ImageFacts *facts, uint64 length,
								const ImageCompressOptions *options);

/*
 * Whether media_compress would give the picture back as it is, if it is
 * whole.  False where only decoding it would tell.
 */
extern bool limits_kept(const ImageFacts *facts, uint64 length,
						const ImageCompressOptions *options);

#endif							/* MEDIASTORE_LIMITS_H */
