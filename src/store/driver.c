/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  What all drivers of stores share: fields, results, hashing on the way.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"

#define SHA256_SIZE		32
#define EMPTY_SHA256	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const StoreDriver *const drivers[] = {&driver_s3, &driver_file};

const StoreDriver *
driver_find(const char *type)
{
	for (size_t i = 0; type != NULL && i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(drivers[i]->type, type) == 0)
			return drivers[i];
	return NULL;
}

int64_t
driver_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- fields -------------------------------------------------------------- */

/* Whether it is UTF-8; control characters may be in it. */
static bool
is_utf8(const char *text)
{
	while (*text != '\0')
	{
		bool		control;
		size_t		length = store_utf8(text, &control);

		if (length == 0)
			return false;
		text += length;
	}
	return true;
}

bool
driver_fields_read(const char *text, size_t length, DriverFields *fields)
{
	const char *end = text + length;

	fields->count = 0;
	if (length == 0)
		return true;
	if (end[-1] != '\0')
		return false;
	while (text < end)
	{
		StoreField *field = &fields->fields[fields->count];

		if (fields->count == DRIVER_FIELDS_MOST || *text == '\0')
			return false;
		field->name = text;
		text += strlen(text) + 1;
		if (text >= end || !is_utf8(field->name) || !is_utf8(text))
			return false;
		field->value = text;
		text += strlen(text) + 1;
		fields->count++;
	}
	return true;
}

const char *
driver_field(const DriverFields *fields, const char *name)
{
	for (int i = 0; i < fields->count; i++)
		if (strcmp(fields->fields[i].name, name) == 0)
			return fields->fields[i].value;
	return NULL;
}

long
driver_milliseconds(const DriverFields *fields, const char *name)
{
	const char *text = driver_field(fields, name);
	char	   *end;
	long		value;

	if (text == NULL)
		return 0;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && value > 0 && value <= INT32_MAX ? value : 0;
}

/* --- results ------------------------------------------------------------- */

void
driver_result_clear(DriverResult *result)
{
	StoreText	meta = result->meta;

	memset(result, 0, sizeof(*result));
	result->status = COURIER_OK;
	result->retry_after = -1;
	result->meta = meta;
	result->meta.length = 0;
	result->meta.failed = false;
}

void
driver_copy(char *to, size_t size, const char *from)
{
	size_t		used = 0;

	while (*from != '\0')
	{
		bool		control = false;
		size_t		length = store_utf8(from, &control);

		if (used + (length == 0 ? 1 : length) >= size)
			break;
		if (length == 0 || control)
			to[used++] = '?';
		else
		{
			memcpy(to + used, from, length);
			used += length;
		}
		from += length == 0 ? 1 : length;
	}
	to[used] = '\0';
}

void
driver_fail(DriverResult *result, CourierStatus status, const char *hint, const char *format,...)
{
	char		message[sizeof(result->message)];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	result->status = status;
	driver_copy(result->message, sizeof(result->message), message);
	driver_copy(result->hint, sizeof(result->hint), hint != NULL ? hint : "");
}

void
driver_fail_memory(DriverResult *result)
{
	driver_fail(result, COURIER_INTERNAL, NULL, "the courier is out of memory");
}

void
driver_result_meta(DriverResult *result, const char *name, const char *value)
{
	char		plain_name[128];
	char		plain_value[2048];

	if (strlen(name) >= sizeof(plain_name) ||
		result->meta.length + strlen(name) + strlen(value) + 8 > DRIVER_META_MOST)
		return;
	driver_copy(plain_name, sizeof(plain_name), name);
	driver_copy(plain_value, sizeof(plain_value), value);
	store_text_string(&result->meta, "meta-");
	store_text_add(&result->meta, plain_name, strlen(plain_name) + 1);
	store_text_add(&result->meta, plain_value, strlen(plain_value) + 1);
}

/* --- hashing ------------------------------------------------------------- */

/* Looked up once: libcrypto 3 would look for it at each use. */
static const EVP_MD *
sha256(void)
{
	static const EVP_MD *method;

	if (method == NULL)
	{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
		method = EVP_MD_fetch(NULL, "SHA256", NULL);
#else
		method = EVP_sha256();
#endif
	}
	return method;
}

bool
driver_hash_begin(EVP_MD_CTX **context)
{
	if (*context == NULL)
		*context = EVP_MD_CTX_new();
	if (*context != NULL && sha256() != NULL && EVP_DigestInit_ex(*context, sha256(), NULL) == 1)
		return true;
	ERR_clear_error();
	return false;
}

bool
driver_hash_add(EVP_MD_CTX *context, const void *bytes, size_t length)
{
	return EVP_DigestUpdate(context, bytes, length) == 1;
}

bool
driver_hash_end(EVP_MD_CTX *context, char hex[DRIVER_SHA256_HEX])
{
	unsigned char hash[SHA256_SIZE];

	if (EVP_DigestFinal_ex(context, hash, NULL) != 1)
	{
		ERR_clear_error();
		return false;
	}
	for (int i = 0; i < SHA256_SIZE; i++)
	{
		hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
	}
	hex[2 * SHA256_SIZE] = '\0';
	return true;
}

void
driver_body_begin(DriverBody *body)
{
	body->done = 0;
	body->begun = false;
	body->wrong = false;
	body->broken = false;
}

ssize_t
driver_body_read(DriverBody *body, DriverTransfer *transfer, void *to, size_t most)
{
	const uint8_t *bytes;
	size_t		length = 0;
	bool		failed = false;
	char		hex[DRIVER_SHA256_HEX];

	if (body->wrong || body->broken)
		return DRIVER_BODY_STOP;
	if (transfer->length == 0)
	{
		body->wrong = strcmp(transfer->sha256, EMPTY_SHA256) != 0;
		return body->wrong ? DRIVER_BODY_STOP : 0;
	}
	if (body->done == transfer->length)
		return 0;
	bytes = transfer->host->peek(transfer, &length, &failed);
	if (bytes == NULL)
	{
		body->wrong = failed;
		return failed ? DRIVER_BODY_STOP : DRIVER_BODY_LATER;
	}
	if (!body->begun)
	{
		body->broken = !driver_hash_begin(&body->context);
		body->begun = !body->broken;
	}
	if (length > most)
		length = most;

	/* what is hashed is what is sent: not what is in the slot a moment later */
	memcpy(to, bytes, length);
	transfer->host->advance(transfer, length);
	body->broken = body->broken || !driver_hash_add(body->context, to, length);
	body->done += length;
	if (!body->broken && body->done == transfer->length)
	{
		body->broken = !driver_hash_end(body->context, hex);
		body->wrong = !body->broken && strcmp(hex, transfer->sha256) != 0;
	}
	return body->broken || body->wrong ? DRIVER_BODY_STOP : (ssize_t) length;
}

void
driver_body_fail(const DriverBody *body, DriverResult *result)
{
	if (body->broken)
		driver_fail(result, COURIER_INTERNAL, NULL, "could not compute a SHA-256");
	else
		driver_fail(result, COURIER_CHANGED, NULL,
					"the content is not what it was when the transfer was asked for");
}

void
driver_body_free(DriverBody *body)
{
	EVP_MD_CTX_free(body->context);
	memset(body, 0, sizeof(*body));
}
