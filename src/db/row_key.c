/*-------------------------------------------------------------------------
 *
 * row_key.c
 *	  What a row is called when it is told of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"

#include "compat.h"
#include "row_key.h"

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
		const char *name = NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname);

		appendStringInfo(&text, "%s%s::pg_catalog.text, t.%s", text.len == 0 ? "" : ", ",
						 quote_literal_cstr(name), quote_identifier(name));
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
