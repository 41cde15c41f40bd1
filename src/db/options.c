/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The options of media_compress and media_thumbnail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "compat.h"
#include "options.h"

/* A result is one bytea; this leaves room for its header. */
#define LARGEST_RESULT	1000000000

typedef enum OptionKind
{
	OPTION_NUMBER,
	OPTION_WORD,				/* one of words */
	OPTION_ALPHA				/* one of words, or a colour */
} OptionKind;

typedef struct Option
{
	const char *name;
	OptionKind	kind;
	size_t		offset;			/* in ImageCompressOptions, of an int32 */
	int32		preset;			/* below lowest: there is no default */
	int32		lowest;			/* of a number */
	int32		highest;
	const char *words[5];		/* in the order of their enum */
} Option;

#define AT(field) offsetof(ImageCompressOptions, field)

/* In the order of media_compress's arguments. */
static const Option table[] = {
	{"max_dimension", OPTION_NUMBER, AT(max_dimension), 1024, 1, IMAGE_LARGEST_SIDE, {NULL}},
	{"max_bytes", OPTION_NUMBER, AT(max_bytes), 500000, IMAGE_SMALLEST_BUDGET, LARGEST_RESULT, {NULL}},
	{"quality", OPTION_NUMBER, AT(quality), 85, 1, 100, {NULL}},
	{"min_quality", OPTION_NUMBER, AT(min_quality), 40, 1, 100, {NULL}},
	{"effort", OPTION_NUMBER, AT(effort), 4, 0, 6, {NULL}},
	{"alpha", OPTION_ALPHA, AT(alpha), IMAGE_ALPHA_KEEP, 0, 0, {"keep", "drop", NULL}},
	{"lossless", OPTION_WORD, AT(lossless), IMAGE_LOSSLESS_AUTO, 0, 0, {"auto", "never", "always", NULL}},
	{"animation", OPTION_WORD, AT(animation), IMAGE_ANIMATION_KEEP, 0, 0, {"keep", "first", "reject", NULL}},
};

/* In the order of media_thumbnail's arguments. */
static const Option thumbnail_table[] = {
	{"width", OPTION_NUMBER, AT(box_width), 0, 1, IMAGE_LARGEST_SIDE, {NULL}},
	{"height", OPTION_NUMBER, AT(box_height), IMAGE_LARGEST_SIDE, 1, IMAGE_LARGEST_SIDE, {NULL}},
	{"fit", OPTION_WORD, AT(fit), IMAGE_FIT_INSIDE, 0, 0, {"inside", "cover", "contain", "fill", NULL}},
	{"quality", OPTION_NUMBER, AT(quality), 80, 1, 100, {NULL}},
};

#define FOR_EACH_OPTION(option) \
	for (const Option *option = table; option < table + lengthof(table); option++)

static int32 *
field(ImageCompressOptions *options, const Option *option)
{
	return (int32 *) ((char *) options + option->offset);
}

static int32
preset_of(size_t offset)
{
	FOR_EACH_OPTION(option)
	{
		if (option->offset == offset)
			return option->preset;
	}
	return 0;
}

static void
set_number(ImageCompressOptions *options, const Option *option, int32 value)
{
	if (value < option->lowest || value > option->highest)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value %d is out of range for option \"%s\"", value, option->name),
				 errhint("Valid values are between %d and %d.", option->lowest,
						 option->highest)));
	*field(options, option) = value;
}

/* Reads "#rrggbb". */
static bool
parse_color(const char *text, uint32 *color)
{
	uint32		value = 0;

	if (text[0] != '#' || strlen(text) != 7)
		return false;
	for (int i = 1; i < 7; i++)
	{
		char		c = pg_ascii_tolower((unsigned char) text[i]);

		if (c >= '0' && c <= '9')
			value = value * 16 + (uint32) (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (uint32) (c - 'a' + 10);
		else
			return false;
	}
	*color = value;
	return true;
}

static void
set_word(ImageCompressOptions *options, const Option *option, const char *value)
{
	StringInfoData valid;
	int			count;

	for (count = 0; option->words[count] != NULL; count++)
	{
		if (pg_strcasecmp(value, option->words[count]) == 0)
		{
			*field(options, option) = count;
			return;
		}
	}
	if (option->kind == OPTION_ALPHA && parse_color(value, &options->alpha_color))
	{
		*field(options, option) = IMAGE_ALPHA_FLATTEN;
		return;
	}

	initStringInfo(&valid);
	for (int i = 0; i < count; i++)
		appendStringInfo(&valid, "%s\"%s\"", i == 0 ? "" : ", ", option->words[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option->name, value),
			 option->kind == OPTION_ALPHA ?
			 errhint("Valid values are %s, or a color such as \"#ffffff\".", valid.data) :
			 errhint("Valid values are %s.", valid.data)));
}

/* Fills in the defaults. */
static void
compress_options_init(ImageCompressOptions *options)
{
	memset(options, 0, sizeof(*options));
	FOR_EACH_OPTION(option)
		*field(options, option) = option->preset;
}

/*
 * Checks the options against each other.  A min_quality left at its default
 * follows a lower quality down; one that was asked for does not.
 */
