/*-------------------------------------------------------------------------
 *
 * conditional.c
 *	  Entity-tags, and the conditions a request can set (RFC 9110, 8.8.3 and
 *	  13).
 *
 * What is not understood of a condition decides so that nothing stale is
 * taken for fresh: a damaged date is no condition at all, and a damaged
 * entity-tag is the tag of no value.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "parts.h"

/* Visible ASCII but the quote: etagc without the bytes above 127. */
static bool
is_etag_character(char character)
{
	return character > ' ' && character < 127 && character != '"';
}

HttpEtagForm
http_etag_form(const char *text)
{
	size_t		length = strlen(text);
	bool		quoted = false;

	if (length >= 4 && memcmp(text, "W/\"", 3) == 0)
	{
		text += 2;
		length -= 2;
	}
	if (length >= 2 && text[0] == '"' && text[length - 1] == '"')
	{
		quoted = true;
		text++;
		length -= 2;
	}
	if (length == 0)
		return HTTP_ETAG_INVALID;
	for (size_t i = 0; i < length; i++)
	{
		if (!is_etag_character(text[i]))
			return HTTP_ETAG_INVALID;
	}
	return quoted ? HTTP_ETAG_QUOTED : HTTP_ETAG_OPAQUE;
}

bool
http_value_valid(const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text < ' ' || *text >= 127)
			return false;
	}
	return true;
}

/* Past a W/; whether there was one. */
static bool
skip_weak(const char **text)
{
	if ((*text)[0] != 'W' || (*text)[1] != '/')
		return false;
	*text += 2;
	return true;
}

bool
http_etag_matches(const char *list, const char *etag, bool weak)
{
	const char *at = http_skip_space(list);
	const char *opaque = etag;
	bool		etag_weak = skip_weak(&opaque);
	size_t		length = strlen(opaque);

	if (*at == '*' && *http_skip_space(at + 1) == '\0')
		return true;
	if (etag_weak && !weak)
		return false;

	while (*at != '\0')
	{
		bool		member_weak = skip_weak(&at);
		const char *end;

		if (*at == '"' && (end = strchr(at + 1, '"')) != NULL)
		{
			end++;
			if ((weak || !member_weak) && (size_t) (end - at) == length &&
				memcmp(at, opaque, length) == 0)
				return true;
			at = end;
		}
		/* on to the next member, over whatever this one was */
		at += strcspn(at, ",");
		while (*at == ',' || *at == ' ' || *at == '\t')
			at++;
	}
	return false;
}

void
http_content_date(HttpContent *content, int64_t seconds, int64_t now)
{
	char		text[HTTP_DATE_SIZE];

	content->last_modified = seconds < now ? seconds : now;
	content->has_last_modified = http_date_format(content->last_modified, text);
}

/* A header that is a date, if it is one and there is one to compare it with. */
static bool
usable_date(const char *header, const HttpRequest *request, const HttpContent *content,
			int64_t *date)
{
	return header != NULL && content->has_last_modified &&
		http_date_parse(header, request->now, date);
}

int
http_precondition(const HttpRequest *request, const HttpContent *content)
{
	int64_t		date;

	if (request->if_match != NULL)
	{
		if (!http_etag_matches(request->if_match, content->etag, false))
			return 412;
	}
	else if (usable_date(request->if_unmodified_since, request, content, &date))
	{
		if (content->last_modified > date)
			return 412;
	}

	if (request->if_none_match != NULL)
	{
		if (http_etag_matches(request->if_none_match, content->etag, true))
			return 304;
	}
	else if (usable_date(request->if_modified_since, request, content, &date))
	{
		if (content->last_modified <= date)
			return 304;
	}
	return 200;
}

bool
http_range_wanted(const HttpRequest *request, const HttpContent *content)
{
	const char *at;
	int64_t		date;

	if (request->if_range == NULL)
		return true;
	at = http_skip_space(request->if_range);
	if (*at == '"')
	{
		/* one tag, not a list; a weak one never matches */
		const char *end = strchr(at + 1, '"');

		return end != NULL && *http_skip_space(end + 1) == '\0' &&
			http_etag_matches(at, content->etag, false);
	}
	/* exactly that date: an earlier one is of another version as well */
	return usable_date(at, request, content, &date) && date == content->last_modified;
}
