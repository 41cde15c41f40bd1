/*-------------------------------------------------------------------------
 *
 * codec_client.h
 *	  The backend's end of the talk with its codec process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_CODEC_CLIENT_H
#define MEDIASTORE_CODEC_CLIENT_H

#include "../image/image.h"
#include "value.h"

/*
 * Has a picture compressed.  facts are those of its header, which choose the
 * program.  Returns the result, in the current memory context, or NULL if the
 * input is to be kept as it is.
 *
 * Waits for the codec, and can be interrupted at any time.  Raises what
 * errors.h lists if the codec says no; if it can't be started: 53000
 * (insufficient_resources); if it dies, or answers what it may not: 58000
 * (system_error); if it takes too long: 54000 (program_limit_exceeded).
 * After any of these the next call works.
 */
extern bytea *codec_compress(Value *input, const ImageFacts *facts,
							 const ImageCompressOptions *options);

#endif							/* MEDIASTORE_CODEC_CLIENT_H */
