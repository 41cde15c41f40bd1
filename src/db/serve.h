/*-------------------------------------------------------------------------
 *
 * serve.h
 *	  An HTTP request in a jsonb, and its answer as a media_response.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_SERVE_H
#define MEDIASTORE_SERVE_H

#include "fmgr.h"
#include "utils/jsonb.h"

#include "../http/http.h"

/* What is served: a value, or where it is to be had; or nothing. */
typedef struct ServeSource
{
	bool		is_null;		/* there is no value */
	Datum		data;			/* bytea */
	const char *location;		/* an URL, ASCII; or NULL.  If it is given there
								 * is no data */
	int64		location_seconds;	/* as in HttpContent */
	const uint8 *sha256;		/* of the value, 32 bytes, if it is known; must
								 * be if there is a location and the request's
								 * method is allowed */
} ServeSource;

/*
 * Reads a request, which is zeroed; "now" is left out.  Raises 22023 if it is
 * not an object of strings and arrays of strings.
 */
extern void serve_read_request(HttpRequest *request, Jsonb *jsonb);

/*
 * Answers a request, as the result of a function that returns media_response
 * and that has the arguments cache_control, etag, last_modified and filename
 * from the number "options" on.  Raises 22023 if one of these is bad.
 */
extern Datum serve_response(FunctionCallInfo fcinfo, HttpRequest *request,
							const ServeSource *source, int options);

#endif							/* MEDIASTORE_SERVE_H */
