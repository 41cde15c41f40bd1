/*-------------------------------------------------------------------------
 *
 * sandbox.c
 *	  How a helper process ties its life to its parent's and locks itself in.
 *
 * What the libraries need once they are loaded and warm is little: memory,
 * the clock, the socket and an end.  The filter leaves that; anything else
 * kills the process, which its parent sees as SIGSYS.  The limits hold where
 * there is no filter.
 *
 * A build for the sanitizers or for coverage (MEDIASTORE_UNSEALED) leaves out
 * what would keep their runtimes from reporting: the filter, the limits of
 * memory, descriptors and files, and the ban on tracing.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef MEDIASTORE_UNSEALED
#define SEALED true
#else
#define SEALED false
#endif

#if !defined(MEDIASTORE_UNSEALED) && defined(HAVE_LIBSECCOMP)
#include <sched.h>
#include <seccomp.h>
#define USE_FILTER
#endif

#include "sandbox.h"

/*
 * When memory runs out, this process costs one statement and a backend costs
 * the server: go well before it, though not before everybody else.  Where the
 * score cannot be written nothing is lost but that.
 */
static void
raise_oom_score(void)
{
	FILE	   *file = fopen("/proc/self/oom_score_adj", "r+e");
	int			score;

	if (file == NULL)
		return;
	if (fscanf(file, "%d", &score) == 1)
	{
		rewind(file);
		fprintf(file, "%d", score > 500 ? 1000 : score + 500);
	}
	fclose(file);
}

bool
sandbox_bind_to_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return false;

	/* if the parent ended before that call, nobody will tell us */
	if (getppid() != parent)
		return false;

	raise_oom_score();
	return true;
}

/* Lowers a limit for good. */
static bool
set_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0)
		return false;
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > value)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) == 0;
}

/* How much address space is in use, in bytes; 0 if that cannot be told. */
static uint64_t
mapped_now(void)
{
	unsigned long pages = 0;
	FILE	   *file = fopen("/proc/self/statm", "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (uint64_t) pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

#ifdef USE_FILTER

/* A system call that is let through (or answered) if its arguments fit. */
typedef struct Rule
{
	int			call;
	unsigned int count;			/* of args */
	struct scmp_arg_cmp args[3];
} Rule;

#define ANYHOW(name) {SCMP_SYS(name), 0, {{0}}}
#define IF_FIRST(name, value) {SCMP_SYS(name), 1, {ARG(0, value)}}
#define ARG(number, value) {number, SCMP_CMP_EQ, value, 0}
#define ARG_BITS(number, mask, value) {number, SCMP_CMP_MASKED_EQ, mask, value}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int
add_rules(scmp_filter_ctx filter, uint32_t action, const Rule *rules, size_t count)
{
	int			result = 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = seccomp_rule_add_array(filter, action, rules[i].call, rules[i].count,
										rules[i].args);
	return result;
}

/* The rules for every helper; 0 or a negative errno. */
static int
add_common_rules(scmp_filter_ctx filter, int socket)
{
	const Rule	rules[] = {
		/* memory, but no file's and none to execute */
		ANYHOW(brk),
		ANYHOW(madvise),
		ANYHOW(mremap),
		ANYHOW(munmap),
		{SCMP_SYS(mmap), 3, {
				ARG_BITS(2, PROT_EXEC, 0),
				ARG_BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS),
				ARG_BITS(4, 0xffffffff, 0xffffffff)
		}},
		{SCMP_SYS(mmap2), 3, {
				ARG_BITS(2, PROT_EXEC, 0),
				ARG_BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS),
				ARG_BITS(4, 0xffffffff, 0xffffffff)
		}},
		{SCMP_SYS(mprotect), 1, {ARG_BITS(2, PROT_EXEC, 0)}},

		/* the socket */
		IF_FIRST(read, socket),
		IF_FIRST(recv, socket),
		IF_FIRST(recvfrom, socket),
		IF_FIRST(recvmsg, socket),
		IF_FIRST(send, socket),
		IF_FIRST(sendmsg, socket),
		IF_FIRST(sendto, socket),
		IF_FIRST(write, socket),

		/* last words of the C library and of codecs, to /dev/null */
		IF_FIRST(write, STDERR_FILENO),
		IF_FIRST(writev, STDERR_FILENO),

		/* an end; abort() as SIGABRT */
		ANYHOW(exit),
		ANYHOW(exit_group),
		ANYHOW(getpid),
		ANYHOW(gettid),
		ANYHOW(rt_sigprocmask),
		ANYHOW(rt_sigreturn),
		ANYHOW(sigreturn),
		IF_FIRST(tgkill, (scmp_datum_t) getpid()),

		/* sandbox_allow_cpu */
		ANYHOW(getrusage),
		{SCMP_SYS(prlimit64), 2, {ARG(0, 0), ARG(1, RLIMIT_CPU)}},
		IF_FIRST(getrlimit, RLIMIT_CPU),
		IF_FIRST(setrlimit, RLIMIT_CPU),
		IF_FIRST(ugetrlimit, RLIMIT_CPU),

		/* what says nothing of anybody */
		ANYHOW(clock_gettime),
		ANYHOW(clock_gettime64),
		ANYHOW(futex),
		ANYHOW(futex_time64),
		ANYHOW(getrandom),
		ANYHOW(gettimeofday),
		ANYHOW(restart_syscall),	/* after a stop */
		ANYHOW(sched_getaffinity),
		ANYHOW(sched_yield),
		ANYHOW(sysinfo),		/* qsort asks it for the size of memory */
		ANYHOW(time),
		ANYHOW(uname),
	};

	return add_rules(filter, SCMP_ACT_ALLOW, rules, COUNT(rules));
}

