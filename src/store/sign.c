/*-------------------------------------------------------------------------
 *
 * sign.c
 *	  AWS Signature Version 4, in a header and in an URL.
 *
 * docs.aws.amazon.com: "Authenticating Requests: Using the Authorization
 * Header" and "... Using Query Parameters" of the S3 API reference.  S3 differs
 * from AWS's other services in that a path is encoded once and not normalised.
 * Both forms make a canonical text of the request, and sign its hash with a key
 * derived from the secret, the day, the region and the service.
 *
 * The derived keys and all texts that hold a session token are wiped.
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

#define ALGORITHM		"AWS4-HMAC-SHA256"
#define SHA256_SIZE		32
#define HEX_SIZE		(2 * SHA256_SIZE + 1)
#define SCOPE_SIZE		128		/* day, region (64), service, end */
#define DAY_LENGTH		8
#define EMPTY_SHA256	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define ID_MOST			256
#define SECRET_MOST		1024
#define TOKEN_MOST		16384

/* A header or parameter as it is signed. */
typedef struct Pair
{
	char	   *name;
	char	   *value;
} Pair;

/* With room for what signing adds. */
typedef struct PairList
{
	int			count;
	Pair		pairs[STORE_MOST_FIELDS + 8];
} PairList;

/* Headers that do not arrive as they were sent (botocore leaves out the same). */
static const char *const changing[] = {
	"connection", "expect", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
	"x-amzn-trace-id", NULL
};

/* Headers that signing makes itself. */
static const char *const own_headers[] = {
	"authorization", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", NULL
};

/* Parameters that presigning makes itself. */
static const char *const own_parameters[] = {
	"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
	"x-amz-security-token", "x-amz-signature", "x-amz-signedheaders", NULL
};

static bool
bad_request(StoreError *error, const char *message)
{
	return store_fail(error, STORE_BAD_REQUEST, NULL, NULL, "%s", message);
}

