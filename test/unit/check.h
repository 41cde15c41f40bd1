/*-------------------------------------------------------------------------
 *
 * check.h
 *	  What a unit test needs: checks that are counted, and a report.
 *
 *		if (!CHECK(pointer != NULL))
 *			return;
 *		CHECK_EQUAL(facts.width, 640);
 *		...
 *		return check_report();
 *
 * A check that fails says where and goes on; it is an expression that tells
 * whether it passed.  check_report prints "N passed, N failed" as the last
 * line and gives main its exit status.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_CHECK_H
#define MEDIASTORE_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned long check_passed;
static unsigned long check_failed;

/* What is being checked, for the messages; set it where a check is in a loop. */
static const char *check_subject = "";

#define CHECK(condition) \
	check_one((condition), #condition, __FILE__, __LINE__)

/* Of whole numbers; shows both. */
#define CHECK_EQUAL(actual, expected) \
	check_equal((long long) (actual), (long long) (expected), #actual, __FILE__, __LINE__)

/* Of strings, either of which may be NULL. */
#define CHECK_STRING(actual, expected) \
	check_string((actual), (expected), #actual, __FILE__, __LINE__)

static inline void
check_where(const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s%s", file, line, check_subject,
			check_subject[0] != '\0' ? ": " : "");
}

static inline bool
check_one(bool condition, const char *text, const char *file, int line)
{
	if (condition)
		check_passed++;
	else
	{
		check_failed++;
		check_where(file, line);
		fprintf(stderr, "not so: %s\n", text);
	}
	return condition;
}

static inline bool
check_equal(long long actual, long long expected, const char *text, const char *file, int line)
{
	if (actual == expected)
		check_passed++;
	else
	{
		check_failed++;
		check_where(file, line);
		fprintf(stderr, "%s is %lld, not %lld\n", text, actual, expected);
	}
	return actual == expected;
}

static inline bool
check_string(const char *actual, const char *expected, const char *text, const char *file,
			 int line)
{
	bool		same = actual == expected ||
		(actual != NULL && expected != NULL && strcmp(actual, expected) == 0);

	if (same)
		check_passed++;
	else
	{
		check_failed++;
		check_where(file, line);
		fprintf(stderr, "%s is \"%s\", not \"%s\"\n", text,
				actual != NULL ? actual : "(null)", expected != NULL ? expected : "(null)");
	}
	return same;
}

static inline int
check_report(void)
{
	fflush(stderr);
	printf("%lu passed, %lu failed\n", check_passed, check_failed);
	return check_failed == 0 ? 0 : 1;
}

#endif							/* MEDIASTORE_CHECK_H */
