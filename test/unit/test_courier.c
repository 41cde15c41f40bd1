/*-------------------------------------------------------------------------
 *
 * test_courier.c
 *	  The parts of the drivers that need no network: what S3's answers mean,
 *	  its XML, addresses, the fields of frames, what is withheld of a PUT.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "../../src/store/driver_s3.h"
#include "check.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* --- what an answer means ------------------------------------------------ */

static void
test_statuses(void)
{
	const struct
	{
		CourierOperation operation;
		int			http_status;
		const char *code;
		const char *region;
		CourierStatus status;
		const char *hint;		/* is in it; NULL: there is none */
	}			cases[] = {
		{COURIER_GET, 404, "NoSuchKey", "", COURIER_ABSENT, NULL},
		{COURIER_GET, 404, "", "", COURIER_ABSENT, NULL},
		{COURIER_HEAD, 404, "", "", COURIER_ABSENT, NULL},
		{COURIER_GET, 404, "NoSuchBucket", "", COURIER_MISCONFIGURED, "bucket"},
		{COURIER_PUT, 404, "NoSuchBucket", "", COURIER_MISCONFIGURED, "bucket"},
		{COURIER_PUT, 404, "", "", COURIER_MISCONFIGURED, "endpoint"},
		{COURIER_PUT, 404, "NoSuchUpload", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 405, "", "", COURIER_MISCONFIGURED, "endpoint"},
		{COURIER_PUT, 405, "MethodNotAllowed", "", COURIER_REFUSED, NULL},
		{COURIER_PUT, 501, "NotImplemented", "", COURIER_MISCONFIGURED, "checksum"},
		{COURIER_PUT, 403, "AccessDenied", "", COURIER_REFUSED, NULL},
		{COURIER_PUT, 403, "", "", COURIER_REFUSED, NULL},
		{COURIER_PUT, 401, "", "", COURIER_MISCONFIGURED, "user mapping"},
		{COURIER_PUT, 403, "InvalidAccessKeyId", "", COURIER_MISCONFIGURED, "user mapping"},
		{COURIER_PUT, 403, "SignatureDoesNotMatch", "", COURIER_MISCONFIGURED, "user mapping"},
		{COURIER_PUT, 403, "RequestTimeTooSkewed", "", COURIER_MISCONFIGURED, "clock"},
		{COURIER_PUT, 400, "ExpiredToken", "", COURIER_MISCONFIGURED, "session_token"},
		{COURIER_PUT, 400, "AuthorizationHeaderMalformed", "eu-west-3", COURIER_MISCONFIGURED, "\"eu-west-3\""},
		{COURIER_PUT, 400, "AuthorizationHeaderMalformed", "", COURIER_MISCONFIGURED, "region"},
		{COURIER_PUT, 301, "PermanentRedirect", "eu-west-3", COURIER_MISCONFIGURED, "\"eu-west-3\""},
		{COURIER_PUT, 301, "", "", COURIER_MISCONFIGURED, "endpoint"},
		{COURIER_HEAD, 301, "", "eu-west-3", COURIER_MISCONFIGURED, "\"eu-west-3\""},
		{COURIER_HEAD, 400, "", "eu-west-3", COURIER_MISCONFIGURED, "\"eu-west-3\""},
		{COURIER_PUT, 307, "TemporaryRedirect", "", COURIER_MISCONFIGURED, "region"},
		{COURIER_PUT, 400, "KMS.NotFoundException", "", COURIER_MISCONFIGURED, "kms_key_id"},
		{COURIER_PUT, 400, "EntityTooLarge", "", COURIER_REFUSED, NULL},
		{COURIER_PUT, 400, "InvalidRequest", "eu-west-3", COURIER_REFUSED, NULL},
		{COURIER_PUT, 400, "RequestTimeout", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 400, "BadDigest", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 408, "", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 409, "ConditionalRequestConflict", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 412, "PreconditionFailed", "", COURIER_EXISTS, NULL},
		{COURIER_PUT, 412, "", "", COURIER_EXISTS, NULL},
		{COURIER_GET, 412, "", "", COURIER_REFUSED, NULL},
		{COURIER_PUT, 429, "", "", COURIER_BUSY, NULL},
		{COURIER_PUT, 503, "SlowDown", "", COURIER_BUSY, NULL},
		{COURIER_PUT, 503, "", "", COURIER_BUSY, NULL},
		{COURIER_PUT, 507, "", "", COURIER_BUSY, NULL},
		{COURIER_PUT, 500, "InternalError", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 500, "", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 502, "", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 504, "", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 200, "InternalError", "", COURIER_RETRY, NULL},
		{COURIER_PUT, 200, "SlowDown", "", COURIER_BUSY, NULL},
		{COURIER_DELETE, 404, "NoSuchBucket", "", COURIER_MISCONFIGURED, "bucket"},
		{COURIER_LIST, 404, "NoSuchBucket", "", COURIER_MISCONFIGURED, "bucket"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		S3Outcome	outcome = {
			.operation = cases[i].operation,.http_status = cases[i].http_status,
			.code = cases[i].code,.region = cases[i].region,.message = "because\nso",.retry_after = 7
		};
		DriverResult result = {0};
		char		subject[100];

		snprintf(subject, sizeof(subject), "%d %s", cases[i].http_status, cases[i].code);
		check_subject = subject;
		driver_result_clear(&result);
		s3_explain(&outcome, &result);
		CHECK_EQUAL(result.status, cases[i].status);
		CHECK_EQUAL(result.http_status, cases[i].http_status);
		CHECK_STRING(result.code, cases[i].code);
		if (cases[i].status == COURIER_ABSENT)
			CHECK_STRING(result.message, "there is no such object");
		else
		{
			CHECK(strstr(result.message, "because?so") != NULL);
			CHECK_EQUAL(result.retry_after, 7);
		}
		if (cases[i].hint == NULL)
			CHECK_STRING(result.hint, "");
		else if (!CHECK(strstr(result.hint, cases[i].hint) != NULL))
			fprintf(stderr, "%s\n", result.hint);
	}
	check_subject = "";
}

static void
test_retry_after(void)
{
	const int64_t now = 1445412480;	/* Wed, 21 Oct 2015 07:28:00 GMT */

	CHECK_EQUAL(s3_retry_after("120", now), 120);
	CHECK_EQUAL(s3_retry_after("0", now), 0);
	CHECK_EQUAL(s3_retry_after("99999999999999999999", now), 86400);
	CHECK_EQUAL(s3_retry_after("Wed, 21 Oct 2015 07:28:30 GMT", now), 30);
	CHECK_EQUAL(s3_retry_after("Wed, 21 Oct 2015 07:27:30 GMT", now), 0);
	CHECK_EQUAL(s3_retry_after("Sun, 21 Oct 2035 07:27:30 GMT", now), 86400);
	CHECK_EQUAL(s3_retry_after("soon", now), -1);
	CHECK_EQUAL(s3_retry_after("", now), -1);
	CHECK_EQUAL(s3_retry_after("-5", now), -1);
}

/* --- XML ----------------------------------------------------------------- */

typedef struct Items
{
	int			count;
	char		keys[8][64];
	S3Item		last;
	char		etag[64];
} Items;

static void
take_item(void *context, const S3Item *item)
{
	Items	   *items = context;

	if (items->count < 8)
		snprintf(items->keys[items->count], sizeof(items->keys[0]), "%s", item->key);
	items->count++;
	items->last = *item;
	snprintf(items->etag, sizeof(items->etag), "%s", item->etag);
}

/* Reads it in pieces of a size; whether it was good to the end. */
static bool
read_answer(S3Answer *answer, const char *text, size_t piece, size_t most, Items *items)
{
	size_t		length = strlen(text);

	memset(items, 0, sizeof(*items));
	if (!CHECK(s3_answer_begin(answer, most, take_item, items)))
		return false;
	for (size_t at = 0; at < length; at += piece)
		if (!s3_answer_add(answer, (const uint8_t *) text + at, length - at < piece ? length - at : piece))
			return false;
	return s3_answer_end(answer);
}

static void
test_xml(void)
{
	static const char error[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt;b&gt; "
	"\xc3\xa9</Message><Region>eu-west-3</Region><Details><Code>Other</Code></Details></Error>";
	static const char list[] =
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><IsTruncated>true</IsTruncated>"
	"<Contents><Key>a/&amp;b.jpg</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
	"<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size><Owner><Key>no</Key></Owner></Contents>"
	"<Contents><Size>12</Size><Key>c</Key></Contents><Contents><Size>1</Size></Contents>"
	"<NextContinuationToken>1/x==</NextContinuationToken></ListBucketResult>";
	static const char *const bad[] = {
		"", "no XML", "<Error><Code>x</Code>", "<Error></Err>", "<a>\x01</a>", "<a>\xff</a>",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
		"<a>&b;</a>", "<html><body>x</body>", "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
	};
	S3Answer   *answer = s3_answer_new();
	char		text[12000];
	Items		items;

	for (size_t piece = 1; piece < 500; piece = piece * 2 + 1)
	{
		const S3Said *said = s3_answer_said(answer);

		CHECK(read_answer(answer, error, piece, 10000, &items));
		CHECK(s3_answer_end(answer));
		CHECK_STRING(said->root, "Error");
		CHECK_STRING(said->code, "NoSuchKey");
		CHECK_STRING(said->message, "a <b> \xc3\xa9");
		CHECK_STRING(said->region, "eu-west-3");
		CHECK_EQUAL(items.count, 0);

		CHECK(read_answer(answer, list, piece, 10000, &items));
		CHECK_STRING(said->root, "ListBucketResult");
		CHECK(said->truncated);
		CHECK_STRING(said->token, "1/x==");
		CHECK_STRING(said->code, "");
		CHECK_EQUAL(said->items, 3);
		CHECK_EQUAL(items.count, 2);
		CHECK_STRING(items.keys[0], "a/&b.jpg");
		CHECK_STRING(items.keys[1], "c");
		CHECK_EQUAL(items.last.bytes, 12);
		CHECK_EQUAL(items.last.modified, 0);
		CHECK_STRING(items.etag, "");
	}
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		check_subject = bad[i];
		CHECK(!read_answer(answer, bad[i], 7, 10000, &items));
		CHECK(!s3_answer_end(answer));
		CHECK(!s3_answer_add(answer, (const uint8_t *) "<a/>", 4));
	}
	check_subject = "limits";
	CHECK(read_answer(answer, error, 7, sizeof(error) - 1, &items));
	CHECK(!read_answer(answer, error, 7, sizeof(error) - 2, &items));

	/* a message is cut, a key is not */
	snprintf(text, sizeof(text), "<Error><Message>%0*d</Message><Code>x</Code></Error>", 9000, 0);
	CHECK(read_answer(answer, text, 1000, 20000, &items));
	CHECK_EQUAL(strlen(s3_answer_said(answer)->message), sizeof(s3_answer_said(answer)->message) - 1);
	CHECK_STRING(s3_answer_said(answer)->code, "x");
	snprintf(text, sizeof(text), "<ListBucketResult><Contents><Key>%0*d</Key></Contents></ListBucketResult>", 4096, 0);
	CHECK(read_answer(answer, text, 1000, 20000, &items));
	CHECK_EQUAL(items.count, 1);
	snprintf(text, sizeof(text), "<ListBucketResult><Contents><Key>%0*d</Key></Contents></ListBucketResult>", 4097, 0);
	CHECK(!read_answer(answer, text, 1000, 20000, &items));
	CHECK_EQUAL(items.count, 0);
	snprintf(text, sizeof(text), "<a><UploadId>%0*d</UploadId></a>", 1024, 0);
	CHECK(!read_answer(answer, text, 1000, 20000, &items));
	check_subject = "";
	s3_answer_free(answer);

	CHECK_EQUAL(s3_date("2009-10-12T17:50:30.000Z"), 1255369830);
	CHECK_EQUAL(s3_date("2009-10-12T17:50:30Z"), 1255369830);
	CHECK_EQUAL(s3_date("2009-13-12T17:50:30Z"), 0);
	CHECK_EQUAL(s3_date("yesterday"), 0);
	strcpy(text, "a+b%2Bc%C3%A9%");
	CHECK(s3_decode(text));
	CHECK_STRING(text, "a b+c\xc3\xa9%");
	strcpy(text, "a%00b");
	CHECK(!s3_decode(text));
}

/* --- addresses ----------------------------------------------------------- */

static const char *
kind_of(const char *text)
{
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};
	const char *kind;
	bool		known;

	if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
		kind = address_forbidden((struct sockaddr *) &ipv4, &known);
	else
	{
		CHECK(inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1);
		kind = address_forbidden((struct sockaddr *) &ipv6, &known);
	}
	CHECK(known);
	return kind;
}

