/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  UTF-8, for the rooms that know no Postgres.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_UTF8_H
#define MEDIASTORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * The length of the UTF-8 sequence a string begins with, and its code point;
 * 0 if it is none (RFC 3629).  The string ends in a NUL, which no sequence
 * goes past.
 */
static inline size_t
utf8_sequence(const char *string, uint32_t *code)
{
	const unsigned char *text = (const unsigned char *) string;
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t		length;

	if (text[0] < 0x80)
	{
		*code = text[0];
		return 1;
	}
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	*code = text[0] & (0x7f >> length);
	for (size_t i = 1; i < length; i++)
	{
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (text[i] & 0x3f);
	}
	if (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return length;
}

#endif							/* MEDIASTORE_UTF8_H */
