/*-------------------------------------------------------------------------
 *
 * import.c
 *	  media_import: files of a folder into a column.
 *
 * What has data is left alone; that is what makes an import resumable.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "attached.h"
#include "compat.h"
#include "file.h"
#include "run.h"

PG_FUNCTION_INFO_V1(media_import);

/* An import, beyond what every run has. */
typedef struct Import
{
	int			folder;			/* descriptor */
	const char *path_column;
	bool		dry_run;
	bool		has_told;		/* that files are not compressed */
	/* of the table at hand */
	bool		is_array;
	bool		is_compressed;	/* by the column's trigger */
	ImageCompressOptions options;	/* of that */
} Import;

/* Whether a type is of texts, or of arrays of these; domains over them too. */
static bool
is_text(Oid type, bool is_array)
{
	char		category;
	bool		is_preferred;

	type = getBaseType(type);
	if (is_array)
	{
		type = get_element_type(type);
		if (!OidIsValid(type))
			return false;
		type = getBaseType(type);
	}
	get_type_category_preferred(type, &category, &is_preferred);
	return category == TYPCATEGORY_STRING;
}

/* RunKind's look */
static bool
look(Run *run, Relation table, int elevel pg_attribute_unused(), RunQuery *query)
{
	Import	   *import = (Import *) run->context;
	AttrNumber	path_number = run_column_number(table, import->path_column);
	AttrNumber	data_number = run_column_number(table, run->column);
	Oid			path_type = TupleDescAttr(RelationGetDescr(table), path_number - 1)->atttypid;
	const char *path = quote_identifier(import->path_column);
	const char *data = quote_identifier(run->column);
	AttachedColumn column = {0};

	attached_check_type(table, data_number, &column);
	import->is_array = column.is_array;
	if (!is_text(path_type, column.is_array))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s, not of type %s",
						import->path_column, RelationGetRelationName(table),
						format_type_be(path_type), column.is_array ? "text[]" : "text"),
				 errdetail("Column \"%s\" is of type %s.", run->column,
						   column.is_array ? "bytea[]" : "bytea")));

	import->is_compressed = attached_find(table, run->column, &column) && run_trigger_fires(column.enabled);
	import->options = column.options;
	if (!import->is_compressed && !import->has_told)
	{
		ereport(NOTICE,
				(errmsg("column \"%s\" of relation \"%s\" is not attached: files are stored as they are",
						run->column, RelationGetRelationName(table)),
				 errhint("To have pictures compressed, call media_attach for it first.")));
		import->has_told = true;
	}

	memset(query, 0, sizeof(*query));
	query->possible = psprintf("t.%s IS NOT NULL", path);
	if (column.is_array)
	{
		query->value = psprintf("t.%s::pg_catalog.text[]", path);
		query->argument = BYTEAARRAYOID;

		/*
		 * all but the smallest have elements, and are not to be fetched to be
		 * counted
		 */
		query->condition = psprintf("pg_catalog.cardinality(%s) OPERATOR(pg_catalog.>) 0"
									" AND (t.%s IS NULL OR CASE"
									" WHEN pg_catalog.pg_column_size(t.%s) OPERATOR(pg_catalog.>=) 24 THEN false"
									" ELSE pg_catalog.cardinality(t.%s) OPERATOR(pg_catalog.=) 0 END)",
									query->value, data, data, data);
	}
	else
	{
		query->value = psprintf("t.%s::pg_catalog.text", path);
		query->argument = BYTEAOID;
		query->condition = psprintf("t.%s IS NOT NULL AND t.%s IS NULL", path, data);
	}
	query->assignment = pstrdup("$2");
	return true;
}

/* Reads a file, or only looks at it.  Adds its length to *total. */
static Datum
take_file(const Import *import, Datum path, uint64 *total)
{
	char	   *name = TextDatumGetCString(path);
	bytea	   *data = NULL;

	if (import->dry_run)
		*total += file_check(import->folder, name, import->is_compressed ? &import->options : NULL);
	else
	{
		data = file_read(import->folder, name);
		*total += VARSIZE(data) - VARHDRSZ;
	}
	pfree(name);
	return PointerGetDatum(data);
}

/* The files of an array of paths, as an array with the same subscripts. */
static Datum
take_files(Run *run, ArrayType *paths, uint64 *total)
{
	Import	   *import = (Import *) run->context;
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	if (ARR_NDIM(paths) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of paths has %d dimensions", ARR_NDIM(paths))));
	deconstruct_array(paths, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			continue;
		CHECK_FOR_INTERRUPTS();
		run->in_element = true;
		run->element = ARR_LBOUND(paths)[0] + i;
		elements[i] = take_file(import, elements[i], total);

		/* sooner than the array itself would say so, and take no more memory */
		if (*total > MaxAllocSize)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("files are too large for an array: more than %zu bytes",
							(size_t) MaxAllocSize)));
	}
	run->in_element = false;
	if (import->dry_run)
		return (Datum) 0;
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &count, ARR_LBOUND(paths),
											  BYTEAOID, -1, false, TYPALIGN_INT));
}

/* RunKind's work */
static void
work(Run *run, Datum value, uint64 *before, uint64 *after)
{
	const Import *import = (const Import *) run->context;
	Datum		data;

	*before = 0;
	data = import->is_array ? take_files(run, DatumGetArrayTypeP(value), before) :
		take_file(import, value, before);
	if (!import->dry_run)
		*after = run_update(run, data);
}

static const RunKind import_kind = {
	.operation = "import",
	.family = "import",
	.done = "imported",
	.writes = true,
	.look = look,
	.work = work
};

static const RunKind dry_run_kind = {
	.operation = "import (dry run)",
	.family = "import",
	.done = "could be imported",
	.writes = false,
	.look = look,
	.work = work
};

/* media_import(regclass, name, name, text, int, boolean) */
Datum
media_import(PG_FUNCTION_ARGS)
{
	Run			run = {0};
	Import		import = {0};

	for (int i = 0; i < 6; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments of media_import must not be null")));
	}

	run_connect(fcinfo, "media_import");
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files of the server"),
				 errdetail("Only roles with privileges of the \"%s\" role may call media_import.",
						   "pg_read_server_files"),
				 errhint("Where the files are elsewhere, send them with INSERT or UPDATE from there.")));

	import.path_column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	import.dry_run = PG_GETARG_BOOL(5);
	run.kind = import.dry_run ? &dry_run_kind : &import_kind;
	run.relation = PG_GETARG_OID(0);
	run.column = pstrdup(NameStr(*PG_GETARG_NAME(2)));
	run.batch_size = PG_GETARG_INT32(4);
	run.context = &import;
	run_check(run.relation, run.batch_size);

	import.folder = file_open_folder(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	PG_TRY();
	{
		run_execute(&run);
	}
	PG_FINALLY();
	{
		file_close_folder(import.folder);
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}
