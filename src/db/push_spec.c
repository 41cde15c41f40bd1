/*-------------------------------------------------------------------------
 *
 * push_spec.c
 *	  What a trigger says of the column it pushes to a store.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "attached.h"
#include "compat.h"
#include "push.h"
#include "store_options.h"

#define TRIGGER_FUNCTION	"media_push_trigger"
#define DEFAULT_KEY			"{table}/{sha256}.{ext}"

typedef enum OptionName
{
	OPTION_SERVER,
	OPTION_KEY,
	OPTION_URL_COLUMN,
	OPTION_OFFLOAD,
	OPTION_COUNT
} OptionName;

/* In the order of the arguments of media_attach, too. */
static const char *const option_names[OPTION_COUNT] = {"server", "key", "url_column", "offload"};

/* In the order of PushOffload. */
static const char *const offload_words[] = {"none", "null", "thumbnail"};

bool
push_is_ours(Oid function)
{
	return attached_is_function(function, TRIGGER_FUNCTION);
}

/* --- options ------------------------------------------------------------- */

static void
options_init(PushOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->key = DEFAULT_KEY;
	options->offload = PUSH_OFFLOAD_NONE;
}

/* "one", "two", ... */
static char *
list_words(const char *const *words, size_t count)
{
	StringInfoData list;

	initStringInfo(&list);
	for (size_t i = 0; i < count; i++)
		appendStringInfo(&list, "%s\"%s\"", i == 0 ? "" : ", ", words[i]);
	return list.data;
}

static PushOffload
offload_of(const char *word)
{
	for (size_t i = 0; i < lengthof(offload_words); i++)
	{
		if (pg_strcasecmp(word, offload_words[i]) == 0)
			return (PushOffload) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", "offload", word),
			 errhint("Valid values are %s.", list_words(offload_words, lengthof(offload_words)))));
}

static void
set_option(PushOptions *options, OptionName name, const char *value)
{
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must not be empty", option_names[name])));
	switch (name)
	{
		case OPTION_SERVER:
			options->server = value;
			break;
		case OPTION_KEY:
			options->key = value;
			break;
		case OPTION_URL_COLUMN:
			options->url_column = value;
			break;
		case OPTION_OFFLOAD:
			options->offload = offload_of(value);
			break;
		case OPTION_COUNT:
			break;
	}
}

void
push_options_from_arguments(PushOptions *options, FunctionCallInfo fcinfo, int first)
{
	options_init(options);
	for (int i = 0; i < OPTION_COUNT; i++)
	{
		bool		is_name = i == OPTION_SERVER || i == OPTION_URL_COLUMN;

		if (!PG_ARGISNULL(first + i))
			set_option(options, (OptionName) i,
					   is_name ? pstrdup(NameStr(*PG_GETARG_NAME(first + i))) :
					   text_to_cstring(PG_GETARG_TEXT_PP(first + i)));
		else if (!is_name)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" must not be null", option_names[i]),
					 errhint("Leave it out for its default.")));
	}
	if (options->server == NULL &&
		(options->url_column != NULL || options->offload != PUSH_OFFLOAD_NONE ||
		 strcmp(options->key, DEFAULT_KEY) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" goes with option \"server\"",
						options->url_column != NULL ? "url_column" :
						options->offload != PUSH_OFFLOAD_NONE ? "offload" : "key"),
				 errhint("Name the foreign server that is the store.")));
}

/* Reads "name=value" texts, which are kept. */
static void
options_from_texts(PushOptions *options, char *const *texts, int count)
{
	bool		seen[OPTION_COUNT] = {false};

	options_init(options);
	for (int i = 0; i < count; i++)
	{
		const char *sign = strchr(texts[i], '=');
		size_t		length = sign == NULL ? strlen(texts[i]) : (size_t) (sign - texts[i]);
		int			name = 0;

		while (name < OPTION_COUNT &&
			   (sign == NULL || strlen(option_names[name]) != length ||
				pg_strncasecmp(option_names[name], texts[i], length) != 0))
			name++;
		if (name == OPTION_COUNT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 sign == NULL ? errmsg("invalid option: \"%s\"", texts[i]) :
					 errmsg("unrecognized option \"%.*s\"", (int) length, texts[i]),
					 errhint("Options are given as \"name=value\"; valid names are %s.",
							 list_words(option_names, OPTION_COUNT))));
		if (seen[name])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is given twice", option_names[name])));
		seen[name] = true;
		set_option(options, (OptionName) name, sign + 1);
	}
	if (options->server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"server\" is missing"),
				 errhint("It names the foreign server that is the store.")));
}

