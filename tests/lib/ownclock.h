/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated clock for all threads except the test's own (Check reads the time as well). The clock
 * advances by OWNCLOCK_TICK ns at each read, so that busy polling ends, and by calls of the test. A
 * program includes this file once, defines OWNCLOCK_TICK before, and links with
 * --wrap=clock_gettime.
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

/* Starts the simulated clock; the calling thread keeps the real one. */
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
