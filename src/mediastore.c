/*-------------------------------------------------------------------------
 *
 * mediastore.c
 *	  The front door: module magic, initialization, settings.
 *
 * The house behind it:
 *	  facts/	what a picture's header says; plain C, in the server
 *	  image/	pixels; plain C over the codec libraries, in the codec process
 *	  helper/	the programs beside the server (the codecs, and the courier that
 *				speaks to stores), their sandbox, and the wires to them
 *	  http/		how a value answers an HTTP request; plain C, in the server
 *	  store/	keys, URLs and signatures of objects; plain C, in the server and
 *				the courier; and the drivers of stores, in the courier only
 *	  db/		PostgreSQL: functions, triggers, procedures, the clients of codec
 *				and courier; the launcher, and its workers, which push
 *
 * Settings that protect the server from its users can be set by superusers
 * (or whom they grant it to) only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "db/compat.h"
#include "db/worker_process.h"
#include "mediastore.h"

MEDIASTORE_MODULE_MAGIC;

int			mediastore_max_pixels = 100 * 1000 * 1000;
int			mediastore_max_input_bytes = 100 * 1024 * 1024;
int			mediastore_max_frames = 1000;
int			mediastore_codec_memory = 1024;
int			mediastore_codec_timeout = 30 * 1000;
int			mediastore_helper_idle = 60;
char	   *mediastore_credentials_file = NULL;
int			mediastore_connect_timeout = 10 * 1000;
int			mediastore_transfer_timeout = 10 * 60 * 1000;
int			mediastore_stall_timeout = 30 * 1000;
bool		mediastore_private_networks = false;
bool		mediastore_enabled = true;
int			mediastore_max_workers = 4;
int			mediastore_push_concurrency = 8;
int			mediastore_push_inflight_bytes = 64 * 1024;
int			mediastore_max_attempts = 10;
int			mediastore_delete_grace = 24 * 60 * 60;
int			mediastore_max_queue_rows = 0;

static char *formats_setting = NULL;
static uint32 formats_enabled = 0;	/* bit n: FactsFormat n */

/* Formats that there is a decoder for, given the libraries. */
static const FactsFormat decodable[] = {
	FACTS_FORMAT_JPEG,
	FACTS_FORMAT_PNG,
	FACTS_FORMAT_GIF,
	FACTS_FORMAT_WEBP,
	FACTS_FORMAT_BMP,
	FACTS_FORMAT_TIFF,
	FACTS_FORMAT_HEIF,
	FACTS_FORMAT_AVIF
};

PGDLLEXPORT void _PG_init(void);

bool
mediastore_format_enabled(FactsFormat format)
{
	return (formats_enabled & (UINT32_C(1) << format)) != 0;
}

/* The decodable format of that name, or FACTS_FORMAT_UNKNOWN. */
static FactsFormat
decodable_format(const char *name)
{
	for (size_t i = 0; i < lengthof(decodable); i++)
	{
		if (pg_strcasecmp(name, facts_format_name(decodable[i])) == 0)
			return decodable[i];
	}
	return FACTS_FORMAT_UNKNOWN;
}

/* check_hook: a list of format names; *extra is the set of them. */
static bool
check_formats(char **newval, void **extra, GucSource source pg_attribute_unused())
{
	char	   *list = pstrdup(*newval);
	List	   *names = NIL;
	ListCell   *cell;
	uint32	   *set;
	uint32		enabled = 0;
	bool		valid = true;

	if (!SplitIdentifierString(list, ',', &names))
	{
		GUC_check_errdetail("List syntax is invalid.");
		valid = false;
	}
	foreach(cell, names)
	{
		const char *name = (const char *) lfirst(cell);
		FactsFormat format = decodable_format(name);

		if (format == FACTS_FORMAT_UNKNOWN)
		{
			StringInfoData valid_names;

			initStringInfo(&valid_names);
			for (size_t i = 0; i < lengthof(decodable); i++)
				appendStringInfo(&valid_names, "%s%s", i == 0 ? "" : ", ",
								 facts_format_name(decodable[i]));
			GUC_check_errdetail("Unrecognized format: \"%s\".", name);
			GUC_check_errhint("Valid formats are %s.", valid_names.data);
			pfree(valid_names.data);
			valid = false;
			break;
		}
		enabled |= UINT32_C(1) << format;
	}
	list_free(names);
	pfree(list);
	if (!valid)
		return false;

	set = (uint32 *) guc_malloc(LOG, sizeof(uint32));
	if (set == NULL)
		return false;
	*set = enabled;
	*extra = set;
	return true;
}

