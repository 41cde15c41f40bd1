/*-------------------------------------------------------------------------
 *
 * options.h
 *	  The options of media_compress and media_thumbnail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_OPTIONS_H
#define MEDIASTORE_OPTIONS_H

#include "fmgr.h"
#include "nodes/pg_list.h"

#include "../image/image.h"

/*
 * Reads the options from the arguments of a function, from first on, in the
 * order of media_compress's.  Whatever is wrong with one (null, too large,
 * no such word) is ERROR 22023 (invalid_parameter_value), with a hint that
 * says what is right.
 */
extern void compress_options_from_arguments(ImageCompressOptions *options,
											FunctionCallInfo fcinfo, int first);

/*
 * The same of media_thumbnail: width, height, fit, quality.  The height may be
 * null where fit is "inside"; it is not bounded then.
 */
extern void thumbnail_options_from_arguments(ImageCompressOptions *options,
											 FunctionCallInfo fcinfo, int first);

/*
 * Reads the options from texts, "name=value" each, as the arguments of a
 * trigger have them.  An unknown name, one given twice, or a bad value is
 * ERROR 22023.
 */
extern void compress_options_from_texts(ImageCompressOptions *options, char *const *texts,
										int count);

/*
 * Gives the texts of the options that are not at their default, as a List of
 * char *, in the current memory context.
 */
extern List *compress_options_to_texts(const ImageCompressOptions *options);

#endif							/* MEDIASTORE_OPTIONS_H */
