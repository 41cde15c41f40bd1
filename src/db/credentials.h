/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  What a session signs with at a store.
 *
 * In this order:
 *	  1. the user mapping of the current user, or else of PUBLIC;
 *	  2. the file that mediastore.credentials_file names, in AWS's format, in
 *		 the profile that the server's option "profile" names, or "default";
 *	  3. the server's environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 *		 AWS_SESSION_TOKEN.
 * The file and the environment belong to the server and not to its users: they
 * are for foreign servers that a superuser owns, since whoever owns a foreign
 * server says what is signed with them, and for whom.  A mapping without keys
 * is an error: else a user could turn PUBLIC's off and get at what comes after.
 *
 * Two things are beyond us.  Whoever has USAGE on a server can drop his own
 * mapping, so one cannot narrow what he may do: a server is for those who may
 * have what comes after, too.  And REASSIGN OWNED to a superuser makes servers
 * that others have described a superuser's, with the USAGE they have granted.
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
