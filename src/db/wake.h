/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  How a transaction that has left work tells the worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_WAKE_H
#define MEDIASTORE_WAKE_H

/*
 * Has the worker of this database woken when the transaction commits (or is
 * committed as a prepared one).  Cheap to call again.  Does nothing where the
 * module is not preloaded.
 */
extern void wake_at_commit(void);

/* Wakes it now: for what is not transactional, or has been committed. */
extern void wake_now(void);

#endif							/* MEDIASTORE_WAKE_H */
