/*-------------------------------------------------------------------------
 *
 * courier_wire.h
 *	  What a PostgreSQL process and its courier say to each other.
 *
 * The courier (mediastore-courier) speaks to stores for one parent, which is a
 * backend or the worker: many transfers at once, each with a number of the
 * parent's choice.  The channel is as in wire.h: SOCK_SEQPACKET, a frame a
 * packet, here with text behind its fixed part; and an arena, which the courier
 * maps and the parent never does.
 *
 * Bytes are asked for, never pushed.  The arena is cut into slots, and the
 * courier says which slot is whose; so memory is bounded by what it asks for:
 *
 *	  parent					courier
 *	  HELLO ->
 *							 <- HELLO
 *	  STORE (number, text) ->					known from here on, until FORGET
 *	  BEGIN (transfer, store, operation, text) ->
 *							 <- WANT (transfer, offset, length, slot)	a PUT
 *	  FILLED ->									the bytes are in the slot
 *							 <- DATA (transfer, offset, length, slot)	a GET, a LIST
 *	  TAKEN ->									the slot is the courier's again
 *							 <- RESULT (transfer)		always the last of a transfer
 *
 * A transfer's WANTs come in the order of its bytes, but may begin again at 0
 * (a connection that was kept alive and had ended is tried again), and several
 * may be open at a time.  DATA is in order.
 *
 * A slot that the courier names in WANT or DATA is the parent's until it has
 * answered: each WANT with exactly one FILLED, each DATA with exactly one TAKEN,
 * whatever has become of the transfer meanwhile, be it that its RESULT has been
 * read.  The courier sends a RESULT only when it has all of a transfer's answers,
 * and what ends early (a time-out, a store that has failed) waits for them too.
 * There is no frame that ends a transfer: a parent that wants none of them any
 * more ends the courier.
 *
 * Text is a sequence of fields, each a name and a value, both with a NUL at the
 * end.  Values are UTF-8.  Secrets are only ever in STORE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COURIER_WIRE_H
#define MEDIASTORE_COURIER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define COURIER_MAGIC		0x4d534352	/* "MSCR" */
#define COURIER_VERSION		1

/* The courier's descriptors are the codec's: WIRE_SOCKET_FD, WIRE_ARENA_FD. */

#define COURIER_SLOT_SIZE	((uint64_t) 256 * 1024)
#define COURIER_SLOTS		256
#define COURIER_ARENA_SIZE	(COURIER_SLOTS * COURIER_SLOT_SIZE)

/* Text behind a frame, at most; a whole packet is no longer than this and a frame. */
#define COURIER_TEXT_MOST	32768

/* Transfers at a time, and stores known, at most. */
#define COURIER_TRANSFERS	64
#define COURIER_STORES		64

/*
 * The program's arguments, decimal: the parent's process id, the seconds it
 * waits for a request before it leaves.
 */
#define COURIER_ARGUMENTS	2

typedef enum CourierKind
{
	COURIER_HELLO = 1,			/* both ways */
	/* to the courier */
	COURIER_STORE,				/* store, text */
	COURIER_FORGET,				/* store */
	COURIER_BEGIN,				/* transfer, store, operation, length, flags, text */
	COURIER_FILLED,				/* transfer, offset, length, slot: as wanted;
								 * length 0: the bytes can't be had, and the
								 * transfer ends as COURIER_CHANGED */
	COURIER_TAKEN,				/* transfer, slot */
	/* from the courier */
	COURIER_WANT,				/* transfer, offset, length, slot */
	COURIER_DATA,				/* transfer, offset, length, slot */
	COURIER_RESULT,				/* transfer, status, http_status, length, time,
								 * retry_after, text */
	COURIER_GOODBYE				/* idle for too long */
} CourierKind;

typedef enum CourierOperation
{
	COURIER_PUT = 1,
	COURIER_GET,
	COURIER_HEAD,
	COURIER_DELETE,				/* what is not there is COURIER_OK as well */
	COURIER_LIST				/* DATA is text, whole items to a slot:
								 * "key", "bytes", "etag", "modified" (Unix
								 * seconds) each; keys without the prefix of
								 * the store */
} CourierOperation;

