/*-------------------------------------------------------------------------
 *
 * push_row.c
 *	  The primary key of a row, as mediastore.attachment has it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "push.h"

int
push_key_columns(Relation relation, AttrNumber *numbers)
{
	List	   *indexes = RelationGetIndexList(relation);
	int			count = 0;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisprimary && index->indisvalid && index->indimmediate)
		{
			count = index->indnkeyatts;
			for (int i = 0; i < count; i++)
				numbers[i] = index->indkey.values[i];
		}
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	return count;
}

void
push_no_key(Relation relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" has no primary key that is not deferrable",
					RelationGetRelationName(relation)),
			 errdetail("What is pushed to a store is found again by its row's primary key."),
			 errtable(relation)));
}

/* Whether a type's output is the same whatever the settings are. */
static bool
is_plain(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case UUIDOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case BOOLOID:
		case NUMERICOID:
			return true;
		default:
			return false;
	}
}

/* The settings that output functions know, to be taken back by AtEOXact_GUC. */
static int
set_output_settings(void)
{
	static const char *const settings[][2] = {
		{"datestyle", "ISO, YMD"},
		{"intervalstyle", "postgres"},
		{"timezone", "GMT"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"lc_monetary", "C"},
		/* of the reg* types: names are qualified then */
		{"search_path", "pg_catalog"},
	};
	int			level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

ArrayType *
push_key_texts(const Datum *values, const Oid *types, int count)
{
	Datum		texts[INDEX_MAX_KEYS];
	ArrayType  *result;
	int			level = 0;

	for (int i = 0; i < count && level == 0; i++)
	{
		if (!is_plain(getBaseType(types[i])))
			level = set_output_settings();
	}
	for (int i = 0; i < count; i++)
	{
		Oid			output;
		bool		is_varlena;
		char	   *text;

		getTypeOutputInfo(types[i], &output, &is_varlena);
		text = OidOutputFunctionCall(output, values[i]);
		texts[i] = CStringGetTextDatum(text);
		pfree(text);
	}
	if (level != 0)
		AtEOXact_GUC(true, level);

	result = construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT);
	for (int i = 0; i < count; i++)
		pfree(DatumGetPointer(texts[i]));
	return result;
}

ArrayType *
push_row_key(Relation relation, TupleTableSlot *slot)
{
	AttrNumber	numbers[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];
	int			count = push_key_columns(relation, numbers);

	if (count == 0)
		push_no_key(relation);
	for (int i = 0; i < count; i++)
	{
		bool		is_null;

		values[i] = slot_getattr(slot, numbers[i], &is_null);
		if (is_null)
			elog(ERROR, "primary key of a row of \"%s\" is null", RelationGetRelationName(relation));
		types[i] = TupleDescAttr(RelationGetDescr(relation), numbers[i] - 1)->atttypid;
	}
	return push_key_texts(values, types, count);
}
