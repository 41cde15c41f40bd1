/*-------------------------------------------------------------------------
 *
 * test_store.c
 *	  The store room: signatures, URLs, descriptions of buckets, keys and
 *	  their templates.
 *
 * The signatures are those that AWS publishes, and of requests for which it
 * publishes none, what botocore 1.43 computes.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "../../src/store/parts.h"
#include "check.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* 20130524T000000Z, the day of AWS's examples */
#define THEN			1369353600
#define EMPTY			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME			"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define TOKEN			"FwoGZXIvYXdzEXAMPLE//+token=="
#define ODD				"media/../a b+c%d//\xc3\xa9=:@~*'(.jpg"
#define ODD_ENCODED		"media/../a%20b%2Bc%25d//%C3%A9%3D%3A%40~%2A%27%28.jpg"

static const StoreCredentials aws = {
	.access_key_id = "AKIAIOSFODNN7EXAMPLE",
	.secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
};

static const StoreCredentials session = {
	.access_key_id = "AKIAIOSFODNN7EXAMPLE",
	.secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.session_token = TOKEN
};

static const StoreBucket example = {
	.endpoint = "https://s3.amazonaws.com", .region = "us-east-1", .bucket = "examplebucket"
};

/* Whether text ends so; shows it if not. */
static bool
check_end(const char *text, const char *ending)
{
	size_t		length = text != NULL ? strlen(text) : 0;

	return CHECK_STRING(length >= strlen(ending) ? text + length - strlen(ending) : text, ending);
}

/* --- in a header --------------------------------------------------------- */

