/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of rings: set-up, available and used entries. Most run in both ring formats: _i is 0 for
 * split, 1 for packed. test_vring_packed.c has those of packed rings alone.
 */
#include <errno.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE 8

/* ---- set-up ---- */

/* The three parts of a ring of SIZE descriptors, in the order desc, avail, used. */
static const struct part {
	uint64_t align;
	uint64_t bytes;
	bool written; /* by the device */
} parts[2][3] = {
	{ { 16, 16 * SIZE, false }, { 2, 6 + 2 * SIZE, false }, { 4, 6 + 8 * SIZE, true } },
	{ { 16, 16 * SIZE, true }, { 4, 4, false }, { 4, 4, true } },
};

#define PARTS 3u

/* Returns the result of vring_check when part i of the ring lies at gpa. */
static int check_part(unsigned int i, uint64_t gpa)
{
	struct vring_config c = m.ring;

	*(uint64_t *[PARTS]){ &c.desc, &c.avail, &c.used }[i] = gpa;
	return vring_check(&m.hostmem, &c);
}

START_TEST(row20_ring_size_is_wrong)
{
	static const uint16_t bad[] = { 0, VRING_MAX_SIZE + 1, 2048, 4096, 32768, 65535 };
	struct vring_config c;

	chains_begin(_i, SIZE, 0);
	c = m.ring;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		c.size = bad[i];
		ck_assert_int_eq(vring_check(&m.hostmem, &c), -EINVAL);
	}
	/* The size of a split ring is a power of 2. */
	for (c.size = 1; c.size <= VRING_MAX_SIZE; c.size++)
		ck_assert_int_eq(vring_check(&m.hostmem, &c),
				 _i || is_power_of_2(c.size) ? 0 : -EINVAL);
	mock_fini(&m);
}
END_TEST

START_TEST(row20_part_of_the_ring_is_not_aligned)
{
	chains_begin(_i, SIZE, 0);
	for (unsigned int i = 0; i < PARTS; i++) {
		ck_assert_int_eq(check_part(i, MOCK_FAR), 0);
		for (uint64_t off = 1; off < parts[_i][i].align; off++)
			ck_assert_int_eq(check_part(i, MOCK_FAR + off), -EINVAL);
	}
	mock_fini(&m);
}
END_TEST

START_TEST(row20_ring_must_lie_in_ram_to_its_last_byte)
{
	chains_begin(_i, SIZE, 0);
	for (unsigned int i = 0; i < PARTS; i++) {
		uint64_t align = parts[_i][i].align;
		uint64_t bytes = (parts[_i][i].bytes + align - 1) / align * align;

		ck_assert_int_eq(check_part(i, MOCK_TOP - bytes), 0);
		ck_assert_int_eq(check_part(i, MOCK_TOP - bytes + align), -EFAULT);
	}
	mock_fini(&m);
}
END_TEST

START_TEST(row20_ring_in_a_hole_or_across_regions)
{
	static const uint64_t bad[] = {
		0,	   0x1000,   MOCK_LOW - 4096,	 MOCK_LOW - 16,
		MOCK_HOLE, MOCK_TOP, 0xfffffffffffffff0, 0x7ffffffffffffff0
	};

	chains_begin(_i, SIZE, 0);
	for (unsigned int i = 0; i < PARTS; i++) {
		uint64_t align = parts[_i][i].align;
		int across = parts[_i][i].bytes > align ? -EFAULT : 0;

		for (unsigned int k = 0; k < ARRAY_SIZE(bad); k++)
			ck_assert_int_eq(check_part(i, bad[k]), -EFAULT);
		ck_assert_int_eq(check_part(i, MOCK_HOLE - align), across);
		ck_assert_int_eq(check_part(i, MOCK_HIGH - align), across);
	}
	mock_fini(&m);
}
END_TEST

