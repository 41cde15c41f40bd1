/*-------------------------------------------------------------------------
 *
 * courier_client.h
 *	  This process's end of the talk with its courier.
 *
 * Transfers are begun, and then events are taken one by one until each has
 * ended; courier_next is the only thing that waits.  Whoever begins a transfer
 * takes all of its events.  What a courier says is not believed: a breach of the
 * protocol is an end of the courier, as a crash is.
 *
 * When the courier is gone (it crashed, was killed, broke the rules) all that
 * was under way is lost: each transfer gets an event COURIER_EVENT_RESULT of
 * status COURIER_RETRY and code "CourierDied"; the next courier_begin starts
 * another.  An ERROR raised out of these functions (cancel, shutdown) leaves
 * transfers under way: call courier_abandon then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COURIER_CLIENT_H
#define MEDIASTORE_COURIER_CLIENT_H

#include "pgtime.h"

#include "../helper/courier_wire.h"
#include "store_options.h"

typedef StoreMeta CourierMeta;

/* Strings are UTF-8, and not kept. */
typedef struct CourierRequest
{
	CourierOperation operation;
	uint32		store;			/* of courier_store */
	const char *key;			/* for a LIST what keys begin with */
	int			concurrency;	/* how many transfers may be under way, this
								 * one included, or it waits for its turn; 0:
								 * it does not */
	/* of a PUT: */
	uint64		length;
	const uint8 *sha256;		/* 32 bytes, of the content */
	const char *content_type;	/* or NULL, as the next three */
	const char *cache_control;
	const char *content_disposition;
	const CourierMeta *metadata;
	int			metadata_count;
	bool		if_none_match;
} CourierRequest;

typedef enum CourierEventKind
{
	COURIER_EVENT_NONE,			/* the time is over, or the latch was set */
	COURIER_EVENT_WANT,			/* answer with courier_write, courier_filled */
	COURIER_EVENT_DATA,			/* answer with courier_read, courier_taken */
	COURIER_EVENT_RESULT		/* the transfer has ended */
} CourierEventKind;

/* Strings are in the memory context that was current, and made harmless. */
typedef struct CourierEvent
{
	CourierEventKind kind;
	uint32		transfer;
	uint32		slot;
	uint64		offset;			/* WANT, DATA: in the object */
	uint64		length;			/* as in CourierFrame; of WANT and DATA at most
								 * COURIER_SLOT_SIZE */
	/* of a RESULT: */
	CourierStatus status;
	int			http_status;
	int			retry_after;	/* seconds, or -1 */
	pg_time_t	last_modified;	/* 0: not known */
	const char *message;		/* "" if status is COURIER_OK */
	const char *hint;			/* or NULL, as all that follow */
	const char *code;
	const char *etag;
	const char *content_type;
	const char *cache_control;
	List	   *metadata;		/* of CourierMeta * */
} CourierEvent;

/*
 * Makes a store known to the courier, starting that if need be, with the
 * credentials of the current user (credentials_find, for s3), and gives its
 * number.  One that is known already as it is now is not sent again.  Raises
 * what these do, 22023 if its options are too long, and 53000 if there are too
 * many stores in use or no courier.
 */
extern uint32 courier_store(const StoreServer *store);

/*
 * Begins a transfer and gives its number.  store must be from courier_store
 * since the last courier died, which is checked (then the transfer is lost at
 * once, as above).  Raises 22023 for keys and headers that can't be sent, 53000
 * if more than COURIER_TRANSFERS are under way.
 */
extern uint32 courier_begin(const CourierRequest *request);

/*
 * Waits for an event, timeout milliseconds at most (0: does not wait; -1: for
 * ever).  Without wake, a set latch is looked at (CHECK_FOR_INTERRUPTS) and
 * waiting goes on; with it, a set latch is reset and ends the waiting.
 */
extern void courier_next(CourierEvent *event, long timeout, bool wake);

/*
 * Writes bytes of what was wanted, from done on (counted from event->offset).
 * Raises 53200 if memory is out.
 */
extern void courier_write(const CourierEvent *event, uint64 done, const void *bytes, size_t length);

/* Tells that all of it is written, or that it can't be had. */
extern void courier_filled(const CourierEvent *event, bool good);

/*
 * Reads bytes of what came, from done on; zeros if the courier is gone, which
 * the transfer's RESULT will tell.  Raises 58000.
 */
extern void courier_read(const CourierEvent *event, uint64 done, void *bytes, size_t length);

/* Gives the slot back. */
extern void courier_taken(const CourierEvent *event);

/*
 * Kills the courier and forgets all transfers; for PG_CATCH.  Raises nothing.
 * Nothing happens if none is under way.
 */
extern void courier_abandon(void);

/* How many transfers are under way. */
extern int	courier_transfers(void);

/*
 * Raises what a RESULT tells (any status but COURIER_OK) as an ERROR: see
 * store_functions.c for the SQLSTATEs.
 */
_Noreturn extern void courier_raise(const StoreServer *store, const char *key,
									const CourierEvent *event);

#endif							/* MEDIASTORE_COURIER_CLIENT_H */