/*
 * How a transfer ended, and whose fault it is: that of the transfer, or of
 * something that all transfers to the store share.
 */
typedef enum CourierStatus
{
	COURIER_OK = 0,
	COURIER_ABSENT,				/* GET, HEAD: there is no such object */
	COURIER_EXISTS,				/* PUT with COURIER_IF_NONE_MATCH: there is one */
	COURIER_RETRY,				/* this one failed, it may work later: a 500,
								 * a connection reset, a time-out */
	COURIER_REFUSED,			/* this one failed and would again: a 400, an
								 * AccessDenied, a key that can't be */
	COURIER_CHANGED,			/* the bytes were not those of "sha256", or
								 * could not be had; nothing was stored */
	COURIER_UNREACHABLE,		/* the store: no name, no connection, no TLS */
	COURIER_BUSY,				/* the store: 503, 429, no space left */
	COURIER_MISCONFIGURED,		/* the store: no such bucket, wrong secret,
								 * region, clock; a root that can't be used;
								 * a forbidden address */
	COURIER_CANCELLED,			/* it did not get its turn; see "concurrency" */
	COURIER_INTERNAL			/* out of memory, and what should not happen */
} CourierStatus;

/* flags of BEGIN */
#define COURIER_IF_NONE_MATCH	1	/* PUT: only if there is none */

/*
 * Fields of STORE: "type" (s3, file), then of s3 "endpoint", "region",
 * "bucket", "prefix", "style" (auto, path, virtual), "access_key_id",
 * "secret_access_key", "session_token", "storage_class",
 * "server_side_encryption", "kms_key_id", "checksum" (any value: send
 * x-amz-checksum-sha256), "content_md5" (any value), "private" (any value:
 * loopback, link-local and private addresses are allowed); of file "root",
 * "prefix"; and of both, in milliseconds, "connect_timeout",
 * "transfer_timeout" and "stall_timeout".  What is missing is not set.
 *
 * Fields of BEGIN: "key" (without the store's prefix; for LIST what keys
 * begin with, which may be ""); of a PUT "sha256" (64 hex digits, always),
 * "content_type", "cache_control", "content_disposition", and for each
 * metadata header "meta-NAME"; and "concurrency" (decimal): how many transfers
 * the courier may work at, this one included.  It waits for its turn, while its
 * bytes are asked for.  When a transfer fails for a reason that its store's
 * others share, those of the store that wait end as COURIER_CANCELLED; so does
 * one that has waited for longer than a transfer may take.
 *
 * Fields of RESULT: "message" (not a sentence, as errmsg wants it; nothing of a
 * secret or a signed URL in it), "hint" (a sentence), "code" (S3's, as
 * "NoSuchBucket"), "etag" (without quotes), "content_type", "cache_control",
 * "meta-NAME".
 */

typedef struct CourierFrame
{
	uint32_t	magic;
	uint32_t	version;
	uint32_t	kind;			/* CourierKind */
	uint32_t	transfer;		/* from 1 */
	uint32_t	store;			/* from 1 */
	uint32_t	operation;		/* CourierOperation */
	uint32_t	status;			/* CourierStatus */
	uint32_t	flags;
	int32_t		http_status;	/* 0: there was none */
	int32_t		retry_after;	/* seconds; -1: not said */
	uint32_t	slot;			/* below COURIER_SLOTS */
	uint32_t	text_length;	/* of the text behind this */
	uint64_t	offset;			/* in the object; in a list, in its text */
	uint64_t	length;			/* of a slot's content; BEGIN of a PUT: of the
								 * object; RESULT of a GET or HEAD: of the object */
	int64_t		time;			/* RESULT: last modified, Unix seconds; 0: not said */
} CourierFrame;

_Static_assert(sizeof(CourierFrame) == 72, "hole in CourierFrame");

#endif							/* MEDIASTORE_COURIER_WIRE_H */
