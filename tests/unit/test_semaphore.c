/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of waits for a semaphore with a time limit. Linked with --wrap: signals interrupt them. */
#include <errno.h>
#include <semaphore.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"

int __real_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);
int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);

static unsigned int signals; /* so many waits are interrupted */

int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
	if (!signals)
		return __real_sem_clockwait(semaphore, clock, until);
	signals--;
	errno = EINTR;
	return -1;
}

START_TEST(signals_do_not_end_the_wait)
{
	sem_t semaphore;

	sem_init(&semaphore, 0, 1);
	signals = 3;
	ck_assert(semaphore_wait_ms(&semaphore, 0));
	ck_assert_uint_eq(signals, 0);
	signals = 1;
	ck_assert(!semaphore_wait_ms(&semaphore, 0));
	ck_assert_uint_eq(signals, 0);
}
END_TEST

START_TEST(semaphore_that_was_posted_before_is_taken_once)
{
	sem_t semaphore;

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
