/*-------------------------------------------------------------------------
 *
 * push_trigger.c
 *	  media_push_trigger: what becomes of a column is written down.
 *
 * A value is read once, for its hash; what an UPDATE leaves as it was is known
 * by its TOAST pointer, or else by its bytes, and is not written down.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "array.h"
#include "attached.h"
#include "compat.h"
#include "push.h"
#include "sha256.h"

PG_FUNCTION_INFO_V1(media_push_trigger);

PushWritingBack *push_writing_back = NULL;

/* What this session has read of a trigger. */
typedef struct KnownTrigger
{
	Oid			trigger;		/* the key */
	Oid			relation;
	Oid			root;			/* the partitioned table it is a partition of,
								 * or itself */
	PushColumn	column;
	MemoryContext memory;		/* of what that points to */
	int			key_count;
	AttrNumber	key_numbers[INDEX_MAX_KEYS];
} KnownTrigger;

static HTAB *known_triggers = NULL;

/* The row at hand. */
typedef struct Row
{
	Relation	relation;
	Oid			root;
	const PushColumn *column;
	const char *column_name;
	int			key_count;
	const AttrNumber *key_numbers;
	TupleTableSlot *slot;
	ArrayType  *key;			/* of its primary key */
} Row;

/* --- what triggers say ---------------------------------------------------- */

/*
 * A table has changed, or its columns, its key, its triggers.  Forgets what
 * was read of them.
 */
static void
forget_triggers(Datum argument pg_attribute_unused(), Oid relation)
{
	HASH_SEQ_STATUS status;
	KnownTrigger *known;

	hash_seq_init(&status, known_triggers);
	while ((known = (KnownTrigger *) hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relation) || known->relation == relation)
		{
			if (known->memory != NULL)
				MemoryContextDelete(known->memory);
			hash_search(known_triggers, &known->trigger, HASH_REMOVE, NULL);
		}
	}
}

/* The topmost table that a partition belongs to; of others, itself. */
static Oid
root_of(Relation relation)
{
	List	   *ancestors;

	if (!relation->rd_rel->relispartition)
		return RelationGetRelid(relation);
	ancestors = get_partition_ancestors(RelationGetRelid(relation));
	return ancestors != NIL ? llast_oid(ancestors) : RelationGetRelid(relation);
}

/* Gives what a trigger says of itself, read once a session; *known is a copy. */
static void
know_trigger(Relation relation, const Trigger *trigger, KnownTrigger *result)
{
	KnownTrigger *known;
	TriggerDesc *triggers;
	const Trigger *current;

	if (known_triggers == NULL)
	{
		HASHCTL		control;

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(KnownTrigger);
		known_triggers = hash_create("mediastore push triggers", 16, &control,
									 HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(forget_triggers, (Datum) 0);
	}

	known = (KnownTrigger *) hash_search(known_triggers, &trigger->tgoid, HASH_FIND, NULL);
	if (known != NULL)
	{
		*result = *known;
		result->column.key = pstrdup(known->column.key);
		return;
	}

	/*
	 * What the executor has is as old as its statement, which may have
	 * replaced the trigger since.  Only the relation's own is to be kept.
	 */
	triggers = CopyTriggerDesc(relation->trigdesc);
	current = attached_current(triggers, trigger);
	memset(result, 0, sizeof(*result));
	result->trigger = trigger->tgoid;
	result->relation = RelationGetRelid(relation);
	result->root = root_of(relation);
	push_read(relation, current != NULL ? current : trigger, &result->column);
	result->key_count = push_key_columns(relation, result->key_numbers);
	if (current != NULL && result->key_count > 0)
	{
		MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "mediastore push trigger",
													 ALLOCSET_SMALL_SIZES);
		char	   *key = MemoryContextStrdup(memory, result->column.key);

		known = (KnownTrigger *) hash_search(known_triggers, &trigger->tgoid, HASH_ENTER, NULL);
		*known = *result;
		known->memory = memory;
		known->column.key = key;
	}
	FreeTriggerDesc(triggers);
}

/* --- rows ----------------------------------------------------------------- */

/* Reads the primary key of a slot's row. */
static ArrayType *
read_key(const Row *row, TupleTableSlot *slot)
{
	Datum		values[INDEX_MAX_KEYS] = {0};
	Oid			types[INDEX_MAX_KEYS] = {0};

	for (int i = 0; i < row->key_count; i++)
	{
		bool		is_null;

		values[i] = slot_getattr(slot, row->key_numbers[i], &is_null);
		if (is_null)
			elog(ERROR, "primary key of a row of \"%s\" is null",
				 RelationGetRelationName(row->relation));
		types[i] = TupleDescAttr(RelationGetDescr(row->relation), row->key_numbers[i] - 1)->atttypid;
	}
	return push_key_texts(values, types, row->key_count);
}

/* Whether two rows have the same primary key, byte by byte. */
static bool
same_key(const Row *row, TupleTableSlot *one, TupleTableSlot *other)
{
	for (int i = 0; i < row->key_count; i++)
	{
		AttrNumber	number = row->key_numbers[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(row->relation), number - 1);
		bool		is_null;
		Datum		value = slot_getattr(one, number, &is_null);
		Datum		other_value = slot_getattr(other, number, &is_null);

		if (!datum_image_eq(value, other_value, attribute->attbyval, attribute->attlen))
			return false;
	}
	return true;
}

