/*-------------------------------------------------------------------------
 *
 * options.h
 *	  The options of media_compress, from arguments or by name.
 *
 * One table of names, ranges and defaults serves both the function, which
 * has them as typed arguments, and whoever has them as text.  Whatever is
 * wrong with them is ERROR 22023 (invalid_parameter_value), with a hint that
 * lists what is right.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_OPTIONS_H
#define MEDIASTORE_OPTIONS_H

#include "fmgr.h"

#include "../image/image.h"

/* Fills in the defaults. */
extern void compress_options_init(ImageCompressOptions *options);

/* Sets one option by its name, from text: "max_bytes", "300000". */
extern void compress_options_set(ImageCompressOptions *options, const char *name,
								 const char *value);

/*
 * Checks the options against each other.  A min_quality left at its default
 * follows a lower quality down; one that was asked for does not.
 */
extern void compress_options_finish(ImageCompressOptions *options);

/* All of it for a function whose arguments from first on are the options. */
extern void compress_options_from_arguments(ImageCompressOptions *options,
											FunctionCallInfo fcinfo, int first);

#endif							/* MEDIASTORE_OPTIONS_H */
