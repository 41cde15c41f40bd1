/*-------------------------------------------------------------------------
 *
 * serve.c
 *	  media_serve and media_postgrest: a stored value as the answer to an HTTP
 *	  request.
 *
 * What HTTP says is decided in src/http; here it gets the request out of a
 * jsonb or PostgREST's settings, and the bytes it needs out of the value, which
 * are few: none for an answer without a body whose entity-tag was given, the
 * first 4 KiB to tell the type, the range that was asked for.
 *
 * An entity-tag that was not given is made from the content.  It is the first
 * half of a SHA-256:
 *
 * - of all bytes, for a value of at most 512 kB, or one that is in memory or has
 *	 to be decompressed anyway;
 * - else, for a large value that is stored out of line and not compressed, of
 *	 the server's system identifier (its standbys have the same one), the
 *	 database's OID, the toast table's OID, the value's OID there, its length
 *	 and its first and last 4 KiB.  What a toast pointer points to never changes:
 *	 a new value gets a new OID.  That OID could come again after four thousand
 *	 million others, or in a database restored to an earlier time; then the
 *	 length and both ends would have to be the same as well.  So the same large
 *	 picture in two rows, or in two databases, has two tags, each of them
 *	 right; who wants one passes one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "result_type.h"
#include "serve.h"
#include "sha256.h"
#include "value.h"

/* Up to this a value is fetched as a whole: for its tag and, maybe, its body. */
#define WHOLE_MOST		((uint64) 512 * 1024)

/* How much of either end of a value is looked at. */
#define END_LENGTH		4096

/* Half of a SHA-256 in hexadecimal, quotes, NUL. */
#define ETAG_BYTES		(PG_SHA256_DIGEST_LENGTH / 2)
#define ETAG_SIZE		(2 * ETAG_BYTES + 3)

PG_FUNCTION_INFO_V1(media_serve);
PG_FUNCTION_INFO_V1(media_postgrest);

/* The columns of the type media_response. */
enum
{
	RESPONSE_STATUS,
	RESPONSE_HEADERS,
	RESPONSE_BODY,
	RESPONSE_COLUMNS
};

/* One value being served. */
typedef struct Served
{
	Datum		data;			/* as given; or fetched, if that had to be */
	Value		value;			/* a reader of that */
	uint8		head[END_LENGTH];	/* its first bytes, once they are read */
	size_t		head_length;
	char		etag[ETAG_SIZE];
	HttpContent content;
	HttpAnswer	answer;
} Served;

/*
 * The request
 */

/*
 * Where the request has a header of that name, in any case; NULL if it does
 * not matter.  A header "Method" that somebody sent is not the method.
 */
static const char **
request_field(HttpRequest *request, const char *name, int length)
{
	const struct
	{
		const char *name;
		const char **field;
	}			fields[] = {
		{"if-match", &request->if_match},
		{"if-none-match", &request->if_none_match},
		{"if-modified-since", &request->if_modified_since},
		{"if-unmodified-since", &request->if_unmodified_since},
		{"range", &request->range},
		{"if-range", &request->if_range},
	};

	if (length == 6 && memcmp(name, "method", 6) == 0)
		return &request->method;
	for (size_t i = 0; i < lengthof(fields); i++)
	{
		if (strlen(fields[i].name) == (size_t) length &&
			pg_strncasecmp(fields[i].name, name, length) == 0)
			return fields[i].field;
	}
	return NULL;
}

_Noreturn static void
error_request(const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 name != NULL ? errdetail("The key is \"%s\".", name) : 0,
			 errhint("A request is an object of header names and their values, strings or arrays of strings, with the key \"method\".")));
}

/* Joins what was sent for a header by commas; count tells how often it was. */
static void
join_header(StringInfo joined, int *count, const JsonbValue *value)
{
	if ((*count)++ > 0)
		appendStringInfoString(joined, ", ");
	appendBinaryStringInfo(joined, value->val.string.val, value->val.string.len);
}

/*
 * Puts the value of a key into the request, behind what was sent for that
 * header before; null is as if it were not there.
 */
