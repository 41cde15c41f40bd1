/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  The main loop of the codec programs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_CODEC_H
#define MEDIASTORE_CODEC_H

#include <stdbool.h>

/*
 * Serves the parent until it ends or has had no work for long enough; returns
 * the program's exit status.  threads: the decoders start some.
 */
extern int	codec_run(int argc, char **argv, bool threads);

#endif							/* MEDIASTORE_CODEC_H */