static void
test_headers(void)
{
	const struct
	{
		const char *subject;
		const StoreCredentials *credentials;
		const char *region;
		StoreRequest request;
		const char *query;
		const char *signature;
	}			cases[] = {
		{"AWS: GET object", &aws, "us-east-1",
			{.method = "GET", .host = "examplebucket.s3.amazonaws.com", .path = "/test.txt",
				.headers = (const StoreField[]) {{"Range", "bytes=0-9"}}, .header_count = 1},
			"",
			"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"AWS: PUT object", &aws, "us-east-1",
			{.method = "PUT", .host = "examplebucket.s3.amazonaws.com", .path = "/test%24file.text",
				.headers = (const StoreField[]) {
					{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
					{"x-amz-storage-class", "REDUCED_REDUNDANCY"}
				}, .header_count = 2, .payload_sha256 = WELCOME},
			"",
			"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
		"Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"AWS: GET bucket lifecycle", &aws, "us-east-1",
			{.method = "GET", .host = "examplebucket.s3.amazonaws.com", .path = "/",
				.query = (const StoreField[]) {{"lifecycle", NULL}}, .query_count = 1},
			"lifecycle=",
			"Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"AWS: list objects", &aws, "us-east-1",
			{.method = "GET", .host = "examplebucket.s3.amazonaws.com", .path = "/",
				.query = (const StoreField[]) {{"prefix", "J"}, {"max-keys", "2"}}, .query_count = 2},
			"max-keys=2&prefix=J",
			"Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
		{"botocore: an odd key, a token, headers to trim and to leave out", &session, "auto",
			{.method = "PUT", .host = "127.0.0.1:9000", .path = "/bucket/" ODD_ENCODED,
				.headers = (const StoreField[]) {
					{"x-amz-meta-a-b", "3"}, {"X-Amz-Meta-A", "\tone \t two "},
					{"User-Agent", "x"}, {"Expect", ""}, {"Content-Type", "image/webp"}
				}, .header_count = 5, .payload_sha256 = WELCOME},
			"",
			"SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;"
			"x-amz-meta-a-b;x-amz-security-token, "
		"Signature=dfa305dd33158ca29c492fe2a0285cb1654b78a1dff3211a39661e5542133cb9"},
		{"botocore: a query to encode", &aws, "auto",
			{.method = "GET", .host = "bucket.example.org", .path = "/",
				.query = (const StoreField[]) {
					{"prefix", "a b/\xc3\xa9+"}, {"list-type", "2"}, {"continuation-token", "1/x=="}
				}, .query_count = 3},
			"continuation-token=1%2Fx%3D%3D&list-type=2&prefix=a%20b%2F%C3%A9%2B",
			"Signature=5e6b8e40435a179c7b90ca56725504112d62ff2eb7837455f1132c39d203a52d"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		StoreRequest request = cases[i].request;
		StoreSignature signature;
		StoreError	error;

		check_subject = cases[i].subject;
		request.at = THEN;
		if (!CHECK(store_sign(cases[i].credentials, cases[i].region, &request, &signature, &error)))
		{
			fprintf(stderr, "%s\n", error.message);
			continue;
		}
		check_end(signature.authorization, cases[i].signature);
		CHECK(strncmp(signature.authorization,
					  "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/", 58) == 0);
		CHECK_STRING(signature.query, cases[i].query);
		CHECK_STRING(signature.date, "20130524T000000Z");
		CHECK_STRING(signature.payload,
					 request.payload_sha256 != NULL ? request.payload_sha256 : EMPTY);
		store_signature_free(&signature);
		CHECK(signature.authorization == NULL && signature.query == NULL);
	}
	check_subject = "";
}

/* A request that is good, changed in one thing each. */
static void
test_bad_requests(void)
{
	static const StoreField bad_headers[][2] = {
		{{"", "x"}}, {{"a b", "x"}}, {{"a:", "x"}}, {{NULL, "x"}}, {{"a", "x\r\nb: c"}},
		{{"a", "\xc3\xa9"}}, {{"a", "\x7f"}}, {{"Host", "x"}}, {{"X-Amz-Date", "x"}},
		{{"authorization", "x"}}, {{"x-amz-security-token", "x"}}, {{"x-amz-content-sha256", "x"}},
		{{"a", "1"}, {"A", "2"}},
	};
	static const StoreField bad_parameters[] = {
		{"", "x"}, {NULL, "x"}, {"a\n", "x"}, {"a", "\xff"}, {"X-Amz-Signature", "x"},
		{"x-amz-expires", "1"},
	};
	static const StoreCredentials bad_credentials[] = {
		{NULL, "secret", NULL}, {"", "secret", NULL}, {"a/b", "secret", NULL}, {"a b", "secret", NULL},
		{"a,b", "secret", NULL}, {"id", NULL, NULL}, {"id", "", NULL}, {"id", "secret\n", NULL},
		{"id", "secret", ""}, {"id", "secret", "to\r\nken"},
	};
	static const StoreRequest good = {
		.method = "GET", .host = "h", .path = "/p", .at = THEN
	};
	StoreRequest bad[12];
	StoreSignature signature;
	StoreError	error;
	char		long_secret[1100];
	StoreCredentials long_credentials = {"id", long_secret, NULL};

	for (size_t i = 0; i < COUNT(bad); i++)
		bad[i] = good;
	bad[0].method = "get";
	bad[1].method = NULL;
	bad[2].host = "";
	bad[3].host = "a b";
	bad[4].host = "u@h";
	bad[5].path = "p";
	bad[6].path = "/a b";
	bad[7].path = "/%2";
	bad[8].path = "/p?x";
	bad[9].at = -1;
	bad[10].at = INT64_MAX;
	bad[11].payload_sha256 = "44CE7DD67C959E0D3524FFAC1771DFBBA87D2B6B4B4E99E42034A8B803F8B072";

	CHECK(store_sign(&aws, "r", &good, &signature, &error));
	store_signature_free(&signature);
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		CHECK(!store_sign(&aws, "r", &bad[i], &signature, &error));
		CHECK_EQUAL(error.status, STORE_BAD_REQUEST);
		CHECK(signature.authorization == NULL && signature.query == NULL);
	}
	for (size_t i = 0; i < COUNT(bad_headers); i++)
	{
		StoreRequest request = good;

		request.headers = bad_headers[i];
		request.header_count = bad_headers[i][1].name != NULL ? 2 : 1;
		CHECK(!store_sign(&aws, "r", &request, &signature, &error));
		CHECK_EQUAL(error.status, STORE_BAD_REQUEST);
	}
	for (size_t i = 0; i < COUNT(bad_parameters); i++)
	{
		StoreRequest request = good;

		request.query = &bad_parameters[i];
		request.query_count = 1;
		CHECK(!store_sign(&aws, "r", &request, &signature, &error));
		CHECK_EQUAL(error.status, STORE_BAD_REQUEST);
	}
	for (size_t i = 0; i < COUNT(bad_credentials); i++)
	{
		CHECK(!store_sign(&bad_credentials[i], "r", &good, &signature, &error));
		CHECK_EQUAL(error.status, STORE_BAD_REQUEST);
		CHECK(strchr(error.message, '\n') == NULL);
	}
	memset(long_secret, 's', sizeof(long_secret));
	long_secret[1024] = '\0';
	CHECK(store_sign(&long_credentials, "r", &good, &signature, &error));
	store_signature_free(&signature);
	long_secret[1024] = 's';
	long_secret[1025] = '\0';
	CHECK(!store_sign(&long_credentials, "r", &good, &signature, &error));
	CHECK(strstr(error.message, "sss") == NULL);

	CHECK(!store_sign(&aws, "", &good, &signature, &error));
	CHECK(!store_sign(&aws, "a/b", &good, &signature, &error));
	CHECK(!store_sign(&aws, NULL, &good, &signature, &error));
}

static void
test_most_fields(void)
{
	StoreField	fields[STORE_MOST_FIELDS + 1];
	char		names[STORE_MOST_FIELDS + 1][8];
	StoreRequest request = {
		.method = "GET", .host = "h", .path = "/p", .at = THEN, .headers = fields,
		.header_count = STORE_MOST_FIELDS, .query = fields, .query_count = STORE_MOST_FIELDS
	};
	StorePresign presign = {
		.method = "GET", .key = "k", .at = THEN, .expires = 60, .headers = fields,
		.header_count = STORE_MOST_FIELDS, .query = fields, .query_count = STORE_MOST_FIELDS
	};
	StoreSignature signature;
	StoreError	error;
	char	   *url;

	for (size_t i = 0; i < COUNT(fields); i++)
	{
		snprintf(names[i], sizeof(names[i]), "f%zu", i);
		fields[i] = (StoreField) {names[i], "v"};
	}
	CHECK(store_sign(&session, "r", &request, &signature, &error));
	store_signature_free(&signature);
	url = store_presign(&example, &session, &presign, &error);
	CHECK(url != NULL);
	free(url);
	request.query_count++;
	CHECK(!store_sign(&session, "r", &request, &signature, &error));
	request.query_count = 0;
	request.header_count++;
	CHECK(!store_sign(&session, "r", &request, &signature, &error));
	presign.query_count = -1;
	CHECK(store_presign(&example, &session, &presign, &error) == NULL);
}

/* --- in an URL ----------------------------------------------------------- */

static void
test_presign(void)
{
	static const StoreBucket supabase = {
		.endpoint = "http://localhost:9000/storage/v1/s3/", .region = "local", .bucket = "my_bucket",
		.prefix = "media/"
	};
	static const StoreBucket frankfurt = {.region = "eu-central-1", .bucket = "examplebucket"};
	const struct
	{
		const char *subject;
		const StoreBucket *bucket;
		const StoreCredentials *credentials;
		StorePresign presign;
		const char *url;
	}			cases[] = {
		{"AWS: presigned GET", &example, &aws, {.method = "GET", .key = "test.txt", .expires = 86400},
			"https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
			"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
		{"botocore: base path, port, token, an odd key", &supabase, &session,
			{.method = "GET", .key = "../a b+c%d//\xc3\xa9=:@~*'(.jpg", .expires = 900},
			"http://localhost:9000/storage/v1/s3/my_bucket/" ODD_ENCODED
			"?X-Amz-Algorithm=AWS4-HMAC-SHA256"
			"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Flocal%2Fs3%2Faws4_request"
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=900"
			"&X-Amz-Security-Token=FwoGZXIvYXdzEXAMPLE%2F%2F%2Btoken%3D%3D&X-Amz-SignedHeaders=host"
		"&X-Amz-Signature=60902f6bc49c6fd6525f27d046b90875d0df81e8ec2ce11e4ce606a5208c3c79"},
		{"botocore: PUT with headers, a leading slash", &frankfurt, &aws,
			{.method = "PUT", .key = "/lead", .expires = 172800, .headers = (const StoreField[]) {
					{"x-amz-meta-a-b", "3"}, {"X-Amz-Meta-A", "  one   two "},
					{"Content-Type", "image/webp"}
				}, .header_count = 3},
			"https://examplebucket.s3.eu-central-1.amazonaws.com//lead?X-Amz-Algorithm=AWS4-HMAC-SHA256"
			"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Feu-central-1%2Fs3%2Faws4_request"
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=172800"
			"&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-meta-a%3Bx-amz-meta-a-b"
		"&X-Amz-Signature=f5de72ccf0ff82dcc5d82c5a5d513990c038b39220e8cd878f9d00b0f0e38b51"},
		{"botocore: more parameters, out of order", &example, &aws,
			{.method = "GET", .key = "test.txt", .expires = 2, .query = (const StoreField[]) {
					{"response-content-type", "image/webp"}, {"a-", "2"}, {"a", NULL}, {"A", "1"},
					{"response-content-disposition", "attachment; filename=\"a b.webp\""}
				}, .query_count = 5},
			"https://examplebucket.s3.amazonaws.com/test.txt?A=1&X-Amz-Algorithm=AWS4-HMAC-SHA256"
			"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=2&X-Amz-SignedHeaders=host&a=&a-=2"
			"&response-content-disposition=attachment%3B%20filename%3D%22a%20b.webp%22"
			"&response-content-type=image%2Fwebp"
		"&X-Amz-Signature=41e97962e03320157e23c3a35fa5c10fc1bbc2c0b1188b06d834dc45d31c4a15"},
	};
	StoreError	error;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		StorePresign presign = cases[i].presign;
		int64_t		half = presign.expires / 2;
		char	   *url;

		check_subject = cases[i].subject;
		presign.at = THEN;
		url = store_presign(cases[i].bucket, cases[i].credentials, &presign, &error);
		CHECK_STRING(url, cases[i].url);
		free(url);

		/* the same until half the time is over */
		presign.at = THEN + half - 1;
		url = store_presign(cases[i].bucket, cases[i].credentials, &presign, &error);
		CHECK_STRING(url, cases[i].url);
		free(url);
		presign.at = THEN + half;
		url = store_presign(cases[i].bucket, cases[i].credentials, &presign, &error);
		CHECK(url != NULL && strcmp(url, cases[i].url) != 0);
		free(url);
		presign.at = THEN - 1;
		url = store_presign(cases[i].bucket, cases[i].credentials, &presign, &error);
		CHECK(url != NULL && strcmp(url, cases[i].url) != 0);
		free(url);
	}
	check_subject = "";
}

static void
test_bad_presigns(void)
{
	static const StoreField user_agent = {"User-Agent", "x"};
	static const StoreField signature = {"X-Amz-Signature", "x"};
	static const struct
	{
		StorePresign presign;
		StoreStatus status;
	}			cases[] = {
		{{.method = "POST", .key = "k", .expires = 60}, STORE_BAD_REQUEST},
		{{.method = NULL, .key = "k", .expires = 60}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 0}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = -1}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 604801}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = INT64_MAX}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 60, .at = -1}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 60, .at = INT64_MIN}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 60, .at = INT64_MAX}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 60, .headers = &user_agent, .header_count = 1},
		STORE_BAD_REQUEST},
		{{.method = "GET", .key = "k", .expires = 60, .query = &signature, .query_count = 1},
		STORE_BAD_REQUEST},
		{{.method = "GET", .key = NULL, .expires = 60}, STORE_BAD_REQUEST},
		{{.method = "GET", .key = "", .expires = 60}, STORE_BAD_KEY},
		{{.method = "GET", .key = "a\nb", .expires = 60}, STORE_BAD_KEY},
	};
	static const StorePresign shortest = {.method = "HEAD", .key = "k", .expires = 1, .at = 0};
	static const StorePresign longest = {
		.method = "DELETE", .key = "k", .expires = STORE_MOST_EXPIRES, .at = THEN
	};
	StoreError	error;
	char	   *url;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		CHECK(store_presign(&example, &aws, &cases[i].presign, &error) == NULL);
		CHECK_EQUAL(error.status, cases[i].status);
	}
	url = store_presign(&example, &aws, &shortest, &error);
	CHECK(url != NULL && strstr(url, "X-Amz-Date=19700101T000000Z&X-Amz-Expires=1&") != NULL);
	free(url);
	url = store_presign(&example, &aws, &longest, &error);
	CHECK(url != NULL && strstr(url, "&X-Amz-Expires=604800&") != NULL);
	free(url);
}

