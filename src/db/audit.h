/*-------------------------------------------------------------------------
 *
 * audit.h
 *	  Whether a store has what it should have: the parts of mediastore.audit
 *	  (private to it).
 *
 *	  audit.c			the function: findings, one after another
 *	  audit_list.c		what the store has
 *	  audit_books.c		what it should have, and what becomes of findings
 *
 * The store is listed first, and the books are read after that, by pages, each
 * as they are then.  So what is in the books as stored since before the list
 * began must be in the list.  All is sorted by keys' bytes and merged: neither
 * is ever in memory as a whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_AUDIT_H
#define MEDIASTORE_AUDIT_H

#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "utils/array.h"

#include "store_options.h"

/* --- audit_list.c ----------------------------------------------------------- */

/* Something at the store.  Text is in the server's encoding. */
typedef struct AuditItem
{
	const char *key;
	int64		bytes;			/* -1: not told */
	const char *etag;			/* or NULL */
} AuditItem;

typedef struct AuditList AuditList;

/*
 * Lists a store as the current user.  It is kept in work_mem or in temporary
 * files.  Raises as transfer_list does.
 */
extern AuditList *audit_list(const StoreServer *store);

/* The next one by its key's bytes, good until the next call; false at the end. */
extern bool audit_list_next(AuditList *list, AuditItem *item);

extern void audit_list_end(AuditList *list);

typedef struct AuditHead
{
	TimestampTz modified;		/* 0: not known */
	bool		marked;			/* put there by this very database */
	const char *marked_by;		/* "system identifier/database"; or NULL */
	bool		has_sha256;
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
} AuditHead;

/* Asks about one object; false if there is none (any more). */
extern bool audit_head(const StoreServer *store, const char *key, AuditHead *head);

/*
 * Whether the last part of a key has a SHA-256 in it, 64 hexadecimal digits in a
 * row: this one, or any if it is NULL.
 */
extern bool audit_names_content(const char *key, const uint8 *sha256);

/* Computes that of what the store has; false if it has nothing (any more). */
extern bool audit_sha256(const StoreServer *store, const char *key, uint8 *sha256);

/* --- audit_books.c: to be called with SPI connected -------------------------- */

typedef struct AuditFinding
{
	const char *finding;
	const char *key;			/* or NULL */
	int64		bytes;			/* -1: not known */
	int64		object;			/* 0: there is none */
	Oid			relation;		/* 0: it is not about a row */
	ArrayType  *row_key;
	const char *column;
	int32		index;
	const char *detail;
	bool		repairable;
	/* of an orphan: */
	TimestampTz modified;
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
} AuditFinding;

/* Takes a finding; its strings and the key are not kept by the caller. */
typedef void (*AuditFound) (void *context, const AuditFinding *finding);

/* An object in the books. */
typedef struct AuditBook
{
	int64		id;
	const char *key;
	int64		bytes;
	const char *etag;			/* or NULL */
	const char *state;
	TimestampTz stored_at;		/* 0: never */
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
	bool		referenced;
} AuditBook;

typedef struct AuditBooks AuditBooks;

/* Begins reading the objects of a server, by their keys' bytes. */
extern AuditBooks *audit_books(const char *server);

/* The next one, good until the next call; false at the end. */
extern bool audit_books_next(AuditBooks *books, AuditBook *book);

/*
 * Tells of an object that is missing or differs: one finding for each place that
 * refers to it.
 */
extern void audit_places(const AuditFinding *about, AuditFound found, void *context);

/* Whether a change that is not folded yet wants the key. */
extern bool audit_wanted(const char *server, const char *key);

/* Tells of places that refer to objects of the server and whose rows are gone. */
extern void audit_rows(const char *server, AuditFound found, void *context);

/* Repairs what was found; false if it has changed meanwhile, or can't be. */
extern bool audit_repair(const char *server, const AuditFinding *finding);

#endif							/* MEDIASTORE_AUDIT_H */
