/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  As whom objects are sent: a store, and the owner of the table they come
 *	  from, whose rights and credentials count.
 *
 * What one owner lacks holds no other owner up, so it is not the store that
 * rests then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "claim.h"
#include "compat.h"
#include "sender.h"
#include "subtransaction.h"

/* Owners in trouble that are remembered; of more, one is forgotten. */
#define TROUBLES	64

typedef struct Trouble
{
	NameData	server;
	Oid			owner;			/* 0: this place is free */
	int			count;
} Trouble;

static Trouble troubles[TROUBLES];

typedef struct Opening
{
	Sender	   *sender;
	bool		connect;
} Opening;

/* Opens the store as the owner. */
static void
open_store(void *context)
{
	Opening    *opening = (Opening *) context;
	Sender	   *sender = opening->sender;
	Oid			user;
	int			security;

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(sender->owner)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("owner of the objects has been dropped")));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(sender->owner, security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	sender->store = store_server(NameStr(sender->server));
	if (opening->connect)
		sender->number = courier_store(sender->store);
	SetUserIdAndSecContext(user, security);
}

Sender *
sender_find(List **senders, const char *server, Oid owner, bool connect)
{
	Opening		opening = {.connect = connect};
	Sender	   *sender;
	ListCell   *cell;

	foreach(cell, *senders)
	{
		sender = (Sender *) lfirst(cell);
		if (sender->owner == owner && strcmp(NameStr(sender->server), server) == 0)
			return sender;
	}
	sender = (Sender *) palloc0(sizeof(Sender));
	namestrcpy(&sender->server, server);
	sender->owner = owner;
	opening.sender = sender;
	if (subtransaction_try(open_store, &opening, &sender->error))
		;
	/* a courier that ended as it began is no reason to give a store up */
	else if (sender->error->sqlerrcode != ERRCODE_INSUFFICIENT_RESOURCES ||
			 !subtransaction_try(open_store, &opening, &sender->error))
	{
		sender->store = NULL;
		sender->is_owners = sender->error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE ||
			sender->error->sqlerrcode == ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	}
	*senders = lappend(*senders, sender);
	return sender;
}

static Trouble *
find_trouble(const char *server, Oid owner)
{
	for (int i = 0; i < TROUBLES; i++)
	{
		if (troubles[i].owner == owner && strcmp(NameStr(troubles[i].server), server) == 0)
			return &troubles[i];
	}
	return NULL;
}

double
sender_trouble(const char *server, Oid owner)
{
	Trouble    *trouble = find_trouble(server, owner);

	if (trouble == NULL)
	{
		trouble = &troubles[0];
		for (int i = 0; i < TROUBLES; i++)
		{
			if (!OidIsValid(troubles[i].owner))
			{
				trouble = &troubles[i];
				break;
			}
		}
		namestrcpy(&trouble->server, server);
		trouble->owner = owner;
		trouble->count = 0;
	}
	return claim_back_off(++trouble->count);
}

void
sender_works(const char *server, Oid owner)
{
	Trouble    *trouble = find_trouble(server, owner);

	if (trouble != NULL)
		trouble->owner = InvalidOid;
}
