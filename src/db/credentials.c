/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  What a session signs with at a store.
 *
 * The file is that of AWS's tools ("Configuration and credential file
 * settings"): sections in brackets, names and values around "=", comments
 * behind "#" or ";" at the start of a line.  What is not one of three names
 * is passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "../mediastore.h"
#include "compat.h"
#include "credentials.h"

/* More than any such file holds. */
#define LARGEST_FILE	(256 * 1024)

#define BLANKS			" \t\r\f\v"

/* What a field of StoreCredentials points to is palloc'd here. */
static void
wipe(const char *secret)
{
	if (secret != NULL)
		explicit_bzero(unconstify(char *, secret), strlen(secret));
}

void
credentials_wipe(StoreCredentials *credentials)
{
	wipe(credentials->access_key_id);
	wipe(credentials->secret_access_key);
	wipe(credentials->session_token);
	memset(credentials, 0, sizeof(*credentials));
}

/* Takes the options of a mapping. */
static void
read_options(StoreCredentials *credentials, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = (DefElem *) lfirst(cell);

		if (strcmp(option->defname, "access_key_id") == 0)
			credentials->access_key_id = defGetString(option);
		else if (strcmp(option->defname, "secret_access_key") == 0)
			credentials->secret_access_key = defGetString(option);
		else if (strcmp(option->defname, "session_token") == 0)
			credentials->session_token = defGetString(option);
	}
}

/*
 * Looks for a user mapping, as GetUserMapping does, which raises an error if
 * there is none.
 */
static bool
from_mapping(StoreCredentials *credentials, const ForeignServer *server)
{
	Oid			user = GetUserId();
	HeapTuple	tuple;
	Datum		options;
	bool		isnull;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
							ObjectIdGetDatum(server->serverid));
	if (!HeapTupleIsValid(tuple))
	{
		user = InvalidOid;
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
								ObjectIdGetDatum(server->serverid));
		if (!HeapTupleIsValid(tuple))
			return false;
	}
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							  Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		read_options(credentials, untransformRelOptions(options));
	ReleaseSysCache(tuple);

	if (credentials->access_key_id == NULL || credentials->secret_access_key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("user mapping of \"%s\" for server \"%s\" has no access_key_id and secret_access_key",
						MappingUserName(user), server->servername)));
	return true;
}

/*
 * The file is not ours to show: neither its name nor what is wrong with it is
 * the user's to know, but the log's.
 */
#define FILE_DETAIL \
	errdetail_log("The file is \"%s\".", mediastore_credentials_file)

/*
 * Reads the file into palloc'd memory with a null at its end; its length goes
 * to *size.  What may read it is what PostgreSQL asks of a private key file.
 */
static char *
read_file(size_t *size)
{
	struct stat status;
	char	   *text;
	size_t		length = 0;
	int			file = OpenTransientFile(mediastore_credentials_file,
										 O_RDONLY | O_NONBLOCK | O_NOCTTY | PG_BINARY);

	if (file < 0 || fstat(file, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the file of \"mediastore.credentials_file\": %m"),
				 FILE_DETAIL));
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("what \"mediastore.credentials_file\" names is not an ordinary file"),
				 FILE_DETAIL));
	if (status.st_uid != geteuid() && status.st_uid != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the file of \"mediastore.credentials_file\" must be owned by the server's user or by root"),
				 FILE_DETAIL));
	if ((status.st_mode & (status.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the file of \"mediastore.credentials_file\" is open to others"),
				 FILE_DETAIL,
				 errhint("Permissions should be u=rw (0600) or less if it is owned by the server's user, "
						 "or u=rw,g=r (0640) or less if it is owned by root.")));
	if (status.st_size > LARGEST_FILE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the file of \"mediastore.credentials_file\" is too large"),
				 FILE_DETAIL));

	text = palloc((size_t) status.st_size + 1);
	while (length < (size_t) status.st_size)
	{
		ssize_t		got = read(file, text + length, (size_t) status.st_size - length);

		if (got < 0 && errno == EINTR)
		{
			CHECK_FOR_INTERRUPTS();
			continue;
		}
		if (got < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read the file of \"mediastore.credentials_file\": %m"),
					 FILE_DETAIL));
		if (got == 0)
			break;
		length += (size_t) got;
	}
	text[length] = '\0';
	CloseTransientFile(file);
	*size = length;
	return text;
}

