/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  How a transaction that has left work tells the worker.
 *
 * A prepared transaction leaves its work when it is committed, wherever that
 * is: utility_hook.c sees to that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "wake.h"
#include "worker_shmem.h"

static bool is_pending = false;

/* An XactCallback: others see what was committed when it is called. */
static void
at_end(XactEvent event, void *argument pg_attribute_unused())
{
	if (!is_pending)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			is_pending = false;
			worker_want(MyDatabaseId, false);
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			is_pending = false;
			break;
		default:
			break;
	}
}

void
wake_at_commit(void)
{
	static bool is_registered = false;

	if (!worker_shmem_exists())
		return;
	if (!is_registered)
	{
		RegisterXactCallback(at_end, NULL);
		is_registered = true;
	}
	is_pending = true;
}

void
wake_now(void)
{
	worker_want(MyDatabaseId, true);
}
