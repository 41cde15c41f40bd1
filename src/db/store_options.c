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
#include "utils/formatting.h"

#include "compat.h"
#include "courier_text.h"
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
	const char *storage_class;
	const char *server_side_encryption;
	const char *kms_key_id;
	const char *checksum;
	const char *content_md5;
	const char *if_none_match;
	const char *cache_control;
	const char *metadata;
	const char *private_network;
} ServerOptions;

typedef struct ServerOption
{
	const char *name;
	size_t		offset;			/* in ServerOptions */
	bool		s3;				/* whether a store with a bucket has it */
	bool		file;			/* whether a store with a root has it */
	bool		superuser;		/* whose servers are superusers' to change */
} ServerOption;

#define AT(field) offsetof(ServerOptions, field)

static const ServerOption server_options[] = {
	{"bucket", AT(bucket), true, false, false},
	{"region", AT(region), true, false, false},
	{"endpoint", AT(endpoint), true, false, false},
	{"prefix", AT(prefix), true, true, false},
	{"public_url", AT(public_url), true, true, false},
	{"path_style", AT(path_style), true, false, false},
	{"storage_class", AT(storage_class), true, false, false},
	{"server_side_encryption", AT(server_side_encryption), true, false, false},
	{"kms_key_id", AT(kms_key_id), true, false, false},
	{"checksum", AT(checksum), true, false, false},
	{"content_md5", AT(content_md5), true, false, false},
	{"if_none_match", AT(if_none_match), true, false, false},
	{"cache_control", AT(cache_control), true, true, false},
	{"metadata", AT(metadata), true, false, false},
	{"profile", AT(profile), true, false, true},
	{"private_network", AT(private_network), true, false, true},
	{"root", AT(root), false, true, true},
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
bad_value(const char *name, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %s", name, why),
			 hint != NULL ? errhint("%s", hint) : 0,
			 HIDE_STATEMENT));
}

/* An absolute path that no ".." makes another than it looks. */
static void
check_root(const char *root)
{
	if (root[0] != '/')
		bad_value("root", "is not an absolute path", NULL);
	for (const char *part = root; *part != '\0'; part += strspn(part, "/"))
	{
		size_t		length = strcspn(part, "/");

		if (length == 2 && part[0] == '.' && part[1] == '.')
			bad_value("root", "contains \"..\"", NULL);
		part += length;
	}
}

/* A name that can stand in brackets in the credentials file. */
static void
check_profile(const char *profile)
{
	if (profile[0] == '\0')
		bad_value("profile", "is empty", NULL);
	for (const char *byte = profile; *byte != '\0'; byte++)
	{
		if ((unsigned char) *byte <= ' ' || *byte == '[' || *byte == ']' || *byte == 0x7f)
			bad_value("profile", "contains a blank, a bracket or a control character", NULL);
	}
}

static bool
read_boolean(const char *name, const char *value)
{
	bool		result = false;

	if (value != NULL && !parse_bool(value, &result))
		bad_value(name, "is not a Boolean value", NULL);
	return result;
}

/* What goes into a header as it is. */
static void
check_header(const char *name, const char *value)
{
	if (value != NULL && !courier_text_is_header(value))
		bad_value(name, "can't be sent as a header",
				  "It must be printable ASCII, without blanks at its ends, and not empty.");
}

static void
check_storage_class(const char *value)
{
	if (value == NULL)
		return;
	if (value[0] == '\0' || strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(value))
		bad_value("storage_class", "is not the name of a storage class",
				  "Stores name them in capitals, as STANDARD_IA; which there are, they tell.");
}

static void
check_encryption(const char *encryption, const char *kms_key_id)
{
	if (encryption != NULL && strcmp(encryption, "AES256") != 0 && strcmp(encryption, "aws:kms") != 0)
		bad_value("server_side_encryption", "is unknown", "Valid values are AES256 and aws:kms.");
	check_header("kms_key_id", kms_key_id);
	if (kms_key_id != NULL && (encryption == NULL || strcmp(encryption, "aws:kms") != 0))
		bad_value("kms_key_id", "is given without server_side_encryption",
				  "A key of one's own goes with server_side_encryption 'aws:kms'.");
}