START_TEST(row20_part_that_the_device_writes_in_read_only_memory)
{
	chains_begin(_i, SIZE, 0);
	ck_assert_uint_eq(m.hostmem.region[2].gpa, MOCK_FAR);
	m.hostmem.region[2].readonly = true;
	for (unsigned int i = 0; i < PARTS; i++)
		ck_assert_int_eq(check_part(i, MOCK_FAR), parts[_i][i].written ? -EFAULT : 0);
	mock_fini(&m);
}
END_TEST

/* ---- available entries ---- */

START_TEST(row01_avail_index_ahead_by_more_than_the_ring)
{
	static const uint16_t jump[] = { 9, 10, 1000, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(jump); i++) {
		chains_begin(false, SIZE, 0);
		chains_fill_table();
		m.avail_idx = jump[i];
		chains_expect_broken();
		/* The queue stays broken after the index has become valid again. */
		m.avail_idx = 1;
		chains_expect_broken();
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row01_avail_index_goes_backwards)
{
	chains_begin(false, SIZE, 0);
	chains_fill_table();
	for (uint16_t i = 0; i < 3; i++)
		mock_stage(&m, i);
	for (uint16_t i = 0; i < 3; i++)
		chains_expect_pop(i);
	m.avail_idx = 2;
	chains_expect_broken();
	mock_fini(&m);
}
END_TEST

START_TEST(row01_ring_that_is_exactly_full_is_valid)
{
	const uint16_t size = _i ? 5 : 8;

	chains_begin(_i, size, 0);
	chains_fill_table();
	for (unsigned int round = 0; round < 10; round++) {
		for (uint16_t i = 0; i < size; i++)
			mock_stage(&m, size - 1 - i);
		for (uint16_t i = 0; i < size; i++)
			chains_expect_pop(size - 1 - i);
		ck_assert_int_eq(vring_pop(&vr, &chain), 0);
		ck_assert_ptr_null(vr.broken);
		for (uint16_t i = 0; i < size; i++) {
			vring_push(&vr, i, i);
			vring_publish(&vr);
			chains_expect_used(i, i);
		}
	}
	mock_fini(&m);
}
END_TEST

START_TEST(row02_head_or_id_not_below_the_queue_size)
{
	const uint16_t size = _i ? 7 : 8, bad[] = { size, size + 1, 1024, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		chains_begin(_i, size, 0);
		chains_fill_table();
		mock_stage(&m, bad[i]);
		chains_expect_broken();
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row04_head_or_id_offered_again_while_in_flight)
{
	const uint16_t size = _i ? 1023 : 1024;
	/* These are at both ends of each word of the in-flight bits. */
	const uint16_t heads[] = { 0, 1, 63, 64, 127, 128, size - 1 };

	for (unsigned int i = 0; i < ARRAY_SIZE(heads); i++) {
		chains_begin(_i, size, 0);
		chains_fill_table();
		mock_desc(&m, heads[i], MOCK_FAR, 1, NEXT, (heads[i] + 1) % size);
		mock_stage(&m, heads[i]);
		mock_stage(&m, 5);
		mock_stage(&m, heads[i]);
		chains_expect_pop(heads[i]);
		expect_counts(2, 0, 2, 0);
		chains_expect_pop(5);
		chains_expect_broken();
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row04_head_or_id_offered_again_after_its_completion_is_valid)
{
	chains_begin(_i, 128, 0);
	for (unsigned int i = 0; i < 300; i++) {
		unsigned int last = i % 3;

		for (uint16_t k = 0; k <= last; k++)
			mock_desc(&m, 64 + k, MOCK_FAR + k, 1, k < last ? NEXT : 0, 64 + k + 1);
		mock_stage(&m, 64);
		chains_expect_pop(64);
		expect_counts(last + 1, 0, last + 1, 0);
		vring_push(&vr, 64, i);
		vring_publish(&vr);
		chains_expect_used(64, i);
	}
	mock_fini(&m);
}
END_TEST

/* All heads are in flight at a time and completed in another order, until the index has wrapped
 * three times. */
START_TEST(row18_indices_wrap_nothing_lost_nothing_twice)
{
	uint32_t popped = 0, taken = 0;

	chains_begin(false, 256, 0);
	chains_fill_table();
	while (popped < 3 * 65536) {
		for (uint16_t i = 0; i < 256; i++)
			mock_stage(&m, (uint16_t)(i * 37 + popped / 256) % 256);
		for (unsigned int i = 0; i < 256; i++)
			chains_expect_pop((uint16_t)(i * 37 + popped / 256) % 256);
		must(vring_pop(&vr, &chain) == 0);
		popped += 256;
		for (uint16_t i = 0; i < 256; i++)
			vring_push(&vr, 255 - i, taken + i);
		must(vring_publish(&vr));
		for (uint16_t i = 0; i < 256; i++)
			chains_expect_used(255 - i, taken + i);
		chains_expect_no_used();
		taken += 256;
	}
	mock_fini(&m);
}
END_TEST

/* ---- used elements ---- */

START_TEST(nothing_is_published_before_vring_publish)
{
	chains_begin(_i, SIZE, 0);
	chains_fill_table();
	mock_stage(&m, 3);
	mock_stage(&m, 4);
	ck_assert(!vring_publish(&vr));
	chains_expect_pop(3);
	chains_expect_pop(4);
	vring_push(&vr, 4, 77);
	vring_push(&vr, 3, 0xffffffff);
	chains_expect_no_used();
	ck_assert(vring_publish(&vr));
	ck_assert(!vring_publish(&vr));
	chains_expect_used(4, 77);
	chains_expect_used(3, 0xffffffff);
	chains_expect_no_used();
	mock_fini(&m);
}
END_TEST

START_TEST(row21_ring_keeps_the_configuration_of_its_set_up)
{
	const uint16_t size = _i ? 6 : 8;
	struct vring_config config;

	chains_begin(_i, size, 0);
	chains_fill_table();
	config = m.ring;
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &config), 0);
	memset(&config, 0xff, sizeof(config));
	for (uint16_t i = 0; i < 20; i++) {
		mock_stage(&m, i % size);
		chains_expect_pop(i % size);
		vring_push(&vr, i % size, 0);
		vring_publish(&vr);
		chains_expect_used(i % size, 0);
	}
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring");
	TCase *t = tcase_create("vring");

	tcase_add_named_test(t, row20_ring_size_is_wrong, 2, mock_format_name);
	tcase_add_named_test(t, row20_part_of_the_ring_is_not_aligned, 2, mock_format_name);
	tcase_add_named_test(t, row20_ring_must_lie_in_ram_to_its_last_byte, 2, mock_format_name);
	tcase_add_named_test(t, row20_ring_in_a_hole_or_across_regions, 2, mock_format_name);
	tcase_add_named_test(t, row20_part_that_the_device_writes_in_read_only_memory, 2,
			     mock_format_name);
	tcase_add_test(t, row01_avail_index_ahead_by_more_than_the_ring);
	tcase_add_test(t, row01_avail_index_goes_backwards);
	tcase_add_named_test(t, row01_ring_that_is_exactly_full_is_valid, 2, mock_format_name);
	tcase_add_named_test(t, row02_head_or_id_not_below_the_queue_size, 2, mock_format_name);
	tcase_add_named_test(t, row04_head_or_id_offered_again_while_in_flight, 2,
			     mock_format_name);
	tcase_add_named_test(t, row04_head_or_id_offered_again_after_its_completion_is_valid, 2,
			     mock_format_name);
	tcase_add_test(t, row18_indices_wrap_nothing_lost_nothing_twice);
	tcase_add_named_test(t, nothing_is_published_before_vring_publish, 2, mock_format_name);
	tcase_add_named_test(t, row21_ring_keeps_the_configuration_of_its_set_up, 2,
			     mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
