/*-------------------------------------------------------------------------
 *
 * compress.h
 *	  One picture, for whoever has one to compress.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COMPRESS_H
#define MEDIASTORE_COMPRESS_H

#include "../image/image.h"
#include "value.h"

/*
 * Compresses an opened value.  Returns the result, in the current memory
 * context, or NULL if the value is to be kept as it is.  Releases what it
 * fetched.  Raises what errors.h lists; can be interrupted at any time.
 */
extern bytea *compress_value(Value *value, const ImageCompressOptions *options);

#endif							/* MEDIASTORE_COMPRESS_H */
