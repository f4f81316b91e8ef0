/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of guest address translation, checked arithmetic and the rate-limited log. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/hostmem.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static char low[0x1000], mid[0x2000], high[0x1000], rom[0x1000];
static struct hostmem mem;
static struct iovec iov[4];

/* Adds the regions [1000, 2000) low, [2000, 4000) mid, [4000, 5000) rom and [8000, 9000) high, not
 * in the order of their addresses. */
static void setup(void)
{
	mem = (struct hostmem){ 0 };
	ck_assert_int_eq(hostmem_add(&mem, 0x8000, 0x1000, high, false), 0);
	ck_assert_int_eq(hostmem_add(&mem, 0x1000, 0x1000, low, false), 0);
	ck_assert_int_eq(hostmem_add(&mem, 0x4000, 0x1000, rom, true), 0);
	ck_assert_int_eq(hostmem_add(&mem, 0x2000, 0x2000, mid, false), 0);
}

START_TEST(table_is_sorted)
{
	ck_assert_uint_eq(mem.count, 4);
	for (unsigned int i = 1; i < mem.count; i++)
		ck_assert_uint_lt(mem.region[i - 1].gpa, mem.region[i].gpa);
}
END_TEST

START_TEST(invalid_regions_are_refused)
{
	ck_assert_int_eq(hostmem_add(&mem, 0x20000, 0, low, false), -EINVAL);
	ck_assert_int_eq(hostmem_add(&mem, 0x20000, 0x1000, NULL, false), -EINVAL);
	ck_assert_int_eq(hostmem_add(&mem, ~0ull - 0xfff, 0x1000, low, false), -EINVAL);
	ck_assert_int_eq(hostmem_add(&mem, ~0ull, 2, low, false), -EINVAL);
	/* These overlap: the same region, inside, around, and by one byte at either end. */
	ck_assert_int_eq(hostmem_add(&mem, 0x1000, 0x1000, low, false), -EEXIST);
	ck_assert_int_eq(hostmem_add(&mem, 0x2800, 0x10, low, false), -EEXIST);
	ck_assert_int_eq(hostmem_add(&mem, 0, 0x10000, low, false), -EEXIST);
	ck_assert_int_eq(hostmem_add(&mem, 0, 0x1001, low, false), -EEXIST);
	ck_assert_int_eq(hostmem_add(&mem, 0x4fff, 0x1000, low, false), -EEXIST);
	ck_assert_int_eq(hostmem_add(&mem, 0x7000, 0x1001, low, false), -EEXIST);
	ck_assert_uint_eq(mem.count, 4);
	/* Adjacent regions do not overlap. */
	ck_assert_int_eq(hostmem_add(&mem, 0, 0x1000, low, false), 0);
	ck_assert_int_eq(hostmem_add(&mem, 0x7000, 0x1000, low, false), 0);
	ck_assert_int_eq(hostmem_add(&mem, ~0ull - 0x1000, 0x1000, low, false), 0);
}
END_TEST

START_TEST(removed_region_is_found_no_more_and_its_place_is_free)
{
	hostmem_remove(&mem, 0x2000);
	ck_assert_uint_eq(mem.count, 3);
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x2000, 1, false));
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x1000, 1, false), low);
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x4000, 1, false), rom);
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x8000, 1, false), high);
	ck_assert_int_eq(hostmem_add(&mem, 0x2000, 0x1000, mid + 0x1000, false), 0);
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x2fff, 1, false), mid + 0x1fff);
}
END_TEST

