/*-------------------------------------------------------------------------
 *
 * parts.h
 *	  The parts of an answer (private to the http room).
 *
 * Calls: answer.c -> conditional.c -> date.c, and answer.c -> range.c,
 *		  disposition.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_HTTP_PARTS_H
#define MEDIASTORE_HTTP_PARTS_H

#include "http.h"

/* Past the optional white space (OWS, RFC 9110, 5.6.3). */
static inline const char *
http_skip_space(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

static inline bool
http_is_digit(char character)
{
	return character >= '0' && character <= '9';
}

/*
 * conditional.c
 */

/*
 * Whether an entity-tag is in the list of a header (RFC 9110, 8.8.3.2).  "*"
 * is any.  weak: W/ does not matter; else neither may have it.
 */
extern bool http_etag_matches(const char *list, const char *etag, bool weak);

/*
 * Evaluates the preconditions of a GET or HEAD in their order (RFC 9110,
 * 13.2.2): 200 to go on, 304 or 412.
 */
extern int	http_precondition(const HttpRequest *request, const HttpContent *content);

/*
 * Whether a Range header is to be heeded, as far as If-Range (RFC 9110,
 * 13.1.5) is concerned.
 */
extern bool http_range_wanted(const HttpRequest *request, const HttpContent *content);

/*
 * date.c
 */

/*
 * Reads an HTTP-date (RFC 9110, 5.6.7) in any of its three forms.  now tells
 * the century of the one with two digits.  False if it is none.
 */
extern bool http_date_parse(const char *text, int64_t now, int64_t *seconds);

/* Writes an IMF-fixdate; false if the year has not four digits. */
extern bool http_date_format(int64_t seconds, char text[HTTP_DATE_SIZE]);

/*
 * range.c
 */
typedef enum HttpRange
{
	HTTP_RANGE_WHOLE,			/* no header, not one range of bytes, or not
								 * understood: all of it */
	HTTP_RANGE_PART,
	HTTP_RANGE_UNSATISFIABLE
} HttpRange;

/*
 * Reads a Range header (RFC 9110, 14.1.2 and 14.2).  A part lies within total
 * and has at least one byte.
 */
extern HttpRange http_range(const char *header, uint64_t total, uint64_t *first,
							uint64_t *length);

/*
 * disposition.c
 */

/*
 * Writes a Content-Disposition (RFC 6266).  filename may be NULL and is made
 * harmless.  Returns false if none is needed: shown, and without a name.
 */
extern bool http_disposition(bool attachment, const char *filename,
							 char text[HTTP_DISPOSITION_SIZE]);

#endif							/* MEDIASTORE_HTTP_PARTS_H */
