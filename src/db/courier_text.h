/*-------------------------------------------------------------------------
 *
 * courier_text.h
 *	  Text on the way to and from the courier: fields, and what is in them.
 *
 * Fields are as courier_wire.h has them: a name and a value, each with a NUL
 * at its end, in UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COURIER_TEXT_H
#define MEDIASTORE_COURIER_TEXT_H

#include "../helper/courier_wire.h"

/* Fields that are put together. */
typedef struct CourierText
{
	char	   *bytes;			/* the caller's, COURIER_TEXT_MOST of them */
	size_t		length;
	bool		overflow;		/* one did not fit; nothing was added since */
} CourierText;

/* Adds a field; one whose value is NULL is not added. */
extern void courier_text_add(CourierText *text, const char *name, const char *value);

/* The same, with a name of two parts. */
extern void courier_text_add_named(CourierText *text, const char *prefix, const char *name,
								   const char *value);

/* Whether bytes are nothing but whole fields, each with a name. */
extern bool courier_text_check(const char *bytes, size_t length);

/*
 * Gives the field at *at, in bytes that were checked, and moves on; false at
 * the end.
 */
extern bool courier_text_next(const char **at, const char *end, const char **name,
							  const char **value);

/*
 * Makes text of the courier's harmless, and the server's: control characters,
 * and what is no UTF-8 or has no equal in the server's encoding, become "?".
 * What is longer than most bytes is cut off.  Raises nothing but 53200; needs no
 * transaction, but without one knows no characters but ASCII's where the
 * server's encoding is another.  The result is palloc'd.
 */
extern char *courier_text_tame(const char *value, size_t most);

/*
 * Whether a value can be sent as a header and comes back as it is: printable
 * ASCII, with no blank at either end, and not empty.
 */
extern bool courier_text_is_header(const char *value);

/* Whether a name can be that of a header (a token; RFC 9110, 5.6.2). */
extern bool courier_text_is_token(const char *name);

#endif							/* MEDIASTORE_COURIER_TEXT_H */