static void
assign_formats(const char *newval pg_attribute_unused(), void *extra)
{
	formats_enabled = *(uint32 *) extra;
}

/* check_hook: a backend's own directory is the data directory, and no place for it. */
static bool
check_credentials_file(char **newval, void **extra pg_attribute_unused(),
					   GucSource source pg_attribute_unused())
{
	if ((*newval)[0] == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("The path must be absolute.");
	return false;
}

/*
 * Called when the module is loaded: in a backend, or in the postmaster when
 * preloaded.  So it starts nothing; only when preloaded is there a launcher,
 * and with it the workers that push.
 */
void
_PG_init(void)
{
	DefineCustomIntVariable("mediastore.max_pixels",
							"Sets the most pixels (width x height x frames) a picture may have.",
							NULL,
							&mediastore_max_pixels,
							100 * 1000 * 1000, 1, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.max_input_bytes",
							"Sets the largest value that is taken as a picture.",
							NULL,
							&mediastore_max_input_bytes,
							100 * 1024 * 1024, 1, (int) MaxAllocSize,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.max_frames",
							"Sets the most frames an animation may have.",
							NULL,
							&mediastore_max_frames,
							1000, 1, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("mediastore.formats",
							   "Sets the formats that may be decoded.",
							   "A comma-separated list of jpeg, png, gif, webp, bmp, tiff, heif and avif.",
							   &formats_setting,
							   "jpeg,png,gif,webp,bmp,tiff",
							   PGC_SUSET, GUC_LIST_INPUT,
							   check_formats, assign_formats, NULL);

	DefineCustomIntVariable("mediastore.codec_memory",
							"Sets the memory a codec process may take.",
							NULL,
							&mediastore_codec_memory,
							1024, 64, 1024 * 1024,
							PGC_SUSET, GUC_UNIT_MB, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.codec_timeout",
							"Sets the time a codec process may take for one picture.",
							NULL,
							&mediastore_codec_timeout,
							30 * 1000, 1, 24 * 60 * 60 * 1000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.helper_idle",
							"Sets the time after which a helper process without work ends.",
							NULL,
							&mediastore_helper_idle,
							60, 1, 24 * 60 * 60,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.connect_timeout",
							"Sets the time that connecting to a store may take.",
							NULL,
							&mediastore_connect_timeout,
							10 * 1000, 1, 60 * 60 * 1000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.transfer_timeout",
							"Sets the time that one transfer to or from a store may take.",
							NULL,
							&mediastore_transfer_timeout,
							10 * 60 * 1000, 1, 24 * 60 * 60 * 1000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.stall_timeout",
							"Sets the time that a transfer may go on without a byte moving.",
							NULL,
							&mediastore_stall_timeout,
							30 * 1000, 1000, 60 * 60 * 1000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomBoolVariable("mediastore.private_networks",
							 "Allows stores at loopback, link-local and private addresses.",
							 "Without it, these are for servers whose option private_network a superuser has set.",
							 &mediastore_private_networks,
							 false,
							 PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomBoolVariable("mediastore.enabled",
							 "Has the worker push to stores.",
							 NULL,
							 &mediastore_enabled,
							 true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.max_workers",
							"Sets the number of databases that are pushed from at a time.",
							NULL,
							&mediastore_max_workers,
							4, 1, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.push_concurrency",
							"Sets the number of transfers that a worker has under way.",
							NULL,
							&mediastore_push_concurrency,
							8, 1, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.push_inflight_bytes",
							"Sets how many bytes the transfers of a worker may add up to.",
							"One transfer is always allowed.",
							&mediastore_push_inflight_bytes,
							64 * 1024, 1024, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.max_attempts",
							"Sets how often an object is tried before it is given up.",
							NULL,
							&mediastore_max_attempts,
							10, 1, 1000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.delete_grace",
							"Sets how long an object that no row refers to is kept.",
							NULL,
							&mediastore_delete_grace,
							24 * 60 * 60, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable("mediastore.max_queue_rows",
							"Sets how many changes may wait before more of them fail.",
							"Zero means no limit.",
							&mediastore_max_queue_rows,
							0, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("mediastore.credentials_file",
							   "Sets the file of the server's own credentials for stores.",
							   "In the format of AWS's tools; for foreign servers with the option \"profile\".",
							   &mediastore_credentials_file,
							   "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_credentials_file, NULL, NULL);

	MarkGUCPrefixReserved("mediastore");

	if (process_shared_preload_libraries_in_progress)
		worker_init();
}
