/*-------------------------------------------------------------------------
 *
 * driver_s3_list.c
 *	  Lists of objects: ListObjectsV2, page after page.
 *
 * Keys may have characters that XML cannot (other programs' keys; ours have
 * none).  A page that can't be read is asked for once more with its keys
 * encoded, and what was listed of it is not listed again.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver_s3.h"

/* The most that one item may have: its key, and its other fields. */
#define ITEM_MOST		(S3_TEXT_MOST + 512)

struct S3List
{
	char	   *prefix;			/* the store's and the transfer's */
	size_t		skip;			/* bytes of the store's */
	char		token[2048];	/* of this page; "": it is the first */
	uint64_t	seen;			/* items of this page */
	uint64_t	seen_before;	/* of it as it was asked for without encoding */
	bool		encoded;
	bool		full;			/* an item had no place: should not happen */
	uint64_t	listed;
};

static void ask(S3Transfer *s3);

void
s3_list_drop(S3Transfer *s3)
{
	free(s3->list->prefix);
	free(s3->list);
	s3->list = NULL;
}

static uint8_t *
put_field(uint8_t *to, const char *name, const char *value)
{
	to = (uint8_t *) stpcpy((char *) to, name) + 1;
	return (uint8_t *) stpcpy((char *) to, value) + 1;
}

static void
list_item(void *context, const S3Item *item)
{
	S3Transfer *s3 = context;
	S3List	   *list = s3->list;
	DriverTransfer *transfer = s3->transfer;
	char		key[S3_TEXT_MOST + 1];
	char		etag[256];
	char		bytes[24];
	char		modified[24];
	uint8_t    *start;
	uint8_t    *end;
	size_t		room;

	list->seen++;
	if (list->full || list->seen <= list->seen_before)
		return;
	strcpy(key, item->key);

	/* what is not below the prefix was not asked for */
	if ((list->encoded && !s3_decode(key)) ||
		strncmp(key, list->prefix, strlen(list->prefix)) != 0 || key[list->skip] == '\0')
		return;
	driver_copy(etag, sizeof(etag), item->etag);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, item->bytes);
	snprintf(modified, sizeof(modified), "%" PRId64, item->modified);
	if (!transfer->host->fit(transfer, ITEM_MOST) ||
		(start = transfer->host->space(transfer, &room)) == NULL)
	{
		list->full = true;
		return;
	}
	end = put_field(start, "key", key + list->skip);
	end = put_field(end, "bytes", bytes);
	end = put_field(end, "etag", etag);
	end = put_field(end, "modified", modified);
	transfer->host->added(transfer, (size_t) (end - start));
	list->listed++;
}

/*
 * What comes out of XML is shorter than it, but an item needs a place of its
 * whole length, and the last of a slot stays empty.
 */
static HttpTake
take_page(HttpCall *call, const uint8_t *bytes, size_t length)
{
	S3Transfer *s3 = call->context;
	DriverTransfer *transfer = s3->transfer;

	if (call->status == 200 && s3->reading &&
		transfer->host->room(transfer) < length + 2 * ITEM_MOST + COURIER_SLOT_SIZE / 2)
		return HTTP_NO_ROOM;
	return s3_take_xml(call, bytes, length);
}

static void
page_done(HttpCall *call)
{
	S3Transfer *s3 = call->context;
	S3List	   *list = s3->list;
	DriverResult *result = &s3->transfer->result;
	const S3Said *said = s3_answer_said(s3->answer);

	if (!s3_succeeded(s3))
	{
		s3_end(s3);
		return;
	}
	driver_result_clear(result);
	result->http_status = call->status;
	if (list->full)
		driver_fail(result, COURIER_INTERNAL, NULL, "a list's item had no place");
	else if (!s3->reading || call->failed || !s3_answer_end(s3->answer))
	{
		if (!list->encoded && strcmp(said->root, "ListBucketResult") == 0)
		{
			list->encoded = true;
			list->seen_before = list->seen;
			ask(s3);
			return;
		}
		driver_fail(result, COURIER_RETRY, NULL, "the store's list could not be read");
	}
	else if (strcmp(said->root, "ListBucketResult") != 0)
		driver_fail(result, COURIER_MISCONFIGURED, "Check the server's option endpoint.",
					"the store's answer is not a list of objects");
	else if (said->truncated)
	{
		if (said->token[0] != '\0' && strcmp(said->token, list->token) != 0)
		{
			strcpy(list->token, said->token);
			list->seen_before = 0;
			ask(s3);
			return;
		}
		driver_fail(result, COURIER_MISCONFIGURED, NULL, "the store does not say how its list goes on");
	}
	result->length = list->listed;
	s3_end(s3);
}

/* Asks for a page. */
static void
ask(S3Transfer *s3)
{
	S3List	   *list = s3->list;
	S3Request	request;

	request.method = "GET";
	request.key = NULL;
	request.query_count = 0;
	request.header_count = 0;
	request.sha256 = NULL;
	request.query[request.query_count++] = (StoreField) {"list-type", "2"};
	if (list->prefix[0] != '\0')
		request.query[request.query_count++] = (StoreField) {"prefix", list->prefix};
	if (list->token[0] != '\0')
		request.query[request.query_count++] = (StoreField) {"continuation-token", list->token};
	if (list->encoded)
		request.query[request.query_count++] = (StoreField) {"encoding-type", "url"};
	list->seen = 0;
	s3->stage = S3_RUNNING;
	s3->call.deadline = s3->transfer->deadline;
	s3->call.has_body = false;
	s3->call.take = take_page;
	s3->call.done = page_done;
	if (!s3_expect_xml(s3, S3_LIST_MOST, list_item, s3))
		driver_fail_memory(&s3->transfer->result);
	else if (s3_send(s3->store, &s3->call, &request, &s3->transfer->result))
		return;
	s3_end(s3);
}

void
s3_list_begin(S3Transfer *s3)
{
	const char *before = s3->store->bucket.prefix != NULL ? s3->store->bucket.prefix : "";
	StoreText	prefix = {0};

	s3->list = calloc(1, sizeof(S3List));
	store_text_string(&prefix, before);
	store_text_string(&prefix, s3->transfer->key);
	if (s3->list == NULL || prefix.failed)
	{
		store_text_drop(&prefix);
		driver_fail_memory(&s3->transfer->result);
		s3_end(s3);
		return;
	}
	store_text_add(&prefix, "", 0);
	s3->list->prefix = prefix.bytes;
	s3->list->skip = strlen(before);
	ask(s3);
}
