/*-------------------------------------------------------------------------
 *
 * start.c
 *	  What each helper program does first with what its parent gave it.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "start.h"
#include "wire.h"

long
start_argument(const char *text, long lowest, long highest)
{
	char	   *end;
	long		value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < lowest || value > highest)
	{
		fprintf(stderr, "invalid argument \"%s\"\n", text);
		exit(EXIT_USAGE);
	}
	return value;
}

void *
start_arena(size_t lowest, size_t highest, size_t *size)
{
	struct stat status;
	void	   *start;

	if (fstat(WIRE_ARENA_FD, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0 ||
		(size_t) status.st_size < lowest || (size_t) status.st_size > highest)
		return NULL;
	*size = (size_t) status.st_size;
	start = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, WIRE_ARENA_FD, 0);
	if (start == MAP_FAILED || close(WIRE_ARENA_FD) != 0)
		return NULL;
	return start;
}
