/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of adaptive polling. All run for completions and for requests. */
#include "dataplane/poll_policy.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"

static struct adaptive_poll l;

static const char *const targets[] = {
	[POLL_COMPLETIONS] = "completions", [POLL_REQUESTS] = "requests"
};

static void begin(uint64_t poll_ns)
{
	l = (struct adaptive_poll){ .poll_ns = poll_ns };
}

/* Asks for a polling time `times` times, and reports that each poll found nothing. Returns how
 * often there was a time to poll. */
static unsigned int failed_polls(enum poll_target what, unsigned int times)
{
	unsigned int n = 0;

	while (times--) {
		uint64_t budget = adaptive_poll_budget(&l, what);

		if (!budget)
			continue;
		ck_assert_uint_eq(budget, POLL_MIN_NS);
		adaptive_poll_polled(&l, what, false);
		n++;
	}
	return n;
}

START_TEST(brief_polls_that_fail_become_rare)
{
	begin(0);
	/* The polls are followed by 1, 3, 7, 15 and 31 times without one. */
	ck_assert_uint_eq(failed_polls(_i, 1 + 1 + 1 + 3 + 1 + 7 + 1 + 15 + 1 + 31), 5);
	ck_assert_uint_eq(failed_polls(_i, 32 * 10), 10);
}
END_TEST

START_TEST(brief_polls_are_frequent_again_after_one_success)
{
	begin(0);
	failed_polls(_i, 1000);
	while (!adaptive_poll_budget(&l, _i))
		;
	adaptive_poll_polled(&l, _i, true);
	for (unsigned int i = 0; i < 100; i++) {
		ck_assert_uint_eq(adaptive_poll_budget(&l, _i), POLL_MIN_NS);
		adaptive_poll_polled(&l, _i, true);
	}
}
END_TEST

/* How long the host takes does not say how soon the driver sends the next request. */
START_TEST(completions_and_requests_back_off_separately)
{
	begin(0);
	failed_polls(_i, 1000);
	ck_assert_uint_eq(adaptive_poll_budget(&l, !_i), POLL_MIN_NS);
	adaptive_poll_polled(&l, !_i, true);
	ck_assert_uint_eq(adaptive_poll_budget(&l, !_i), POLL_MIN_NS);
}
END_TEST

START_TEST(polling_time_grows_after_short_sleeps)
{
	static const uint64_t grows[] = { 8000, 16000, 32000, 64000, 100000, 100000 };

	begin(100000);
	failed_polls(_i, 1000);
	for (unsigned int i = 0; i < 2; i++) {
		adaptive_poll_slept(&l, 99999);
		for (unsigned int k = 0; k < sizeof(grows) / sizeof(grows[0]); k++) {
			adaptive_poll_slept(&l, 99999);
			ck_assert_uint_eq(adaptive_poll_budget(&l, _i), grows[k]);
			ck_assert_uint_eq(adaptive_poll_budget(&l, !_i), grows[k]);
		}
		/* This sleep was too long to be replaced by polling. */
		adaptive_poll_slept(&l, 100000);
		ck_assert_uint_le(adaptive_poll_budget(&l, _i), POLL_MIN_NS);
	}
}
END_TEST

/* A success of a poll in the long window also ends the back-off of brief ones. */
START_TEST(brief_polls_are_frequent_again_after_a_long_one_succeeded)
{
	begin(100000);
	failed_polls(_i, 1000);
	adaptive_poll_slept(&l, 1);
	adaptive_poll_slept(&l, 1);
	adaptive_poll_polled(&l, _i, true);
	adaptive_poll_slept(&l, 100000);
	ck_assert_uint_eq(adaptive_poll_budget(&l, _i), POLL_MIN_NS);
}
END_TEST

START_TEST(polling_time_never_exceeds_its_limit)
{
	begin(3000);
	for (unsigned int i = 0; i < 10; i++)
		adaptive_poll_slept(&l, 1);
	failed_polls(_i, 1);
	ck_assert_uint_eq(adaptive_poll_budget(&l, _i), 3000);
	begin(0);
	failed_polls(_i, 1);
	adaptive_poll_slept(&l, 0);
	ck_assert_uint_eq(adaptive_poll_budget(&l, _i), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("adaptive_poll");
	TCase *t = tcase_create("adaptive_poll");

	tcase_add_names_test(t, brief_polls_that_fail_become_rare, targets);
	tcase_add_names_test(t, brief_polls_are_frequent_again_after_one_success, targets);
	tcase_add_names_test(t, completions_and_requests_back_off_separately, targets);
	tcase_add_names_test(t, polling_time_grows_after_short_sleeps, targets);
	tcase_add_names_test(t, brief_polls_are_frequent_again_after_a_long_one_succeeded, targets);
	tcase_add_names_test(t, polling_time_never_exceeds_its_limit, targets);
	suite_add_tcase(s, t);
	return s;
}
