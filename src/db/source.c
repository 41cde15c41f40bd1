/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Values that are to be pushed, where they are: in rows of users' tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "source.h"

/* How long a statement on a user's table may wait for a lock. */
#define LOCK_TIMEOUT	"1s"

/* A column of a table's primary key. */
typedef struct KeyColumn
{
	FmgrInfo	input;
	Oid			parameter;
	int32		modifier;
} KeyColumn;

/* A table, as long as the source is in use. */
typedef struct SourceTable
{
	Oid			oid;
	LOCKMODE	lockmode;
	SourceStatus status;
	Relation	relation;
	Relation	index;
	int			count;			/* of the key's columns */
	KeyColumn	columns[INDEX_MAX_KEYS];
	ScanKeyData keys[INDEX_MAX_KEYS];
	IndexScanDesc scan;
	TupleTableSlot *slot;
	NameData	column;			/* that was asked for last */
	AttrNumber	number;			/* 0: there is none of that name and type */
	bool		is_array;
} SourceTable;

struct Source
{
	MemoryContext memory;		/* that it lives in */
	MemoryContext row_memory;	/* of a key; reset for each row */
	int			settings;
	List	   *tables;			/* of SourceTable */
};

/* --- who we are ----------------------------------------------------------- */

void
source_become_owner(Relation relation, SourceIdentity *before)
{
	GetUserIdAndSecContext(&before->user, &before->context);
	SetUserIdAndSecContext(relation->rd_rel->relowner,
						   before->context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

void
source_become(const SourceIdentity *before)
{
	SetUserIdAndSecContext(before->user, before->context);
}

int
source_settings(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* --- tables --------------------------------------------------------------- */

/* Makes ready to look up rows by the primary key. */
static void
open_key(SourceTable *table)
{
	Form_pg_index form = table->index->rd_index;

	table->count = form->indnkeyatts;
	for (int i = 0; i < table->count; i++)
	{
		AttrNumber	number = form->indkey.values[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table->relation), number - 1);
		KeyColumn  *column = &table->columns[i];
		Oid			type = table->index->rd_opcintype[i];
		Oid			function;
		Oid			input;
		Oid			operator;

		operator = get_opfamily_member(table->index->rd_opfamily[i], type, type,
									   BTEqualStrategyNumber);
		function = OidIsValid(operator) ? get_opcode(operator) : InvalidOid;
		if (!RegProcedureIsValid(function))
			elog(ERROR, "missing operator %d(%u,%u) in opfamily %u", BTEqualStrategyNumber,
				 type, type, table->index->rd_opfamily[i]);

		/* a domain's constraints held when the row came */
		column->modifier = attribute->atttypmod;
		getTypeInputInfo(getBaseTypeAndTypmod(attribute->atttypid, &column->modifier),
						 &input, &column->parameter);
		fmgr_info(input, &column->input);
		ScanKeyEntryInitialize(&table->keys[i], 0, (AttrNumber) (i + 1), BTEqualStrategyNumber,
							   InvalidOid, table->index->rd_indcollation[i], function, (Datum) 0);
	}
	table->scan = mediastore_index_beginscan(table->relation, table->index, GetActiveSnapshot(),
											 table->count);
	table->slot = table_slot_create(table->relation, NULL);
}

static SourceStatus
open_table(SourceTable *table)
{
	SourceIdentity before;
	Oid			index;

	/* whoever has it locked is not waited for: others' values are due, too */
	if (!ConditionalLockRelationOid(table->oid, table->lockmode))
		return SOURCE_LOCKED;
	table->relation = try_relation_open(table->oid, NoLock);
	if (table->relation == NULL)
		return SOURCE_MISSING;
	if (table->relation->rd_rel->relkind != RELKIND_RELATION ||
		RELATION_IS_OTHER_TEMP(table->relation))
		return SOURCE_MISSING;
	index = mediastore_primary_key_index(table->relation);
	if (!OidIsValid(index))
		return SOURCE_MISSING;
	/* REINDEX locks it without its table */
	if (!ConditionalLockRelationOid(index, AccessShareLock))
		return SOURCE_LOCKED;
	table->index = index_open(index, NoLock);
	source_become_owner(table->relation, &before);
	open_key(table);
	source_become(&before);
	return SOURCE_FOUND;
}

static SourceTable *
find_table(Source *source, Oid oid, LOCKMODE lockmode)
{
	MemoryContext old;
	SourceTable *table;
	ListCell   *cell;

	foreach(cell, source->tables)
	{
		table = (SourceTable *) lfirst(cell);
		if (table->oid == oid)
			return table;
	}
	old = MemoryContextSwitchTo(source->memory);
	table = (SourceTable *) palloc0(sizeof(SourceTable));
	table->oid = oid;
	table->lockmode = lockmode;
	table->status = open_table(table);
	source->tables = lappend(source->tables, table);
	MemoryContextSwitchTo(old);
	return table;
}

/* Finds the column, which is mostly the one of the row before. */
static void
find_column(SourceTable *table, const char *name)
{
	if (strcmp(NameStr(table->column), name) == 0)
		return;
	namestrcpy(&table->column, name);
	table->number = get_attnum(table->oid, name);
	if (table->number > 0)
	{
		Oid			type = getBaseType(TupleDescAttr(RelationGetDescr(table->relation),
													 table->number - 1)->atttypid);

		table->is_array = type == BYTEAARRAYOID;
		if (type == BYTEAOID || type == BYTEAARRAYOID)
			return;
	}
	table->number = InvalidAttrNumber;
}

/* --- rows ----------------------------------------------------------------- */

Source *
source_begin(void)
{
	Source	   *source = (Source *) palloc0(sizeof(Source));

	source->memory = CurrentMemoryContext;
	source->row_memory = AllocSetContextCreate(CurrentMemoryContext, "mediastore source row",
											   ALLOCSET_SMALL_SIZES);
	source->settings = source_settings();
	return source;
}

/* Sets the keys to look for.  False if the text can't be a key of the table. */
static bool
set_keys(SourceTable *table, ArrayType *row_key)
{
	Datum	   *texts;
	bool	   *nulls;
	int			count;

	deconstruct_array(row_key, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
	if (count != table->count)
		return false;
	for (int i = 0; i < count; i++)
	{
		KeyColumn  *column = &table->columns[i];

		if (nulls[i])
			return false;
		table->keys[i].sk_argument = InputFunctionCall(&column->input,
													   TextDatumGetCString(texts[i]),
													   column->parameter, column->modifier);
	}
	return true;
}

SourceStatus
source_find(Source *source, const PushPlace *place, LOCKMODE lockmode, SourceRow *row)
{
	SourceTable *table = find_table(source, place->relation, lockmode);
	SourceIdentity before;
	MemoryContext old;
	bool		found;

	if (table->status != SOURCE_FOUND)
		return table->status;
	find_column(table, NameStr(place->column));
	if (table->number == InvalidAttrNumber)
		return SOURCE_MISSING;

	MemoryContextReset(source->row_memory);
	source_become_owner(table->relation, &before);
	old = MemoryContextSwitchTo(source->row_memory);
	found = set_keys(table, place->row_key);
	MemoryContextSwitchTo(old);
	if (found)
	{
		index_rescan(table->scan, table->keys, table->count, NULL, 0);
		found = index_getnext_slot(table->scan, ForwardScanDirection, table->slot);
	}
	source_become(&before);
	if (!found)
		return SOURCE_MISSING;

	row->relation = table->relation;
	row->number = table->number;
	row->is_array = table->is_array;
	row->place = table->slot->tts_tid;
	row->stored = slot_getattr(table->slot, table->number, &row->is_null);
	return SOURCE_FOUND;
}

bool
source_open(const SourceRow *row, int32 index, PictureArray *array, Value *value)
{
	bool		is_null;

	memset(array, 0, sizeof(*array));
	if (row->is_null || row->is_array != (index > 0))
		return false;
	if (!row->is_array)
	{
		value_open(value, row->stored);
		return true;
	}
	if (!array_try_open(array, row->stored))
		return false;
	if (index > array->count)
		return false;
	array_at(array, index - 1, value, &is_null);
	return !is_null;
}

void
source_pointer(Datum stored, SourcePointer *pointer)
{
	struct varlena *content = (struct varlena *) DatumGetPointer(stored);

	memset(pointer, 0, sizeof(*pointer));
	if (!VARATT_IS_EXTERNAL_ONDISK(content))
		return;
	pointer->is_set = true;
	VARATT_EXTERNAL_GET_POINTER(pointer->pointer, content);
}

bool
source_pointer_equal(const SourcePointer *one, const SourcePointer *other)
{
	return one->is_set && other->is_set &&
		memcmp(&one->pointer, &other->pointer, sizeof(one->pointer)) == 0;
}

void
source_end(Source *source)
{
	ListCell   *cell;

	foreach(cell, source->tables)
	{
		SourceTable *table = (SourceTable *) lfirst(cell);

		if (table->slot != NULL)
			ExecDropSingleTupleTableSlot(table->slot);
		if (table->scan != NULL)
			index_endscan(table->scan);
		if (table->index != NULL)
			index_close(table->index, NoLock);
		if (table->relation != NULL)
			relation_close(table->relation, NoLock);
	}
	AtEOXact_GUC(false, source->settings);
	MemoryContextDelete(source->row_memory);
	pfree(source);
}
