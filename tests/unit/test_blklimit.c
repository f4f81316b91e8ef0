/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of token buckets, with simulated times. */
#include <pthread.h>

#include "dataplane/base.h"
#include "dataplane/blklimit.h"
#include "tests/lib/cases.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

#define MS     1000000ull
#define SECOND (1000 * MS)

static struct blklimit limit;
static uint64_t now;

/* Sets the limits at a new time; 0: the default. */
static void set(uint64_t iops, uint64_t iops_burst, uint64_t bps, uint64_t bps_burst)
{
	struct blklimit_rates rates = { iops, iops_burst, bps, bps_burst };

	now = 5 * SECOND;
	ck_assert(blklimit_fill_defaults(&rates));
	blklimit_set(&limit, &rates, now);
}

/* Takes the tokens of a request. */
static void move(enum io_op op, uint32_t bytes)
{
	struct io_task task = { .op = op, .len = bytes };

	blklimit_take(&limit, &task, now);
}

/* Takes the tokens of requests while there are any. Returns their number. */
static unsigned int drain(uint32_t bytes)
{
	unsigned int n = 0;

	for (; !blklimit_next_ns(&limit, now); n++)
		move(IO_READ, bytes);
	return n;
}

START_TEST(without_a_limit_no_request_waits)
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
	/* While idle, the bucket gathers no more than the burst. */
	now += 1000 * SECOND;
	ck_assert_uint_eq(drain(512), 50);
}
END_TEST

static const struct {
	const char *name;
	uint64_t rate; /* requests per second */
} paces[] = {
	{ "1/s", 1 },	    { "3/s", 3 },	{ "7/s", 7 },	      { "999/s", 999 },
	{ "1000/s", 1000 }, { "4096/s", 4096 }, { "10^5/s", 100000 }, { "10^7/s", 10000000 },
};

/* The caller continues at the times that blklimit_next_ns returns. */
START_TEST(rate_is_reached_and_not_exceeded)
{
	uint64_t rate = paces[_i].rate, taken, begin;

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

/* One token is enough for a request to pass. The tokens that are missing are subtracted
 * afterwards. */
START_TEST(request_larger_than_the_burst_passes_and_delays_the_next)
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

START_TEST(tokens_of_each_operation)
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

START_TEST(request_waits_for_the_later_of_both_buckets)
{
	set(1000, 1, 1000, 1000);
	move(IO_READ, 1);
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), now + MS);
	move(IO_READ, 2000);
	ck_assert_uint_eq(blklimit_next_ns(&limit, now), now + 1002 * MS);
}
END_TEST

/* Neither missing nor saved tokens are kept. */
START_TEST(new_limits_begin_with_a_full_bucket)
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

/* The lowest rate gets the largest requests. */
START_TEST(times_do_not_overflow)
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
	const char *name;
	struct blklimit_rates rates;
	bool valid;
} limits[] = {
	{ "smallest", { 1, 0, 1, 0 }, true },
	{ "largest",
	  { BLKLIMIT_IOPS_MAX, BLKLIMIT_IOPS_MAX, BLKLIMIT_BPS_MAX, BLKLIMIT_BPS_MAX },
	  true },
	{ "iops-burst without iops", { 0, 1, 0, 0 }, false },
	{ "bps-burst without bps", { 0, 0, 0, 1 }, false },
	{ "iops too large", { BLKLIMIT_IOPS_MAX + 1, 0, 0, 0 }, false },
	{ "iops-burst too large", { 1, BLKLIMIT_IOPS_MAX + 1, 0, 0 }, false },
	{ "bps too large", { 0, 0, UINT64_MAX, 0 }, false },
	{ "bps-burst too large", { 0, 0, 1, BLKLIMIT_BPS_MAX + 1 }, false },
};

START_TEST(limits_are_checked_and_get_a_burst)
{
	struct blklimit_rates rates = limits[_i].rates;

	ck_assert_int_eq(blklimit_fill_defaults(&rates), limits[_i].valid);
	if (limits[_i].valid)
		ck_assert_uint_ge(rates.iops_burst, 1);
}
END_TEST

/* Number of requests of each thread: enough for the threads to change a bucket at the same time. */
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

START_TEST(threads_that_share_a_limit_lose_no_token)
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

	tcase_add_test(t, without_a_limit_no_request_waits);
	tcase_add_test(t, burst_then_rate);
	tcase_add_table_test(t, rate_is_reached_and_not_exceeded, paces);
	tcase_add_test(t, request_larger_than_the_burst_passes_and_delays_the_next);
	tcase_add_test(t, tokens_of_each_operation);
	tcase_add_test(t, request_waits_for_the_later_of_both_buckets);
	tcase_add_test(t, new_limits_begin_with_a_full_bucket);
	tcase_add_test(t, times_do_not_overflow);
	tcase_add_table_test(t, limits_are_checked_and_get_a_burst, limits);
	tcase_add_test(t, threads_that_share_a_limit_lose_no_token);
	suite_add_tcase(s, t);
	return s;
}
