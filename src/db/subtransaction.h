/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Work that may fail by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_SUBTRANSACTION_H
#define MEDIASTORE_SUBTRANSACTION_H

/*
 * Does work in a subtransaction.  True if it came to its end; else *error is
 * what it raised, in the current memory context.  What is not work's fault
 * (a cancel) is raised again.
 */
extern bool subtransaction_try(void (*work) (void *context), void *context, ErrorData **error);

/*
 * The same for work that may run users' functions: after so many milliseconds
 * it is cancelled, and *error is 57014.  Of a long message the beginning is left.
 */
extern bool subtransaction_try_within(int milliseconds, void (*work) (void *context), void *context,
									  ErrorData **error);

#endif							/* MEDIASTORE_SUBTRANSACTION_H */
