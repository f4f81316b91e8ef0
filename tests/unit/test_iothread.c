/* SPDX-License-Identifier: BSD-3-Clause */
/* Each test runs on both kinds of loop. */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/iothread.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

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

/* ---- a clock of the test's own, for the dataplane's thread ---- */

#define TICK_NS 100u /* from one look at it to the next */

static pthread_t tester;
static bool own_clock;
static uint64_t clock_ns; /* atomic */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t t;

	if (!own_clock || pthread_equal(pthread_self(), tester))
		return __real_clock_gettime(id, ts);
	t = __atomic_add_fetch(&clock_ns, TICK_NS, __ATOMIC_ACQ_REL);
	*ts = (struct timespec){ .tv_sec = (time_t)(t / 1000000000u),
				 .tv_nsec = (long)(t % 1000000000u) };
	return 0;
}

/* ---- a client that does what it is told ---- */

static struct iothread *thread;

struct client {
	struct iothread_client client;
	unsigned int work;  /* atomic: what is to be done */
	unsigned int done;  /* atomic */
	unsigned int armed; /* atomic: how often the thread was about to sleep */
	unsigned int peeks; /* atomic */
	struct ev_watch watch;
	int fd;
};

static unsigned int get(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void add(unsigned int *counter, unsigned int n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_ACQ_REL);
}

static bool serve(struct iothread_client *client)
{
	struct client *c = container_of(client, struct client, client);

	if (get(&c->done) == get(&c->work))
		return false;
	add(&c->done, 1);
	return get(&c->done) != get(&c->work);
}

static bool peek(struct iothread_client *client)
{
	struct client *c = container_of(client, struct client, client);

	add(&c->peeks, 1);
	return get(&c->done) != get(&c->work);
}

static bool arm(struct iothread_client *client)
{
	struct client *c = container_of(client, struct client, client);

	add(&c->armed, 1);
	return get(&c->done) != get(&c->work);
}

struct client_call {
	struct iothread_call call;
	struct client *client;
};

static void run_join(struct iothread_call *call)
{
	struct client *c = container_of(call, struct client_call, call)->client;

	evloop_watch(&thread->loop, &c->watch, c->fd);
	iothread_add(thread, &c->client);
	iothread_answer(call);
}

static void run_leave(struct iothread_call *call)
{
	struct client *c = container_of(call, struct client_call, call)->client;

	iothread_remove(thread, &c->client);
	evloop_unwatch(&thread->loop, &c->watch);
	iothread_answer(call);
}

static void join(struct client *c)
{
	struct client_call call = { .call.run = run_join, .client = c };

	*c = (struct client){ .client = { serve, peek, arm, NULL } };
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	iothread_call(thread, &call.call);
}

static void leave(struct client *c)
{
	struct client_call call = { .call.run = run_leave, .client = c };

	iothread_call(thread, &call.call);
	close(c->fd);
}

static void begin(int kind, uint64_t poll_us)
{
	struct iothread_config config = { .loop = kind ? EVLOOP_URING : EVLOOP_EPOLL,
					  .poll_ns = poll_us * 1000 };

	ck_assert_int_eq(iothread_create(&thread, &config), 0);
}

static void wake(struct client *c)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(c->fd, &one, sizeof(one)), sizeof(one));
}

START_TEST(clients_are_served_until_nothing_is_left)
{
	struct client c[3];

	begin(_i, 0);
	for (unsigned int i = 0; i < 3; i++)
		join(&c[i]);
	for (unsigned int i = 0; i < 3; i++)
		add(&c[i].work, 1000 + i);
	/* Whoever wakes it, it looks after all. */
	wake(&c[1]);
	for (unsigned int i = 0; i < 3; i++)
		mock_wait_until(get(&c[i].done) == 1000 + i);
	wait_idle_thread();
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_uint_eq(get(&c[i].peeks), 0);
		leave(&c[i]);
	}
	iothread_destroy(thread);
}
END_TEST

START_TEST(clients_come_and_go_in_any_order)
{
	static const unsigned int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };
	struct client c[3];

	begin(_i, 0);
	for (unsigned int order = 0; order < ARRAY_SIZE(orders); order++) {
		for (unsigned int i = 0; i < 3; i++)
			join(&c[i]);
		for (unsigned int i = 0; i < 3; i++) {
			leave(&c[orders[order][i]]);
			for (unsigned int k = i + 1; k < 3; k++) {
				struct client *left = &c[orders[order][k]];

				add(&left->work, 1);
				wake(left);
				mock_wait_until(get(&left->done) == get(&left->work));
			}
		}
	}
	iothread_destroy(thread);
}
END_TEST

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
	__atomic_add_fetch(&clock_ns, slept_ns - TICK_NS, __ATOMIC_ACQ_REL);
	wake(c);
	mock_wait_until(get(&c->armed) > armed);
	wait_idle_thread();
	/* Looks between two looks at the clock: 16. */
	return (uint64_t)(get(&c->peeks) - peeks) / 16 * TICK_NS;
}

