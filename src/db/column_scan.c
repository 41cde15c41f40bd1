/*-------------------------------------------------------------------------
 *
 * column_scan.c
 *	  Every value of a column of pictures, row by row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "column_scan.h"
#include "compat.h"
#include "row_key.h"

/* Rows have at most a page each: what is larger lies elsewhere. */
#define ROWS_AT_A_TIME	50

bool
column_holds_pictures(Relation relation, AttrNumber number, bool *is_array)
{
	Oid			type = getBaseType(TupleDescAttr(RelationGetDescr(relation), number - 1)->atttypid);

	*is_array = type == BYTEAARRAYOID;
	return *is_array || type == BYTEAOID;
}

bool
column_scan_reads(Relation relation)
{
	switch (relation->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_MATVIEW:
			return true;
		default:
			return false;
	}
}

void
column_scan(Relation relation, AttrNumber number, const char *key, ColumnScanRow see_row,
			void *context)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "mediastore row",
													  ALLOCSET_DEFAULT_SIZES);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
	StringInfoData query;
	SPIPlanPtr	plan;
	Portal		portal;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT %s%s t.%s FROM %s t", key == NULL ? "" : key,
					 key == NULL ? "" : ",", quote_identifier(NameStr(attribute->attname)),
					 table_sql_name(relation));

	SPI_connect();
	plan = SPI_prepare(query.data, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);

	for (;;)
	{
		SPITupleTable *rows;
		uint64		count;

		SPI_cursor_fetch(portal, true, ROWS_AT_A_TIME);
		rows = SPI_tuptable;
		count = SPI_processed;
		for (uint64 i = 0; i < count; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(row_context);

			CHECK_FOR_INTERRUPTS();
			see_row(context, rows->vals[i], rows->tupdesc);
			MemoryContextSwitchTo(old);
			MemoryContextReset(row_context);
		}
		SPI_freetuptable(rows);
		if (count == 0)
			break;
	}

	SPI_cursor_close(portal);
	SPI_finish();
	MemoryContextDelete(row_context);
}