static bool
is_among(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* --- pairs --------------------------------------------------------------- */

static void
drop_pairs(PairList *list)
{
	for (int i = 0; i < list->count; i++)
	{
		store_wipe(list->pairs[i].name);
		store_wipe(list->pairs[i].value);
	}
	list->count = 0;
}

/* Adds a pair and owns its texts, good or not. */
static bool
add_pair(PairList *list, StoreText *name, StoreText *value, StoreError *error)
{
	Pair	   *pair = &list->pairs[list->count++];

	pair->name = store_text_take(name, error);
	pair->value = store_text_take(value, error);
	return pair->name != NULL && pair->value != NULL;
}

/* By name, then value; both are ASCII here. */
static int
compare_pairs(const void *left, const void *right)
{
	const Pair *a = left;
	const Pair *b = right;
	int			order = strcmp(a->name, b->name);

	return order != 0 ? order : strcmp(a->value, b->value);
}

static void
sort_pairs(PairList *list)
{
	qsort(list->pairs, (size_t) list->count, sizeof(Pair), compare_pairs);
}

static bool
add_parameter(PairList *list, const char *name, const char *value, StoreError *error)
{
	StoreText	encoded_name = {0};
	StoreText	encoded_value = {0};

	store_text_encode(&encoded_name, name, false);
	store_text_encode(&encoded_value, value != NULL ? value : "", false);
	return add_pair(list, &encoded_name, &encoded_value, error);
}

/* The name in lower case; false if it is no token (RFC 9110, 5.6.2). */
static bool
lower_name(const char *name, StoreText *lower)
{
	if (name == NULL || *name == '\0')
		return false;
	for (; *name != '\0'; name++)
	{
		char		c = (char) (*name >= 'A' && *name <= 'Z' ? *name | 0x20 : *name);

		if (!store_is_alnum(c) && strchr("!#$%&'*+-.^_`|~", c) == NULL)
			return false;
		store_text_add(lower, &c, 1);
	}
	return true;
}

/* The value trimmed, blanks in a row made one; false if it is not ASCII. */
static bool
trim_value(const char *value, StoreText *trimmed)
{
	bool		blank = false;

	for (; value != NULL && *value != '\0'; value++)
	{
		if (*value == ' ' || *value == '\t')
			blank = true;
		else if (*value < ' ' || *value > '~')
			return false;
		else
		{
			if (blank && trimmed->length > 0)
				store_text_add(trimmed, " ", 1);
			blank = false;
			store_text_add(trimmed, value, 1);
		}
	}
	return true;
}

static bool
add_header(PairList *list, const char *name, const char *value, StoreError *error)
{
	StoreText	lower = {0};
	StoreText	trimmed = {0};

	if (!lower_name(name, &lower) || !trim_value(value, &trimmed))
	{
		store_text_drop(&lower);
		store_text_drop(&trimmed);
		return bad_request(error, "a header has a name or a value that HTTP cannot send");
	}
	return add_pair(list, &lower, &trimmed, error);
}

/* Adds the caller's headers; those that change are left out or refused. */
static bool
add_headers(PairList *list, const StoreField *headers, int count, bool leave_out,
			StoreError *error)
{
	if (count < 0 || count > STORE_MOST_FIELDS)
		return bad_request(error, "a request has too many headers");
	for (int i = 0; i < count; i++)
	{
		Pair	   *pair = &list->pairs[list->count];

		if (!add_header(list, headers[i].name, headers[i].value, error))
			return false;
		if (is_among(pair->name, own_headers))
			return bad_request(error, "a header is one that signing makes");
		if (is_among(pair->name, changing))
		{
			if (!leave_out)
				return bad_request(error, "a header is one that changes on its way and cannot be signed");
			store_wipe(pair->name);
			store_wipe(pair->value);
			list->count--;
		}
	}
	return true;
}

static bool
add_parameters(PairList *list, const StoreField *query, int count, StoreError *error)
{
	if (count < 0 || count > STORE_MOST_FIELDS)
		return bad_request(error, "a request has too many query parameters");
	for (int i = 0; i < count; i++)
	{
		StoreText	lower = {0};
		bool		own;

		if (query[i].name == NULL || query[i].name[0] == '\0' || !store_is_plain(query[i].name) ||
			(query[i].value != NULL && !store_is_plain(query[i].value)))
			return bad_request(error, "a query parameter has no name, is not UTF-8 or has control characters");
		own = lower_name(query[i].name, &lower) && !lower.failed &&
			is_among(lower.bytes, own_parameters);
		store_text_drop(&lower);
		if (own)
			return bad_request(error, "a query parameter is one that signing makes");
		if (!add_parameter(list, query[i].name, query[i].value, error))
			return false;
	}
	return true;
}

static bool
has_twice(const PairList *sorted)
{
	for (int i = 1; i < sorted->count; i++)
		if (strcmp(sorted->pairs[i - 1].name, sorted->pairs[i].name) == 0)
			return true;
	return false;
}

/* "a=1&b=" */
static void
write_query(StoreText *text, const PairList *sorted)
{
	for (int i = 0; i < sorted->count; i++)
	{
		if (i > 0)
			store_text_string(text, "&");
		store_text_string(text, sorted->pairs[i].name);
		store_text_string(text, "=");
		store_text_string(text, sorted->pairs[i].value);
	}
}

/* "host;x-amz-date" */
static void
write_names(StoreText *text, const PairList *sorted)
{
	for (int i = 0; i < sorted->count; i++)
	{
		if (i > 0)
			store_text_string(text, ";");
		store_text_string(text, sorted->pairs[i].name);
	}
}

/* --- the signature ------------------------------------------------------- */

static bool
no_crypto(StoreError *error)
{
	/* whoever uses libcrypto next is not to find our errors */
	ERR_clear_error();
	return store_fail(error, STORE_NO_CRYPTO, NULL, NULL, "could not compute a SHA-256");
}

static void
write_hex(const unsigned char *hash, char *hex)
{
	for (int i = 0; i < SHA256_SIZE; i++)
	{
		hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
	}
	hex[2 * SHA256_SIZE] = '\0';
}

static bool
hmac(const void *key, size_t key_length, const char *bytes, size_t length, unsigned char *hash)
{
	return HMAC(EVP_sha256(), key, (int) key_length, (const unsigned char *) bytes, length,
				hash, NULL) != NULL;
}

/* "20130524/us-east-1/s3/aws4_request" */
static bool
make_scope(const char *date, const char *region, char *scope, StoreError *error)
{
	size_t		length = region != NULL ? strlen(region) : 0;

	if (length < 1 || length > 64 || strpbrk(region, "/ ,") != NULL || !store_is_plain(region))
		return bad_request(error, "region is not valid");
	memcpy(scope, date, DAY_LENGTH);
	stpcpy(stpcpy(stpcpy(scope + DAY_LENGTH, "/"), region), "/s3/aws4_request");
	return true;
}

/* Signs a canonical request. */
static bool
sign_text(const char *secret, const char *region, const char *date, const char *scope,
		  const StoreText *canonical, char *signature, StoreError *error)
{
	char		seed[4 + SECRET_MOST + 1];
	unsigned char key[SHA256_SIZE];
	unsigned char hash[SHA256_SIZE];
	char		hex[HEX_SIZE];
	char		text[sizeof(ALGORITHM) + STORE_DATE_SIZE + SCOPE_SIZE + HEX_SIZE + 8];
	char	   *end;
	bool		good;

	good = EVP_Digest(canonical->bytes, canonical->length, hash, NULL, EVP_sha256(), NULL) == 1;
	if (good)
	{
		write_hex(hash, hex);
		end = stpcpy(stpcpy(stpcpy(stpcpy(text, ALGORITHM "\n"), date), "\n"), scope);
		end = stpcpy(stpcpy(end, "\n"), hex);

		stpcpy(stpcpy(seed, "AWS4"), secret);
		good = hmac(seed, strlen(seed), date, DAY_LENGTH, hash) &&
			hmac(hash, SHA256_SIZE, region, strlen(region), key) &&
			hmac(key, SHA256_SIZE, "s3", 2, hash) &&
			hmac(hash, SHA256_SIZE, "aws4_request", 12, key) &&
			hmac(key, SHA256_SIZE, text, (size_t) (end - text), hash);
		if (good)
			write_hex(hash, signature);
		OPENSSL_cleanse(seed, sizeof(seed));
		OPENSSL_cleanse(key, sizeof(key));
		OPENSSL_cleanse(hash, sizeof(hash));
	}
	return good ? true : no_crypto(error);
}

/* The canonical request, of sorted lists. */
static bool
write_canonical(StoreText *text, const char *method, const char *path, const PairList *query,
				const PairList *headers, const char *payload, StoreError *error)
{
	store_text_string(text, method);
	store_text_string(text, "\n");
	store_text_string(text, path);
	store_text_string(text, "\n");
	write_query(text, query);
	store_text_string(text, "\n");
	for (int i = 0; i < headers->count; i++)
	{
		store_text_string(text, headers->pairs[i].name);
		store_text_string(text, ":");
		store_text_string(text, headers->pairs[i].value);
		store_text_string(text, "\n");
	}
	store_text_string(text, "\n");
	write_names(text, headers);
	store_text_string(text, "\n");
	store_text_string(text, payload);
	return text->failed ? store_fail(error, STORE_NO_MEMORY, NULL, NULL, "out of memory") : true;
}

/* Visible ASCII, without some characters, and not too long. */
static bool
is_visible(const char *text, size_t most, const char *without)
{
	const char *at = text;

	if (text == NULL)
		return false;
	for (; *at > ' ' && *at <= '~' && strchr(without, *at) == NULL; at++)
		;
	return *at == '\0' && at > text && (size_t) (at - text) <= most;
}

/* Nothing of a credential may get into a message. */
static bool
check_credentials(const StoreCredentials *credentials, StoreError *error)
{
	const char *secret = credentials->secret_access_key;

	if (!is_visible(credentials->access_key_id, ID_MOST, "/,"))
		return bad_request(error, "access key id is missing or not valid");
	if (secret == NULL || secret[0] == '\0' || strlen(secret) > SECRET_MOST || !store_is_plain(secret))
		return bad_request(error, "secret access key is missing or not valid");
	if (credentials->session_token != NULL &&
		!is_visible(credentials->session_token, TOKEN_MOST, ""))
		return bad_request(error, "session token is not valid");
	return true;
}

/* --- in an URL ----------------------------------------------------------- */

static bool
check_presign(const StorePresign *presign, StoreError *error)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", NULL};

	if (presign->method == NULL || !is_among(presign->method, methods))
		return store_fail(error, STORE_BAD_REQUEST, NULL, "Methods are GET, HEAD, PUT and DELETE.",
						  "method cannot be presigned");
	if (presign->key == NULL)
		return bad_request(error, "key is missing");
	if (presign->expires < 1 || presign->expires > STORE_MOST_EXPIRES)
		return store_fail(error, STORE_BAD_REQUEST, NULL, "Stores take 1 second to 7 days.",
						  "time until a presigned URL expires is out of range");
	return true;
}

