/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  mediastore.verify: what would fail to be served or shown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "array.h"
#include "column_scan.h"
#include "compat.h"
#include "compress.h"
#include "row_key.h"
#include "subtransaction.h"

PG_FUNCTION_INFO_V1(media_verify);

/* The columns of mediastore.verify. */
enum
{
	VERIFY_ROW_KEY,
	VERIFY_ELEMENT,
	VERIFY_SQLSTATE,
	VERIFY_MESSAGE,
	VERIFY_COLUMNS
};

/* No limits: a WebP is looked through and kept, whatever it is like. */
static const ImageCompressOptions keep = {
	.max_dimension = IMAGE_LARGEST_SIDE,
	.max_bytes = PG_INT32_MAX,
	.quality = 85,
	.min_quality = 85,
	.alpha = IMAGE_ALPHA_KEEP,
	.lossless = IMAGE_LOSSLESS_AUTO,
	.animation = IMAGE_ANIMATION_KEEP
};

/* All others are decoded whole, and next to nothing is made of them. */
static const ImageCompressOptions decode = {
	.max_dimension = 16,
	.max_bytes = PG_INT32_MAX,
	.quality = 1,
	.min_quality = 1,
	.alpha = IMAGE_ALPHA_KEEP,
	.lossless = IMAGE_LOSSLESS_NEVER,
	.animation = IMAGE_ANIMATION_KEEP
};

typedef struct Verification
{
	bool		is_array;
	ReturnSetInfo *info;
	/* the row at hand */
	Datum		key;
	Datum		datum;
	PictureArray array;			/* if it is one ... */
	bool		is_open;		/* ... and could be opened */
	Value		picture;
	bool		in_picture;		/* was it the picture that raised? */
} Verification;

/* Raises what is wrong with a picture. */
static void
check_picture(Value *value)
{
	bytea	   *result = compress_value(value, value_keeps_limits(value, &keep) ? &keep : &decode);

	if (result != NULL)
		pfree(result);
}

/* Raises what is wrong with the value, or the first thing of what is left of it. */
static void
check_value(void *context)
{
	Verification *verification = (Verification *) context;
	PictureArray *array = &verification->array;

	if (!verification->is_array)
	{
		value_open(&verification->picture, verification->datum);
		verification->in_picture = true;
		check_picture(&verification->picture);
		return;
	}

	if (!verification->is_open)
		array_open(array, verification->datum);
	verification->is_open = true;
	while (array->index < array->count)
	{
		bool		is_null;

		verification->in_picture = false;
		array_next(array, &verification->picture, &is_null);
		if (is_null)
			continue;
		verification->in_picture = true;
		check_picture(&verification->picture);
	}
	array_close(array);
}

static void
report(const Verification *verification, const ErrorData *error)
{
	const PictureArray *array = &verification->array;
	Datum		values[VERIFY_COLUMNS] = {0};
	bool		nulls[VERIFY_COLUMNS] = {false};

	values[VERIFY_ROW_KEY] = verification->key;
	nulls[VERIFY_ELEMENT] = !verification->is_array || !verification->is_open;
	/* the next one will be index */
	values[VERIFY_ELEMENT] = Int32GetDatum(array->first + array->index - 1);
	values[VERIFY_SQLSTATE] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[VERIFY_MESSAGE] = CStringGetTextDatum(error->message != NULL ? error->message : "");
	tuplestore_putvalues(verification->info->setResult, verification->info->setDesc, values, nulls);
}

static void
verify_row(void *context, HeapTuple row, TupleDesc descriptor)
{
	Verification *verification = (Verification *) context;
	ErrorData  *error;
	bool		is_null;

	verification->datum = heap_getattr(row, 2, descriptor, &is_null);
	if (is_null)
		return;
	verification->key = heap_getattr(row, 1, descriptor, &is_null);
	verification->is_open = false;
	verification->in_picture = false;
	while (!subtransaction_try(check_value, verification, &error))
	{
		report(verification, error);
		FreeErrorData(error);
		if (!verification->in_picture)
			break;				/* where it ends can't be told */
		value_release(&verification->picture);
		if (!verification->is_array)
			break;
	}
}

/* mediastore.verify(regclass, name) returns setof record */
Datum
media_verify(PG_FUNCTION_ARGS)
{
	const char *name = NameStr(*PG_GETARG_NAME(1));
	Relation	relation;
	AttrNumber	number;
	Verification verification = {.info = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	relation = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", PG_GETARG_OID(0))));
	if (!column_scan_reads(relation))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(relation))));
	number = get_attnum(RelationGetRelid(relation), name);
	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist", name,
						RelationGetRelationName(relation))));
	if (number < 0 || !column_holds_pictures(relation, number, &verification.is_array))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is not of type bytea or bytea[]", name,
						RelationGetRelationName(relation))));

	column_scan(relation, number, row_key_expression(relation, true), verify_row, &verification);
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}
