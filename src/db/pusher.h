/*-------------------------------------------------------------------------
 *
 * pusher.h
 *	  What works off the queue: run by the worker, or by media_drain.
 *
 * One process at a time in a database; an advisory lock of the session says
 * which.  A round is short transactions and waiting between them: no
 * transaction is open, and no snapshot is held, while anything is waited for.
 *
 *	  pusher.c			rounds: waiting, and short transactions between
 *	  pusher_objects.c	what is claimed, sent, and comes of it
 *	  sender.c			as whom: an owner's rights and credentials at a store
 *	  claim.c			what is due, and the stores: claim, rest
 *	  claim_record.c	what is written down of what has ended
 *	  source.c			finding a row of a user's table, for its value
 *	  write_back.c		which rows are to be told what has become of their
 *						content
 *	  write_back_row.c	how a row is told
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_PUSHER_H
#define MEDIASTORE_PUSHER_H

#include "datatype/timestamp.h"

typedef enum PusherState
{
	PUSHER_BUSY,				/* transfers are under way, or there is more to do */
	PUSHER_WAITING,				/* nothing to do before next_due, if that is not 0 */
	PUSHER_GONE					/* the extension is not there (any more) */
} PusherState;

typedef struct PusherStatus
{
	PusherState state;
	TimestampTz next_due;		/* of WAITING: when a retry or a deletion is due */
} PusherStatus;

/*
 * Takes the lock, without waiting; false if another session has it.  Not in a
 * transaction, as all of these.
 */
extern bool pusher_lock(void);

/*
 * Sees to it that we have the lock still: functions of users' that we have run
 * can release it.  Raises 55006 if another session has it now.
 */
extern void pusher_keep_lock(void);

/* Ends what is under way (it is tried again later) and gives the lock back. */
extern void pusher_unlock(void);

/*
 * One round: records what has ended, folds changes, claims, reads, begins
 * transfers; then waits for events, timeout milliseconds at most, or until the
 * latch is set.  With a timeout of 0 the queue is looked at in any case, else if
 * there is a reason to.  claim: whether new transfers may begin (else what is
 * under way is finished).  Errors of one object or row are recorded as its own;
 * what it raises (cancel, shutdown, the database's end) leaves nothing open.
 */
extern void pusher_round(bool claim, long timeout, PusherStatus *status);

/*
 * How long a wake-up waits for its look at the queue, ms, that many commits
 * share one; a round that does not wait looks at once all the same.
 */
extern int	pusher_delay(void);

#endif							/* MEDIASTORE_PUSHER_H */
