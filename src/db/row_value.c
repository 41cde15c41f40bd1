/*-------------------------------------------------------------------------
 *
 * row_value.c
 *	  What a row has in a column: the value itself, or an object at a store that
 *	  it was moved to.
 *
 * The row is read as the statement at hand sees it, and the books as they are
 * now, which is what a store can give.  Changes that are not folded yet count
 * where the books alone would mislead: a row that has got a new value, has lost
 * it, or has another key.  There is no index on them to look that up by, so
 * they are asked only where a value has been moved, or could have been.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "array.h"
#include "column_scan.h"
#include "compat.h"
#include "own_tables.h"
#include "push.h"
#include "row_key.h"
#include "row_value.h"
#include "run.h"

/* A row's column, or an element of it. */
typedef struct Place
{
	Oid			table;			/* that holds the row: of a tree, a leaf */
	ArrayType  *row_key;
	const char *column;
	int32		index;			/* 0: the column is no array */
} Place;

/* The columns of a table's primary key. */
typedef struct Key
{
	int			count;			/* 0: it has none */
	AttrNumber	numbers[INDEX_MAX_KEYS];
	Oid			equal[INDEX_MAX_KEYS];	/* operators */
	Datum		values[INDEX_MAX_KEYS];
	bool		has_null;
} Key;

static OwnStatement find_attachment = {
	"SELECT a.offloaded, o.id, o.server, o.key, o.sha256, o.bytes, o.owner, o.state, o.stored_at IS NOT NULL"
	" FROM mediastore.attachment AS a"
	" JOIN mediastore.object AS o ON o.id OPERATOR(pg_catalog.=) a.object"
	" WHERE a.relation OPERATOR(pg_catalog.=) $1 AND a.row_key OPERATOR(pg_catalog.=) $2"
	" AND a.column_name OPERATOR(pg_catalog.=) $3 AND a.index OPERATOR(pg_catalog.=) $4",
	SPI_OK_SELECT, 4, {OIDOID, TEXTARRAYOID, NAMEOID, INT4OID}, NULL, NULL
};

/* The last change before $5 that is about the place. */
static OwnStatement find_change = {
	"SELECT c.id, c.kind, c.row_key, c.new_key OPERATOR(pg_catalog.=) $2 FROM mediastore.change AS c"
	" WHERE c.relation OPERATOR(pg_catalog.=) $1 AND c.id OPERATOR(pg_catalog.<) $5 AND"
	" (c.column_name IS NULL OR c.column_name OPERATOR(pg_catalog.=) $3) AND"
	" (c.row_key IS NULL OR c.row_key OPERATOR(pg_catalog.=) $2 OR c.new_key OPERATOR(pg_catalog.=) $2) AND"
	" (c.index IS NULL OR c.index OPERATOR(pg_catalog.=) $4)"
	" ORDER BY c.id DESC LIMIT 1",
	SPI_OK_SELECT, 5, {OIDOID, TEXTARRAYOID, NAMEOID, INT4OID, INT8OID}, NULL, NULL
};

/* --- the row ---------------------------------------------------------------- */

/* The table that the first argument is declared to be a row of. */
static Oid
table_of_argument(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			table = OidIsValid(type) ? get_typ_typrelid(getBaseType(type)) : InvalidOid;
	char		kind = OidIsValid(table) ? get_rel_relkind(table) : '\0';

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument \"row\" is not a row of a table"),
				 OidIsValid(type) ? errdetail("Its type is %s.", format_type_be(type)) : 0,
				 errhint("Pass the row by the table's name or alias, as in SELECT media_fetch(u, 'photo') FROM users AS u.")));
	return table;
}

/* Looks up the primary key of a table, and the values of a row. */
static void
read_key(Relation relation, HeapTuple row, Key *key)
{
	Relation	index;

	memset(key, 0, sizeof(*key));
	list_free(RelationGetIndexList(relation));
	if (!OidIsValid(relation->rd_pkindex))
		return;

	index = index_open(relation->rd_pkindex, AccessShareLock);
	key->count = IndexRelationGetNumberOfKeyAttributes(index);
	for (int i = 0; i < key->count; i++)
	{
		bool		is_null;

		key->numbers[i] = index->rd_index->indkey.values[i];
		key->equal[i] = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
											index->rd_opcintype[i], BTEqualStrategyNumber);
		if (!OidIsValid(key->equal[i]))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the primary key of table \"%s\" is of a kind that rows can't be looked up by",
							RelationGetRelationName(relation))));
		key->values[i] = heap_getattr(row, key->numbers[i], RelationGetDescr(relation), &is_null);
		key->has_null |= is_null;
	}
	index_close(index, AccessShareLock);
}

