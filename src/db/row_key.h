/*-------------------------------------------------------------------------
 *
 * row_key.h
 *	  What a table and its rows are called in SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_ROW_KEY_H
#define MEDIASTORE_ROW_KEY_H

#include "utils/rel.h"

/* A table's name, quoted and qualified. */
extern char *table_sql_name(Relation relation);

/*
 * Gives the SQL expression of a row's key, of a table that the query calls t:
 * jsonb, an object of the primary key's columns (as text those of types that
 * are not PostgreSQL's own), or {"ctid": ...} without one.  If the query reads
 * all that inherit from the table, too, it has the row's own as "table" where
 * the key may be another's as well.
 */
extern char *row_key_expression(Relation relation, bool with_children);

#endif							/* MEDIASTORE_ROW_KEY_H */
