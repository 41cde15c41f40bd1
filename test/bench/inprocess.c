/*-------------------------------------------------------------------------
 *
 * inprocess.c
 *	  The image room without a process around it: for test/bench, and for
 *	  test/corpus --sanitize.
 *
 * Reads lines "RUNS MAX_BYTES QUALITY MIN_QUALITY FILE" and answers each with
 * "CPU_NS WALL_NS BYTES WIDTH HEIGHT QUALITY ENCODES", the times those of one
 * image_compress on the average of RUNS; or with "refused: MESSAGE".
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image/image.h"

static double
now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint8_t *
slurp(const char *path, size_t *length)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *data = NULL;
	long		size;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 &&
		fseek(file, 0, SEEK_SET) == 0 && (data = malloc(size)) != NULL &&
		fread(data, 1, size, file) == (size_t) size)
		*length = size;
	else
	{
		free(data);
		data = NULL;
	}
	fclose(file);
	return data;
}

int
main(void)
{
	char		line[4096];

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		ImageCompressOptions options = {.max_dimension = 1024, .effort = 4};
		ImageLimits limits = {.max_pixels = 1000000000, .max_frames = 1000};
		ImageResult result = {0};
		ImageError	error = {0};
		ImageStatus status = IMAGE_OK;
		uint8_t    *data;
		size_t		length = 0;
		int			runs,
					path = 0;
		double		cpu,
					wall;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%d %d %d %d %n", &runs, &options.max_bytes, &options.quality,
				   &options.min_quality, &path) < 4 || path == 0 || runs < 1)
			return 2;
		data = slurp(line + path, &length);
		if (data == NULL)
		{
			perror(line + path);
			return 1;
		}
		cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		wall = now(CLOCK_MONOTONIC);
		for (int i = 0; i < runs && status == IMAGE_OK; i++)
		{
			free(result.data);
			status = image_compress(data, length, &options, &limits, &result, &error);
		}
		cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		wall = now(CLOCK_MONOTONIC) - wall;
		if (status == IMAGE_OK)
			printf("%.0f %.0f %zu %d %d %d %d\n", cpu / runs, wall / runs, result.length,
				   result.width, result.height, result.quality, result.encodes);
		else
			printf("refused: %s\n", error.message);
		fflush(stdout);
		free(result.data);
		free(data);
	}
	return 0;
}
