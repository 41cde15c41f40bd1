/*-------------------------------------------------------------------------
 *
 * store_options.c
 *	  Foreign servers as stores: their options, checked and read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"

#include "compat.h"
#include "store_options.h"

#define WRAPPER			"mediastore"

/*
 * What the room's checks need of a bucket, where a file store has none: its
 * prefix and public_url are checked, and made URLs of, as any bucket's.
 */
#define NO_BUCKET		"none"
#define NO_ENDPOINT		"http://localhost"

/*
 * People write passwords into URLs, and secrets where no option takes them.
 * So a statement with options that are wrong stays out of the log, and so does
 * its context, where the statement is again if a function has executed it.
 */
#define HIDE_STATEMENT	errhidestmt(true), errhidecontext(true)

PG_FUNCTION_INFO_V1(media_store_validator);

/* The options of a server, as text in the server's encoding, or NULL. */
typedef struct ServerOptions
{
	const char *bucket;
	const char *region;
	const char *endpoint;
	const char *path_style;
	const char *profile;
	const char *root;
	const char *prefix;
	const char *public_url;
} ServerOptions;

typedef struct ServerOption
{
	const char *name;
	size_t		offset;			/* in ServerOptions */
	bool		s3;				/* whether a store with a bucket has it */
	bool		file;			/* whether a store with a root has it */
} ServerOption;

#define AT(field) offsetof(ServerOptions, field)

static const ServerOption server_options[] = {
	{"bucket", AT(bucket), true, false},
	{"region", AT(region), true, false},
	{"endpoint", AT(endpoint), true, false},
	{"prefix", AT(prefix), true, true},
	{"public_url", AT(public_url), true, true},
	{"path_style", AT(path_style), true, false},
	{"profile", AT(profile), true, false},
	{"root", AT(root), false, true},
};

static const char *const mapping_options[] = {
	"access_key_id",
	"secret_access_key",
	"session_token"
};

static const char **
field(ServerOptions *options, const ServerOption *option)
{
	return (const char **) ((char *) options + option->offset);
}

void
store_raise(const StoreError *error)
{
	int			sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;

	if (error->status == STORE_NO_MEMORY)
		sqlstate = ERRCODE_OUT_OF_MEMORY;
	else if (error->status == STORE_NO_CRYPTO)
		sqlstate = ERRCODE_SYSTEM_ERROR;
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s", error->message),
			 error->hint[0] != '\0' ? errhint("%s", error->hint) : 0,
			 errhidestmt(error->status == STORE_BAD_BUCKET),
			 errhidecontext(error->status == STORE_BAD_BUCKET)));
}

/* --- what an option may be ------------------------------------------------ */

/* Where bytes have no encoding, it is the store room that looks at them. */
static const char *
to_utf8(const char *text)
{
	if (text == NULL || GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* As the store room puts it: the option, and what is wrong with it. */
_Noreturn static void
bad_value(const char *name, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %s", name, why),
			 HIDE_STATEMENT));
}

/* An absolute path that no ".." makes another than it looks. */
static void
check_root(const char *root)
{
	if (root[0] != '/')
		bad_value("root", "is not an absolute path");
	for (const char *part = root; *part != '\0'; part += strspn(part, "/"))
	{
		size_t		length = strcspn(part, "/");

		if (length == 2 && part[0] == '.' && part[1] == '.')
			bad_value("root", "contains \"..\"");
		part += length;
	}
}

/* A name that can stand in brackets in the credentials file. */
static void
check_profile(const char *profile)
{
	if (profile[0] == '\0')
		bad_value("profile", "is empty");
	for (const char *byte = profile; *byte != '\0'; byte++)
	{
		if ((unsigned char) *byte <= ' ' || *byte == '[' || *byte == ']' || *byte == 0x7f)
			bad_value("profile", "contains a blank, a bracket or a control character");
	}
}

/*
 * Makes a bucket of a server's options, and checks them all.  There is a
 * bucket in them, or a root.
 */
static void
make_bucket(StoreBucket *bucket, const ServerOptions *options)
{
	StoreError	error;

	memset(bucket, 0, sizeof(*bucket));
	bucket->prefix = to_utf8(options->prefix);
	bucket->public_url = to_utf8(options->public_url);
	if (options->root != NULL)
	{
		check_root(options->root);
		bucket->bucket = NO_BUCKET;
		bucket->endpoint = NO_ENDPOINT;
	}
	else
	{
		bucket->bucket = to_utf8(options->bucket);
		bucket->endpoint = to_utf8(options->endpoint);
		bucket->region = to_utf8(options->region);
		bucket->style = STORE_STYLE_AUTO;
		if (options->path_style != NULL)
		{
			bool		path_style;

			if (!parse_bool(options->path_style, &path_style))
				bad_value("path_style", "is not a Boolean value");
			bucket->style = path_style ? STORE_STYLE_PATH : STORE_STYLE_VIRTUAL;
		}
		if (options->profile != NULL)
			check_profile(options->profile);
	}
	if (!store_bucket_check(bucket, &error))
		store_raise(&error);
}

/* --- the validator -------------------------------------------------------- */

_Noreturn static void
unknown_option(const char *name, const StringInfoData *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 valid->len > 0 ?
			 errhint("Valid options in this context are: %s", valid->data) :
			 errhint("There are no valid options in this context."),
			 HIDE_STATEMENT));
}

