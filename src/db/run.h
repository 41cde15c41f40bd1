/*-------------------------------------------------------------------------
 *
 * run.h
 *	  A long run over the rows of a table: what backfill, import and
 *	  media_push_existing share.
 *
 * The tables of a tree are scanned for the rows that there is something to do
 * for, whose places (ctid) are kept in memory; then these are worked off, so
 * many at a time with a commit each.  No row is waited for: one that is locked
 * is passed over, and looked for again at the end, as is one that has moved.
 * What fails is recorded and passed over.  Nothing else is remembered: what is
 * left to do is what the next scan finds, after whatever end.
 *
 * run_scan.c looks for what there is to do, run.c does it, run_record.c writes
 * down (mediastore.run, mediastore.failed_row).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_RUN_H
#define MEDIASTORE_RUN_H

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

typedef struct Run Run;

/*
 * What a run asks of a table: SQL in which every name is qualified, those of
 * the table's columns by t.
 */
typedef struct RunQuery
{
	char	   *condition;		/* of rows that there is something to do for */
	char	   *possible;		/* the same as far as can be told without
								 * reading a value */
	char	   *value;			/* what is needed of such a row */
	char	   *assignment;		/* what the column is set to; $2 is
								 * run_update's */
	Oid			argument;		/* type of $2, or 0: there is none */
} RunQuery;

typedef struct RunKind
{
	const char *operation;		/* as recorded, and as NOTICEs begin */
	const char *family;			/* how the operations begin whose failures it
								 * tries again */
	const char *done;			/* what has been done to rows: "rewritten" */
	bool		writes;			/* else it only looks: rows are not locked */

	/*
	 * Looks at a table, which is locked, at the start of a run and of each
	 * batch.  Fills in the query, in the current memory context.  If nothing
	 * can be done with the table, reports that at elevel; if that is less
	 * than ERROR, returns false.
	 */
	bool		(*look) (Run *run, Relation table, int elevel, RunQuery *query);

	/*
	 * Does one row, in a subtransaction and a memory context of its own; what
	 * it raises is recorded as that row's failure.  Tells the sizes before
	 * and after.
	 */
	void		(*work) (Run *run, Datum value, uint64 *before, uint64 *after);
} RunKind;

/* How far a run is. */
typedef struct RunCounts
{
	uint64		total;			/* rows that were found */
	uint64		done;			/* of them, that have been visited */
	uint64		changed;		/* by this run */
	uint64		failed;
	uint64		locked;			/* by others, when last tried */
	uint64		before;			/* bytes of the changed ones */
	uint64		after;
} RunCounts;

/* What is written down of a run; private to run_record.c but for the first two. */
typedef struct RunRecord
{
	int32		id;
	TimestampTz started_at;
	Oid			table;			/* mediastore.run */
	Datum		others;			/* int4[]: the runs that were under way when
								 * it began */
	bool		locked;
} RunRecord;

struct Run
{
	/* for the caller to fill in; the rest zero */
	const RunKind *kind;
	Oid			relation;
	const char *column;			/* the one that is written */
	int32		batch_size;
	void	   *context;		/* the kind's own */

	/* for work to set: the array element at hand; reset for each row */
	bool		in_element;
	int32		element;

	/* private */
	char	   *label;			/* public.users.photo */
	RunRecord	record;
	RunCounts	counts;
	TimestampTz scanned_at;
	List	   *tables;			/* of RunTable */
	bool		missed;			/* a row was not where it had been found */
	MemoryContext memory;		/* for as long as it takes */
	MemoryContext batch_memory;
	MemoryContext row_memory;
	struct RunBatch *batch;
};

/*
 * Checks that a procedure may commit, and connects to SPI so that it can.
 * Raises 25001 (active_sql_transaction), 25006 (read_only_sql_transaction).
 */
extern void run_connect(FunctionCallInfo fcinfo, const char *procedure);

/*
 * Raises unless the relation is a table that the caller owns: 42P01, 42501, 42809
 * (wrong_object_type), 0A000 for another session's; and 22023 for a batch_size
 * less than 1.
 */