List *
push_options_to_texts(const PushOptions *options)
{
	List	   *texts = list_make1(psprintf("server=%s", options->server));

	if (strcmp(options->key, DEFAULT_KEY) != 0)
		texts = lappend(texts, psprintf("key=%s", options->key));
	if (options->url_column != NULL)
		texts = lappend(texts, psprintf("url_column=%s", options->url_column));
	if (options->offload != PUSH_OFFLOAD_NONE)
		texts = lappend(texts, psprintf("offload=%s", offload_words[options->offload]));
	return texts;
}

/* --- a column ------------------------------------------------------------ */

_Noreturn static void
undefined_column(Relation relation, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					name, RelationGetRelationName(relation)),
			 errtablecolname(relation, name)));
}

/* Whether a type is text, or what is stored as it is: varchar, domains over both. */
static bool
is_text(Oid type)
{
	type = getBaseType(type);
	return type == TEXTOID || type == VARCHAROID;
}

/* Finds the column for URLs. */
static void
check_url_column(Relation relation, const char *name, PushColumn *column)
{
	AttrNumber	number = attached_column_number(relation, name);
	AttrNumber	key[INDEX_MAX_KEYS];
	int			key_count = push_key_columns(relation, key);
	Form_pg_attribute attribute;
	Oid			type;

	if (number == InvalidAttrNumber)
		undefined_column(relation, name);
	attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
	type = attribute->atttypid;
	if (column->is_array)
		type = get_element_type(getBaseType(type));
	if (!OidIsValid(type) || !is_text(type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s, not of type %s",
						name, RelationGetRelationName(relation),
						format_type_be(attribute->atttypid), column->is_array ? "text[]" : "text"),
				 errhint("URLs are kept in columns of type text, those of a bytea[] in columns of type text[]."),
				 errtablecol(relation, number)));
	if (attribute->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("column \"%s\" of relation \"%s\" is a generated column",
						name, RelationGetRelationName(relation)),
				 errtablecol(relation, number)));
	for (int i = 0; i < key_count; i++)
	{
		if (key[i] == number)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" of relation \"%s\" is part of its primary key",
							name, RelationGetRelationName(relation)),
					 errhint("The URL is written when the row is there already."),
					 errtablecol(relation, number)));
	}
	column->url_number = number;
}

/* Looks at the template of keys. */
static void
check_key(const char *key, PushColumn *column)
{
	StoreError	error;
	unsigned	names;

	if (!store_template_check(pg_server_to_any(key, (int) strlen(key), PG_UTF8), &names, &error))
		store_raise(&error);
	if ((names & STORE_KEY_INDEX) != 0 && !column->is_array)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key has \"{index}\", but the column is no array")));

	column->immutable = (names & (STORE_KEY_SHA256 | STORE_KEY_UUID)) != 0;
	if (!column->immutable &&
		((names & STORE_KEY_PK) == 0 || (column->is_array && (names & STORE_KEY_INDEX) == 0)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key would be the same for different values"),
				 column->is_array ?
				 errhint("It must have {sha256} or {uuid} in it, or {pk} and {index}.") :
				 errhint("It must have {sha256}, {uuid} or {pk} in it.")));
	column->key = pstrdup(key);
	column->key_names = names;
}

/* Looks whether the row can do without its bytes. */
static void
check_offload(Relation relation, const PushColumn *column)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column->number - 1);
	const char *word = offload_words[column->offload];

	if (!column->immutable)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"offload\" can be \"%s\" only where a key is never another content's", word),
				 errhint("The key must have {sha256} or {uuid} in it.")));
	if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE || relation->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"offload\" cannot be \"%s\" for partitioned tables", word),
				 errdetail("A row that moves to another partition would leave what it does not hold behind."),
				 errtable(relation)));
	if (column->offload == PUSH_OFFLOAD_NULL && !column->is_array && attribute->attnotnull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"offload\" cannot be \"%s\": column \"%s\" is NOT NULL", word,
						NameStr(attribute->attname)),
				 errtablecol(relation, column->number)));
}

