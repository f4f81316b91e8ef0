/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of latency histograms. */
#include <string.h>

#include "dataplane/latency.h"
#include "tests/lib/suite.h"

static struct latency l;

static void clear(void)
{
	memset(&l, 0, sizeof(l));
}

START_TEST(bounds_grow_by_a_quarter_of_a_power_of_two)
{
	ck_assert_uint_eq(latency_bound(0), 1024);
	ck_assert_uint_eq(latency_bound(1), 1280);
	ck_assert_uint_eq(latency_bound(4), 2048);
	ck_assert_uint_eq(latency_bound(5), 2560);
	ck_assert_uint_eq(latency_bound(LATENCY_BUCKETS - 2), 1ull << 34);
	ck_assert_uint_eq(latency_bound(LATENCY_BUCKETS - 1), UINT64_MAX);
	for (unsigned int i = 2; i < LATENCY_BUCKETS - 1; i++) {
		ck_assert_uint_gt(latency_bound(i), latency_bound(i - 1));
		ck_assert_uint_le(latency_bound(i), latency_bound(i - 1) / 4 * 5);
	}
}
END_TEST

/* The upper bound of a bucket belongs to it. */
START_TEST(each_time_has_its_bucket)
{
	ck_assert_uint_eq(latency_bucket(0), 0);
	for (unsigned int i = 0; i < LATENCY_BUCKETS - 1; i++) {
		ck_assert_uint_eq(latency_bucket(latency_bound(i) - 1), i);
		ck_assert_uint_eq(latency_bucket(latency_bound(i)), i);
		ck_assert_uint_eq(latency_bucket(latency_bound(i) + 1), i + 1);
	}
	ck_assert_uint_eq(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}
END_TEST

START_TEST(count_and_sum)
{
	clear();
	latency_add(&l, 1500, 3);
	latency_add(&l, 20, 1);
	ck_assert_uint_eq(latency_count(&l), 4);
	ck_assert_uint_eq(l.sum, 4520);
	ck_assert_uint_eq(l.bucket[latency_bucket(1500)], 3);
}
END_TEST

START_TEST(quantiles)
{
	clear();
	ck_assert_uint_eq(latency_quantile(&l, 999), 0);
	latency_add(&l, 2000, 1);
	ck_assert_uint_eq(latency_quantile(&l, 500), 2048);
	ck_assert_uint_eq(latency_quantile(&l, 999), 2048);
	clear();
	latency_add(&l, 100, 500);
	latency_add(&l, 3000, 490);
	latency_add(&l, 1000000, 9);
	latency_add(&l, 1ull << 40, 1);
	ck_assert_uint_eq(latency_quantile(&l, 500), 1024);
	ck_assert_uint_eq(latency_quantile(&l, 501), 3072);
	ck_assert_uint_eq(latency_quantile(&l, 990), 3072);
	ck_assert_uint_eq(latency_quantile(&l, 999), 1 << 20);
	/* For the last bucket, which has no bound, the quantile is the last bound. */
	ck_assert_uint_eq(latency_quantile(&l, 1000), 1ull << 34);
	clear();
	latency_add(&l, 100, UINT64_MAX - 1);
	latency_add(&l, 3000, 1);
	ck_assert_uint_eq(latency_quantile(&l, 999), 1024);
	ck_assert_uint_eq(latency_quantile(&l, 1000), 3072);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("latency");
	TCase *t = tcase_create("latency");

	suite_add_tcase(s, t);
	tcase_add_test(t, bounds_grow_by_a_quarter_of_a_power_of_two);
	tcase_add_test(t, each_time_has_its_bucket);
	tcase_add_test(t, count_and_sum);
	tcase_add_test(t, quantiles);
	return s;
}
