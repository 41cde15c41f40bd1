/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  As whom objects are sent: a store, and the owner of the table they come
 *	  from, whose rights and credentials count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_SENDER_H
#define MEDIASTORE_SENDER_H

#include "nodes/pg_list.h"

#include "claim.h"

typedef struct Sender
{
	NameData	server;
	Oid			owner;
	const StoreServer *store;	/* NULL: it can't be used */
	uint32		number;			/* of courier_store; 0 if that was not asked */
	ErrorData  *error;			/* why it can't be used */
	bool		is_owners;		/* ... which is this owner's trouble only */
	bool		is_noted;		/* ... and has been written down */
	double		delay;			/* ... seconds to wait */
} Sender;

/*
 * Finds a sender in a list of them, or adds it; in the current memory context,
 * and in a transaction.  With connect, the courier is told of the store.
 */
extern Sender *sender_find(List **senders, const char *server, Oid owner, bool connect);

/* Seconds to wait before an owner's trouble is looked at again: more each time. */
extern double sender_trouble(const char *server, Oid owner);

/* The owner's trouble is over, if there was any: the next begins anew. */
extern void sender_works(const char *server, Oid owner);

#endif							/* MEDIASTORE_SENDER_H */
