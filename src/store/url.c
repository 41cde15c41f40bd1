/*-------------------------------------------------------------------------
 *
 * url.c
 *	  Buckets as somebody describes them, and the URLs of what is in them.
 *
 * The bucket is named by the host ("virtual-hosted style") or by the path
 * (docs.aws.amazon.com, "Virtual hosting of buckets").  A key is encoded once,
 * and nothing of a path is normalised: what goes out is what gets signed.  An
 * URL's text is kept out of messages, since people write passwords into URLs.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parts.h"

#define ENDPOINT_MOST	512
#define HOST_MOST		253		/* RFC 1035's 255 bytes on the wire */
#define LABEL_MOST		63
#define REGION_MOST		64
#define DEFAULT_REGION	"us-east-1"

/* An URL taken apart that other URLs begin with. */
typedef struct Base
{
	bool		https;
	bool		address;		/* the host is an IP address */
	char		host[HOST_MOST + 1];	/* lower case; IPv6 in its brackets */
	unsigned	port;			/* 0: the scheme's own */
	char		path[ENDPOINT_MOST + 1];	/* "/base/path" or "" */
} Base;

static bool
ends_with(const char *text, const char *ending)
{
	size_t		length = strlen(text);

	return length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

static bool
is_aws(const char *host)
{
	return ends_with(host, ".amazonaws.com") || ends_with(host, ".amazonaws.com.cn");
}

/* Four numbers with dots between: nothing else ends in a label of digits. */
static bool
is_ipv4(const char *host)
{
	const char *last = strrchr(host, '.');

	last = last != NULL ? last + 1 : host;
	return *last != '\0' && strspn(last, "0123456789") == strlen(last);
}

/* Takes the host off a string: a name, an IPv4 address, or IPv6 in brackets. */
static bool
parse_host(const char **at, Base *base)
{
	const char *from = *at;
	size_t		length = 0;
	size_t		label = 0;

	if (*from == '[')
	{
		length = 1 + strspn(from + 1, "0123456789abcdefABCDEF:.");
		if (from[length] != ']' || length < 3 || length >= HOST_MOST)
			return false;
		length++;
		base->address = true;
	}
	else
	{
		for (; store_is_alnum(from[length]) || (from[length] != '\0' && strchr("._-", from[length]));
			 length++)
		{
			label = from[length] == '.' ? 0 : label + 1;
			if (label > LABEL_MOST || length >= HOST_MOST ||
				(from[length] == '.' && (length == 0 || from[length - 1] == '.')))
				return false;
		}
		if (label == 0)
			return false;
	}
	for (size_t i = 0; i < length; i++)
		base->host[i] = (char) (from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i]);
	base->host[length] = '\0';
	if (!base->address)
		base->address = is_ipv4(base->host);
	*at = from + length;
	return true;
}

static bool
parse_port(const char **at, Base *base)
{
	const char *from = *at;

	if (*from != ':')
		return true;
	for (from++; *from >= '0' && *from <= '9'; from++)
	{
		base->port = base->port * 10 + (unsigned) (*from - '0');
		if (base->port > 65535)
			return false;
	}
	if (base->port == 0)
		return false;
	if (base->port == (base->https ? 443u : 80u))
		base->port = 0;
	*at = from;
	return true;
}

/*
 * Takes the path.  A signed one has only what is the same encoded and not, so
 * that its signature is the same for everybody.
 */
static bool
parse_path(const char *from, bool is_signed, Base *base)
{
	size_t		length = strlen(from);
	const char *segment = from;

	while (length > 0 && from[length - 1] == '/')
		length--;
	for (size_t i = 0; i <= length; i++)
	{
		if (i == length || from[i] == '/')
		{
			size_t		size = (size_t) (from + i - segment);

			/* the first is what is before the first slash: nothing */
			if (i > 0 && (size == 0 || (size == 1 && segment[0] == '.') ||
						  (size == 2 && segment[0] == '.' && segment[1] == '.')))
				return false;
			segment = from + i + 1;
		}
		else if (!store_is_unreserved(from[i]) &&
				 (is_signed || !(strchr("!$&'()*+,;=:@", from[i]) != NULL || store_is_encoded(from + i))))
			return false;
	}
	memcpy(base->path, from, length);
	base->path[length] = '\0';
	return true;
}

