/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  Work that may fail by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"

#include "compat.h"
#include "subtransaction.h"

/* Of an error of users' functions, bytes. */
#define LONGEST_MESSAGE 1000

/* The time that was given to work has passed. */
static volatile sig_atomic_t is_over = false;

/*
 * Whether somebody wants us to stop.  A user's function can raise an error of
 * that class as well, which is nobody's but its own; who raised it is what it
 * can't make up.
 */
static bool
is_intervention(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION &&
		!is_over &&
		(error->funcname == NULL || strcmp(error->funcname, "ProcessInterrupts") == 0);
}

bool
subtransaction_try(void (*work) (void *context), void *context, ErrorData **error)
{
	MemoryContext old_context = CurrentMemoryContext;
	ResourceOwner old_owner = CurrentResourceOwner;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old_context);
	PG_TRY();
	{
		work(context);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old_context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old_context);
	CurrentResourceOwner = old_owner;

	if (*error == NULL)
		return true;
	if (is_intervention(*error))
		ReThrowError(*error);
	return false;
}

/* A timeout's handler: it does what a cancel does. */
static void
end_time(void)
{
	is_over = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* A user's function may say as much as it likes; it is kept in tables of ours. */
static void
clip(char *message)
{
	if (message != NULL && strlen(message) > LONGEST_MESSAGE)
		message[pg_mbcliplen(message, (int) strlen(message), LONGEST_MESSAGE)] = '\0';
}

bool
subtransaction_try_within(int milliseconds, void (*work) (void *context), void *context,
						  ErrorData **error)
{
	static TimeoutId limit = MAX_TIMEOUTS;
	volatile bool good = false;

	if (limit == MAX_TIMEOUTS)
		limit = RegisterTimeout(USER_TIMEOUT, end_time);
	is_over = false;
	enable_timeout_after(limit, milliseconds);
	PG_TRY();
	{
		good = subtransaction_try(work, context, error);
	}
	PG_FINALLY();
	{
		disable_timeout(limit, false);
		/* it came too late, or has been taken */
		if (is_over)
			QueryCancelPending = false;
		if (is_over && !good && *error != NULL &&
			(*error)->sqlerrcode == ERRCODE_QUERY_CANCELED)
			(*error)->message = psprintf("it took longer than %d s", milliseconds / 1000);
		is_over = false;
	}
	PG_END_TRY();
	if (!good)
		clip((*error)->message);
	return good;
}
