/*-------------------------------------------------------------------------
 *
 * worker_shmem.c
 *	  What backends, the launcher and the workers know of each other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "worker_shmem.h"

#define TRANCHE "mediastore"

/* Rest of a database whose worker has failed: doubled each time. */
#define FIRST_REST	(5 * USECS_PER_SEC)
#define LONGEST_REST	(60 * USECS_PER_SEC)

typedef struct WorkerShared
{
	int			launcher;		/* process id, or 0 */
	bool		overflow;		/* a database could not be noted */
	bool		no_process;
	bool		crowded;
	int			used;			/* no slot from here on is in use */
	WorkerSlot	slots[WORKER_SLOTS];
} WorkerShared;

static WorkerShared *shared = NULL;
static LWLock *lock = NULL;
static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;

/* of a worker: its own slot, while it is in it */
static WorkerSlot *my_slot = NULL;

/* --- shared memory ----------------------------------------------------- */

static void
request_shmem(void)
{
	if (next_request_hook != NULL)
		next_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WorkerShared)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
start_shmem(void)
{
	bool		found;

	if (next_startup_hook != NULL)
		next_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = (WorkerShared *) ShmemInitStruct("mediastore", sizeof(WorkerShared), &found);
	if (!found)
		memset(shared, 0, sizeof(*shared));
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
worker_shmem_init(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
}

bool
worker_shmem_exists(void)
{
	return shared != NULL;
}

/* --- with the lock held ------------------------------------------------ */

static WorkerSlot *
find_slot(Oid database)
{
	for (int i = 0; i < shared->used; i++)
	{
		if (shared->slots[i].database == database)
			return &shared->slots[i];
	}
	return NULL;
}

/* Whether nothing would be lost with a slot. */
static bool
is_spare(const WorkerSlot *slot)
{
	return slot->phase == WORKER_NONE && slot->blocked == 0 && !slot->wanted &&
		!slot->has_extension;
}

static void
clear_slot(WorkerSlot *slot)
{
	uint32		number = slot->number;

	memset(slot, 0, sizeof(*slot));
	slot->number = number;
	while (shared->used > 0 && shared->slots[shared->used - 1].database == InvalidOid)
		shared->used--;
}

/* The slot of a database, made if need be; NULL if there is none free. */
static WorkerSlot *
make_slot(Oid database)
{
	WorkerSlot *slot = find_slot(database);

	if (slot != NULL)
		return slot;
	for (int i = 0; i < WORKER_SLOTS; i++)
	{
		if (i < shared->used && shared->slots[i].database != InvalidOid &&
			!is_spare(&shared->slots[i]))
			continue;
		slot = &shared->slots[i];
		clear_slot(slot);
		slot->database = database;
		shared->used = Max(shared->used, i + 1);
		return slot;
	}
	return NULL;
}

static void
want(WorkerSlot *slot)
{
	if (!slot->wanted)
	{
		slot->wanted = true;
		slot->wanted_since = GetCurrentTimestamp();
	}
}

/* The database rests, the longer the more often it has failed. */
static void
fail(WorkerSlot *slot)
{
	TimestampTz rest = FIRST_REST;

	for (int i = 0; i < slot->failures && rest < LONGEST_REST; i++)
		rest *= 2;
	slot->failures++;
	slot->not_before = GetCurrentTimestamp() + Min(rest, LONGEST_REST);
	if (slot->message[0] == '\0')
		strlcpy(slot->message, "the worker ended before its time: see the server's log",
				sizeof(slot->message));
}

static void
forget_failures(WorkerSlot *slot)
{
	slot->failures = 0;
	slot->not_before = 0;
	slot->message[0] = '\0';
}

/* --- waking ------------------------------------------------------------ */

/* Without the lock: a process that has gone meanwhile is not woken. */
static void
wake_process(int pid)
{
	PGPROC	   *process;

	if (pid == 0)
		return;
	process = BackendPidGetProc(pid);
	if (process != NULL)
		SetLatch(&process->procLatch);
}

static void
wake_launcher(void)
{
	int			pid;

	LWLockAcquire(lock, LW_SHARED);
	pid = shared->launcher;
	LWLockRelease(lock);
	wake_process(pid);
}

/* --- for everybody ----------------------------------------------------- */

void
worker_want(Oid database, bool hurry)
{
	WorkerSlot *slot;
	int			pid = 0;

	if (shared == NULL || !OidIsValid(database))
		return;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = make_slot(database);
	if (slot == NULL)
	{
		shared->overflow = true;
		pid = shared->launcher;
	}
	else if (!slot->wanted || hurry)
	{
		/* else whoever has made it so has woken them */
		want(slot);
		if (hurry && slot->failures == 0)
			slot->not_before = 0;
		pid = slot->phase == WORKER_RUNNING ? slot->pid : shared->launcher;
	}
	LWLockRelease(lock);
	wake_process(pid);
}

bool
worker_look(Oid database, WorkerSlot *slot)
{
	WorkerSlot *found;

	if (shared == NULL)
		return false;
	LWLockAcquire(lock, LW_SHARED);
	found = find_slot(database);
	if (found != NULL)
		*slot = *found;
	LWLockRelease(lock);
	return found != NULL;
}

int
worker_launcher(bool *no_process)
{
	int			pid;

	*no_process = false;
	if (shared == NULL)
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	pid = shared->launcher;
	*no_process = shared->no_process;
	LWLockRelease(lock);
	return pid;
}

bool
worker_block(Oid database)
{
	WorkerSlot *slot;

	if (shared == NULL)
		return false;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = make_slot(database);
	if (slot != NULL)
	{
		slot->blocked++;
		if (slot->pid != 0)
		{
			/* it takes its process id away under this lock before it ends */
			slot->sent_away = true;
			want(slot);
			(void) kill(slot->pid, SIGTERM);
		}
	}
	LWLockRelease(lock);
	return slot != NULL;
}

bool
worker_is_there(Oid database)
{
	WorkerSlot *slot;
	bool		is_there;

	if (shared == NULL)
		return false;
	LWLockAcquire(lock, LW_SHARED);
	slot = find_slot(database);
	is_there = slot != NULL && slot->pid != 0;
	LWLockRelease(lock);
	return is_there;
}

void
worker_unblock(Oid database, bool gone)
{
	WorkerSlot *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(database);
	if (slot != NULL && slot->blocked > 0)
	{
		slot->blocked--;
		if (gone && slot->phase == WORKER_STARTING)
		{
			/* it is not let in */
			slot->number++;
			slot->phase = WORKER_NONE;
		}
		if (slot->blocked == 0 && slot->phase == WORKER_NONE && (gone || is_spare(slot)))
			clear_slot(slot);
	}
	LWLockRelease(lock);
	wake_launcher();
}

/* --- for the launcher -------------------------------------------------- */

/* before_shmem_exit */
static void
forget_launcher(int code pg_attribute_unused(), Datum argument pg_attribute_unused())
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (shared->launcher == MyProcPid)
		shared->launcher = 0;
	LWLockRelease(lock);
}

