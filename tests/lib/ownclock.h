/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ownclock: a clock of the test's own, for all threads but the tester's (Check reads the time as well). It
 * goes on by OWNCLOCK_TICK ns at each look, so that looking on has an end, and where the test says so. The includer
 * defines OWNCLOCK_TICK before, is linked with --wrap=clock_gettime, and is the only one in its program.
 */
#ifndef TESTS_LIB_OWNCLOCK_H
#define TESTS_LIB_OWNCLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MS     1000000ull
#define SECOND (1000 * MS)

static pthread_t ownclock_tester;
static bool ownclock_on;
static uint64_t ownclock_ns; /* atomic */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t t;

	if (!ownclock_on || pthread_equal(pthread_self(), ownclock_tester))
		return __real_clock_gettime(id, ts);
	t = __atomic_add_fetch(&ownclock_ns, OWNCLOCK_TICK, __ATOMIC_ACQ_REL);
	*ts = (struct timespec){ .tv_sec = (time_t)(t / SECOND), .tv_nsec = (long)(t % SECOND) };
	return 0;
}

/* The calling thread is the tester's. */
static inline void ownclock_begin(void)
{
	ownclock_tester = pthread_self();
	ownclock_on = true;
	__atomic_store_n(&ownclock_ns, 7 * SECOND, __ATOMIC_SEQ_CST);
}

static inline uint64_t ownclock_now(void)
{
	return __atomic_load_n(&ownclock_ns, __ATOMIC_SEQ_CST);
}

static inline void ownclock_set(uint64_t ns)
{
	__atomic_store_n(&ownclock_ns, ns, __ATOMIC_SEQ_CST);
}

static inline void ownclock_pass(uint64_t ns)
{
	__atomic_fetch_add(&ownclock_ns, ns, __ATOMIC_SEQ_CST);
}

#endif
