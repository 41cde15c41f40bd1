/*-------------------------------------------------------------------------
 *
 * input.h
 *	  What the fuzzers share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INPUT_H
#define INPUT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PROMISE(condition) \
	do { if (!(condition)) abort(); } while (0)

/* Cuts the next line off, as a string of exactly its size. */
static inline char *
next_line(const uint8_t **bytes, size_t *length)
{
	const uint8_t *end = memchr(*bytes, '\n', *length);
	size_t		size = end != NULL ? (size_t) (end - *bytes) : *length;
	char	   *line = malloc(size + 1);

	PROMISE(line != NULL);
	memcpy(line, *bytes, size);
	line[size] = '\0';
	size += end != NULL;
	*bytes += size;
	*length -= size;
	return line;
}

#endif							/* INPUT_H */
