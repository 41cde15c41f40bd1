/*-------------------------------------------------------------------------
 *
 * pusher_transaction.h
 *	  The short transactions of the pusher: a worker's own, or those between
 *	  which media_drain commits.
 *
 * Outside of them a worker has no transaction.  In a procedure there always is
 * one; but it has no snapshot, no xid and no lock, so it holds nobody up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_PUSHER_TRANSACTION_H
#define MEDIASTORE_PUSHER_TRANSACTION_H

/*
 * Says whether what follows is in a procedure, with SPI connected so that it
 * can commit.  After an error, the caller takes that back.
 */
extern void pusher_in_procedure(bool in_procedure);

/*
 * Begins, when no DROP EXTENSION is under way: now() is the time of this call,
 * SPI is connected, there is an active snapshot, and the current memory context
 * is one that goes with the transaction.
 */
extern void pusher_begin(void);

/* Commits, and goes back to the memory context of before pusher_begin. */
extern void pusher_commit(void);

#endif							/* MEDIASTORE_PUSHER_TRANSACTION_H */
