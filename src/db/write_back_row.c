/*-------------------------------------------------------------------------
 *
 * write_back_row.c
 *	  How a row is told what has become of its content.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "claim.h"
#include "compat.h"
#include "compress.h"
#include "options.h"
#include "own_tables.h"
#include "row_key.h"
#include "sha256.h"
#include "write_back_row.h"

/* A thumbnail that is left in a row: its longest side. */
#define THUMBNAIL_SIDE	256
#define THUMBNAIL_QUALITY 80
#define LARGEST_RESULT	1000000000

/* --- a row's content ------------------------------------------------------ */

static bool
has_content(Value *value, const WriteBackElement *element)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (value->total != element->bytes)
		return false;
	sha256_value(value, digest);
	return memcmp(digest, element->sha256, sizeof(digest)) == 0;
}

static WriteBackElement *
find_element(WriteBack *telling, int32 index)
{
	for (int i = 0; i < telling->count; i++)
	{
		if (telling->elements[i].index == index)
			return &telling->elements[i];
	}
	return NULL;
}

/* Whether a column still holds just what the objects were made of. */
static bool
is_unchanged(WriteBack *telling, bool is_array, Datum content)
{
	SourcePointer pointer;
	Value		value;
	PictureArray array;
	int			found = 0;
	bool		same;

	if (!is_array)
	{
		WriteBackElement *element = find_element(telling, 0);

		if (element == NULL || telling->count != 1)
			return false;
		source_pointer(content, &pointer);
		if (source_pointer_equal(&pointer, &telling->target->pointer))
			return true;
		value_open(&value, content);
		same = has_content(&value, element);
		value_release(&value);
		return same;
	}

	if (!array_try_open(&array, content))
		return false;
	same = true;
	for (int i = 0; same && i < array.count; i++)
	{
		WriteBackElement *element = find_element(telling, i + 1);
		bool		is_null;

		array_next(&array, &value, &is_null);
		if (is_null)
			same = element == NULL;
		else
		{
			same = element != NULL && (element->offloaded || has_content(&value, element));
			value_release(&value);
			found++;
		}
	}
	array_close(&array);
	return same && found == telling->count;
}

/* --- what a row is told --------------------------------------------------- */

/* The URLs, as text or text[]; false if there is nothing to tell. */
static bool
make_url(WriteBack *telling, bool is_array, Datum content, Datum *url)
{
	PictureArray array;
	Datum	   *urls;
	bool	   *nulls;
	int			count;
	int			lower;

	if (!is_array)
	{
		if (telling->elements[0].url == NULL)
			return false;
		*url = CStringGetTextDatum(telling->elements[0].url);
		return true;
	}
	array_open(&array, content);
	count = array.count;
	lower = array.first;
	array_close(&array);
	if (count == 0)
		return false;
	urls = (Datum *) palloc0(sizeof(Datum) * count);
	nulls = (bool *) palloc(sizeof(bool) * count);
	for (int i = 0; i < count; i++)
	{
		WriteBackElement *element = find_element(telling, i + 1);

		nulls[i] = element == NULL || element->url == NULL;
		if (!nulls[i])
			urls[i] = CStringGetTextDatum(element->url);
	}
	*url = PointerGetDatum(construct_md_array(urls, nulls, 1, &count, &lower, TEXTOID, -1, false,
											  TYPALIGN_INT));
	return true;
}

/* A small picture of a value; NULL if it is small already. */
static bytea *
make_thumbnail(Value *value)
{
	ImageCompressOptions options;

	compress_options_from_texts(&options, NULL, 0);
	options.box_width = THUMBNAIL_SIDE;
	options.box_height = THUMBNAIL_SIDE;
	options.fit = IMAGE_FIT_INSIDE;
	options.quality = THUMBNAIL_QUALITY;
	options.min_quality = THUMBNAIL_QUALITY;
	options.max_bytes = LARGEST_RESULT;
	options.animation = IMAGE_ANIMATION_FIRST;
	return compress_value(value, &options);
}

/* The column with thumbnails in it, as bytea or bytea[]. */
static Datum
make_thumbnails(WriteBack *telling, bool is_array, Datum content)
{
	PictureArray array;
	Value		value;
	Datum	   *pictures;
	bool	   *nulls;
	bytea	   *small;
	Datum		result;

	if (!is_array)
	{
		value_open(&value, content);
		small = make_thumbnail(&value);
		return small == NULL ? content : PointerGetDatum(small);
	}
	array_open(&array, content);
	pictures = (Datum *) palloc0(sizeof(Datum) * Max(array.count, 1));
	nulls = (bool *) palloc(sizeof(bool) * Max(array.count, 1));
	for (int i = 0; i < array.count; i++)
	{
		WriteBackElement *element = find_element(telling, i + 1);

		array_next(&array, &value, &nulls[i]);
		if (nulls[i])
			continue;
		small = element != NULL && element->offloaded ? NULL : make_thumbnail(&value);
		pictures[i] = PointerGetDatum(small == NULL ? value_copy(&value) : small);
	}
	result = array.count == 0 ? content :
		PointerGetDatum(construct_md_array(pictures, nulls, 1, &array.count, &array.first, BYTEAOID,
										   -1, false, TYPALIGN_INT));
	array_close(&array);
	return result;
}

static void
execute(const char *text, int count, Oid *types, Datum *values, const char *nulls, int expected)
{
	MemoryContext memory = CurrentMemoryContext;
	int			result = SPI_execute_with_args(text, count, types, values, nulls, false, 0);

	if (result != expected)
		elog(ERROR, "could not execute \"%s\": %s", text, SPI_result_code_string(result));
	MemoryContextSwitchTo(memory);
}