static void
set_field(HttpRequest *request, const char **field, const char *name, JsonbValue *value)
{
	bool		is_method = field == &request->method;
	int			count = 0;
	StringInfoData joined;

	if (value->type == jbvNull)
		return;
	initStringInfo(&joined);
	if (*field != NULL)
	{
		appendStringInfoString(&joined, *field);
		count = 1;
	}

	if (value->type == jbvString)
		join_header(&joined, &count, value);
	else if (value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) && !is_method)
	{
		JsonbIterator *iterator = JsonbIteratorInit(value->val.binary.data);
		JsonbValue	member;
		JsonbIteratorToken token;

		while ((token = JsonbIteratorNext(&iterator, &member, true)) != WJB_DONE)
		{
			if (token != WJB_ELEM)
				continue;
			if (member.type != jbvString)
				error_request("request has a header that is no string", name);
			join_header(&joined, &count, &member);
		}
	}
	else
		error_request(is_method ? "method of the request is no string" :
					  "request has a header that is no string", name);

	if (count > 0)
		*field = joined.data;
}

void
serve_read_request(HttpRequest *request, Jsonb *jsonb)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		error_request("request is not a JSON object", NULL);

	iterator = JsonbIteratorInit(&jsonb->root);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		const char **field;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		field = request_field(request, key.val.string.val, key.val.string.len);
		if (field != NULL)
			set_field(request, field,
					  pnstrdup(key.val.string.val, key.val.string.len), &value);
	}
}

/*
 * The value
 */

/* Reads the first bytes, unless they are. */
static void
read_head(Served *served)
{
	size_t		length = (size_t) Min(served->content.total, END_LENGTH);
	const uint8 *bytes;

	if (served->head_length == length)
		return;
	value_read(&served->value, 0, length, length, &bytes);
	memcpy(served->head, bytes, length);
	served->head_length = length;
}

/* The first half of a SHA-256 in hexadecimal, in quotes. */
static void
write_etag(char etag[ETAG_SIZE], const uint8 *digest)
{
	*etag++ = '"';
	etag += hex_encode((const char *) digest, ETAG_BYTES, etag);
	*etag++ = '"';
	*etag = '\0';
}

/* Makes the entity-tag, see above. */
static void
make_etag(Served *served)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	struct varatt_external pointer;
	uint64		system_identifier = GetSystemIdentifier();
	bool		by_pointer;
	const uint8 *bytes = NULL;
	size_t		tail = 0;

	by_pointer = served->content.total > WHOLE_MOST && served->value.storage == VALUE_SLICES;
	if (by_pointer)
	{
		VARATT_EXTERNAL_GET_POINTER(pointer, DatumGetPointer(served->data));
		read_head(served);
		tail = END_LENGTH;
		value_read(&served->value, served->content.total - tail, tail, tail, &bytes);
	}
	else
	{
		served->data = PointerGetDatum(PG_DETOAST_DATUM_PACKED(served->data));
		value_release(&served->value);
		value_open(&served->value, served->data);
	}

	if (by_pointer)
	{
		StringInfoData told;

		initStringInfo(&told);
		appendBinaryStringInfo(&told, (const char *) &system_identifier, sizeof(uint64));
		appendBinaryStringInfo(&told, (const char *) &MyDatabaseId, sizeof(Oid));
		appendBinaryStringInfo(&told, (const char *) &pointer.va_toastrelid, sizeof(Oid));
		appendBinaryStringInfo(&told, (const char *) &pointer.va_valueid, sizeof(Oid));
		appendBinaryStringInfo(&told, (const char *) &served->content.total, sizeof(uint64));
		appendBinaryStringInfo(&told, (const char *) served->head, (int) served->head_length);
		appendBinaryStringInfo(&told, (const char *) bytes, (int) tail);
		sha256_bytes(told.data, (size_t) told.len, digest);
		pfree(told.data);
	}
	else
		sha256_bytes(VARDATA_ANY(DatumGetPointer(served->data)),
					 VARSIZE_ANY_EXHDR(DatumGetPointer(served->data)), digest);

	write_etag(served->etag, digest);
	served->content.etag = served->etag;
}