static void
test_addresses(void)
{
	static const char *const bad[] = {
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
		"127.255.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "198.18.0.1",
		"224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "fc00::1",
		"fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:0001::", "2002:0a00:0001::1", "::ffff:0:127.0.0.1",
	};
	static const char *const good[] = {
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1", "128.0.0.1",
		"169.253.0.1", "169.255.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "192.169.0.1", "223.255.255.1",
		"52.216.0.1", "2600:1fa0::1", "2001:4860:4860::8888", "::ffff:1.1.1.1", "64:ff9b::8.8.8.8",
		"2002:0808:0808::1", "fbff::1",
	};
	struct sockaddr other = {.sa_family = AF_UNIX};
	bool		known;

	for (size_t i = 0; i < COUNT(bad); i++)
	{
		check_subject = bad[i];
		CHECK(kind_of(bad[i]) != NULL);
	}
	for (size_t i = 0; i < COUNT(good); i++)
	{
		check_subject = good[i];
		CHECK_STRING(kind_of(good[i]), NULL);
	}
	check_subject = "";
	CHECK(address_forbidden(&other, &known) == NULL && !known);
}

/* --- fields and results -------------------------------------------------- */

static void
test_fields(void)
{
	static const char text[] = "type\0s3\0prefix\0\0connect_timeout\0002500\0stall_timeout\0x";
	DriverFields fields;
	DriverResult result = {0};
	char		many[COURIER_TEXT_MOST];
	char		cut[6];

	CHECK(driver_fields_read(text, sizeof(text), &fields));
	CHECK_EQUAL(fields.count, 4);
	CHECK_STRING(driver_field(&fields, "type"), "s3");
	CHECK_STRING(driver_field(&fields, "prefix"), "");
	CHECK_STRING(driver_field(&fields, "bucket"), NULL);
	CHECK_EQUAL(driver_milliseconds(&fields, "connect_timeout"), 2500);
	CHECK_EQUAL(driver_milliseconds(&fields, "stall_timeout"), 0);
	CHECK(driver_fields_read("", 0, &fields) && fields.count == 0);
	CHECK(!driver_fields_read("a", 2, &fields));
	CHECK(!driver_fields_read("a\0b", 3, &fields));
	CHECK(!driver_fields_read("\0b", 3, &fields));
	CHECK(!driver_fields_read("a\0\xff", 4, &fields));
	memset(many, 'a', sizeof(many));
	for (size_t i = 1; i < sizeof(many); i += 2)
		many[i] = '\0';
	CHECK(driver_fields_read(many, 4 * DRIVER_FIELDS_MOST, &fields));
	CHECK(!driver_fields_read(many, 4 * DRIVER_FIELDS_MOST + 4, &fields));

	driver_copy(cut, sizeof(cut), "\xc3\xa9\xc3\xa9\xc3\xa9");
	CHECK_STRING(cut, "\xc3\xa9\xc3\xa9");
	driver_copy(cut, sizeof(cut), "a\n\xff\x7f" "b");
	CHECK_STRING(cut, "a???b");
	for (int i = 0; i < 100; i++)
	{
		snprintf(many, sizeof(many), "%01000d", i);
		driver_result_meta(&result, "name", many);
	}
	CHECK(result.meta.length > 0 && result.meta.length <= DRIVER_META_MOST && !result.meta.failed);
	store_text_drop(&result.meta);
}