static void
compress_options_finish(ImageCompressOptions *options)
{
	if (options->min_quality > options->quality &&
		options->min_quality == preset_of(AT(min_quality)))
		options->min_quality = options->quality;

	if (options->min_quality > options->quality)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"min_quality\" (%d) is greater than \"quality\" (%d)",
						options->min_quality, options->quality),
				 errhint("Valid values of \"min_quality\" are between 1 and %d here.",
						 options->quality)));
}

/* Sets a number from its text. */
static void
set_number_text(ImageCompressOptions *options, const Option *option, const char *text)
{
	char	   *end;
	long		value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option->name, text),
				 errhint("Valid values are between %d and %d.", option->lowest,
						 option->highest)));
	/* what is no int32 is out of every range */
	if (errno == ERANGE || value < PG_INT32_MIN || value > PG_INT32_MAX)
		value = value < 0 ? PG_INT32_MIN : PG_INT32_MAX;
	set_number(options, option, (int32) value);
}

/* Finds the option of a "name=value"; *value is the latter. */
static const Option *
option_of_text(const char *text, const char **value)
{
	const char *sign = strchr(text, '=');
	size_t		length = sign == NULL ? strlen(text) : (size_t) (sign - text);
	StringInfoData valid;

	initStringInfo(&valid);
	FOR_EACH_OPTION(option)
	{
		if (sign != NULL && strlen(option->name) == length &&
			pg_strncasecmp(option->name, text, length) == 0)
		{
			*value = sign + 1;
			return option;
		}
		appendStringInfo(&valid, "%s\"%s\"", option == table ? "" : ", ", option->name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 sign == NULL ? errmsg("invalid option: \"%s\"", text) :
			 errmsg("unrecognized option \"%.*s\"", (int) length, text),
			 errhint("Options are given as \"name=value\"; valid names are %s.", valid.data)));
}

void
compress_options_from_texts(ImageCompressOptions *options, char *const *texts, int count)
{
	const Option *seen[lengthof(table)] = {NULL};

	compress_options_init(options);
	for (int i = 0; i < count; i++)
	{
		const char *value;
		const Option *option = option_of_text(texts[i], &value);

		if (seen[option - table] != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is given twice", option->name)));
		seen[option - table] = option;
		if (option->kind == OPTION_NUMBER)
			set_number_text(options, option, value);
		else
			set_word(options, option, value);
	}
	compress_options_finish(options);
}

List *
compress_options_to_texts(const ImageCompressOptions *options)
{
	List	   *texts = NIL;

	FOR_EACH_OPTION(option)
	{
		int32		value = *field(unconstify(ImageCompressOptions *, options), option);

		if (value == option->preset)
			continue;
		if (option->kind == OPTION_NUMBER)
			texts = lappend(texts, psprintf("%s=%d", option->name, value));
		else if (option->kind == OPTION_ALPHA && value == IMAGE_ALPHA_FLATTEN)
			texts = lappend(texts, psprintf("%s=#%06x", option->name, options->alpha_color));
		else
			texts = lappend(texts, psprintf("%s=%s", option->name, option->words[value]));
	}
	return texts;
}

/* Sets an option from an argument. */
static void
set_argument(ImageCompressOptions *options, const Option *option, FunctionCallInfo fcinfo,
			 int number)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must not be null", option->name),
				 option->preset >= option->lowest ?
				 errhint("Leave it out for its default.") :
				 errhint("Valid values are between %d and %d.", option->lowest,
						 option->highest)));
	if (option->kind == OPTION_NUMBER)
		set_number(options, option, PG_GETARG_INT32(number));
	else
	{
		char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(number));

		set_word(options, option, value);
		pfree(value);
	}
}

void
compress_options_from_arguments(ImageCompressOptions *options, FunctionCallInfo fcinfo,
								int first)
{
	compress_options_init(options);
	FOR_EACH_OPTION(option)
		set_argument(options, option, fcinfo, first + (int) (option - table));
	compress_options_finish(options);
}

void
thumbnail_options_from_arguments(ImageCompressOptions *options, FunctionCallInfo fcinfo,
								 int first)
{
	bool		bounds_height = true;

	compress_options_init(options);
	for (const Option *option = thumbnail_table;
		 option < thumbnail_table + lengthof(thumbnail_table); option++)
	{
		int			number = first + (int) (option - thumbnail_table);

		*field(options, option) = option->preset;
		if (option->offset == AT(box_height) && PG_ARGISNULL(number))
			bounds_height = false;
		else
			set_argument(options, option, fcinfo, number);
		if (option->offset == AT(fit) && !bounds_height && options->fit != IMAGE_FIT_INSIDE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"height\" must not be null where \"fit\" is \"%s\"",
							option->words[options->fit]),
					 errhint("Valid values are between 1 and %d; only \"inside\" does without.",
							 IMAGE_LARGEST_SIDE)));
	}

	/* one encode at that quality; a still, whatever comes in */
	options->max_bytes = LARGEST_RESULT;
	options->min_quality = options->quality;
	options->animation = IMAGE_ANIMATION_FIRST;
}