/* Fills in all but enabled. */
static void
read_column(Relation relation, AttrNumber number, const PushOptions *options, PushColumn *column)
{
	AttachedColumn attached;

	attached_check_type(relation, number, &attached);
	column->number = number;
	column->is_array = attached.is_array;
	namestrcpy(&column->server, options->server);
	column->offload = options->offload;
	check_key(options->key, column);
	if (options->url_column != NULL)
		check_url_column(relation, options->url_column, column);
	if (column->offload != PUSH_OFFLOAD_NONE)
		check_offload(relation, column);
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("columns of temporary tables cannot be pushed to a store"),
				 errdetail("Only the session of table \"%s\" can read it.",
						   RelationGetRelationName(relation)),
				 errtable(relation)));
}

void
push_check(Relation relation, const char *name, const PushOptions *options, PushColumn *column)
{
	AttrNumber	number = attached_column_number(relation, name);
	AttrNumber	key[INDEX_MAX_KEYS];

	memset(column, 0, sizeof(*column));
	if (number == InvalidAttrNumber)
		undefined_column(relation, name);
	read_column(relation, number, options, column);
	if (push_key_columns(relation, key) == 0)
		push_no_key(relation);
}

/* --- triggers ------------------------------------------------------------ */

/* Whether a trigger fires on a column, or does not say on which it does. */
static bool
fires_on(const Trigger *trigger, AttrNumber number)
{
	for (int i = 0; i < trigger->tgnattr; i++)
	{
		if (trigger->tgattr[i] == number)
			return true;
	}
	return trigger->tgnattr == 0;
}

AttrNumber
push_number(Relation relation, const Trigger *trigger)
{
	AttrNumber	number;

	if (!push_is_ours(trigger->tgfoid) || trigger->tgnargs == 0)
		return InvalidAttrNumber;
	number = attached_column_number(relation, trigger->tgargs[0]);

	/* of a column that was renamed: the one that media_attach puts first */
	if (trigger->tgnattr > 0 && (number == InvalidAttrNumber || !fires_on(trigger, number)))
		number = trigger->tgattr[0];
	return number;
}

void
push_read(Relation relation, const Trigger *trigger, PushColumn *column)
{
	ErrorContextCallback callback;
	PushOptions options;
	AttrNumber	number;

	memset(column, 0, sizeof(*column));
	attached_need_column(relation, trigger, TRIGGER_FUNCTION);

	/* a new column may have taken a renamed one's name */
	number = attached_column_number(relation, trigger->tgargs[0]);
	if (number == InvalidAttrNumber || !fires_on(trigger, number))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 number == InvalidAttrNumber ?
				 errmsg("trigger \"%s\" of relation \"%s\" is for column \"%s\", which does not exist",
						trigger->tgname, RelationGetRelationName(relation), trigger->tgargs[0]) :
				 errmsg("trigger \"%s\" of relation \"%s\" is for column \"%s\", but does not fire on it",
						trigger->tgname, RelationGetRelationName(relation), trigger->tgargs[0]),
				 errhint("If the column was renamed, call media_attach with its new name and the options it should have; if it was dropped, drop the trigger."),
				 errtablecolname(relation, trigger->tgargs[0])));

	callback.callback = attached_tell_trigger;
	callback.arg = trigger->tgname;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	options_from_texts(&options, trigger->tgargs + 1, trigger->tgnargs - 1);
	read_column(relation, number, &options, column);
	error_context_stack = callback.previous;

	column->enabled = trigger->tgenabled;
}

bool
push_find(Relation relation, const char *name, PushColumn *column)
{
	AttrNumber	number = attached_column_number(relation, name);
	TriggerDesc *triggers;
	bool		found = false;

	if (number == InvalidAttrNumber || relation->trigdesc == NULL)
		return false;
	triggers = CopyTriggerDesc(relation->trigdesc);
	for (int i = 0; i < triggers->numtriggers && !found; i++)
	{
		if (TRIGGER_FOR_ROW(triggers->triggers[i].tgtype) &&
			push_number(relation, &triggers->triggers[i]) == number)
		{
			push_read(relation, &triggers->triggers[i], column);
			found = true;
		}
	}
	FreeTriggerDesc(triggers);
	return found;
}