static Form_pg_attribute
key_column(Relation relation, const Key *key, int i)
{
	return TupleDescAttr(RelationGetDescr(relation), key->numbers[i] - 1);
}

/* Selects the row by its key, with SPI connected; gives how many there are. */
static uint64
select_row(Relation relation, AttrNumber number, const Key *key)
{
	StringInfoData query;
	StringInfoData condition;
	Oid			types[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	int			result;

	initStringInfo(&query);
	initStringInfo(&condition);
	/* who may read the column need not have a right on tableoid */
	appendStringInfo(&query, "SELECT %s, t.%s",
					 relation->rd_rel->relhassubclass ? "t.tableoid" : "NULL::pg_catalog.oid",
					 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname)));
	for (int i = 0; i < key->count; i++)
	{
		Form_pg_attribute attribute = key_column(relation, key, i);
		char	   *name = psprintf("t.%s", quote_identifier(NameStr(attribute->attname)));

		appendStringInfo(&query, ", %s", name);
		if (i > 0)
			appendStringInfoString(&condition, " AND ");
		generate_operator_clause(&condition, name, attribute->atttypid, key->equal[i],
								 psprintf("$%d", i + 1), attribute->atttypid);
		types[i] = attribute->atttypid;
		values[i] = key->values[i];
	}
	appendStringInfo(&query, " FROM %s AS t WHERE %s", table_sql_name(relation), condition.data);

	result = SPI_execute_with_args(query.data, key->count, types, values, NULL, true, 2);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", query.data, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * The key, as the books have it, of the row that was selected; NULL if there is
 * none.  It lies in a table of the tree, whose columns of the same names may
 * have other numbers.
 */
static ArrayType *
selected_row_key(Relation relation, const Key *key, Relation table)
{
	TupleDesc	descriptor = RelationGetDescr(table);
	AttrNumber	numbers[INDEX_MAX_KEYS];
	int			count = push_key_columns(table, numbers);
	Bitmapset  *missing = NULL;
	TupleTableSlot *slot;
	ArrayType  *row_key;

	if (count == 0)
		return NULL;
	for (int i = 0; i < count; i++)
		missing = bms_add_member(missing, numbers[i]);
	slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
	memset(slot->tts_isnull, true, (size_t) descriptor->natts * sizeof(bool));
	for (int i = 0; i < key->count; i++)
	{
		AttrNumber	number = get_attnum(RelationGetRelid(table),
										NameStr(key_column(relation, key, i)->attname));

		if (number <= 0)
			continue;
		slot->tts_values[number - 1] =
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 3,
						  &slot->tts_isnull[number - 1]);
		missing = bms_del_member(missing, number);
	}
	if (!bms_is_empty(missing))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the row is in table \"%s\", whose primary key has other columns than that of \"%s\"",
						RelationGetRelationName(table), RelationGetRelationName(relation)),
				 errhint("Select from that table.")));
	ExecStoreVirtualTuple(slot);
	row_key = push_row_key(table, slot);
	ExecDropSingleTupleTableSlot(slot);
	return row_key;
}

/* --- the books -------------------------------------------------------------- */

static void
place_arguments(const Place *place, Name column, Datum *values)
{
	namestrcpy(column, place->column);
	values[0] = ObjectIdGetDatum(place->table);
	values[1] = PointerGetDatum(place->row_key);
	values[2] = NameGetDatum(column);
	values[3] = Int32GetDatum(place->index);
}

/* A column of the row that own_execute gave; none of them is null. */
static Datum
book_column(int number)
{
	bool		is_null;
	Datum		datum = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, &is_null);

	if (is_null)
		elog(ERROR, "unexpected null in column %d", number);
	return datum;
}

