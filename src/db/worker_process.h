/*-------------------------------------------------------------------------
 *
 * worker_process.h
 *	  The processes that push: one launcher, and workers that come and go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_WORKER_PROCESS_H
#define MEDIASTORE_WORKER_PROCESS_H

/* What the launcher tells a worker, in bgw_extra. */
typedef struct WorkerOrder
{
	Oid			database;
	int			index;			/* of its slot */
	uint32		number;			/* of the start */
	bool		is_look;		/* nobody has asked for it */
} WorkerOrder;

/*
 * Registers the launcher, shared memory and hooks.  To be called by _PG_init
 * while the module is preloaded; does nothing in a binary upgrade.
 */
extern void worker_init(void);

/* Installs what watches utility statements. */
extern void utility_hook_init(void);

#endif							/* MEDIASTORE_WORKER_PROCESS_H */
