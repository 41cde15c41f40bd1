/*-------------------------------------------------------------------------
 *
 * bare_put.c
 *	  What pushing is measured against: a curl_multi loop and nothing else.
 *
 *	bare_put ENDPOINT BUCKET COUNT BYTES CONNECTIONS
 *
 * Puts COUNT objects of BYTES random bytes, CONNECTIONS at a time, signed by
 * headers; each object's SHA-256 is computed, as anybody must who signs.  The
 * keys are bare/0, bare/1, ...  Credentials and region are in the environment
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION).
 *
 * It prints {"objects": n, "failed": n, "seconds": s, "rate": n/s, "cpu":
 * ms of CPU an object}.
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "store/store.h"

typedef struct Transfer
{
	CURL	   *easy;
	struct curl_slist *headers;
	unsigned char *content;
	size_t		sent;
} Transfer;

static StoreBucket bucket;
static StoreCredentials credentials;
static size_t object_bytes;

static void
die(const char *what)
{
	fprintf(stderr, "bare_put: %s\n", what);
	exit(1);
}

static size_t
give(char *to, size_t size, size_t count, void *argument)
{
	Transfer   *transfer = argument;
	size_t		rest = object_bytes - transfer->sent;
	size_t		now = size * count < rest ? size * count : rest;

	memcpy(to, transfer->content + transfer->sent, now);
	transfer->sent += now;
	return now;
}

static int
seek_to(void *argument, curl_off_t offset, int origin)
{
	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	((Transfer *) argument)->sent = (size_t) offset;
	return CURL_SEEKFUNC_OK;
}

static size_t
ignore(char *from, size_t size, size_t count, void *argument)
{
	(void) from;
	(void) argument;
	return size * count;
}

static void
add_header(Transfer *transfer, const char *name, const char *value)
{
	char		line[2048];
	struct curl_slist *longer;

	snprintf(line, sizeof(line), *value ? "%s: %s" : "%s:", name, value);
	longer = curl_slist_append(transfer->headers, line);
	if (!longer)
		die("out of memory");
	transfer->headers = longer;
}

/* The next object, over the handle's connections. */
static void
begin(CURLM *multi, Transfer *transfer, unsigned number)
{
	static const char hex_digits[] = "0123456789abcdef";
	StoreField	type = {"content-type", "application/octet-stream"};
	StoreAddress address;
	StoreSignature signature;
	StoreRequest request = {.method = "PUT",.headers = &type,.header_count = 1};
	StoreError	error;
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char		hex[2 * SHA256_DIGEST_LENGTH + 1];
	char		key[40];

	/* another content each */
	if (object_bytes >= sizeof(number))
		memcpy(transfer->content, &number, sizeof(number));
	transfer->sent = 0;
	SHA256(transfer->content, object_bytes, digest);
	for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
	{
		hex[2 * i] = hex_digits[digest[i] >> 4];
		hex[2 * i + 1] = hex_digits[digest[i] & 15];
	}
	hex[2 * SHA256_DIGEST_LENGTH] = '\0';
	snprintf(key, sizeof(key), "bare/%u", number);

	if (!store_address(&bucket, key, &address, &error))
		die(error.message);
	request.host = address.host;
	request.path = address.path;
	request.payload_sha256 = hex;
	request.at = time(NULL);
	if (!store_sign(&credentials, store_region(&bucket), &request, &signature, &error))
		die(error.message);

	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	add_header(transfer, "Authorization", signature.authorization);
	add_header(transfer, "x-amz-date", signature.date);
	add_header(transfer, "x-amz-content-sha256", signature.payload);
	add_header(transfer, "Content-Type", type.value);
	add_header(transfer, "Expect", "");
	curl_easy_setopt(transfer->easy, CURLOPT_URL, address.url);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	if (curl_multi_add_handle(multi, transfer->easy) != CURLM_OK)
		die("curl_multi_add_handle failed");
	store_signature_free(&signature);
	store_address_free(&address);
}