/* Longer by and by while sleeps are short, never longer than allowed, and gone after a long one. */
START_TEST(polling_follows_what_sleeping_cost)
{
	struct client c;

	tester = pthread_self();
	own_clock = true;
	begin(_i, 10);
	join(&c);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(looks_on_after(&c, 10000), 0);
		ck_assert_uint_eq(looks_on_after(&c, 9900), 4000);
		ck_assert_uint_eq(looks_on_after(&c, 9900), 8000);
		ck_assert_uint_eq(looks_on_after(&c, 100), 10000);
		ck_assert_uint_eq(looks_on_after(&c, 100), 10000);
	}
	ck_assert_uint_eq(looks_on_after(&c, 1000000000), 0);
	leave(&c);
	iothread_destroy(thread);
}
END_TEST

START_TEST(polling_never_begins_without_a_window_or_on_an_only_processor)
{
	struct client c;

	one_cpu = _i;
	begin(_i, _i ? 1000 : 0);
	join(&c);
	for (unsigned int i = 0; i < 100; i++) {
		unsigned int armed = get(&c.armed);

		wake(&c);
		mock_wait_until(get(&c.armed) > armed);
	}
	ck_assert_uint_eq(get(&c.peeks), 0);
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

/* ---- calls ---- */

static unsigned int runs;

static void run_count(struct iothread_call *call)
{
	runs++; /* on one thread: no atomic */
	iothread_answer(call);
}

static void *call_often(void *arg)
{
	for (unsigned int i = 0; i < 500; i++) {
		struct iothread_call call = { .run = run_count };

		iothread_call(thread, &call);
	}
	return arg;
}

START_TEST(calls_from_many_threads)
{
	pthread_t caller[4];

	begin(_i, 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&caller[i], NULL, call_often, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(caller[i], NULL);
	iothread_destroy(thread);
	ck_assert_uint_eq(runs, 2000);
}
END_TEST

/* Calls that come while the thread is busy with something else, one after the other. */
static unsigned int go; /* atomic */

static void run_hold(struct iothread_call *call)
{
	iothread_answer(call);
	mock_wait_until(get(&go));
}

static void *call_once(void *arg)
{
	struct iothread_call call = { .run = run_count };

	iothread_call(thread, &call);
	return arg;
}

START_TEST(calls_pile_up)
{
	struct iothread_call hold = { .run = run_hold };
	pthread_t caller[5];

	begin(_i, 0);
	iothread_call(thread, &hold);
	for (unsigned int i = 0; i < 5; i++) {
		uint64_t woken = eventfd_count(thread->loop.wake_fd);

		ck_assert_int_eq(pthread_create(&caller[i], NULL, call_once, NULL), 0);
		mock_wait_until(eventfd_count(thread->loop.wake_fd) > woken);
	}
	ck_assert_uint_eq(runs, 0);
	add(&go, 1);
	for (unsigned int i = 0; i < 5; i++)
		pthread_join(caller[i], NULL);
	iothread_destroy(thread);
	ck_assert_uint_eq(runs, 5);
}
END_TEST

static struct iothread_call *kept; /* atomic */

static void run_keep(struct iothread_call *call)
{
	__atomic_store_n(&kept, call, __ATOMIC_RELEASE);
}

static void *call_and_wait(void *arg)
{
	struct iothread_call call = { .run = run_keep };

	iothread_call(thread, &call);
	return arg;
}

static void run_answer_kept(struct iothread_call *call)
{
	iothread_answer(__atomic_load_n(&kept, __ATOMIC_ACQUIRE));
	iothread_answer(call);
}

/* Answered later, and others meanwhile. */
START_TEST(a_call_is_answered_when_the_thread_says_so)
{
	struct iothread_call meanwhile = { .run = run_count }, end = { .run = run_answer_kept };
	pthread_t caller;

	begin(_i, 0);
	ck_assert_int_eq(pthread_create(&caller, NULL, call_and_wait, NULL), 0);
	mock_wait_until(__atomic_load_n(&kept, __ATOMIC_ACQUIRE));
	iothread_call(thread, &meanwhile);
	ck_assert_uint_eq(runs, 1);
	iothread_call(thread, &end);
	pthread_join(caller, NULL);
	iothread_destroy(thread);
}
END_TEST

/* The first call came before the thread had begun to watch what it is woken by. */
START_TEST(a_call_right_after_the_birth_was_never_run)
{
	for (unsigned int i = 0; i < 300; i++) {
		begin(_i, 0);
		iothread_destroy(thread);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("iothread");
	TCase *t = tcase_create("iothread");

	tcase_add_loop_test(t, clients_are_served_until_nothing_is_left, 0, 2);
	tcase_add_loop_test(t, clients_come_and_go_in_any_order, 0, 2);
	tcase_add_loop_test(t, polling_begins_when_sleeps_are_short, 0, 2);
	tcase_add_loop_test(t, polling_follows_what_sleeping_cost, 0, 2);
	tcase_add_loop_test(t, polling_never_begins_without_a_window_or_on_an_only_processor, 0, 2);
	tcase_add_loop_test(t, calls_come_in_while_polling, 0, 2);
	tcase_add_loop_test(t, calls_from_many_threads, 0, 2);
	tcase_add_loop_test(t, calls_pile_up, 0, 2);
	tcase_add_loop_test(t, a_call_is_answered_when_the_thread_says_so, 0, 2);
	tcase_add_loop_test(t, a_call_right_after_the_birth_was_never_run, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
