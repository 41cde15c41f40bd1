/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What is in a column of pictures, for the view mediastore.stats.
 *
 * Each value costs one slice, for its format: its length is in the row, the
 * elements' lengths are where they begin.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

#include "array.h"
#include "column_scan.h"
#include "compat.h"
#include "subtransaction.h"

#define FORMATS (FACTS_FORMAT_PSD + 1)

PG_FUNCTION_INFO_V1(media_column_stats);

/* The columns of mediastore.column_stats. */
enum
{
	STATS_ROWS,
	STATS_NULLS,
	STATS_PICTURES,
	STATS_BYTES,
	STATS_MEAN_BYTES,
	STATS_LARGEST_BYTES,
	STATS_FORMATS,
	STATS_COLUMNS
};

typedef struct Tally
{
	bool		is_array;
	Datum		datum;			/* the value that is looked at */
	bool		counted;		/* is the picture at hand among the pictures? */
	int64		rows;
	int64		nulls;
	int64		pictures;
	uint64		bytes;
	uint64		largest;
	int64		formats[FORMATS];
	int64		unreadable;
} Tally;

static void
count_picture(Tally *tally, Value *value)
{
	tally->pictures++;
	tally->counted = true;
	tally->bytes += value->total;
	tally->largest = Max(tally->largest, value->total);
	tally->formats[facts_format(&value->reader)]++;
	tally->counted = false;
	value_release(value);
}

/* Counts the pictures of tally->datum, a part of them if it raises. */
static void
count_value(void *context)
{
	Tally	   *tally = (Tally *) context;

	if (tally->is_array)
	{
		PictureArray array;

		array_open(&array, tally->datum);
		for (int i = 0; i < array.count; i++)
		{
			Value		element;
			bool		is_null;

			array_next(&array, &element, &is_null);
			if (!is_null)
				count_picture(tally, &element);
		}
		array_close(&array);
	}
	else
	{
		Value		value;

		value_open(&value, tally->datum);
		count_picture(tally, &value);
	}
}

static void
count_row(void *context, HeapTuple row, TupleDesc descriptor)
{
	Tally	   *tally = (Tally *) context;
	ErrorData  *error;
	bool		is_null;

	tally->rows++;
	tally->datum = heap_getattr(row, 1, descriptor, &is_null);
	tally->counted = false;
	if (is_null)
		tally->nulls++;
	else if (!subtransaction_try(count_value, tally, &error))
	{
		/* one picture that is there but can't be read */
		if (!tally->counted)
			tally->pictures++;
		tally->unreadable++;
	}
}

/* {"webp": 120, "unknown": 1} */
static Datum
formats_as_jsonb(const Tally *tally)
{
	StringInfoData text;
	const char *separator = "";

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int format = 0; format < FORMATS; format++)
	{
		const char *name = facts_format_name((FactsFormat) format);

		if (tally->formats[format] == 0)
			continue;
		appendStringInfo(&text, "%s\"%s\": " INT64_FORMAT, separator, name != NULL ? name : "unknown",
						 tally->formats[format]);
		separator = ", ";
	}
	if (tally->unreadable > 0)
		appendStringInfo(&text, "%s\"unreadable\": " INT64_FORMAT, separator, tally->unreadable);
	appendStringInfoChar(&text, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

static bool
may_read(Relation relation, AttrNumber number, Oid user)
{
	return namespace_aclcheck(RelationGetNamespace(relation), user, ACL_USAGE) == ACLCHECK_OK &&
		(pg_class_aclcheck(RelationGetRelid(relation), user, ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck(RelationGetRelid(relation), number, user, ACL_SELECT) == ACLCHECK_OK);
}

static bool
has_policies_for(Relation relation, Oid user)
{
	return check_enable_rls(RelationGetRelid(relation), user, true) == RLS_ENABLED;
}

/*
 * Says as whom a relation is to be read, if at all.  Who looks at the view has
 * not named the tables, and to read is to run what their owners have written:
 * policies, functions in the expressions of indexes, whole views by triggers
 * INSTEAD OF.  So unless the owner is to be trusted, it is the owner who reads,
 * and nobody where the two may see different rows.
 */
static bool
find_reader(Relation relation, AttrNumber number, Oid *reader)
{
	Oid			user = GetUserId();
	Oid			owner = relation->rd_rel->relowner;

	*reader = user;
	if (!column_scan_reads(relation) || !may_read(relation, number, user))
		return false;
	if (superuser_arg(owner) || is_member_of_role_nosuper(user, owner))
		return true;
	*reader = owner;
	return may_read(relation, number, owner) && !has_policies_for(relation, user) &&
		!has_policies_for(relation, owner);
}

/*
 * Scans the column as the reader.  If that is another, neither gets at the
 * other: what the owner has written changes no settings of the caller, and does
 * not look for names where the caller's search_path leads.
 */
static void
scan_as(Oid reader, Relation relation, AttrNumber number, Tally *tally)
{
	Oid			user;
	int			context;
	int			level;

	GetUserIdAndSecContext(&user, &context);
	if (reader == user)
	{
		column_scan(relation, number, NULL, count_row, tally);
		return;
	}
	SetUserIdAndSecContext(reader, context | SECURITY_RESTRICTED_OPERATION);
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	column_scan(relation, number, NULL, count_row, tally);
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(user, context);
}

/* mediastore.column_stats(regclass, name) returns setof record */
Datum
media_column_stats(PG_FUNCTION_ARGS)
{
	Oid			relation_id = PG_GETARG_OID(0);
	const char *name = NameStr(*PG_GETARG_NAME(1));
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[STATS_COLUMNS] = {0};
	bool		nulls[STATS_COLUMNS] = {false};
	Relation	relation;
	AttrNumber	number;
	Oid			reader;
	Tally		tally = {0};

	InitMaterializedSRF(fcinfo, 0);
	relation = try_relation_open(relation_id, AccessShareLock);
	if (relation == NULL)
		return (Datum) 0;
	number = get_attnum(relation_id, name);
	if (number > 0 && column_holds_pictures(relation, number, &tally.is_array) &&
		find_reader(relation, number, &reader))
	{
		scan_as(reader, relation, number, &tally);

		values[STATS_ROWS] = Int64GetDatum(tally.rows);
		values[STATS_NULLS] = Int64GetDatum(tally.nulls);
		values[STATS_PICTURES] = Int64GetDatum(tally.pictures);
		values[STATS_BYTES] = Int64GetDatum((int64) tally.bytes);
		nulls[STATS_MEAN_BYTES] = nulls[STATS_LARGEST_BYTES] = tally.pictures == 0;
		if (tally.pictures > 0)
			values[STATS_MEAN_BYTES] = Int64GetDatum((int64) (tally.bytes / (uint64) tally.pictures));
		values[STATS_LARGEST_BYTES] = Int64GetDatum((int64) tally.largest);
		values[STATS_FORMATS] = formats_as_jsonb(&tally);
		tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
	}
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}