List *
store_metadata_add(List *metadata, const char *name, const char *value)
{
	StoreMeta  *meta = palloc(sizeof(StoreMeta));
	size_t		total = strlen(name) + strlen(value);
	ListCell   *cell;
	char	   *lower;

	if (!courier_text_is_token(name))
		bad_value("metadata", "has a name that can't be sent as one of a header",
				  "Names are made of letters, digits, \"-\", \"_\" and the like.");
	check_header("metadata", value);
	/* headers have no case; what a store gives back is lower case */
	lower = asc_tolower(name, strlen(name));
	foreach(cell, metadata)
	{
		const StoreMeta *other = (const StoreMeta *) lfirst(cell);

		if (strcmp(other->name, lower) == 0)
			bad_value("metadata", "has a name twice", "Upper and lower case are the same in headers.");
		total += strlen(other->name) + strlen(other->value);
	}
	if (total > STORE_METADATA_MOST)
		bad_value("metadata", "is too long", "Names and values may add up to 2048 bytes.");
	meta->name = lower;
	meta->value = value;
	return lappend(metadata, meta);
}

/* Without blanks at both ends, in place. */
static char *
trim(char *text)
{
	size_t		length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length > 0 && strchr(" \t", text[length - 1]) != NULL)
		length--;
	text[length] = '\0';
	return text;
}

/* Reads "name=value, name=value"; a value has no comma. */
static List *
read_metadata(const char *text)
{
	List	   *metadata = NIL;
	char	   *part = text != NULL ? pstrdup(text) : NULL;

	while (part != NULL)
	{
		char	   *next = strchr(part, ',');
		char	   *equals;

		if (next != NULL)
			*next++ = '\0';
		equals = strchr(part, '=');
		if (equals == NULL)
			bad_value("metadata", "is not a list of names and values",
					  "It is written as in \"name=value, name=value\".");
		*equals = '\0';
		metadata = store_metadata_add(metadata, trim(part), trim(equals + 1));
		part = next;
	}
	return metadata;
}

/*
 * Takes what objects are put with, and how the store is reached, and checks all
 * of it.
 */
static void
read_details(StoreServer *store, const ServerOptions *options)
{
	check_storage_class(options->storage_class);
	check_encryption(options->server_side_encryption, options->kms_key_id);
	check_header("cache_control", options->cache_control);
	store->root = to_utf8(options->root);
	store->profile = options->profile;
	store->storage_class = options->storage_class;
	store->server_side_encryption = options->server_side_encryption;
	store->kms_key_id = options->kms_key_id;
	store->cache_control = options->cache_control;
	store->metadata = read_metadata(options->metadata);
	store->checksum = read_boolean("checksum", options->checksum);
	store->content_md5 = read_boolean("content_md5", options->content_md5);
	store->if_none_match = read_boolean("if_none_match", options->if_none_match);
	store->private_network = read_boolean("private_network", options->private_network);
}

/*
 * Makes a bucket of a server's options, and checks them.  There is a bucket in
 * them, or a root.
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
			bucket->style = read_boolean("path_style", options->path_style) ?
				STORE_STYLE_PATH : STORE_STYLE_VIRTUAL;
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
	StoreServer store;

	read_server(&options, list);
	check_together(&options);

	/*
	 * Whoever sets a root lets others write there as the server's user, whoever
	 * sets a profile lets them sign with the server's credentials, and whoever
	 * opens a private network lets them reach what only the server can.
	 */
	for (size_t i = 0; i < lengthof(server_options); i++)
	{
		const ServerOption *option = &server_options[i];

		if (option->superuser && *field(&options, option) != NULL && !superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to set option \"%s\"", option->name),
					 errhint("Only superusers may set the options of a server that has it."),
					 HIDE_STATEMENT));
	}
	make_bucket(&store.bucket, &options);
	read_details(&store, &options);
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
	read_details(store, &options);
	return store;
}
