/*-------------------------------------------------------------------------
 *
 * courier_parts.h
 *	  What the files of the courier's client have of each other.
 *
 *	  courier_talk.c	frames: sent, received, checked and queued; the courier's
 *						start and end
 *	  courier_store.c	the stores it knows
 *	  courier_client.c	transfers, slots and events
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COURIER_PARTS_H
#define MEDIASTORE_COURIER_PARTS_H

#include "common/sha2.h"
#include "portability/instr_time.h"

#include "courier_client.h"
#include "helper_process.h"

#define QUEUE_SIZE		(COURIER_SLOTS + COURIER_TRANSFERS)

typedef struct Transfer
{
	uint32		number;			/* 0: this place is free */
	uint32		store;
	CourierOperation operation;
	uint64		total;			/* of a PUT: its bytes */
	uint64		received;		/* of a GET or LIST, so far */
	bool		ended;			/* its RESULT is in the queue */
} Transfer;

/* A store that the courier knows. */
typedef struct KnownStore
{
	uint32		number;			/* 0: this place is free */
	Oid			server;
	Oid			user;			/* whose credentials these are */
	uint8		digest[PG_SHA256_DIGEST_LENGTH];	/* of what it was told */
	uint64		used;			/* larger: later */
} KnownStore;

typedef struct QueuedFrame
{
	CourierFrame frame;
	char	   *text;			/* in TopMemoryContext, or NULL */
	bool		lost;			/* a RESULT that the courier owed us */
} QueuedFrame;

typedef struct Courier
{
	HelperProcess *process;		/* NULL: there never was one */
	uint32		starts;			/* which of its lives the rest is about */
	Transfer	transfers[COURIER_TRANSFERS];
	KnownStore	stores[COURIER_STORES];
	uint32		holders[COURIER_SLOTS]; /* for which transfer we hold a slot;
										 * 0: it is the courier's */
	QueuedFrame queue[QUEUE_SIZE];	/* a ring */
	int			queue_start;
	int			queue_length;
	uint32		last_transfer;
	uint32		last_store;
	uint64		last_use;		/* of a store */
	instr_time	last_sent;
	char		why_lost[200];
	const char *lost_hint;		/* or NULL */
	struct
	{
		CourierFrame frame;
		char		text[COURIER_TEXT_MOST];
	}			incoming;
	char		outgoing[COURIER_TEXT_MOST];
} Courier;

/* NULL until there is a courier for the first time. */
extern Courier *courier;

/* Whether the courier that all this is about runs still, for all we know. */
extern bool courier_is_alive(void);

/* A transfer that is under way; NULL if it is not. */
extern Transfer *courier_find(uint32 number);

/* Ends a transfer as lost: its RESULT is in the queue. */
extern void courier_enqueue_lost(Transfer *transfer);

/*
 * Takes a frame if there is one, or sees that the courier is gone; false if
 * there is nothing new.
 */
extern bool courier_receive(void);

/*
 * Waits for the courier's socket (WL_SOCKET_READABLE, perhaps
 * WL_SOCKET_WRITEABLE too) and the latch, and gives the events; timeout in
 * milliseconds, or -1.
 */
extern int	courier_wait(int socket_events, long timeout);

/*
 * Sends a frame, and queues what comes while it waits for room to do so.  If the
 * courier is gone, it is not sent: whoever receives next finds out why.
 */
extern void courier_send(CourierFrame *frame, CourierKind kind, char *text, size_t text_length);

/* Sees to it that there is a courier.  Raises 53000 if there can't be. */
extern void courier_start(void);

/* Milliseconds since a time. */
extern long courier_elapsed(instr_time since);

#endif							/* MEDIASTORE_COURIER_PARTS_H */
