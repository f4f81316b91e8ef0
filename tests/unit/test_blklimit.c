/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of token buckets, with simulated times. */
#include <pthread.h>

#include "dataplane/base.h"
#include "dataplane/blklimit.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

#define MS     1000000ull
#define SECOND (1000 * MS)

static struct blklimit limit;
static uint64_t now;

static void set(uint64_t iops, uint64_t iops_burst, uint64_t bps, uint64_t bps_burst)
{
	struct blklimit_rates rates = { iops, iops_burst, bps, bps_burst };

	now = 5 * SECOND;
	ck_assert(blklimit_fill_defaults(&rates));
	blklimit_set(&limit, &rates, now);
}

static void move(enum io_op op, uint32_t bytes)
{
	struct io_task task = { .op = op, .len = bytes };

	blklimit_take(&limit, &task, now);
}

/* Takes as many as there are now. */
static unsigned int drain(uint32_t bytes)
{
	unsigned int n = 0;

	for (; !blklimit_next_ns(&limit, now); n++)
		move(IO_READ, bytes);
	return n;
}

START_TEST(without_a_limit_nothing_waits)
{
	struct blklimit_rates none = { 0 };

	ck_assert(!blklimit_any(&limit));
	for (unsigned int i = 0; i < 1000; i++)
		move(IO_WRITE, UINT32_MAX);
	ck_assert_uint_eq(blklimit_next_ns(&limit, 0), 0);
	ck_assert(blklimit_fill_defaults(&none));
	ck_assert_uint_eq(none.iops_burst | none.bps_burst, 0);
}
END_TEST

START_TEST(burst_then_rate)
{
	set(1000, 50, 0, 0);
	ck_assert(blklimit_any(&limit));
	ck_assert_uint_eq(drain(512), 50);
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), now + MS);
	now += MS - 1;
	ck_assert_uint_eq(drain(512), 0);
	now += 1;
	ck_assert_uint_eq(drain(512), 1);
	now += 10 * MS;
	ck_assert_uint_eq(drain(512), 10);
	/* No more than the burst is saved up. */
	now += 1000 * SECOND;
	ck_assert_uint_eq(drain(512), 50);
}
END_TEST

/* Woken when it is due, and only then: as much as the rate allows, never more. */
START_TEST(rate_is_kept)
{
	static const uint64_t rates[] = { 1, 3, 7, 999, 1000, 4096, 100000, 10000000 };
	uint64_t rate = rates[_i], taken, begin;

	set(rate, rate / 1000, 0, 0);
	drain(512);
	begin = now;
	for (taken = 0; now - begin < SECOND && taken < 1000000;) {
		uint64_t due = blklimit_next_ns(&limit, now);

		must(due > now);
		now = due;
		unsigned int n = drain(512);
		must(n);
		taken += n;
	}
	taken *= SECOND;
	ck_assert_uint_le(taken / (now - begin), rate);
	ck_assert_uint_ge(taken / (now - begin), rate - rate / 100 - 1);
}
END_TEST

/* One token is enough for it to pass, and then it has to be paid for. */
START_TEST(larger_than_the_burst_passes_and_is_paid_for)
{
	set(0, 0, 1000, 10);
	ck_assert_uint_eq(drain(2010), 1);
	now += 2 * SECOND;
	ck_assert_uint_eq(drain(1), 0);
	ck_assert_uint_gt(blklimit_next_ns(&limit, now), now);
	now += MS;
	ck_assert_uint_eq(drain(1), 1);
}
END_TEST

START_TEST(what_counts)
{
	struct io_task task = { .op = IO_DISCARD,
				.range_count = 3,
				.range = { { 0, 512, 0 }, { 0, 1024, 0 }, { 0, 512, 0 } } };
	uint64_t full;

	set(1000, 1000, 1000, 1000);
	full = now;
	move(IO_FLUSH, 77);
	ck_assert_uint_eq(limit.ops.full_at, full + MS);
	ck_assert_uint_eq(limit.bytes.full_at, full);
	blklimit_take(&limit, NULL, now);
	ck_assert_uint_eq(limit.ops.full_at, full + 2 * MS);
	ck_assert_uint_eq(limit.bytes.full_at, full);
	move(IO_READ, 5);
	move(IO_WRITE, 6);
	ck_assert_uint_eq(limit.ops.full_at, full + 4 * MS);
	ck_assert_uint_eq(limit.bytes.full_at, full + 11 * MS);
	blklimit_take(&limit, &task, now);
	ck_assert_uint_eq(limit.ops.full_at, full + 7 * MS);
	ck_assert_uint_eq(limit.bytes.full_at, full + 11 * MS);
	task.op = IO_WRITE_ZEROES;
	blklimit_take(&limit, &task, now);
	ck_assert_uint_eq(limit.ops.full_at, full + 10 * MS);
	ck_assert_uint_eq(limit.bytes.full_at, full + (11 + 2048) * MS);
}
END_TEST