void
worker_launcher_begin(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	shared->launcher = MyProcPid;
	shared->no_process = false;
	shared->crowded = false;
	shared->overflow = false;

	/*
	 * What an earlier launcher has registered may come yet, or never; with
	 * another number, it is not let in.
	 */
	for (int i = 0; i < shared->used; i++)
	{
		if (shared->slots[i].phase == WORKER_STARTING)
		{
			shared->slots[i].number++;
			shared->slots[i].phase = WORKER_NONE;
			want(&shared->slots[i]);
		}
	}
	LWLockRelease(lock);
	before_shmem_exit(forget_launcher, (Datum) 0);
}

bool
worker_take_overflow(void)
{
	bool		overflow;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	overflow = shared->overflow;
	shared->overflow = false;
	LWLockRelease(lock);
	return overflow;
}

void
worker_set_no_process(bool no_process)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	shared->no_process = no_process;
	LWLockRelease(lock);
}

void
worker_set_crowded(bool crowded)
{
	int			pids[WORKER_SLOTS];
	int			count = 0;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (crowded && !shared->crowded)
	{
		/* those who only linger need not wait for their time */
		for (int i = 0; i < shared->used; i++)
		{
			if (shared->slots[i].phase == WORKER_RUNNING)
				pids[count++] = shared->slots[i].pid;
		}
	}
	shared->crowded = crowded;
	LWLockRelease(lock);
	while (count > 0)
		wake_process(pids[--count]);
}

