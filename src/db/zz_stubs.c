/* local stubs: not to be committed */
#include "postgres.h"
#include "access/xact.h"
#include "commands/extension.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"
#include "own_tables.h"
#include "pusher.h"
#include "pusher_transaction.h"
static LOCKTAG tag;
bool pusher_lock(void) { SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 77, 78, 2); return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL; }
void pusher_unlock(void) { LockRelease(&tag, ExclusiveLock, true); }
Oid own_table(const char *name) { Oid n = get_namespace_oid("mediastore", true); return n ? get_relname_relid(name, n) : 0; }
Oid own_role(void) { return OidIsValid(get_extension_oid("mediastore", true)) ? 10 : 0; }
void own_execute(OwnStatement *s, Datum *v, const char *n)
{ MemoryContext m = CurrentMemoryContext; int r = SPI_execute_with_args(s->text, s->count, s->types, v, n, false, 0); if (r != s->result) elog(ERROR, "own_execute %d", r); MemoryContextSwitchTo(m); }
/* busy while a table public.busy exists; each round eats a row of public.todo */
void pusher_round(bool claim, long timeout, PusherStatus *status)
{
	bool busy;
	int rows = 0;
	pusher_begin();
	if (!OidIsValid(own_role())) { pusher_commit(); status->state = PUSHER_GONE; return; }
	busy = claim && OidIsValid(get_relname_relid("busy", get_namespace_oid("public", false)));
	if (OidIsValid(get_relname_relid("fail", get_namespace_oid("public", false)))) elog(ERROR, "stub fails");
	if (claim) { SPI_execute("DELETE FROM mediastore.change", false, 0); rows = SPI_processed; }
	pusher_commit();
	status->state = busy || rows ? PUSHER_BUSY : PUSHER_WAITING;
	status->next_due = 0;
	if (!rows && timeout > 0) { WaitLatch(MyLatch, WL_LATCH_SET|WL_TIMEOUT|WL_EXIT_ON_PM_DEATH, timeout, PG_WAIT_EXTENSION); ResetLatch(MyLatch); CHECK_FOR_INTERRUPTS(); }
}