START_TEST(the_later_of_both_buckets)
{
	set(1000, 1, 1000, 1000);
	move(IO_READ, 1);
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), now + MS);
	move(IO_READ, 2000);
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), now + 1002 * MS);
}
END_TEST

/* Debts are forgotten, and what was saved up is. */
START_TEST(set_begins_anew)
{
	struct blklimit_rates rates;

	set(1, 1, 0, 0);
	move(IO_READ, 512);
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), now + SECOND);
	set(10, 2, 0, 0);
	ck_assert_uint_eq(drain(512), 2);
	blklimit_get(&limit, &rates);
	ck_assert_uint_eq(rates.iops, 10);
	ck_assert_uint_eq(rates.iops_burst, 2);
	set(0, 0, 0, 0);
	ck_assert(!blklimit_any(&limit));
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), 0);
}
END_TEST

/* The slowest there is, asked for the most there is, over and over. */
START_TEST(nothing_overflows)
{
	struct io_task task = { .op = IO_WRITE_ZEROES, .range_count = IO_RANGES_MAX };
	uint64_t due = 0;

	for (unsigned int i = 0; i < IO_RANGES_MAX; i++)
		task.range[i].len = UINT32_MAX;
	set(1, BLKLIMIT_IOPS_MAX, 1, BLKLIMIT_BPS_MAX);
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t next;

		blklimit_take(&limit, &task, now);
		next = blklimit_next_ns(&limit, now);
		ck_assert_uint_ge(next, due);
		due = next;
	}
	ck_assert_uint_gt(due, now + SECOND);
}
END_TEST

static const struct {
	struct blklimit_rates rates;
	bool good;
} settled[] = {
	{ { 1, 0, 1, 0 }, true },
	{ { BLKLIMIT_IOPS_MAX, BLKLIMIT_IOPS_MAX, BLKLIMIT_BPS_MAX, BLKLIMIT_BPS_MAX }, true },
	{ { 0, 1, 0, 0 }, false },
	{ { 0, 0, 0, 1 }, false },
	{ { BLKLIMIT_IOPS_MAX + 1, 0, 0, 0 }, false },
	{ { 1, BLKLIMIT_IOPS_MAX + 1, 0, 0 }, false },
	{ { 0, 0, UINT64_MAX, 0 }, false },
	{ { 0, 0, 1, BLKLIMIT_BPS_MAX + 1 }, false },
};

START_TEST(settle)
{
	struct blklimit_rates rates = settled[_i].rates;

	ck_assert_int_eq(blklimit_fill_defaults(&rates), settled[_i].good);
	if (settled[_i].good)
		ck_assert_uint_ge(rates.iops_burst, 1);
}
END_TEST

/* Enough for them to meet between reading and changing it; all at once. */
#define TAKES ROUNDS(200000u, 100000u, 20000u)
static pthread_barrier_t together;

static void *take_some(void *arg)
{
	struct io_task task = { .op = IO_READ, .len = 3 };

	pthread_barrier_wait(&together);
	for (unsigned int i = 0; i < TAKES; i++)
		blklimit_take(&limit, &task, now);
	return arg;
}

START_TEST(threads_that_share_it_lose_no_token)
{
	pthread_t thread[3];
	uint64_t begin;

	set(1000, 1, 1000, 1);
	begin = now;
	must(!pthread_barrier_init(&together, NULL, 3));
	for (unsigned int i = 0; i < 3; i++)
		must(!pthread_create(&thread[i], NULL, take_some, NULL));
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(limit.ops.full_at, begin + 3 * TAKES * MS);
	ck_assert_uint_eq(limit.bytes.full_at, begin + 9 * TAKES * MS);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blklimit");
	TCase *t = tcase_create("blklimit");

	tcase_add_test(t, without_a_limit_nothing_waits);
	tcase_add_test(t, burst_then_rate);
	tcase_add_loop_test(t, rate_is_kept, 0, 8);
	tcase_add_test(t, larger_than_the_burst_passes_and_is_paid_for);
	tcase_add_test(t, what_counts);
	tcase_add_test(t, the_later_of_both_buckets);
	tcase_add_test(t, set_begins_anew);
	tcase_add_test(t, nothing_overflows);
	tcase_add_loop_test(t, settle, 0, ARRAY_SIZE(settled));
	tcase_add_test(t, threads_that_share_it_lose_no_token);
	suite_add_tcase(s, t);
	return s;
}
