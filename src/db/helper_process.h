/*-------------------------------------------------------------------------
 *
 * helper_process.h
 *	  The life and death of the helper processes of this backend.
 *
 * At most one of each program, started at first need and used again.  What
 * is said over its socket is the business of codec_client.c and
 * courier_client.c; here it is started, killed and reaped.
 *
 * Ends, and who sees to them:
 *	  error, cancel, time-out while it works	 the client calls helper_end
 *	  the backend exits						 our on_proc_exit callback kills
 *											 and reaps it
 *	  the backend is killed, or the postmaster
 *	  stops at once							 the kernel: PR_SET_PDEATHSIG
 *	  it has been idle						 it says goodbye and leaves; reaped at
 *											 the next use or end of transaction
 *	  it crashes							 end of file on its socket
 *
 * No helper may be left for somebody else to reap if it can be avoided:
 * where the postmaster is process 1 (as in many containers) orphans become
 * its children, and it takes one that died by a signal for a crashed backend
 * and restarts all of the server.  So an orderly exit waits for its helpers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_HELPER_PROCESS_H
#define MEDIASTORE_HELPER_PROCESS_H

#include "utils/timestamp.h"

typedef enum HelperProgram
{
	HELPER_CODEC = 0,
	HELPER_CODEC_HEIF,
	HELPER_COURIER
} HelperProgram;

#define HELPER_PROGRAMS 3

typedef struct HelperProcess
{
	const char *name;			/* of the program */
	bool		is_codec;		/* decodes pictures: its memory is limited, and
								 * it serves one user */
	uint64		arena_size;		/* bytes */
	uint32		starts;			/* how often it was started so far */
	pid_t		pid;			/* 0: not running; then nothing below counts */
	int			socket;			/* our end, non-blocking */
	int			arena;			/* the memfd, arena_size long */
	bool		busy;			/* a request is under way */
	bool		greeted;		/* it has answered our hello ... */
	bool		sandboxed;		/* ... and said this */
	uint32		last_number;	/* of a request */
	int64		requests;		/* that it served */
	TimestampTz started_at;
	int			memory;			/* the settings it was started with; of a codec */
	int			idle;
	Oid			user;			/* whose pictures a codec has seen: no other's */
} HelperProcess;

/*
 * Gives the running helper, starting it if there is none or if the one there
 * is can't be used (left, in the middle of something, other settings or, of
 * a codec, another current user).
 * Raises 53000 if it can't be started, 0A000 if there is no such program.
 */
extern HelperProcess *helper_get(HelperProgram program);

/*
 * Writes bytes to the arena of a running helper, and reads them, from an offset
 * on.  Both hear interrupts.  Raise 53200 if there is no memory for them, and
 * 58000, with the hint unless it is NULL.
 */
extern void helper_write(const HelperProcess *helper, uint64 offset, const void *bytes,
						 size_t length);
extern void helper_read(const HelperProcess *helper, uint64 offset, void *bytes, size_t length,
						const char *hint);

/* Kills the helper, if it runs; does not wait for its end.  Raises nothing. */
extern void helper_end(HelperProcess *helper);

/*
 * For a helper whose socket has ended: waits for the process too, and gives
 * its status as of waitpid.  False if it had to be killed for that.  Raises
 * nothing.
 */
extern bool helper_wait(HelperProcess *helper, int *status);

/* Reaps what has ended; helpers left idle are not running from here on. */
extern void helper_reap(void);

/* The helper, running or not, for looking at. */
extern const HelperProcess *helper_peek(HelperProgram program);

#endif							/* MEDIASTORE_HELPER_PROCESS_H */
