/*-------------------------------------------------------------------------
 *
 * mediastore.h
 *	  The settings of the extension, as the db room reads them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_H
#define MEDIASTORE_H

#include "facts/facts.h"

/* What a picture may claim at most: mediastore.max_pixels and so on. */
extern PGDLLIMPORT int mediastore_max_pixels;
extern PGDLLIMPORT int mediastore_max_input_bytes;
extern PGDLLIMPORT int mediastore_max_frames;

/* What a codec process may take, and how long it stays without work. */
extern PGDLLIMPORT int mediastore_codec_memory; /* MB */
extern PGDLLIMPORT int mediastore_codec_timeout;	/* ms */
extern PGDLLIMPORT int mediastore_helper_idle;	/* s */

/* The server's own credentials for stores: an absolute path, or "". */
extern PGDLLIMPORT char *mediastore_credentials_file;

/* Stores: what a transfer may take, and where it may go. */
extern PGDLLIMPORT int mediastore_connect_timeout;	/* ms */
extern PGDLLIMPORT int mediastore_transfer_timeout; /* ms */
extern PGDLLIMPORT int mediastore_stall_timeout;	/* ms */
extern PGDLLIMPORT bool mediastore_private_networks;

/* Pushing: whether at all, and how much at a time. */
extern PGDLLIMPORT bool mediastore_enabled;
extern PGDLLIMPORT int mediastore_max_workers;
extern PGDLLIMPORT int mediastore_push_concurrency;
extern PGDLLIMPORT int mediastore_push_inflight_bytes;	/* kB */
extern PGDLLIMPORT int mediastore_max_attempts;
extern PGDLLIMPORT int mediastore_delete_grace; /* s */
extern PGDLLIMPORT int mediastore_max_queue_rows;	/* 0: no limit */

/* Whether mediastore.formats names the format. */
extern bool mediastore_format_enabled(FactsFormat format);

#endif							/* MEDIASTORE_H */
