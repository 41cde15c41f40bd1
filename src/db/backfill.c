/*-------------------------------------------------------------------------
 *
 * backfill.c
 *	  media_backfill: the pictures of before a column was attached.
 *
 * A row is updated to what it is; the column's trigger does the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "attached.h"
#include "compat.h"
#include "options.h"
#include "run.h"

PG_FUNCTION_INFO_V1(media_backfill);

/* Raises or tells that a column is not attached, or does not work. */
static void
not_attached(Relation table, const char *column, int elevel, bool has_trigger)
{
	ereport(elevel,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 has_trigger ?
			 errmsg("trigger of column \"%s\" of relation \"%s\" does not fire",
					column, RelationGetRelationName(table)) :
			 errmsg("column \"%s\" of relation \"%s\" is not attached",
					column, RelationGetRelationName(table)),
			 has_trigger ?
			 errhint("It is disabled, or session_replication_role is \"replica\".") :
			 errhint("Call media_attach for it first.")));
}

/* RunKind's look */
static bool
look(Run *run, Relation table, int elevel, RunQuery *query)
{
	AttachedColumn attached;
	StringInfoData texts;
	ListCell   *cell;
	const char *column = quote_identifier(run->column);

	(void) run_column_number(table, run->column);
	if (!attached_find(table, run->column, &attached))
	{
		not_attached(table, run->column, elevel, false);
		return false;
	}
	if (!run_trigger_fires(attached.enabled))
	{
		not_attached(table, run->column, elevel, true);
		return false;
	}

	initStringInfo(&texts);
	foreach(cell, compress_options_to_texts(&attached.options))
		appendStringInfo(&texts, "%s%s", texts.len == 0 ? "" : ", ",
						 quote_literal_cstr((char *) lfirst(cell)));
	memset(query, 0, sizeof(*query));
	query->condition = psprintf("t.%s IS NOT NULL AND NOT mediastore.keeps_limits(t.%s::pg_catalog.%s,"
								" ARRAY[%s]::pg_catalog.text[])",
								column, column, attached.is_array ? "bytea[]" : "bytea", texts.data);
	query->possible = psprintf("t.%s IS NOT NULL", column);
	query->value = psprintf("t.%s", column);
	query->assignment = query->value;
	return true;
}

/* RunKind's work */
static void
work(Run *run, Datum value, uint64 *before, uint64 *after)
{
	*before = run_raw_size(value);
	*after = run_update(run, (Datum) 0);
}

static const RunKind backfill = {
	.operation = "backfill",
	.family = "backfill",
	.done = "rewritten",
	.writes = true,
	.look = look,
	.work = work
};

/* media_backfill(regclass, name, int) */
Datum
media_backfill(PG_FUNCTION_ARGS)
{
	run_procedure(fcinfo, "media_backfill", &backfill, NULL);
	PG_RETURN_VOID();
}
