/*-------------------------------------------------------------------------
 *
 * driver_s3_answer.c
 *	  The XML that S3 answers with: errors, uploads in parts, lists.
 *
 * It is read as it comes, by expat, and nothing of it is kept but the few
 * elements that count.  Depth, length and the elements' text are limited; a
 * document type is refused, so there are no entities but XML's own five.
 *
 *-------------------------------------------------------------------------
 */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver_s3.h"

#define DEPTH_MOST		16

struct S3Answer
{
	XML_Parser	parser;
	S3Said		said;
	S3ItemCallback item;
	void	   *context;
	size_t		left;			/* bytes that may still come */
	int			depth;
	bool		bad;
	bool		ended;
	bool		in_item;		/* in Contents */
	bool		key_said;
	char		name[48];		/* of the innermost element that began last */
	size_t		length;			/* of text */
	char		text[S3_TEXT_MOST + 1];
	char		key[S3_TEXT_MOST + 1];
	char		etag[256];
	uint64_t	bytes;
	int64_t		modified;
};

static void
stop(S3Answer *answer)
{
	answer->bad = true;
	(void) XML_StopParser(answer->parser, XML_FALSE);
}

static void
copy(char *to, size_t size, const char *from)
{
	size_t		length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

/* An ETag's text without its quotes. */
static void
copy_etag(char *to, size_t size, const char *from)
{
	size_t		length;

	copy(to, size, from[0] == '"' ? from + 1 : from);
	length = strlen(to);
	if (length > 0 && to[length - 1] == '"')
		to[length - 1] = '\0';
}

static uint64_t
number(const char *text)
{
	uint64_t	value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
	{
		if (value > UINT64_MAX / 10 - 1)
			return 0;
		value = value * 10 + (uint64_t) (*text - '0');
	}
	return value;
}

/* --- expat's callbacks --------------------------------------------------- */

static void XMLCALL
on_doctype(void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public,
		   int internal)
{
	(void) name;
	(void) system;
	(void) public;
	(void) internal;
	stop(context);
}

static void XMLCALL
on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	S3Answer   *answer = context;

	(void) attributes;
	if (++answer->depth > DEPTH_MOST)
	{
		stop(answer);
		return;
	}
	if (answer->depth == 1)
		copy(answer->said.root, sizeof(answer->said.root), name);
	copy(answer->name, sizeof(answer->name), name);
	answer->length = 0;
	if (answer->depth == 2 && answer->item != NULL && strcmp(name, "Contents") == 0)
	{
		answer->in_item = true;
		answer->key_said = false;
		answer->key[0] = '\0';
		answer->etag[0] = '\0';
		answer->bytes = 0;
		answer->modified = 0;
	}
}

static void XMLCALL
on_text(void *context, const XML_Char *bytes, int length)
{
	S3Answer   *answer = context;

	/* a text too long is cut; what needs all of it looks at its length */
	if (answer->length < sizeof(answer->text))
	{
		size_t		room = sizeof(answer->text) - answer->length;
		size_t		taken = (size_t) length < room ? (size_t) length : room;

		memcpy(answer->text + answer->length, bytes, taken);
		answer->length += taken;
	}
}

/* The end of an element of the document's own level. */
static void
take_element(S3Answer *answer, const char *name)
{
	S3Said	   *said = &answer->said;
	const char *text = answer->text;

	if (strcmp(name, "Code") == 0)
		copy(said->code, sizeof(said->code), text);
	else if (strcmp(name, "Message") == 0)
		copy(said->message, sizeof(said->message), text);
	else if (strcmp(name, "Region") == 0)
		copy(said->region, sizeof(said->region), text);
	else if (strcmp(name, "UploadId") == 0)
	{
		if (answer->length >= sizeof(said->upload_id))
			stop(answer);
		copy(said->upload_id, sizeof(said->upload_id), text);
	}
	else if (strcmp(name, "ETag") == 0)
		copy_etag(said->etag, sizeof(said->etag), text);
	else if (strcmp(name, "IsTruncated") == 0)
		said->truncated = strcmp(text, "true") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0)
	{
		if (answer->length >= sizeof(said->token))
			stop(answer);
		copy(said->token, sizeof(said->token), text);
	}
}

/* The end of an element of an item. */
static void
take_item_element(S3Answer *answer, const char *name)
{
	if (strcmp(name, "Key") == 0)
	{
		memcpy(answer->key, answer->text, answer->length + 1);
		answer->key_said = true;
	}
	else if (strcmp(name, "Size") == 0)
		answer->bytes = number(answer->text);
	else if (strcmp(name, "ETag") == 0)
		copy_etag(answer->etag, sizeof(answer->etag), answer->text);
	else if (strcmp(name, "LastModified") == 0)
		answer->modified = s3_date(answer->text);
}

