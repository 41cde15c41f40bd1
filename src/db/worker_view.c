/*-------------------------------------------------------------------------
 *
 * worker_view.c
 *	  What the view mediastore.worker shows of the worker of this database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "../mediastore.h"
#include "compat.h"
#include "store_identity.h"
#include "worker_shmem.h"

PG_FUNCTION_INFO_V1(media_worker_state);

enum
{
	WORKER_PID,
	WORKER_STATE,
	WORKER_WAITING,
	WORKER_NEXT_DUE,
	WORKER_LAST_ERROR,
	WORKER_SYSTEM_IDENTIFIER,
	WORKER_DATABASE,
	WORKER_TIMELINE,
	WORKER_COLUMNS
};

/* In a word, how it stands; and why nothing happens, or NULL. */
static const char *
describe(const WorkerSlot *slot, const char **waiting)
{
	bool		no_process;
	int			launcher = worker_launcher(&no_process);

	*waiting = NULL;
	if (RecoveryInProgress())
	{
		*waiting = "the server is in recovery: its primary does the work";
		return "standby";
	}
	if (!worker_shmem_exists())
	{
		*waiting = "mediastore is not in shared_preload_libraries: only media_drain does the work";
		return "not preloaded";
	}
	if (!mediastore_enabled)
	{
		*waiting = "mediastore.enabled is off";
		return "disabled";
	}
	if (slot->phase == WORKER_RUNNING)
		return "running";
	if (slot->phase == WORKER_STARTING || slot->phase == WORKER_LOOKING)
		return "starting";
	if (launcher == 0)
	{
		*waiting = "the launcher is not there: it starts again within seconds, or max_worker_processes is too small";
		return "no worker process left";
	}
	if (slot->failures > 0 && slot->not_before > GetCurrentTimestamp())
	{
		*waiting = psprintf("the worker has failed and rests until %s",
							timestamptz_to_str(slot->not_before));
		return "failed";
	}
	if (!slot->wanted)
		return "idle";
	if (no_process)
	{
		*waiting = "max_worker_processes is too small";
		return "no worker process left";
	}
	if (slot->blocked > 0)
		*waiting = "a statement needs the database to itself";
	else if (slot->not_before > GetCurrentTimestamp())
		*waiting = "another session works off the queue";
	else
		*waiting = "it is not its turn: see mediastore.max_workers";
	return "starting";
}

/* mediastore.worker_state() returns record */
Datum
media_worker_state(PG_FUNCTION_ARGS)
{
	Datum		values[WORKER_COLUMNS] = {0};
	bool		nulls[WORKER_COLUMNS] = {false};
	TupleDesc	row;
	WorkerSlot	slot;
	StoreIdentity identity;
	const char *state;
	const char *waiting;

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!worker_look(MyDatabaseId, &slot))
		memset(&slot, 0, sizeof(slot));
	store_identity(&identity);
	state = describe(&slot, &waiting);

	values[WORKER_PID] = Int32GetDatum(slot.pid);
	nulls[WORKER_PID] = slot.pid == 0;
	values[WORKER_STATE] = CStringGetTextDatum(state);
	if (waiting != NULL)
		values[WORKER_WAITING] = CStringGetTextDatum(waiting);
	nulls[WORKER_WAITING] = waiting == NULL;
	values[WORKER_NEXT_DUE] = TimestampTzGetDatum(slot.next_due);
	nulls[WORKER_NEXT_DUE] = slot.next_due == 0;
	if (slot.message[0] != '\0')
		values[WORKER_LAST_ERROR] = CStringGetTextDatum(slot.message);
	nulls[WORKER_LAST_ERROR] = slot.message[0] == '\0';
	values[WORKER_SYSTEM_IDENTIFIER] = Int64GetDatum(identity.system_identifier);
	values[WORKER_DATABASE] = ObjectIdGetDatum(identity.database);
	values[WORKER_TIMELINE] = Int32GetDatum(identity.timeline);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