static void
append(const Row *row, char kind, int32 index)
{
	Change		change = {.kind = kind, .index = index};

	change.relation = RelationGetRelid(row->relation);
	change.row_key = row->key;
	change.column = row->column_name;
	change_append(&change);
}

/* --- values --------------------------------------------------------------- */

/* Writes down that the row refers to a value.  index: of an element from 1, or 0. */
static void
append_value(Row *row, int32 index, Value *value)
{
	FactsFormat format = facts_format(&value->reader);
	const char *mime_type = facts_mime_type(format);
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
	Change		change = {.kind = 'a', .index = index};

	sha256_value(value, sha256);
	value_release(value);
	change.relation = RelationGetRelid(row->relation);
	change.row_key = row->key;
	change.column = row->column_name;
	change.server = NameStr(row->column->server);
	change.key = push_make_key(row->column, row->root, row->column_name, row->key, index, format, sha256);
	change.sha256 = sha256;
	change.bytes = value->total;
	change.content_type = mime_type != NULL ? mime_type : "application/octet-stream";
	change.immutable = row->column->immutable;
	change.write_back = row->column->url_number != InvalidAttrNumber ||
		row->column->offload != PUSH_OFFLOAD_NONE;
	change_append(&change);
}

/* Writes down that the row refers to all that the column holds. */
static void
append_datum(Row *row, Datum datum)
{
	PictureArray array;
	Value		value;

	if (!row->column->is_array)
	{
		value_open(&value, datum);
		append_value(row, 0, &value);
		return;
	}
	array_open(&array, datum);
	for (int i = 0; i < array.count; i++)
	{
		bool		is_null;

		array_next(&array, &value, &is_null);
		if (!is_null)
			append_value(row, i + 1, &value);
	}
	array_close(&array);
}

/*
 * Raises if what is an element now was another one before, which is not there
 * any more.  Of what was offloaded the row has but a thumbnail: that would be
 * taken for a new picture, and the picture itself be deleted.
 */
static void
refuse_moved(const Row *row, int index, Value *value, Datum before, Datum now)
{
	PictureArray old_array;
	PictureArray array;

	if (!array_try_open(&old_array, before))
		return;
	array_open(&array, now);
	for (int i = 0; i < old_array.count; i++)
	{
		Value		old_value;
		Value		stays;
		bool		was_null;
		bool		is_null = true;

		CHECK_FOR_INTERRUPTS();
		array_next(&old_array, &old_value, &was_null);
		if (i < array.count)
			array_next(&array, &stays, &is_null);
		if (was_null || i == index || !value_equal(&old_value, value) ||
			(!is_null && value_equal(&old_value, &stays)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("element %d of column \"%s\" cannot become element %d", i + 1,
						row->column_name, index + 1),
				 errdetail("Its picture may be at the store only, with a thumbnail left in the row."),
				 errhint("Get the pictures with media_fetch and set them anew.")));
	}
	array_close(&old_array);
	array_close(&array);
}

/* Writes down which elements of an array are others than before. */
static void
compare_arrays(Row *row, Datum before, Datum now)
{
	PictureArray old_array;
	PictureArray array;
	int			old_count = 0;

	/* arrays of before a column was attached may have more dimensions */
	if (array_try_open(&old_array, before))
		old_count = old_array.count;
	array_open(&array, now);
	for (int i = 0; i < Max(old_count, array.count); i++)
	{
		Value		old_value;
		Value		value;
		bool		was_null = true;
		bool		is_null = true;

		CHECK_FOR_INTERRUPTS();
		if (i < old_count)
			array_next(&old_array, &old_value, &was_null);
		if (i < array.count)
			array_next(&array, &value, &is_null);

		if (!is_null && (was_null || !value_equal(&old_value, &value)))
		{
			if (row->column->offload == PUSH_OFFLOAD_THUMBNAIL)
				refuse_moved(row, i, &value, before, now);
			append_value(row, i + 1, &value);
		}
		/* of an element that was offloaded, null is all there was */
		else if (is_null && (!was_null ||
							 (row->column->offload != PUSH_OFFLOAD_NONE && i >= array.count)))
			append(row, 'd', i + 1);
	}
	if (old_count > 0)
		array_close(&old_array);
	array_close(&array);
}

/* Whether this is what is being written back to a row. */
static bool
is_write_back(const Row *row, TupleTableSlot *before)
{
	PushWritingBack *back = push_writing_back;

	return back != NULL && back->relation == RelationGetRelid(row->relation) &&
		ItemPointerEquals(&back->place, &before->tts_tid) &&
		strcmp(back->column, row->column_name) == 0;
}

/* --- the trigger ---------------------------------------------------------- */

