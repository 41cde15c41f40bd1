/*-------------------------------------------------------------------------
 *
 * column_scan.h
 *	  Every value of a column of pictures, row by row.
 *
 * The rows come through a cursor and as the current user sees them, so rights and
 * row-level security are those of any query; a row's memory is given back
 * before the next one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COLUMN_SCAN_H
#define MEDIASTORE_COLUMN_SCAN_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/rel.h"

/*
 * Sees one row.  It runs in a memory context of its own, and not in a
 * subtransaction.
 */
typedef void (*ColumnScanRow) (void *context, HeapTuple row, TupleDesc descriptor);

/*
 * Whether a column holds pictures: bytea, or bytea[], which *is_array tells,
 * or a domain over one of them.
 */
extern bool column_holds_pictures(Relation relation, AttrNumber number, bool *is_array);

/* Whether a relation is of a kind that column_scan reads: tables and materialized views. */
extern bool column_scan_reads(Relation relation);

/*
 * Reads from a table and all that inherit from it: for each row key, an SQL
 * expression over the table t (or NULL: without one), and then the column.
 */
extern void column_scan(Relation relation, AttrNumber number, const char *key,
						ColumnScanRow see_row, void *context);

#endif							/* MEDIASTORE_COLUMN_SCAN_H */
