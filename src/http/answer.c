/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  An answer, from its parts.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "parts.h"

/*
 * What is shown may run nothing and load nothing, even where a browser is
 * made to take it for a page.  Styles and data: are what an SVG is drawn with.
 */
#define POLICY(media) \
	"default-src 'none'; " media "style-src 'unsafe-inline'; img-src data:; sandbox"

bool
http_method_allowed(const char *method)
{
	return method == NULL || strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

void
http_decide(const HttpRequest *request, const HttpContent *content, HttpAnswer *answer)
{
	bool		get = request->method == NULL || strcmp(request->method, "GET") == 0;

	answer->send = false;
	answer->first = 0;
	answer->length = 0;
	answer->header_count = 0;

	/* conditions count only where the answer would be a good one (13.2.1) */
	if (content == NULL)
		answer->status = 404;
	else if (!http_method_allowed(request->method))
		answer->status = 405;
	else
		answer->status = http_precondition(request, content);
	if (answer->status != 200)
		return;
	if (content->location != NULL)
	{
		answer->status = 302;
		return;
	}

	/* ranges are GET's (14.2) */
	if (get && http_range_wanted(request, content))
	{
		switch (http_range(request->range, content->total, &answer->first, &answer->length))
		{
			case HTTP_RANGE_PART:
				answer->status = 206;
				answer->send = true;
				return;
			case HTTP_RANGE_UNSATISFIABLE:
				answer->status = 416;
				return;
			case HTTP_RANGE_WHOLE:
				break;
		}
	}
	answer->length = content->total;
	answer->send = get;
}

bool
http_shows_type(const HttpAnswer *answer)
{
	return answer->status == 200 || answer->status == 206;
}

static void
add(HttpAnswer *answer, const char *name, const char *value)
{
	HttpHeader *header = &answer->headers[answer->header_count++];

	header->name = name;
	header->value = value;
}

/* The headers of what is shown, in part or as a whole. */
static void
add_representation(const HttpContent *content, const HttpType *type, HttpAnswer *answer)
{
	bool		plays = strncmp(type->name, "video/", 6) == 0 ||
		strncmp(type->name, "audio/", 6) == 0 || strcmp(type->name, "application/ogg") == 0;

	add(answer, "Content-Type", type->name);
	snprintf(answer->content_length, sizeof(answer->content_length), "%" PRIu64, answer->length);
	add(answer, "Content-Length", answer->content_length);
	if (answer->status == 206)
	{
		snprintf(answer->content_range, sizeof(answer->content_range),
				 "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, answer->first,
				 answer->first + answer->length - 1, content->total);
		add(answer, "Content-Range", answer->content_range);
	}
	if (http_disposition(type->attachment, content->filename, answer->disposition))
		add(answer, "Content-Disposition", answer->disposition);
	add(answer, "Accept-Ranges", "bytes");
	if (content->has_last_modified &&
		http_date_format(content->last_modified, answer->last_modified))
		add(answer, "Last-Modified", answer->last_modified);

	/*
	 * A video that is opened by itself is a page of the browser's making with
	 * the video in it, which this policy holds for.
	 */
	add(answer, "X-Content-Type-Options", "nosniff");
	add(answer, "Content-Security-Policy", plays ? POLICY("media-src 'self'; ") : POLICY(""));
}

/*
 * A redirect that holds for a time only has no tag: by a 304, a cache would
 * take it for fresh when that time is over.
 */
static void
add_redirect(const HttpContent *content, HttpAnswer *answer)
{
	add(answer, "Location", content->location);
	add(answer, "Content-Length", "0");
	if (content->location_seconds >= 0)
	{
		snprintf(answer->cache_control, sizeof(answer->cache_control),
				 "private, max-age=%" PRId64, content->location_seconds);
		add(answer, "Cache-Control", answer->cache_control);
		return;
	}
	add(answer, "ETag", content->etag);
	if (content->cache_control != NULL)
		add(answer, "Cache-Control", content->cache_control);
}

/*
 * A 304 carries what keeps the stored answer fresh and nothing else: that one
 * has its own type and policy, and the tag says that they are still right
 * (RFC 9110, 15.4.5; Last-Modified is for answers without a tag).
 */
void
http_describe(const HttpContent *content, const HttpType *type, HttpAnswer *answer)
{
	answer->header_count = 0;
	switch (answer->status)
	{
		case 200:
		case 206:
			add_representation(content, type, answer);
			/* FALLTHROUGH */
		case 304:
			add(answer, "ETag", content->etag);
			if (content->cache_control != NULL)
				add(answer, "Cache-Control", content->cache_control);
			return;
		case 302:
			add_redirect(content, answer);
			return;
		case 405:
			add(answer, "Allow", "GET, HEAD");
			break;
		case 416:
			snprintf(answer->content_range, sizeof(answer->content_range),
					 "bytes */%" PRIu64, content->total);
			add(answer, "Content-Range", answer->content_range);
			break;
		default:
			break;
	}
	add(answer, "Cache-Control", "no-store");
}
