/*-------------------------------------------------------------------------
 *
 * result_type.h
 *	  The composite type that a function returns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_RESULT_TYPE_H
#define MEDIASTORE_RESULT_TYPE_H

#include "access/tupdesc.h"
#include "fmgr.h"

/*
 * The descriptor of the composite type that the function returns, which has so
 * many columns.  It is kept in fn_extra: to look it up takes longer than what
 * the function does.
 */
extern TupleDesc result_type(FunctionCallInfo fcinfo, int columns);

#endif							/* MEDIASTORE_RESULT_TYPE_H */
