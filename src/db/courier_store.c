/*-------------------------------------------------------------------------
 *
 * courier_store.c
 *	  The stores that the courier knows.
 *
 * A store is told with the credentials of the current user, so it is known by
 * server and user; and by a hash of all that was told, since options, mappings,
 * the credentials file and settings change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "../mediastore.h"
#include "compat.h"
#include "courier_parts.h"
#include "courier_text.h"
#include "credentials.h"
#include "sha256.h"

static void
add_milliseconds(CourierText *text, const char *name, int value)
{
	char		digits[16];

	snprintf(digits, sizeof(digits), "%d", value);
	courier_text_add(text, name, digits);
}

static const char *
style_name(StoreStyle style)
{
	return style == STORE_STYLE_PATH ? "path" : style == STORE_STYLE_VIRTUAL ? "virtual" : "auto";
}

/* All that the courier needs to know of a store, the credentials included. */
static void
describe_store(CourierText *text, const StoreServer *store)
{
	const StoreBucket *bucket = &store->bucket;
	StoreCredentials credentials;

	if (store->type == STORE_TYPE_FILE)
	{
		courier_text_add(text, "type", "file");
		courier_text_add(text, "root", store->root);
		courier_text_add(text, "prefix", bucket->prefix);
	}
	else
	{
		courier_text_add(text, "type", "s3");
		courier_text_add(text, "endpoint", bucket->endpoint);
		courier_text_add(text, "region", bucket->region);
		courier_text_add(text, "bucket", bucket->bucket);
		courier_text_add(text, "prefix", bucket->prefix);
		courier_text_add(text, "style", style_name(bucket->style));
		courier_text_add(text, "storage_class", store->storage_class);
		courier_text_add(text, "server_side_encryption", store->server_side_encryption);
		courier_text_add(text, "kms_key_id", store->kms_key_id);
		courier_text_add(text, "checksum", store->checksum ? "true" : NULL);
		courier_text_add(text, "content_md5", store->content_md5 ? "true" : NULL);
		courier_text_add(text, "private",
						 store->private_network || mediastore_private_networks ? "true" : NULL);
		credentials_find(&credentials, store->server, store->profile);
		courier_text_add(text, "access_key_id", credentials.access_key_id);
		courier_text_add(text, "secret_access_key", credentials.secret_access_key);
		courier_text_add(text, "session_token", credentials.session_token);
		credentials_wipe(&credentials);
	}
	add_milliseconds(text, "connect_timeout", mediastore_connect_timeout);
	add_milliseconds(text, "transfer_timeout", mediastore_transfer_timeout);
	add_milliseconds(text, "stall_timeout", mediastore_stall_timeout);
}

static bool
is_in_use(uint32 store)
{
	for (int i = 0; i < COURIER_TRANSFERS; i++)
	{
		if (courier->transfers[i].number != 0 && !courier->transfers[i].ended &&
			courier->transfers[i].store == store)
			return true;
	}
	return false;
}

/* A place for a store: a free one, or that of the one not used for longest. */
static KnownStore *
make_room(void)
{
	KnownStore *oldest = NULL;
	CourierFrame frame;

	for (int i = 0; i < COURIER_STORES; i++)
	{
		KnownStore *known = &courier->stores[i];

		if (known->number == 0)
			return known;
		if ((oldest == NULL || known->used < oldest->used) && !is_in_use(known->number))
			oldest = known;
	}
	if (oldest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many stores are in use at a time"),
				 errdetail("There can be %d.", COURIER_STORES)));
	memset(&frame, 0, sizeof(frame));
	frame.store = oldest->number;
	oldest->number = 0;
	courier_send(&frame, COURIER_FORGET, NULL, 0);
	return oldest;
}

/* Gives the number of a store that the text, whose digest it is, describes. */
static uint32
know_store(const StoreServer *store, const CourierText *text, const uint8 *digest)
{
	KnownStore *known;
	CourierFrame frame;

	for (int i = 0; i < COURIER_STORES; i++)
	{
		known = &courier->stores[i];
		if (known->number != 0 && known->server == store->server->serverid &&
			known->user == GetUserId() && memcmp(known->digest, digest, sizeof(known->digest)) == 0)
		{
			known->used = ++courier->last_use;
			return known->number;
		}
	}

	known = make_room();
	memset(&frame, 0, sizeof(frame));
	frame.store = ++courier->last_store;
	courier_send(&frame, COURIER_STORE, text->bytes, text->length);
	known->number = frame.store;
	known->server = store->server->serverid;
	known->user = GetUserId();
	memcpy(known->digest, digest, sizeof(known->digest));
	known->used = ++courier->last_use;
	return known->number;
}

uint32
courier_store(const StoreServer *store)
{
	uint32		number = 0;
	CourierText text;

	courier_start();

	memset(&text, 0, sizeof(text));
	text.bytes = courier->outgoing;
	PG_TRY();
	{
		uint8		digest[PG_SHA256_DIGEST_LENGTH];

		describe_store(&text, store);
		if (text.overflow)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options of server \"%s\" are too long", store->server->servername)));
		sha256_bytes(text.bytes, text.length, digest);
		number = know_store(store, &text, digest);
	}
	PG_FINALLY();
	{
		explicit_bzero(courier->outgoing, sizeof(courier->outgoing));
	}
	PG_END_TRY();
	return number;
}