/* Those for helpers that start threads. */
static int
add_thread_rules(scmp_filter_ctx filter)
{
	const scmp_datum_t thread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
	const Rule	rules[] = {
		{SCMP_SYS(clone), 1, {ARG_BITS(0, thread, thread)}},
		ANYHOW(rseq),
		ANYHOW(sched_get_priority_max),
		ANYHOW(sched_get_priority_min),
		ANYHOW(sched_getparam),
		ANYHOW(sched_getscheduler),
		ANYHOW(set_robust_list),
	};

	/* its flags are in memory, out of a filter's sight: use clone instead */
	const Rule	missing[] = {ANYHOW(clone3)};

	/* a thread's name; the number of processors, from /sys */
	const Rule	refused[] = {ANYHOW(prctl), ANYHOW(openat)};
	int			result;

	result = add_rules(filter, SCMP_ACT_ALLOW, rules, COUNT(rules));
	if (result == 0)
		result = add_rules(filter, SCMP_ACT_ERRNO(ENOSYS), missing, COUNT(missing));
	if (result == 0)
		result = add_rules(filter, SCMP_ACT_ERRNO(EACCES), refused, COUNT(refused));
	return result;
}

/* Puts the filter on; false if the system has none to give. */
static bool
put_on_filter(const SandboxNeeds *needs)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool		done;

	if (filter == NULL)
		return false;

	/*
	 * Older kernels slow a filtered process down against a side channel
	 * through speculative stores.  All this process could spy out is the
	 * picture it was given.
	 */
	(void) seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);

	/* a system call in another architecture's way: not only its thread */
	(void) seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	done = add_common_rules(filter, needs->socket) == 0;
	if (done && needs->threads)
		done = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
			add_thread_rules(filter) == 0;
	done = done && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return done;
}

#else							/* !USE_FILTER */

static bool
put_on_filter(const SandboxNeeds *needs)
{
	(void) needs;
	return false;
}

#endif							/* USE_FILTER */

bool
sandbox_enter(const SandboxNeeds *needs, bool *filtered)
{
	*filtered = false;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !set_limit(RLIMIT_CORE, 0))
		return false;
	if (SEALED)
	{
		uint64_t	mapped = mapped_now();

		if (mapped == 0 || !set_limit(RLIMIT_AS, (rlim_t) (mapped + needs->memory)))
			return false;
		if (!set_limit(RLIMIT_NOFILE, (rlim_t) needs->socket + 1) ||
			!set_limit(RLIMIT_FSIZE, 0))
			return false;
		/* threads count as processes */
		if (!needs->threads && !set_limit(RLIMIT_NPROC, 0))
			return false;
		if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
			return false;
	}

	*filtered = put_on_filter(needs);
	return true;
}

void
sandbox_allow_cpu(uint32_t seconds)
{
	struct rusage used;
	struct rlimit limit;

	if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &limit) != 0)
		return;

	/* the soft limit only: a hard one could not be raised again */
	limit.rlim_cur = (rlim_t) used.ru_utime.tv_sec + (rlim_t) used.ru_stime.tv_sec +
		(rlim_t) seconds + 2;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	(void) setrlimit(RLIMIT_CPU, &limit);
}
