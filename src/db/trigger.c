/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  media_compress_trigger: what comes into a column is compressed.
 *
 * What an UPDATE leaves as it was is known by its TOAST pointer, or else by
 * its bytes, and passes if its header keeps the limits: no codec is asked.
 * What does not keep them is compressed whether it is new or not; that is how
 * the pictures of before a column was attached are worked off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "array.h"
#include "attached.h"
#include "compat.h"
#include "compress.h"

PG_FUNCTION_INFO_V1(media_compress_trigger);

/* What this session has read of a trigger. */
typedef struct KnownTrigger
{
	Oid			trigger;		/* the key */
	Oid			relation;
	AttachedColumn column;
} KnownTrigger;

static HTAB *known_triggers = NULL;

/* Where an error happens. */
typedef struct Place
{
	const char *schema;
	const char *table;
	const char *column;
	bool		in_array;
	int			subscript;
} Place;

/* An array as it was before. */
typedef struct ArrayBefore
{
	const Datum *datum;			/* NULL if there is none */
	bool		is_open;
	PictureArray array;
	uint64	   *lengths;		/* of its elements; NO_LENGTH for a null */
} ArrayBefore;

#define NO_LENGTH	PG_UINT64_MAX

/*
 * A table has changed, or its column's name or type, or its triggers.
 * Forgets what was read of them.
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
			hash_search(known_triggers, &known->trigger, HASH_REMOVE, NULL);
	}
}

/* Gives what a trigger says of itself, read once a session. */
static void
know_trigger(Relation relation, const Trigger *trigger, AttachedColumn *column)
{
	KnownTrigger *known;
	TriggerDesc *triggers;
	const Trigger *current;

	if (known_triggers == NULL)
	{
		HASHCTL		control;

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(KnownTrigger);
		known_triggers = hash_create("mediastore triggers", 16, &control,
									 HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(forget_triggers, (Datum) 0);
	}

	known = (KnownTrigger *) hash_search(known_triggers, &trigger->tgoid, HASH_FIND, NULL);
	if (known != NULL)
	{
		*column = known->column;
		return;
	}

	/*
	 * What the executor has is as old as its statement, which may have
	 * replaced the trigger since.  Only the relation's own is to be kept.
	 */
	triggers = CopyTriggerDesc(relation->trigdesc);
	current = attached_current(triggers, trigger);

	attached_read(relation, current != NULL ? current : trigger, column);
	if (current != NULL)
	{
		known = (KnownTrigger *) hash_search(known_triggers, &trigger->tgoid, HASH_ENTER, NULL);
		known->relation = RelationGetRelid(relation);
		known->column = *column;
	}
	FreeTriggerDesc(triggers);
}

/* Error context callback: says where, in words and in the error's fields. */
static void
tell_place(void *argument)
{
	const Place *place = (const Place *) argument;

	if (place->in_array)
		errcontext(ATTACHED_CONTEXT ATTACHED_CONTEXT_ELEMENT "%d",
				   place->column, place->schema, place->table, place->subscript);
	else
		errcontext(ATTACHED_CONTEXT, place->column, place->schema, place->table);
	err_generic_string(PG_DIAG_SCHEMA_NAME, place->schema);
	err_generic_string(PG_DIAG_TABLE_NAME, place->table);
	err_generic_string(PG_DIAG_COLUMN_NAME, place->column);
}

/*
 * Compresses a bytea.  before is what it was, or NULL.  Returns NULL if it
 * may stay as it is.
 */
static bytea *
compress_picture(Datum datum, const Datum *before, const ImageCompressOptions *options)
{
	Value		value;

	value_open(&value, datum);

	/* its header before all of its bytes: that tells sooner */
	if (before != NULL && value_keeps_limits(&value, options))
	{
		Value		value_before;

		if (value_same_pointer(datum, *before))
			return NULL;
		value_open(&value_before, *before);
		if (value_equal(&value, &value_before))
			return NULL;
	}
	return compress_value(&value, options);
}

static void
open_before(ArrayBefore *before)
{
	before->is_open = true;

	/* arrays of before a column was attached may have more dimensions */
	if (!array_try_open(&before->array, *before->datum))
	{
		before->array.count = 0;
		return;
	}
	before->lengths = (uint64 *)
		palloc_extended(before->array.count * sizeof(uint64), MCXT_ALLOC_HUGE);
	for (int i = 0; i < before->array.count; i++)
	{
		Value		element;
		bool		is_null;

		CHECK_FOR_INTERRUPTS();
		array_next(&before->array, &element, &is_null);
		before->lengths[i] = is_null ? NO_LENGTH : element.total;
	}
}

/* Whether an element was in the array before; it is likely to be at index. */
static bool
was_before(ArrayBefore *before, Value *element, int index)
{
	if (!before->is_open)
		open_before(before);

	for (int i = -1; i < before->array.count; i++)
	{
		int			candidate = i < 0 ? index : i;
		Value		other;
		bool		is_null;

		CHECK_FOR_INTERRUPTS();
		if (candidate >= before->array.count || before->lengths[candidate] != element->total)
			continue;
		array_at(&before->array, candidate, &other, &is_null);
		if (value_equal(element, &other))
			return true;
	}
	return false;
}

/* Makes an array again of which some elements (not NULL) are new. */
static ArrayType *
rebuild_array(PictureArray *array, bytea **replacements)
{
	int			count = array->count;
	int			first = array->first;
	Datum	   *elements = (Datum *) palloc(count * sizeof(Datum));
	bool	   *nulls = (bool *) palloc(count * sizeof(bool));
	ArrayType  *result;

	array_rewind(array);
	for (int i = 0; i < count; i++)
	{
		Value		element;

		CHECK_FOR_INTERRUPTS();
		array_next(array, &element, &nulls[i]);
		if (replacements[i] == NULL && !nulls[i])
			replacements[i] = value_copy(&element);
		elements[i] = PointerGetDatum(replacements[i]);
	}
	result = construct_md_array(elements, nulls, 1, &count, &first,
								BYTEAOID, -1, false, TYPALIGN_INT);

	for (int i = 0; i < count; i++)
	{
		if (replacements[i] != NULL)
			pfree(replacements[i]);
	}
	pfree(elements);
	pfree(nulls);
	return result;
}

/*
 * Compresses the elements of a bytea[].  before is what it was, or NULL.
 * Returns NULL if it may stay as it is.
 */
static ArrayType *
compress_array(Datum datum, const Datum *before, const ImageCompressOptions *options, Place *place)
{
	bool		same = before != NULL && value_same_pointer(datum, *before);
	ArrayBefore array_before = {.datum = before};
	PictureArray array;
	bytea	  **replacements = NULL;
	ArrayType  *result = NULL;

	array_open(&array, datum);
	for (int i = 0; i < array.count; i++)
	{
		Value		element;
		bool		is_null;
		bytea	   *replacement;

		place->in_array = true;
		place->subscript = array.first + i;
		array_next(&array, &element, &is_null);
		if (is_null)
			continue;
		if (before != NULL && value_keeps_limits(&element, options) &&
			(same || was_before(&array_before, &element, i)))
			continue;

		replacement = compress_value(&element, options);
		if (replacement == NULL)
			continue;
		if (replacements == NULL)
			replacements = (bytea **) palloc0(array.count * sizeof(bytea *));
		replacements[i] = replacement;
	}
	place->in_array = false;

	if (array_before.is_open)
	{
		array_close(&array_before.array);
		if (array_before.lengths != NULL)
			pfree(array_before.lengths);
	}
	if (replacements != NULL)
	{
		result = rebuild_array(&array, replacements);
		pfree(replacements);
	}
	array_close(&array);
	return result;
}

/*
 * Compresses a column's value, and tells where if that fails.  Returns NULL
 * if it may stay as it is.
 */
static void *
compress_column(Relation relation, const AttachedColumn *column, Datum datum, const Datum *before)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column->number - 1);
	ErrorContextCallback callback;
	Place		place;
	void	   *result;

	memset(&place, 0, sizeof(place));
	place.schema = get_namespace_name(RelationGetNamespace(relation));
	place.table = RelationGetRelationName(relation);
	place.column = NameStr(attribute->attname);

	callback.callback = tell_place;
	callback.arg = &place;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	result = column->is_array ?
		(void *) compress_array(datum, before, &column->options, &place) :
		(void *) compress_picture(datum, before, &column->options);

	error_context_stack = callback.previous;
	return result;
}