/* The parameters that are signed, sorted, and the headers. */
static bool
presign_lists(const StoreCredentials *credentials, const StorePresign *presign, const char *date,
			  const char *scope, const char *host, PairList *query, PairList *headers,
			  StoreError *error)
{
	StoreText	names = {0};
	StoreText	credential = {0};
	StoreText	expires = {0};
	bool		good;

	if (!add_headers(headers, presign->headers, presign->header_count, false, error) ||
		!add_header(headers, "host", host, error))
		return false;
	sort_pairs(headers);
	if (has_twice(headers))
		return bad_request(error, "a header is given twice");
	if (!add_parameters(query, presign->query, presign->query_count, error))
		return false;

	write_names(&names, headers);
	store_text_format(&credential, "%s/%s", credentials->access_key_id, scope);
	store_text_format(&expires, "%d", (int) presign->expires);
	if (names.failed || credential.failed || expires.failed)
		good = store_fail(error, STORE_NO_MEMORY, NULL, NULL, "out of memory");
	else
		good = add_parameter(query, "X-Amz-Algorithm", ALGORITHM, error) &&
			add_parameter(query, "X-Amz-Credential", credential.bytes, error) &&
			add_parameter(query, "X-Amz-Date", date, error) &&
			add_parameter(query, "X-Amz-Expires", expires.bytes, error) &&
			add_parameter(query, "X-Amz-SignedHeaders", names.bytes, error) &&
			(credentials->session_token == NULL ||
			 add_parameter(query, "X-Amz-Security-Token", credentials->session_token, error));
	store_text_drop(&names);
	store_text_drop(&credential);
	store_text_drop(&expires);
	if (good)
		sort_pairs(query);
	return good;
}

