/*-------------------------------------------------------------------------
 *
 * fuzz_http.c
 *	  Throws requests, names and first bytes at the http room.
 *
 * The input is lines: flags and numbers in the first bytes, then a header
 * each.  What comes out must be an answer: of a known status, with a range
 * that lies within the value, and with headers that nobody can break out of.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/http/parts.h"
#include "input.h"

#define NUMBERS 18				/* flags, total, last_modified */

static void
check_headers(const HttpAnswer *answer, const HttpContent *content)
{
	PROMISE(answer->header_count >= 1 && answer->header_count <= HTTP_MOST_HEADERS);
	for (int i = 0; i < answer->header_count; i++)
	{
		const HttpHeader *header = &answer->headers[i];

		PROMISE(header->name[0] != '\0' && header->value[0] != '\0');
		for (const char *c = header->value; *c != '\0'; c++)
			PROMISE(*c >= ' ' && *c < 127);
		for (int j = 0; j < i; j++)
			PROMISE(strcmp(header->name, answer->headers[j].name) != 0);

		/* after the name a quote opens, and only another closes it */
		if (strcmp(header->name, "Content-Disposition") == 0)
		{
			const char *name = strstr(header->value, "filename=\"");
			const char *end = name != NULL ? strchr(name + 10, '"') : NULL;

			PROMISE(name == NULL || (end != NULL && end > name + 10 && name[10] != '.'));
			PROMISE(end == NULL || end[1] == '\0' || strncmp(end + 1, "; filename*=UTF-8''", 19) == 0);
			PROMISE(end == NULL || end[1] == '\0' || strpbrk(end + 3, "\"/\\; ") == NULL);
			PROMISE(name == NULL || content->filename != NULL);
		}
	}
}

/* A date that was read is the date that is written. */
static void
check_dates(const char *text, int64_t now)
{
	char		written[HTTP_DATE_SIZE];
	int64_t		seconds;
	int64_t		again;

	/* the leap second of the last minute of 9999 is in a year of five digits */
	if (!http_date_parse(text, now, &seconds) || seconds == INT64_C(253402300800))
		return;
	PROMISE(http_date_format(seconds, written) && strlen(written) == HTTP_DATE_SIZE - 1);
	PROMISE(http_date_parse(written, now, &again) && again == seconds);
}

int			LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const char *const methods[4] = {"GET", "HEAD", "POST", NULL};
	HttpRequest request = {0};
	HttpContent content = {0};
	HttpAnswer	answer;
	HttpType	type;
	const char **fields[] = {
		&request.if_match, &request.if_none_match, &request.if_modified_since,
		&request.if_unmodified_since, &request.range, &request.if_range,
		&content.cache_control, &content.filename, &content.etag
	};
	char	   *lines[sizeof(fields) / sizeof(fields[0])];
	char	   *quoted = NULL;
	uint8_t		numbers[NUMBERS];
	unsigned	flags;
	int64_t		modified;

	type = http_type(NULL, bytes, length);
	PROMISE(type.name != NULL && type.name[0] != '\0');

	if (length < NUMBERS)
		return 0;
	memcpy(numbers, bytes, NUMBERS);
	bytes += NUMBERS;
	length -= NUMBERS;
	flags = numbers[0] | (unsigned) numbers[1] << 8;
	memcpy(&content.total, numbers + 2, 8);
	memcpy(&modified, numbers + 10, 8);
	/* mostly lengths as they are */
	if (flags & 1)
		content.total &= 0x3fff;
	request.now = 1700000000;
	request.method = methods[flags >> 1 & 3];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		lines[i] = next_line(&bytes, &length);
		*fields[i] = flags >> (3 + i) & 1 ? lines[i] : NULL;
		check_dates(lines[i], request.now);
	}
	if (content.cache_control != NULL &&
		(!http_value_valid(content.cache_control) || content.cache_control[0] == '\0'))
		content.cache_control = NULL;
	switch (http_etag_form(lines[8]))
	{
		case HTTP_ETAG_INVALID:
			content.etag = "\"tag\"";
			break;
		case HTTP_ETAG_OPAQUE:
			quoted = malloc(strlen(lines[8]) + 3);
			PROMISE(quoted != NULL);
			stpcpy(stpcpy(stpcpy(quoted, "\""), lines[8]), "\"");
			content.etag = quoted;
			PROMISE(http_etag_form(quoted) == HTTP_ETAG_QUOTED);
			break;
		case HTTP_ETAG_QUOTED:
			content.etag = lines[8];
			break;
	}
	if (flags & 1 << 12)
	{
		content.location = "https://cdn.example.com/a";
		content.location_seconds = flags & 1 << 13 ? modified : -1;
	}
	PROMISE(http_etag_matches(content.etag, content.etag, true));
	http_content_date(&content, modified, request.now);
	PROMISE(content.last_modified <= request.now);

	http_decide(&request, &content, &answer);
	PROMISE(answer.first <= content.total && answer.length <= content.total - answer.first);
	PROMISE(!answer.send || http_shows_type(&answer));
	PROMISE(content.location == NULL || !http_shows_type(&answer));
	PROMISE(!answer.send || request.method == NULL || strcmp(request.method, "GET") == 0);
	switch (answer.status)
	{
		case 200:
			PROMISE(answer.first == 0 && answer.length == content.total);
			break;
		case 206:
			PROMISE(request.range != NULL && answer.length > 0 && answer.send);
			break;
		case 302:
			PROMISE(content.location != NULL && answer.length == 0);
			break;
		case 304:
			PROMISE(request.if_none_match != NULL || request.if_modified_since != NULL);
			break;
		case 405:
			PROMISE(!http_method_allowed(request.method));
			break;
		case 412:
			PROMISE(request.if_match != NULL || request.if_unmodified_since != NULL);
			break;
		case 416:
			PROMISE(request.range != NULL);
			break;
		default:
			abort();
	}
	http_describe(&content, &type, &answer);
	check_headers(&answer, &content);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		free(lines[i]);
	free(quoted);
	return 0;
}
