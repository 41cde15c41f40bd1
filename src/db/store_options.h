/*-------------------------------------------------------------------------
 *
 * store_options.h
 *	  Foreign servers as stores: their options, checked and read.
 *
 *	  of a server, type s3	bucket, region, endpoint, prefix, public_url,
 *							path_style, storage_class,
 *							server_side_encryption, kms_key_id, checksum,
 *							content_md5, if_none_match, cache_control,
 *							metadata, profile, private_network
 *	  of a server, type file	root, prefix, public_url, cache_control
 *	  of a user mapping		access_key_id, secret_access_key, session_token
 *
 * Only superusers may set root, profile and private_network, or any option of a
 * server that has one of them.
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
	const char *root;			/* of a file store: an absolute path */
	const char *profile;		/* of the credentials file; or NULL */
	/* what an object is put with; NULL: the store's own default */
	const char *storage_class;
	const char *server_side_encryption;
	const char *kms_key_id;
	const char *cache_control;
	List	   *metadata;		/* of StoreMeta * */
	bool		checksum;		/* x-amz-checksum-sha256 is sent */
	bool		content_md5;	/* Content-MD5 is sent */
	bool		if_none_match;	/* keys that never change are put once only */
	bool		private_network;	/* loopback, link-local and private addresses
									 * may be connected to */
} StoreServer;

/* A metadata header of objects. */
typedef struct StoreMeta
{
	const char *name;			/* lower case, without "x-amz-meta-" */
	const char *value;
} StoreMeta;

/* Names and values of an object's metadata together at most, by S3's rules. */
#define STORE_METADATA_MOST 2048

/*
 * The store of a name that the current user has USAGE on.  Raises 42704 if
 * there is no such server, 42501 without USAGE, 42809 if it is a server of
 * another wrapper, 0A000 if it has another type, HV00J if it lacks an option
 * that its type needs, and 22023 if an option has a bad value.
 */
extern StoreServer *store_server(const char *name);

/*
 * Adds a metadata header to a List of StoreMeta *.  Raises 22023 for what can't
 * be sent, a name that is there already, and more than STORE_METADATA_MOST.
 */
extern List *store_metadata_add(List *metadata, const char *name, const char *value);

/*
 * Raises what the store room found wrong: 22023, but 53200 for memory, and
 * 58000 for libcrypto.
 */
_Noreturn extern void store_raise(const StoreError *error);

#endif							/* MEDIASTORE_STORE_OPTIONS_H */
