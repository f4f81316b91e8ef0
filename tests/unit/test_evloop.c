/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the event loop. Most run on every kind of loop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/evloop.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static const struct {
	const char *name;
	enum evloop_kind kind;
} kinds[] = { { "epoll", EVLOOP_EPOLL },
	      { "io_uring", EVLOOP_URING },
	      { "iopoll", EVLOOP_IOPOLL } },
  rings[] = { { "io_uring", EVLOOP_URING }, { "iopoll", EVLOOP_IOPOLL } };

static struct evloop loop;
static struct ev_watch watch;
static bool awake; /* atomic */
static int fd;

static void ring(int to)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(to, &one, sizeof(one)), sizeof(one));
}

static void begin(enum evloop_kind kind)
{
	ck_assert_int_eq(evloop_init(&loop, kind), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void end(void)
{
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	close(fd);
}

/* ---- watched eventfds ---- */

static void *wake_when_idle(void *arg)
{
	wait_idle_thread();
	__atomic_store_n(&awake, true, __ATOMIC_RELEASE);
	evloop_wake(&loop);
	return arg;
}

/* Returns true when a turn sleeps until another thread wakes it. */
static bool turn_sleeps(void)
{
	pthread_t thread;
	bool slept;

	__atomic_store_n(&awake, false, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_create(&thread, NULL, wake_when_idle, NULL), 0);
	evloop_turn(&loop, true);
	slept = __atomic_load_n(&awake, __ATOMIC_ACQUIRE);
	if (!slept)
		evloop_turn(&loop, true); /* for the wake-up of the other thread */
	pthread_join(thread, NULL);
	return slept;
}

START_TEST(each_write_is_one_wake_up)
{
	begin(kinds[_i].kind);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	ck_assert(turn_sleeps());
	ring(fd);
	evloop_turn(&loop, true);
	/* The counter is never read, but reported only once per write, so that the loop does not
	 * spin. */
	ck_assert(turn_sleeps());
	ck_assert(turn_sleeps());
	ring(fd);
	evloop_turn(&loop, true);
	ck_assert(turn_sleeps());
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

START_TEST(eventfd_written_before_it_is_watched_wakes)
{
	begin(kinds[_i].kind);
	ring(fd);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, true);
	ck_assert(turn_sleeps());
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

START_TEST(eventfd_with_a_full_counter_wakes)
{
	uint64_t full = UINT64_MAX - 2;

	begin(kinds[_i].kind);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	evloop_turn(&loop, true);
	ring(fd);
	evloop_turn(&loop, true);
	ck_assert(turn_sleeps());
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

START_TEST(eventfd_no_longer_watched_does_not_wake)
{
	begin(kinds[_i].kind);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_unwatch(&loop, &watch);
	ring(fd);
	ck_assert(turn_sleeps());
	/* The eventfd can be watched again. */
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, true);
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

/* Writes to the eventfd until `awake` is set. */
static void *storm(void *arg)
{
	while (!__atomic_load_n(&awake, __ATOMIC_ACQUIRE))
		ring(fd);
	return arg;
}

/* POLL_REMOVE fails when the eventfd is written to at the same time. */
START_TEST(unwatch_hangs_while_the_eventfd_is_written_to)
{
	pthread_t thread;

	begin(kinds[_i].kind);
	__atomic_store_n(&awake, false, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_create(&thread, NULL, storm, NULL), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
		evloop_turn(&loop, true);
		evloop_unwatch(&loop, &watch);
	}
	__atomic_store_n(&awake, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	end();
}
END_TEST

START_TEST(descriptor_that_cannot_be_watched_is_refused)
{
	begin(EVLOOP_EPOLL);
	ck_assert_int_eq(evloop_watch(&loop, &watch, -1), -EBADF);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), -EEXIST);
	end();
}
END_TEST

/* The wake-ups come before the turn, twice, and together with a watched eventfd. */
START_TEST(wake_before_the_wait_is_not_lost)
{
	begin(kinds[_i].kind);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, false);
	ring(fd);
	evloop_wake(&loop);
	evloop_wake(&loop);
	evloop_turn(&loop, true);
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

static void on_signal(int sig)
{
	(void)sig;
}

static void *signal_main_thread(void *arg)
{
	wait_idle_thread();
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

START_TEST(signal_during_a_turn_does_no_harm)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t self = pthread_self(), thread;

	begin(kinds[_i].kind);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	sigaction(SIGUSR1, &sa, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_main_thread, &self), 0);
	evloop_turn(&loop, true);
	pthread_join(thread, NULL);
	ring(fd);
	evloop_turn(&loop, true);
	ck_assert(turn_sleeps());
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

START_TEST(destroy_closes_all_descriptors)
{
	unsigned int before = count_fds();

	begin(kinds[_i].kind);
	ck_assert_uint_eq(count_fds(), before + (kinds[_i].kind == EVLOOP_IOPOLL ? 5 : 4));
	end();
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* ---- requests on the ring ---- */

#define MANY 1000 /* more requests than either ring has entries for */

struct counted {
	struct ev_request request;
	unsigned int done;
	int res;
};

static unsigned int left;

static void count(struct ev_request *request, int res)
{
	struct counted *c = container_of(request, struct counted, request);

	c->done++;
	c->res = res;
	left--;
}

static void nop(struct counted *c)
{
	struct io_uring_sqe *sqe = evloop_sqe(&loop);

	c->request.done = count;
	io_uring_prep_nop(sqe);
	evloop_request(sqe, &c->request);
	left++;
}

START_TEST(more_requests_than_the_rings_have_entries)
{
	struct counted *all = calloc(MANY * 3, sizeof(*all));

	begin(rings[_i].kind);
	for (unsigned int i = 0; i < MANY * 3; i++)
		nop(&all[i]);
	while (left)
		evloop_turn(&loop, true);
	for (unsigned int i = 0; i < MANY * 3; i++) {
		ck_assert_uint_eq(all[i].done, 1);
		ck_assert_int_eq(all[i].res, 0);
	}
	free(all);
	end();
}
END_TEST

static struct counted again[MANY];

static void once_more(struct ev_request *request, int res)
{
	struct counted *c = container_of(request, struct counted, request);

	if (c->done)
		count(request, res);
	c->done++;
	if (c->done > 1)
		return;
	struct io_uring_sqe *sqe = evloop_sqe(&loop);
	io_uring_prep_nop(sqe);
	evloop_request(sqe, request);
}

/* Each completion leads to a request, for which the ring may have no entry. */
START_TEST(requests_made_by_completion_functions)
{
	begin(rings[_i].kind);
	for (unsigned int i = 0; i < MANY; i++) {
		nop(&again[i]);
		again[i].request.done = once_more;
	}
	while (left)
		evloop_turn(&loop, true);
	for (unsigned int i = 0; i < MANY; i++)
		ck_assert_uint_eq(again[i].done, 3);
	end();
}
END_TEST

START_TEST(ready_is_true_when_a_turn_has_something_to_do)
{
	struct counted one = { 0 };

	begin(rings[_i].kind);
	evloop_turn(&loop, false);
	ck_assert(!evloop_ready(&loop));
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, false);
	ck_assert(!evloop_ready(&loop));
	ring(fd);
	mock_wait_until(evloop_ready(&loop));
	evloop_turn(&loop, false);
	ck_assert(!evloop_ready(&loop));
	nop(&one);
	ck_assert_int_eq(io_uring_submit(&loop.ring), 1);
	mock_wait_until(evloop_ready(&loop));
	evloop_turn(&loop, false);
	ck_assert_uint_eq(one.done, 1);
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("evloop");
	TCase *t = tcase_create("evloop");

	tcase_add_table_test(t, each_write_is_one_wake_up, kinds);
	tcase_add_table_test(t, eventfd_written_before_it_is_watched_wakes, kinds);
	tcase_add_table_test(t, eventfd_with_a_full_counter_wakes, kinds);
	tcase_add_table_test(t, eventfd_no_longer_watched_does_not_wake, kinds);
	tcase_add_table_test(t, unwatch_hangs_while_the_eventfd_is_written_to, kinds);
	tcase_add_test(t, descriptor_that_cannot_be_watched_is_refused);
	tcase_add_table_test(t, wake_before_the_wait_is_not_lost, kinds);
	tcase_add_table_test(t, signal_during_a_turn_does_no_harm, kinds);
	tcase_add_table_test(t, destroy_closes_all_descriptors, kinds);
	tcase_add_table_test(t, more_requests_than_the_rings_have_entries, rings);
	tcase_add_table_test(t, requests_made_by_completion_functions, rings);
	tcase_add_table_test(t, ready_is_true_when_a_turn_has_something_to_do, rings);
	suite_add_tcase(s, t);
	return s;
}