/* --- what is withheld ---------------------------------------------------- */

/* A host with the bytes at hand, some at a time. */
static const char content[] = "Welcome to Amazon S3.";
static size_t at;
static bool there = true;
static bool gone;

static const uint8_t *
peek(DriverTransfer *transfer, size_t *length, bool *failed)
{
	(void) transfer;
	*failed = gone;
	if (gone || !there)
		return NULL;
	*length = strlen(content) - at < 8 ? strlen(content) - at : 8;
	return (const uint8_t *) content + at;
}

static void
advance(DriverTransfer *transfer, size_t length)
{
	(void) transfer;
	at += length;
}

/* How many bytes come before it stops; negative if it does not. */
static ssize_t
send_body(DriverBody *body, DriverTransfer *transfer)
{
	char		bytes[5];
	ssize_t		sent = 0;
	ssize_t		length;

	at = 0;
	driver_body_begin(body);
	while ((length = driver_body_read(body, transfer, bytes, sizeof(bytes))) > 0)
		sent += length;
	return length == 0 ? -sent - 1 : sent;
}

static void
test_body(void)
{
	const DriverHost host = {.peek = peek,.advance = advance};
	DriverTransfer transfer = {
		.host = &host,.length = strlen(content),
		.sha256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
	};
	DriverBody	body = {0};
	DriverResult result = {0};
	char		byte;

	CHECK_EQUAL(send_body(&body, &transfer), -(ssize_t) strlen(content) - 1);
	CHECK_EQUAL(send_body(&body, &transfer), -(ssize_t) strlen(content) - 1);
	CHECK(!body.wrong && !body.broken);
	transfer.sha256 = "54ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	CHECK(send_body(&body, &transfer) < (ssize_t) strlen(content));
	CHECK(body.wrong && !body.broken);
	driver_body_fail(&body, &result);
	CHECK_EQUAL(result.status, COURIER_CHANGED);
	gone = true;
	CHECK_EQUAL(send_body(&body, &transfer), 0);
	CHECK(body.wrong);
	gone = false;
	there = false;
	driver_body_begin(&body);
	CHECK_EQUAL(driver_body_read(&body, &transfer, &byte, 1), DRIVER_BODY_LATER);
	CHECK(!body.wrong);
	transfer.length = 0;
	CHECK_EQUAL(send_body(&body, &transfer), 0);
	CHECK(body.wrong);
	transfer.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	CHECK_EQUAL(send_body(&body, &transfer), -1);
	driver_body_free(&body);
}

int
main(void)
{
	test_statuses();
	test_retry_after();
	test_xml();
	test_addresses();
	test_fields();
	test_body();
	return check_report();
}
