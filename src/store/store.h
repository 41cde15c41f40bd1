/*-------------------------------------------------------------------------
 *
 * store.h
 *	  The door of the store room: where an object lies, and who may ask for it.
 *
 * An object has a key in a bucket of a store.  This room knows what a good key
 * is and makes one from a template, writes the URL of an object, and signs
 * requests and URLs as S3 and all that speak like it want it (AWS Signature
 * Version 4; docs.aws.amazon.com, "Authenticating Requests").  All of that
 * reaches no network: what it gives is sent by others, byte for byte, since a
 * signature is over bytes.  The drivers, which do reach it, are the room's other
 * door (driver.h), and the courier program's alone.
 *
 * It is plain C with libcrypto.  A function that fails says so by false or
 * NULL and fills the caller's StoreError; that holds no credential, and
 * nothing of an URL either, which may have one in it.  Strings that are given
 * out are malloc'd and the caller's, to be freed with free(); those that were
 * given in are not kept.  Strings are UTF-8 and end in a NUL.
 *
 * Calls: db -> store, drivers -> store.  What is behind this door calls nobody
 * but libcrypto.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_STORE_H
#define MEDIASTORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum StoreStatus
{
	STORE_OK,
	STORE_BAD_BUCKET,			/* a description of a bucket that can't be */
	STORE_BAD_KEY,				/* a key that stores don't take */
	STORE_BAD_TEMPLATE,			/* a template of keys that can't be read */
	STORE_BAD_REQUEST,			/* what is to be signed, or with what */
	STORE_NO_MEMORY,
	STORE_NO_CRYPTO				/* libcrypto failed */
} StoreStatus;

typedef struct StoreError
{
	StoreStatus status;
	const char *option;			/* STORE_BAD_BUCKET: the option that is wrong,
								 * as "endpoint"; a constant.  Else NULL */
	char		message[200];	/* not a sentence, as errmsg wants it */
	char		hint[200];		/* a sentence, or "" */
} StoreError;

/* --- buckets and URLs ---------------------------------------------------- */

/* How the bucket is named in an URL. */
typedef enum StoreStyle
{
	STORE_STYLE_AUTO,			/* by host at AWS if the bucket has no dot (a
								 * certificate covers one label); else by path */
	STORE_STYLE_PATH,			/* https://endpoint/bucket/key */
	STORE_STYLE_VIRTUAL			/* https://bucket.endpoint/key */
} StoreStyle;

/* A bucket as somebody describes it; the strings are the caller's. */
typedef struct StoreBucket
{
	const char *endpoint;		/* "https://host[:port][/base/path]"; NULL:
								 * AWS's of the region */
	const char *region;			/* NULL: "us-east-1", but AWS needs one */
	const char *bucket;
	const char *prefix;			/* before each key, as "media/"; or NULL */
	StoreStyle	style;
	const char *public_url;		/* where the bucket's root is read from, as
								 * "https://cdn.example.com"; or NULL */
} StoreBucket;

/* What it takes to ask for something at an URL. */
typedef struct StoreAddress
{
	char	   *url;			/* without a query */
	char	   *host;			/* the header's value, which is signed: lower
								 * case, with the port if not the scheme's own */
	char	   *path;			/* as in url, encoded: "/bucket/a%20key" */
} StoreAddress;

/*
 * Whether a bucket can be as described: its name by AWS's rules, endpoint and
 * public_url http or https without userinfo, query or fragment, the region,
 * the prefix.  All other functions that take a bucket check it, too.
 */
extern bool store_bucket_check(const StoreBucket *bucket, StoreError *error);

/* The region to sign for: the bucket's or the default. */
extern const char *store_region(const StoreBucket *bucket);

/*
 * The address of a key (the prefix comes before it), or of the bucket itself
 * if key is NULL.  Give it back with store_address_free, which takes one that
 * is all NULL, too.
 */
extern bool store_address(const StoreBucket *bucket, const char *key, StoreAddress *address,
						  StoreError *error);
extern void store_address_free(StoreAddress *address);

/* The store's own URL of a key. */
extern char *store_object_url(const StoreBucket *bucket, const char *key, StoreError *error);

/* The URL that the world reads: below public_url, or else the store's own. */
extern char *store_public_url(const StoreBucket *bucket, const char *key, StoreError *error);

/* --- signing ------------------------------------------------------------- */

typedef struct StoreCredentials
{
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;	/* or NULL */
} StoreCredentials;

/* A header or a query parameter, as it is meant: not encoded. */
typedef struct StoreField
{
	const char *name;
	const char *value;			/* NULL: "" */
} StoreField;

#define STORE_MOST_FIELDS		64
#define STORE_MOST_EXPIRES		604800	/* seconds: a week, by S3's rules */

