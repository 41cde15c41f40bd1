/*-------------------------------------------------------------------------
 *
 * driver_http.h
 *	  HTTP requests of the drivers, many at a time in one thread.
 *
 * A call is one request and its answer.  The driver fills the first half of an
 * HttpCall, begins it, and is called back out of http_work: with the answer's
 * header lines, its body, and at last by done, after which the HttpCall may be
 * used for another.  Connections are kept and used again; nothing of the
 * environment (proxies, .netrc) counts, and no redirect is followed.
 *
 * Calls: drivers -> this -> libcurl.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_DRIVER_HTTP_H
#define MEDIASTORE_DRIVER_HTTP_H

#include "driver.h"

/* What a store says of connections to it. */
typedef struct HttpLimits
{
	long		connect_timeout;	/* milliseconds, as the next; 0: none */
	long		stall_timeout;
	bool		private_network;	/* loopback, link-local and private
									 * addresses are allowed */
} HttpLimits;

/* What give answers beside a number of bytes. */
#define HTTP_LATER		(-1)	/* none there yet: http_go_on when there are */
#define HTTP_STOP		(-2)	/* the request ends here, as a failure */

/* What take answers. */
typedef enum HttpTake
{
	HTTP_TAKEN,
	HTTP_NO_ROOM,				/* the same again after http_go_on */
	HTTP_ENOUGH					/* the answer ends here */
} HttpTake;

typedef struct HttpCall HttpCall;

struct HttpCall
{
	/* the request */
	const char *method;			/* GET, HEAD, PUT, POST, DELETE; a constant */
	HttpLimits	limits;
	int64_t		deadline;		/* by driver_now; 0: none */
	bool		has_body;
	uint64_t	body_length;
	bool		large_answer;	/* much is to come */

	/* callbacks; header and take may be NULL */
	ssize_t		(*give) (HttpCall *call, void *to, size_t most);
	bool		(*again) (HttpCall *call);	/* from the body's first byte */
	/* name in lower case, value trimmed; name NULL: another answer begins */
	void		(*header) (HttpCall *call, const char *name, const char *value);
	HttpTake	(*take) (HttpCall *call, const uint8_t *bytes, size_t length);
	void		(*done) (HttpCall *call);
	void	   *context;		/* the driver's own */

	/* how it went; good from the first take on, but failed only in done */
	int			status;			/* HTTP's; 0: there was no answer */
	bool		failed;			/* the answer is not all there */
	bool		stopped;		/* by give or take */

	/* this file's own */
	void	   *easy;
	void	   *headers;
	bool		paused;
	bool		forbidden;
	int			error;
	char		error_text[256];
	char		address[64];
};

/* Makes libcurl ready; false: it can't be. */
extern bool http_open(void);
extern void http_close(void);

/*
 * Adds a header line to a call that is to be begun.  http_begin takes them;
 * false if memory is out.
 */
extern bool http_header(HttpCall *call, const char *name, const char *value);

/* Sends a request to an URL, which is not kept.  False: no memory, no done. */
extern bool http_begin(HttpCall *call, const char *url);

/* Ends a call without done, or gives back the headers of one not begun. */
extern void http_cancel(HttpCall *call);

/* Asks give and take again, if they had waited. */
extern void http_go_on(HttpCall *call);

/* Fills a result for a call that failed, but was not stopped. */
extern void http_fail(const HttpCall *call, DriverResult *result);

/* How many calls are under way. */
extern int	http_calls(void);

/* Does what can be done without waiting. */
extern void http_work(void);

/*
 * Waits, milliseconds at most, until there is something to do for a call, or to
 * read from (or write to) a descriptor.
 */
extern void http_wait(int descriptor, bool write, int milliseconds);

/* Unix seconds of an HTTP date; -1 if it is none. */
extern int64_t http_date(const char *text);

struct sockaddr;

/*
 * What kind of address it is that a store is not to have, as "a loopback
 * address"; NULL if it is one of the internet's, or of no family we know of
 * (*known false).
 */
extern const char *address_forbidden(const struct sockaddr *address, bool *known);

#endif							/* MEDIASTORE_DRIVER_HTTP_H */
