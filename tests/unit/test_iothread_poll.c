/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of how long a dataplane thread polls before it sleeps, on both kinds of loop. */
#include <pthread.h>
#include <sched.h>

#define OWNCLOCK_TICK 100u
#include "tests/lib/ownclock.h"
#include "tests/unit/iothread_rig.h"

/* ---- a host with one processor ---- */

static bool one_cpu;

int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	int err = __real_sched_getaffinity(pid, size, set);

	if (one_cpu) {
		CPU_ZERO_S(size, set);
		CPU_SET_S(0, size, set);
	}
	return err;
}

static unsigned int yields;	      /* atomic: the thread's */
static unsigned int polling_at_yield; /* what was polled for at the last one */

int __real_sched_yield(void);
int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
	if (thread && pthread_equal(pthread_self(), thread->thread)) {
		polling_at_yield = thread->loop.polling;
		add(&yields, 1);
	}
	return __real_sched_yield();
}

START_TEST(polling_begins_when_sleeps_are_short)
{
	struct client c;

	begin(_i, 1000 * 1000);
	join(&c);
	for (int64_t end = mock_deadline(); !get(&c.peeks);) {
		wake(&c);
		mock_yield(end);
	}
	/* Nobody rings for it. */
	add(&c.work, 1);
	wake(&c); /* in case it sleeps again */
	mock_wait_until(get(&c.done) == 1);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* Wake it from a sleep that took so long; how long does it look on then? */
static uint64_t looks_on_after(struct client *c, uint64_t slept_ns)
{
	unsigned int armed, peeks;

	wait_idle_thread();
	armed = get(&c->armed);
	peeks = get(&c->peeks);
	ownclock_pass(slept_ns - OWNCLOCK_TICK);
	wake(c);
	mock_wait_until(get(&c->armed) > armed);
	wait_idle_thread();
	/* Looks between two looks at the clock: 16. */
	return (uint64_t)(get(&c->peeks) - peeks) / 16 * OWNCLOCK_TICK;
}

/* A brief look, ever rarer since it is in vain; besides, longer by and by while sleeps are short, never
 * longer than allowed, and gone after a long one. */
START_TEST(polling_follows_what_sleeping_cost)
{
	struct client c;

	ownclock_begin();
	begin(_i, 10);
	join(&c);
	wait_idle_thread();
	for (unsigned int i = 0; i < 100; i++)
		looks_on_after(&c, 10000);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(looks_on_after(&c, 10000) % POLL_MIN_NS, 0);
		ck_assert_uint_ge(looks_on_after(&c, 9900), 4000);
		ck_assert_uint_eq(looks_on_after(&c, 9900), 8000);
		ck_assert_uint_eq(looks_on_after(&c, 100), 10000);
		ck_assert_uint_eq(looks_on_after(&c, 100), 10000);
	}
	ck_assert_uint_eq(looks_on_after(&c, 1000000000) % POLL_MIN_NS, 0);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* So much was looked in a hundred wake-ups for nothing. */
static unsigned int looks_in_vain(uint64_t poll_us)
{
	unsigned int peeks;
	struct client c;

	begin(0, poll_us);
	join(&c);
	for (unsigned int i = 0; i < 100; i++) {
		unsigned int armed = get(&c.armed);

		wake(&c);
		mock_wait_until(get(&c.armed) > armed);
	}
	peeks = get(&c.peeks);
	leave(&c);
	iothread_destroy(thread);
	return peeks;
}

/* With a clock of its own, a brief look is 50 looks at it. */
START_TEST(without_a_window_it_looks_briefly_and_rarely)
{
	unsigned int peeks;

	ownclock_begin();
	peeks = looks_in_vain(0);
	ck_assert_uint_ge(peeks, POLL_MIN_NS / OWNCLOCK_TICK * 16);
	ck_assert_uint_le(peeks, 10 * POLL_MIN_NS / OWNCLOCK_TICK * 16);
}
END_TEST

START_TEST(polling_never_begins_on_an_only_processor)
{
	one_cpu = true;
	ck_assert_uint_eq(looks_in_vain(_i ? 1000 : 0), 0);
}
END_TEST

/* What it does at one wake-up; did it look on behind that? */
static bool looked_on(struct client *c, unsigned int work, bool raises)
{
	unsigned int armed, peeks;

	wait_idle_thread();
	armed = get(&c->armed);
	peeks = get(&c->peeks);
	STORE_RELEASE(c->raises, raises);
	add(&c->work, work);
	wake(c);
	mock_wait_until(get(&c->armed) > armed);
	wait_idle_thread();
	return get(&c->peeks) > peeks;
}

/* KVM may need this processor to send it: whoever looks on lets others have it first, once. */
START_TEST(interrupt_is_kept_back_by_who_looks_on)
{
	unsigned int looks = 0;
	struct client c;

	ownclock_begin();
	begin(_i % 2, _i < 2 ? 0 : 10);
	join(&c);
	wait_idle_thread();
	yields = 0;
	for (unsigned int i = 0; i < 100; i++) {
		looks += looked_on(&c, 1, true);
		ck_assert_uint_eq(get(&yields), looks);
		looked_on(&c, 1, false);
		looked_on(&c, 0, true);
		ck_assert_uint_eq(get(&yields), looks);
	}
	ck_assert_uint_gt(looks, 0);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* The same of who polls for the host's answers. */
START_TEST(interrupt_is_kept_back_by_who_polls_the_device)
{
	struct client c;

	begin(0, 0);
	join(&c);
	wait_idle_thread();
	yields = 0;
	__atomic_store_n(&c.polls, 5, __ATOMIC_RELEASE);
	looked_on(&c, 1, true);
	ck_assert_uint_eq(get(&yields), 1);
	ck_assert_uint_eq(polling_at_yield, 5);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* Whether it looks on or sleeps when they come. */
START_TEST(calls_come_in_while_polling)
{
	struct client c, other;

	begin(_i, 1000);
	join(&c);
	for (unsigned int i = 0; i < 500; i++) {
		wake(&c);
		join(&other);
		add(&other.work, 1);
		wake(&other);
		mock_wait_until(get(&other.done) == 1);
		leave(&other);
	}
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread_poll");
	TCase *t = tcase_create("iothread_poll");

	tcase_add_loop_test(t, polling_begins_when_sleeps_are_short, 0, 2);
	tcase_add_loop_test(t, polling_follows_what_sleeping_cost, 0, 2);
	tcase_add_test(t, without_a_window_it_looks_briefly_and_rarely);
	tcase_add_loop_test(t, polling_never_begins_on_an_only_processor, 0, 2);
	tcase_add_loop_test(t, interrupt_is_kept_back_by_who_looks_on, 0, 4);
	tcase_add_test(t, interrupt_is_kept_back_by_who_polls_the_device);
	tcase_add_loop_test(t, calls_come_in_while_polling, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