bool
worker_slot_copy(int index, WorkerSlot *slot)
{
	bool		found;

	LWLockAcquire(lock, LW_SHARED);
	found = index < shared->used && shared->slots[index].database != InvalidOid;
	if (found)
		*slot = shared->slots[index];
	LWLockRelease(lock);
	return found;
}

void
worker_slot_free(int index)
{
	WorkerSlot *slot = &shared->slots[index];

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->phase == WORKER_NONE && slot->blocked == 0)
		clear_slot(slot);
	LWLockRelease(lock);
}

uint32
worker_slot_start(int index)
{
	WorkerSlot *slot = &shared->slots[index];
	uint32		number = 0;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->database != InvalidOid && slot->phase == WORKER_NONE && slot->blocked == 0)
	{
		slot->phase = WORKER_STARTING;
		slot->sent_away = false;
		slot->number++;
		if (slot->number == 0)
			slot->number = 1;
		number = slot->number;
	}
	LWLockRelease(lock);
	return number;
}

void
worker_slot_ended(int index, uint32 number, bool failed)
{
	WorkerSlot *slot = &shared->slots[index];

	LWLockAcquire(lock, LW_EXCLUSIVE);
	/* had it got as far as the slot, it would have left it itself */
	if (slot->number == number && slot->phase == WORKER_STARTING)
	{
		slot->phase = WORKER_NONE;
		want(slot);
		if (failed)
			fail(slot);
	}
	LWLockRelease(lock);
}

/* --- for a worker ------------------------------------------------------ */

/* before_shmem_exit: gives the slot back; what has not been said is a failure. */
static void
detach(int code pg_attribute_unused(), Datum argument pg_attribute_unused())
{
	WorkerSlot *slot = my_slot;

	if (slot == NULL)
		return;
	my_slot = NULL;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->phase != WORKER_LEAVING)
	{
		want(slot);
		if (!slot->sent_away)
			fail(slot);
	}
	slot->phase = WORKER_NONE;
	slot->pid = 0;
	LWLockRelease(lock);
	wake_launcher();
}

bool
worker_attach(int index, uint32 number)
{
	WorkerSlot *slot;
	bool		attached = false;

	if (shared == NULL || index < 0 || index >= WORKER_SLOTS)
		return false;
	slot = &shared->slots[index];

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (slot->number == number && slot->phase == WORKER_STARTING)
	{
		if (slot->blocked > 0)
			slot->phase = WORKER_NONE;
		else
		{
			slot->phase = WORKER_LOOKING;
			slot->pid = MyProcPid;
			attached = true;
		}
	}
	LWLockRelease(lock);

	if (attached)
	{
		my_slot = slot;
		before_shmem_exit(detach, (Datum) 0);
	}
	return attached;
}

void
worker_found_extension(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_slot->has_extension = true;
	my_slot->phase = WORKER_RUNNING;
	LWLockRelease(lock);
	wake_launcher();
}

bool
worker_begin_round(void)
{
	bool		wanted;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wanted = my_slot->wanted;
	my_slot->wanted = false;
	my_slot->next_due = 0;
	LWLockRelease(lock);
	return wanted;
}

bool
worker_is_crowded(void)
{
	bool		crowded;

	LWLockAcquire(lock, LW_SHARED);
	crowded = shared->crowded;
	LWLockRelease(lock);
	return crowded;
}

void
worker_is_healthy(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	forget_failures(my_slot);
	LWLockRelease(lock);
}

void
worker_tell_failure(const char *message)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	strlcpy(my_slot->message, message, sizeof(my_slot->message));
	LWLockRelease(lock);
}

bool
worker_leave(WorkerLeaving how, TimestampTz next_due)
{
	bool		leaving;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	leaving = how != LEAVE_IF_UNWANTED || !my_slot->wanted;
	if (leaving)
	{
		forget_failures(my_slot);
		my_slot->phase = WORKER_LEAVING;
		my_slot->next_due = next_due;
		my_slot->wanted = false;
		if (how == LEAVE_MORE)
			want(my_slot);
		else if (how == LEAVE_TO_ANOTHER)
			my_slot->not_before = next_due;
	}
	LWLockRelease(lock);
	return leaving;
}

void
worker_leave_forever(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	my_slot->phase = WORKER_LEAVING;
	my_slot->has_extension = false;
	my_slot->next_due = 0;
	forget_failures(my_slot);
	LWLockRelease(lock);
}
