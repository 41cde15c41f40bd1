/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  media_info and its like: what a stored picture's header says.
 *
 * All of these read the value by pieces (value.h), so what they cost grows
 * with the header and not with the picture.  None of them needs a codec.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "compat.h"
#include "errors.h"
#include "result_type.h"
#include "value.h"

#define MESSAGE_SIZE 200

PG_FUNCTION_INFO_V1(media_info);
PG_FUNCTION_INFO_V1(media_format);
PG_FUNCTION_INFO_V1(media_mime_type);
PG_FUNCTION_INFO_V1(media_width);
PG_FUNCTION_INFO_V1(media_height);
PG_FUNCTION_INFO_V1(media_is_image);

/* The columns of the type media_info. */
enum
{
	INFO_FORMAT,
	INFO_MIME_TYPE,
	INFO_WIDTH,
	INFO_HEIGHT,
	INFO_ORIENTATION,
	INFO_FRAMES,
	INFO_BIT_DEPTH,
	INFO_CHANNELS,
	INFO_HAS_ALPHA,
	INFO_COLOR_SPACE,
	INFO_BYTES,
	INFO_COLUMNS
};

/* Reads the facts of an argument; raises if there are none.  Gives its length. */
static uint64
read_facts(Datum datum, bool count_frames, ImageFacts *facts)
{
	char		message[MESSAGE_SIZE] = "";
	Value		value;
	FactsStatus status;

	value_open(&value, datum);
	status = facts_read(&value.reader, count_frames, facts, message, sizeof(message));
	value_release(&value);
	if (status != FACTS_OK)
		error_facts(status, facts->format, message);
	return value.total;
}

/* Tells the format of an argument by its first bytes. */
static FactsFormat
read_format(Datum datum)
{
	Value		value;
	FactsFormat format;

	value_open(&value, datum);
	format = facts_format(&value.reader);
	value_release(&value);
	return format;
}

/* A text or NULL as a column's value. */
static void
set_text(const char *text, Datum *value, bool *is_null)
{
	*is_null = text == NULL;
	*value = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* media_info(bytea) returns media_info */
Datum
media_info(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor = result_type(fcinfo, INFO_COLUMNS);
	Datum		values[INFO_COLUMNS];
	bool		nulls[INFO_COLUMNS] = {false};
	ImageFacts	facts;
	uint32_t	width;
	uint32_t	height;
	uint64		bytes = read_facts(PG_GETARG_DATUM(0), true, &facts);

	facts_display_size(&facts, &width, &height);
	set_text(facts_format_name(facts.format), &values[INFO_FORMAT], &nulls[INFO_FORMAT]);
	set_text(facts_mime_type(facts.format), &values[INFO_MIME_TYPE], &nulls[INFO_MIME_TYPE]);
	values[INFO_WIDTH] = Int32GetDatum((int32) width);
	values[INFO_HEIGHT] = Int32GetDatum((int32) height);
	values[INFO_ORIENTATION] = Int32GetDatum(facts.orientation);
	values[INFO_FRAMES] = Int32GetDatum((int32) facts.frames);
	values[INFO_BIT_DEPTH] = Int32GetDatum(facts.bit_depth);
	values[INFO_CHANNELS] = Int32GetDatum(facts.channels);
	values[INFO_HAS_ALPHA] = BoolGetDatum(facts.has_alpha);
	set_text(facts_color_name(facts.color), &values[INFO_COLOR_SPACE], &nulls[INFO_COLOR_SPACE]);
	values[INFO_BYTES] = Int64GetDatum((int64) bytes);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}

/* media_format(bytea) returns text */
Datum
media_format(PG_FUNCTION_ARGS)
{
	const char *name = facts_format_name(read_format(PG_GETARG_DATUM(0)));

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* media_mime_type(bytea) returns text */
Datum
media_mime_type(PG_FUNCTION_ARGS)
{
	const char *name = facts_mime_type(read_format(PG_GETARG_DATUM(0)));

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* Reads the size of an argument, as displayed. */
static void
read_size(Datum datum, uint32_t *width, uint32_t *height)
{
	ImageFacts	facts;

	(void) read_facts(datum, false, &facts);
	facts_display_size(&facts, width, height);
}

/* media_width(bytea) returns int */
Datum
media_width(PG_FUNCTION_ARGS)
{
	uint32_t	width;
	uint32_t	height;

	read_size(PG_GETARG_DATUM(0), &width, &height);
	PG_RETURN_INT32((int32) width);
}

/* media_height(bytea) returns int */
Datum
media_height(PG_FUNCTION_ARGS)
{
	uint32_t	width;
	uint32_t	height;

	read_size(PG_GETARG_DATUM(0), &width, &height);
	PG_RETURN_INT32((int32) height);
}

/* media_is_image(bytea) returns boolean */
Datum
media_is_image(PG_FUNCTION_ARGS)
{
	Value		value;
	ImageFacts	facts;
	FactsStatus status;

	value_open(&value, PG_GETARG_DATUM(0));
	status = facts_read(&value.reader, false, &facts, NULL, 0);
	value_release(&value);
	PG_RETURN_BOOL(status == FACTS_OK);
}