/* Looks up the object of a place. */
static bool
look_up(const Place *place, RowValue *value)
{
	RowObject  *object = &value->object;
	NameData	column;
	Datum		values[4];
	bool		found;

	place_arguments(place, &column, values);
	own_execute(&find_attachment, values, NULL);
	found = SPI_processed > 0;
	if (found)
	{
		bytea	   *sha256 = DatumGetByteaPP(book_column(5));

		if (VARSIZE_ANY_EXHDR(sha256) != PG_SHA256_DIGEST_LENGTH)
			elog(ERROR, "object " INT64_FORMAT " has no SHA-256", DatumGetInt64(book_column(2)));
		value->offloaded = DatumGetBool(book_column(1));
		object->id = DatumGetInt64(book_column(2));
		object->server = pstrdup(NameStr(*DatumGetName(book_column(3))));
		object->key = TextDatumGetCString(book_column(4));
		memcpy(object->sha256, VARDATA_ANY(sha256), PG_SHA256_DIGEST_LENGTH);
		object->bytes = DatumGetInt64(book_column(6));
		object->owner = DatumGetObjectId(book_column(7));
		object->state = TextDatumGetCString(book_column(8));
		object->stored = DatumGetBool(book_column(9));
	}
	SPI_freetuptable(SPI_tuptable);
	return found;
}

typedef enum PlaceChange
{
	PLACE_AS_FOLDED,			/* the books are right */
	PLACE_HAS_VALUE,			/* the row has got a value of its own */
	PLACE_HAS_NONE				/* what the books tell is another row's now, or
								 * nobody's */
} PlaceChange;

/*
 * What changes that are not folded yet do to a place.  Where the row had another
 * key before, the place becomes that one, by which the books know it.
 */
static PlaceChange
look_up_change(Place *place)
{
	int64		before = PG_INT64_MAX;

	for (;;)
	{
		NameData	column;
		Datum		values[5];
		char		kind;
		bool		arrived;
		bool		is_null;
		Datum		old_key;

		CHECK_FOR_INTERRUPTS();
		place_arguments(place, &column, values);
		values[4] = Int64GetDatum(before);
		own_execute(&find_change, values, NULL);
		if (SPI_processed == 0)
		{
			SPI_freetuptable(SPI_tuptable);
			return PLACE_AS_FOLDED;
		}
		before = DatumGetInt64(book_column(1));
		kind = DatumGetChar(book_column(2));
		old_key = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &is_null);
		if (!is_null)
			old_key = PointerGetDatum(DatumGetArrayTypePCopy(old_key));
		arrived = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &is_null));
		arrived = arrived && !is_null;
		SPI_freetuptable(SPI_tuptable);

		if (kind == 'a')
			return PLACE_HAS_VALUE;
		if (kind != 'm' || !arrived)
			return PLACE_HAS_NONE;
		place->row_key = DatumGetArrayTypeP(old_key);
	}
}

/* Whether values of the column are moved out. */
static bool
moves_values(Relation table, const Place *place)
{
	PushColumn	push;

	return push_find(table, place->column, &push) && push.offload != PUSH_OFFLOAD_NONE;
}

/*
 * Finds the object that the value was moved to, if it was.  What is not folded
 * is looked at first where it counts: folded meanwhile, it is in the books.
 */
static void
find_object(Relation table, Place *place, RowValue *value)
{
	bool		found = look_up(place, value) && value->offloaded;

	value->offloaded = false;
	if (!found && !(value->is_null && moves_values(table, place)))
		return;
	switch (look_up_change(place))
	{
		case PLACE_AS_FOLDED:
			(void) look_up(place, value);
			break;
		case PLACE_HAS_VALUE:

			/*
			 * Without one, the row is seen as it was before: with what the
			 * books still tell of it.
			 */
			if (value->is_null)
				(void) look_up(place, value);
			break;
		case PLACE_HAS_NONE:
			break;
	}
}

/* --- both ------------------------------------------------------------------- */

/* Takes the element of an array that place tells, or all of a value. */
static void
take_value(const Place *place, Datum datum, bool is_null, RowValue *value)
{
	PictureArray array;
	Value		element;

	value->is_null = is_null;
	value->data = datum;
	if (is_null || place->index == 0)
		return;

	array_open(&array, datum);
	value->is_null = place->index > array.count;
	if (!value->is_null)
		array_at(&array, place->index - 1, &element, &value->is_null);
	if (!value->is_null)
		value->data = PointerGetDatum(value_copy(&element));
	array_close(&array);
}