/* What an URL shall allow. */
typedef struct StorePresign
{
	const char *method;			/* GET, HEAD, PUT or DELETE */
	const char *key;
	int64_t		at;				/* seconds since 1970 */
	int64_t		expires;		/* seconds, 1 to STORE_MOST_EXPIRES */
	const StoreField *query;	/* as response-content-disposition */
	int			query_count;
	const StoreField *headers;	/* that the client must send just so */
	int			header_count;
} StorePresign;

/*
 * An URL that allows the request to whoever has it.  It is signed for the
 * start of the half of expires that at lies in (both counted from 1970), so
 * the same URL comes out for a while and can be cached; it is good for at
 * least half of expires from at, and never longer than expires.
 */
extern char *store_presign(const StoreBucket *bucket, const StoreCredentials *credentials,
						   const StorePresign *presign, StoreError *error);

/* A request to be signed by a header. */
typedef struct StoreRequest
{
	const char *method;
	const char *host;			/* of a StoreAddress */
	const char *path;			/* of a StoreAddress */
	const StoreField *query;
	int			query_count;
	const StoreField *headers;	/* without host and the three below */
	int			header_count;
	const char *payload_sha256; /* 64 lower-case hex digits or
								 * STORE_UNSIGNED_PAYLOAD; NULL: no payload */
	int64_t		at;				/* seconds since 1970: now */
} StoreRequest;

#define STORE_UNSIGNED_PAYLOAD	"UNSIGNED-PAYLOAD"
#define STORE_DATE_SIZE			17	/* "20130524T000000Z" */

/*
 * What is to be sent beside the request's own headers.  The session token, if
 * there is one, goes as x-amz-security-token.
 */
typedef struct StoreSignature
{
	char	   *authorization;	/* Authorization */
	char	   *query;			/* what comes behind the path's "?"; or "" */
	char		date[STORE_DATE_SIZE];	/* x-amz-date */
	char		payload[65];	/* x-amz-content-sha256 */
} StoreSignature;

/*
 * Signs a request.  Every header is signed but those that proxies and clients
 * change on their way (connection, expect, te, trailer, transfer-encoding,
 * upgrade, user-agent, x-amzn-trace-id).  Give the signature back with
 * store_signature_free.
 */
extern bool store_sign(const StoreCredentials *credentials, const char *region,
					   const StoreRequest *request, StoreSignature *signature,
					   StoreError *error);
extern void store_signature_free(StoreSignature *signature);

/* --- keys ---------------------------------------------------------------- */

#define STORE_KEY_MOST			1024	/* bytes, with the prefix */

/*
 * Whether a key (behind prefix, which may be NULL) is one that stores take: 1
 * to STORE_KEY_MOST bytes of UTF-8 without control characters.  With segments
 * it must be fit to be a path of files as well: no segment between slashes
 * that is empty, ".", ".." or longer than 255 bytes.
 */
extern bool store_key_check(const char *prefix, const char *key, bool segments,
							StoreError *error);

/*
 * Whether a key (behind prefix, which may be NULL) has a segment "." or "..".
 * S3 takes such a key, but a client that is given its URL takes the segment
 * out (RFC 3986, 5.2.4) and asks for another object, beside the prefix or in
 * another bucket even.
 */
extern bool store_key_has_dots(const char *prefix, const char *key);

/* The names that a template may use, each in braces: bits of a set. */
typedef enum StoreKeyName
{
	STORE_KEY_TABLE = 1 << 0,
	STORE_KEY_COLUMN = 1 << 1,
	STORE_KEY_PK = 1 << 2,
	STORE_KEY_INDEX = 1 << 3,
	STORE_KEY_SHA256 = 1 << 4,
	STORE_KEY_UUID = 1 << 5,
	STORE_KEY_EXT = 1 << 6,
	STORE_KEY_DATE = 1 << 7,
	STORE_KEY_TIMESTAMP = 1 << 8
} StoreKeyName;

/* What the names stand for.  What is NULL (index: negative) is not known. */
typedef struct StoreKeyValues
{
	const char *table;
	const char *column;
	const char *const *pk;		/* the columns of the row's key, as text */
	int			pk_count;
	int64_t		index;
	const char *sha256;
	const char *uuid;
	const char *ext;			/* without its dot */
	bool		has_at;
	int64_t		at;				/* seconds since 1970; {date} is 2013-05-24,
								 * {timestamp} 20130524T000000Z */
} StoreKeyValues;

/* Whether a template can be read, and which names it uses (may be NULL). */
extern bool store_template_check(const char *key_template, unsigned *names,
								 StoreError *error);

/*
 * The key that a template makes of values.  A value stays in its place and
 * different values stay different: "/" and "%" in it, control characters and
 * a leading "." are written as in an URL ("%2F"), and so is "," in {pk},
 * where it separates columns; an empty value is "%".  The key is fit to be a
 * path of files (store_key_check, with prefix).
 */
extern char *store_template_expand(const char *key_template, const char *prefix,
								   const StoreKeyValues *values, StoreError *error);

#endif							/* MEDIASTORE_STORE_H */
