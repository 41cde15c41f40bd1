/*-------------------------------------------------------------------------
 *
 * helper_view.c
 *	  The view mediastore.helper: this session's helper processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "funcapi.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "helper_process.h"

PG_FUNCTION_INFO_V1(mediastore_helpers);

enum
{
	HELPER_PROGRAM,
	HELPER_PID,
	HELPER_SANDBOXED,
	HELPER_REQUESTS,
	HELPER_MEMORY,
	HELPER_STARTED_AT,
	HELPER_COLUMNS
};

/* The bytes a process has resident; -1 if that can't be told. */
static int64
resident_bytes(pid_t pid)
{
	char		path[64];
	long		size = 0;
	long		resident = -1;
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int) pid);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return -1;
	if (fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = -1;
	FreeFile(file);
	return resident < 0 ? -1 : (int64) resident * sysconf(_SC_PAGESIZE);
}

/* mediastore.helpers() returns setof record */
Datum
mediastore_helpers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	helper_reap();

	for (int i = 0; i < HELPER_PROGRAMS; i++)
	{
		const HelperProcess *helper = helper_peek((HelperProgram) i);
		Datum		values[HELPER_COLUMNS] = {0};
		bool		nulls[HELPER_COLUMNS] = {false};
		int64		memory;

		if (helper->pid == 0)
			continue;

		memory = resident_bytes(helper->pid);
		values[HELPER_PROGRAM] = CStringGetTextDatum(helper->name);
		values[HELPER_PID] = Int32GetDatum((int32) helper->pid);
		/* the courier has none: it opens connections and files */
		values[HELPER_SANDBOXED] = BoolGetDatum(helper->sandboxed);
		nulls[HELPER_SANDBOXED] = !helper->is_codec;
		values[HELPER_REQUESTS] = Int64GetDatum(helper->requests);
		values[HELPER_MEMORY] = Int64GetDatum(memory);
		nulls[HELPER_MEMORY] = memory < 0;
		values[HELPER_STARTED_AT] = TimestampTzGetDatum(helper->started_at);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	return (Datum) 0;
}
