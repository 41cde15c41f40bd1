/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Strings that grow, percent-encoding, UTF-8, dates, and errors.
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../utf8.h"
#include "parts.h"

/* The end of the year 9999. */
#define LAST_SECOND		INT64_C(253402300799)

/* Makes room for so many more bytes and the NUL. */
static bool
reserve(StoreText *text, size_t more)
{
	size_t		room = text->room;
	char	   *bytes;

	if (text->failed)
		return false;
	if (text->length + more < text->room)
		return true;
	while (room <= text->length + more)
		room = room == 0 ? 256 : room * 2;
	/* not realloc: it would leave a copy behind */
	bytes = malloc(room);
	if (bytes == NULL)
	{
		text->failed = true;
		return false;
	}
	if (text->bytes != NULL)
	{
		memcpy(bytes, text->bytes, text->length);
		OPENSSL_cleanse(text->bytes, text->room);
		free(text->bytes);
	}
	text->bytes = bytes;
	text->room = room;
	return true;
}

void
store_text_add(StoreText *text, const char *bytes, size_t length)
{
	if (!reserve(text, length))
		return;
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
}

void
store_text_string(StoreText *text, const char *string)
{
	store_text_add(text, string, strlen(string));
}

void
store_text_format(StoreText *text, const char *format,...)
{
	va_list		arguments;
	int			length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		text->failed = true;
	if (!reserve(text, (size_t) length))
		return;
	va_start(arguments, format);
	vsnprintf(text->bytes + text->length, (size_t) length + 1, format, arguments);
	va_end(arguments);
	text->length += (size_t) length;
}

void
store_text_encode(StoreText *text, const char *string, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *string != '\0'; string++)
	{
		unsigned char c = (unsigned char) *string;

		if (store_is_unreserved(*string) || (keep_slash && c == '/'))
			store_text_add(text, string, 1);
		else
		{
			char		encoded[3] = {'%', hex[c >> 4], hex[c & 15]};

			store_text_add(text, encoded, sizeof(encoded));
		}
	}
}

char *
store_text_take(StoreText *text, StoreError *error)
{
	char	   *bytes;

	store_text_add(text, "", 0);
	if (text->failed)
	{
		store_text_drop(text);
		store_fail(error, STORE_NO_MEMORY, NULL, NULL, "out of memory");
		return NULL;
	}
	bytes = text->bytes;
	memset(text, 0, sizeof(*text));
	return bytes;
}

void
store_text_drop(StoreText *text)
{
	if (text->bytes != NULL)
		OPENSSL_cleanse(text->bytes, text->room);
	free(text->bytes);
	memset(text, 0, sizeof(*text));
}

void
store_wipe(char *string)
{
	if (string != NULL)
		OPENSSL_cleanse(string, strlen(string));
	free(string);
}

void
store_error_clear(StoreError *error)
{
	memset(error, 0, sizeof(*error));
}

bool
store_fail(StoreError *error, StoreStatus status, const char *option, const char *hint,
		   const char *format,...)
{
	va_list		arguments;

	error->status = status;
	error->option = option;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	snprintf(error->hint, sizeof(error->hint), "%s", hint != NULL ? hint : "");
	return false;
}

bool
store_is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986, 2.3 */
bool
store_is_unreserved(char c)
{
	return store_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool
store_is_encoded(const char *text)
{
	if (text[0] != '%')
		return false;
	for (int i = 1; i <= 2; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'F') ||
			  (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return true;
}

size_t
store_utf8(const char *text, bool *control)
{
	uint32_t	code;
	size_t		length = utf8_sequence(text, &code);

	if (length > 0)
		*control = code < 0x20 || (code >= 0x7f && code < 0xa0);
	return length;
}

bool
store_is_plain(const char *text)
{
	while (*text != '\0')
	{
		bool		control;
		size_t		length = store_utf8(text, &control);

		if (length == 0 || control)
			return false;
		text += length;
	}
	return true;
}

bool
store_format_date(int64_t at, char date[STORE_DATE_SIZE])
{
	time_t		seconds = (time_t) at;
	struct tm	parts;

	if (at < 0 || at > LAST_SECOND || gmtime_r(&seconds, &parts) == NULL)
		return false;
	return strftime(date, STORE_DATE_SIZE, "%Y%m%dT%H%M%SZ", &parts) == STORE_DATE_SIZE - 1;
}
