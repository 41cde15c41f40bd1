/*-------------------------------------------------------------------------
 *
 * own_tables.h
 *	  The extension's own tables, read and written as their owner.
 *
 * Nobody but their owner may write these tables, so that is who we are while a
 * statement on them runs, in a restricted security context.  Statements call
 * nothing that is not in pg_catalog and name it so; and the tables they write
 * must have no triggers, which others can be given the right to make.  An
 * error takes the identity back with its (sub)transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_OWN_TABLES_H
#define MEDIASTORE_OWN_TABLES_H

#include "executor/spi.h"

#define OWN_MOST_ARGUMENTS 16

/* A statement that is prepared once a session. */
typedef struct OwnStatement
{
	const char *text;
	int			result;			/* of SPI_execute_plan: SPI_OK_SELECT ... */
	int			count;			/* of arguments */
	Oid			types[OWN_MOST_ARGUMENTS];
	const char *table;			/* of schema mediastore: that it writes, which
								 * must have no trigger; or NULL */
	SPIPlanPtr	plan;
} OwnStatement;

/*
 * Executes a statement, with SPI connected; SPI_processed and SPI_tuptable are
 * its result.  The memory context stays.  nulls as for SPI_execute_plan, or
 * NULL.  Raises 55000 if the table has a trigger, 42P01 if there is none.
 */
extern void own_execute(OwnStatement *statement, Datum *values, const char *nulls);

/*
 * The OID of a table (or sequence) of the extension, by its name in schema
 * mediastore; 0 if the extension is not there, or the table is not its.
 */
extern Oid	own_table(const char *name);

/* Who owns the extension's tables; 0 if it is not there. */
extern Oid	own_role(void);

#endif							/* MEDIASTORE_OWN_TABLES_H */
