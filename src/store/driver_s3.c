/*-------------------------------------------------------------------------
 *
 * driver_s3.c
 *	  S3, and what speaks like it: one request for each operation.
 *
 * A PUT is sent with the hash of its content, which the parent knows, in its
 * signature; the content is hashed on its way and its end is held back if the
 * hash is another, so that what is stored is what was meant or nothing.  The
 * request begins when the first bytes are there, since a server doesn't wait
 * long for them.
 *
 * What is not universal is sent only if it is asked for: checksum headers,
 * Content-MD5, storage classes, encryption.
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver_s3.h"

static S3Transfer *unused;		/* with their parsers and contexts */

/* --- stores -------------------------------------------------------------- */

static void *
open_store(const DriverFields *fields, DriverResult *why)
{
	S3Store    *store = calloc(1, sizeof(S3Store));
	const char *style = driver_field(fields, "style");
	StoreError	error;

	if (store == NULL)
	{
		driver_fail_memory(why);
		return NULL;
	}
	store->bucket.endpoint = driver_field(fields, "endpoint");
	store->bucket.region = driver_field(fields, "region");
	store->bucket.bucket = driver_field(fields, "bucket");
	store->bucket.prefix = driver_field(fields, "prefix");
	if (style != NULL && strcmp(style, "path") == 0)
		store->bucket.style = STORE_STYLE_PATH;
	else if (style != NULL && strcmp(style, "virtual") == 0)
		store->bucket.style = STORE_STYLE_VIRTUAL;
	store->credentials.access_key_id = driver_field(fields, "access_key_id");
	store->credentials.secret_access_key = driver_field(fields, "secret_access_key");
	store->credentials.session_token = driver_field(fields, "session_token");
	store->storage_class = driver_field(fields, "storage_class");
	store->encryption = driver_field(fields, "server_side_encryption");
	store->kms_key_id = driver_field(fields, "kms_key_id");
	store->checksum = driver_field(fields, "checksum") != NULL;
	store->content_md5 = driver_field(fields, "content_md5") != NULL;
	store->limits.connect_timeout = driver_milliseconds(fields, "connect_timeout");
	store->limits.stall_timeout = driver_milliseconds(fields, "stall_timeout");
	store->limits.private_network = driver_field(fields, "private") != NULL;
	if (!store_bucket_check(&store->bucket, &error))
		driver_fail(why, COURIER_MISCONFIGURED, error.hint, "%s", error.message);
	else if (store->credentials.access_key_id == NULL || store->credentials.secret_access_key == NULL)
		driver_fail(why, COURIER_MISCONFIGURED, NULL, "the store has no credentials");
	else
		return store;
	free(store);
	return NULL;
}

static void
close_store(void *store)
{
	free(store);
}

/* --- requests ------------------------------------------------------------ */

void
s3_base64(const uint8_t *bytes, size_t length, char *text)
{
	(void) EVP_EncodeBlock((unsigned char *) text, bytes, (int) length);
}

void
s3_add_header(S3Request *request, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0' || request->header_count == S3_HEADERS_MOST)
		return;
	request->headers[request->header_count].name = name;
	request->headers[request->header_count].value = value;
	request->header_count++;
}

void
s3_add_object_headers(S3Request *request, const S3Transfer *s3)
{
	const DriverFields *fields = s3->transfer->fields;
	const S3Store *store = s3->store;

	s3_add_header(request, "Content-Type", driver_field(fields, "content_type"));
	s3_add_header(request, "Cache-Control", driver_field(fields, "cache_control"));
	s3_add_header(request, "Content-Disposition", driver_field(fields, "content_disposition"));
	s3_add_header(request, "x-amz-storage-class", store->storage_class);
	s3_add_header(request, "x-amz-server-side-encryption", store->encryption);
	s3_add_header(request, "x-amz-server-side-encryption-aws-kms-key-id", store->kms_key_id);
}

static CourierStatus
status_of(const StoreError *error)
{
	switch (error->status)
	{
		case STORE_BAD_BUCKET:
			return COURIER_MISCONFIGURED;
		case STORE_NO_MEMORY:
		case STORE_NO_CRYPTO:
			return COURIER_INTERNAL;
		default:
			return COURIER_REFUSED;
	}
}

