/*-------------------------------------------------------------------------
 *
 * driver_http.c
 *	  HTTP requests of the drivers, by libcurl's multi interface.
 *
 * HTTP/1.1 only: objects go in parallel over connections of their own, and one
 * that is lost takes one transfer with it.  Handles are used again, and all
 * of their options are set again for each request.
 *
 * Addresses are looked at twice: before a socket is connected, and before a
 * request is sent, since a connection that is kept may be another store's that
 * may go there.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "driver_http.h"

#if LIBCURL_VERSION_NUM < 0x075000
#error libcurl 7.80 or later is needed
#endif

#define UPLOAD_PIECE	(256L * 1024)	/* what libcurl sends from at a time */
#define ANSWER_PIECE	(256L * 1024)	/* what it reads of a large answer */
#define LINE_MOST		8192	/* of a header line; longer ones are left out */
#define CONNECTIONS		64L		/* kept open at most */
#define TLS_MINIMUM		CURL_SSLVERSION_TLSv1_2

static CURLM *multi;
static CURLSH *share;			/* TLS sessions */
static CURL *unused[COURIER_TRANSFERS];
static int	unused_count;
static int	calls;

bool
http_open(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	multi = curl_multi_init();
	share = curl_share_init();
	if (multi == NULL || share == NULL)
		return false;
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING);
	return true;
}

void
http_close(void)
{
	while (unused_count > 0)
		curl_easy_cleanup(unused[--unused_count]);
	curl_multi_cleanup(multi);
	curl_share_cleanup(share);
	curl_global_cleanup();
}

int
http_calls(void)
{
	return calls;
}

int64_t
http_date(const char *text)
{
	return (int64_t) curl_getdate(text, NULL);
}

/* --- callbacks of libcurl ------------------------------------------------ */

/* What it asks for the request's bytes. */
static size_t
read_body(char *to, size_t size, size_t count, void *context)
{
	HttpCall   *call = context;
	ssize_t		length = call->give(call, to, size * count);

	if (length == HTTP_LATER)
	{
		call->paused = true;
		return CURL_READFUNC_PAUSE;
	}
	if (length < 0)
	{
		call->stopped = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t) length;
}

/* What it asks to send the request once more, on another connection. */
static int
seek_body(void *context, curl_off_t offset, int origin)
{
	HttpCall   *call = context;

	if (origin != SEEK_SET || offset != 0 || call->again == NULL || !call->again(call))
		return CURL_SEEKFUNC_FAIL;
	return CURL_SEEKFUNC_OK;
}

static size_t
write_body(char *bytes, size_t size, size_t count, void *context)
{
	HttpCall   *call = context;
	size_t		length = size * count;
	long		status = 0;

	if (call->take == NULL || length == 0)
		return length;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = (int) status;
	switch (call->take(call, (const uint8_t *) bytes, length))
	{
		case HTTP_TAKEN:
			return length;
		case HTTP_NO_ROOM:
			call->paused = true;
			return CURL_WRITEFUNC_PAUSE;
		default:
			call->stopped = true;
			return 0;
	}
}

static size_t
write_header(char *bytes, size_t size, size_t count, void *context)
{
	HttpCall   *call = context;
	size_t		length = size * count;
	char		line[LINE_MOST];
	char	   *value;
	char	   *end;

	if (call->header == NULL || length >= sizeof(line))
		return length;
	memcpy(line, bytes, length);
	line[length] = '\0';
	if (strncasecmp(line, "HTTP/", 5) == 0)
	{
		call->header(call, NULL, NULL);
		return length;
	}
	value = strchr(line, ':');
	if (value == NULL || value == line)
		return length;
	*value++ = '\0';
	value += strspn(value, " \t");
	end = value + strlen(value);
	while (end > value && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	*end = '\0';
	for (char *c = line; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	call->header(call, line, value);
	return length;
}

/* Remembers that an address may not be connected to. */
static bool
refuse(HttpCall *call, const struct sockaddr *address)
{
	bool		known;
	const char *kind;

	if (call->limits.private_network)
		return false;
	kind = address_forbidden(address, &known);
	if (known && kind == NULL)
		return false;
	call->forbidden = true;
	snprintf(call->address, sizeof(call->address), "%s", known ? kind : "an address of an unknown kind");
	return true;
}

static curl_socket_t
open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void) purpose;
	if (refuse(context, &address->addr))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int
before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};
	bool		refused;

	(void) local;
	(void) remote_port;
	(void) local_port;
	if (inet_pton(AF_INET, remote, &ipv4.sin_addr) == 1)
		refused = refuse(context, (const struct sockaddr *) &ipv4);
	else
	{
		/* a link-local address may have its interface behind it */
		char		text[INET6_ADDRSTRLEN];

		snprintf(text, sizeof(text), "%.*s", (int) strcspn(remote, "%"), remote);
		if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) != 1)
			ipv6.sin6_family = AF_UNSPEC;
		refused = refuse(context, (const struct sockaddr *) &ipv6);
	}
	return refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* --- calls --------------------------------------------------------------- */

static bool
add_line(HttpCall *call, const char *line)
{
	struct curl_slist *longer = curl_slist_append(call->headers, line);

	if (longer == NULL)
		return false;
	call->headers = longer;
	return true;
}

bool
http_header(HttpCall *call, const char *name, const char *value)
{
	StoreText	line = {0};
	bool		good;

	/* libcurl's way to send a header without a value is another */
	store_text_string(&line, name);
	store_text_string(&line, *value != '\0' ? ": " : ";");
	store_text_string(&line, value);
	good = !line.failed && add_line(call, line.bytes);
	store_text_drop(&line);
	return good;
}

