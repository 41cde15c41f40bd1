/*-------------------------------------------------------------------------
 *
 * driver_s3.h
 *	  What the files of the S3 driver have of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_DRIVER_S3_H
#define MEDIASTORE_DRIVER_S3_H

#include "driver_http.h"

/* --- XML ----------------------------------------------------------------- */

#define S3_TEXT_MOST		4096	/* bytes of an element's text */
#define S3_ERROR_MOST		(64 * 1024) /* bytes of an answer that is no list */
#define S3_LIST_MOST		(16 * 1024 * 1024)	/* ... of a page of a list */

typedef struct S3Answer S3Answer;

/* One object of a list; the strings are good during the call. */
typedef struct S3Item
{
	const char *key;
	uint64_t	bytes;
	int64_t		modified;		/* Unix seconds; 0: not said */
	const char *etag;			/* without quotes */
} S3Item;

typedef void (*S3ItemCallback) (void *context, const S3Item *item);

/* What an answer said, as far as it was read; "" for what it did not. */
typedef struct S3Said
{
	char		root[48];		/* the outermost element, as "Error" */
	char		code[64];
	char		message[256];
	char		region[64];
	char		upload_id[1024];
	char		etag[160];		/* without quotes */
	char		token[2048];	/* of the list's next page */
	bool		truncated;		/* the list has one */
	uint64_t	items;
} S3Said;

/* NULL: no memory. */
extern S3Answer *s3_answer_new(void);
extern void s3_answer_free(S3Answer *answer);

/* Makes it ready for another answer, of at most so many bytes; item may be NULL. */
extern bool s3_answer_begin(S3Answer *answer, size_t most, S3ItemCallback item, void *context);

/*
 * Reads on.  False, from then on: it is no XML that we take (it is malformed or
 * too long, has a document type, and with it entities) or memory is out.
 */
extern bool s3_answer_add(S3Answer *answer, const uint8_t *bytes, size_t length);

/* Whether it was a whole document. */
extern bool s3_answer_end(S3Answer *answer);

extern const S3Said *s3_answer_said(const S3Answer *answer);

/* Unix seconds of "2009-10-12T17:50:30.000Z"; 0 if it is none. */
extern int64_t s3_date(const char *text);

/* Takes the percent-encoding of a key away, in place; false if that can't be. */
extern bool s3_decode(char *text);

/* --- what an answer means ------------------------------------------------ */

typedef struct S3Outcome
{
	CourierOperation operation;
	int			http_status;	/* not 0 */
	const char *code;			/* of the XML, or "" */
	const char *message;		/* the same */
	const char *region;			/* the bucket's, if it was told, or "" */
	int			retry_after;	/* seconds; -1: not said */
} S3Outcome;

/* Fills the result for an answer that is no success: status, message, hint, code. */
extern void s3_explain(const S3Outcome *outcome, DriverResult *result);

/* Seconds of a Retry-After, a number or a date; -1 if it is neither. */
extern int s3_retry_after(const char *text, int64_t now);

/* --- stores and transfers ------------------------------------------------ */

typedef struct S3Store
{
	StoreBucket bucket;
	StoreCredentials credentials;
	const char *storage_class;
	const char *encryption;
	const char *kms_key_id;
	bool		checksum;
	bool		content_md5;
	HttpLimits	limits;
} S3Store;

typedef struct S3Multipart S3Multipart;
typedef struct S3List S3List;

typedef enum S3Stage
{
	S3_WAITING,					/* for the first bytes, or a buffer */
	S3_DIGESTING,				/* for the MD5, before the first request */
	S3_RUNNING					/* a request is under way */
} S3Stage;

/* A transfer; kept for another when it has ended. */
typedef struct S3Transfer
{
	HttpCall	call;
	DriverTransfer *transfer;
	S3Store    *store;
	S3Stage		stage;
	DriverBody	body;
	EVP_MD_CTX *md5;
	S3Answer   *answer;
	bool		reading;		/* the answer is XML, and good so far */

	/* headers of the answer */
	int			retry_after;
	char		region[64];
	char		etag[160];		/* as sent, with its quotes */
	uint64_t	got;			/* bytes of a GET */
	uint64_t	content_length;

	S3Multipart *multipart;
	S3List	   *list;
	struct S3Transfer *next;	/* of those not in use, or waiting for a buffer */
} S3Transfer;

#define S3_HEADERS_MOST		STORE_MOST_FIELDS

typedef struct S3Request
{
	const char *method;
	const char *key;			/* NULL: the bucket */
	StoreField	query[4];
	int			query_count;
	StoreField	headers[S3_HEADERS_MOST];
	int			header_count;
	const char *sha256;			/* of the body; NULL: it is empty */
} S3Request;

extern void s3_add_header(S3Request *request, const char *name, const char *value);

/* Adds what describes an object that is to be made. */
extern void s3_add_object_headers(S3Request *request, const S3Transfer *s3);

/* Adds its metadata; the headers' names are in names, to be dropped when it is sent. */
extern bool s3_add_metadata(S3Request *request, const S3Transfer *s3, StoreText *names);

/*
 * Signs a request and sends it, with the callbacks and the body that call has;
 * false with a result if that can't be.
 */
extern bool s3_send(const S3Store *store, HttpCall *call, const S3Request *request,
					DriverResult *result);

/* Makes ready for an answer that is XML; the usual header and take. */
extern bool s3_expect_xml(S3Transfer *s3, size_t most, S3ItemCallback item, void *context);
extern void s3_header(HttpCall *call, const char *name, const char *value);
extern HttpTake s3_take_xml(HttpCall *call, const uint8_t *bytes, size_t length);

/*
 * Whether a request was a success (2xx, all of the answer there); else the
 * result tells what was wrong.
 */
extern bool s3_succeeded(S3Transfer *s3);

/* Base64 of bytes, at most 32. */
extern void s3_base64(const uint8_t *bytes, size_t length, char *text);

/* Ends the transfer, with what its result has. */
extern void s3_end(S3Transfer *s3);

/* Objects longer than this go in parts. */
#define S3_MULTIPART_ABOVE	((uint64_t) 16 * 1024 * 1024)
#define S3_PART_SIZE		((size_t) 8 * 1024 * 1024)
#define S3_PARTS_MOST		10000

extern void s3_multipart_begin(S3Transfer *s3);
extern void s3_multipart_step(S3Transfer *s3);
/* Gives back what it has, and has the store forget the parts. */
extern void s3_multipart_drop(S3Transfer *s3);

extern void s3_list_begin(S3Transfer *s3);
extern void s3_list_drop(S3Transfer *s3);

#endif							/* MEDIASTORE_DRIVER_S3_H */
