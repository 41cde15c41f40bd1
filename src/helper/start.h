/*-------------------------------------------------------------------------
 *
 * start.h
 *	  What each helper program does first with what its parent gave it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_START_H
#define MEDIASTORE_START_H

#include <stddef.h>

/* The exit status for arguments that are none. */
#define EXIT_USAGE		1

/* Reads one of the arguments, a decimal number; ends the program if it is none. */
extern long start_argument(const char *text, long lowest, long highest);

/*
 * Maps the arena, whose size must be one of these, and closes its descriptor.
 * NULL: that can't be.
 */
extern void *start_arena(size_t lowest, size_t highest, size_t *size);

#endif							/* MEDIASTORE_START_H */