/* The headers have a signature in them, and may have a token. */
static void
drop_headers(HttpCall *call)
{
	for (struct curl_slist *item = call->headers; item != NULL; item = item->next)
		OPENSSL_cleanse(item->data, strlen(item->data));
	curl_slist_free_all(call->headers);
	call->headers = NULL;
}

static void
set_method(HttpCall *call)
{
	CURL	   *easy = call->easy;

	if (call->has_body)
	{
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) call->body_length);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_body);
		curl_easy_setopt(easy, CURLOPT_READDATA, call);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
		curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_PIECE);
	}
	if (strcmp(call->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(call->method, call->has_body ? "PUT" : "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void
set_network(HttpCall *call)
{
	CURL	   *easy = call->easy;
	int64_t		left = call->deadline - driver_now();

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) TLS_MINIMUM);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_SHARE, share);
	if (call->limits.connect_timeout > 0)
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, call->limits.connect_timeout);
	if (call->deadline > 0)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (left > 1 ? left : 1));
	if (call->limits.stall_timeout > 0)
	{
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (call->limits.stall_timeout + 999) / 1000);
	}
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
}

bool
http_begin(HttpCall *call, const char *url)
{
	CURL	   *easy = unused_count > 0 ? unused[--unused_count] : curl_easy_init();

	/* an answer that never comes to "100-continue" would cost a second */
	if (easy == NULL || !add_line(call, "User-Agent: mediastore") ||
		(call->has_body && !add_line(call, "Expect:")))
	{
		if (easy != NULL)
			curl_easy_cleanup(easy);
		drop_headers(call);
		return false;
	}
	call->easy = easy;
	call->status = 0;
	call->failed = false;
	call->stopped = false;
	call->paused = false;
	call->forbidden = false;
	call->error = CURLE_OK;
	call->error_text[0] = '\0';

	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error_text);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, write_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	if (call->large_answer)
		curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, ANSWER_PIECE);
	set_network(call);
	set_method(call);
	if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
		curl_multi_add_handle(multi, easy) != CURLM_OK)
	{
		curl_easy_cleanup(easy);
		call->easy = NULL;
		drop_headers(call);
		return false;
	}
	calls++;
	return true;
}

/* The handle is free for another call. */
static void
release(HttpCall *call)
{
	CURL	   *easy = call->easy;

	curl_multi_remove_handle(multi, easy);
	curl_easy_reset(easy);
	call->easy = NULL;
	drop_headers(call);
	calls--;
	if (unused_count < COURIER_TRANSFERS)
		unused[unused_count++] = easy;
	else
		curl_easy_cleanup(easy);
}

void
http_cancel(HttpCall *call)
{
	if (call->easy != NULL)
		release(call);
	else
		drop_headers(call);
}

void
http_go_on(HttpCall *call)
{
	if (call->easy == NULL || !call->paused)
		return;
	call->paused = false;
	(void) curl_easy_pause(call->easy, CURLPAUSE_CONT);
}

void
http_work(void)
{
	CURLMsg    *message;
	int			left;

	if (calls == 0)
		return;
	(void) curl_multi_perform(multi, &left);
	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		HttpCall   *call = NULL;
		CURLcode	error = message->data.result;
		curl_off_t	sent = 0;
		long		status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRETRANSFER_TIME_T, &sent);

		/* a time-out before anything could be sent is one of connecting */
		if (error == CURLE_OPERATION_TIMEDOUT && sent == 0)
			error = CURLE_COULDNT_CONNECT;
		call->status = (int) status;
		call->failed = error != CURLE_OK;
		call->error = (int) error;
		release(call);
		call->done(call);
	}
}

void
http_wait(int descriptor, bool write, int milliseconds)
{
	struct curl_waitfd extra = {
		.fd = descriptor,
		.events = (short) (CURL_WAIT_POLLIN | (write ? CURL_WAIT_POLLOUT : 0))
	};

	(void) curl_multi_poll(multi, &extra, 1, milliseconds, NULL);
}

/* --- what went wrong ----------------------------------------------------- */

void
http_fail(const HttpCall *call, DriverResult *result)
{
	const char *text = call->error_text[0] != '\0' ? call->error_text
	: curl_easy_strerror((CURLcode) call->error);

	result->http_status = call->status;
	if (call->forbidden && (call->error == CURLE_COULDNT_CONNECT ||
							call->error == CURLE_ABORTED_BY_CALLBACK))
	{
		driver_fail(result, COURIER_MISCONFIGURED,
					"A superuser can allow it by the server's option private_network or by mediastore.private_networks.",
					"the store's host has %s, which is not allowed", call->address);
		return;
	}
	switch ((CURLcode) call->error)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_ENGINE_INITFAILED:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
		case CURLE_PEER_FAILED_VERIFICATION:
			driver_fail(result, COURIER_UNREACHABLE, NULL, "could not connect to the store: %s", text);
			break;
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_WEIRD_SERVER_REPLY:
			driver_fail(result, COURIER_UNREACHABLE, "Check the endpoint's scheme and port.",
						"the store does not speak HTTP: %s", text);
			break;
		case CURLE_URL_MALFORMAT:
			driver_fail(result, COURIER_MISCONFIGURED, NULL, "the store's URL is not valid");
			break;
		case CURLE_OUT_OF_MEMORY:
			driver_fail_memory(result);
			break;
		default:
			driver_fail(result, COURIER_RETRY, NULL, "the connection to the store failed: %s", text);
			break;
	}
}