/* Updates the row at a place. */
static void
update_row(Relation relation, ItemPointer place, const PushColumn *column, const char *name,
		   bool has_url, Datum url, Datum content)
{
	PushWritingBack back = {
		.relation = RelationGetRelid(relation),.place = *place,.column = name
	};
	Oid			types[3] = {TIDOID, column->is_array ? TEXTARRAYOID : TEXTOID,
	column->is_array ? BYTEAARRAYOID : BYTEAOID};
	Datum		values[3] = {PointerGetDatum(place), url, content};
	char		nulls[3] = {' ', has_url ? ' ' : 'n', content == (Datum) 0 ? 'n' : ' '};
	StringInfoData text;
	const char *separator = "";

	initStringInfo(&text);
	appendStringInfo(&text, "UPDATE ONLY %s AS t SET ", table_sql_name(relation));
	if (has_url)
	{
		appendStringInfo(&text, "%s = $2",
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation),
																column->url_number - 1)->attname)));
		separator = ", ";
	}
	if (column->offload != PUSH_OFFLOAD_NONE)
		appendStringInfo(&text, "%s%s = $3", separator, quote_identifier(name));
	appendStringInfoString(&text, " WHERE t.ctid OPERATOR(pg_catalog.=) $1");

	push_writing_back = &back;
	execute(text.data, 3, types, values, nulls, SPI_OK_UPDATE);
	push_writing_back = NULL;
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("row was not updated"),
				 errdetail("A trigger, a rule or a policy of the table prevented it.")));
}

/*
 * $1: a table, $2: the key of a row in it.  A row if a change of that waits to
 * be folded; or if so many wait that looking for it would take long.
 */
static OwnStatement find_unfolded = {
	.text = "SELECT WHERE EXISTS (SELECT FROM mediastore.change OFFSET 1000)"
	" OR EXISTS (SELECT FROM mediastore.change AS c WHERE c.relation OPERATOR(pg_catalog.=) $1"
	" AND (c.row_key IS NULL OR c.row_key OPERATOR(pg_catalog.=) $2"
	" OR c.new_key OPERATOR(pg_catalog.=) $2))",
	.result = SPI_OK_SELECT,
	.count = 2,
	.types = {REGCLASSOID, TEXTARRAYOID}
};

/* $1: objects, which stay as they are until the transaction ends. */
static OwnStatement find_not_stored = {
	.text = "SELECT FROM (SELECT o.state FROM mediastore.object AS o"
	" WHERE o.id OPERATOR(pg_catalog.=) ANY ($1) FOR SHARE NOWAIT) AS l"
	" WHERE l.state OPERATOR(pg_catalog.<>) 'stored'",
	.result = SPI_OK_SELECT,
	.count = 1,
	.types = {INT8ARRAYOID}
};

/*
 * Whether the row, which is locked, can do without its bytes: the objects that
 * have them are there, and are those it refers to.  A change that is not folded
 * yet may have it refer to another, of the same content but of another key, that
 * is to be made of these bytes; the one that has them is deleted then.
 */
static bool
can_offload(const WriteBack *telling)
{
	Datum		values[2];
	int64	   *ids = (int64 *) palloc(sizeof(int64) * Max(telling->count, 1));
	bool		found;

	values[0] = ObjectIdGetDatum(telling->target->relation);
	values[1] = PointerGetDatum(telling->target->row_key);
	own_execute(&find_unfolded, values, NULL);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	if (found)
		return false;

	for (int i = 0; i < telling->count; i++)
		ids[i] = telling->elements[i].object;
	values[0] = claim_int8_array(ids, telling->count);
	own_execute(&find_not_stored, values, NULL);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return !found;
}

WriteBackState
write_back_row(WriteBack *telling, const SourceRow *row, const PushColumn *column, bool *offloaded)
{
	Oid			types[1] = {TIDOID};
	ItemPointerData place = row->place;
	Datum		values[1] = {PointerGetDatum(&place)};
	const char *name = NameStr(telling->target->column);
	Datum		content;
	Datum		url = (Datum) 0;
	Datum		small = (Datum) 0;
	SPITupleTable *table;
	bool		has_url;
	bool		is_null;

	execute(psprintf("SELECT t.%s FROM ONLY %s AS t WHERE t.ctid OPERATOR(pg_catalog.=) $1"
					 " FOR NO KEY UPDATE SKIP LOCKED",
					 quote_identifier(name), table_sql_name(row->relation)),
			1, types, values, NULL, SPI_OK_SELECT);
	table = SPI_tuptable;
	if (SPI_processed != 1)
	{
		SPI_freetuptable(table);
		return WRITE_BACK_LOCKED;
	}
	content = SPI_getbinval(table->vals[0], table->tupdesc, 1, &is_null);
	if (is_null || !is_unchanged(telling, row->is_array, content))
	{
		SPI_freetuptable(table);
		return WRITE_BACK_DONE;
	}
	if (column->offload != PUSH_OFFLOAD_NONE && !can_offload(telling))
	{
		SPI_freetuptable(table);
		return WRITE_BACK_LOCKED;
	}

	has_url = column->url_number != InvalidAttrNumber &&
		make_url(telling, row->is_array, content, &url);
	if (column->offload == PUSH_OFFLOAD_THUMBNAIL)
		small = make_thumbnails(telling, row->is_array, content);
	if (has_url || column->offload != PUSH_OFFLOAD_NONE)
	{
		update_row(row->relation, &place, column, name, has_url, url, small);
		*offloaded = column->offload != PUSH_OFFLOAD_NONE;
	}
	SPI_freetuptable(table);
	return WRITE_BACK_DONE;
}