char *
store_presign(const StoreBucket *bucket, const StoreCredentials *credentials,
			  const StorePresign *presign, StoreError *error)
{
	StoreAddress address = {0};
	PairList	query = {0};
	PairList	headers = {0};
	StoreText	canonical = {0};
	StoreText	url = {0};
	char		date[STORE_DATE_SIZE];
	char		scope[SCOPE_SIZE];
	char		signature[HEX_SIZE];
	char	   *result = NULL;
	int64_t		half;

	store_error_clear(error);
	if (!check_credentials(credentials, error) || !check_presign(presign, error))
		return NULL;
	half = presign->expires > 1 ? presign->expires / 2 : 1;
	if (presign->at < 0 || !store_format_date(presign->at - presign->at % half, date))
	{
		bad_request(error, "time is out of range");
		return NULL;
	}
	if (store_address(bucket, presign->key, &address, error) &&
		make_scope(date, store_region(bucket), scope, error) &&
		presign_lists(credentials, presign, date, scope, address.host, &query, &headers, error) &&
		write_canonical(&canonical, presign->method, address.path, &query, &headers,
						STORE_UNSIGNED_PAYLOAD, error) &&
		sign_text(credentials->secret_access_key, store_region(bucket), date, scope, &canonical,
				  signature, error))
	{
		store_text_string(&url, address.url);
		store_text_string(&url, "?");
		write_query(&url, &query);
		store_text_string(&url, "&X-Amz-Signature=");
		store_text_string(&url, signature);
		result = store_text_take(&url, error);
	}
	drop_pairs(&query);
	drop_pairs(&headers);
	store_text_drop(&canonical);
	store_address_free(&address);
	return result;
}