static void
make(Transfer *transfer)
{
	transfer->easy = curl_easy_init();
	transfer->content = malloc(object_bytes ? object_bytes : 1);
	if (!transfer->easy || !transfer->content)
		die("out of memory");
	for (size_t have = 0; have < object_bytes;)
	{
		ssize_t		got = getrandom(transfer->content + have, object_bytes - have, 0);

		if (got <= 0)
			die("getrandom failed");
		have += (size_t) got;
	}
	curl_easy_setopt(transfer->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(transfer->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) object_bytes);
	curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_SEEKFUNCTION, seek_to);
	curl_easy_setopt(transfer->easy, CURLOPT_SEEKDATA, transfer);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	/* curl's own 64 kB to send at a time are the best of 16 kB to 2 MB */
	curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
}

static double
clock_of(clockid_t id)
{
	struct timespec at;

	clock_gettime(id, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	CURLM	   *multi;
	Transfer   *transfers;
	StoreError	error;
	unsigned	count;
	unsigned	begun = 0;
	unsigned	ended = 0;
	unsigned	failed = 0;
	unsigned	connections;
	double		start;
	double		cpu;

	if (argc != 6)
	{
		fprintf(stderr, "usage: bare_put ENDPOINT BUCKET COUNT BYTES CONNECTIONS\n");
		return 2;
	}
	bucket = (StoreBucket) {.endpoint = argv[1],.bucket = argv[2],.region = getenv("AWS_REGION"),.style = STORE_STYLE_PATH};
	credentials = (StoreCredentials) {getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), NULL};
	count = (unsigned) strtoul(argv[3], NULL, 10);
	object_bytes = strtoul(argv[4], NULL, 10);
	connections = (unsigned) strtoul(argv[5], NULL, 10);
	if (!store_bucket_check(&bucket, &error))
		die(error.message);
	if (!credentials.access_key_id || !credentials.secret_access_key)
		die("no credentials in the environment");
	if (connections == 0 || connections > 1000)
		die("that many connections are no good");

	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	transfers = calloc(connections, sizeof(Transfer));
	if (!multi || !transfers)
		die("out of memory");
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) connections);
	for (unsigned i = 0; i < connections; i++)
		make(&transfers[i]);

	start = clock_of(CLOCK_MONOTONIC);
	cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	while (begun < count && begun < connections)
	{
		begin(multi, &transfers[begun], begun);
		begun++;
	}
	while (ended < begun)
	{
		int			running;
		int			left;
		CURLMsg    *message;

		if (curl_multi_perform(multi, &running) != CURLM_OK)
			die("curl_multi_perform failed");
		while ((message = curl_multi_info_read(multi, &left)))
		{
			CURL	   *easy = message->easy_handle;
			CURLcode	result = message->data.result;
			Transfer   *transfer;
			long		status = 0;

			curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
			curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
			if (result != CURLE_OK || status != 200)
			{
				if (failed++ == 0)
					fprintf(stderr, "bare_put: %s, status %ld\n", curl_easy_strerror(result), status);
			}
			ended++;
			curl_multi_remove_handle(multi, easy);
			if (begun < count)
			{
				begin(multi, transfer, begun);
				begun++;
			}
		}
		if (ended < begun && curl_multi_poll(multi, NULL, 0, 1000, NULL) != CURLM_OK)
			die("curl_multi_poll failed");
	}
	start = clock_of(CLOCK_MONOTONIC) - start;
	cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"objects\": %u, \"failed\": %u, \"seconds\": %.3f, \"rate\": %.1f, \"cpu\": %.4f}\n",
		   count - failed, failed, start, count / start, 1000 * cpu / (count ? count : 1));

	for (unsigned i = 0; i < connections; i++)
	{
		curl_easy_cleanup(transfers[i].easy);
		curl_slist_free_all(transfers[i].headers);
		free(transfers[i].content);
	}
	free(transfers);
	curl_multi_cleanup(multi);
	curl_global_cleanup();
	return failed != 0;
}
