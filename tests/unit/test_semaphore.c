/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of waits for a semaphore with a time limit, among signals. */
#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"

static sem_t semaphore;
static volatile sig_atomic_t alarms, last; /* the last signal posts the semaphore */

static void alarmed(int signal)
{
	(void)signal;
	if (++alarms == last)
		sem_post(&semaphore);
}

/* Sends the signal once a millisecond, or no more. */
static void repeat_alarm(suseconds_t us)
{
	struct itimerval timer = { { 0, us }, { 0, us } };

	ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

START_TEST(signals_do_not_end_the_wait)
{
	struct sigaction action = { .sa_handler = alarmed };

	sem_init(&semaphore, 0, 0);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	last = 3;
	repeat_alarm(1000);
	ck_assert(semaphore_wait_ms(&semaphore, 60000));
	repeat_alarm(0);
	ck_assert_int_ge(alarms, 3);
	ck_assert(!semaphore_wait_ms(&semaphore, 0));
}
END_TEST

START_TEST(semaphore_that_was_posted_before_is_taken_once)
{
	sem_init(&semaphore, 0, 1);
	ck_assert(semaphore_wait_ms(&semaphore, 0));
	ck_assert(!semaphore_wait_ms(&semaphore, 1));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("semaphore");
	TCase *t = tcase_create("semaphore");

	tcase_add_test(t, signals_do_not_end_the_wait);
	tcase_add_test(t, semaphore_that_was_posted_before_is_taken_once);
	suite_add_tcase(s, t);
	return s;
}