/* --- buckets ------------------------------------------------------------- */

static void
test_addresses(void)
{
	static const struct
	{
		StoreBucket bucket;
		const char *key;
		const char *url;
		const char *host;
		const char *path;
	}			cases[] = {
		{{NULL, "eu-west-1", "photos", NULL, STORE_STYLE_AUTO, NULL}, "a/b.webp",
			"https://photos.s3.eu-west-1.amazonaws.com/a/b.webp", "photos.s3.eu-west-1.amazonaws.com",
		"/a/b.webp"},
		{{NULL, "eu-west-1", "photos", NULL, STORE_STYLE_PATH, NULL}, "a",
			"https://s3.eu-west-1.amazonaws.com/photos/a", "s3.eu-west-1.amazonaws.com", "/photos/a"},
		{{NULL, "cn-north-1", "photos", NULL, STORE_STYLE_AUTO, NULL}, "a",
			"https://photos.s3.cn-north-1.amazonaws.com.cn/a", "photos.s3.cn-north-1.amazonaws.com.cn",
		"/a"},
		/* a dot is not covered by the certificate */
		{{NULL, "eu-west-1", "pho.tos", NULL, STORE_STYLE_AUTO, NULL}, "a",
			"https://s3.eu-west-1.amazonaws.com/pho.tos/a", "s3.eu-west-1.amazonaws.com", "/pho.tos/a"},
		{{NULL, "eu-west-1", "photos", NULL, STORE_STYLE_AUTO, NULL}, NULL,
			"https://photos.s3.eu-west-1.amazonaws.com/", "photos.s3.eu-west-1.amazonaws.com", "/"},
		{{"http://127.0.0.1:7480", NULL, "Photos_1", "m/", STORE_STYLE_AUTO, NULL}, "/a",
			"http://127.0.0.1:7480/Photos_1/m//a", "127.0.0.1:7480", "/Photos_1/m//a"},
		{{"http://127.0.0.1:7480", NULL, "photos", "m/", STORE_STYLE_AUTO, NULL}, NULL,
			"http://127.0.0.1:7480/photos", "127.0.0.1:7480", "/photos"},
		{{"HTTPS://Example.ORG:443/", "auto", "photos", NULL, STORE_STYLE_AUTO, NULL}, "a",
			"https://example.org/photos/a", "example.org", "/photos/a"},
		{{"http://example.org:80", "auto", "photos", NULL, STORE_STYLE_VIRTUAL, NULL}, "a",
			"http://photos.example.org/a", "photos.example.org", "/a"},
		{{"http://example.org:443/b/c", "auto", "photos", NULL, STORE_STYLE_VIRTUAL, NULL}, "a?b#c",
			"http://photos.example.org:443/b/c/a%3Fb%23c", "photos.example.org:443", "/b/c/a%3Fb%23c"},
		{{"https://[2001:DB8::1]:9000", NULL, "photos", NULL, STORE_STYLE_AUTO, NULL}, "..",
			"https://[2001:db8::1]:9000/photos/..", "[2001:db8::1]:9000", "/photos/.."},
		{{"https://ref.storage.supabase.co/storage/v1/s3", "eu-west-1", "photos", NULL, STORE_STYLE_AUTO, NULL},
			ODD, "https://ref.storage.supabase.co/storage/v1/s3/photos/" ODD_ENCODED,
		"ref.storage.supabase.co", "/storage/v1/s3/photos/" ODD_ENCODED},
	};
	StoreError	error;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		StoreAddress address;
		char	   *url;

		check_subject = cases[i].url;
		if (!CHECK(store_address(&cases[i].bucket, cases[i].key, &address, &error)))
		{
			fprintf(stderr, "%s\n", error.message);
			continue;
		}
		CHECK_STRING(address.url, cases[i].url);
		CHECK_STRING(address.host, cases[i].host);
		CHECK_STRING(address.path, cases[i].path);
		store_address_free(&address);
		if (cases[i].key != NULL)
		{
			url = store_public_url(&cases[i].bucket, cases[i].key, &error);
			CHECK_STRING(url, cases[i].url);
			free(url);
		}
	}
	check_subject = "";
}

