/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/poll_policy.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

/* A driver and its host in numbers: how many requests are found at a wake-up, and how long each of
 * them takes, in either way. */
struct way {
	unsigned int batch;
	uint64_t each;
};

static struct wakeup_policy wakeup_policy;
static uint64_t now;

static void wake(unsigned int taken, uint64_t each)
{
	now += taken * each;
	must(wakeup_policy_update(&wakeup_policy, taken, now) == wakeup_policy.batch_class);
}

/* So many wake-ups; returns how many percent of the requests were taken patiently. */
static unsigned int live(const struct way *eager, const struct way *batch_class, unsigned int wakes)
{
	uint64_t all = 0, patiently = 0;

	while (wakes--) {
		const struct way *way = wakeup_policy.batch_class ? batch_class : eager;

		all += way->batch;
		patiently += wakeup_policy.batch_class ? way->batch : 0;
		wake(way->batch, way->each);
	}
	return (unsigned int)(patiently * 100 / all);
}

static void setup(void)
{
	wakeup_policy = (struct wakeup_policy){ 0 };
	now = 1000000000;
	/* The first one only tells the time. */
	wake(1, 0);
}

#define EAGER_WAKES   (WAKEUP_POLICY_EAGER_SPANS * WAKEUP_POLICY_SPAN)
#define PATIENT_WAKES (WAKEUP_POLICY_BATCH_SPANS * WAKEUP_POLICY_SPAN)

START_TEST(deep_queues_are_waited_for)
{
	struct way eager = { 1, 1000 }, batch_class = { 32, 200 };

	ck_assert_uint_eq(live(&eager, &batch_class, EAGER_WAKES - 1), 0);
	ck_assert(!wakeup_policy.batch_class);
	live(&eager, &batch_class, 1);
	ck_assert(wakeup_policy.batch_class && wakeup_policy.trial);
	ck_assert_uint_eq(live(&eager, &batch_class, WAKEUP_POLICY_SPAN), 100);
	ck_assert(wakeup_policy.batch_class && !wakeup_policy.trial);
	/* And the other way is tried again and again, not for long. */
	for (unsigned int i = 0; i < 10; i++) {
		ck_assert_uint_eq(live(&eager, &batch_class, PATIENT_WAKES), 100);
		ck_assert(!wakeup_policy.batch_class && wakeup_policy.trial);
		ck_assert_uint_eq(live(&eager, &batch_class, WAKEUP_POLICY_SPAN), 0);
		ck_assert(wakeup_policy.batch_class && !wakeup_policy.trial);
	}
}
END_TEST

START_TEST(one_at_a_time_is_not_waited_for)
{
	/* Not even where it was quicker: then something else was. */
	struct way eager = { 1, 1000 }, batch_class = { 1, _i ? 100 : 1500 };

	for (unsigned int i = 0; i < 10; i++) {
		ck_assert_uint_eq(live(&eager, &batch_class, EAGER_WAKES), 0);
		ck_assert(wakeup_policy.batch_class && wakeup_policy.trial);
		ck_assert_uint_eq(live(&eager, &batch_class, WAKEUP_POLICY_SPAN), 100);
		ck_assert(!wakeup_policy.batch_class && !wakeup_policy.trial);
	}
}
END_TEST

/* The vCPU computes meanwhile: much is gathered, and little done. */
START_TEST(a_busy_guest_is_not_waited_for)
{
	struct way eager = { 1, 1000 }, batch_class = { 4, 1000000 };

	ck_assert_uint_lt(live(&eager, &batch_class, 100 * EAGER_WAKES), 10);
}
END_TEST

START_TEST(a_little_better_is_not_enough)
{
	struct way eager = { 1, 800 }, batch_class = { 2, _i ? 699 : 700 };
	unsigned int percent = live(&eager, &batch_class, 100 * EAGER_WAKES);

	if (_i)
		ck_assert_uint_gt(percent, 90);
	else
		ck_assert_uint_lt(percent, 10);
}
END_TEST

/* A driver that was deep and is not any more is served at once again. */
START_TEST(patience_ends_with_what_it_was_for)
{
	struct way eager = { 1, 1000 }, deep = { 32, 200 }, inline_io = { 1, 200 };

	live(&eager, &deep, EAGER_WAKES + 2 * WAKEUP_POLICY_SPAN);
	ck_assert(wakeup_policy.batch_class && !wakeup_policy.trial);
	ck_assert_uint_eq(live(&eager, &inline_io, WAKEUP_POLICY_SPAN), 100);
	ck_assert(!wakeup_policy.batch_class && !wakeup_policy.trial);
	/* And not patient again sooner than ever. */
	ck_assert_uint_eq(live(&eager, &deep, EAGER_WAKES), 0);
	ck_assert(wakeup_policy.batch_class && wakeup_policy.trial);
}
END_TEST

START_TEST(patience_ends_where_it_does_not_pay_any_more)
{
	struct way eager = { 1, 1000 }, deep = { 32, 200 }, late = { 32, 100000 };

	live(&eager, &deep, EAGER_WAKES + 2 * WAKEUP_POLICY_SPAN);
	live(&eager, &late, PATIENT_WAKES);
	ck_assert(!wakeup_policy.batch_class);
	ck_assert_uint_eq(live(&eager, &late, EAGER_WAKES), 0);
}
END_TEST

START_TEST(wakes_for_something_else_say_nothing)
{
	struct way eager = { 1, 1000 }, deep = { 2, 200 };

	live(&eager, &deep, EAGER_WAKES + WAKEUP_POLICY_SPAN);
	ck_assert(wakeup_policy.batch_class && !wakeup_policy.trial);
	/* A completion after each batch does not make it one of two wake-ups. */
	for (unsigned int i = 0; i < 2 * WAKEUP_POLICY_SPAN; i++) {
		wake(0, 0);
		wake(2, 200);
	}
	ck_assert(wakeup_policy.batch_class && !wakeup_policy.trial);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("wakeup_policy");
	TCase *t = tcase_create("wakeup_policy");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, deep_queues_are_waited_for);
	tcase_add_loop_test(t, one_at_a_time_is_not_waited_for, 0, 2);
	tcase_add_test(t, a_busy_guest_is_not_waited_for);
	tcase_add_loop_test(t, a_little_better_is_not_enough, 0, 2);
	tcase_add_test(t, patience_ends_with_what_it_was_for);
	tcase_add_test(t, patience_ends_where_it_does_not_pay_any_more);
	tcase_add_test(t, wakes_for_something_else_say_nothing);
	suite_add_tcase(s, t);
	return s;
}
