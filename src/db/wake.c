/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  How a transaction that has left work tells the worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "wake.h"

/* There is no worker to wake yet. */
void
wake_at_commit(void)
{
}

void
wake_now(void)
{
}
