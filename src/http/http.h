/*-------------------------------------------------------------------------
 *
 * http.h
 *	  The door of the http room: how a stored value answers an HTTP request.
 *
 * This room knows HTTP and no bytes but the first few of a value: whether a
 * request's conditions hold, which range of the value it wants, as what type
 * the value is shown, and with which headers.  It follows RFC 9110 (HTTP
 * semantics), RFC 9111 (caching) and RFC 6266 with 8187 (names of files).
 * What it reads was sent by strangers: each string is walked once, from start
 * to end, no number wraps around, and nothing of it comes back in a header.
 *
 * It is plain C without a library.  An answer is made in two steps, because
 * most of them need none of the value's bytes:
 *
 *		http_decide		status and range, from the request and what is known of
 *						the value without reading it
 *		http_type		what the first bytes are, for an answer that shows them
 *		http_describe	the headers
 *
 * Calls: db -> http.  This room calls nobody.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_HTTP_H
#define MEDIASTORE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What matters of a request: the values of headers, NULL when not sent.
 * Several headers of one name are to be joined by ", " (RFC 9110, 5.3).
 */
typedef struct HttpRequest
{
	const char *method;			/* NULL: GET */
	const char *if_match;
	const char *if_none_match;
	const char *if_modified_since;
	const char *if_unmodified_since;
	const char *range;
	const char *if_range;
	int64_t		now;			/* seconds since 1970; bounds dates */
} HttpRequest;

/* What is known of a value.  The strings are the caller's and valid (below). */
typedef struct HttpContent
{
	uint64_t	total;			/* its length in bytes */
	const char *etag;			/* entity-tag with its quotes */
	bool		has_last_modified;
	int64_t		last_modified;	/* seconds since 1970 */
	const char *cache_control;	/* NULL: no such header */
	const char *filename;		/* UTF-8, as anybody gave it; or NULL */
	const char *location;		/* an URL that the value is to be had at
								 * instead; or NULL.  Nothing is known of its
								 * total then */
	int64_t		location_seconds;	/* how long a cache of the client's own may
								 * rely on that; negative: as long as on the
								 * value (cache_control) */
} HttpContent;

/* As what a value is shown. */
typedef struct HttpType
{
	const char *name;			/* "image/webp"; a constant */
	bool		attachment;		/* to be saved, never shown by a browser */
} HttpType;

typedef struct HttpHeader
{
	const char *name;			/* in canonical case: "Content-Type" */
	const char *value;
} HttpHeader;

#define HTTP_MOST_HEADERS		12
#define HTTP_DATE_SIZE			30	/* "Sun, 06 Nov 1994 08:49:37 GMT" */
#define HTTP_RANGE_SIZE			72	/* "bytes a-b/c" of 20 digits each */
#define HTTP_DISPOSITION_SIZE	1024

/*
 * An answer.  Header values point to the content's strings, to constants, or
 * into this struct: so it is not to be copied, and lives no longer than they.
 */
typedef struct HttpAnswer
{
	int			status;			/* 200, 206, 302, 304, 404, 405, 412 or 416 */
	bool		send;			/* whether a body goes out: of a GET's 200 and
								 * 206 */
	uint64_t	first;			/* 200, 206: the part of the value that is */
	uint64_t	length;			/* answered with; within its total */
	int			header_count;
	HttpHeader	headers[HTTP_MOST_HEADERS];
	/* private: what header values point to */
	char		last_modified[HTTP_DATE_SIZE];
	char		content_length[24];
	char		content_range[HTTP_RANGE_SIZE];
	char		disposition[HTTP_DISPOSITION_SIZE];
	char		cache_control[40];
} HttpAnswer;

/* The forms of a string that shall name a version of a value. */
typedef enum HttpEtagForm
{
	HTTP_ETAG_INVALID,
	HTTP_ETAG_OPAQUE,			/* good when quotes are put around it */
	HTTP_ETAG_QUOTED			/* "..." or W/"...": good as it is */
} HttpEtagForm;

/*
 * Tells the form of an entity-tag (RFC 9110, 8.8.3): visible ASCII, at least
 * one, no quote inside.
 */
extern HttpEtagForm http_etag_form(const char *text);

/* Whether a string may be sent as a header's value: printable ASCII only. */
extern bool http_value_valid(const char *text);

/* Whether the method (NULL: GET) is one that values answer to: GET or HEAD. */
extern bool http_method_allowed(const char *method);

/*
 * Sets when the value was last modified.  A date that HTTP can't write is as
 * none, and one that is still to come is now (RFC 9110, 8.8.2.1).
 */
extern void http_content_date(HttpContent *content, int64_t seconds, int64_t now);

/*
 * Decides status, send, first and length of the answer; no headers yet.
 * content may be NULL: there is no such value (404).  Its etag may be NULL
 * only if the method is not allowed (405).  What would be a 200 or a 206 is a
 * 302 where the value is to be had elsewhere.
 */
extern void http_decide(const HttpRequest *request, const HttpContent *content,
						HttpAnswer *answer);

/* Whether the answer's headers tell the type of the value: of 200 and 206. */
extern bool http_shows_type(const HttpAnswer *answer);

/*
 * As what a value is shown, by its first bytes (4 KiB are plenty).  picture is
 * its media type if it is a picture, a constant that outlives the answer; else
 * NULL.  What could hold a script is to be saved, and what is unknown is
 * nothing but bytes.
 */
extern HttpType http_type(const char *picture, const uint8_t *bytes, size_t length);

/*
 * Gives the decided answer its headers.  type may be NULL where
 * http_shows_type is false, content as for http_decide.
 */
extern void http_describe(const HttpContent *content, const HttpType *type,
						  HttpAnswer *answer);

#endif							/* MEDIASTORE_HTTP_H */
