/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of how long a dataplane thread polls before it sleeps. */
#include <pthread.h>
#include <sched.h>

#define OWNCLOCK_TICK 100u
#include "tests/lib/cases.h"
#include "tests/lib/ownclock.h"
#include "tests/unit/iothread_rig.h"

/* ---- a host with one CPU ---- */

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

static unsigned int yields;	      /* atomic: number of yields of the dataplane thread */
static unsigned int polling_at_yield; /* loop.polling at the last of them */

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
	/* No notification comes with this work. */
	add(&c.work, 1);
	wake(&c); /* the thread may be asleep again */
	mock_wait_until(get(&c.done) == 1);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* Wakes the thread from a sleep of this length. Returns how long it polls then, in nanoseconds. */
static uint64_t polls_after(struct client *c, uint64_t slept_ns)
{
	unsigned int armed, peeks;

	wait_idle_thread();
	armed = get(&c->armed);
	peeks = get(&c->peeks);
	ownclock_pass(slept_ns - OWNCLOCK_TICK);
	wake(c);
	mock_wait_until(get(&c->armed) > armed);
	wait_idle_thread();
	/* The thread reads the clock once in 16 peeks. */
	return (uint64_t)(get(&c->peeks) - peeks) / 16 * OWNCLOCK_TICK;
}

/* Brief polls that find nothing become rare. The long window grows while sleeps are short, up to
 * its limit, and closes after a long sleep. */
START_TEST(polling_time_follows_the_length_of_sleeps)
{
	struct client c;

	ownclock_begin();
	begin(_i, 10);
	join(&c);
	wait_idle_thread();
	for (unsigned int i = 0; i < 100; i++)
		polls_after(&c, 10000);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(polls_after(&c, 10000) % POLL_MIN_NS, 0);
		ck_assert_uint_ge(polls_after(&c, 9900), 4000);
		ck_assert_uint_eq(polls_after(&c, 9900), 8000);
		ck_assert_uint_eq(polls_after(&c, 100), 10000);
		ck_assert_uint_eq(polls_after(&c, 100), 10000);
	}
	ck_assert_uint_eq(polls_after(&c, 1000000000) % POLL_MIN_NS, 0);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* Returns the number of peeks in a hundred wake-ups without work. */
static unsigned int peeks_without_work(uint64_t poll_us)
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

/* The simulated clock advances at each read, so that a brief poll has 50 reads. */
START_TEST(without_a_long_window_polls_are_brief_and_rare)
{
	unsigned int peeks;

	ownclock_begin();
	peeks = peeks_without_work(0);
	ck_assert_uint_ge(peeks, POLL_MIN_NS / OWNCLOCK_TICK * 16);
	ck_assert_uint_le(peeks, 10 * POLL_MIN_NS / OWNCLOCK_TICK * 16);
}
END_TEST

static const struct {
	const char *name;
	uint64_t poll_us;
} windows[] = { { "poll-us=0", 0 }, { "poll-us=1000", 1000 } };

START_TEST(thread_never_polls_on_a_single_cpu)
{
	one_cpu = true;
	ck_assert_uint_eq(peeks_without_work(windows[_i].poll_us), 0);
}
END_TEST

/* Wakes the thread for some work, which interrupts the driver or not. Returns whether it polled
 * afterwards. */
static bool polled_after_work(struct client *c, unsigned int work, bool raises)
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

static const struct {
	const char *name;
	enum evloop_kind kind;
	uint64_t poll_us;
} ways[] = {
	{ "epoll, poll-us=0", EVLOOP_EPOLL, 0 },
	{ "io_uring, poll-us=0", EVLOOP_URING, 0 },
	{ "epoll, poll-us=10", EVLOOP_EPOLL, 10 },
	{ "io_uring, poll-us=10", EVLOOP_URING, 10 },
};

/* KVM may need this CPU to deliver the interrupt, so that the thread yields once before it
 * polls. */
START_TEST(thread_that_polls_delays_the_interrupt)
{
	unsigned int polls = 0;
	struct client c;

	ownclock_begin();
	begin(ways[_i].kind, ways[_i].poll_us);
	join(&c);
	wait_idle_thread();
	yields = 0;
	for (unsigned int i = 0; i < 100; i++) {
		polls += polled_after_work(&c, 1, true);
		ck_assert_uint_eq(get(&yields), polls);
		polled_after_work(&c, 1, false);
		polled_after_work(&c, 0, true);
		ck_assert_uint_eq(get(&yields), polls);
	}
	ck_assert_uint_gt(polls, 0);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

/* Polls for completions fail until they are rare. The driver may answer what is published at once,
 * so the thread polls for its requests nevertheless. */
START_TEST(published_requests_make_the_thread_poll_for_new_ones)
{
	struct client c;

	ownclock_begin();
	begin(_i, 0);
	join(&c);
	wait_idle_thread();
	for (unsigned int i = 0; i < 70; i++)
		polled_after_work(&c, 1, false);
	ck_assert(!polled_after_work(&c, 1, false));
	STORE_RELEASE(c.publishes, true);
	ck_assert(polled_after_work(&c, 1, false));
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

START_TEST(thread_that_polls_for_completions_delays_the_interrupt)
{
	struct client c;

	begin(0, 0);
	join(&c);
	wait_idle_thread();
	yields = 0;
	__atomic_store_n(&c.polls, 5, __ATOMIC_RELEASE);
	polled_after_work(&c, 1, true);
	ck_assert_uint_eq(get(&yields), 1);
	ck_assert_uint_eq(polling_at_yield, 5);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

START_TEST(calls_are_run_while_the_thread_polls)
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

	tcase_add_named_test(t, polling_begins_when_sleeps_are_short, 2, loop_name);
	tcase_add_named_test(t, polling_time_follows_the_length_of_sleeps, 2, loop_name);
	tcase_add_test(t, without_a_long_window_polls_are_brief_and_rare);
	tcase_add_table_test(t, thread_never_polls_on_a_single_cpu, windows);
	tcase_add_table_test(t, thread_that_polls_delays_the_interrupt, ways);
	tcase_add_named_test(t, published_requests_make_the_thread_poll_for_new_ones, 2, loop_name);
	tcase_add_test(t, thread_that_polls_for_completions_delays_the_interrupt);
	tcase_add_named_test(t, calls_are_run_while_the_thread_polls, 2, loop_name);
	suite_add_tcase(s, t);
	return s;
}
