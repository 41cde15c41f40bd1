/*-------------------------------------------------------------------------
 *
 * own_tables.c
 *	  The extension's own tables, read and written as their owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

#include "compat.h"
#include "own_tables.h"

/* What this session has looked up; the name of an unused place is empty. */
typedef struct KnownTable
{
	NameData	name;
	Oid			oid;
} KnownTable;

static KnownTable known_tables[16];

/* Counts what has been forgotten, for who looks up meanwhile. */
static uint64 forgotten = 0;

/* A relation has changed, or is gone, or all may have (0). */
static void
forget_tables(Datum argument pg_attribute_unused(), Oid relation)
{
	forgotten++;
	for (size_t i = 0; i < lengthof(known_tables); i++)
	{
		if (!OidIsValid(relation) || known_tables[i].oid == relation)
			known_tables[i].oid = InvalidOid;
	}
}

/* The place of a name, or one that is unused; NULL if there is none. */
static KnownTable *
place_of(const char *name)
{
	for (size_t i = 0; i < lengthof(known_tables); i++)
	{
		KnownTable *known = &known_tables[i];

		if (NameStr(known->name)[0] == '\0')
			namestrcpy(&known->name, name);
		if (strcmp(NameStr(known->name), name) == 0)
			return known;
	}
	return NULL;
}

/*
 * Finds a table by its name; that it is the extension's is asked of the
 * catalog, for the schema may be anybody's where the extension is not.
 */
static Oid
find_table(const char *name)
{
	Oid			schema = get_namespace_oid("mediastore", true);
	Oid			table = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	Oid			extension;

	if (!OidIsValid(table))
		return InvalidOid;
	extension = getExtensionOfObject(RelationRelationId, table);
	if (!OidIsValid(extension) || extension != get_extension_oid("mediastore", true))
		return InvalidOid;
	return table;
}

Oid
own_table(const char *name)
{
	static bool registered = false;
	KnownTable *known;
	uint64		forgotten_before;
	Oid			table;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_tables, (Datum) 0);
		registered = true;
	}
	known = place_of(name);
	if (known != NULL && OidIsValid(known->oid))
		return known->oid;

	forgotten_before = forgotten;
	table = find_table(name);
	if (known != NULL && forgotten == forgotten_before)
		known->oid = table;
	return table;
}

Oid
own_role(void)
{
	Oid			table = own_table("object");
	HeapTuple	tuple = OidIsValid(table) ?
		SearchSysCache1(RELOID, ObjectIdGetDatum(table)) : NULL;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

_Noreturn static void
missing_table(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table \"mediastore.%s\" does not exist", name),
			 errhint("It is part of the extension mediastore.")));
}

/* Raises if a table has a trigger; until the transaction ends, it gets none. */
static void
refuse_triggers(const char *name)
{
	Oid			table = own_table(name);
	Relation	relation = OidIsValid(table) ? try_table_open(table, RowExclusiveLock) : NULL;
	const TriggerDesc *triggers;

	if (relation == NULL)
		missing_table(name);
	triggers = relation->trigdesc;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (!triggers->triggers[i].tgisinternal)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"mediastore.%s\" has trigger \"%s\"",
							RelationGetRelationName(relation), triggers->triggers[i].tgname),
					 errdetail("It would run with the rights of the table's owner.")));
	}
	table_close(relation, NoLock);
}

static void
prepare(OwnStatement *statement)
{
	SPIPlanPtr	plan = SPI_prepare(statement->text, statement->count, statement->types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->text,
			 SPI_result_code_string(SPI_result));
	statement->plan = plan;
}

void
own_execute(OwnStatement *statement, Datum *values, const char *nulls)
{
	MemoryContext memory = CurrentMemoryContext;
	Oid			owner = own_role();
	Oid			user;
	int			context;
	int			result;

	if (!OidIsValid(owner))
		missing_table("object");
	if (statement->table != NULL)
		refuse_triggers(statement->table);

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	if (statement->plan == NULL)
		prepare(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result != statement->result)
		elog(ERROR, "could not execute \"%s\": %s", statement->text, SPI_result_code_string(result));
	SetUserIdAndSecContext(user, context);
	MemoryContextSwitchTo(memory);
}
