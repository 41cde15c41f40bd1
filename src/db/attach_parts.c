/*-------------------------------------------------------------------------
 *
 * attach_parts.c
 *	  What attaching a column takes, whatever the trigger is for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "attach_parts.h"
#include "compat.h"

char *
attach_message_name(Oid relation)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));
	char	   *name = get_rel_name(relation);

	return psprintf("%s.%s", schema ? schema : "?", name ? name : "?");
}

const char *
attach_sql_name(Oid relation)
{
	const char *name = get_rel_name(relation);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

void
attach_run(const char *format,...)
{
	StringInfoData command;
	int			result;

	initStringInfo(&command);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&command, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&command, needed);
	}

	SPI_connect();
	result = SPI_execute(command.data, false, 0);
	if (result != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\": %s", command.data, SPI_result_code_string(result));
	SPI_finish();
	pfree(command.data);
}

Relation
attach_open_member(Oid member, LOCKMODE lockmode)
{
	Relation	relation = try_relation_open(member, lockmode);

	if (relation == NULL)
		return NULL;
	if (!relation_ownercheck(member, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	if (RELATION_IS_OTHER_TEMP(relation) ||
		(relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE && !relation->rd_rel->relispartition))
	{
		relation_close(relation, lockmode);
		return NULL;
	}
	return relation;
}

bool
attach_gets_clone(Oid member, Oid root)
{
	return member != root && get_rel_relispartition(member);
}

void
attach_inherited_trigger(Relation relation, const char *trigger, const char *function)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("trigger \"%s\" of partition \"%s\" is inherited from its parent",
					trigger, RelationGetRelationName(relation)),
			 errhint("Call %s for the partitioned table.", function),
			 errtable(relation)));
}

bool
attach_is_enabled(const Trigger *trigger)
{
	return trigger->tgenabled != TRIGGER_DISABLED &&
		trigger->tgenabled != TRIGGER_FIRES_ON_REPLICA;
}

char *
attach_free_name(const char *prefix, const char *column, const List *relations)
{
	for (int i = 0;; i++)
	{
		char	   *name = makeObjectName(prefix, column,
										  i == 0 ? NULL : psprintf("%d", i));
		bool		taken = false;
		ListCell   *cell;

		CHECK_FOR_INTERRUPTS();
		foreach(cell, relations)
			taken = taken || OidIsValid(get_trigger_oid(lfirst_oid(cell), name, true));
		if (!taken)
			return name;
	}
}