static void
check_call(FunctionCallInfo fcinfo)
{
	const TriggerData *data = (const TriggerData *) fcinfo->context;

	if (CALLED_AS_TRIGGER(fcinfo) &&
		TRIGGER_FIRED_BEFORE(data->tg_event) && TRIGGER_FIRED_FOR_ROW(data->tg_event) &&
		(TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 CALLED_AS_TRIGGER(fcinfo) ?
			 errmsg("trigger \"%s\" calls function media_compress_trigger at a wrong time",
					data->tg_trigger->tgname) :
			 errmsg("function media_compress_trigger was not called by a trigger"),
			 errhint("It is for triggers BEFORE INSERT OR UPDATE, FOR EACH ROW.")));
}

/* media_compress_trigger('column', 'option=value' ...) returns trigger */
Datum
media_compress_trigger(PG_FUNCTION_ARGS)
{
	const TriggerData *data = (const TriggerData *) fcinfo->context;
	Relation	relation;
	bool		update;
	HeapTuple	tuple;
	AttachedColumn column;
	Datum		datum;
	Datum		before = (Datum) 0;
	bool		is_null;
	bool		was_null = true;
	int			number;
	void	   *result;

	check_call(fcinfo);
	relation = data->tg_relation;
	update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	tuple = update ? data->tg_newtuple : data->tg_trigtuple;
	know_trigger(relation, data->tg_trigger, &column);

	datum = heap_getattr(tuple, column.number, RelationGetDescr(relation), &is_null);
	if (is_null)
		return PointerGetDatum(tuple);
	if (update)
		before = heap_getattr(data->tg_trigtuple, column.number, RelationGetDescr(relation),
							  &was_null);

	result = compress_column(relation, &column, datum, was_null ? NULL : &before);
	if (result == NULL)
		return PointerGetDatum(tuple);

	datum = PointerGetDatum(result);
	if (OidIsValid(column.domain))
		domain_check(datum, false, column.domain, &fcinfo->flinfo->fn_extra,
					 fcinfo->flinfo->fn_mcxt);

	number = column.number;
	tuple = heap_modify_tuple_by_cols(tuple, RelationGetDescr(relation), 1, &number, &datum,
									  &is_null);
	pfree(result);
	return PointerGetDatum(tuple);
}
