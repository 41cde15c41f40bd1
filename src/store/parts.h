/*-------------------------------------------------------------------------
 *
 * parts.h
 *	  What the files of the store room have of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_STORE_PARTS_H
#define MEDIASTORE_STORE_PARTS_H

#include "store.h"

/*
 * A string that grows.  Once memory is out it stays failed and takes nothing
 * more.  Tokens are written into it, so it wipes what it leaves behind.
 */
typedef struct StoreText
{
	char	   *bytes;			/* ends in a NUL; NULL while empty */
	size_t		length;
	size_t		room;
	bool		failed;
} StoreText;

extern void store_text_add(StoreText *text, const char *bytes, size_t length);
extern void store_text_string(StoreText *text, const char *string);
extern void store_text_format(StoreText *text, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/*
 * Adds a string percent-encoded (RFC 3986, 2.1; unreserved characters stay,
 * and so does "/" if wanted).
 */
extern void store_text_encode(StoreText *text, const char *string, bool keep_slash);

/* The string, which is the caller's now; NULL with an error if it failed. */
extern char *store_text_take(StoreText *text, StoreError *error);

/* Wipes and frees it. */
extern void store_text_drop(StoreText *text);

/* Wipes and frees a malloc'd string; NULL is none. */
extern void store_wipe(char *string);

/* Fills the error; false.  option and hint may be NULL. */
extern bool store_fail(StoreError *error, StoreStatus status, const char *option,
					   const char *hint, const char *format,...)
			__attribute__((format(printf, 5, 6)));

/* An error with nothing in it yet. */
extern void store_error_clear(StoreError *error);

/* Character classes of ASCII, whatever the locale. */
extern bool store_is_alnum(char c);
extern bool store_is_unreserved(char c);

/* Whether a "%" and two hex digits are at text. */
extern bool store_is_encoded(const char *text);

/*
 * The length of the UTF-8 sequence a string begins with (RFC 3629), and
 * whether it is a control character, C0, DEL or C1; 0 if it is no UTF-8.
 */
extern size_t store_utf8(const char *text, bool *control);

/* Whether a string is UTF-8 without control characters. */
extern bool store_is_plain(const char *text);

/* "20130524T000000Z"; false outside of 1970 to 9999. */
extern bool store_format_date(int64_t at, char date[STORE_DATE_SIZE]);

#endif							/* MEDIASTORE_STORE_PARTS_H */
