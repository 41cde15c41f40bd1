/*-------------------------------------------------------------------------
 *
 * test_http.c
 *	  The http room: dates, entity-tags, conditions, ranges, names of files,
 *	  types, and whole answers.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "../../src/http/parts.h"
#include "check.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* Sun, 06 Nov 1994 08:49:37 GMT: the RFC's own example. */
#define THEN	784111777
#define NOW		1700000000		/* in 2023 */

static void
test_dates(void)
{
	static const struct
	{
		const char *text;
		int64_t		seconds;
	}			good[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", THEN},
		{"Sunday, 06-Nov-94 08:49:37 GMT", THEN},
		{"Sun Nov  6 08:49:37 1994", THEN},
		{"Sun Nov 06 08:49:37 1994", THEN},
		{" \tSun, 06 Nov 1994 08:49:37 GMT ", THEN},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Wed, 31 Dec 1969 23:59:59 GMT", -1},
		{"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
		{"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
		{"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
		{"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799)},
		{"Sat, 01 Jan 0000 00:00:00 GMT", INT64_C(-62167219200)},
		/* fifty years ahead, and one more is in the past */
		{"Sunday, 01-Jan-73 00:00:00 GMT", INT64_C(3250454400)},
		{"Tuesday, 01-Jan-74 00:00:00 GMT", 126230400},
	};
	static const char *const bad[] = {
		"", " ", "yesterday", "784111777",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 gmt", "sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun,06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 19940 08:49:37 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
		"Thu, 29 Feb 2023 12:00:00 GMT", "Mon, 29 Feb 1900 12:00:00 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMT+1", "Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
		"Sun Nov  6 08:49:37 1994 GMT", "Sun Nov  6 08:49:37 199",
		"1994-11-06T08:49:37Z", "Sun, 06 Nov -994 08:49:37 GMT",
		"S", "Sun", "Sun,", "Sun, 06 Nov 1994 08:49:3",
	};
	char		text[HTTP_DATE_SIZE];
	int64_t		seconds;

	for (size_t i = 0; i < COUNT(good); i++)
	{
		check_subject = good[i].text;
		if (CHECK(http_date_parse(good[i].text, NOW, &seconds)))
			CHECK_EQUAL(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		check_subject = bad[i];
		CHECK(!http_date_parse(bad[i], NOW, &seconds));
	}

	check_subject = "two digits of a year";
	CHECK(http_date_parse("Thursday, 01-Jan-01 00:00:00 GMT", INT64_C(4070908800), &seconds));
	CHECK_EQUAL(seconds, INT64_C(4133980800));	/* 2099 says 2101 */

	check_subject = "dates written";
	CHECK(http_date_format(THEN, text));
	CHECK_STRING(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	CHECK(http_date_format(-1, text));
	CHECK_STRING(text, "Wed, 31 Dec 1969 23:59:59 GMT");
	CHECK(http_date_format(INT64_C(253402300799), text));
	CHECK_STRING(text, "Fri, 31 Dec 9999 23:59:59 GMT");
	CHECK(!http_date_format(INT64_C(253402300800), text));
	CHECK(!http_date_format(INT64_C(-62167219201), text));
	CHECK(!http_date_format(INT64_MAX, text));
	CHECK(!http_date_format(INT64_MIN, text));
}

static void
test_etags(void)
{
	static const struct
	{
		const char *text;
		HttpEtagForm form;
	}			forms[] = {
		{"abc", HTTP_ETAG_OPAQUE}, {"a,b;W/c", HTTP_ETAG_OPAQUE}, {"W/abc", HTTP_ETAG_OPAQUE},
		{"W/", HTTP_ETAG_OPAQUE}, {"'", HTTP_ETAG_OPAQUE}, {"\\", HTTP_ETAG_OPAQUE},
		{"\"abc\"", HTTP_ETAG_QUOTED}, {"W/\"abc\"", HTTP_ETAG_QUOTED}, {"\"a,b\"", HTTP_ETAG_QUOTED},
		{"", HTTP_ETAG_INVALID}, {"\"", HTTP_ETAG_INVALID}, {"\"\"", HTTP_ETAG_INVALID},
		{"W/\"\"", HTTP_ETAG_INVALID}, {"W/\"", HTTP_ETAG_INVALID}, {"a b", HTTP_ETAG_INVALID},
		{"a\"b", HTTP_ETAG_INVALID}, {"\"a\"b\"", HTTP_ETAG_INVALID}, {"\"a", HTTP_ETAG_INVALID},
		{"a\"", HTTP_ETAG_INVALID}, {"w/\"a\"", HTTP_ETAG_INVALID}, {"a\r\nb", HTTP_ETAG_INVALID},
		{"a\tb", HTTP_ETAG_INVALID}, {"a\x7f", HTTP_ETAG_INVALID}, {"\xc3\xa4", HTTP_ETAG_INVALID},
	};
	static const struct
	{
		const char *list;
		const char *etag;
		bool		weak;
		bool		strong;
	}			matches[] = {
		{"\"a\"", "\"a\"", true, true},
		{"W/\"a\"", "\"a\"", true, false},
		{"\"a\"", "W/\"a\"", true, false},
		{"W/\"a\"", "W/\"a\"", true, false},
		{"\"b\"", "\"a\"", false, false},
		{"\"A\"", "\"a\"", false, false},
		{"*", "\"a\"", true, true},
		{" * ", "\"a\"", true, true},
		{"*", "W/\"a\"", true, true},
		{"\"*\"", "\"a\"", false, false},
		{"*, \"b\"", "\"a\"", false, false},
		{"\"x\", \"y\",\"a\"", "\"a\"", true, true},
		{" , ,\t\"x\" ,W/\"a\" , ", "\"a\"", true, false},
		{"\"x,\"a\",y\"", "\"a\"", false, false},
		{"\"x,a\", \"a\"", "\"a\"", true, true},
		{"\"x,a\"", "\"a\"", false, false},
		{"\"x,a\"", "\"x,a\"", true, true},
		{"a", "\"a\"", false, false},
		{"'a'", "\"a\"", false, false},
		{"w/\"a\"", "\"a\"", false, false},
		{"W/ \"a\"", "\"a\"", false, false},
		{"\"a", "\"a\"", false, false},
		{"junk \"a\", \"a\"", "\"a\"", true, true},
		{"\"a\" junk", "\"a\"", true, true},
		{"", "\"a\"", false, false},
		{",", "\"a\"", false, false},
		{"\"aa\"", "\"a\"", false, false},
		{"\"\"", "\"a\"", false, false},
		{"W/", "\"a\"", false, false},
		{"W", "\"a\"", false, false},
	};

	for (size_t i = 0; i < COUNT(forms); i++)
	{
		check_subject = forms[i].text;
		CHECK_EQUAL(http_etag_form(forms[i].text), forms[i].form);
	}
	for (size_t i = 0; i < COUNT(matches); i++)
	{
		check_subject = matches[i].list;
		CHECK_EQUAL(http_etag_matches(matches[i].list, matches[i].etag, true), matches[i].weak);
		CHECK_EQUAL(http_etag_matches(matches[i].list, matches[i].etag, false), matches[i].strong);
	}

	check_subject = "values of headers";
	CHECK(http_value_valid("public, max-age=86400"));
	CHECK(http_value_valid(""));
	CHECK(!http_value_valid("a\nSet-Cookie: b"));
	CHECK(!http_value_valid("a\rb"));
	CHECK(!http_value_valid("a\tb"));
	CHECK(!http_value_valid("a\x7f"));
	CHECK(!http_value_valid("\xc3\xa4"));
}

static void
test_ranges(void)
{
	static const struct
	{
		const char *header;
		uint64_t	total;
		HttpRange	range;
		uint64_t	first;
		uint64_t	length;
	}			ranges[] = {
		{NULL, 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0-9", 100, HTTP_RANGE_PART, 0, 10},
		{"bytes=0-0", 100, HTTP_RANGE_PART, 0, 1},
		{"bytes=99-99", 100, HTTP_RANGE_PART, 99, 1},
		{"bytes=90-", 100, HTTP_RANGE_PART, 90, 10},
		{"bytes=0-", 100, HTTP_RANGE_PART, 0, 100},
		{"bytes=90-100", 100, HTTP_RANGE_PART, 90, 10},
		{"bytes=-1", 100, HTTP_RANGE_PART, 99, 1},
		{"bytes=-100", 100, HTTP_RANGE_PART, 0, 100},
		{"bytes=-101", 100, HTTP_RANGE_PART, 0, 100},
		{"bytes=00000000000000000000000000000000007-8", 100, HTTP_RANGE_PART, 7, 2},
		{"BYTES=0-9", 100, HTTP_RANGE_PART, 0, 10},
		{" bytes=0-9 ", 100, HTTP_RANGE_PART, 0, 10},
		{"bytes=, ,0-9,", 100, HTTP_RANGE_PART, 0, 10},
		/* numbers that no type holds */
		{"bytes=1-99999999999999999999999999", 100, HTTP_RANGE_PART, 1, 99},
		{"bytes=-99999999999999999999999999", 100, HTTP_RANGE_PART, 0, 100},
		{"bytes=18446744073709551615-", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=18446744073709551616-", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=99999999999999999999999999-99999999999999999999999999", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-18446744073709551615", UINT64_MAX, HTTP_RANGE_PART, 0, UINT64_MAX},
		{"bytes=18446744073709551614-", UINT64_MAX, HTTP_RANGE_PART, UINT64_MAX - 1, 1},
		/* none of it is there */
		{"bytes=100-", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=100-200", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-0", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-0", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-0", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-5", 0, HTTP_RANGE_WHOLE, 0, 0},
		/* not understood, not valid, or several */
		{"", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=-", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=,", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=9-0", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=--5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0--5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=+1-5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0x1-5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0 - 5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0-5x", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes =0-5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes:0-5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"items=0-5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"0-5", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0-1,5-6", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0-1, bytes=5-6", 100, HTTP_RANGE_WHOLE, 0, 0},
		{"bytes=0-0,-1", 100, HTTP_RANGE_WHOLE, 0, 0},
	};

	for (size_t i = 0; i < COUNT(ranges); i++)
	{
		uint64_t	first = 0;
		uint64_t	length = 0;

		check_subject = ranges[i].header != NULL ? ranges[i].header : "no range";
		CHECK_EQUAL(http_range(ranges[i].header, ranges[i].total, &first, &length), ranges[i].range);
		if (ranges[i].range == HTTP_RANGE_PART)
		{
			CHECK(first == ranges[i].first);
			CHECK(length == ranges[i].length);
		}
	}
}

#define X10		"xxxxxxxxxx"
#define X100	X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define U10		"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"

static void
test_dispositions(void)
{
	static const struct
	{
		const char *name;
		const char *rest;		/* after "inline; ", NULL: no header */
	}			names[] = {
		{NULL, NULL}, {"", NULL}, {"...", NULL}, {" . ", NULL},
		{"tree.webp", "filename=\"tree.webp\""},
		{"my tree.webp", "filename=\"my tree.webp\""},
		{"b\xc3\xa4ume.webp", "filename=\"b_ume.webp\"; filename*=UTF-8''b%C3%A4ume.webp"},
		{"\xe2\x82\xac rates", "filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"},
		{"\xf0\x9f\x8c\xb3.webp", "filename=\"_.webp\"; filename*=UTF-8''%F0%9F%8C%B3.webp"},
		{"50%.gif", "filename=\"50_.gif\"; filename*=UTF-8''50%25.gif"},
		{"a'(b)*;,=@\xc3\xa4", "filename=\"a'(b)_;,=@_\"; filename*=UTF-8''a%27%28b%29_%3B%2C%3D%40%C3%A4"},
		/* folders, and what leads upwards or hides */
		{"/etc/passwd", "filename=\"_etc_passwd\""},
		{"../../etc/passwd", "filename=\"_.._etc_passwd\""},
		{"..\\..\\boot.ini", "filename=\"_.._boot.ini\""},
		{".htaccess", "filename=\"htaccess\""},
		{" .. .htaccess", "filename=\"htaccess\""},
		{"C:\\autoexec.bat", "filename=\"C__autoexec.bat\""},
		{"a.exe. . ", "filename=\"a.exe\""},
		/* what ends a header or a quoted string */
		{"a\"; filename=\"b.exe", "filename=\"a_; filename=_b.exe\""},
		{"a\\\"b", "filename=\"a__b\""},
		{"a\r\nSet-Cookie: b", "filename=\"a__Set-Cookie_ b\""},
		{"a\tb\x7f", "filename=\"a_b_\""},
		{"a\xc2\x85" "b", "filename=\"a_b\""},
		{"a<b>|c?d*", "filename=\"a_b__c_d_\""},
		/* written from right to left: cod.exe */
		{"a\xe2\x80\xae" "exe.doc", "filename=\"a_exe.doc\""},
		/* no UTF-8: alone, cut short, too long, a surrogate, too far */
		{"a\xe4" "b", "filename=\"a_b\""}, {"a\xc3", "filename=\"a_\""}, {"a\xe2\x82", "filename=\"a__\""},
		{"\xc0\xaf", "filename=\"__\""}, {"\xe0\x80\xaf", "filename=\"___\""},
		{"\xed\xa0\x80", "filename=\"___\""}, {"\xf4\x90\x80\x80", "filename=\"____\""},
		{"\xff\xfe", "filename=\"__\""},
		/* at most 200 bytes, with the ending if it is one */
		{X100 X100, "filename=\"" X100 X100 "\""},
		{X100 X100 "y", "filename=\"" X100 X100 "\""},
		{X100 X100 ".webp", "filename=\"" X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxx.webp\""},
		{X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxxxx.webp",
		"filename=\"" X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxx.webp\""},
		{X100 X100 "." X100, "filename=\"" X100 X100 "\""},
		{X100 "." X100, "filename=\"" X100 "." X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxxxxxx\""},
	};
	char		text[HTTP_DISPOSITION_SIZE];
	char		expected[HTTP_DISPOSITION_SIZE];
	char		longest[1001];

	for (size_t i = 0; i < COUNT(names); i++)
	{
		check_subject = names[i].name != NULL ? names[i].name : "no name";
		CHECK_EQUAL(http_disposition(false, names[i].name, text), names[i].rest != NULL);
		if (names[i].rest != NULL)
		{
			snprintf(expected, sizeof(expected), "inline; %s", names[i].rest);
			CHECK_STRING(text, expected);
		}
		CHECK(http_disposition(true, names[i].name, text));
		snprintf(expected, sizeof(expected), "attachment%s%s", names[i].rest != NULL ? "; " : "",
				 names[i].rest != NULL ? names[i].rest : "");
		CHECK_STRING(text, expected);
	}

	check_subject = "a long name is cut between characters";
	CHECK(http_disposition(false, "x" U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10 U10
						   U10 U10 U10 ".jpg", text));
	CHECK(strstr(text, "%A4.jpg") != NULL && strstr(text, "%C3.jpg") == NULL);
	memset(longest, '\xc3', sizeof(longest) - 1);
	longest[1000] = '\0';
	CHECK(http_disposition(true, longest, text));
	CHECK_EQUAL(strlen(text), strlen("attachment; filename=\"\"") + 200);
	for (size_t i = 0; i + 1 < sizeof(longest); i += 2)
		longest[i + 1] = '\xa4';
	CHECK(http_disposition(true, longest, text));
	CHECK_EQUAL(strlen(text), strlen("attachment; filename=\"\"; filename*=UTF-8''") + 100 + 600);
}

static void
test_types(void)
{
#define BYTES(literal)	literal, sizeof(literal) - 1
	static const struct
	{
		const char *picture;
		const char *bytes;
		size_t		length;
		const char *type;
		bool		attachment;
	}			types[] = {
		{"image/webp", BYTES("RIFF"), "image/webp", false},
		{"image/svg+xml", BYTES("<svg/>"), "image/svg+xml", true},
		{NULL, BYTES("%PDF-1.7\n"), "application/pdf", true},
		{NULL, BYTES("\0\0\0\x18" "ftypmp42\0\0\0\0mp42isom"), "video/mp4", false},
		{NULL, BYTES("\0\0\0\x18" "ftypXXXX\0\0\0\0YYYYisom"), "video/mp4", false},
		{NULL, BYTES("\0\0\0\x14" "ftypXXXX\0\0\0\0YYYYisom"), "application/octet-stream", true},
		{NULL, BYTES("\0\0\0\x14" "ftypqt  \0\0\2\0qt  "), "video/quicktime", false},
		{NULL, BYTES("\0\0\0\x14" "ftypM4A \0\0\2\0isom"), "audio/mp4", false},
		{NULL, BYTES("\0\0\0\x10" "ftypisom\0\0\2\0"), "video/mp4", false},
		{NULL, BYTES("\xff\xff\xff\xf0" "ftypXXXX\0\0\0\0"), "application/octet-stream", true},
		{NULL, BYTES("\0\0\0\x08" "ftypmp42\0\0\0\0"), "application/octet-stream", true},
		{NULL, BYTES("\0\0\0\x18" "ftypmp42"), "application/octet-stream", true},
		/* a page that would be a video's: the box is as long as "<a  " says */
		{NULL, BYTES("<a  ftypmp42<script>alert(1)</script>"), "application/octet-stream", true},
		{NULL, BYTES("\0\0\0\x1c" "ftypmp42\0\0\0\0mp42isom"), "application/octet-stream", true},
		{NULL, BYTES("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm"), "video/webm", false},
		{NULL, BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska"), "video/matroska", false},
		{NULL, BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x84html"), "application/octet-stream", true},
		{NULL, BYTES("OggS\0\2"), "application/ogg", false},
		{NULL, BYTES("ID3\4\0\0\0\0\x10\0"), "audio/mpeg", false},
		{NULL, BYTES("ID3\4\0\0\0\0\x80\0"), "application/octet-stream", true},
		{NULL, BYTES("ID3 tags are nice"), "application/octet-stream", true},
		{NULL, BYTES("RIFF\0\0\0\0WAVEfmt "), "audio/wav", false},
		{NULL, BYTES("RIFF\0\0\0\0AVI "), "application/octet-stream", true},
		{NULL, BYTES("fLaC\0"), "audio/flac", false},
		{NULL, BYTES("\xff\xfb\x90\0"), "application/octet-stream", true},
		{NULL, BYTES("<!DOCTYPE html><script>"), "application/octet-stream", true},
		{NULL, BYTES("<?xml version=\"1.0\"?>"), "application/octet-stream", true},
		{NULL, BYTES("alert(1)"), "application/octet-stream", true},
		{NULL, BYTES("MZ\x90"), "application/octet-stream", true},
		{NULL, BYTES(""), "application/octet-stream", true},
	};
	HttpType	type;
	uint8_t		frames[1000];

	for (size_t i = 0; i < COUNT(types); i++)
	{
		/* memory of exactly that size, for the sanitizer's sake */
		uint8_t    *bytes = malloc(types[i].length + 1);

		check_subject = types[i].bytes;
		memcpy(bytes + 1, types[i].bytes, types[i].length);
		type = http_type(types[i].picture, bytes + 1, types[i].length);
		CHECK_STRING(type.name, types[i].type);
		CHECK_EQUAL(type.attachment, types[i].attachment);
		free(bytes);
	}

	/* 128 kbit/s at 44.1 kHz: a frame has 417 bytes */
	check_subject = "two frames of MP3";
	memset(frames, 0, sizeof(frames));
	memcpy(frames, "\xff\xfb\x90", 3);
	memcpy(frames + 417, "\xff\xfb\x90", 3);
	CHECK_STRING(http_type(NULL, frames, sizeof(frames)).name, "audio/mpeg");
	CHECK_STRING(http_type(NULL, frames, 421).name, "audio/mpeg");
	CHECK_STRING(http_type(NULL, frames, 420).name, "application/octet-stream");
	frames[417] = 0;
	CHECK_STRING(http_type(NULL, frames, sizeof(frames)).name, "application/octet-stream");
	/* version 2, 64 kbit/s at 22.05 kHz, padded: 209 */
	memcpy(frames, "\xff\xf3\x82", 3);
	memcpy(frames + 209, "\xff\xf3\x80", 3);
	CHECK_STRING(http_type(NULL, frames, sizeof(frames)).name, "audio/mpeg");
}

static const char *
header_of(const HttpAnswer *answer, const char *name)
{
	for (int i = 0; i < answer->header_count; i++)
	{
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	}
	return NULL;
}

#define TAG			"\"v1\""
#define BEFORE		"Sun, 06 Nov 1994 08:49:36 GMT"
#define DATE		"Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER		"Sun, 06 Nov 1994 08:49:38 GMT"

/* The order of RFC 9110, 13.2.2, and what comes of each header. */
static void
test_statuses(void)
{
	static const struct
	{
		const char *what;
		HttpRequest request;
		int			status;
		bool		send;
	}			cases[] = {
		{"plain", {0}, 200, true},
		{"GET", {.method = "GET"}, 200, true},
		{"HEAD", {.method = "HEAD"}, 200, false},
		{"POST", {.method = "POST"}, 405, false},
		{"case of methods", {.method = "get"}, 405, false},
		{"no method", {.method = ""}, 405, false},
		/* conditions count only where the answer would be 2xx */
		{"conditions of a PUT", {.method = "PUT", .if_match = "\"v2\""}, 405, false},

		{"If-Match", {.if_match = TAG}, 200, true},
		{"If-Match, other", {.if_match = "\"v2\""}, 412, false},
		{"If-Match, weak", {.if_match = "W/" TAG}, 412, false},
		{"If-Match *", {.if_match = "*"}, 200, true},
		{"If-Match, list", {.if_match = "\"v0\", " TAG}, 200, true},
		{"If-Match, HEAD", {.method = "HEAD", .if_match = "\"v2\""}, 412, false},
		{"If-Match before If-Unmodified-Since", {.if_match = TAG, .if_unmodified_since = BEFORE}, 200, true},
		{"If-Match, then If-None-Match", {.if_match = TAG, .if_none_match = TAG}, 304, false},
		{"If-Match fails before If-None-Match", {.if_match = "\"v2\"", .if_none_match = TAG}, 412, false},
		{"If-Match with a range", {.if_match = "\"v2\"", .range = "bytes=0-1"}, 412, false},

		{"If-Unmodified-Since, same", {.if_unmodified_since = DATE}, 200, true},
		{"If-Unmodified-Since, later", {.if_unmodified_since = AFTER}, 200, true},
		{"If-Unmodified-Since, earlier", {.if_unmodified_since = BEFORE}, 412, false},
		{"If-Unmodified-Since, no date", {.if_unmodified_since = "never"}, 200, true},
		{"If-Unmodified-Since, then If-None-Match", {.if_unmodified_since = BEFORE, .if_none_match = TAG}, 412, false},

		{"If-None-Match", {.if_none_match = TAG}, 304, false},
		{"If-None-Match, weak", {.if_none_match = "W/" TAG}, 304, false},
		{"If-None-Match *", {.if_none_match = "*"}, 304, false},
		{"If-None-Match, list", {.if_none_match = "\"v0\", W/\"v,1\", " TAG}, 304, false},
		{"If-None-Match, HEAD", {.method = "HEAD", .if_none_match = TAG}, 304, false},
		{"If-None-Match, other", {.if_none_match = "\"v0\""}, 200, true},
		{"If-None-Match, damaged", {.if_none_match = "v1"}, 200, true},
		{"If-None-Match before If-Modified-Since", {.if_none_match = "\"v0\"", .if_modified_since = AFTER}, 200, true},
		{"If-None-Match with a range", {.if_none_match = TAG, .range = "bytes=0-1"}, 304, false},

		{"If-Modified-Since, same", {.if_modified_since = DATE}, 304, false},
		{"If-Modified-Since, later", {.if_modified_since = AFTER}, 304, false},
		{"If-Modified-Since, earlier", {.if_modified_since = BEFORE}, 200, true},
		{"If-Modified-Since, HEAD", {.method = "HEAD", .if_modified_since = DATE}, 304, false},
		{"If-Modified-Since, RFC 850", {.if_modified_since = "Sunday, 06-Nov-94 08:49:37 GMT"}, 304, false},
		{"If-Modified-Since, asctime", {.if_modified_since = "Sun Nov  6 08:49:37 1994"}, 304, false},
		{"If-Modified-Since, no date", {.if_modified_since = "0"}, 200, true},

		{"range", {.range = "bytes=0-1"}, 206, true},
		{"range of HEAD", {.method = "HEAD", .range = "bytes=0-1"}, 200, false},
		{"no such range", {.range = "bytes=100-"}, 416, false},
		{"no such range of HEAD", {.method = "HEAD", .range = "bytes=100-"}, 200, false},
		{"unknown unit", {.range = "pixels=0-1"}, 200, true},
		{"several ranges", {.range = "bytes=0-1,3-4"}, 200, true},
		{"If-Range", {.range = "bytes=0-1", .if_range = TAG}, 206, true},
		{"If-Range, other", {.range = "bytes=0-1", .if_range = "\"v0\""}, 200, true},
		{"If-Range, weak", {.range = "bytes=0-1", .if_range = "W/" TAG}, 200, true},
		{"If-Range, list", {.range = "bytes=0-1", .if_range = "\"v0\", " TAG}, 200, true},
		{"If-Range *", {.range = "bytes=0-1", .if_range = "*"}, 200, true},
		{"If-Range, date", {.range = "bytes=0-1", .if_range = DATE}, 206, true},
		{"If-Range, later", {.range = "bytes=0-1", .if_range = AFTER}, 200, true},
		{"If-Range, earlier", {.range = "bytes=0-1", .if_range = BEFORE}, 200, true},
		{"If-Range, neither", {.range = "bytes=0-1", .if_range = "v1"}, 200, true},
		{"If-Range saves from 416", {.range = "bytes=100-", .if_range = "\"v0\""}, 200, true},
		{"If-Range alone", {.if_range = "\"v0\""}, 200, true},
	};
	HttpContent content = {.total = 100, .etag = TAG};
	HttpRequest request;
	HttpAnswer	answer;

	http_content_date(&content, THEN, NOW);
	for (size_t i = 0; i < COUNT(cases); i++)
	{
		check_subject = cases[i].what;
		request = cases[i].request;
		request.now = NOW;
		http_decide(&request, &content, &answer);
		CHECK_EQUAL(answer.status, cases[i].status);
		CHECK_EQUAL(answer.send, cases[i].send);
	}

	check_subject = "a weak tag of one's own";
	content.etag = "W/" TAG;
	http_decide(&(HttpRequest) {.now = NOW, .if_none_match = TAG}, &content, &answer);
	CHECK_EQUAL(answer.status, 304);
	http_decide(&(HttpRequest) {.now = NOW, .if_match = "W/" TAG}, &content, &answer);
	CHECK_EQUAL(answer.status, 412);
	http_decide(&(HttpRequest) {.now = NOW, .range = "bytes=0-1", .if_range = "W/" TAG}, &content, &answer);
	CHECK_EQUAL(answer.status, 200);

	check_subject = "no date";
	content.has_last_modified = false;
	http_decide(&(HttpRequest) {.now = NOW, .if_modified_since = AFTER}, &content, &answer);
	CHECK_EQUAL(answer.status, 200);
	http_decide(&(HttpRequest) {.now = NOW, .if_unmodified_since = BEFORE}, &content, &answer);
	CHECK_EQUAL(answer.status, 200);
	http_decide(&(HttpRequest) {.now = NOW, .range = "bytes=0-1", .if_range = DATE}, &content, &answer);
	CHECK_EQUAL(answer.status, 200);

	check_subject = "a date to come is now";
	http_content_date(&content, NOW + 1000, NOW);
	CHECK(content.has_last_modified);
	CHECK_EQUAL(content.last_modified, NOW);
	http_content_date(&content, INT64_C(-62167219201), NOW);
	CHECK(!content.has_last_modified);

	check_subject = "an empty value";
	content.total = 0;
	http_decide(&(HttpRequest) {.now = NOW, .range = "bytes=-5"}, &content, &answer);
	CHECK_EQUAL(answer.status, 200);
	CHECK(answer.send);
	CHECK_EQUAL(answer.length, 0);
	http_decide(&(HttpRequest) {.now = NOW, .range = "bytes=0-"}, &content, &answer);
	CHECK_EQUAL(answer.status, 416);
}

#define SECURE		"X-Content-Type-Options: nosniff\n" \
	"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox\n"

/* The headers as they would be sent, a line each. */
static void
write_headers(const HttpAnswer *answer, char *to)
{
	*to = '\0';
	for (int i = 0; i < answer->header_count; i++)
		to += sprintf(to, "%s: %s\n", answer->headers[i].name, answer->headers[i].value);
}

/* Every header of every kind of answer. */
static void
test_headers(void)
{
	static const struct
	{
		HttpRequest request;
		const char *headers;
	}			cases[] = {
		{{0}, "Content-Type: image/webp\nContent-Length: 100\n"
			"Content-Disposition: inline; filename=\"a.webp\"\nAccept-Ranges: bytes\n"
		"Last-Modified: " DATE "\n" SECURE "ETag: " TAG "\nCache-Control: private\n"},
		{{.method = "HEAD"}, "Content-Type: image/webp\nContent-Length: 100\n"
			"Content-Disposition: inline; filename=\"a.webp\"\nAccept-Ranges: bytes\n"
		"Last-Modified: " DATE "\n" SECURE "ETag: " TAG "\nCache-Control: private\n"},
		{{.range = "bytes=-10"}, "Content-Type: image/webp\nContent-Length: 10\nContent-Range: bytes 90-99/100\n"
			"Content-Disposition: inline; filename=\"a.webp\"\nAccept-Ranges: bytes\n"
		"Last-Modified: " DATE "\n" SECURE "ETag: " TAG "\nCache-Control: private\n"},
		{{.if_none_match = "*"}, "ETag: " TAG "\nCache-Control: private\n"},
		{{.if_match = "\"\""}, "Cache-Control: no-store\n"},
		{{.range = "bytes=100-"}, "Content-Range: bytes */100\nCache-Control: no-store\n"},
		{{.method = "DELETE"}, "Allow: GET, HEAD\nCache-Control: no-store\n"},
	};
	HttpContent content = {
		.total = 100, .etag = TAG, .cache_control = "private", .filename = "a.webp"
	};
	HttpType	type = {"image/webp", false};
	HttpAnswer	answer;
	HttpRequest request;
	char		text[2048];

	http_content_date(&content, THEN, NOW);
	for (size_t i = 0; i < COUNT(cases); i++)
	{
		request = cases[i].request;
		request.now = NOW;
		http_decide(&request, &content, &answer);
		http_describe(&content, http_shows_type(&answer) ? &type : NULL, &answer);
		write_headers(&answer, text);
		check_subject = "headers";
		CHECK_STRING(text, cases[i].headers);
	}

	check_subject = "no value";
	request = (HttpRequest) {.now = NOW, .if_none_match = "*", .range = "bytes=0-1"};
	http_decide(&request, NULL, &answer);
	http_describe(NULL, NULL, &answer);
	CHECK_EQUAL(answer.status, 404);
	CHECK(!answer.send);
	CHECK_EQUAL(answer.header_count, 1);
	CHECK_STRING(header_of(&answer, "Cache-Control"), "no-store");

	check_subject = "as few headers as there are";
	content = (HttpContent) {.total = 0, .etag = TAG};
	request = (HttpRequest) {.now = NOW};
	http_decide(&request, &content, &answer);
	http_describe(&content, &type, &answer);
	CHECK_EQUAL(answer.header_count, 6);
	CHECK_STRING(header_of(&answer, "Content-Length"), "0");
	CHECK_STRING(header_of(&answer, "Cache-Control"), NULL);
	CHECK_STRING(header_of(&answer, "Content-Disposition"), NULL);

	check_subject = "what is to be saved";
	type = http_type("image/svg+xml", (const uint8_t *) "<svg/>", 6);
	http_describe(&content, &type, &answer);
	CHECK_STRING(header_of(&answer, "Content-Disposition"), "attachment");

	check_subject = "what plays";
	type = (HttpType) {"video/mp4", false};
	http_describe(&content, &type, &answer);
	CHECK_STRING(header_of(&answer, "Content-Security-Policy"),
				 "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; img-src data:; sandbox");

	check_subject = "the largest numbers";
	content.total = UINT64_MAX;
	request.range = "bytes=18446744073709551600-";
	http_decide(&request, &content, &answer);
	http_describe(&content, &type, &answer);
	CHECK_STRING(header_of(&answer, "Content-Range"),
				 "bytes 18446744073709551600-18446744073709551614/18446744073709551615");
}

/* What is to be had elsewhere. */
static void
test_redirects(void)
{
#define ADDRESS "https://cdn.example.com/media/a%20b.webp"
#define FOR_EVER "Location: " ADDRESS "\nContent-Length: 0\nETag: " TAG "\nCache-Control: public, max-age=86400\n"
#define FOR_A_TIME "Location: " ADDRESS "\nContent-Length: 0\nCache-Control: private, max-age=450\n"
#define SAME	"ETag: " TAG "\nCache-Control: public, max-age=86400\n"
#define FAILED	"Cache-Control: no-store\n"
	static const struct
	{
		const char *what;
		HttpRequest request;
		int			status;
		const char *for_ever;
		const char *for_a_time;
	}			cases[] = {
		{"GET", {0}, 302, FOR_EVER, FOR_A_TIME},
		{"HEAD", {.method = "HEAD"}, 302, FOR_EVER, FOR_A_TIME},
		{"a range", {.range = "bytes=0-1"}, 302, FOR_EVER, FOR_A_TIME},
		{"a range behind the end", {.range = "bytes=1000-"}, 302, FOR_EVER, FOR_A_TIME},
		{"If-Range", {.range = "bytes=0-1", .if_range = TAG}, 302, FOR_EVER, FOR_A_TIME},
		{"another tag", {.if_none_match = "\"v0\""}, 302, FOR_EVER, FOR_A_TIME},
		{"the tag wanted", {.if_match = TAG}, 302, FOR_EVER, FOR_A_TIME},
		{"modified since", {.if_modified_since = BEFORE}, 302, FOR_EVER, FOR_A_TIME},
		{"the same tag", {.if_none_match = TAG}, 304, SAME, SAME},
		{"the same tag, HEAD", {.method = "HEAD", .if_none_match = TAG}, 304, SAME, SAME},
		{"not modified since", {.if_modified_since = DATE}, 304, SAME, SAME},
		{"another tag wanted", {.if_match = "\"v0\""}, 412, FAILED, FAILED},
		{"POST", {.method = "POST"}, 405, "Allow: GET, HEAD\n" FAILED, "Allow: GET, HEAD\n" FAILED},
		{"POST, the same tag", {.method = "POST", .if_none_match = TAG}, 405,
		"Allow: GET, HEAD\n" FAILED, "Allow: GET, HEAD\n" FAILED},
	};
	HttpContent content = {
		.etag = TAG, .cache_control = "public, max-age=86400", .filename = "a.webp", .location = ADDRESS
	};
	HttpAnswer	answer;
	char		text[2048];

	http_content_date(&content, THEN, NOW);
	for (size_t i = 0; i < 2 * COUNT(cases); i++)
	{
		HttpRequest request = cases[i / 2].request;

		check_subject = cases[i / 2].what;
		request.now = NOW;
		content.location_seconds = i % 2 == 0 ? -1 : 450;
		http_decide(&request, &content, &answer);
		CHECK_EQUAL(answer.status, cases[i / 2].status);
		CHECK(!answer.send);
		CHECK(!http_shows_type(&answer));
		http_describe(&content, NULL, &answer);
		write_headers(&answer, text);
		CHECK_STRING(text, i % 2 == 0 ? cases[i / 2].for_ever : cases[i / 2].for_a_time);
	}

	check_subject = "no Cache-Control";
	content.cache_control = NULL;
	content.location_seconds = -1;
	http_decide(&(HttpRequest) {.now = NOW}, &content, &answer);
	http_describe(&content, NULL, &answer);
	CHECK_STRING(header_of(&answer, "Location"), ADDRESS);
	CHECK_STRING(header_of(&answer, "Cache-Control"), NULL);

	check_subject = "seconds";
	content.location_seconds = 0;
	http_describe(&content, NULL, &answer);
	CHECK_STRING(header_of(&answer, "Cache-Control"), "private, max-age=0");
	content.location_seconds = INT64_MAX;
	http_describe(&content, NULL, &answer);
	CHECK_STRING(header_of(&answer, "Cache-Control"), "private, max-age=9223372036854775807");
}

int
main(void)
{
	test_dates();
	test_etags();
	test_ranges();
	test_dispositions();
	test_types();
	test_statuses();
	test_headers();
	test_redirects();
	return check_report();
}
