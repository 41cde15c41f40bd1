/*-------------------------------------------------------------------------
 *
 * sha256.c
 *	  SHA-256 of bytes and of values.
 *
 * Small values are hashed in less time than OpenSSL takes to find the
 * algorithm, so its context is kept.  Nothing else is done while it is in use,
 * but that a value is read; whatever raises an error leaves it to be begun
 * anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "miscadmin.h"

#include "sha256.h"

/* Interrupts are heard after so many bytes. */
#define STEP		((size_t) 1024 * 1024)

static EVP_MD_CTX *context = NULL;

_Noreturn static void
cannot_hash(void)
{
	unsigned long code = ERR_get_error();
	char		reason[256] = "unknown error";

	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute a SHA-256: %s", reason)));
}

static void
begin(void)
{
	EVP_MD_CTX *made;

	if (context != NULL)
	{
		if (EVP_DigestInit_ex(context, NULL, NULL) != 1)
			cannot_hash();
		return;
	}
	made = EVP_MD_CTX_new();
	if (made == NULL || EVP_DigestInit_ex(made, EVP_sha256(), NULL) != 1)
	{
		EVP_MD_CTX_free(made);
		cannot_hash();
	}
	context = made;
}

static void
add(const uint8 *bytes, size_t length)
{
	CHECK_FOR_INTERRUPTS();
	if (EVP_DigestUpdate(context, bytes, length) != 1)
		cannot_hash();
}

static void
end(uint8 *digest)
{
	if (EVP_DigestFinal_ex(context, digest, NULL) != 1)
		cannot_hash();
}

void
sha256_bytes(const void *bytes, size_t length, uint8 *digest)
{
	const uint8 *at = (const uint8 *) bytes;

	begin();
	while (length > 0)
	{
		size_t		step = Min(length, STEP);

		add(at, step);
		at += step;
		length -= step;
	}
	end(digest);
}

void
sha256_value(Value *value, uint8 *digest)
{
	uint64		done = 0;

	begin();
	while (done < value->total)
	{
		const uint8 *bytes;
		size_t		count = value_read_on(value, done, &bytes);

		count = Min(count, STEP);
		add(bytes, count);
		done += count;
	}
	end(digest);
}
