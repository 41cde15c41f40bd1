/*-------------------------------------------------------------------------
 *
 * fuzz_store_answer.c
 *	  Throws answers of S3 at what reads them, and at what tells their meaning.
 *
 * The first bytes are an HTTP status, an operation, and the size of the pieces
 * the rest comes in.  In pieces of any size the same must be understood.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/store/driver_s3.h"
#include "input.h"

#define NUMBERS		4

typedef struct Seen
{
	uint64_t	items;
	uint64_t	sum;			/* of all that was said of them */
} Seen;

static void
add(Seen *seen, const char *text)
{
	for (; *text != '\0'; text++)
		seen->sum = seen->sum * 31 + (unsigned char) *text;
}

static void
take_item(void *context, const S3Item *item)
{
	Seen	   *seen = context;
	char		key[S3_TEXT_MOST + 1];

	PROMISE(strlen(item->key) <= S3_TEXT_MOST && strlen(item->etag) < 256 && item->modified >= 0);
	seen->items++;
	seen->sum += item->bytes * 7 + (uint64_t) item->modified;
	add(seen, item->key);
	add(seen, item->etag);
	strcpy(key, item->key);
	if (s3_decode(key))
		PROMISE(strlen(key) <= strlen(item->key));
}

static bool
read_answer(S3Answer *answer, const uint8_t *bytes, size_t length, size_t piece, Seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	PROMISE(s3_answer_begin(answer, S3_ERROR_MOST, take_item, seen));
	for (size_t at = 0; at < length; at += piece)
		if (!s3_answer_add(answer, bytes + at, length - at < piece ? length - at : piece))
			break;
	return s3_answer_end(answer);
}

int			LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static S3Answer *answer;
	static S3Answer *other;
	Seen		seen;
	Seen		again;
	S3Said		said;
	S3Outcome	outcome;
	DriverResult result = {0};
	bool		good;

	if (length < NUMBERS)
		return 0;
	if (answer == NULL)
	{
		answer = s3_answer_new();
		other = s3_answer_new();
		PROMISE(answer != NULL && other != NULL);
	}
	outcome.http_status = 100 + (bytes[0] | bytes[1] << 8) % 500;
	outcome.operation = (CourierOperation) (COURIER_PUT + bytes[2] % 5);
	outcome.retry_after = -1;
	good = read_answer(answer, bytes + NUMBERS, length - NUMBERS, (size_t) bytes[3] + 1, &seen);
	said = *s3_answer_said(answer);
	PROMISE(read_answer(other, bytes + NUMBERS, length - NUMBERS, length, &again) == good);
	if (good)
	{
		const S3Said *same = s3_answer_said(other);

		PROMISE(seen.items == again.items && seen.sum == again.sum && said.items >= seen.items);
		PROMISE(strcmp(said.root, same->root) == 0 && strcmp(said.code, same->code) == 0 &&
				strcmp(said.message, same->message) == 0 && strcmp(said.token, same->token) == 0 &&
				strcmp(said.upload_id, same->upload_id) == 0 && said.truncated == same->truncated);
	}

	/* whatever it is, it is told in plain words and as no success */
	outcome.code = said.code;
	outcome.message = said.message;
	outcome.region = said.region;
	driver_result_clear(&result);
	s3_explain(&outcome, &result);
	PROMISE(result.status != COURIER_OK && result.status != COURIER_CANCELLED &&
			result.status != COURIER_CHANGED && result.message[0] != '\0');
	PROMISE(result.status != COURIER_ABSENT || outcome.operation == COURIER_GET ||
			outcome.operation == COURIER_HEAD);
	PROMISE(store_is_plain(result.message) && store_is_plain(result.hint) && store_is_plain(result.code));
	return 0;
}
