/*-------------------------------------------------------------------------
 *
 * pusher_transaction.c
 *	  The short transactions of the pusher.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pusher_transaction.h"

static bool is_in_procedure = false;
static MemoryContext outer_memory = NULL;

void
pusher_in_procedure(bool in_procedure)
{
	is_in_procedure = in_procedure;
}

/*
 * DROP EXTENSION locks the extension before its tables.  So do we: with some of
 * the tables locked, each would wait for the other.
 */
static void
lock_extension(void)
{
	Oid			extension = get_extension_oid("mediastore", true);

	if (OidIsValid(extension))
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
}

void
pusher_begin(void)
{
	outer_memory = CurrentMemoryContext;
	if (is_in_procedure)
	{
		/* that of before the wait is as old as the wait was long */
		SPI_commit();
	}
	else
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
	}
	/* whatever the default is: what others commit meanwhile is to be seen */
	XactIsoLevel = XACT_READ_COMMITTED;
	lock_extension();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(AllocSetContextCreate(TopTransactionContext, "mediastore transaction",
												ALLOCSET_DEFAULT_SIZES));
}

void
pusher_commit(void)
{
	PopActiveSnapshot();
	/* its own goes with the transaction */
	MemoryContextSwitchTo(outer_memory);
	if (is_in_procedure)
		SPI_commit();
	else
	{
		SPI_finish();
		CommitTransactionCommand();
	}
	MemoryContextSwitchTo(outer_memory);
}
