/*-------------------------------------------------------------------------
 *
 * store_options.h
 *	  Foreign servers as stores: their options, checked and read.
 *
 *	  of a server, type s3	bucket, region, endpoint, prefix, public_url,
 *							path_style, profile (a superuser's to set)
 *	  of a server, type file	root (a superuser's to set), prefix, public_url
 *	  of a user mapping		access_key_id, secret_access_key, session_token
 *
 * A validator is not told the server's type, so what belongs to the type is
 * looked at when the server is used; whether the options go together is not
 * left until then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_STORE_OPTIONS_H
#define MEDIASTORE_STORE_OPTIONS_H

#include "foreign/foreign.h"

#include "../store/store.h"

typedef enum StoreType
{
	STORE_TYPE_S3,
	STORE_TYPE_FILE
} StoreType;

/* A store as its server describes it; strings are UTF-8, and palloc'd. */
typedef struct StoreServer
{
	const ForeignServer *server;
	StoreType	type;
	StoreBucket bucket;			/* of a file store: prefix and public_url,
								 * and what a bucket must have besides */
	const char *profile;		/* of the credentials file; or NULL */
} StoreServer;

/*
 * The store of a name that the current user has USAGE on.  Raises 42704 if
 * there is no such server, 42501 without USAGE, 42809 if it is a server of
 * another wrapper, 0A000 if it has another type, HV00J if it lacks an option
 * that its type needs, and 22023 if an option has a bad value.
 */
extern StoreServer *store_server(const char *name);

/*
 * Raises what the store room found wrong: 22023, but 53200 for memory, and
 * 58000 for libcrypto.
 */
_Noreturn extern void store_raise(const StoreError *error);

#endif							/* MEDIASTORE_STORE_OPTIONS_H */