/* The log has bits for pages 0 to 7. */
START_TEST(dirty_log_has_the_pages_of_a_write_and_no_others)
{
	uint8_t bits[2] = { 0, 0xaa };
	struct hostmem_dirty dirty = { bits, 1 };

	mem.dirty = &dirty;
	hostmem_mark_dirty(&mem, mid + 0xfff, 2);
	ck_assert_uint_eq(bits[0], 1 << 2 | 1 << 3);
	hostmem_mark_dirty(&mem, low, 1);
	ck_assert_uint_eq(bits[0], 1 << 1 | 1 << 2 | 1 << 3);
	hostmem_mark_dirty(&mem, low, 0);
	hostmem_mark_dirty(&mem, high, 0x1000); /* page 8 is not in the log */
	hostmem_mark_dirty(&mem, bits, 1);	/* no guest memory */
	ck_assert_uint_eq(bits[0], 1 << 1 | 1 << 2 | 1 << 3);
	ck_assert_uint_eq(bits[1], 0xaa);
}
END_TEST

START_TEST(region_is_refused_when_the_table_is_full)
{
	for (uint64_t i = 0; i < HOSTMEM_MAX_REGIONS - 4; i++)
		ck_assert_int_eq(hostmem_add(&mem, 0x100000 + i * 0x1000, 0x1000, low, false), 0);
	ck_assert_int_eq(hostmem_add(&mem, 0x900000, 0x1000, low, false), -ENOSPC);
	ck_assert_uint_eq(mem.count, HOSTMEM_MAX_REGIONS);
}
END_TEST

START_TEST(row08_lookup_to_the_last_byte_and_one_further)
{
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x1000, 0x1000, true), low);
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x1fff, 1, true), low + 0xfff);
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x8800, 0x800, true), high + 0x800);
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x1000, 0x1001, true));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x1fff, 2, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0xfff, 1, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0xfff, 2, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x5000, 1, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x7fff, 2, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x9000, 1, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0, 1, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x1000, 0, false));
}
END_TEST

START_TEST(row07_lookup_that_wraps)
{
	ck_assert_ptr_null(hostmem_lookup(&mem, ~0ull, 1, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, ~0ull, 0x1002, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x1800, ~0ull, false));
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x1800, ~0ull - 0x17ff, false));
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, ~0ull, false, iov, 4), -EFAULT);
	ck_assert_int_eq(hostmem_map(&mem, ~0ull, 2, false, iov, 4), -EFAULT);
	/* This region ends with the last possible address. */
	ck_assert_int_eq(hostmem_add(&mem, ~0ull - 0x1000, 0x1000, low, false), 0);
	ck_assert_int_eq(hostmem_map(&mem, ~0ull - 1, 1, false, iov, 4), 1);
	ck_assert_int_eq(hostmem_map(&mem, ~0ull - 1, 2, false, iov, 4), -EFAULT);
	ck_assert_int_eq(hostmem_map(&mem, ~0ull - 1, 0x2000, false, iov, 4), -EFAULT);
}
END_TEST

START_TEST(read_only_memory_is_not_found_for_writes)
{
	ck_assert_ptr_eq(hostmem_lookup(&mem, 0x4000, 0x1000, false), rom);
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x4000, 1, true));
	ck_assert_int_eq(hostmem_map(&mem, 0x3fff, 2, false, iov, 4), 2);
	ck_assert_int_eq(hostmem_map(&mem, 0x3fff, 2, true, iov, 4), -EFAULT);
}
END_TEST

START_TEST(row09_map_over_regions)
{
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, 0x3000, false, iov, 4), 3);
	ck_assert_ptr_eq(iov[0].iov_base, low + 0x800);
	ck_assert_uint_eq(iov[0].iov_len, 0x800);
	ck_assert_ptr_eq(iov[1].iov_base, mid);
	ck_assert_uint_eq(iov[1].iov_len, 0x2000);
	ck_assert_ptr_eq(iov[2].iov_base, rom);
	ck_assert_uint_eq(iov[2].iov_len, 0x800);
	/* These ranges have a hole at the end, or in the middle. */
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, 0x3801, false, iov, 4), -EFAULT);
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, 0x7000, false, iov, 4), -EFAULT);
	/* hostmem_lookup finds only ranges within one region. */
	ck_assert_ptr_null(hostmem_lookup(&mem, 0x1800, 0x1000, false));
}
END_TEST