bool
s3_add_metadata(S3Request *request, const S3Transfer *s3, StoreText *names)
{
	const DriverFields *fields = s3->transfer->fields;
	const char *at;

	for (int i = 0; i < fields->count; i++)
		if (strncmp(fields->fields[i].name, "meta-", 5) == 0)
		{
			store_text_string(names, "x-amz-meta-");
			store_text_add(names, fields->fields[i].name + 5, strlen(fields->fields[i].name + 5) + 1);
		}
	if (names->failed)
		return false;
	at = names->bytes;
	for (int i = 0; i < fields->count; i++)
		if (strncmp(fields->fields[i].name, "meta-", 5) == 0)
		{
			s3_add_header(request, at, fields->fields[i].value);
			at += strlen(at) + 1;
		}
	return true;
}

bool
s3_send(const S3Store *store, HttpCall *call, const S3Request *request, DriverResult *result)
{
	StoreAddress address = {0};
	StoreSignature signature = {0};
	StoreText	url = {0};
	StoreError	error;
	bool		signed_ = false;
	bool		good;
	StoreRequest to_sign = {
		.method = request->method,.query = request->query,.query_count = request->query_count,
		.headers = request->headers,.header_count = request->header_count,
		.payload_sha256 = request->sha256,.at = (int64_t) time(NULL)
	};

	good = store_address(&store->bucket, request->key, &address, &error);
	to_sign.host = address.host;
	to_sign.path = address.path;
	signed_ = good && store_sign(&store->credentials, store_region(&store->bucket), &to_sign,
								 &signature, &error);
	if (!signed_)
		driver_fail(result, status_of(&error), error.hint, "%s", error.message);
	else
	{
		store_text_string(&url, address.url);
		if (signature.query[0] != '\0')
		{
			store_text_string(&url, "?");
			store_text_string(&url, signature.query);
		}
		good = !url.failed && http_header(call, "Authorization", signature.authorization) &&
			http_header(call, "x-amz-date", signature.date) &&
			http_header(call, "x-amz-content-sha256", signature.payload) &&
			(store->credentials.session_token == NULL ||
			 http_header(call, "x-amz-security-token", store->credentials.session_token));
		for (int i = 0; i < request->header_count && good; i++)
			good = http_header(call, request->headers[i].name, request->headers[i].value);
		call->method = request->method;
		call->limits = store->limits;
		good = good && http_begin(call, url.bytes);
		if (!good)
		{
			http_cancel(call);
			driver_fail_memory(result);
		}
	}
	store_text_drop(&url);
	store_signature_free(&signature);
	store_address_free(&address);
	return signed_ && good;
}

/* --- answers ------------------------------------------------------------- */

bool
s3_expect_xml(S3Transfer *s3, size_t most, S3ItemCallback item, void *context)
{
	if (s3->answer == NULL)
		s3->answer = s3_answer_new();
	s3->reading = s3->answer != NULL && s3_answer_begin(s3->answer, most, item, context);
	return s3->reading;
}

void
s3_header(HttpCall *call, const char *name, const char *value)
{
	S3Transfer *s3 = call->context;
	DriverResult *result = &s3->transfer->result;

	if (name == NULL)
	{
		driver_result_clear(result);
		s3->retry_after = -1;
		s3->region[0] = '\0';
		s3->etag[0] = '\0';
		s3->content_length = 0;
	}
	else if (strcmp(name, "etag") == 0)
	{
		size_t		length = strlen(value);

		driver_copy(s3->etag, sizeof(s3->etag), value);
		if (strncmp(value, "W/", 2) == 0)
		{
			value += 2;
			length -= 2;
		}
		driver_copy(result->etag, sizeof(result->etag), value[0] == '"' ? value + 1 : value);
		length = strlen(result->etag);
		if (length > 0 && result->etag[length - 1] == '"')
			result->etag[length - 1] = '\0';
	}
	else if (strcmp(name, "content-length") == 0)
		s3->content_length = strtoull(value, NULL, 10);
	else if (strcmp(name, "content-type") == 0)
		driver_copy(result->content_type, sizeof(result->content_type), value);
	else if (strcmp(name, "cache-control") == 0)
		driver_copy(result->cache_control, sizeof(result->cache_control), value);
	else if (strcmp(name, "last-modified") == 0)
	{
		int64_t		at = http_date(value);

		result->time = at > 0 ? at : 0;
	}
	else if (strncmp(name, "x-amz-meta-", 11) == 0 && name[11] != '\0')
		driver_result_meta(result, name + 11, value);
	else if (strcmp(name, "retry-after") == 0)
		s3->retry_after = s3_retry_after(value, (int64_t) time(NULL));
	else if (strcmp(name, "x-amz-bucket-region") == 0)
		driver_copy(s3->region, sizeof(s3->region), value);
}

