/*-------------------------------------------------------------------------
 *
 * date.c
 *	  Dates as HTTP writes them (RFC 9110, 5.6.7).
 *
 *		Sun, 06 Nov 1994 08:49:37 GMT		IMF-fixdate, the one that is written
 *		Sunday, 06-Nov-94 08:49:37 GMT		RFC 850
 *		Sun Nov  6 08:49:37 1994			asctime
 *
 * The C library's strptime knows them, too, but in the language of the server's
 * locale, and with more freedom than the RFC gives.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "parts.h"

static const char *const days[7] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
};

static const char *const long_days[7] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
};

static const char *const months[12] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};

/* Each of these takes its part from *at and goes past it, or says no. */

static bool
take(const char **at, const char *literal)
{
	size_t		length = strlen(literal);

	if (strncmp(*at, literal, length) != 0)
		return false;
	*at += length;
	return true;
}

static bool
take_name(const char **at, const char *const *names, int count, int *index)
{
	for (*index = 0; *index < count; (*index)++)
	{
		if (take(at, names[*index]))
			return true;
	}
	return false;
}

static bool
take_number(const char **at, int digits, int *number)
{
	*number = 0;
	for (int i = 0; i < digits; i++)
	{
		if (!http_is_digit(**at))
			return false;
		*number = *number * 10 + (*(*at)++ - '0');
	}
	return true;
}

static bool
take_time(const char **at, struct tm *tm)
{
	return take_number(at, 2, &tm->tm_hour) && take(at, ":") &&
		take_number(at, 2, &tm->tm_min) && take(at, ":") &&
		take_number(at, 2, &tm->tm_sec);
}

static bool
take_imf(const char **at, struct tm *tm)
{
	int			day;

	return take_name(at, days, 7, &day) && take(at, ", ") &&
		take_number(at, 2, &tm->tm_mday) && take(at, " ") &&
		take_name(at, months, 12, &tm->tm_mon) && take(at, " ") &&
		take_number(at, 4, &tm->tm_year) && take(at, " ") &&
		take_time(at, tm) && take(at, " GMT");
}

/* The year is left as two digits. */
static bool
take_rfc850(const char **at, struct tm *tm)
{
	int			day;

	return take_name(at, long_days, 7, &day) && take(at, ", ") &&
		take_number(at, 2, &tm->tm_mday) && take(at, "-") &&
		take_name(at, months, 12, &tm->tm_mon) && take(at, "-") &&
		take_number(at, 2, &tm->tm_year) && take(at, " ") &&
		take_time(at, tm) && take(at, " GMT");
}

static bool
take_asctime(const char **at, struct tm *tm)
{
	int			day;

	return take_name(at, days, 7, &day) && take(at, " ") &&
		take_name(at, months, 12, &tm->tm_mon) && take(at, " ") &&
		(take(at, " ") ? take_number(at, 1, &tm->tm_mday) : take_number(at, 2, &tm->tm_mday)) &&
		take(at, " ") && take_time(at, tm) && take(at, " ") &&
		take_number(at, 4, &tm->tm_year);
}

static int
days_in_month(int year, int month)
{
	static const int count[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return count[month] + (month == 1 && leap);
}

/*
 * The year of two digits: the latest one that is not more than fifty years
 * ahead.
 */
static int
full_year(int two_digits, int64_t now)
{
	time_t		seconds = (time_t) now;
	struct tm	tm;
	int			latest;

	if (gmtime_r(&seconds, &tm) == NULL)
		return 1900 + two_digits;
	latest = tm.tm_year + 1900 + 50;
	return latest - (latest - two_digits) % 100;
}

bool
http_date_parse(const char *text, int64_t now, int64_t *seconds)
{
	const char *begin = http_skip_space(text);
	const char *at;
	struct tm	tm;

	memset(&tm, 0, sizeof(tm));
	if (at = begin, take_rfc850(&at, &tm))
		tm.tm_year = full_year(tm.tm_year, now);
	else if (!(at = begin, take_imf(&at, &tm)) && !(at = begin, take_asctime(&at, &tm)))
		return false;

	if (*http_skip_space(at) != '\0')
		return false;
	/* second 60 is a leap second */
	if (tm.tm_mday < 1 || tm.tm_mday > days_in_month(tm.tm_year, tm.tm_mon) ||
		tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	*seconds = (int64_t) timegm(&tm);
	return true;
}

bool
http_date_format(int64_t seconds, char text[HTTP_DATE_SIZE])
{
	time_t		time = (time_t) seconds;
	struct tm	tm;

	if (gmtime_r(&time, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return false;
	/* the remainders tell the compiler how many digits there are */
	snprintf(text, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
			 (unsigned) tm.tm_mday % 100, months[tm.tm_mon], (unsigned) (tm.tm_year + 1900) % 10000,
			 (unsigned) tm.tm_hour % 100, (unsigned) tm.tm_min % 100, (unsigned) tm.tm_sec % 100);
	return true;
}
