/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of Check's reports about tests that die or fail, with marks.c; an inner runner runs them.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/marks.h"
#include "tests/lib/suite.h"

static int one; /* 1, at run time only */

START_TEST(killed)
{
	ck_assert_int_eq(one, 1);
	raise(SIGKILL);
}
END_TEST

START_TEST(ended)
{
	ck_assert_int_eq(one, 1);
	_exit(3);
}
END_TEST

START_TEST(hangs)
{
	ck_assert_int_eq(one, 1);
	pause();
}
END_TEST

START_TEST(fails)
{
	ck_assert_int_eq(one, 1);
	ck_assert_int_eq(one, -1);
}
END_TEST

START_TEST(nothing_held)
{
	raise(SIGKILL);
}
END_TEST

/* Runs tests that do not pass: the last one's result, which is the runner's. */
static TestResult *run(SRunner **runner, const TTest *before, const TTest *test)
{
	Suite *inner = suite_create("inner");
	TCase *t = tcase_create("inner");
	TestResult **results, *result;

	tcase_set_timeout(t, test == hangs ? 3 : 60);
	if (before)
		tcase_add_test(t, before);
	tcase_add_test(t, test);
	suite_add_tcase(inner, t);
	*runner = srunner_create(inner);
	srunner_set_fork_status(*runner, CK_FORK);
	/* The outer runner's file is not the inner one's. */
	srunner_set_tap(*runner, "/dev/null");
	one = 1;
	marks_begin();
	srunner_run_all(*runner, CK_SILENT);
	ck_assert_int_eq(srunner_ntests_failed(*runner), before ? 2 : 1);
	results = srunner_failures(*runner);
	result = results[before ? 1 : 0];
	free(results);
	return result;
}

/* `line`: of the test's START_TEST, plus an offset. */
static void expect(const TTest *test, enum test_result how, int line, const char *message)
{
	SRunner *runner;
	TestResult *result = run(&runner, NULL, test);

	ck_assert_int_eq(tr_rtype(result), how);
	ck_assert_int_eq(tr_lno(result), line);
	ck_assert_ptr_nonnull(strstr(tr_lfile(result), "test_marks.c"));
	ck_assert_ptr_nonnull(strstr(tr_msg(result), message));
	srunner_free(runner);
}

START_TEST(killed_test_is_reported_at_its_last_assertion)
{
	expect(killed, CK_ERROR, killed->line + 2, "signal 9");
}
END_TEST

START_TEST(test_that_exits_is_reported_at_its_last_assertion)
{
	expect(ended, CK_ERROR, ended->line + 2, "return value 3");
}
END_TEST

START_TEST(test_that_hangs_is_reported_at_its_last_assertion)
{
	expect(hangs, CK_ERROR, hangs->line + 2, "timeout");
}
END_TEST

START_TEST(failed_test_is_reported_where_it_failed)
{
	expect(fails, CK_FAILURE, fails->line + 3, "one == 1");
}
END_TEST

/* An assertion of an earlier test is no place of this one's. */
START_TEST(test_that_dies_at_once_has_no_assertion_of_another)
{
	SRunner *runner;

	ck_assert_int_ne(tr_lno(run(&runner, killed, nothing_held)), killed->line + 2);
	srunner_free(runner);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("marks");
	TCase *t = tcase_create("marks");

	tcase_add_test(t, killed_test_is_reported_at_its_last_assertion);
	tcase_add_test(t, test_that_exits_is_reported_at_its_last_assertion);
	tcase_add_test(t, test_that_hangs_is_reported_at_its_last_assertion);
	tcase_add_test(t, failed_test_is_reported_where_it_failed);
	tcase_add_test(t, test_that_dies_at_once_has_no_assertion_of_another);
	suite_add_tcase(s, t);
	return s;
}
