/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the choice between SCHED_OTHER and SCHED_BATCH, with simulated times. */
#include "dataplane/poll_policy.h"
#include "tests/lib/cases.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

/* A workload in one of the two scheduling classes. */
struct way {
	unsigned int batch; /* requests found at a wake-up */
	uint64_t each;	    /* time per request, ns */
};

static struct wakeup_policy policy;
static uint64_t now;

/* Simulates a wake-up that finds `taken` requests, of which each takes `each` ns. */
static void wake(unsigned int taken, uint64_t each)
{
	now += taken * each;
	must(wakeup_policy_update(&policy, taken, now) == policy.batch_class);
}

/* Simulates wake-ups. `eager` is the workload in SCHED_OTHER, and `waiting` in SCHED_BATCH. Returns
 * the percentage of requests that were taken in SCHED_BATCH. */
static unsigned int simulate(const struct way *eager, const struct way *waiting, unsigned int wakes)
{
	uint64_t all = 0, in_batch = 0;

	while (wakes--) {
		const struct way *way = policy.batch_class ? waiting : eager;

		all += way->batch;
		in_batch += policy.batch_class ? way->batch : 0;
		wake(way->batch, way->each);
	}
	return (unsigned int)(in_batch * 100 / all);
}

static void setup(void)
{
	policy = (struct wakeup_policy){ 0 };
	now = 1000000000;
	/* The first call only sets the time. */
	wake(1, 0);
}

#define EAGER_WAKES (WAKEUP_POLICY_EAGER_SPANS * WAKEUP_POLICY_SPAN)
#define BATCH_WAKES (WAKEUP_POLICY_BATCH_SPANS * WAKEUP_POLICY_SPAN)

START_TEST(deep_queues_get_sched_batch)
{
	struct way eager = { 1, 1000 }, waiting = { 32, 200 };

	ck_assert_uint_eq(simulate(&eager, &waiting, EAGER_WAKES - 1), 0);
	ck_assert(!policy.batch_class);
	simulate(&eager, &waiting, 1);
	ck_assert(policy.batch_class && policy.trial);
	ck_assert_uint_eq(simulate(&eager, &waiting, WAKEUP_POLICY_SPAN), 100);
	ck_assert(policy.batch_class && !policy.trial);
	/* From then on, SCHED_OTHER is tried regularly, for one span. */
	for (unsigned int i = 0; i < 10; i++) {
		ck_assert_uint_eq(simulate(&eager, &waiting, BATCH_WAKES), 100);
		ck_assert(!policy.batch_class && policy.trial);
		ck_assert_uint_eq(simulate(&eager, &waiting, WAKEUP_POLICY_SPAN), 0);
		ck_assert(policy.batch_class && !policy.trial);
	}
}
END_TEST

static const struct {
	const char *name;
	uint64_t each; /* time per request in SCHED_BATCH, ns */
} depth_1[] = {
	{ "slower in SCHED_BATCH", 1500 },
	/* With the same number of requests per wake-up, the class is not the reason. */
	{ "faster in SCHED_BATCH", 100 },
};

START_TEST(queue_depth_1_keeps_sched_other)
{
	struct way eager = { 1, 1000 }, waiting = { 1, depth_1[_i].each };

	for (unsigned int i = 0; i < 10; i++) {
		ck_assert_uint_eq(simulate(&eager, &waiting, EAGER_WAKES), 0);
		ck_assert(policy.batch_class && policy.trial);
		ck_assert_uint_eq(simulate(&eager, &waiting, WAKEUP_POLICY_SPAN), 100);
		ck_assert(!policy.batch_class && !policy.trial);
	}
}
END_TEST

/* The vCPU computes while the requests wait: a wake-up finds more of them, but each takes
 * longer. */
START_TEST(guest_that_computes_keeps_sched_other)
{
	struct way eager = { 1, 1000 }, waiting = { 4, 1000000 };

	ck_assert_uint_lt(simulate(&eager, &waiting, 100 * EAGER_WAKES), 10);
}
END_TEST

static const struct {
	const char *name;
	uint64_t each; /* time per request in SCHED_BATCH, ns; it is 800 in SCHED_OTHER */
	bool enough;
} gains[] = {
	{ "an eighth", 700, false },
	{ "more than an eighth", 699, true },
};

START_TEST(small_gain_keeps_sched_other)
{
	struct way eager = { 1, 800 }, waiting = { 2, gains[_i].each };
	unsigned int percent = simulate(&eager, &waiting, 100 * EAGER_WAKES);

	if (gains[_i].enough)
		ck_assert_uint_gt(percent, 90);
	else
		ck_assert_uint_lt(percent, 10);
}
END_TEST

/* The driver goes from a deep queue to queue depth 1. */
START_TEST(sched_batch_ends_with_the_deep_queue)
{
	struct way eager = { 1, 1000 }, deep = { 32, 200 }, shallow = { 1, 200 };

	simulate(&eager, &deep, EAGER_WAKES + 2 * WAKEUP_POLICY_SPAN);
	ck_assert(policy.batch_class && !policy.trial);
	ck_assert_uint_eq(simulate(&eager, &shallow, WAKEUP_POLICY_SPAN), 100);
	ck_assert(!policy.batch_class && !policy.trial);
	/* SCHED_BATCH is not tried again earlier than at first. */
	ck_assert_uint_eq(simulate(&eager, &deep, EAGER_WAKES), 0);
	ck_assert(policy.batch_class && policy.trial);
}
END_TEST

START_TEST(sched_batch_ends_when_requests_take_longer)
{
	struct way eager = { 1, 1000 }, deep = { 32, 200 }, late = { 32, 100000 };

	simulate(&eager, &deep, EAGER_WAKES + 2 * WAKEUP_POLICY_SPAN);
	simulate(&eager, &late, BATCH_WAKES);
	ck_assert(!policy.batch_class);
	ck_assert_uint_eq(simulate(&eager, &late, EAGER_WAKES), 0);
}
END_TEST

START_TEST(wake_ups_without_requests_do_not_count)
{
	struct way eager = { 1, 1000 }, deep = { 2, 200 };

	simulate(&eager, &deep, EAGER_WAKES + WAKEUP_POLICY_SPAN);
	ck_assert(policy.batch_class && !policy.trial);
	/* A wake-up for a completion follows each batch. */
	for (unsigned int i = 0; i < 2 * WAKEUP_POLICY_SPAN; i++) {
		wake(0, 0);
		wake(2, 200);
	}
	ck_assert(policy.batch_class && !policy.trial);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("wakeup_policy");
	TCase *t = tcase_create("wakeup_policy");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, deep_queues_get_sched_batch);
	tcase_add_table_test(t, queue_depth_1_keeps_sched_other, depth_1);
	tcase_add_test(t, guest_that_computes_keeps_sched_other);
	tcase_add_table_test(t, small_gain_keeps_sched_other, gains);
	tcase_add_test(t, sched_batch_ends_with_the_deep_queue);
	tcase_add_test(t, sched_batch_ends_when_requests_take_longer);
	tcase_add_test(t, wake_ups_without_requests_do_not_count);
	suite_add_tcase(s, t);
	return s;
}
