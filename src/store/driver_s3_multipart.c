/*-------------------------------------------------------------------------
 *
 * driver_s3_multipart.c
 *	  Large objects, in parts.
 *
 * A part is gathered in a buffer, so that its hash is known before it is sent
 * and it can be sent again.  There are few buffers, and a transfer waits until
 * it has one before it does anything.  The hash of the whole is known before
 * the last part is sent: if it is another than was meant, or anything fails,
 * the store is told to forget the parts, which costs the transfer no time.
 * Parts that a killed courier leaves behind are a matter of the bucket's
 * lifecycle rules.
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "driver_s3.h"

#define BUFFERS			4		/* of S3_PART_SIZE, in the program */
#define ETAG_SIZE		160
#define FORGET_TIME		20000	/* milliseconds to have parts forgotten in */

typedef enum Stage
{
	WAITING,					/* for a buffer */
	CREATING,
	FILLING,					/* the buffer, from the parent */
	SENDING,					/* a part */
	COMPLETING
} Stage;

struct S3Multipart
{
	Stage		stage;
	char	   *upload_id;
	uint8_t    *buffer;
	size_t		filled;			/* bytes in it */
	size_t		sent;			/* of those */
	uint64_t	done;			/* bytes of the parts that were sent */
	EVP_MD_CTX *hash;			/* of a part */
	int			parts;			/* sent */
	char	  (*etags)[ETAG_SIZE];
	char	   *document;		/* CompleteMultipartUpload */
	size_t		document_length;
};

/* A request that outlives its transfer. */
typedef struct Forget
{
	HttpCall	call;
} Forget;

static int	buffers_used;
static S3Transfer *waiting;		/* for a buffer, the first to be served first */

static void fill(S3Transfer *s3);

/* --- buffers ------------------------------------------------------------- */

static void
wait_in_line(S3Transfer *s3)
{
	S3Transfer **last = &waiting;

	while (*last != NULL)
		last = &(*last)->next;
	s3->next = NULL;
	*last = s3;
}

static void
leave_line(S3Transfer *s3)
{
	for (S3Transfer **place = &waiting; *place != NULL; place = &(*place)->next)
		if (*place == s3)
		{
			*place = s3->next;
			s3->next = NULL;
			return;
		}
}

static void
give_buffer_back(S3Multipart *multipart)
{
	if (multipart->buffer == NULL)
		return;
	free(multipart->buffer);
	multipart->buffer = NULL;
	buffers_used--;
	if (waiting != NULL)
		waiting->transfer->host->wake(waiting->transfer);
}

/* --- forgetting ---------------------------------------------------------- */

static void
forgotten(HttpCall *call)
{
	free(call);
}

/* Has the store throw the parts away; nobody waits for it. */
static void
forget_parts(const S3Store *store, const char *key, const char *upload_id)
{
	Forget	   *forget = calloc(1, sizeof(Forget));
	S3Request	request;
	DriverResult result = {0};

	if (forget == NULL)
		return;
	request.method = "DELETE";
	request.key = key;
	request.query[0] = (StoreField) {"uploadId", upload_id};
	request.query_count = 1;
	request.header_count = 0;
	request.sha256 = NULL;
	forget->call.deadline = driver_now() + FORGET_TIME;
	forget->call.done = forgotten;
	if (!s3_send(store, &forget->call, &request, &result))
		free(forget);
}

void
s3_multipart_drop(S3Transfer *s3)
{
	S3Multipart *multipart = s3->multipart;

	leave_line(s3);
	if (multipart->upload_id != NULL)
		forget_parts(s3->store, s3->transfer->key, multipart->upload_id);
	give_buffer_back(multipart);
	free(multipart->upload_id);
	free(multipart->etags);
	free(multipart->document);
	EVP_MD_CTX_free(multipart->hash);
	free(multipart);
	s3->multipart = NULL;
}

/* --- requests ------------------------------------------------------------ */

/* The body of each: what is in memory. */
static ssize_t
give_bytes(HttpCall *call, void *to, size_t most)
{
	S3Multipart *multipart = ((S3Transfer *) call->context)->multipart;
	const uint8_t *bytes = multipart->stage == COMPLETING
		? (const uint8_t *) multipart->document : multipart->buffer;
	size_t		left = (size_t) call->body_length - multipart->sent;

	if (most > left)
		most = left;
	if (most > 0)
		memcpy(to, bytes + multipart->sent, most);
	multipart->sent += most;
	return (ssize_t) most;
}

static bool
give_again(HttpCall *call)
{
	((S3Transfer *) call->context)->multipart->sent = 0;
	return true;
}