extern void run_check(Oid relation, int32 batch_size);

/*
 * Does all of it, commits, tells of its progress by NOTICEs and says what came
 * out.  Raises what the kind's look does, and what ends a whole run: cancel,
 * shutdown, no space, serialization failures.  Batches that were finished stay.
 */
extern void run_execute(Run *run);

/*
 * All of the above, for a procedure whose arguments are a relation, a column and
 * a batch_size.  Raises 22004 if one of them is null.
 */
extern void run_procedure(FunctionCallInfo fcinfo, const char *procedure, const RunKind *kind,
						  void *context);

/*
 * For work: sets the column of the row at hand by the query's assignment.
 * Returns the raw size of what is stored now.  Raises 55000 if no row was
 * updated.
 */
extern uint64 run_update(Run *run, Datum argument);

/* The number of a table's column; raises 42703 (undefined_column) if there is none. */
extern AttrNumber run_column_number(Relation table, const char *name);

/* Whether a trigger with that tgenabled fires in this session. */
extern bool run_trigger_fires(char enabled);

/* The bytes of a bytea or a bytea[] before TOAST compressed it; nothing is fetched. */
extern uint64 run_raw_size(Datum datum);

/*
 * Whether an error is not of a row but of all that is done here: an end that
 * was asked for, a deadlock, a lack of what the server needs.  Memory is not
 * in it: that is what a codec process lacks for one picture.
 */
extern bool run_ends_by(int sqlstate);

/* --- run_scan.c: for run.c --------------------------------------------- */

/* A table of the tree, and where its rows are that were found. */
typedef struct RunTable
{
	Oid			oid;
	ItemPointerData *places;
	uint64		count;
	uint64		capacity;
	bool		unsure;			/* all that there could be something to do for */
} RunTable;

/* Finds the tables of the tree that something can be done with: run->tables. */
extern void run_find_tables(Run *run);

/*
 * Finds the rows that there is something to do for, in a transaction for each
 * table.  If a value can't be read, as happens where a disk is damaged, all of
 * its table are found that there could be something to do for: visited one by
 * one, it is but a failed row.  Returns their number.
 */
extern uint64 run_scan(Run *run);

/*
 * Opens a table of the tree again.  NULL if it is gone: of a tree, a part may
 * be dropped meanwhile.
 */
extern Relation run_open_table(const Run *run, Oid table, LOCKMODE lockmode);

/*
 * Commits, and begins another transaction.  Each statement of that is to see
 * what others have done, whatever the session's default is.
 */
extern void run_commit(void);

/* --- run_record.c: to be called with SPI connected --------------------- */

/*
 * Writes down that a run begins, and takes the lock that tells others that it
 * is under way.  What belongs to dropped tables is swept out by the way.
 * Raises, as do all of these, 55000 if one of the tables has a trigger.
 */
extern void record_begin(RunRecord *record, const char *operation, Oid relation,
						 const char *column);

/* Writes down how far it is.  scanned_at is 0 as long as the total is not known. */
extern void record_progress(const RunRecord *record, const RunCounts *counts,
							TimestampTz scanned_at);

extern void record_finish(const RunRecord *record);

/* Lets go of the lock, if it is held; allowed while an error is handled. */
extern void record_release(RunRecord *record);

/*
 * Says whether a row has failed before, and whether that was tried while this
 * run was under way, by whichever run.
 */
extern bool record_find_failure(const RunRecord *record, Oid table, const char *column,
								Datum key, bool *tried);

/* Writes down that a row has failed. */
extern void record_failure(const RunRecord *record, Oid table, const char *column, Datum key,
						   bool in_element, int32 element, const ErrorData *error);

extern void record_forget_failure(Oid table, const char *column, Datum key);

/*
 * Forgets the failures of a table's column that were not found again: those of
 * this family of operations, of runs that had ended when this one began.
 */
extern void record_forget_old(const RunRecord *record, Oid table, const char *column,
							  const char *family);

#endif							/* MEDIASTORE_RUN_H */
