/*-------------------------------------------------------------------------
 *
 * fuzz_store.c
 *	  Throws descriptions of buckets, keys, templates, and requests to be
 *	  signed at the store room.
 *
 * The input is lines, after flags and numbers in the first bytes.  What comes
 * out must be an error with a message that tells no secret, or: an URL of URL
 * characters only, with the bucket in its place; a key that stays below where
 * it belongs; a signature that comes out the same again.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/store/parts.h"
#include "input.h"

#define NUMBERS		18			/* flags, expires, at */
#define LINES		14
#define SECRET		"a-secret-that-is-nowhere"

static void
check_error(const StoreError *error, bool good)
{
	PROMISE((error->status == STORE_OK) == good);
	PROMISE((error->message[0] == '\0') == good);
	PROMISE((error->option != NULL) == (error->status == STORE_BAD_BUCKET));
	PROMISE(memchr(error->message, '\0', sizeof(error->message)) != NULL);
	PROMISE(strstr(error->message, SECRET) == NULL && store_is_plain(error->message));
	PROMISE(error->status != STORE_NO_CRYPTO);
}

static void
check_url(const char *url)
{
	PROMISE(strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0);
	for (const char *at = url; *at != '\0'; at++)
	{
		if (*at == '%')
			PROMISE(store_is_encoded(at));
		else
			PROMISE(store_is_unreserved(*at) || strchr("!$&'()*+,;=:@/?[]", *at) != NULL);
	}
}

static void
check_addresses(const StoreBucket *bucket, const char *key, StoreError *error)
{
	StoreAddress address;
	char	   *url;
	bool		good = store_bucket_check(bucket, error);

	check_error(error, good);
	if (!good)
		PROMISE(error->status == STORE_BAD_BUCKET);
	if (store_address(bucket, key, &address, error))
	{
		PROMISE(good);
		check_error(error, true);
		check_url(address.url);
		PROMISE(strpbrk(address.url, "?#") == NULL && address.path[0] == '/');
		PROMISE(strpbrk(address.host, "/@?#% ") == NULL);
		PROMISE(strlen(address.url) == strlen(address.host) + strlen(address.path) +
				(strncmp(address.url, "https", 5) == 0 ? 8 : 7));
		store_address_free(&address);
	}
	else
		check_error(error, false);

	url = store_public_url(bucket, key, error);
	check_error(error, url != NULL);
	if (url != NULL)
	{
		PROMISE(good && strpbrk(url, "?#") == NULL);
		check_url(url);
	}
	free(url);
}

static void
check_key(const char *prefix, const char *key_template, char **lines, unsigned flags, int64_t at,
		  StoreError *error)
{
	const char *pk[2] = {lines[0], lines[1]};
	StoreKeyValues values = {
		.table = lines[2], .column = flags & 1 ? lines[3] : NULL, .pk = pk, .pk_count = flags >> 1 & 1,
		.index = at, .sha256 = lines[4], .uuid = lines[5], .ext = lines[6], .has_at = flags >> 3 & 1,
		.at = at
	};
	unsigned	names = 0;
	bool		readable = store_template_check(key_template, &names, error);
	char	   *key;

	check_error(error, readable);
	values.pk_count += flags >> 2 & 1;
	key = store_template_expand(key_template, prefix, &values, error);
	check_error(error, key != NULL);
	if (key != NULL)
	{
		size_t		slashes = 0;

		/* no value adds a segment */
		for (const char *c = key_template; *c != '\0'; c++)
			slashes += *c == '/';
		for (const char *c = key; *c != '\0'; c++)
			slashes -= *c == '/';
		PROMISE(slashes == 0);
		PROMISE(store_key_check(prefix, key, true, error));
		PROMISE(strlen(key) <= STORE_KEY_MOST);
	}
	free(key);
}

