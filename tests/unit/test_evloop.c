/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/evloop.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct evloop loop;
static struct ev_source source;
static unsigned int calls;
static int fd;

static void count_call(void *arg)
{
	ck_assert_ptr_eq(arg, &calls);
	calls++;
}

static void ring(int to)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(to, &one, sizeof(one)), sizeof(one));
}

static void begin(void)
{
	ck_assert_int_eq(evloop_init(&loop), 0);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	source = (struct ev_source){ .handle = count_call, .arg = &calls };
}

static void end(void)
{
	evloop_destroy(&loop);
	close(fd);
}

START_TEST(each_write_is_one_wake_up)
{
	begin();
	ck_assert_int_eq(evloop_add(&loop, fd, &source), 0);
	evloop_wait(&loop, 0);
	ck_assert_uint_eq(calls, 0);
	ring(fd);
	evloop_wait(&loop, -1);
	ck_assert_uint_eq(calls, 1);
	/* Never read, and yet not reported again: nobody spins. */
	evloop_wait(&loop, 0);
	evloop_wait(&loop, 0);
	ck_assert_uint_eq(calls, 1);
	ring(fd);
	evloop_wait(&loop, -1);
	ck_assert_uint_eq(calls, 2);
	/* Several before the look are one. */
	ring(fd);
	ring(fd);
	evloop_wait(&loop, -1);
	evloop_wait(&loop, 0);
	ck_assert_uint_eq(calls, 3);
	end();
}
END_TEST

START_TEST(what_was_readable_before_counts_as_an_event)
{
	begin();
	ring(fd);
	ck_assert_int_eq(evloop_add(&loop, fd, &source), 0);
	evloop_wait(&loop, -1);
	ck_assert_uint_eq(calls, 1);
	end();
}
END_TEST

START_TEST(a_full_counter_still_wakes)
{
	uint64_t full = UINT64_MAX - 2;

	begin();
	ck_assert_int_eq(evloop_add(&loop, fd, &source), 0);
	ck_assert_int_eq(write(fd, &full, sizeof(full)), sizeof(full));
	evloop_wait(&loop, -1);
	ring(fd);
	evloop_wait(&loop, -1);
	ck_assert_uint_eq(calls, 2);
	end();
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_watched)
{
	begin();
	ck_assert_int_eq(evloop_add(&loop, -1, &source), -EBADF);
	ck_assert_int_eq(evloop_add(&loop, fd, &source), 0);
	ck_assert_int_eq(evloop_add(&loop, fd, &source), -EEXIST);
	end();
}
END_TEST

static void *stop_from_elsewhere(void *arg)
{
	wait_idle_thread();
	evloop_stop(&loop);
	return arg;
}

START_TEST(stop_wakes_a_waiting_loop)
{
	pthread_t thread;

	begin();
	ck_assert(!evloop_stopping(&loop));
	ck_assert_int_eq(pthread_create(&thread, NULL, stop_from_elsewhere, NULL), 0);
	evloop_wait(&loop, -1);
	ck_assert(evloop_stopping(&loop));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(calls, 0);
	end();
}
END_TEST

/* Also when it comes first, more than once, and among others. */
START_TEST(stop_before_the_wait)
{
	begin();
	ck_assert_int_eq(evloop_add(&loop, fd, &source), 0);
	ring(fd);
	evloop_stop(&loop);
	evloop_stop(&loop);
	evloop_wait(&loop, -1);
	ck_assert(evloop_stopping(&loop));
	ck_assert_uint_eq(calls, 1);
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

	begin();
	ck_assert_int_eq(evloop_add(&loop, fd, &source), 0);
	sigaction(SIGUSR1, &sa, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_main_thread, &self), 0);
	evloop_wait(&loop, -1);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(calls, 0);
	ck_assert(!evloop_stopping(&loop));
	ring(fd);
	evloop_wait(&loop, -1);
	ck_assert_uint_eq(calls, 1);
	end();
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	unsigned int before = count_fds();

	ck_assert_int_eq(evloop_init(&loop), 0);
	ck_assert_uint_eq(count_fds(), before + 2);
	evloop_destroy(&loop);
	ck_assert_uint_eq(count_fds(), before);
	evloop_destroy(&loop);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("evloop");
	TCase *t = tcase_create("evloop");

	tcase_add_test(t, each_write_is_one_wake_up);
	tcase_add_test(t, what_was_readable_before_counts_as_an_event);
	tcase_add_test(t, a_full_counter_still_wakes);
	tcase_add_test(t, a_descriptor_that_cannot_be_watched);
	tcase_add_test(t, stop_wakes_a_waiting_loop);
	tcase_add_test(t, stop_before_the_wait);
	tcase_add_test(t, a_signal_is_only_another_round);
	tcase_add_test(t, no_descriptor_is_left_open);
	suite_add_tcase(s, t);
	return s;
}