static void
check_index(Relation relation, const char *column, bool is_array, bool is_null, int32 index)
{
	const char *wrong = NULL;

	if (is_array && is_null)
		wrong = "index of an element is missing";
	else if (!is_array && !is_null)
		wrong = "there is no element of that index";
	else if (is_array && index < 1)
		wrong = "index must be at least 1";
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", wrong),
				 errdetail(is_array ? "Column \"%s\" of table \"%s\" is an array." :
						   "Column \"%s\" of table \"%s\" is no array.",
						   column, RelationGetRelationName(relation)),
				 is_array ? errhint("Elements are counted from 1, as in index => 1.") : 0));
}

/* Finds the row as the current user, and its value. */
static void
find_row(Relation relation, AttrNumber number, const Key *key, Place *place, Datum in_hand,
		 bool in_hand_is_null, RowValue *value)
{
	MemoryContext memory = CurrentMemoryContext;
	uint64		count = 0;
	Relation	table;
	Datum		datum;
	bool		is_null;

	SPI_connect();
	if (!key->has_null)
		count = select_row(relation, number, key);
	if (count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("more than one row of table \"%s\" has the key of this one",
						RelationGetRelationName(relation)),
				 errhint("A primary key holds for one table, but not for those that inherit from it; select from these.")));
	MemoryContextSwitchTo(memory);
	if (count == 0)
	{
		SPI_finish();
		take_value(place, in_hand, in_hand_is_null, value);
		return;
	}

	datum = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	place->table = is_null ? RelationGetRelid(relation) : DatumGetObjectId(datum);
	datum = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null);
	if (!is_null)
		datum = datumCopy(datum, false, -1);
	table = table_open(place->table, AccessShareLock);
	place->row_key = selected_row_key(relation, key, table);
	SPI_freetuptable(SPI_tuptable);

	take_value(place, datum, is_null, value);
	if (place->row_key != NULL)
		find_object(table, place, value);
	table_close(table, NoLock);
	SPI_finish();
}

void
row_value_find(FunctionCallInfo fcinfo, int index, RowValue *value)
{
	Oid			oid = table_of_argument(fcinfo);
	Place		place = {0};
	Relation	relation;
	AttrNumber	number;
	HeapTupleHeader header;
	HeapTupleData row;
	Key			key;
	Datum		datum;
	bool		is_array;
	bool		is_null;

	memset(value, 0, sizeof(*value));
	value->is_null = true;
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return;

	relation = table_open(oid, AccessShareLock);
	place.column = NameStr(*PG_GETARG_NAME(1));
	number = run_column_number(relation, place.column);
	if (!column_holds_pictures(relation, number, &is_array))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is of type %s", place.column,
						RelationGetRelationName(relation),
						format_type_be(TupleDescAttr(RelationGetDescr(relation), number - 1)->atttypid)),
				 errhint("Pictures are in columns of type bytea or bytea[].")));
	if (!PG_ARGISNULL(index))
		place.index = PG_GETARG_INT32(index);
	check_index(relation, place.column, is_array, PG_ARGISNULL(index), place.index);

	header = PG_GETARG_HEAPTUPLEHEADER(0);
	if (HeapTupleHeaderGetTypeId(header) != RelationGetForm(relation)->reltype)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument \"row\" is not a row of table \"%s\"",
						RelationGetRelationName(relation))));
	row.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&row.t_self);
	row.t_tableOid = InvalidOid;
	row.t_data = header;
	datum = heap_getattr(&row, number, RelationGetDescr(relation), &is_null);

	read_key(relation, &row, &key);
	if (key.count > 0)
		find_row(relation, number, &key, &place, datum, is_null, value);
	else
	{
		/* what has no key was never moved, unless it had one then */
		take_value(&place, datum, is_null, value);
		if (value->is_null && moves_values(relation, &place))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has no primary key", RelationGetRelationName(relation)),
					 errhint("Objects are found by the primary keys of their rows.")));
	}
	table_close(relation, NoLock);
}
