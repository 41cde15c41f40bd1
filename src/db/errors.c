/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  What went wrong with a picture, as PostgreSQL's errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "errors.h"

/* Limits that are settings; any other name is an option of the call. */
static const char *const limit_settings[] = {
	"max_pixels",
	"max_frames",
	"max_input_bytes"
};

static bool
is_setting(const char *limit)
{
	for (size_t i = 0; i < lengthof(limit_settings); i++)
	{
		if (strcmp(limit, limit_settings[i]) == 0)
			return true;
	}
	return false;
}

static int
hint_of_limit(const char *limit)
{
	if (limit[0] == '\0')
		return 0;
	if (is_setting(limit))
		return errhint("The limit is set by \"mediastore.%s\".", limit);
	return errhint("The limit is set by the option \"%s\".", limit);
}

void
error_facts(FactsStatus status, FactsFormat format, const char *message)
{
	const char *name = facts_format_name(format);

	switch (status)
	{
		case FACTS_UNKNOWN:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					 errmsg("value is not an image of a known format")));
			break;
		case FACTS_DAMAGED:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					 errmsg("damaged %s image: %s", name ? name : "unknown", message)));
			break;
		case FACTS_UNSUPPORTED:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("unsupported %s image: %s", name ? name : "unknown", message)));
			break;
		case FACTS_OK:
		case FACTS_READ_FAILED:
			break;
	}
	elog(ERROR, "could not read the header of an image (status %d)", (int) status);
}

void
error_image(const ImageError *error)
{
	int			sqlstate = ERRCODE_SYSTEM_ERROR;

	switch (error->status)
	{
		case IMAGE_NOT_AN_IMAGE:
		case IMAGE_DAMAGED:
			sqlstate = ERRCODE_INVALID_BINARY_REPRESENTATION;
			break;
		case IMAGE_UNSUPPORTED:
			sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED;
			break;
		case IMAGE_OVER_LIMIT:
			sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			break;
		case IMAGE_BAD_OPTION:
			sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
			break;
		case IMAGE_NO_MEMORY:
			sqlstate = ERRCODE_OUT_OF_MEMORY;
			break;
		case IMAGE_INTERNAL:
		case IMAGE_OK:
			break;
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("could not compress image: %s",
					error->message[0] != '\0' ? error->message : "unknown reason"),
			 error->status == IMAGE_OVER_LIMIT ? hint_of_limit(error->limit) : 0,
			 error->status == IMAGE_NO_MEMORY ?
			 errhint("The limit is set by \"mediastore.codec_memory\".") :
			 error->status == IMAGE_INTERNAL ?
			 errhint("This is a fault of the codec program or of one of its libraries.") : 0));
}

void
error_over_limit(const char *limit, const char *format,...)
{
	char		message[256];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s", message),
			 hint_of_limit(limit)));
}

void
error_format_disabled(FactsFormat format)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("images of format %s are not decoded", facts_format_name(format)),
			 errhint("The formats that are decoded are named by \"mediastore.formats\".")));
}