static void
name_valid(StringInfo valid, const char *name)
{
	appendStringInfo(valid, "%s%s", valid->len > 0 ? ", " : "", name);
}

/* Takes the options of a server; an unknown one is an error. */
static void
read_server(ServerOptions *options, List *list)
{
	ListCell   *cell;

	memset(options, 0, sizeof(*options));
	foreach(cell, list)
	{
		DefElem    *given = (DefElem *) lfirst(cell);
		size_t		i = 0;

		while (i < lengthof(server_options) && strcmp(given->defname, server_options[i].name) != 0)
			i++;
		if (i == lengthof(server_options))
		{
			StringInfoData valid;

			initStringInfo(&valid);
			for (i = 0; i < lengthof(server_options); i++)
				name_valid(&valid, server_options[i].name);
			unknown_option(given->defname, &valid);
		}
		*field(options, &server_options[i]) = defGetString(given);
	}
}

/* Looks whether the options are those of a bucket or of a root. */
static void
check_together(ServerOptions *options)
{
	StringInfoData valid;
	const char *wrong = NULL;

	if (options->bucket == NULL && options->root == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("neither option \"bucket\" nor option \"root\" is given"),
				 errhint("A server of type s3 needs a bucket, one of type file a root."),
				 HIDE_STATEMENT));

	initStringInfo(&valid);
	for (size_t i = 0; i < lengthof(server_options); i++)
	{
		const ServerOption *option = &server_options[i];

		if (options->root == NULL ? option->s3 : option->file)
			name_valid(&valid, option->name);
		else if (*field(options, option) != NULL)
			wrong = option->name;
	}
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" does not go with option \"%s\"",
						wrong, options->root == NULL ? "bucket" : "root"),
				 errhint("Valid options in this context are: %s", valid.data),
				 HIDE_STATEMENT));
	pfree(valid.data);
}

static void
check_server(List *list)
{
	ServerOptions options;
	StoreBucket bucket;

	read_server(&options, list);
	check_together(&options);

	/*
	 * Whoever sets a root lets others write there as the server's user, and
	 * whoever sets a profile lets them sign with the server's credentials.
	 */
	if ((options.root != NULL || options.profile != NULL) && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"",
						options.root != NULL ? "root" : "profile"),
				 errhint("Only superusers may set the options of a server that has it."),
				 HIDE_STATEMENT));
	make_bucket(&bucket, &options);
}

/* The options of a user mapping.  What was said is kept out of the message. */
static void
check_mapping(List *list)
{
	ListCell   *cell;
	bool		given[lengthof(mapping_options)] = {false};

	foreach(cell, list)
	{
		DefElem    *option = (DefElem *) lfirst(cell);
		size_t		i = 0;

		while (i < lengthof(mapping_options) && strcmp(option->defname, mapping_options[i]) != 0)
			i++;
		if (i == lengthof(mapping_options))
		{
			StringInfoData valid;

			initStringInfo(&valid);
			for (i = 0; i < lengthof(mapping_options); i++)
				name_valid(&valid, mapping_options[i]);
			unknown_option(option->defname, &valid);
		}
		if (defGetString(option)[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s is empty", mapping_options[i]),
					 HIDE_STATEMENT));
		given[i] = true;
	}
	if (given[0] != given[1] || (given[2] && !given[0]))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is missing", mapping_options[given[0] ? 1 : 0]),
				 errhint("An access_key_id and a secret_access_key go together."),
				 HIDE_STATEMENT));
}

Datum
media_store_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);

	if (catalog == ForeignServerRelationId)
		check_server(list);
	else if (catalog == UserMappingRelationId)
		check_mapping(list);
	else if (list != NIL)
	{
		StringInfoData none;

		initStringInfo(&none);
		unknown_option(((DefElem *) linitial(list))->defname, &none);
	}
	PG_RETURN_VOID();
}

/* --- servers -------------------------------------------------------------- */

static StoreType
type_of(const ForeignServer *server)
{
	const char *type = server->servertype;

	if (type != NULL && strcmp(type, "s3") == 0)
		return STORE_TYPE_S3;
	if (type != NULL && strcmp(type, "file") == 0)
		return STORE_TYPE_FILE;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 type == NULL ?
			 errmsg("server \"%s\" has no type", server->servername) :
			 errmsg("server \"%s\" has the unknown type \"%s\"", server->servername, type),
			 errhint("Valid types are s3 and file, as in CREATE SERVER ... TYPE 's3'.")));
}

StoreServer *
store_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	StoreServer *store = palloc0(sizeof(StoreServer));
	AclResult	allowed = foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE);
	ServerOptions options;

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FOREIGN_SERVER, server->servername);
	if (server->fdwid != get_foreign_data_wrapper_oid(WRAPPER, false))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is no store", server->servername),
				 errhint("Stores are servers of the foreign-data wrapper \"%s\".", WRAPPER)));

	store->server = server;
	store->type = type_of(server);
	/* again, since a wrapper can be told to go without its validator */
	read_server(&options, server->options);
	check_together(&options);
	if ((store->type == STORE_TYPE_S3 ? options.bucket : options.root) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"%s\"", server->servername,
						store->type == STORE_TYPE_S3 ? "bucket" : "root"),
				 errhint("A server of type s3 needs a bucket, one of type file a root.")));
	make_bucket(&store->bucket, &options);
	store->profile = options.profile;
	return store;
}