HttpTake
s3_take_xml(HttpCall *call, const uint8_t *bytes, size_t length)
{
	S3Transfer *s3 = call->context;

	/* what is no XML is not worth waiting for: the status has to do */
	if (s3->reading && s3_answer_add(s3->answer, bytes, length))
		return HTTP_TAKEN;
	s3->reading = false;
	return HTTP_ENOUGH;
}

/* Whether a text of the store's has something of ours in it that is secret. */
static bool
tells(const S3Store *store, const char *text)
{
	return strstr(text, store->credentials.access_key_id) != NULL ||
		strstr(text, store->credentials.secret_access_key) != NULL ||
		(store->credentials.session_token != NULL &&
		 strstr(text, store->credentials.session_token) != NULL) ||
		strstr(text, "Signature=") != NULL;
}

bool
s3_succeeded(S3Transfer *s3)
{
	static const S3Said nothing;
	const S3Said *said = &nothing;
	const HttpCall *call = &s3->call;
	DriverResult *result = &s3->transfer->result;
	bool		good = call->status >= 200 && call->status < 300;
	S3Outcome	outcome = {
		.operation = s3->transfer->operation,.http_status = call->status,
		.retry_after = s3->retry_after
	};

	if (call->status == 0 || (good && call->failed && !call->stopped))
	{
		driver_result_clear(result);
		http_fail(call, result);
		return false;
	}
	if (s3->reading && !(call->failed && !call->stopped) && s3_answer_end(s3->answer))
		said = s3_answer_said(s3->answer);
	if (good && strcmp(said->root, "Error") != 0)
		return true;

	if (strcmp(said->root, "Error") != 0)
		said = &nothing;
	outcome.code = said->code;
	outcome.message = tells(s3->store, said->message) ? "" : said->message;
	outcome.region = said->region[0] != '\0' ? said->region : s3->region;
	driver_result_clear(result);
	s3_explain(&outcome, result);
	return false;
}

/* --- transfers ----------------------------------------------------------- */

static void
free_transfer(S3Transfer *s3)
{
	s3->next = unused;
	unused = s3;
}

/* Gives back all that a transfer has. */
static void
drop(S3Transfer *s3)
{
	http_cancel(&s3->call);
	if (s3->multipart != NULL)
		s3_multipart_drop(s3);
	if (s3->list != NULL)
		s3_list_drop(s3);
	s3->transfer->state = NULL;
	s3->transfer = NULL;
	free_transfer(s3);
}

void
s3_end(S3Transfer *s3)
{
	DriverTransfer *transfer = s3->transfer;

	drop(s3);
	transfer->host->end(transfer);
}

static void
cancel(DriverTransfer *transfer)
{
	if (transfer->state != NULL)
		drop(transfer->state);
}

/* --- PUT ----------------------------------------------------------------- */

static ssize_t
give_body(HttpCall *call, void *to, size_t most)
{
	S3Transfer *s3 = call->context;
	ssize_t		length = driver_body_read(&s3->body, s3->transfer, to, most);

	return length == DRIVER_BODY_LATER ? HTTP_LATER : length < 0 ? HTTP_STOP : length;
}

static bool
give_again(HttpCall *call)
{
	S3Transfer *s3 = call->context;

	s3->transfer->host->rewind(s3->transfer);
	driver_body_begin(&s3->body);
	return true;
}

static void
put_done(HttpCall *call)
{
	S3Transfer *s3 = call->context;
	DriverResult *result = &s3->transfer->result;

	if (s3->body.wrong || s3->body.broken)
	{
		driver_result_clear(result);
		driver_body_fail(&s3->body, result);
	}
	else if (s3_succeeded(s3))
	{
		/* all that are S3 send one; what does not may have kept nothing */
		if (s3->etag[0] == '\0')
		{
			driver_result_clear(result);
			driver_fail(result, COURIER_MISCONFIGURED, "Check the server's option endpoint.",
						"the store's answer to a PUT has no ETag, so it is none of S3");
		}
		else if (s3->body.done != s3->transfer->length)
		{
			driver_result_clear(result);
			driver_fail(result, COURIER_RETRY, NULL, "the store answered before it had all of the object");
		}
		else
		{
			result->content_type[0] = '\0';
			result->cache_control[0] = '\0';
		}
		result->http_status = call->status;
	}
	s3_end(s3);
}

