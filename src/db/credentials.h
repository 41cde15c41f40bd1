/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  What a session signs with at a store.
 *
 * In this order:
 *	  1. the user mapping of the current user, or else of PUBLIC;
 *	  2. if the foreign server has the option "profile", that profile of the
 *		 file that mediastore.credentials_file names, in AWS's format;
 *	  3. if it has it as "default", and there is no such file, the environment:
 *		 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
 * The file and the environment are the database server's own.  Only superusers
 * may set "profile", or any option of a foreign server that has it: they lend
 * these credentials to all who have USAGE and no mapping, for the bucket they
 * named.  A mapping cannot narrow that, for users may drop their own.  One
 * without keys is an error.
 *
 * No secret is part of any message.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_CREDENTIALS_H
#define MEDIASTORE_CREDENTIALS_H

#include "foreign/foreign.h"

#include "../store/store.h"

/*
 * Finds the current user's credentials for a server.  profile is the server's
 * option, or NULL.  The strings are in the current memory context, and to be
 * given to credentials_wipe.  Raises 28000 if there are none, 42501 if the
 * file is open to others, 42809 if it is none, 54000 if it is too large, and
 * what reading a file raises.
 */
extern void credentials_find(StoreCredentials *credentials, const ForeignServer *server,
							 const char *profile);

/* Overwrites the secrets, and forgets them. */
extern void credentials_wipe(StoreCredentials *credentials);

#endif							/* MEDIASTORE_CREDENTIALS_H */
