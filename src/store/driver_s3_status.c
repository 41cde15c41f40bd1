/*-------------------------------------------------------------------------
 *
 * driver_s3_status.c
 *	  What an answer of S3 that is no success means.
 *
 * Whose fault it is decides what happens next: an object's own fault ends it,
 * the store's makes all objects wait, and the rest is tried again.  S3's code
 * counts before the HTTP status, since one status has many meanings; where
 * there is none (a HEAD has no body, and a proxy's answer no XML) the status
 * has to do.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver_s3.h"

#define CLOCK_HINT	"Set the clock of the database server's machine."
#define KEYS_HINT	"Check access_key_id and secret_access_key in the user mapping."
#define RETRY_AFTER_MOST	86400

static const struct
{
	const char *code;
	CourierStatus status;
	const char *hint;
}			codes[] = {
	{"NoSuchBucket", COURIER_MISCONFIGURED, "Check the server's options bucket, region and endpoint."},
	{"InvalidBucketName", COURIER_MISCONFIGURED, NULL},
	{"AllAccessDisabled", COURIER_MISCONFIGURED, NULL},
	{"AccountProblem", COURIER_MISCONFIGURED, NULL},
	{"NotSignedUp", COURIER_MISCONFIGURED, NULL},
	{"UserSuspended", COURIER_MISCONFIGURED, NULL},
	{"InvalidAccessKeyId", COURIER_MISCONFIGURED, KEYS_HINT},
	{"SignatureDoesNotMatch", COURIER_MISCONFIGURED, KEYS_HINT},
	{"InvalidSecurity", COURIER_MISCONFIGURED, KEYS_HINT},
	{"ExpiredToken", COURIER_MISCONFIGURED, "Give the user mapping a session_token that is still good."},
	{"InvalidToken", COURIER_MISCONFIGURED, "Check session_token in the user mapping."},
	{"TokenRefreshRequired", COURIER_MISCONFIGURED, "Give the user mapping a session_token that is still good."},
	{"AuthorizationHeaderMalformed", COURIER_MISCONFIGURED, "Check the server's option region."},
	{"IllegalLocationConstraintException", COURIER_MISCONFIGURED, "Check the server's option region."},
	{"PermanentRedirect", COURIER_MISCONFIGURED, "Check the server's options region and endpoint."},
	{"TemporaryRedirect", COURIER_MISCONFIGURED, "Check the server's options region and endpoint."},
	{"Redirect", COURIER_MISCONFIGURED, "Check the server's options region and endpoint."},
	{"RequestTimeTooSkewed", COURIER_MISCONFIGURED, CLOCK_HINT},
	{"RequestExpired", COURIER_MISCONFIGURED, CLOCK_HINT},
	{"InvalidStorageClass", COURIER_MISCONFIGURED, "Check the server's option storage_class."},
	{"InvalidEncryptionAlgorithmError", COURIER_MISCONFIGURED, "Check the server's option server_side_encryption."},
	{"NotImplemented", COURIER_MISCONFIGURED, "The store does not know something that the server's options ask for, as checksum, storage_class or if_none_match."},
	{"InternalError", COURIER_RETRY, NULL},
	{"RequestTimeout", COURIER_RETRY, NULL},
	{"IncompleteBody", COURIER_RETRY, NULL},
	{"BadDigest", COURIER_RETRY, NULL},
	{"XAmzContentSHA256Mismatch", COURIER_RETRY, NULL},
	{"OperationAborted", COURIER_RETRY, NULL},
	{"ConditionalRequestConflict", COURIER_RETRY, NULL},
	{"NoSuchUpload", COURIER_RETRY, NULL},
	{"InvalidPart", COURIER_RETRY, NULL},
	{"SlowDown", COURIER_BUSY, NULL},
	{"ServiceUnavailable", COURIER_BUSY, NULL},
	{"TooManyRequests", COURIER_BUSY, NULL},
	{"RequestLimitExceeded", COURIER_BUSY, NULL},
	{"Throttling", COURIER_BUSY, NULL},
	{"ThrottlingException", COURIER_BUSY, NULL},
	{"QuotaExceeded", COURIER_BUSY, NULL},
	{"XMinioStorageFull", COURIER_BUSY, NULL},
	{"PreconditionFailed", COURIER_EXISTS, NULL},
};

/* By the HTTP status alone. */
static CourierStatus
status_of(const S3Outcome *outcome)
{
	bool		reads = outcome->operation == COURIER_GET || outcome->operation == COURIER_HEAD;

	switch (outcome->http_status)
	{
		case 401:
			return COURIER_MISCONFIGURED;
		case 404:
			/* to put into or to list what is not there is another matter */
			if (reads)
				return COURIER_ABSENT;
			return outcome->code[0] != '\0' ? COURIER_REFUSED : COURIER_MISCONFIGURED;
		case 405:
		case 501:
			/* a web server, but none of S3 */
			return outcome->code[0] != '\0' ? COURIER_REFUSED : COURIER_MISCONFIGURED;
		case 408:
		case 409:
			return COURIER_RETRY;
		case 412:
			return COURIER_EXISTS;
		case 429:
		case 503:
		case 507:
			return COURIER_BUSY;
		default:
			if (outcome->http_status >= 400 && outcome->http_status < 500)
				return COURIER_REFUSED;
			return outcome->http_status >= 500 ? COURIER_RETRY : COURIER_MISCONFIGURED;
	}
}

