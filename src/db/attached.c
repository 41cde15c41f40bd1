/*-------------------------------------------------------------------------
 *
 * attached.c
 *	  Which columns look after themselves, and with what options.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "attached.h"
#include "compat.h"
#include "options.h"

#define TRIGGER_FUNCTION "media_compress_trigger"

AttrNumber
attached_column_number(Relation relation, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);

	return number > 0 ? number : InvalidAttrNumber;
}

bool
attached_is_function(Oid function, const char *expected)
{
	char	   *name = get_func_name(function);
	bool		ours;

	/* the name first: it is cached, the extension is not */
	if (name == NULL)
		return false;
	ours = strcmp(name, expected) == 0;
	pfree(name);
	if (ours)
	{
		Oid			extension = getExtensionOfObject(ProcedureRelationId, function);

		ours = OidIsValid(extension) && extension == get_extension_oid("mediastore", true);
	}
	return ours;
}

bool
attached_is_ours(Oid function)
{
	return attached_is_function(function, TRIGGER_FUNCTION);
}

AttrNumber
attached_number(Relation relation, const Trigger *trigger)
{
	if (!attached_is_ours(trigger->tgfoid))
		return InvalidAttrNumber;
	if (trigger->tgnattr == 1)
		return trigger->tgattr[0];
	if (trigger->tgnargs > 0)
		return attached_column_number(relation, trigger->tgargs[0]);
	return InvalidAttrNumber;
}

void
attached_check_type(Relation relation, AttrNumber number, AttachedColumn *column)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
	const char *name = NameStr(attribute->attname);
	Oid			base = getBaseType(attribute->atttypid);

	if (base != BYTEAOID && base != BYTEAARRAYOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s, not of type bytea or bytea[]",
						name, RelationGetRelationName(relation),
						format_type_be(attribute->atttypid)),
				 errhint("Pictures are kept in columns of type bytea or bytea[], or of domains over them."),
				 errtablecol(relation, number)));
	if (attribute->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("column \"%s\" of relation \"%s\" is a generated column",
						name, RelationGetRelationName(relation)),
				 errhint("Call media_compress in its generation expression."),
				 errtablecol(relation, number)));

	column->is_array = base == BYTEAARRAYOID;
	column->domain = base != attribute->atttypid ? attribute->atttypid : InvalidOid;
}

/* Raises that a trigger's column is not there by the name it was made for. */
_Noreturn static void
missing_column(Relation relation, const Trigger *trigger)
{
	const char *name = trigger->tgargs[0];

	if (trigger->tgnattr == 1)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("trigger \"%s\" of relation \"%s\" is for column \"%s\", but fires on column \"%s\"",
						trigger->tgname, RelationGetRelationName(relation), name,
						NameStr(TupleDescAttr(RelationGetDescr(relation),
											  trigger->tgattr[0] - 1)->attname)),
				 errhint("If the column was renamed, call media_attach with its new name and the options it should have."),
				 errtablecolname(relation, name)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("trigger \"%s\" of relation \"%s\" is for column \"%s\", which does not exist",
					trigger->tgname, RelationGetRelationName(relation), name),
			 errhint("If the column was renamed, call media_detach with its old name and media_attach with its new one; if it was dropped, drop the trigger."),
			 errtablecolname(relation, name)));
}

void
attached_tell_trigger(void *argument)
{
	errcontext("reading the arguments of trigger \"%s\"", (const char *) argument);
}

void
attached_need_column(Relation relation, const Trigger *trigger, const char *function)
{
	if (trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" of relation \"%s\" does not say which column it is for",
						trigger->tgname, RelationGetRelationName(relation)),
				 errhint("The first argument of %s is the name of a column, the others are options as \"name=value\".",
						 function),
				 errtable(relation)));
}

const Trigger *
attached_current(const TriggerDesc *triggers, const Trigger *trigger)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (triggers->triggers[i].tgoid == trigger->tgoid)
			return &triggers->triggers[i];
	}
	return NULL;
}

void
attached_read(Relation relation, const Trigger *trigger, AttachedColumn *column)
{
	ErrorContextCallback callback;

	memset(column, 0, sizeof(*column));
	attached_need_column(relation, trigger, TRIGGER_FUNCTION);

	column->number = attached_column_number(relation, trigger->tgargs[0]);

	/* a new column may have taken a renamed one's name */
	if (column->number == InvalidAttrNumber ||
		(trigger->tgnattr == 1 && trigger->tgattr[0] != column->number))
		missing_column(relation, trigger);
	attached_check_type(relation, column->number, column);

	column->enabled = trigger->tgenabled;

	callback.callback = attached_tell_trigger;
	callback.arg = trigger->tgname;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	compress_options_from_texts(&column->options, trigger->tgargs + 1, trigger->tgnargs - 1);
	error_context_stack = callback.previous;
}

bool
attached_find(Relation relation, const char *name, AttachedColumn *column)
{
	AttrNumber	number = attached_column_number(relation, name);
	TriggerDesc *triggers;
	bool		found = false;

	if (number == InvalidAttrNumber || relation->trigdesc == NULL)
		return false;
	triggers = CopyTriggerDesc(relation->trigdesc);
	for (int i = 0; i < triggers->numtriggers && !found; i++)
	{
		if (attached_number(relation, &triggers->triggers[i]) == number)
		{
			attached_read(relation, &triggers->triggers[i], column);
			found = true;
		}
	}
	FreeTriggerDesc(triggers);
	return found;
}

List *
attached_leaves(Oid relation, LOCKMODE lockmode)
{
	List	   *tree = find_all_inheritors(relation, lockmode, NULL);
	List	   *leaves = NIL;
	ListCell   *cell;

	foreach(cell, tree)
	{
		Oid			member = lfirst_oid(cell);

		if (get_rel_relkind(member) == RELKIND_RELATION &&
			!isOtherTempNamespace(get_rel_namespace(member)))
			leaves = lappend_oid(leaves, member);
	}
	list_free(tree);
	return leaves;
}