/* "SHA256 in hex" to what x-amz-checksum-sha256 has. */
static void
checksum_of(const char *hex, char *base64)
{
	uint8_t		bytes[32];

	for (int i = 0; i < 32; i++)
	{
		const char *digits = "0123456789abcdef";

		bytes[i] = (uint8_t) ((strchr(digits, hex[2 * i]) - digits) << 4 |
							  (strchr(digits, hex[2 * i + 1]) - digits));
	}
	s3_base64(bytes, sizeof(bytes), base64);
}

static void
send_put(S3Transfer *s3)
{
	DriverTransfer *transfer = s3->transfer;
	S3Request	request;
	StoreText	names = {0};
	uint8_t		md5[EVP_MAX_MD_SIZE];
	char		md5_text[64];
	char		checksum[64];
	bool		sent;

	request.method = "PUT";
	request.key = transfer->key;
	request.query_count = 0;
	request.header_count = 0;
	request.sha256 = transfer->sha256;
	s3_add_object_headers(&request, s3);
	if (s3->stage == S3_DIGESTING && EVP_DigestFinal_ex(s3->md5, md5, NULL) == 1)
	{
		s3_base64(md5, 16, md5_text);
		s3_add_header(&request, "Content-MD5", md5_text);
	}
	if (s3->store->checksum)
	{
		checksum_of(transfer->sha256, checksum);
		s3_add_header(&request, "x-amz-checksum-sha256", checksum);
	}
	if (transfer->if_none_match)
		s3_add_header(&request, "If-None-Match", "*");

	s3->stage = S3_RUNNING;
	driver_body_begin(&s3->body);
	s3->call.deadline = transfer->deadline;
	s3->call.has_body = true;
	s3->call.body_length = transfer->length;
	s3->call.give = give_body;
	s3->call.again = give_again;
	s3->call.done = put_done;
	if (!s3_add_metadata(&request, s3, &names) ||
		!s3_expect_xml(s3, S3_ERROR_MOST, NULL, NULL))
	{
		driver_fail_memory(&transfer->result);
		sent = false;
	}
	else if (transfer->length == 0 && driver_body_read(&s3->body, transfer, md5, 0) < 0)
	{
		driver_body_fail(&s3->body, &transfer->result);
		sent = false;
	}
	else
		sent = s3_send(s3->store, &s3->call, &request, &transfer->result);
	store_text_drop(&names);
	if (!sent)
		s3_end(s3);
}

/* The MD5 is sent before the content, so all of it is read once before. */
static void
digest(S3Transfer *s3)
{
	DriverTransfer *transfer = s3->transfer;
	const uint8_t *bytes;
	size_t		length;
	bool		failed = false;

	while (s3->body.done < transfer->length &&
		   (bytes = transfer->host->peek(transfer, &length, &failed)) != NULL)
	{
		(void) EVP_DigestUpdate(s3->md5, bytes, length);
		transfer->host->advance(transfer, length);
		s3->body.done += length;
	}
	if (failed)
	{
		driver_body_fail(&s3->body, &transfer->result);
		s3_end(s3);
	}
	else if (s3->body.done == transfer->length)
	{
		transfer->host->rewind(transfer);
		send_put(s3);
	}
}

static void
begin_put(S3Transfer *s3)
{
	DriverTransfer *transfer = s3->transfer;

	driver_body_begin(&s3->body);
	if (transfer->length > S3_MULTIPART_ABOVE)
	{
		s3_multipart_begin(s3);
		return;
	}
	if (s3->store->content_md5)
	{
		if (s3->md5 == NULL)
			s3->md5 = EVP_MD_CTX_new();
		if (s3->md5 == NULL || EVP_DigestInit_ex(s3->md5, EVP_md5(), NULL) != 1)
		{
			ERR_clear_error();
			driver_fail(&transfer->result, COURIER_INTERNAL, NULL, "could not compute an MD5");
			s3_end(s3);
			return;
		}
		s3->stage = S3_DIGESTING;
	}
	transfer->host->wake(transfer);
}