/* As what the value is shown. */
static HttpType
type_of(Served *served)
{
	FactsReader reader;

	read_head(served);
	/* a format is told by these bytes alone */
	facts_reader_memory(&reader, served->head, served->head_length);
	return http_type(facts_mime_type(facts_format(&reader)), served->head, served->head_length);
}

/* The text of an argument, NULL if it is null. */
static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/*
 * Reads what is said of the value: the arguments cache_control, etag,
 * last_modified and filename, from the given one on.
 */
static void
read_options(Served *served, FunctionCallInfo fcinfo, int number, int64 now)
{
	char	   *cache_control = text_argument(fcinfo, number);
	char	   *etag = text_argument(fcinfo, number + 1);
	char	   *filename = text_argument(fcinfo, number + 3);

	if (cache_control != NULL && !http_value_valid(cache_control))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", "cache_control"),
				 errhint("A header is printable ASCII, such as \"private, max-age=3600\".")));
	served->content.cache_control = cache_control;

	if (etag != NULL)
	{
		HttpEtagForm form = http_etag_form(etag);

		if (form == HTTP_ETAG_INVALID)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for option \"%s\"", "etag"),
					 errhint("An entity-tag is visible ASCII without spaces, plain, in double quotes, or in double quotes after W/.")));
		served->content.etag = form == HTTP_ETAG_OPAQUE ? psprintf("\"%s\"", etag) : etag;
	}

	if (!PG_ARGISNULL(number + 2))
	{
		TimestampTz modified = PG_GETARG_TIMESTAMPTZ(number + 2);

		if (!TIMESTAMP_NOT_FINITE(modified))
		{
			int64		seconds = modified / USECS_PER_SEC - (modified % USECS_PER_SEC < 0);

			http_content_date(&served->content,
							  seconds + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY,
							  now);
		}
	}

	/* what is not UTF-8 in a database that does not care is cleaned away */
	if (filename != NULL && GetDatabaseEncoding() != PG_SQL_ASCII)
		filename = pg_server_to_any(filename, (int) strlen(filename), PG_UTF8);
	served->content.filename = filename;
}

/*
 * Answers a request.  What is said of the value begins at the argument
 * "options".  Gives the body, and whether there is none.
 */
static Datum
serve(Served *served, const ServeSource *source, FunctionCallInfo fcinfo, HttpRequest *request,
	  int options, bool *no_body)
{
	HttpAnswer *answer = &served->answer;
	HttpContent *content = &served->content;
	HttpType	type;

	request->now = timestamptz_to_time_t(GetCurrentTimestamp());
	served->head_length = 0;
	memset(content, 0, sizeof(*content));
	*no_body = true;

	read_options(served, fcinfo, options, request->now);
	if (source->location != NULL)
	{
		content->location = source->location;
		content->location_seconds = source->location_seconds;
	}
	else if (source->is_null)
		content = NULL;
	else
	{
		served->data = source->data;
		value_open(&served->value, served->data);
		content->total = served->value.total;
	}
	if (content != NULL && content->etag == NULL && http_method_allowed(request->method))
	{
		if (source->sha256 != NULL)
		{
			write_etag(served->etag, source->sha256);
			content->etag = served->etag;
		}
		else
			make_etag(served);
	}

	http_decide(request, content, answer);
	if (http_shows_type(answer))
		type = type_of(served);
	http_describe(content, &type, answer);
	if (content != NULL && source->location == NULL)
		value_release(&served->value);
	if (!answer->send)
		return (Datum) 0;

	*no_body = false;
	if (answer->length == content->total)
		return served->data;
	return PointerGetDatum(DatumGetByteaPSlice(served->data, (int32) answer->first,
											   (int32) answer->length));
}

/*
 * media_serve
 */

static JsonbValue
jsonb_string(const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = (int) strlen(text);
	return value;
}

