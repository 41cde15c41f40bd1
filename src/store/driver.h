/*-------------------------------------------------------------------------
 *
 * driver.h
 *	  The drivers of stores: who really puts, gets, heads, deletes and lists.
 *
 * A driver knows one kind of store and nothing of the others.  It works for a
 * host, the courier program, which has many transfers under way in one thread:
 * so nothing in a driver waits.  begin starts a transfer, step goes on with it
 * when there may be something to do, and in the end the driver fills
 * transfer->result and calls host->end, once.
 *
 *	  driver.c			  the list of drivers, results, hashing on the way
 *	  driver_http.c		  HTTP requests, by libcurl's multi interface
 *	  driver_address.c	  which network addresses may be connected to
 *	  driver_s3.c		  S3: one request for each operation, and ...
 *	  driver_s3_multipart.c	 ... large objects in parts,
 *	  driver_s3_list.c	  ... lists of objects,
 *	  driver_s3_answer.c  ... the XML that comes back,
 *	  driver_s3_status.c  ... what an answer that is no success means
 *	  driver_file.c		  a folder of files, driver_file_list.c its lists
 *
 * These files are the courier's alone: the module has no libcurl and no expat.
 *
 * Calls: helper (courier) -> drivers -> the rest of the store room.  Of the
 * helper room the drivers know courier_wire.h, whose words they share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_DRIVER_H
#define MEDIASTORE_DRIVER_H

#include <openssl/evp.h>
#include <sys/types.h>

#include "../helper/courier_wire.h"
#include "parts.h"

/* --- fields -------------------------------------------------------------- */

#define DRIVER_FIELDS_MOST		128

/* The text of a frame taken apart; the strings are in it. */
typedef struct DriverFields
{
	int			count;
	StoreField	fields[DRIVER_FIELDS_MOST];
} DriverFields;

/*
 * Takes text of a frame apart.  False if it is no sequence of names and values,
 * has too many, an empty name or what is no UTF-8.
 */
extern bool driver_fields_read(const char *text, size_t length, DriverFields *fields);

/* The value of a field, or NULL if it is not there. */
extern const char *driver_field(const DriverFields *fields, const char *name);

/* A field that is a number of milliseconds; 0 if it is not there or is none. */
extern long driver_milliseconds(const DriverFields *fields, const char *name);

/* --- results ------------------------------------------------------------- */

#define DRIVER_META_MOST		16384	/* bytes of a result's metadata */

/* How a transfer ended: what RESULT tells. */
typedef struct DriverResult
{
	CourierStatus status;
	int			http_status;	/* 0: there was none */
	int			retry_after;	/* seconds; -1: not said */
	uint64_t	length;			/* GET, HEAD: of the object */
	int64_t		time;			/* last modified, Unix seconds; 0: not said */
	char		message[400];	/* not a sentence; "" if status is COURIER_OK */
	char		hint[300];		/* a sentence, or "" */
	char		code[64];		/* the store's own, or "" */
	char		etag[160];
	char		content_type[256];
	char		cache_control[256];
	StoreText	meta;			/* fields as in a frame: "meta-NAME", value */
} DriverResult;

/* Makes it COURIER_OK with nothing known; what meta has is kept as room. */
extern void driver_result_clear(DriverResult *result);

/* Gives it a status and a message, of which control characters are made "?"; hint may be NULL. */
extern void driver_fail(DriverResult *result, CourierStatus status, const char *hint,
						const char *format,...) __attribute__((format(printf, 4, 5)));

/* Out of memory. */
extern void driver_fail_memory(DriverResult *result);

/* Copies text of a stranger, cut to size, "?" for what is no plain UTF-8. */
extern void driver_copy(char *to, size_t size, const char *from);

/* Adds metadata that came from a store; too much of it is left out. */
extern void driver_result_meta(DriverResult *result, const char *name, const char *value);

/* --- transfers ----------------------------------------------------------- */

typedef struct DriverTransfer DriverTransfer;

/*
 * What the host does for a driver.  peek and advance give a PUT's bytes, room,
 * space and added take a GET's or LIST's, all of them in place: in the slots
 * that are shared with the parent.
 */