/* Sends a request about the upload; false: the transfer has ended. */
static bool
send(S3Transfer *s3, S3Request *request, uint64_t length, void (*done) (HttpCall *call))
{
	HttpCall   *call = &s3->call;

	request->key = s3->transfer->key;
	call->deadline = s3->transfer->deadline;
	call->has_body = true;
	call->body_length = length;
	call->give = give_bytes;
	call->again = give_again;
	call->done = done;
	s3->multipart->sent = 0;
	s3->etag[0] = '\0';
	if (!s3_expect_xml(s3, S3_ERROR_MOST, NULL, NULL))
		driver_fail_memory(&s3->transfer->result);
	else if (s3_send(s3->store, call, request, &s3->transfer->result))
		return true;
	s3_end(s3);
	return false;
}

static void
out_of_memory(S3Transfer *s3)
{
	driver_fail_memory(&s3->transfer->result);
	s3_end(s3);
}

/* The last one is answered: the object is there. */
static void
completed(HttpCall *call)
{
	S3Transfer *s3 = call->context;
	DriverResult *result = &s3->transfer->result;

	/* it may begin with 200 and fail later, so its XML has to be whole */
	if (s3_succeeded(s3))
	{
		if (!s3->reading || !s3_answer_end(s3->answer) ||
			strcmp(s3_answer_said(s3->answer)->root, "CompleteMultipartUploadResult") != 0)
		{
			driver_result_clear(result);
			driver_fail(result, COURIER_RETRY, NULL, "the store did not say that it has put the parts together");
		}
		else
		{
			/* nothing is left to be forgotten */
			free(s3->multipart->upload_id);
			s3->multipart->upload_id = NULL;
			driver_copy(result->etag, sizeof(result->etag), s3_answer_said(s3->answer)->etag);
			result->content_type[0] = '\0';
			result->cache_control[0] = '\0';
		}
		result->http_status = call->status;
	}
	s3_end(s3);
}

