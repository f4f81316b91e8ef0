/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of Check's reports about tests that die or fail, with marks.c, and about the cases of loop
 * tests, with cases.c. An inner runner runs the tests that are reported.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/marks.h"
#include "tests/lib/suite.h"

static int one;			   /* 1, at run time only */
static char tap[32] = "/dev/null"; /* TAP file of the inner runner */

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

/* Runs the tests of `t`, of which `failures` must fail. Returns the result of the last failure,
 * which belongs to the runner. */
static TestResult *run_tcase(SRunner **runner, TCase *t, int failures)
{
	Suite *inner = suite_create("inner");
	TestResult **results, *result;

	suite_add_tcase(inner, t);
	*runner = srunner_create(inner);
	srunner_set_fork_status(*runner, CK_FORK);
	/* Without this call, the inner runner would write to the TAP file of the outer one. */
	srunner_set_tap(*runner, tap);
	one = 1;
	marks_begin();
	srunner_run_all(*runner, CK_SILENT);
	ck_assert_int_eq(srunner_ntests_failed(*runner), failures);
	results = srunner_failures(*runner);
	result = results[failures - 1];
	free(results);
	return result;
}

/* Runs `before`, unless it is NULL, and `test`, which must both fail. Returns the result of
 * `test`, which belongs to the runner. */
static TestResult *run(SRunner **runner, const TTest *before, const TTest *test)
{
	TCase *t = tcase_create("inner");

	tcase_set_timeout(t, test == hangs ? 3 : 60);
	if (before)
		tcase_add_test(t, before);
	tcase_add_test(t, test);
	return run_tcase(runner, t, before ? 2 : 1);
}

/* Runs `test`, and checks its result. The expected line is an absolute one; callers add to the line
 * of the test's START_TEST. */
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

START_TEST(test_that_dies_at_once_has_no_assertion_of_another)
{
	SRunner *runner;

	ck_assert_int_ne(tr_lno(run(&runner, killed, nothing_held)), killed->line + 2);
	srunner_free(runner);
}
END_TEST

/* ---- loop tests whose cases have names ---- */

static const struct {
	unsigned int number;
	const char *name;
} table[] = { { 1, "one" }, { 2, "two" } };

static const char *const names[] = { "first", "second" };

static const char *name_of(int i)
{
	static char name[16];

	snprintf(name, sizeof(name), "case %d", i);
	return name;
}

START_TEST(second_fails)
{
	ck_assert_int_eq(_i, 0);
}
END_TEST

START_TEST(second_is_killed)
{
	if (_i == 1)
		raise(SIGKILL);
}
END_TEST

/* Runs the two tests of `t`, of which the second fails. Checks the name in the report of each. */
static void expect_names(TCase *t, const char *passed, const char *failed)
{
	static char text[4096];
	SRunner *runner;
	int fd = memfd_create("tap", 0);

	snprintf(tap, sizeof(tap), "/proc/self/fd/%d", fd);
	run_tcase(&runner, t, 1);
	ck_assert_int_eq(srunner_ntests_run(runner), 2);
	srunner_free(runner);
	ck_assert_int_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	close(fd);
	ck_assert_ptr_nonnull(strstr(text, passed));
	ck_assert_ptr_nonnull(strstr(text, failed));
}

START_TEST(failed_case_is_reported_by_its_name_in_a_table)
{
	TCase *t = tcase_create("inner");

	tcase_add_table_test(t, second_fails, table);
	expect_names(t, ":inner:second_fails[one]: Passed", ":inner:second_fails[two]: Assertion");
}
END_TEST

START_TEST(failed_case_is_reported_by_its_name_in_an_array)
{
	TCase *t = tcase_create("inner");

	tcase_add_names_test(t, second_fails, names);
	expect_names(t, ":inner:second_fails[first]: Passed",
		     ":inner:second_fails[second]: Assertion");
}
END_TEST

START_TEST(killed_case_is_reported_by_its_name_from_a_function)
{
	TCase *t = tcase_create("inner");

	tcase_add_named_test(t, second_is_killed, 2, name_of);
	expect_names(t, ":inner:second_is_killed[case 0]: Passed",
		     ":inner:second_is_killed[case 1]: Received signal 9");
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
	tcase_add_test(t, failed_case_is_reported_by_its_name_in_a_table);
	tcase_add_test(t, failed_case_is_reported_by_its_name_in_an_array);
	tcase_add_test(t, killed_case_is_reported_by_its_name_from_a_function);
	suite_add_tcase(s, t);
	return s;
}
