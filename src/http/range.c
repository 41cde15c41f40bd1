/*-------------------------------------------------------------------------
 *
 * range.c
 *	  The Range header (RFC 9110, 14.1.2 and 14.2).
 *
 * One range of bytes is served.  Several are not, though the RFC has a format
 * for them (14.6): nobody who shows pictures or plays media asks for several,
 * and many small ones are a known way to wear a server out.  Like a unit that
 * is not known and a header that is not understood, they get all of it.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "parts.h"

/* Digits; a number that is too large is the largest.  How many there were. */
static size_t
take_digits(const char **at, uint64_t *number)
{
	const char *begin = *at;

	*number = 0;
	for (; http_is_digit(**at); (*at)++)
	{
		uint64_t	digit = (uint64_t) (**at - '0');

		if (*number > (UINT64_MAX - digit) / 10)
			*number = UINT64_MAX;
		else
			*number = *number * 10 + digit;
	}
	return (size_t) (*at - begin);
}

HttpRange
http_range(const char *header, uint64_t total, uint64_t *first, uint64_t *length)
{
	const char *at;
	uint64_t	from = 0;
	uint64_t	to = 0;
	bool		has_from;
	bool		has_to;

	if (header == NULL)
		return HTTP_RANGE_WHOLE;
	at = http_skip_space(header);
	if (strncasecmp(at, "bytes=", 6) != 0)
		return HTTP_RANGE_WHOLE;
	/* members of a list can be empty */
	at += 6;
	at += strspn(at, ", \t");

	has_from = take_digits(&at, &from) > 0;
	if (*at++ != '-')
		return HTTP_RANGE_WHOLE;
	has_to = take_digits(&at, &to) > 0;
	if (at[strspn(at, ", \t")] != '\0' || (!has_from && !has_to) ||
		(has_from && has_to && to < from))
		return HTTP_RANGE_WHOLE;

	if (!has_from)
	{
		/* the last bytes; all of an empty value is a range nobody can write */
		if (to == 0)
			return HTTP_RANGE_UNSATISFIABLE;
		if (total == 0)
			return HTTP_RANGE_WHOLE;
		*length = to < total ? to : total;
		*first = total - *length;
		return HTTP_RANGE_PART;
	}

	if (from >= total)
		return HTTP_RANGE_UNSATISFIABLE;
	if (!has_to || to > total - 1)
		to = total - 1;
	*first = from;
	*length = to - from + 1;
	return HTTP_RANGE_PART;
}