/* Takes an URL apart; option is what it is the value of. */
static bool
parse_base(const char *url, const char *option, bool is_signed, Base *base, StoreError *error)
{
	const char *form = is_signed ? "It looks like https://host, https://host:9000 or https://host/base/path."
	: "It looks like https://host or https://host/base/path.";
	const char *at = url;

	memset(base, 0, sizeof(*base));
	if (strncasecmp(at, "https://", 8) == 0)
	{
		base->https = true;
		at += 8;
	}
	else if (strncasecmp(at, "http://", 7) == 0)
		at += 7;
	else
		return store_fail(error, STORE_BAD_BUCKET, option, form,
						  "%s does not begin with https:// or http://", option);
	if (strlen(url) > ENDPOINT_MOST)
		return store_fail(error, STORE_BAD_BUCKET, option, NULL,
						  "%s is longer than %d bytes", option, ENDPOINT_MOST);
	if (memchr(at, '@', strcspn(at, "/?#")) != NULL)
		return store_fail(error, STORE_BAD_BUCKET, option,
						  "Credentials belong into a user mapping.",
						  "%s must not have a user name or password in it", option);
	if (strpbrk(at, "?#") != NULL)
		return store_fail(error, STORE_BAD_BUCKET, option, form,
						  "%s must not have a query or a fragment", option);
	if (!parse_host(&at, base))
		return store_fail(error, STORE_BAD_BUCKET, option, form,
						  "%s has no valid host name", option);
	if (!parse_port(&at, base) || (*at != '\0' && *at != '/'))
		return store_fail(error, STORE_BAD_BUCKET, option, form,
						  "%s has no valid port after its host", option);
	if (!parse_path(at, is_signed, base))
		return store_fail(error, STORE_BAD_BUCKET, option,
						  is_signed ? "It may have letters, digits and -._~ between single slashes."
						  : "Other characters are to be written as %XX.",
						  "%s has no valid path", option);
	return true;
}

/*
 * The rules of docs.aws.amazon.com, "General purpose bucket naming rules",
 * where they hold or the name becomes part of a host's; other stores have
 * names of older rules, too.
 */
static bool
check_name(const char *name, bool strict, StoreError *error)
{
	size_t		length = strlen(name);

	if (strict)
	{
		bool		good = length >= 3 && length <= 63 && store_is_alnum(name[0]) &&
		store_is_alnum(name[length - 1]) && strstr(name, "..") == NULL &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;

		/* an address would be one of a host */
		if (!good || strspn(name, "0123456789.") == length)
			return store_fail(error, STORE_BAD_BUCKET, "bucket",
							  "It has 3 to 63 lower-case letters, digits, dots and hyphens, begins and ends with a letter or digit, and is no IP address.",
							  "bucket name is not valid");
		return true;
	}
	if (length < 1 || length > 255 || !store_is_alnum(name[0]) ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != length)
		return store_fail(error, STORE_BAD_BUCKET, "bucket",
						  "It has 1 to 255 letters, digits, dots, hyphens and underscores and begins with a letter or digit.",
						  "bucket name is not valid");
	return true;
}

static bool
is_region(const char *region)
{
	size_t		length = strlen(region);

	for (size_t i = 0; i < length; i++)
		if (!store_is_alnum(region[i]) && region[i] != '-' && region[i] != '_')
			return false;
	return length >= 1 && length <= REGION_MOST;
}

