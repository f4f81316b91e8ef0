/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the event loop; each runs on every kind of loop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/evloop.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static const enum evloop_kind kinds[] = { EVLOOP_EPOLL, EVLOOP_URING, EVLOOP_IOPOLL };

#define KINDS (int)ARRAY_SIZE(kinds)

static struct evloop loop;
static struct ev_watch watch;
static bool awake; /* atomic */
static int fd;

static void ring(int to)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(to, &one, sizeof(one)), sizeof(one));
}

static void begin(int kind)
{
	ck_assert_int_eq(evloop_init(&loop, kinds[kind]), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void end(void)
{
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	close(fd);
}

/* ---- does a turn wait? Another thread says when it has had enough of that ---- */

static void *wake_when_idle(void *arg)
{
	wait_idle_thread();
	__atomic_store_n(&awake, true, __ATOMIC_RELEASE);
	evloop_wake(&loop);
	return arg;
}

/* True when the turn had to be woken. */
static bool turn_sleeps(void)
{
	pthread_t thread;
	bool slept;

	__atomic_store_n(&awake, false, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_create(&thread, NULL, wake_when_idle, NULL), 0);
	evloop_turn(&loop, true);
	slept = __atomic_load_n(&awake, __ATOMIC_ACQUIRE);
	if (!slept)
		evloop_turn(&loop, true); /* the waker's */
	pthread_join(thread, NULL);
	return slept;
}

START_TEST(each_write_is_one_wake_up)
{
	begin(_i);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	ck_assert(turn_sleeps());
	ring(fd);
	evloop_turn(&loop, true);
	/* Never read, and yet not reported again: nobody spins. */
	ck_assert(turn_sleeps());
	ck_assert(turn_sleeps());
	ring(fd);
	evloop_turn(&loop, true);
	ck_assert(turn_sleeps());
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

START_TEST(what_was_readable_before_counts_as_a_wake_up)
{
	begin(_i);
	ring(fd);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, true);
	ck_assert(turn_sleeps());
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

START_TEST(a_full_counter_still_wakes)
{
	uint64_t full = UINT64_MAX - 2;

	begin(_i);
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

START_TEST(an_unwatched_eventfd_wakes_nobody)
{
	begin(_i);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_unwatch(&loop, &watch);
	ring(fd);
	ck_assert(turn_sleeps());
	/* And can be watched again. */
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	evloop_turn(&loop, true);
	evloop_unwatch(&loop, &watch);
	end();
}
END_TEST

static void *storm(void *arg)
{
	while (!__atomic_load_n(&awake, __ATOMIC_ACQUIRE))
		ring(fd);
	return arg;
}

/* POLL_REMOVE gives up when the eventfd is written to at that moment. */
START_TEST(unwatch_under_a_storm_of_kicks_hung)
{
	pthread_t thread;

	begin(_i);
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

START_TEST(a_descriptor_that_cannot_be_watched)
{
	begin(0);
	ck_assert_int_eq(evloop_watch(&loop, &watch, -1), -EBADF);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), 0);
	ck_assert_int_eq(evloop_watch(&loop, &watch, fd), -EEXIST);
	end();
}
END_TEST

/* Also when it comes first, more than once, and among others. */
START_TEST(wake_before_the_wait)
{
	begin(_i);
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

START_TEST(a_signal_is_only_another_round)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t self = pthread_self(), thread;

	begin(_i);
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

START_TEST(no_descriptor_is_left_open)
{
	unsigned int before = count_fds();

	begin(_i);
	ck_assert_uint_eq(count_fds(), before + (kinds[_i] == EVLOOP_IOPOLL ? 5 : 4));
	end();
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* ---- requests on the ring ---- */

#define MANY 1000 /* more than either ring of the loop has places for */

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

START_TEST(more_requests_than_the_rings_have_places)
{
	struct counted *all = calloc(MANY * 3, sizeof(*all));

	begin(_i);
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

/* A completion that leads to a request, when there is no place for one. */
START_TEST(requests_made_while_completions_are_handed_out)
{
	begin(_i);
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

START_TEST(ready_says_when_a_turn_has_something_to_do)
{
	struct counted one = { 0 };

	begin(_i);
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

	tcase_add_loop_test(t, each_write_is_one_wake_up, 0, KINDS);
	tcase_add_loop_test(t, what_was_readable_before_counts_as_a_wake_up, 0, KINDS);
	tcase_add_loop_test(t, a_full_counter_still_wakes, 0, KINDS);
	tcase_add_loop_test(t, an_unwatched_eventfd_wakes_nobody, 0, KINDS);
	tcase_add_loop_test(t, unwatch_under_a_storm_of_kicks_hung, 0, KINDS);
	tcase_add_test(t, a_descriptor_that_cannot_be_watched);
	tcase_add_loop_test(t, wake_before_the_wait, 0, KINDS);
	tcase_add_loop_test(t, a_signal_is_only_another_round, 0, KINDS);
	tcase_add_loop_test(t, no_descriptor_is_left_open, 0, KINDS);
	tcase_add_loop_test(t, more_requests_than_the_rings_have_places, 1, KINDS);
	tcase_add_loop_test(t, requests_made_while_completions_are_handed_out, 1, KINDS);
	tcase_add_loop_test(t, ready_says_when_a_turn_has_something_to_do, 1, KINDS);
	suite_add_tcase(s, t);
	return s;
}
