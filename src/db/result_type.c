/*-------------------------------------------------------------------------
 *
 * result_type.c
 *	  The composite type that a function returns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"

#include "compat.h"
#include "result_type.h"

TupleDesc
result_type(FunctionCallInfo fcinfo, int columns)
{
	TupleDesc	descriptor = (TupleDesc) fcinfo->flinfo->fn_extra;

	if (descriptor == NULL)
	{
		MemoryContext old;

		if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE ||
			descriptor->natts != columns)
			elog(ERROR, "function with OID %u must return a type of %d columns",
				 fcinfo->flinfo->fn_oid, columns);
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		descriptor = BlessTupleDesc(CreateTupleDescCopy(descriptor));
		MemoryContextSwitchTo(old);
		fcinfo->flinfo->fn_extra = descriptor;
	}
	return descriptor;
}