static void
test_public_urls(void)
{
	static const struct
	{
		const char *base;
		const char *url;
	}			cases[] = {
		{"https://cdn.example.com", "https://cdn.example.com/m/a%20b"},
		{"https://cdn.example.com///", "https://cdn.example.com/m/a%20b"},
		{"http://CDN.example.com:8080/x%20y/@z/", "http://cdn.example.com:8080/x%20y/@z/m/a%20b"},
	};
	StoreBucket bucket = {.region = "eu-west-1", .bucket = "photos", .prefix = "m/"};
	StoreError	error;
	char	   *url;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		bucket.public_url = cases[i].base;
		url = store_public_url(&bucket, "a b", &error);
		CHECK_STRING(url, cases[i].url);
		free(url);
		url = store_object_url(&bucket, "a b", &error);
		CHECK_STRING(url, "https://photos.s3.eu-west-1.amazonaws.com/m/a%20b");
		free(url);
	}
	CHECK(store_public_url(&bucket, "a\x01", &error) == NULL);
	CHECK_EQUAL(error.status, STORE_BAD_KEY);
	CHECK(store_public_url(&bucket, NULL, &error) == NULL);
}

static void
test_buckets(void)
{
	static const struct
	{
		StoreBucket bucket;
		const char *option;		/* that is wrong; NULL: none */
	}			cases[] = {
		{{NULL, "eu-west-1", "abc", NULL, STORE_STYLE_AUTO, NULL}, NULL},
		{{NULL, "eu-west-1", NULL, NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "ab", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "Abc", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "a_c", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "-bc", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "ab.", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "a..b", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "192.168.5.4", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "a/b", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{NULL, "eu-west-1", "123456789012345678901234567890123456789012345678901234567890abc", NULL, STORE_STYLE_AUTO, NULL}, NULL},
		{{NULL, "eu-west-1", "123456789012345678901234567890123456789012345678901234567890abcd", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{"http://h", NULL, "A_b", NULL, STORE_STYLE_AUTO, NULL}, NULL},
		{{"http://h", NULL, "A_b", NULL, STORE_STYLE_VIRTUAL, NULL}, "bucket"},
		{{"http://h", NULL, "..", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		{{"http://h", NULL, "a/b", NULL, STORE_STYLE_AUTO, NULL}, "bucket"},
		/* regions */
		{{NULL, NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		{{NULL, "auto", "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		{{"https://s3.amazonaws.com", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		{{NULL, "eu west", "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		{{NULL, "", "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		{{"http://h", "a/b", "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		{{"http://h", "a.evil.org", "abc", NULL, STORE_STYLE_AUTO, NULL}, "region"},
		/* prefixes */
		{{"http://h", NULL, "abc", "a/../b c/", STORE_STYLE_AUTO, NULL}, NULL},
		{{"http://h", NULL, "abc", "a\tb", STORE_STYLE_AUTO, NULL}, "prefix"},
		{{"http://h", NULL, "abc", "\xc3", STORE_STYLE_AUTO, NULL}, "prefix"},
		/* endpoints */
		{{"", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"example.org", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"ftp://example.org", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"file:///etc", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https:///p", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://u:hunter2@h", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://hunter2@h/", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h/?hunter2", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h#hunter2", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h:", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h:0", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h:65535", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, NULL},
		{{"https://h:65536", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h:99999999999999999999", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h:80x", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://a..b", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://.b", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h\r\nx", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://b\xc3\xa4r", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://[::1", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://[]", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://[::1]", NULL, "abc", NULL, STORE_STYLE_VIRTUAL, NULL}, "endpoint"},
		{{"https://10.0.0.1", NULL, "abc", NULL, STORE_STYLE_VIRTUAL, NULL}, "endpoint"},
		{{"https://h/a//b", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h/../b", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h/.", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h/a%20b", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		{{"https://h/a b", NULL, "abc", NULL, STORE_STYLE_AUTO, NULL}, "endpoint"},
		/* public URLs */
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "https://cdn/a%20b"}, NULL},
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "cdn.example.com"}, "public_url"},
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "javascript:alert(1)"}, "public_url"},
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "https://cdn/%zz"}, "public_url"},
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "https://cdn/?v=hunter2"}, "public_url"},
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "https://u:hunter2@cdn"}, "public_url"},
		{{"http://h", NULL, "abc", NULL, STORE_STYLE_AUTO, "https://cdn/\"><b>"}, "public_url"},
	};
	StoreBucket bucket = {.bucket = "abc"};
	char		text[1200];
	StoreError	error;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		bool		good = store_bucket_check(&cases[i].bucket, &error);

		snprintf(text, sizeof(text), "bucket %zu", i);
		check_subject = text;
		CHECK_EQUAL(good, cases[i].option == NULL);
		CHECK_STRING(error.option, cases[i].option);
		CHECK_EQUAL(error.status, good ? STORE_OK : STORE_BAD_BUCKET);
		CHECK_EQUAL(error.message[0] == '\0', good);
		CHECK(strstr(error.message, "hunter2") == NULL && strstr(error.hint, "hunter2") == NULL);
	}
	check_subject = "";

	CHECK_STRING(store_region(&bucket), "us-east-1");
	bucket.region = "auto";
	CHECK_STRING(store_region(&bucket), "auto");

	/* a host and an endpoint of any length */
	for (size_t length = 1; length < sizeof(text) - 1; length++)
	{
		memset(text, 'a', sizeof(text));
		memcpy(text, "https://", 8);
		for (size_t i = 8 + 60; i < length; i += 61)
			text[i] = i < 200 ? '.' : '/';
		text[length] = '\0';
		bucket.endpoint = text;
		CHECK_EQUAL(store_bucket_check(&bucket, &error),
					length > 8 && length <= 512 && text[length - 1] != '.');
	}
}

/* --- keys ---------------------------------------------------------------- */

static void
test_keys(void)
{
	static const struct
	{
		const char *prefix;
		const char *key;
		bool		good;		/* for S3 */
		bool		path;		/* for files, too */
		bool		dots;		/* not for URLs that others follow */
	}			cases[] = {
		{NULL, "a", true, true, false},
		{NULL, "a/b/c.webp", true, true, false},
		{NULL, "a b+c%d \xf0\x9f\x8c\xb3", true, true, false},
		{NULL, "...", true, true, false},
		{NULL, "..a/.b", true, true, false},
		{NULL, "/a", true, false, false},
		{NULL, "a/", true, false, false},
		{NULL, "a//b", true, false, false},
		{NULL, "/", true, false, false},
		{NULL, ".", true, false, true},
		{NULL, "..", true, false, true},
		{NULL, "../a", true, false, true},
		{NULL, "a/../b", true, false, true},
		{NULL, "a/./b", true, false, true},
		{NULL, "a/..", true, false, true},
		{NULL, "/.", true, false, true},
		{NULL, "a/./", true, false, true},
		{"m/.", "./a", true, false, true},
		{"m/.", ".a", true, true, false},
		{"m/", "a", true, true, false},
		{"m", "a", true, true, false},
		{"m/", "/a", true, false, false},
		{".", ".", true, false, true},
		{"../", "a", true, false, true},
		{"", "a", true, true, false},
		{NULL, NULL, false, false, false},
		{NULL, "", false, false, false},
		{"m/", "", false, false, false},
		{NULL, "a\nb", false, false, false},
		{NULL, "a\x7f", false, false, false},
		{NULL, "a\xc2\x85", false, false, false},	/* C1 */
		{NULL, "a\xc2\xa0", true, true, false},
		{NULL, "a\xff", false, false, false},
		{NULL, "a\xc3", false, false, false},
		{NULL, "\xc0\xaf", false, false, false},	/* an overlong slash */
		{NULL, "\xed\xa0\x80", false, false, false},	/* a surrogate */
		{NULL, "\xf4\x90\x80\x80", false, false, false},
		{"\n", "a", false, false, false},
	};
	char		text[STORE_KEY_MOST + 2];
	StoreError	error;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		snprintf(text, sizeof(text), "key %zu", i);
		check_subject = text;
		CHECK_EQUAL(store_key_check(cases[i].prefix, cases[i].key, false, &error), cases[i].good);
		CHECK_EQUAL(error.status, cases[i].good ? STORE_OK : STORE_BAD_KEY);
		CHECK_EQUAL(store_key_check(cases[i].prefix, cases[i].key, true, &error), cases[i].path);
		if (cases[i].good)
			CHECK_EQUAL(store_key_has_dots(cases[i].prefix, cases[i].key), cases[i].dots);
	}
	check_subject = "";

	memset(text, 'a', sizeof(text));
	text[STORE_KEY_MOST] = '\0';
	CHECK(store_key_check(NULL, text, false, &error));
	CHECK(!store_key_check(NULL, text, true, &error));
	CHECK(!store_key_check("p", text, false, &error));
	for (int i = 255; i < STORE_KEY_MOST; i += 256)
		text[i] = '/';
	text[STORE_KEY_MOST - 1] = '\0';
	CHECK(store_key_check(NULL, text, true, &error));
	CHECK(store_key_check("p", text + 1, true, &error));
	CHECK(!store_key_check("p", text, true, &error));
}

