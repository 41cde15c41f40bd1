/*-------------------------------------------------------------------------
 *
 * store_identity.h
 *	  Which database this is, among the copies there may be of it.
 *
 * mediastore.store holds the identity of the database that a store's objects
 * belong to.  A copy of that database is not to touch them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_STORE_IDENTITY_H
#define MEDIASTORE_STORE_IDENTITY_H

typedef struct StoreIdentity
{
	int64		system_identifier;	/* of the cluster, made by initdb */
	Oid			database;
	int32		timeline;		/* a new one with each promotion and recovery */
} StoreIdentity;

typedef enum StoreStanding
{
	STORE_OURS,
	STORE_RECOVERED,			/* ours, but on another timeline: it was
								 * promoted or recovered, and another server may
								 * go on where this one came from */
	STORE_FOREIGN				/* of another cluster or database: this one was
								 * restored from a dump or made from a template */
} StoreStanding;

/* The identity of the current database, now; on a standby, too. */
extern void store_identity(StoreIdentity *identity);

/* How a database stands to a store that another, or itself, has adopted. */
extern StoreStanding store_standing(const StoreIdentity *adopted, const StoreIdentity *now);

#endif							/* MEDIASTORE_STORE_IDENTITY_H */
