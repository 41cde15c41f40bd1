/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Objects that are due, and what is written down of those that were tried.
 *
 * All of these are called in a transaction of the pusher's (pusher.h), which
 * alone may: it commits what was claimed before the network hears of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_CLAIM_H
#define MEDIASTORE_CLAIM_H

#include "datatype/timestamp.h"

#include "courier_client.h"
#include "source.h"

/*
 * How long what a pusher that is gone has sent, or a request that has failed,
 * may yet take to arrive, in seconds.
 */
#define CLAIM_TAKE_OVER_AFTER	3

typedef enum PushStage
{
	PUSH_FREE,
	PUSH_READY,					/* claimed, not begun */
	PUSH_RUNNING,
	PUSH_ENDED					/* to be recorded */
} PushStage;

/* What has come of a try. */
typedef enum PushOutcome
{
	PUSH_DONE,
	PUSH_RETRY,					/* it failed, and counts */
	PUSH_POSTPONE,				/* it was not its fault, and does not count */
	PUSH_DEAD
} PushOutcome;

/* Why the place a value is read from gave none. */
typedef enum PushLoss
{
	PUSH_LOSS_NONE,
	PUSH_LOSS_MISSING,
	PUSH_LOSS_CHANGED,
	PUSH_LOSS_LOCKED,
	PUSH_LOSS_ERROR				/* see loss_message */
} PushLoss;

/* An object that is claimed.  What it points to is in its memory context. */
typedef struct PushObject
{
	PushStage	stage;
	MemoryContext memory;		/* reset when it is free again */

	int64		id;
	int64		token;			/* of the lease */
	NameData	server;
	Oid			owner;
	bool		is_delete;
	bool		immutable;
	int			attempts;		/* this one counted */
	uint8		sha256[32];
	uint64		bytes;
	const char *content_type;	/* or NULL */
	TimestampTz claimed_at;

	bool		has_place;
	PushPlace	place;			/* of a PUT: where the value is read */
	SourcePointer pointer;		/* ... and what was read there */

	CourierRequest request;
	uint32		transfer;		/* of RUNNING, ENDED; 0: none */
	TimestampTz begun_at;		/* of RUNNING */

	/* of ENDED */
	PushOutcome outcome;
	PushLoss	loss;
	const char *loss_message;
	bool		is_stored;		/* set by claim_record */
	bool		store_works;	/* the store has answered */
	double		delay;			/* seconds: of RETRY, POSTPONE */
	const char *message;		/* or NULL */
	const char *etag;			/* or NULL */
} PushObject;

/* A store, as this round has it. */
typedef struct ClaimStore
{
	NameData	server;
	bool		may_put;
	bool		may_delete;
	TimestampTz rest_until;		/* 0: it does not rest */
	int			failures;
	int			in_use;			/* set by the caller: objects that are ready or
								 * running */
} ClaimStore;

typedef struct ClaimStores
{
	ClaimStore *stores;
	int			count;
	bool		any_failed;		/* one of them has failures or an error */
} ClaimStores;

/* Reads what is known of the stores; in the current memory context. */
extern void claim_read_stores(ClaimStores *stores);

/* The store of a name, or NULL. */
extern ClaimStore *claim_find_store(const ClaimStores *stores, const char *server);

/*
 * Claims objects that are due, most of them at most, of which no store has more
 * than share in use.  free are objects to fill, as many.  Gives how many.
 */
extern int	claim_objects(const ClaimStores *stores, PushObject **free, int most, int share);

/* When the next one is due that is not leased; 0: none will be. */
extern TimestampTz claim_next_due(const ClaimStores *stores);

/*
 * Leases of whoever had the pusher's lock before end in a moment: time enough
 * for what its courier had sent to arrive.  Gives when, or 0 if there is none.
 */
extern TimestampTz claim_take_over(void);

/*
 * Has a store rest after a failure that is its own, for retry_after seconds at
 * least (-1: not said).  Does nothing but note the message if it rests already.
 */
extern void claim_rest(const char *server, const char *message, int retry_after);

/* Notes what is wrong with a store that does not rest for it. */
extern void claim_note(const char *server, const char *message);

/* These stores have shown that they work. */
extern void claim_recover(List *servers);

/* Seconds until a try that has failed so often (from 1) is repeated, with jitter. */
extern double claim_back_off(int attempts);

/* An array of one dimension, for a statement; nulls may be NULL. */
extern Datum claim_array(Datum *values, bool *nulls, int count, Oid type);

/* The same of numbers. */
extern Datum claim_int8_array(const int64 *numbers, int count);

/* --- claim_record.c ------------------------------------------------------- */

/*
 * Records what has ended: the outcomes, and of those that are PUTs and done
 * whether the object is stored now, or wants other content by now.
 */
extern void claim_record(PushObject **ended, int count);

#endif							/* MEDIASTORE_CLAIM_H */