void
s3_explain(const S3Outcome *outcome, DriverResult *result)
{
	CourierStatus status = status_of(outcome);
	char		region[160] = "";
	const char *hint = NULL;
	const char *colon = outcome->message[0] != '\0' ? ": " : "";

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(outcome->code, codes[i].code) == 0)
		{
			status = codes[i].status;
			hint = codes[i].hint;
		}
	if (strncmp(outcome->code, "KMS.", 4) == 0)
	{
		status = COURIER_MISCONFIGURED;
		hint = "Check the server's option kms_key_id.";
	}
	if (status == COURIER_EXISTS && outcome->operation != COURIER_PUT)
		status = COURIER_REFUSED;
	if (status == COURIER_ABSENT)
	{
		driver_fail(result, status, NULL, "there is no such object");
		result->http_status = outcome->http_status;
		driver_copy(result->code, sizeof(result->code), outcome->code);
		return;
	}

	/* a wrong region shows as one of several codes, or as none at all */
	if (outcome->region[0] != '\0' &&
		(status == COURIER_MISCONFIGURED || outcome->http_status == 400))
	{
		if (outcome->code[0] == '\0' && outcome->http_status == 400)
			status = COURIER_MISCONFIGURED;
		if (status == COURIER_MISCONFIGURED &&
			(hint == NULL || strstr(hint, "region") != NULL || outcome->code[0] == '\0'))
		{
			snprintf(region, sizeof(region), "The bucket is in region \"%s\".", outcome->region);
			hint = region;
		}
	}
	if (hint == NULL && status == COURIER_MISCONFIGURED)
		hint = outcome->http_status == 401 ? KEYS_HINT : "Check the server's options endpoint and bucket.";
	if (outcome->http_status < 300)
		driver_fail(result, status, hint, "the store failed with %s%s%s", outcome->code, colon,
					outcome->message);
	else
		driver_fail(result, status, hint, "the store answered %d%s%s%s%s", outcome->http_status,
					outcome->code[0] != '\0' ? " " : "", outcome->code, colon, outcome->message);
	result->http_status = outcome->http_status;
	result->retry_after = outcome->retry_after;
	driver_copy(result->code, sizeof(result->code), outcome->code);
}

int
s3_retry_after(const char *text, int64_t now)
{
	int64_t		seconds;

	if (*text >= '0' && *text <= '9' && strspn(text, "0123456789") == strlen(text))
		seconds = strlen(text) < 9 ? atol(text) : RETRY_AFTER_MOST;
	else
	{
		int64_t		at = http_date(text);

		if (at < 0)
			return -1;
		seconds = at > now ? at - now : 0;
	}
	return (int) (seconds < RETRY_AFTER_MOST ? seconds : RETRY_AFTER_MOST);
}
