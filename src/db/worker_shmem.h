/*-------------------------------------------------------------------------
 *
 * worker_shmem.h
 *	  What backends, the launcher and the workers know of each other.
 *
 * A slot for each database that has, or may have, something to push.  Slots
 * hold process ids, never pointers.  All of these functions can be called where
 * the module is not preloaded, and then find nothing; none raises an error.
 *
 *	  worker_shmem.c	the slots
 *	  launcher.c		starts a worker where one is wanted
 *	  worker.c			works off the queue of its database, and leaves
 *	  wake.c			transactions that leave work
 *	  utility_hook.c	statements that need a database to themselves
 *	  worker_view.c		what of it is shown
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_WORKER_SHMEM_H
#define MEDIASTORE_WORKER_SHMEM_H

#include "datatype/timestamp.h"

#define WORKER_SLOTS	1024
#define WORKER_MESSAGE	256

typedef enum WorkerPhase
{
	WORKER_NONE,
	WORKER_STARTING,			/* registered with the postmaster */
	WORKER_LOOKING,				/* for the extension, in its database */
	WORKER_RUNNING,
	WORKER_LEAVING
} WorkerPhase;

typedef struct WorkerSlot
{
	Oid			database;		/* 0: the slot is free */
	bool		has_extension;	/* as far as is known */
	bool		wanted;			/* there may be something to do */
	WorkerPhase phase;
	int			pid;			/* of the worker, from LOOKING on */
	uint32		number;			/* of the start; others' are not answered */
	int			blocked;		/* how many statements want no worker there */
	bool		sent_away;		/* ... and have ended this one */
	TimestampTz wanted_since;	/* who has waited longest is next */
	TimestampTz next_due;		/* there will be something to do; 0: not known */
	TimestampTz not_before;		/* rest after a failure; 0: none */
	int			failures;		/* in a row */
	char		message[WORKER_MESSAGE];	/* of the last */
} WorkerSlot;

/* Asks for shared memory; to be called while the module is preloaded. */
extern void worker_shmem_init(void);

/* Whether there is shared memory, that is, whether the module was preloaded. */
extern bool worker_shmem_exists(void);

/* --- for everybody ----------------------------------------------------- */

/*
 * Says that there may be something to do, and wakes the worker or the launcher.
 * hurry: even where that has been said, or a worker has left the work to
 * another session.
 */
extern void worker_want(Oid database, bool hurry);

/* A copy of a database's slot; false if it has none. */
extern bool worker_look(Oid database, WorkerSlot *slot);

/* The launcher's process id, or 0; and whether it could not start a worker. */
extern int	worker_launcher(bool *no_process);

/*
 * Keeps workers out of a database until worker_unblock, and asks the one that
 * is there to end.  False if there is no slot to note it in.
 */
extern bool worker_block(Oid database);

/* Whether a worker is in the database (still). */
extern bool worker_is_there(Oid database);

/* gone: the database has been dropped. */
extern void worker_unblock(Oid database, bool gone);

/* --- for the launcher -------------------------------------------------- */

/* Announces the launcher; it is forgotten when the process ends. */
extern void worker_launcher_begin(void);

/* Whether slots ran out, so that databases must be looked through again. */
extern bool worker_take_overflow(void);

/* Tells what is shown: no worker could be registered. */
extern void worker_set_no_process(bool no_process);

/* Whether others wait for their turn: workers leave sooner then. */
extern void worker_set_crowded(bool crowded);

/* A copy of a slot by its index; false if it is free. */
extern bool worker_slot_copy(int index, WorkerSlot *slot);

/* Forgets a database, unless a worker is there. */
extern void worker_slot_free(int index);

/*
 * Begins a start: gives its number, or 0 if there must be none now (another is
 * under way, or the database is blocked).
 */
extern uint32 worker_slot_start(int index);

/*
 * The worker of a start has ended, or there was none.  If it did not even come
 * as far as its slot, and failed says so, the database rests.
 */
extern void worker_slot_ended(int index, uint32 number, bool failed);

/* --- for a worker ------------------------------------------------------ */

/* Takes the slot it was started for; false if it is not wanted (any more). */
extern bool worker_attach(int index, uint32 number);

/* The extension is there. */
extern void worker_found_extension(void);

/*
 * A round begins: what is wanted from now on is for the next.  Tells whether
 * something has been wanted since the last one began.
 */
extern bool worker_begin_round(void);

/* Whether databases wait for their turn. */
extern bool worker_is_crowded(void);

/* All is well: past failures are forgotten. */
extern void worker_is_healthy(void);

/* Says what went wrong, before the process ends by it. */
extern void worker_tell_failure(const char *message);

typedef enum WorkerLeaving
{
	LEAVE_IF_UNWANTED,			/* there is nothing to do before next_due */
	LEAVE_MORE,					/* there is more to do, in its turn */
	LEAVE_TO_ANOTHER			/* another session does it; to be looked at
								 * again when next_due */
} WorkerLeaving;

/* Says goodbye.  False if it has been wanted meanwhile.  A next_due of 0: not known. */
extern bool worker_leave(WorkerLeaving how, TimestampTz next_due);

/* Says goodbye for good: there is no extension in the database. */
extern void worker_leave_forever(void);

#endif							/* MEDIASTORE_WORKER_SHMEM_H */