static void
check_signing(const StoreBucket *bucket, char **lines, unsigned flags, int64_t expires, int64_t at,
			  StoreError *error)
{
	static const char *const methods[4] = {"GET", "HEAD", "PUT", "DELETE"};
	const StoreCredentials credentials = {
		.access_key_id = flags & 1 ? "id" : lines[0], .secret_access_key = SECRET,
		.session_token = flags & 2 ? lines[1] : NULL
	};
	const StoreField fields[2] = {{lines[2], lines[3]}, {lines[4], lines[5]}};
	const StorePresign presign = {
		.method = methods[flags >> 2 & 3], .key = lines[6], .at = at, .expires = expires,
		.query = fields, .query_count = flags >> 4 & 1, .headers = fields + 1,
		.header_count = flags >> 5 & 1
	};
	const StoreRequest request = {
		.method = presign.method, .host = lines[0], .path = lines[6], .query = fields,
		.query_count = 2, .headers = fields, .header_count = (int) (flags >> 6 & 3) % 3, .at = at
	};
	StoreSignature signature;
	StoreSignature again;
	char	   *url = store_presign(bucket, &credentials, &presign, error);
	char	   *second;

	check_error(error, url != NULL);
	second = store_presign(bucket, &credentials, &presign, error);
	PROMISE((url != NULL) == (second != NULL));
	if (url != NULL)
	{
		const char *last = strstr(url, "&X-Amz-Signature=");

		check_url(url);
		PROMISE(strcmp(url, second) == 0);
		PROMISE(last != NULL && strlen(last) == 17 + 64);
		PROMISE(expires >= 1 && expires <= STORE_MOST_EXPIRES);
	}
	free(url);
	free(second);

	if (store_sign(&credentials, "r", &request, &signature, error))
	{
		check_error(error, true);
		PROMISE(store_sign(&credentials, "r", &request, &again, error));
		PROMISE(strcmp(signature.authorization, again.authorization) == 0);
		PROMISE(strcmp(signature.query, again.query) == 0);
		PROMISE(strlen(signature.date) == STORE_DATE_SIZE - 1 && strlen(signature.payload) == 64);
		for (const char *c = signature.authorization; *c != '\0'; c++)
			PROMISE(*c >= ' ' && *c <= '~');
		store_signature_free(&again);
	}
	else
		check_error(error, false);
	store_signature_free(&signature);
}

int			LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	StoreBucket bucket = {0};
	StoreError	error;
	uint8_t		numbers[NUMBERS];
	char	   *lines[LINES];
	unsigned	flags;
	int64_t		expires;
	int64_t		at;

	if (length < NUMBERS)
		return 0;
	memcpy(numbers, bytes, NUMBERS);
	bytes += NUMBERS;
	length -= NUMBERS;
	flags = numbers[0] | (unsigned) numbers[1] << 8;
	memcpy(&expires, numbers + 2, 8);
	memcpy(&at, numbers + 10, 8);
	/* mostly times as they are */
	if (flags >> 8 & 1)
	{
		expires &= 0xfffff;
		at &= 0xffffffff;
	}
	for (size_t i = 0; i < LINES; i++)
		lines[i] = next_line(&bytes, &length);

	/* and mostly buckets that can be, or nothing is signed */
	bucket.endpoint = flags >> 9 & 1 ? NULL : flags >> 10 & 1 ? lines[0] : "https://h:9000/b";
	bucket.region = flags >> 11 & 1 ? lines[1] : flags >> 12 & 1 ? "eu-west-1" : NULL;
	bucket.bucket = flags >> 13 & 1 ? lines[2] : "bucket";
	bucket.prefix = flags >> 14 & 1 ? lines[3] : NULL;
	bucket.style = (StoreStyle) (flags % 3);
	bucket.public_url = flags >> 15 & 1 ? lines[4] : NULL;

	check_addresses(&bucket, lines[5], &error);
	check_key(bucket.prefix, lines[6], lines + 7, flags, at, &error);
	check_signing(&bucket, lines + 7, flags, expires, at, &error);

	for (size_t i = 0; i < LINES; i++)
		free(lines[i]);
	return 0;
}
