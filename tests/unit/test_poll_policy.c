/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the three decisions of the polling policy, with simulated times. */
#include "dataplane/poll_policy.h"
#include "tests/lib/cases.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

/* ---- adaptive_poll: all tests run for completions and for requests ---- */

static struct adaptive_poll poll;

static const char *const targets[] = {
	[POLL_COMPLETIONS] = "completions", [POLL_REQUESTS] = "requests"
};

static void begin_poll(uint64_t poll_ns)
{
	poll = (struct adaptive_poll){ .poll_ns = poll_ns };
}

/* Asks for a polling time `times` times, and reports that each poll found nothing. Returns how
 * often there was a time to poll. */
static unsigned int failed_polls(enum poll_target what, unsigned int times)
{
	unsigned int n = 0;

	while (times--) {
		uint64_t budget = adaptive_poll_budget(&poll, what);

		if (!budget)
			continue;
		ck_assert_uint_eq(budget, POLL_MIN_NS);
		adaptive_poll_polled(&poll, what, false);
		n++;
	}
	return n;
}

START_TEST(brief_polls_that_fail_become_rare)
{
	begin_poll(0);
	/* The polls are followed by 1, 3, 7, 15 and 31 times without one. */
	ck_assert_uint_eq(failed_polls(_i, 1 + 1 + 1 + 3 + 1 + 7 + 1 + 15 + 1 + 31), 5);
	ck_assert_uint_eq(failed_polls(_i, 32 * 10), 10);
}
END_TEST

START_TEST(brief_polls_are_frequent_again_after_one_success)
{
	begin_poll(0);
	failed_polls(_i, 1000);
	while (!adaptive_poll_budget(&poll, _i))
		;
	adaptive_poll_polled(&poll, _i, true);
	for (unsigned int i = 0; i < 100; i++) {
		ck_assert_uint_eq(adaptive_poll_budget(&poll, _i), POLL_MIN_NS);
		adaptive_poll_polled(&poll, _i, true);
	}
}
END_TEST

/* How long the host takes does not say how soon the driver sends the next request. */
START_TEST(completions_and_requests_back_off_separately)
{
	begin_poll(0);
	failed_polls(_i, 1000);
	ck_assert_uint_eq(adaptive_poll_budget(&poll, !_i), POLL_MIN_NS);
	adaptive_poll_polled(&poll, !_i, true);
	ck_assert_uint_eq(adaptive_poll_budget(&poll, !_i), POLL_MIN_NS);
}
END_TEST

START_TEST(polling_time_grows_after_short_sleeps)
{
	static const uint64_t grows[] = { 8000, 16000, 32000, 64000, 100000, 100000 };

	begin_poll(100000);
	failed_polls(_i, 1000);
	for (unsigned int i = 0; i < 2; i++) {
		adaptive_poll_slept(&poll, 99999);
		for (unsigned int k = 0; k < sizeof(grows) / sizeof(grows[0]); k++) {
			adaptive_poll_slept(&poll, 99999);
			ck_assert_uint_eq(adaptive_poll_budget(&poll, _i), grows[k]);
			ck_assert_uint_eq(adaptive_poll_budget(&poll, !_i), grows[k]);
		}
		/* This sleep was too long to be replaced by polling. */
		adaptive_poll_slept(&poll, 100000);
		ck_assert_uint_le(adaptive_poll_budget(&poll, _i), POLL_MIN_NS);
	}
}
END_TEST

/* A success of a poll in the long window also ends the back-off of brief ones. */
START_TEST(brief_polls_are_frequent_again_after_a_long_one_succeeded)
{
	begin_poll(100000);
	failed_polls(_i, 1000);
	adaptive_poll_slept(&poll, 1);
	adaptive_poll_slept(&poll, 1);
	adaptive_poll_polled(&poll, _i, true);
	adaptive_poll_slept(&poll, 100000);
	ck_assert_uint_eq(adaptive_poll_budget(&poll, _i), POLL_MIN_NS);
}
END_TEST

START_TEST(polling_time_never_exceeds_its_limit)
{
	begin_poll(3000);
	for (unsigned int i = 0; i < 10; i++)
		adaptive_poll_slept(&poll, 1);
	failed_polls(_i, 1);
	ck_assert_uint_eq(adaptive_poll_budget(&poll, _i), 3000);
	begin_poll(0);
	failed_polls(_i, 1);
	adaptive_poll_slept(&poll, 0);
	ck_assert_uint_eq(adaptive_poll_budget(&poll, _i), 0);
}
END_TEST