static void
test_templates(void)
{
	static const struct
	{
		const char *text;
		unsigned	names;
		const char *key;
	}			good[] = {
		{"{sha256}", STORE_KEY_SHA256, EMPTY},
		{"{sha256}.{ext}", STORE_KEY_SHA256 | STORE_KEY_EXT, EMPTY ".webp"},
		{"{table}/{column}/{pk}/{index}", STORE_KEY_TABLE | STORE_KEY_COLUMN | STORE_KEY_PK | STORE_KEY_INDEX,
		"public.photos/data/42/7"},
		{"{uuid}-{uuid}", STORE_KEY_UUID,
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8-6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{"{date}/{timestamp}", STORE_KEY_DATE | STORE_KEY_TIMESTAMP, "2013-05-24/20130524T000000Z"},
		{"fixed", 0, "fixed"},
		{"a b/\xc3\xa9%+{pk}.x", STORE_KEY_PK, "a b/\xc3\xa9%+42.x"},
	};
	static const char *const bad[] = {
		"", "{", "}", "{}", "{{pk}}", "{pk", "pk}", "{pk}}", "{ pk}", "{PK}", "{name}", "{pk.x}",
		"{pk}/", "/{pk}", "a//{pk}", "../{pk}", "a/./{pk}", "{pk}\n", "\xff{pk}", "{sha256}{sha256}{sha256}{sha256}",
	};
	static const char *const pk[] = {"42"};
	StoreKeyValues values = {
		.table = "public.photos", .column = "data", .pk = pk, .pk_count = 1, .index = 7,
		.sha256 = EMPTY, .uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", .ext = "webp",
		.has_at = true, .at = THEN
	};
	static const StoreKeyValues none = {.index = -1};
	StoreError	error;
	unsigned	names;
	char	   *key;

	for (size_t i = 0; i < COUNT(good); i++)
	{
		check_subject = good[i].text;
		CHECK(store_template_check(good[i].text, &names, &error));
		CHECK_EQUAL(error.status, STORE_OK);
		CHECK_EQUAL(names, good[i].names);
		key = store_template_expand(good[i].text, "m/", &values, &error);
		CHECK_STRING(key, good[i].key);
		free(key);

		/* without values, only what names nothing */
		key = store_template_expand(good[i].text, NULL, &none, &error);
		CHECK_EQUAL(key != NULL, good[i].names == 0);
		CHECK_EQUAL(error.status, good[i].names == 0 ? STORE_OK : STORE_BAD_TEMPLATE);
		free(key);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		check_subject = bad[i];
		CHECK(!store_template_check(bad[i], NULL, &error));
		CHECK_EQUAL(error.status, STORE_BAD_TEMPLATE);
	}
	check_subject = "";

	CHECK(!store_template_check("{name}", NULL, &error));
	CHECK_STRING(error.message, "key template has an unknown name {name}");
	CHECK_STRING(error.hint, "Names are {table}, {column}, {pk}, {index}, {sha256}, {uuid}, {ext}, {date} and {timestamp}.");
	values.at = -1;
	CHECK(store_template_expand("{date}", NULL, &values, &error) == NULL);
}

/* What a row's owner may do with the values of its key: nothing. */
static void
test_values(void)
{
	static const struct
	{
		const char *values[3];
		const char *key;		/* of "p/{pk}/x" */
	}			cases[] = {
		{{"1", NULL}, "p/1/x"},
		{{"a", "b", NULL}, "p/a,b/x"},
		{{"a,b", NULL}, "p/a%2Cb/x"},
		{{"a,", "b", NULL}, "p/a%2C,b/x"},
		{{"", NULL}, "p/%/x"},
		{{"%", NULL}, "p/%25/x"},
		{{"", "", NULL}, "p/%,%/x"},
		{{".", NULL}, "p/%2E/x"},
		{{"..", NULL}, "p/%2E./x"},
		{{"../../etc/passwd", NULL}, "p/%2E.%2F..%2Fetc%2Fpasswd/x"},
		{{"/", NULL}, "p/%2F/x"},
		{{"%2F", NULL}, "p/%252F/x"},
		{{"a\nb\x7f", NULL}, "p/a%0Ab%7F/x"},
		{{"\xc2\x85", NULL}, "p/%C2%85/x"},
		{{"{sha256}", NULL}, "p/{sha256}/x"},
		{{"a b+\xc3\xa9\\", NULL}, "p/a b+\xc3\xa9\\/x"},
		{{"\xff", NULL}, NULL},
	};
	char		text[300];
	const char *long_pk[] = {text};
	StoreKeyValues values = {.index = -1};
	StoreError	error;
	char	   *key;

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		values.pk = cases[i].values;
		values.pk_count = 0;
		while (cases[i].values[values.pk_count] != NULL)
			values.pk_count++;
		key = store_template_expand("p/{pk}/x", NULL, &values, &error);
		CHECK_STRING(key, cases[i].key);
		CHECK_EQUAL(error.status, cases[i].key != NULL ? STORE_OK : STORE_BAD_KEY);
		free(key);
		/* a dot of the template's does not help it upwards */
		key = store_template_expand("p/.{pk}", NULL, &values, &error);
		CHECK(key == NULL ? cases[i].key == NULL : strcmp(key, "p/..") != 0);
		free(key);
	}
	memset(text, 'k', sizeof(text));
	text[256] = '\0';
	values.pk = long_pk;
	values.pk_count = 1;
	CHECK(store_template_expand("p/{pk}", NULL, &values, &error) == NULL);
	CHECK_EQUAL(error.status, STORE_BAD_KEY);
	text[255] = '\0';
	key = store_template_expand("p/{pk}", NULL, &values, &error);
	CHECK(key != NULL);
	free(key);
}

int
main(void)
{
	test_headers();
	test_bad_requests();
	test_most_fields();
	test_presign();
	test_bad_presigns();
	test_addresses();
	test_public_urls();
	test_buckets();
	test_keys();
	test_templates();
	test_values();
	return check_report();
}
