/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/poll_policy.h"
#include "tests/lib/suite.h"

static struct adaptive_poll l;

static void begin(uint64_t poll_ns)
{
	l = (struct adaptive_poll){ .poll_ns = poll_ns };
}

/* Of so many times, how often is it looked when each look is in vain? */
static unsigned int looks(enum poll_target what, unsigned int times)
{
	unsigned int n = 0;

	while (times--) {
		uint64_t regpage = adaptive_poll_budget(&l, what);

		if (!regpage)
			continue;
		ck_assert_uint_eq(regpage, POLL_MIN_NS);
		adaptive_poll_polled(&l, what, false);
		n++;
	}
	return n;
}

START_TEST(brief_looks_in_vain_become_rare)
{
	begin(0);
	/* Then 1, 3, 7, 15 and 31 are left out. */
	ck_assert_uint_eq(looks(_i, 1 + 1 + 1 + 3 + 1 + 7 + 1 + 15 + 1 + 31), 5);
	ck_assert_uint_eq(looks(_i, 32 * 10), 10);
}
END_TEST

START_TEST(one_success_and_each_time_is_looked_again)
{
	begin(0);
	looks(_i, 1000);
	while (!adaptive_poll_budget(&l, _i))
		;
	adaptive_poll_polled(&l, _i, true);
	for (unsigned int i = 0; i < 100; i++) {
		ck_assert_uint_eq(adaptive_poll_budget(&l, _i), POLL_MIN_NS);
		adaptive_poll_polled(&l, _i, true);
	}
}
END_TEST

/* A host that is slow to answer says nothing of how soon the driver sends more. */
START_TEST(answers_and_requests_are_looked_for_apart)
{
	begin(0);
	looks(_i, 1000);
	ck_assert_uint_eq(adaptive_poll_budget(&l, !_i), POLL_MIN_NS);
	adaptive_poll_polled(&l, !_i, true);
	ck_assert_uint_eq(adaptive_poll_budget(&l, !_i), POLL_MIN_NS);
}
END_TEST

START_TEST(the_long_window_follows_what_sleeping_cost)
{
	static const uint64_t grows[] = { 8000, 16000, 32000, 64000, 100000, 100000 };

	begin(100000);
	looks(_i, 1000);
	for (unsigned int i = 0; i < 2; i++) {
		adaptive_poll_slept(&l, 99999);
		for (unsigned int k = 0; k < sizeof(grows) / sizeof(grows[0]); k++) {
			adaptive_poll_slept(&l, 99999);
			ck_assert_uint_eq(adaptive_poll_budget(&l, _i), grows[k]);
			ck_assert_uint_eq(adaptive_poll_budget(&l, !_i), grows[k]);
		}
		/* A longer sleep was worth it. */
		adaptive_poll_slept(&l, 100000);
		ck_assert_uint_le(adaptive_poll_budget(&l, _i), POLL_MIN_NS);
	}
}
END_TEST

/* Found or not while the long window is open, the brief one is ready when it closes. */
START_TEST(a_long_look_that_finds_something_brings_brief_ones_back)
{
	begin(100000);
	looks(_i, 1000);
	adaptive_poll_slept(&l, 1);
	adaptive_poll_slept(&l, 1);
	adaptive_poll_polled(&l, _i, true);
	adaptive_poll_slept(&l, 100000);
	ck_assert_uint_eq(adaptive_poll_budget(&l, _i), POLL_MIN_NS);
}
END_TEST

START_TEST(no_longer_than_allowed)
{
	begin(3000);
	for (unsigned int i = 0; i < 10; i++)
		adaptive_poll_slept(&l, 1);
	looks(_i, 1);
	ck_assert_uint_eq(adaptive_poll_budget(&l, _i), 3000);
	begin(0);
	looks(_i, 1);
	adaptive_poll_slept(&l, 0);
	ck_assert_uint_eq(adaptive_poll_budget(&l, _i), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("adaptive_poll");
	TCase *t = tcase_create("adaptive_poll");

	tcase_add_loop_test(t, brief_looks_in_vain_become_rare, 0, 2);
	tcase_add_loop_test(t, one_success_and_each_time_is_looked_again, 0, 2);
	tcase_add_loop_test(t, answers_and_requests_are_looked_for_apart, 0, 2);
	tcase_add_loop_test(t, the_long_window_follows_what_sleeping_cost, 0, 2);
	tcase_add_loop_test(t, a_long_look_that_finds_something_brings_brief_ones_back, 0, 2);
	tcase_add_loop_test(t, no_longer_than_allowed, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