static void XMLCALL
on_end(void *context, const XML_Char *name)
{
	S3Answer   *answer = context;
	int			depth = answer->depth--;

	if (answer->bad)
		return;
	if (answer->in_item && depth == 2)
	{
		S3Item		item = {
			.key = answer->key,.bytes = answer->bytes,.modified = answer->modified,
			.etag = answer->etag
		};

		answer->in_item = false;
		answer->said.items++;
		if (answer->key_said)
			answer->item(answer->context, &item);
		return;
	}

	/* one that has others in it has no text of its own that counts */
	if (strncmp(name, answer->name, sizeof(answer->name) - 1) != 0)
		return;
	if (answer->length > S3_TEXT_MOST)
	{
		answer->text[S3_TEXT_MOST] = '\0';
		if (answer->in_item && depth == 3 && strcmp(name, "Key") == 0)
		{
			stop(answer);
			return;
		}
	}
	else
		answer->text[answer->length] = '\0';
	if (answer->in_item && depth == 3)
		take_item_element(answer, name);
	else if (depth == 2)
		take_element(answer, name);
	answer->length = 0;
	answer->name[0] = '\0';
}

/* --- answers ------------------------------------------------------------- */

S3Answer *
s3_answer_new(void)
{
	S3Answer   *answer = calloc(1, sizeof(S3Answer));

	if (answer == NULL)
		return NULL;
	answer->parser = XML_ParserCreate(NULL);
	if (answer->parser == NULL)
	{
		free(answer);
		return NULL;
	}
	return answer;
}

void
s3_answer_free(S3Answer *answer)
{
	if (answer == NULL)
		return;
	XML_ParserFree(answer->parser);
	free(answer);
}

bool
s3_answer_begin(S3Answer *answer, size_t most, S3ItemCallback item, void *context)
{
	XML_Parser	parser = answer->parser;

	if (XML_ParserReset(parser, NULL) != XML_TRUE)
		return false;
	memset(&answer->said, 0, sizeof(answer->said));
	answer->item = item;
	answer->context = context;
	answer->left = most;
	answer->depth = 0;
	answer->bad = false;
	answer->ended = false;
	answer->in_item = false;
	answer->length = 0;
	answer->name[0] = '\0';
	XML_SetUserData(parser, answer);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	XML_SetStartDoctypeDeclHandler(parser, on_doctype);
	return true;
}

bool
s3_answer_add(S3Answer *answer, const uint8_t *bytes, size_t length)
{
	if (answer->bad || answer->ended)
		return false;
	if (length > answer->left || length > INT32_MAX)
		answer->bad = true;
	else
	{
		answer->left -= length;
		if (XML_Parse(answer->parser, (const char *) bytes, (int) length, 0) != XML_STATUS_OK)
			answer->bad = true;
	}
	return !answer->bad;
}

bool
s3_answer_end(S3Answer *answer)
{
	if (!answer->bad && !answer->ended && XML_Parse(answer->parser, "", 0, 1) != XML_STATUS_OK)
		answer->bad = true;
	answer->ended = true;
	return !answer->bad;
}

const S3Said *
s3_answer_said(const S3Answer *answer)
{
	return &answer->said;
}

/* --- texts --------------------------------------------------------------- */

int64_t
s3_date(const char *text)
{
	struct tm	parts = {0};
	int			end = 0;

	if (strlen(text) < 19 ||
		sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
			   &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &end) != 6 || end != 19 ||
		parts.tm_year < 1970 || parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 ||
		parts.tm_mday > 31 || parts.tm_hour < 0 || parts.tm_hour > 23 || parts.tm_min < 0 ||
		parts.tm_min > 59 || parts.tm_sec < 0 || parts.tm_sec > 60)
		return 0;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	return (int64_t) timegm(&parts);
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

bool
s3_decode(char *text)
{
	char	   *to = text;

	for (; *text != '\0'; text++)
	{
		if (*text == '+')
			*to++ = ' ';
		else if (store_is_encoded(text))
		{
			char		c = (char) (hex_digit(text[1]) << 4 | hex_digit(text[2]));

			if (c == '\0')
				return false;
			*to++ = c;
			text += 2;
		}
		else
			*to++ = *text;
	}
	*to = '\0';
	return true;
}
