/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the vCPU pause: threads that pass it repeatedly, and one that pauses and resumes them.
 */
#include <pthread.h>
#include <sched.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"
#include "vmm/kvm/vcpu_pause.h"

#define THREADS 4u

static struct vcpu_pause vcpu_pause;
static pthread_t thread[THREADS];
static uint64_t rounds[THREADS]; /* atomic */
static unsigned int over;	 /* atomic; bit n: thread n must end */

static void *pass_repeatedly(void *arg)
{
	uint64_t *mine = arg;
	unsigned int bit = 1u << (mine - rounds);

	while (!(__atomic_load_n(&over, __ATOMIC_ACQUIRE) & bit)) {
		if (vcpu_pause_requested(&vcpu_pause))
			vcpu_pause_park(&vcpu_pause);
		WRITE_ONCE(*mine, *mine + 1);
		/* A vCPU stays in the guest for longer, but here the other threads need the CPU. */
		if (*mine % 64 == 0)
			sched_yield();
	}
	vcpu_pause_remove(&vcpu_pause);
	return arg;
}

static void begin(void)
{
	vcpu_pause_init(&vcpu_pause);
	for (unsigned int i = 0; i < THREADS; i++) {
		vcpu_pause_add(&vcpu_pause);
		ck_assert_int_eq(pthread_create(&thread[i], NULL, pass_repeatedly, &rounds[i]), 0);
	}
}

static uint64_t sum(void)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < THREADS; i++)
		all += READ_ONCE(rounds[i]);
	return all;
}

static void end(void)
{
	__atomic_store_n(&over, ~0u, __ATOMIC_RELEASE);
	vcpu_pause_release(&vcpu_pause);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	vcpu_pause_wait_all(&vcpu_pause);
	vcpu_pause_destroy(&vcpu_pause);
}

START_TEST(pause_stops_all_threads_until_it_ends)
{
	begin();
	for (unsigned int i = 0; i < ROUNDS(2000, 300, 300); i++) {
		uint64_t before;

		vcpu_pause_request(&vcpu_pause);
		vcpu_pause_wait_all(&vcpu_pause);
		before = sum();
		if (i % 16 == 0)
			sched_yield();
		must(sum() == before);
		vcpu_pause_release(&vcpu_pause);
		/* Some pauses end before all threads have noticed them. */
		if (i % 3 == 0)
			mock_wait_until(sum() > before);
	}
	end();
}
END_TEST

/* The pause does not wait for a thread that has ended. */
START_TEST(thread_that_ends_instead_of_waiting)
{
	begin();
	mock_wait_until(READ_ONCE(rounds[0]) > 0);
	__atomic_store_n(&over, 1u, __ATOMIC_RELEASE);
	pthread_join(thread[0], NULL);
	vcpu_pause_request(&vcpu_pause);
	vcpu_pause_wait_all(&vcpu_pause);
	vcpu_pause_release(&vcpu_pause);
	vcpu_pause_add(&vcpu_pause);
	ck_assert_int_eq(pthread_create(&thread[0], NULL, pass_repeatedly, &rounds[0]), 0);
	end();
}
END_TEST

START_TEST(pause_without_threads)
{
	vcpu_pause_init(&vcpu_pause);
	vcpu_pause_wait_all(&vcpu_pause);
	vcpu_pause_request(&vcpu_pause);
	vcpu_pause_wait_all(&vcpu_pause);
	vcpu_pause_add(&vcpu_pause);
	vcpu_pause_remove(&vcpu_pause);
	vcpu_pause_wait_all(&vcpu_pause);
	vcpu_pause_destroy(&vcpu_pause);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vcpu_pause");
	TCase *t = tcase_create("vcpu_pause");

	tcase_add_test(t, pause_stops_all_threads_until_it_ends);
	tcase_add_test(t, thread_that_ends_instead_of_waiting);
	tcase_add_test(t, pause_without_threads);
	suite_add_tcase(s, t);
	return s;
}
