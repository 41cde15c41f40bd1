/*-------------------------------------------------------------------------
 *
 * sandbox.h
 *	  How a helper process ties its life to its parent's and locks itself in.
 *
 * In order: sandbox_bind_to_parent first thing, sandbox_enter when all that
 * needs the file system is done and before the first byte of a stranger is
 * read, sandbox_allow_cpu before each piece of work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_SANDBOX_H
#define MEDIASTORE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct SandboxNeeds
{
	int			socket;			/* the one descriptor to read and write */
	uint64_t	memory;			/* address space to add, bytes */
	bool		threads;		/* libheif's decoders start some */
} SandboxNeeds;

/*
 * Asks the kernel to kill this process when its parent ends, and makes it the
 * first to go when memory is short.  False if the parent is not (or no
 * longer) the expected one.
 */
extern bool sandbox_bind_to_parent(pid_t parent);

/*
 * Locks the process in: no new privileges, no core dump, not to be traced,
 * no more address space than it has plus needs->memory, no new descriptors,
 * and a filter that kills it at any system call but those for memory, its
 * socket and its end.
 *
 * False if one of the limits could not be set; the process should end then.
 * *filtered tells whether the filter is on: a system without seccomp leaves
 * the rest in place.
 */
extern bool sandbox_enter(const SandboxNeeds *needs, bool *filtered);

/*
 * Allows so many seconds of processor time from now on; the process is killed
 * by SIGXCPU when they are used up.
 */
extern void sandbox_allow_cpu(uint32_t seconds);

#endif							/* MEDIASTORE_SANDBOX_H */