static void
complete(S3Transfer *s3)
{
	S3Multipart *multipart = s3->multipart;
	StoreText	text = {0};
	S3Request	request;
	char		sha256[DRIVER_SHA256_HEX];

	store_text_string(&text, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (int i = 0; i < multipart->parts; i++)
	{
		store_text_format(&text, "<Part><PartNumber>%d</PartNumber><ETag>", i + 1);
		for (const char *c = multipart->etags[i]; *c != '\0'; c++)
			if (*c == '"')
				store_text_string(&text, "&quot;");
			else if (*c == '&')
				store_text_string(&text, "&amp;");
			else if (*c == '<')
				store_text_string(&text, "&lt;");
			else
				store_text_add(&text, c, 1);
		store_text_string(&text, "</ETag></Part>");
	}
	store_text_string(&text, "</CompleteMultipartUpload>");
	if (text.failed || !driver_hash_begin(&multipart->hash) ||
		!driver_hash_add(multipart->hash, text.bytes, text.length) ||
		!driver_hash_end(multipart->hash, sha256))
	{
		store_text_drop(&text);
		out_of_memory(s3);
		return;
	}
	multipart->document = text.bytes;
	multipart->document_length = text.length;
	multipart->stage = COMPLETING;

	request.method = "POST";
	request.query[0] = (StoreField) {"uploadId", multipart->upload_id};
	request.query_count = 1;
	request.header_count = 0;
	request.sha256 = sha256;
	s3_add_header(&request, "Content-Type", "application/xml");
	if (s3->transfer->if_none_match)
		s3_add_header(&request, "If-None-Match", "*");
	(void) send(s3, &request, multipart->document_length, completed);
}

static void
part_sent(HttpCall *call)
{
	S3Transfer *s3 = call->context;
	S3Multipart *multipart = s3->multipart;

	if (!s3_succeeded(s3))
	{
		s3_end(s3);
		return;
	}
	if (s3->etag[0] == '\0' || multipart->sent != multipart->filled)
	{
		driver_result_clear(&s3->transfer->result);
		driver_fail(&s3->transfer->result, COURIER_RETRY, NULL,
					"the store's answer to a part is not as it should be");
		s3_end(s3);
		return;
	}
	driver_copy(multipart->etags[multipart->parts++], ETAG_SIZE, s3->etag);
	multipart->done += multipart->filled;
	multipart->filled = 0;
	if (multipart->done == s3->transfer->length)
		complete(s3);
	else
		fill(s3);
}

static void
send_part(S3Transfer *s3)
{
	S3Multipart *multipart = s3->multipart;
	S3Request	request;
	char		number[16];
	char		sha256[DRIVER_SHA256_HEX];
	char		md5_text[64];
	char		checksum[64];
	uint8_t		hash[EVP_MAX_MD_SIZE];

	request.method = "PUT";
	snprintf(number, sizeof(number), "%d", multipart->parts + 1);
	request.query[0] = (StoreField) {"partNumber", number};
	request.query[1] = (StoreField) {"uploadId", multipart->upload_id};
	request.query_count = 2;
	request.header_count = 0;
	if (EVP_Digest(multipart->buffer, multipart->filled, hash, NULL, EVP_sha256(), NULL) != 1)
	{
		ERR_clear_error();
		out_of_memory(s3);
		return;
	}
	for (int i = 0; i < 32; i++)
		snprintf(sha256 + 2 * i, 3, "%02x", hash[i]);
	request.sha256 = sha256;
	if (s3->store->checksum)
	{
		s3_base64(hash, 32, checksum);
		s3_add_header(&request, "x-amz-checksum-sha256", checksum);
	}
	if (s3->store->content_md5 &&
		EVP_Digest(multipart->buffer, multipart->filled, hash, NULL, EVP_md5(), NULL) == 1)
	{
		s3_base64(hash, 16, md5_text);
		s3_add_header(&request, "Content-MD5", md5_text);
	}
	multipart->stage = SENDING;
	(void) send(s3, &request, multipart->filled, part_sent);
}

/* Fills the buffer with what is there, and sends it when it is full. */
static void
fill(S3Transfer *s3)
{
	S3Multipart *multipart = s3->multipart;
	uint64_t	left = s3->transfer->length - multipart->done;
	size_t		size = (size_t) (left < S3_PART_SIZE ? left : S3_PART_SIZE);

	multipart->stage = FILLING;
	while (multipart->filled < size)
	{
		ssize_t		length = driver_body_read(&s3->body, s3->transfer,
											  multipart->buffer + multipart->filled,
											  size - multipart->filled);

		if (length == DRIVER_BODY_LATER)
			return;
		if (length <= 0)
		{
			driver_body_fail(&s3->body, &s3->transfer->result);
			s3_end(s3);
			return;
		}
		multipart->filled += (size_t) length;
	}
	send_part(s3);
}

/* The upload has an id now. */
static void
created(HttpCall *call)
{
	S3Transfer *s3 = call->context;
	DriverResult *result = &s3->transfer->result;

	if (!s3_succeeded(s3))
	{
		s3_end(s3);
		return;
	}
	if (!s3->reading || !s3_answer_end(s3->answer) ||
		s3_answer_said(s3->answer)->upload_id[0] == '\0')
	{
		driver_result_clear(result);
		driver_fail(result, COURIER_MISCONFIGURED, "Check the server's option endpoint.",
					"the store gave no id to upload parts with");
		s3_end(s3);
		return;
	}
	s3->multipart->upload_id = strdup(s3_answer_said(s3->answer)->upload_id);
	if (s3->multipart->upload_id == NULL)
		out_of_memory(s3);
	else
		fill(s3);
}

static void
create(S3Transfer *s3)
{
	S3Request	request;
	StoreText	names = {0};

	s3->multipart->stage = CREATING;
	request.method = "POST";
	request.query[0] = (StoreField) {"uploads", NULL};
	request.query_count = 1;
	request.header_count = 0;
	request.sha256 = NULL;
	s3_add_object_headers(&request, s3);
	if (s3->store->checksum)
		s3_add_header(&request, "x-amz-checksum-algorithm", "SHA256");
	if (!s3_add_metadata(&request, s3, &names))
		out_of_memory(s3);
	else
		(void) send(s3, &request, 0, created);
	store_text_drop(&names);
}

void
s3_multipart_begin(S3Transfer *s3)
{
	uint64_t	parts = (s3->transfer->length + S3_PART_SIZE - 1) / S3_PART_SIZE;

	if (parts > S3_PARTS_MOST)
	{
		driver_fail(&s3->transfer->result, COURIER_REFUSED, NULL, "the object is too long for the store");
		s3_end(s3);
		return;
	}
	s3->multipart = calloc(1, sizeof(S3Multipart));
	if (s3->multipart != NULL)
		s3->multipart->etags = calloc((size_t) parts, ETAG_SIZE);
	if (s3->multipart == NULL || s3->multipart->etags == NULL)
	{
		out_of_memory(s3);
		return;
	}
	wait_in_line(s3);
	s3->transfer->host->wake(s3->transfer);
}

void
s3_multipart_step(S3Transfer *s3)
{
	S3Multipart *multipart = s3->multipart;
	size_t		length;
	bool		failed = false;

	switch (multipart->stage)
	{
		case WAITING:
			if (buffers_used == BUFFERS || waiting != s3)
				return;

			/* an upload is not begun for what may never come */
			if (s3->transfer->host->peek(s3->transfer, &length, &failed) == NULL)
			{
				if (failed)
				{
					driver_body_fail(&s3->body, &s3->transfer->result);
					s3_end(s3);
				}
				return;
			}
			multipart->buffer = malloc(S3_PART_SIZE);
			if (multipart->buffer == NULL)
			{
				out_of_memory(s3);
				return;
			}
			buffers_used++;
			leave_line(s3);
			if (waiting != NULL)
				waiting->transfer->host->wake(waiting->transfer);
			create(s3);
			break;
		case FILLING:
			fill(s3);
			break;
		default:
			http_go_on(&s3->call);
			break;
	}
}