/* ---- inline_io ---- */

static struct inline_io inline_io;

/* Reports requests at queue depth 1 until one is to be executed inline. Returns the number of
 * earlier ones, which went to the engine. */
static unsigned int streak_before_inline(void)
{
	unsigned int n = 0;

	while (!inline_io_should_try(&inline_io, false))
		n++;
	return n;
}

START_TEST(inline_io_begins_after_a_streak_at_depth_1)
{
	ck_assert_uint_eq(streak_before_inline(), INLINE_IO_MIN_STREAK);
	for (unsigned int i = 0; i < 100; i++) {
		inline_io_report(&inline_io, INLINE_IO_FAST_NS, false);
		ck_assert(inline_io_should_try(&inline_io, false));
	}
}
END_TEST

static const char *const depths[] = { "another request in flight", "a new request in the ring" };

START_TEST(inline_io_ends_with_a_second_request)
{
	streak_before_inline();
	if (_i)
		inline_io_report(&inline_io, 0, true);
	else
		ck_assert(!inline_io_should_try(&inline_io, true));
	ck_assert_uint_eq(streak_before_inline(), INLINE_IO_MIN_STREAK);
}
END_TEST

START_TEST(inline_io_that_blocked_is_tried_ever_more_rarely)
{
	unsigned int streak = INLINE_IO_MIN_STREAK;

	for (unsigned int i = 0; i < 20; i++) {
		ck_assert_uint_eq(streak_before_inline(), streak);
		inline_io_report(&inline_io, INLINE_IO_FAST_NS + 1, false);
		streak = streak < INLINE_IO_MAX_STREAK ? 2 * streak : streak;
	}
	/* One fast call makes the shortest streak sufficient again. */
	streak_before_inline();
	inline_io_report(&inline_io, INLINE_IO_FAST_NS, false);
	ck_assert(!inline_io_should_try(&inline_io, true));
	ck_assert_uint_eq(streak_before_inline(), INLINE_IO_MIN_STREAK);
}
END_TEST

/* ---- wakeup_policy ---- */

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
	inline_io = (struct inline_io){ .wait = INLINE_IO_MIN_STREAK };
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
		ck_assert_uint_eq(simulate(&eager, &waiting, 1), 100);
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
	struct way eager, waiting;
} ticks[] = {
	{ "queue depth 1", { 1, 140000 }, { 1, 4000000 } },
	{ "one doorbell for several requests", { 4, 35000 }, { 4, 1000000 } },
};

/* In SCHED_BATCH each wake-up waits for the scheduler's tick. */
START_TEST(trials_slow_down_a_guest_that_computes)
{
	const struct way *eager = &ticks[_i].eager;
	uint64_t start = now, wakes = 100 * EAGER_WAKES;

	simulate(eager, &ticks[_i].waiting, (unsigned int)wakes);
	ck_assert_uint_lt(now - start, wakes * eager->batch * eager->each * 107 / 100);
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
	Suite *s = suite_create("poll_policy");
	TCase *t = tcase_create("poll_policy");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_names_test(t, brief_polls_that_fail_become_rare, targets);
	tcase_add_names_test(t, brief_polls_are_frequent_again_after_one_success, targets);
	tcase_add_names_test(t, completions_and_requests_back_off_separately, targets);
	tcase_add_names_test(t, polling_time_grows_after_short_sleeps, targets);
	tcase_add_names_test(t, brief_polls_are_frequent_again_after_a_long_one_succeeded, targets);
	tcase_add_names_test(t, polling_time_never_exceeds_its_limit, targets);
	tcase_add_test(t, inline_io_begins_after_a_streak_at_depth_1);
	tcase_add_names_test(t, inline_io_ends_with_a_second_request, depths);
	tcase_add_test(t, inline_io_that_blocked_is_tried_ever_more_rarely);
	tcase_add_test(t, deep_queues_get_sched_batch);
	tcase_add_table_test(t, queue_depth_1_keeps_sched_other, depth_1);
	tcase_add_test(t, guest_that_computes_keeps_sched_other);
	tcase_add_table_test(t, trials_slow_down_a_guest_that_computes, ticks);
	tcase_add_table_test(t, small_gain_keeps_sched_other, gains);
	tcase_add_test(t, sched_batch_ends_with_the_deep_queue);
	tcase_add_test(t, sched_batch_ends_when_requests_take_longer);
	tcase_add_test(t, wake_ups_without_requests_do_not_count);
	suite_add_tcase(s, t);
	return s;
}