typedef struct DriverHost
{
	/*
	 * The bytes that come next, and how many are there.  NULL: none are there
	 * yet, and step is called when they are; or *failed: they can't be had.
	 */
	const uint8_t *(*peek) (DriverTransfer *transfer, size_t *length, bool *failed);
	/* They are used; length is at most what peek gave. */
	void		(*advance) (DriverTransfer *transfer, size_t length);
	/* From the first byte again. */
	void		(*rewind) (DriverTransfer *transfer);

	/* How many bytes may be added now; step is called when it is more. */
	size_t		(*room) (DriverTransfer *transfer);
	/* The next place for bytes, and its size; NULL: there is no room. */
	uint8_t    *(*space) (DriverTransfer *transfer, size_t *length);
	/* So many were put there. */
	void		(*added) (DriverTransfer *transfer, size_t length);
	/*
	 * The place so far goes to the parent as it is, and the next begins, if
	 * this one has less than length left; false: there is no such place yet.
	 */
	bool		(*fit) (DriverTransfer *transfer, size_t length);

	/* Has step called soon. */
	void		(*wake) (DriverTransfer *transfer);
	/*
	 * The result is filled, and the driver has given back all it had for the
	 * transfer and knows it no more.  Not to be called out of open or cancel.
	 */
	void		(*end) (DriverTransfer *transfer);
} DriverHost;

struct DriverTransfer
{
	const DriverHost *host;
	void	   *store;			/* what the driver's open gave */
	void	   *state;			/* the driver's own */
	CourierOperation operation;
	bool		if_none_match;
	const char *key;
	uint64_t	length;			/* PUT: of the object */
	const char *sha256;			/* PUT: 64 lower-case hex digits */
	const DriverFields *fields; /* of BEGIN */
	int64_t		deadline;		/* by driver_now; 0: none */
	DriverResult result;
};

typedef struct StoreDriver
{
	const char *type;			/* as in STORE */
	/*
	 * Makes ready what transfers to the store need; fields live until close.
	 * NULL: it can't be, and *why says so.
	 */
	void	   *(*open) (const DriverFields *fields, DriverResult *why);
	void		(*close) (void *store);
	void		(*begin) (DriverTransfer *transfer);
	void		(*step) (DriverTransfer *transfer);
	/* Gives back all it had for a transfer that shall not go on. */
	void		(*cancel) (DriverTransfer *transfer);
} StoreDriver;

extern const StoreDriver driver_s3;
extern const StoreDriver driver_file;

/* The driver for a type; NULL if there is none. */
extern const StoreDriver *driver_find(const char *type);

/* Milliseconds of a clock that only goes forward. */
extern int64_t driver_now(void);

/* --- hashing ------------------------------------------------------------- */

#define DRIVER_SHA256_HEX		65

/* Begins a hash in *context, which is made if it is NULL; false: no memory. */
extern bool driver_hash_begin(EVP_MD_CTX **context);
extern bool driver_hash_add(EVP_MD_CTX *context, const void *bytes, size_t length);
/* 64 lower-case hex digits. */
extern bool driver_hash_end(EVP_MD_CTX *context, char hex[DRIVER_SHA256_HEX]);

/*
 * A PUT's bytes as they are sent, hashed on their way: the last of them come
 * only if all are those of transfer->sha256.
 */
typedef struct DriverBody
{
	EVP_MD_CTX *context;		/* kept for the next one; driver_body_free */
	uint64_t	done;
	bool		begun;
	bool		wrong;			/* the hash was another, or the bytes can't be had */
	bool		broken;			/* libcrypto failed */
} DriverBody;

#define DRIVER_BODY_LATER		(-1)	/* none there yet */
#define DRIVER_BODY_STOP		(-2)	/* wrong or broken: send no more */

/* From the first byte (again). */
extern void driver_body_begin(DriverBody *body);
/* Copies bytes: how many, 0 at the end, or one of the above. */
extern ssize_t driver_body_read(DriverBody *body, DriverTransfer *transfer, void *to, size_t most);
/* What a body that stopped says of its transfer. */
extern void driver_body_fail(const DriverBody *body, DriverResult *result);
extern void driver_body_free(DriverBody *body);

#endif							/* MEDIASTORE_DRIVER_H */