/* Without blanks at both ends, in place. */
static char *
trim(char *text)
{
	size_t		length;

	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length > 0 && strchr(BLANKS, text[length - 1]) != NULL)
		length--;
	text[length] = '\0';
	return text;
}

/* Takes a line "name = value" of the profile. */
static void
read_line(StoreCredentials *credentials, char *line)
{
	char	   *equals = strchr(line, '=');
	const char **field = NULL;
	const char *name;
	const char *value;

	if (equals == NULL)
		return;
	*equals = '\0';
	name = trim(line);
	value = trim(equals + 1);
	if (strcmp(name, "aws_access_key_id") == 0)
		field = &credentials->access_key_id;
	else if (strcmp(name, "aws_secret_access_key") == 0)
		field = &credentials->secret_access_key;
	else if (strcmp(name, "aws_session_token") == 0)
		field = &credentials->session_token;
	if (field == NULL || value[0] == '\0')
		return;
	wipe(*field);
	*field = pstrdup(value);
}

/* Takes what a profile says; false if there is none of that name. */
static bool
read_profile(StoreCredentials *credentials, char *text, const char *profile)
{
	bool		within = false;
	bool		found = false;
	char	   *next;

	for (char *line = text; line != NULL; line = next)
	{
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (line[0] == '#' || line[0] == ';')
			continue;
		/* a line that starts with a blank belongs to a setting above it */
		if (line[0] == '[')
		{
			char	   *bracket = strchr(line, ']');

			if (bracket != NULL)
				*bracket = '\0';
			within = (bracket != NULL && strcmp(trim(line + 1), profile) == 0);
			found = found || within;
		}
		else if (within && line[0] != '\0' && strchr(BLANKS, line[0]) == NULL)
			read_line(credentials, line);
	}
	return found;
}

static bool
from_file(StoreCredentials *credentials, const ForeignServer *server, const char *profile)
{
	size_t		size;
	char	   *text;
	bool		found;

	if (mediastore_credentials_file == NULL || mediastore_credentials_file[0] == '\0')
	{
		/* the environment is the default profile of a server without a file */
		if (strcmp(profile, "default") == 0)
			return false;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("server \"%s\" names profile \"%s\", and there is no credentials file",
						server->servername, profile),
				 errhint("A superuser can name one by \"mediastore.credentials_file\".")));
	}

	text = read_file(&size);
	found = read_profile(credentials, text, profile);
	explicit_bzero(text, size);
	pfree(text);

	if (credentials->access_key_id == NULL || credentials->secret_access_key == NULL)
	{
		credentials_wipe(credentials);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 found ?
				 errmsg("profile \"%s\" of the credentials file has no aws_access_key_id and aws_secret_access_key",
						profile) :
				 errmsg("the credentials file has no profile \"%s\"", profile),
				 FILE_DETAIL));
	}
	return true;
}

/* A variable of the environment; NULL if it is not there or empty. */
static char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || value[0] == '\0' ? NULL : pstrdup(value);
}

static bool
from_environment(StoreCredentials *credentials)
{
	credentials->access_key_id = variable("AWS_ACCESS_KEY_ID");
	credentials->secret_access_key = variable("AWS_SECRET_ACCESS_KEY");
	credentials->session_token = variable("AWS_SESSION_TOKEN");
	return credentials->access_key_id != NULL && credentials->secret_access_key != NULL;
}

void
credentials_find(StoreCredentials *credentials, const ForeignServer *server, const char *profile)
{
	memset(credentials, 0, sizeof(*credentials));
	if (from_mapping(credentials, server))
		return;
	if (profile != NULL &&
		(from_file(credentials, server, profile) || from_environment(credentials)))
		return;

	credentials_wipe(credentials);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("no credentials for server \"%s\"", server->servername),
			 errhint("Credentials are looked for in a user mapping; if a superuser has set the option \"profile\", also in the file that "
					 "\"mediastore.credentials_file\" names, or else in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).")));
}
