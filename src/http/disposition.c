/*-------------------------------------------------------------------------
 *
 * disposition.c
 *	  Content-Disposition: whether to show or to save, and under which name
 *	  (RFC 6266; the encoding of names is RFC 8187's).
 *
 *		attachment
 *		inline; filename="tree.webp"
 *		inline; filename="b_ume.webp"; filename*=UTF-8''b%C3%A4ume.webp
 *
 * The name comes from a user.  It is cleaned for every system it may be saved
 * on: what separates folders or means something to a shell or a file system
 * is replaced, and so is what makes a name read otherwise than it is.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "../utf8.h"
#include "parts.h"

/* Bytes of UTF-8; file systems take 255. */
#define NAME_MOST		200

/* An ending this long, with its dot, outlives the cut of a name. */
#define ENDING_MOST		16

#define REPLACEMENT		'_'

/* Whether a character must not be in a file's name. */
static bool
is_harmful(uint32_t code)
{
	/* control characters, C0 and C1 */
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return true;
	if (code < 0x80)
		return strchr("/\\\"<>:|?*", (int) code) != NULL;
	/* line separators, and what turns the direction of writing */
	return (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
		(code >= 0x2066 && code <= 0x2069) || code == 0x061c || code == 0xfeff;
}

/* The start of the sequence that a byte of good UTF-8 belongs to. */
static size_t
sequence_start(const char *text, size_t at)
{
	while (at > 0 && ((unsigned char) text[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/*
 * Makes a name harmless and at most NAME_MOST bytes long; its length, which
 * may be 0.
 */
static size_t
clean_name(const char *filename, char name[NAME_MOST + 1])
{
	const unsigned char *from = (const unsigned char *) filename;
	char		ending[ENDING_MOST + 1];
	size_t		ending_length = 0;
	size_t		length = 0;
	bool		cut = false;

	/* dots hide a file or lead upwards; spaces before them hide that */
	while (*from == '.' || *from == ' ')
		from++;

	while (*from != '\0')
	{
		char		replaced = REPLACEMENT;
		const char *bytes = (const char *) from;
		uint32_t	code;
		size_t		taken = utf8_sequence(bytes, &code);
		size_t		given = taken;

		if (taken == 0 || is_harmful(code))
		{
			taken = taken == 0 ? 1 : taken;
			bytes = &replaced;
			given = 1;
		}

		/* the ending so far, in case the name is cut */
		if (*bytes == '.')
			ending_length = 0;
		if (*bytes == '.' || ending_length > 0)
		{
			if (ending_length + given <= ENDING_MOST)
			{
				memcpy(ending + ending_length, bytes, given);
				ending_length += given;
			}
			else
				ending_length = 0;
		}

		if (length + given > NAME_MOST)
			cut = true;
		if (!cut)
		{
			memcpy(name + length, bytes, given);
			length += given;
		}
		from += taken;
	}

	if (cut)
	{
		if (length > NAME_MOST - ending_length)
			length = sequence_start(name, NAME_MOST - ending_length);
		memcpy(name + length, ending, ending_length);
		length += ending_length;
	}
	/* Windows drops these, and what comes before is the ending then */
	while (length > 0 && (name[length - 1] == '.' || name[length - 1] == ' '))
		length--;
	name[length] = '\0';
	return length;
}

/* attr-char (RFC 8187, 3.2.1): what needs no percent sign. */
static bool
is_attribute_character(char character)
{
	return http_is_digit(character) || (character >= 'a' && character <= 'z') ||
		(character >= 'A' && character <= 'Z') ||
		(character != '\0' && strchr("!#$&+-.^_`|~", character) != NULL);
}

bool
http_disposition(bool attachment, const char *filename, char text[HTTP_DISPOSITION_SIZE])
{
	static const char hex[] = "0123456789ABCDEF";
	char		name[NAME_MOST + 1];
	size_t		length = filename != NULL ? clean_name(filename, name) : 0;
	bool		plain = true;
	char	   *to = text;

	/* three characters a byte and one again, and what is around them */
	_Static_assert(4 * NAME_MOST + 64 <= HTTP_DISPOSITION_SIZE, "no room for a name");

	if (length == 0 && !attachment)
		return false;
	to = stpcpy(to, attachment ? "attachment" : "inline");
	if (length == 0)
		return true;

	/* for those who know no other: a % could be taken for an encoding */
	to = stpcpy(to, "; filename=\"");
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) name[i];

		if (byte >= 0x80 || byte == '%')
			plain = false;
		if ((byte & 0xc0) != 0x80)
			*to++ = byte >= 0x80 || byte == '%' ? REPLACEMENT : (char) byte;
	}
	to = stpcpy(to, "\"");
	if (plain)
		return true;

	to = stpcpy(to, "; filename*=UTF-8''");
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) name[i];

		if (is_attribute_character(name[i]))
			*to++ = name[i];
		else
		{
			*to++ = '%';
			*to++ = hex[byte >> 4];
			*to++ = hex[byte & 15];
		}
	}
	*to = '\0';
	return true;
}