/* An UPDATE: from one slot's row to the other's, which row is. */
static void
row_updated(Row *row, TupleTableSlot *before)
{
	const PushColumn *column = row->column;
	ArrayType  *old_key = NULL;
	bool		renewed = false;
	Datum		old_datum;
	Datum		datum;
	bool		was_null;
	bool		is_null;

	if (!same_key(row, before, row->slot))
		old_key = read_key(row, before);

	/* the same text: the books don't know them apart */
	if (old_key != NULL &&
		(VARSIZE(old_key) != VARSIZE(row->key) || memcmp(old_key, row->key, VARSIZE(old_key)) != 0))
	{
		Change		change = {.kind = 'm'};

		change.relation = RelationGetRelid(row->relation);
		change.row_key = old_key;
		change.column = row->column_name;
		change.new_key = row->key;
		change_append(&change);

		/* another row may come to have the old key, and its objects' names */
		renewed = !column->immutable;
	}

	old_datum = slot_getattr(before, column->number, &was_null);
	datum = slot_getattr(row->slot, column->number, &is_null);
	if (is_null)
	{
		bool		taken_away = !was_null;

		if (was_null && column->offload != PUSH_OFFLOAD_NONE && column->url_number > 0)
			taken_away = !slot_attisnull(before, column->url_number) &&
				slot_attisnull(row->slot, column->url_number);
		if (taken_away)
			append(row, 'd', -1);
	}
	else if (was_null)
		append_datum(row, datum);
	else if (renewed)
	{
		append(row, 'd', -1);
		append_datum(row, datum);
	}
	else if (value_same_pointer(old_datum, datum))
		return;
	else if (column->is_array)
		compare_arrays(row, old_datum, datum);
	else
	{
		Value		old_value;
		Value		value;

		value_open(&old_value, old_datum);
		value_open(&value, datum);
		if (!value_equal(&old_value, &value))
			append_value(row, 0, &value);
	}
}

void
push_row(Relation relation, const PushColumn *column, TupleTableSlot *slot)
{
	AttrNumber	key_numbers[INDEX_MAX_KEYS];
	Row			row = {.relation = relation, .column = column, .slot = slot};
	Datum		datum;
	bool		is_null;

	row.root = root_of(relation);
	row.column_name = NameStr(TupleDescAttr(RelationGetDescr(relation), column->number - 1)->attname);
	row.key_count = push_key_columns(relation, key_numbers);
	row.key_numbers = key_numbers;
	if (row.key_count == 0)
		push_no_key(relation);
	row.key = read_key(&row, slot);
	datum = slot_getattr(slot, column->number, &is_null);
	if (!is_null)
		append_datum(&row, datum);
}

/* A TRUNCATE: of a table, or of all partitions of one. */
static void
truncated(const TriggerData *data)
{
	Oid			relation = RelationGetRelid(data->tg_relation);
	List	   *leaves = list_make1_oid(relation);
	ListCell   *cell;

	if (data->tg_relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		leaves = attached_leaves(relation, NoLock);
	foreach(cell, leaves)
	{
		Change		change = {.kind = 't', .relation = lfirst_oid(cell)};

		change.column = data->tg_trigger->tgnargs > 0 ? data->tg_trigger->tgargs[0] : NULL;
		change_append(&change);
	}
}

static void
check_call(FunctionCallInfo fcinfo)
{
	const TriggerData *data = (const TriggerData *) fcinfo->context;

	if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(data->tg_event) &&
		(TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_TRUNCATE(data->tg_event)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 CALLED_AS_TRIGGER(fcinfo) ?
			 errmsg("trigger \"%s\" calls function media_push_trigger at a wrong time",
					data->tg_trigger->tgname) :
			 errmsg("function media_push_trigger was not called by a trigger"),
			 errhint("It is for triggers AFTER INSERT OR UPDATE OR DELETE, FOR EACH ROW, and AFTER TRUNCATE.")));
}

/* media_push_trigger('column', 'server=...', 'option=value' ...) returns trigger */
Datum
media_push_trigger(PG_FUNCTION_ARGS)
{
	const TriggerData *data = (const TriggerData *) fcinfo->context;
	KnownTrigger known;
	Row			row;

	check_call(fcinfo);
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
	{
		truncated(data);
		return PointerGetDatum(NULL);
	}

	know_trigger(data->tg_relation, data->tg_trigger, &known);
	if (known.key_count == 0)
		push_no_key(data->tg_relation);
	memset(&row, 0, sizeof(row));
	row.relation = data->tg_relation;
	row.root = known.root;
	row.column = &known.column;
	row.column_name = NameStr(TupleDescAttr(RelationGetDescr(row.relation),
											known.column.number - 1)->attname);
	row.key_count = known.key_count;
	row.key_numbers = known.key_numbers;
	row.slot = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newslot : data->tg_trigslot;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		bool		is_null;
		Datum		datum = slot_getattr(row.slot, known.column.number, &is_null);

		if (!is_null)
		{
			row.key = read_key(&row, row.slot);
			append_datum(&row, datum);
		}
		return PointerGetDatum(NULL);
	}
	row.key = read_key(&row, row.slot);
	if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		append(&row, 'd', -1);
	else if (!is_write_back(&row, data->tg_trigslot))
		row_updated(&row, data->tg_trigslot);
	return PointerGetDatum(NULL);
}
