/*-------------------------------------------------------------------------
 *
 * store_functions.h
 *	  What the SQL functions on stores share.
 *
 *	  store.c			media_url, media_presign: addresses only
 *	  store_functions.c	media_put, media_get, media_head, media_delete,
 *						media_list: the store is spoken to
 *	  store_transfer.c	one transfer, from its begin to its result
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_STORE_FUNCTIONS_H
#define MEDIASTORE_STORE_FUNCTIONS_H

#include "courier_client.h"
#include "value.h"

/*
 * A key as stores take it, in UTF-8, whose URL is the same for all who follow
 * it: whoever may use a store is to get no further than its prefix.  Raises
 * 22023.
 */
extern const char *store_key_argument(const StoreServer *store, const text *argument);

/*
 * Makes a text of an URL that the store room gave, and frees that; NULL raises
 * the error.
 */
extern text *store_take_url(char *url, const StoreError *error);

/*
 * Transfers, which are waited for.  Each can be interrupted at any time, and
 * leaves nothing under way if it raises.  The request's field store is filled in
 * here.  Whatever the store answers but what is said below is raised
 * (courier_raise).
 */

/* Puts a value; length and content of the request are its. */
extern void transfer_put(const StoreServer *store, CourierRequest *request, Value *value);

/*
 * Gets an object, as a new bytea.  Raises 54000 as soon as more has come than
 * fits into a value.
 */
extern bytea *transfer_get(const StoreServer *store, const char *key);

/* Computes the SHA-256 (32 bytes) of an object's content; false if there is none. */
extern bool transfer_sha256(const StoreServer *store, const char *key, uint8 *sha256);

/* Asks for an object; false if there is none. */
extern bool transfer_head(const StoreServer *store, const char *key, CourierEvent *result);

/* Deletes an object, if there is one. */
extern void transfer_delete(const StoreServer *store, const char *key);

/* What is told of an object in a list; strings live until the callback returns. */
typedef struct TransferItem
{
	const char *key;			/* in the server's encoding */
	int64		bytes;			/* -1: not told */
	const char *etag;			/* or NULL */
	pg_time_t	last_modified;	/* 0: not told */
} TransferItem;

/*
 * Lists objects whose keys begin with prefix, in the order of the store.  Each
 * is given to a callback, in a short-lived memory context.
 */
extern void transfer_list(const StoreServer *store, const char *prefix,
						  void (*callback) (const TransferItem *item, void *context), void *context);

#endif							/* MEDIASTORE_STORE_FUNCTIONS_H */
