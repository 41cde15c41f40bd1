/*-------------------------------------------------------------------------
 *
 * row_key.c
 *	  What a table and its rows are called in SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "row_key.h"

char *
table_sql_name(Relation relation)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
									  RelationGetRelationName(relation));
}

/*
 * Adds a column.  JSON asks for casts of types that are not PostgreSQL's own,
 * and these would run functions of others'; so those are shown as text, for
 * which only a type's output function is asked.
 */
static void
add_column(StringInfo text, Form_pg_attribute attribute)
{
	const char *name = NameStr(attribute->attname);
	bool		is_known = getBaseType(attribute->atttypid) < FirstNormalObjectId;

	appendStringInfo(text, "%s%s::pg_catalog.text, ", text->len == 0 ? "" : ", ",
					 quote_literal_cstr(name));
	appendStringInfo(text, is_known ? "t.%s" : "pg_catalog.format('%%s', t.%s)",
					 quote_identifier(name));
}

char *
row_key_expression(Relation relation, bool with_children)
{
	Bitmapset  *columns = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	bool		has_key = !bms_is_empty(columns);
	StringInfoData text;
	int			member = -1;

	initStringInfo(&text);
	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber	number = (AttrNumber) (member + FirstLowInvalidHeapAttributeNumber);

		add_column(&text, TupleDescAttr(RelationGetDescr(relation), number - 1));
	}
	bms_free(columns);
	if (!has_key)
		appendStringInfoString(&text, "'ctid'::pg_catalog.text, t.ctid");

	/* a key is one for all partitions, but not for all who inherit */
	if (with_children && relation->rd_rel->relhassubclass &&
		!(has_key && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE))
		appendStringInfoString(&text, ", 'table'::pg_catalog.text, t.tableoid::pg_catalog.regclass");
	return psprintf("pg_catalog.jsonb_build_object(%s)", text.data);
}