/* --- in a header --------------------------------------------------------- */

static bool
check_request(const StoreRequest *request, StoreError *error)
{
	const char *method = request->method;
	const char *payload = request->payload_sha256;

	if (method == NULL || *method == '\0' ||
		strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(method))
		return bad_request(error, "method is not valid");
	if (!is_visible(request->host, ID_MOST + SECRET_MOST, "/@?#,"))
		return bad_request(error, "host is not valid");
	if (request->path == NULL || request->path[0] != '/')
		return bad_request(error, "path is not valid");
	for (const char *at = request->path; *at != '\0'; at++)
		if (*at != '/' && !store_is_unreserved(*at) && !store_is_encoded(at))
			return bad_request(error, "path is not encoded");
	if (payload != NULL && strcmp(payload, STORE_UNSIGNED_PAYLOAD) != 0 &&
		(strlen(payload) != HEX_SIZE - 1 || strspn(payload, "0123456789abcdef") != HEX_SIZE - 1))
		return bad_request(error, "hash of the payload is not valid");
	return true;
}

static bool
sign_lists(const StoreCredentials *credentials, const StoreRequest *request,
		   const StoreSignature *signature, PairList *query, PairList *headers, StoreError *error)
{
	if (!add_parameters(query, request->query, request->query_count, error) ||
		!add_headers(headers, request->headers, request->header_count, true, error) ||
		!add_header(headers, "host", request->host, error) ||
		!add_header(headers, "x-amz-content-sha256", signature->payload, error) ||
		!add_header(headers, "x-amz-date", signature->date, error) ||
		(credentials->session_token != NULL &&
		 !add_header(headers, "x-amz-security-token", credentials->session_token, error)))
		return false;
	sort_pairs(query);
	sort_pairs(headers);
	return has_twice(headers) ? bad_request(error, "a header is given twice") : true;
}

bool
store_sign(const StoreCredentials *credentials, const char *region, const StoreRequest *request,
		   StoreSignature *signature, StoreError *error)
{
	PairList	query = {0};
	PairList	headers = {0};
	StoreText	canonical = {0};
	StoreText	authorization = {0};
	StoreText	parameters = {0};
	char		scope[SCOPE_SIZE];
	char		hex[HEX_SIZE];

	store_error_clear(error);
	memset(signature, 0, sizeof(*signature));
	if (!check_credentials(credentials, error) || !check_request(request, error))
		return false;
	if (!store_format_date(request->at, signature->date))
		return bad_request(error, "time is out of range");
	strcpy(signature->payload,
		   request->payload_sha256 != NULL ? request->payload_sha256 : EMPTY_SHA256);

	if (make_scope(signature->date, region, scope, error) &&
		sign_lists(credentials, request, signature, &query, &headers, error) &&
		write_canonical(&canonical, request->method, request->path, &query, &headers,
						signature->payload, error) &&
		sign_text(credentials->secret_access_key, region, signature->date, scope, &canonical,
				  hex, error))
	{
		store_text_format(&authorization, ALGORITHM " Credential=%s/%s, SignedHeaders=",
						  credentials->access_key_id, scope);
		write_names(&authorization, &headers);
		store_text_format(&authorization, ", Signature=%s", hex);
		write_query(&parameters, &query);
		signature->authorization = store_text_take(&authorization, error);
		signature->query = store_text_take(&parameters, error);
	}
	drop_pairs(&query);
	drop_pairs(&headers);
	store_text_drop(&canonical);
	if (signature->authorization == NULL || signature->query == NULL)
	{
		store_signature_free(signature);
		return false;
	}
	return true;
}

void
store_signature_free(StoreSignature *signature)
{
	store_wipe(signature->authorization);
	store_wipe(signature->query);
	memset(signature, 0, sizeof(*signature));
}