START_TEST(map_writes_no_more_pieces_than_the_array_has)
{
	iov[2].iov_len = 4711;
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, 0x3000, false, iov, 2), -ENOSPC);
	ck_assert_uint_eq(iov[2].iov_len, 4711);
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, 1, false, iov, 0), -ENOSPC);
	ck_assert_int_eq(hostmem_map(&mem, 0x1800, 1, false, iov, 1), 1);
}
END_TEST

/* ---- base.h ---- */

START_TEST(checked_arithmetic)
{
	uint64_t sum;

	ck_assert(add_u64(~0ull - 1, 1, &sum) && sum == ~0ull);
	ck_assert(!add_u64(~0ull, 1, &sum));
	ck_assert(range_inside(0, 0, 0));
	ck_assert(range_inside(5, 5, 10));
	ck_assert(range_inside(10, 0, 10));
	ck_assert(!range_inside(11, 0, 10));
	ck_assert(!range_inside(5, 6, 10));
	ck_assert(!range_inside(5, ~0ull, 10));
	ck_assert(!range_inside(~0ull, 2, 10));
	ck_assert(!is_power_of_2(0) && is_power_of_2(1) && is_power_of_2(1ull << 63));
	ck_assert(!is_power_of_2(3) && !is_power_of_2((1ull << 63) + 1));
}
END_TEST

START_TEST(log_line_is_one_line_of_bounded_length)
{
	static char text[2000], longer[1500];
	int ends[2], saved = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	memset(longer, 'x', sizeof(longer) - 1);
	log_info("%d and %s", 7, "eight");
	log_info("%s", longer);
	dup2(saved, STDERR_FILENO);
	ssize_t n = read(ends[0], text, sizeof(text));

	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(strncmp(text, "microvm: 7 and eight\nmicrovm: xxxx", 34), 0);
	ck_assert_int_le(n, 21 + 512);
	ck_assert_int_eq(text[n - 1], '\n');
	ck_assert_ptr_eq(memchr(text + 21, '\n', (size_t)n - 21), text + n - 1);
	close(ends[0]);
	close(ends[1]);
	close(saved);
}
END_TEST

START_TEST(log_budget_is_a_burst_per_period)
{
	struct log_limit limit = { 0 };
	unsigned int allowed = 0;
	int64_t window;

	do {
		window = 0;
		allowed = 0;
		limit = (struct log_limit){ 0 };
		for (unsigned int i = 0; i < 1000; i++) {
			allowed += log_allowed(&limit);
			window = window ? window : limit.window;
		}
	} while (window != limit.window); /* repeat when the period ended meanwhile */
	ck_assert_uint_eq(allowed, LOG_BURST);
	/* The next period has a budget of its own. */
	limit.window--;
	ck_assert(log_allowed(&limit));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("hostmem");
	TCase *t = tcase_create("hostmem");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, table_is_sorted);
	tcase_add_test(t, invalid_regions_are_refused);
	tcase_add_test(t, removed_region_is_found_no_more_and_its_place_is_free);
	tcase_add_test(t, dirty_log_has_the_pages_of_a_write_and_no_others);
	tcase_add_test(t, region_is_refused_when_the_table_is_full);
	tcase_add_test(t, row08_lookup_to_the_last_byte_and_one_further);
	tcase_add_test(t, row07_lookup_that_wraps);
	tcase_add_test(t, read_only_memory_is_not_found_for_writes);
	tcase_add_test(t, row09_map_over_regions);
	tcase_add_test(t, map_writes_no_more_pieces_than_the_array_has);
	tcase_add_test(t, checked_arithmetic);
	tcase_add_test(t, log_line_is_one_line_of_bounded_length);
	tcase_add_test(t, log_budget_is_a_burst_per_period);
	suite_add_tcase(s, t);
	return s;
}