static Datum
headers_as_jsonb(const HttpAnswer *answer)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < answer->header_count; i++)
	{
		JsonbValue	name = jsonb_string(answer->headers[i].name);
		JsonbValue	value = jsonb_string(answer->headers[i].value);

		(void) pushJsonbValue(&state, WJB_KEY, &name);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

Datum
serve_response(FunctionCallInfo fcinfo, HttpRequest *request, const ServeSource *source, int options)
{
	TupleDesc	descriptor = result_type(fcinfo, RESPONSE_COLUMNS);
	Datum		values[RESPONSE_COLUMNS];
	bool		nulls[RESPONSE_COLUMNS] = {false};
	Served		served;

	values[RESPONSE_BODY] = serve(&served, source, fcinfo, request, options, &nulls[RESPONSE_BODY]);
	values[RESPONSE_STATUS] = Int32GetDatum(served.answer.status);
	values[RESPONSE_HEADERS] = headers_as_jsonb(&served.answer);
	return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

/* What is served if argument 0 is the value. */
static void
set_source(ServeSource *source, FunctionCallInfo fcinfo)
{
	memset(source, 0, sizeof(*source));
	source->is_null = PG_ARGISNULL(0);
	if (!source->is_null)
		source->data = PG_GETARG_DATUM(0);
}

/*
 * media_serve(data bytea, request jsonb, cache_control text, etag text,
 * last_modified timestamptz, filename text) returns media_response
 */
Datum
media_serve(PG_FUNCTION_ARGS)
{
	HttpRequest request = {0};
	ServeSource source;

	if (!PG_ARGISNULL(1))
		serve_read_request(&request, PG_GETARG_JSONB_P(1));
	set_source(&source, fcinfo);
	PG_RETURN_DATUM(serve_response(fcinfo, &request, &source, 2));
}

/*
 * media_postgrest
 */

/* A setting's value; NULL if there is none.  After its transaction it is ''. */
static const char *
setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* As set_config(name, value, true). */
static void
set_for_transaction(const char *name, const char *value)
{
	(void) set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

static void
request_headers_context(void *arg pg_attribute_unused())
{
	errcontext("setting \"request.headers\"");
}

/* The request that PostgREST tells of; without it, a GET without headers. */
static void
read_postgrest_request(HttpRequest *request)
{
	const char *headers = setting("request.headers");
	ErrorContextCallback callback;

	if (headers != NULL)
	{
		callback.callback = request_headers_context;
		callback.arg = NULL;
		callback.previous = error_context_stack;
		error_context_stack = &callback;
		serve_read_request(request, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(headers))));
		error_context_stack = callback.previous;
	}
	/* and not what a header "method" says */
	request->method = setting("request.method");
}

/*
 * media_postgrest(data bytea, cache_control text, etag text,
 * last_modified timestamptz, filename text) returns bytea
 *
 * PostgREST reads its answer's status and headers from two settings once the
 * query is done: response.status, a number, and response.headers, an array of
 * objects of one key each.  It counts the body itself.
 */
Datum
media_postgrest(PG_FUNCTION_ARGS)
{
	HttpRequest request = {0};
	ServeSource source;
	Served		served;
	StringInfoData headers;
	char		status[12];
	Datum		body;
	bool		no_body;

	read_postgrest_request(&request);
	set_source(&source, fcinfo);
	body = serve(&served, &source, fcinfo, &request, 1, &no_body);

	initStringInfo(&headers);
	for (int i = 0; i < served.answer.header_count; i++)
	{
		const HttpHeader *header = &served.answer.headers[i];

		if (strcmp(header->name, "Content-Length") == 0)
			continue;
		appendStringInfoString(&headers, headers.len == 0 ? "[{" : ", {");
		escape_json(&headers, header->name);
		appendStringInfoString(&headers, ": ");
		escape_json(&headers, header->value);
		appendStringInfoChar(&headers, '}');
	}
	appendStringInfoChar(&headers, ']');
	snprintf(status, sizeof(status), "%d", served.answer.status);
	set_for_transaction("response.headers", headers.data);
	set_for_transaction("response.status", status);

	if (no_body)
		PG_RETURN_BYTEA_P(cstring_to_text(""));
	PG_RETURN_DATUM(body);
}