static void
step(DriverTransfer *transfer)
{
	S3Transfer *s3 = transfer->state;
	size_t		length;
	bool		failed = false;

	if (s3->multipart != NULL)
		s3_multipart_step(s3);
	else if (s3->stage == S3_RUNNING)
		http_go_on(&s3->call);
	else if (s3->stage == S3_DIGESTING)
		digest(s3);
	else if (transfer->length == 0 || transfer->host->peek(transfer, &length, &failed) != NULL)
		send_put(s3);
	else if (failed)
	{
		driver_body_fail(&s3->body, &transfer->result);
		s3_end(s3);
	}
}

/* --- GET, HEAD, DELETE --------------------------------------------------- */

static HttpTake
take_object(HttpCall *call, const uint8_t *bytes, size_t length)
{
	S3Transfer *s3 = call->context;
	DriverTransfer *transfer = s3->transfer;

	if (call->status != 200)
		return s3_take_xml(call, bytes, length);
	if (transfer->host->room(transfer) < length)
		return HTTP_NO_ROOM;
	s3->got += length;
	while (length > 0)
	{
		size_t		room;
		uint8_t    *space = transfer->host->space(transfer, &room);

		if (space == NULL)
			return HTTP_ENOUGH;
		if (room > length)
			room = length;
		memcpy(space, bytes, room);
		transfer->host->added(transfer, room);
		bytes += room;
		length -= room;
	}
	return HTTP_TAKEN;
}

static void
small_done(HttpCall *call)
{
	S3Transfer *s3 = call->context;
	DriverTransfer *transfer = s3->transfer;
	DriverResult *result = &transfer->result;
	bool		good = s3_succeeded(s3);

	if (!good && transfer->operation == COURIER_DELETE && call->status == 404 &&
		strcmp(result->code, "NoSuchBucket") != 0)
		driver_result_clear(result);	/* it is not there, as was wished */
	else if (good && transfer->operation == COURIER_GET)
	{
		if (call->status != 200 || call->stopped)
		{
			driver_result_clear(result);
			driver_fail(result, COURIER_RETRY, NULL, "the store answered %d to a GET", call->status);
		}
		else
			result->length = s3->got;
	}
	else if (good && transfer->operation == COURIER_HEAD)
		result->length = s3->content_length;
	else if (good)
		driver_result_clear(result);
	result->http_status = call->status;
	s3_end(s3);
}

static void
begin_small(S3Transfer *s3, const char *method)
{
	DriverTransfer *transfer = s3->transfer;
	S3Request	request;

	request.method = method;
	request.key = transfer->key;
	request.query_count = 0;
	request.header_count = 0;
	request.sha256 = NULL;
	s3->stage = S3_RUNNING;
	s3->call.deadline = transfer->deadline;
	s3->call.has_body = false;
	s3->call.large_answer = transfer->operation == COURIER_GET;
	s3->call.take = transfer->operation == COURIER_GET ? take_object : s3_take_xml;
	s3->call.done = small_done;
	if (!s3_expect_xml(s3, S3_ERROR_MOST, NULL, NULL))
		driver_fail_memory(&transfer->result);
	else if (s3_send(s3->store, &s3->call, &request, &transfer->result))
		return;
	s3_end(s3);
}

static void
begin(DriverTransfer *transfer)
{
	S3Transfer *s3 = unused;

	if (s3 != NULL)
		unused = s3->next;
	else if ((s3 = calloc(1, sizeof(S3Transfer))) == NULL)
	{
		driver_fail_memory(&transfer->result);
		transfer->host->end(transfer);
		return;
	}
	s3->transfer = transfer;
	s3->store = transfer->store;
	s3->stage = S3_WAITING;
	s3->reading = false;
	s3->retry_after = -1;
	s3->region[0] = '\0';
	s3->etag[0] = '\0';
	s3->got = 0;
	s3->content_length = 0;
	s3->multipart = NULL;
	s3->list = NULL;
	s3->next = NULL;
	s3->call.context = s3;
	s3->call.header = s3_header;
	s3->call.take = s3_take_xml;
	s3->call.large_answer = false;
	transfer->state = s3;
	switch (transfer->operation)
	{
		case COURIER_PUT:
			begin_put(s3);
			break;
		case COURIER_GET:
			begin_small(s3, "GET");
			break;
		case COURIER_HEAD:
			begin_small(s3, "HEAD");
			break;
		case COURIER_DELETE:
			begin_small(s3, "DELETE");
			break;
		case COURIER_LIST:
			s3_list_begin(s3);
			break;
	}
}

const StoreDriver driver_s3 = {
	.type = "s3",
	.open = open_store,
	.close = close_store,
	.begin = begin,
	.step = step,
	.cancel = cancel,
};