/* Checks all of it, and tells where the store is and how a bucket is named. */
static bool
resolve(const StoreBucket *bucket, Base *base, bool *virtual, StoreError *error)
{
	Base		public_base;
	bool		aws;

	store_error_clear(error);
	if (bucket->bucket == NULL || bucket->bucket[0] == '\0')
		return store_fail(error, STORE_BAD_BUCKET, "bucket", NULL, "bucket is missing");
	if (bucket->region != NULL && !is_region(bucket->region))
		return store_fail(error, STORE_BAD_BUCKET, "region",
						  "It looks like eu-central-1, or auto.", "region is not valid");

	if (bucket->endpoint != NULL)
	{
		if (!parse_base(bucket->endpoint, "endpoint", true, base, error))
			return false;
		aws = is_aws(base->host);
	}
	else
	{
		memset(base, 0, sizeof(*base));
		base->https = true;
		aws = true;
	}
	if (aws && (bucket->region == NULL || strcmp(bucket->region, "auto") == 0))
		return store_fail(error, STORE_BAD_BUCKET, "region",
						  "Name the bucket's region, as eu-central-1, or the endpoint of a store that is not AWS's.",
						  "AWS needs a region");
	if (bucket->endpoint == NULL)
	{
		StoreText	host = {0};
		char	   *name;

		/* China is a partition of its own, with its own domain */
		store_text_format(&host, "s3.%s.amazonaws.com%s", bucket->region,
						  strncmp(bucket->region, "cn-", 3) == 0 ? ".cn" : "");
		name = store_text_take(&host, error);
		if (name == NULL)
			return false;
		for (size_t i = 0; name[i] != '\0' && i < HOST_MOST; i++)
			base->host[i] = (char) (name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
		free(name);
	}

	*virtual = bucket->style == STORE_STYLE_VIRTUAL ||
		(bucket->style == STORE_STYLE_AUTO && aws && strchr(bucket->bucket, '.') == NULL);
	if (*virtual && base->address)
		return store_fail(error, STORE_BAD_BUCKET, "endpoint",
						  "Use path style, or an endpoint with a host name.",
						  "an IP address cannot be asked for a bucket by its host name");
	if (!check_name(bucket->bucket, aws || *virtual, error))
		return false;
	if (bucket->prefix != NULL &&
		(!store_is_plain(bucket->prefix) || strlen(bucket->prefix) >= STORE_KEY_MOST))
		return store_fail(error, STORE_BAD_BUCKET, "prefix",
						  "It is UTF-8 without control characters, shorter than 1024 bytes.",
						  "prefix is not valid");
	return bucket->public_url == NULL ||
		parse_base(bucket->public_url, "public_url", false, &public_base, error);
}

bool
store_bucket_check(const StoreBucket *bucket, StoreError *error)
{
	Base		base;
	bool		virtual;

	return resolve(bucket, &base, &virtual, error);
}

const char *
store_region(const StoreBucket *bucket)
{
	return bucket->region != NULL ? bucket->region : DEFAULT_REGION;
}

/* "host" or "host:9000" */
static void
add_host(StoreText *text, const Base *base)
{
	store_text_string(text, base->host);
	if (base->port != 0)
		store_text_format(text, ":%u", base->port);
}

static void
add_key(StoreText *text, const StoreBucket *bucket, const char *key)
{
	if (bucket->prefix != NULL)
		store_text_encode(text, bucket->prefix, true);
	store_text_encode(text, key, true);
}

bool
store_address(const StoreBucket *bucket, const char *key, StoreAddress *address,
			  StoreError *error)
{
	StoreText	url = {0};
	StoreText	host = {0};
	StoreText	path = {0};
	Base		base;
	bool		virtual;

	memset(address, 0, sizeof(*address));
	if (!resolve(bucket, &base, &virtual, error) ||
		(key != NULL && !store_key_check(bucket->prefix, key, false, error)))
		return false;

	if (virtual)
		store_text_format(&host, "%s.", bucket->bucket);
	add_host(&host, &base);

	store_text_format(&path, "%s/", base.path);
	if (!virtual)
		store_text_format(&path, "%s%s", bucket->bucket, key != NULL ? "/" : "");
	if (key != NULL)
		add_key(&path, bucket, key);

	address->host = store_text_take(&host, error);
	address->path = store_text_take(&path, error);
	if (address->host != NULL && address->path != NULL)
	{
		store_text_string(&url, base.https ? "https://" : "http://");
		store_text_string(&url, address->host);
		store_text_string(&url, address->path);
		address->url = store_text_take(&url, error);
	}
	if (address->url == NULL)
	{
		store_address_free(address);
		return false;
	}
	return true;
}

void
store_address_free(StoreAddress *address)
{
	free(address->url);
	free(address->host);
	free(address->path);
	memset(address, 0, sizeof(*address));
}

char *
store_object_url(const StoreBucket *bucket, const char *key, StoreError *error)
{
	StoreAddress address;
	char	   *url;

	if (!store_address(bucket, key, &address, error))
		return NULL;
	url = address.url;
	address.url = NULL;
	store_address_free(&address);
	return url;
}

char *
store_public_url(const StoreBucket *bucket, const char *key, StoreError *error)
{
	StoreText	url = {0};
	Base		base;
	bool		virtual;

	if (bucket->public_url == NULL)
		return store_object_url(bucket, key, error);
	if (!resolve(bucket, &base, &virtual, error) ||
		!store_key_check(bucket->prefix, key, false, error) ||
		!parse_base(bucket->public_url, "public_url", false, &base, error))
		return NULL;
	store_text_string(&url, base.https ? "https://" : "http://");
	add_host(&url, &base);
	store_text_format(&url, "%s/", base.path);
	add_key(&url, bucket, key);
	return store_text_take(&url, error);
}
