/*-------------------------------------------------------------------------
 *
 * pusher_objects.h
 *	  The objects the pusher has claimed: what is sent, and what comes of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_PUSHER_OBJECTS_H
#define MEDIASTORE_PUSHER_OBJECTS_H

#include "claim.h"

/* Objects that are ready, running or to be recorded, at most. */
#define PUSH_OBJECTS	(4 * COURIER_TRANSFERS)

/*
 * How many transfers are begun: the courier has as many as are allowed under
 * way, and the bytes of others, so it never waits for us to end a statement.
 */
extern int	push_most_begun(void);

/* Their memory contexts are to be made before they are used. */
extern PushObject push_objects[PUSH_OBJECTS];

/* Whether a store has failures that a success would take back. */
extern bool push_stores_failed;

/* Since when there is a result that is not recorded; 0: there is none. */
extern TimestampTz push_ended_since;

/* How many are at a stage. */
extern int	push_count(PushStage stage);

/* A try has ended; message is copied.  delay is in seconds. */
extern void push_end(PushObject *object, PushOutcome outcome, double delay, const char *message);

/* The object of a transfer that is under way, or NULL. */
extern PushObject *push_find_transfer(uint32 transfer);

/*
 * Looks as whom claimed objects are sent, in a transaction of the pusher's:
 * they are ready then, or have ended already.
 */
extern void push_prepare(PushObject **claimed, int count);

/* Begins transfers of what is ready, as many as are allowed; not in a transaction. */
extern void push_begin(void);

/* A transfer has ended. */
extern void push_take_result(PushObject *object, const CourierEvent *event);

/* Whether a store has failed, and is to rest. */
extern bool push_has_failures(void);

/* Records all that has ended, in a transaction.  The objects are free then. */
extern void push_record(void);

/* Forgets all objects, recorded or not. */
extern void push_forget(void);

#endif							/* MEDIASTORE_PUSHER_OBJECTS_H */
