/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of descriptor chains: valid ones, and those that break the queue. Most run in both ring
 * formats: _i is 0 for split, 1 for packed.
 */
#include <errno.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE 8

static bool packed;

static void begin(uint16_t size, bool indirect)
{
	chains_begin(packed, size, indirect ? CHAINS_INDIRECT : 0);
}

static int pop(uint16_t head)
{
	mock_stage(&m, head);
	return chains_pop();
}

static void expect_broken(uint16_t head)
{
	mock_stage(&m, head);
	chains_expect_broken();
}

/* Writes an indirect table of a split ring to `gpa`: a chain of `count` readable bytes. */
static void byte_table(uint64_t gpa, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct vring_desc d = {
			.addr = MOCK_FAR + i,
			.len = 1,
			.flags = i + 1 < count ? NEXT : 0,
			.next = (uint16_t)(i + 1),
		};

		memcpy((char *)mock_ptr(&m, gpa) + 16ul * i, &d, sizeof(d));
	}
}

/* In a packed ring of 7 descriptors, chains of 4 also cross its end, where the wrap counter
 * changes. */
START_TEST(chain_of_readable_and_writable_pieces)
{
	packed = _i;
	begin(packed ? 7 : 8, false);
	mock_desc(&m, 5, MOCK_FAR, 16, NEXT, 2);
	mock_desc(&m, 2, MOCK_HIGH + 7, 100, NEXT, 6);
	mock_desc(&m, 6, MOCK_LOW, 1, NEXT | WRITE, 0);
	mock_desc(&m, 0, MOCK_TOP - 9, 9, WRITE, 5); /* without NEXT, `next` has no meaning */
	for (unsigned int round = 0; round < 3 * 7; round++) {
		ck_assert_int_eq(pop(5), 1);
		ck_assert_uint_eq(chain.head, 5);
		expect_counts(2, 2, 116, 10);
		expect_piece(0, MOCK_FAR, 16);
		expect_piece(1, MOCK_HIGH + 7, 100);
		expect_piece(2, MOCK_LOW, 1);
		expect_piece(3, MOCK_TOP - 9, 9);
		vring_push(&vr, 5, 0);
		vring_publish(&vr);
	}
	mock_fini(&m);
}
END_TEST

START_TEST(row02_next_outside_the_table)
{
	static const uint16_t bad[] = { SIZE, SIZE + 1, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(SIZE, false);
		mock_desc(&m, 0, MOCK_FAR, 1, NEXT, bad[i]);
		expect_broken(0);
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row02_next_outside_the_indirect_table)
{
	static const uint16_t bad[] = { 2, 3, SIZE - 1, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t table;

		begin(SIZE, true);
		table = mock_alloc(&m, 16 * SIZE, 16);
		byte_table(table, SIZE);
		((struct vring_desc *)mock_ptr(&m, table))[1].next = bad[i];
		mock_desc(&m, 0, table, 2 * 16, INDIRECT, 0);
		((struct vring_desc *)mock_ptr(&m, table))[1].flags = NEXT;
		expect_broken(0);
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row03_loop_to_itself_of_two_and_rho)
{
	begin(SIZE, false);
	mock_desc(&m, 3, MOCK_FAR, 1, NEXT, 3);
	expect_broken(3);
	mock_fini(&m);

	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_FAR, 1, NEXT, 1);
	mock_desc(&m, 1, MOCK_FAR, 1, NEXT, 0);
	expect_broken(0);
	mock_fini(&m);

	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_FAR, 1, NEXT, 1);
	mock_desc(&m, 1, MOCK_FAR, 1, NEXT, 2);
	mock_desc(&m, 2, MOCK_FAR, 1, NEXT, 3);
	mock_desc(&m, 3, MOCK_FAR, 1, NEXT, 2);
	expect_broken(0);
	mock_fini(&m);
}
END_TEST

/* Descriptors of length 0 add no piece, but must be counted: a loop of them has an end. */
START_TEST(row03_loop_of_empty_descriptors)
{
	begin(SIZE, false);
	mock_desc(&m, 3, MOCK_FAR, 0, NEXT, 3);
	expect_broken(3);
	mock_fini(&m);

	begin(SIZE, true);
	mock_desc(&m, 0, mock_alloc(&m, 16, 16), 16, INDIRECT, 0);
	*(struct vring_desc *)mock_ptr(&m, m.desc[0].addr) =
		(struct vring_desc){ .addr = MOCK_FAR, .flags = NEXT, .next = 0 };
	expect_broken(0);
	mock_fini(&m);
}
END_TEST

/* Offers all descriptors as one chain, of pieces of `len` bytes. With `endless`, the last one has
 * NEXT and leads to the first. */
static void stage_whole_table(uint32_t len, bool endless)
{
	uint16_t size = packed ? 7 : 8;

	begin(size, false);
	for (uint16_t i = 0; i < size; i++)
		mock_desc(&m, i, MOCK_FAR + i, len, i + 1 < size || endless ? NEXT : 0,
			  (i + 1) % size);
	mock_stage(&m, 0);
}

START_TEST(row03_chain_as_long_as_the_queue_and_one_longer)
{
	packed = _i;
	stage_whole_table(1, false);
	ck_assert_int_eq(chains_pop(), 1);
	expect_counts(m.ring.size, 0, m.ring.size, 0);
	mock_fini(&m);
	stage_whole_table(1, true);
	chains_expect_broken();
	mock_fini(&m);
	stage_whole_table(0, true);
	chains_expect_broken();
	mock_fini(&m);
}
END_TEST

/* A chain of three descriptors and a table may be as long as the queue in all. */
START_TEST(row03_chain_too_long_through_normal_and_indirect)
{
	for (unsigned int in_table = SIZE - 3; in_table <= SIZE - 2; in_table++) {
		uint64_t table;

		begin(SIZE, true);
		table = mock_alloc(&m, 16 * SIZE, 16);
		byte_table(table, in_table);
		for (uint16_t i = 0; i < 3; i++)
			mock_desc(&m, i, MOCK_FAR, 1, NEXT, i + 1);
		mock_desc(&m, 3, table, 16 * in_table, INDIRECT, 0);
		if (in_table == SIZE - 3)
			ck_assert_int_eq(pop(0), 1);
		else
			expect_broken(0);
		mock_fini(&m);
	}
}
END_TEST

/* The first descriptors of a chain are available, and the next one is not. */
START_TEST(row02_packed_chain_continues_where_nothing_is_available)
{
	packed = true;
	for (unsigned int good = 1; good < SIZE; good++) {
		begin(SIZE, false);
		for (unsigned int i = 0; i < good; i++)
			mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
		chains_expect_broken();
		mock_fini(&m);
	}
	/* The next one was available in the round before, or is a used element. */
	begin(SIZE, false);
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 1, (uint16_t)i, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		chains_expect_pop(i);
	vring_push(&vr, 2, 0);
	vring_push(&vr, 1, 0);
	vring_publish(&vr);
	vr.in_flight[0] = 0;
	mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
	chains_expect_broken();
	mock_fini(&m);
}
END_TEST

START_TEST(row05_two_heads_share_a_tail)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_FAR, 4, NEXT, 2);
	mock_desc(&m, 1, MOCK_FAR, 4, NEXT, 2);
	mock_desc(&m, 2, MOCK_HIGH, 8, WRITE, 0);
	ck_assert_int_eq(pop(0), 1);
	expect_counts(1, 1, 4, 8);
	expect_piece(1, MOCK_HIGH, 8);
	ck_assert_int_eq(pop(1), 1);
	expect_counts(1, 1, 4, 8);
	expect_piece(1, MOCK_HIGH, 8);
	mock_fini(&m);
}
END_TEST

START_TEST(row06_empty_descriptors_are_skipped)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 0, 0, 0, NEXT | WRITE, 1); /* outside RAM, but of length 0 */
	mock_desc(&m, 1, MOCK_FAR, 4, NEXT, 2);
	mock_desc(&m, 2, MOCK_HOLE, 0, NEXT, 3);
	mock_desc(&m, 3, MOCK_FAR + 4, 5, NEXT | WRITE, 4);
	mock_desc(&m, 4, ~0ull, 0, 0, 0);
	ck_assert_int_eq(pop(0), 1);
	expect_counts(1, 1, 4, 5);
	expect_piece(0, MOCK_FAR, 4);
	expect_piece(1, MOCK_FAR + 4, 5);
	mock_desc(&m, 6, 0, 0, 0, 0);
	ck_assert_int_eq(pop(6), 1);
	expect_counts(0, 0, 0, 0);
	mock_fini(&m);
}
END_TEST

static void check_outside(uint64_t gpa, uint32_t len, bool write)
{
	struct mock_piece piece = { gpa, len, write };

	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_FAR, 16, NEXT, 1);
	mock_desc(&m, 1, gpa, len, write ? WRITE : 0, 0);
	expect_broken(0);
	mock_fini(&m);

	begin(SIZE, true);
	expect_broken(mock_chain_indirect(&m, 0, &piece, 1));
	mock_fini(&m);
}

START_TEST(row07_row08_buffers_outside_ram)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{ 0, 1 },
		{ MOCK_LOW - 1, 1 },
		{ MOCK_LOW - 1, 2 },
		{ MOCK_HOLE, 1 },
		{ MOCK_HOLE - 1, 2 },
		{ MOCK_FAR - 1, 2 },
		{ MOCK_TOP, 1 },
		{ MOCK_TOP - 1, 2 },
		{ MOCK_LOW, 0xffffffff },
		{ MOCK_FAR, 0xfffffff0 },
		{ ~0ull, 1 },
		{ ~0ull, 2 },
		{ ~0ull - 15, 32 },
		{ ~0ull - 0xffff, 0xffffffff },
	};

	packed = _i;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		check_outside(bad[i].gpa, bad[i].len, false);
		check_outside(bad[i].gpa, bad[i].len, true);
	}
}
END_TEST

/* A guest with as much RAM can make a chain of any length by naming the same bytes repeatedly. */
START_TEST(row07_total_of_4_gib_and_more)
{
	static struct hostmem huge;

	packed = _i;
	for (int over = 0; over <= 1; over++) {
		begin(SIZE, false);
		huge = m.hostmem;
		/* The test reads and writes nothing there, so the region needs no memory of that
		 * size. */
		ck_assert_int_eq(hostmem_add(&huge, 1ull << 40, 1ull << 33, m.mem, false), 0);
		ck_assert_int_eq(vring_setup(&vr, &huge, &m.ring), 0);
		mock_desc(&m, 0, 1ull << 40, 0x80000000, NEXT, 1);
		mock_desc(&m, 1, 1ull << 40, 0x7fffff00, NEXT | WRITE, 2);
		mock_desc(&m, 2, 1ull << 40, 0xff + (uint32_t)over, WRITE, 0);
		if (over) {
			expect_broken(0);
		} else {
			ck_assert_int_eq(pop(0), 1);
			expect_counts(1, 2, 0x80000000, 0x7fffffff);
		}
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row08_buffer_ends_exactly_at_the_end_of_ram)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_TOP - 512, 512, NEXT, 1);
	mock_desc(&m, 1, MOCK_HOLE - 1, 1, NEXT | WRITE, 2);
	mock_desc(&m, 2, MOCK_LOW, 1, WRITE, 2);
	ck_assert_int_eq(pop(0), 1);
	expect_counts(1, 2, 512, 2);
	expect_piece(0, MOCK_TOP - 512, 512);
	mock_fini(&m);
}
END_TEST

START_TEST(row09_buffer_over_two_regions_is_split)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_HIGH - 10, 30, NEXT, 1);
	mock_desc(&m, 1, MOCK_HIGH - 1, 2, WRITE, 0);
	ck_assert_int_eq(pop(0), 1);
	expect_counts(2, 2, 30, 2);
	expect_piece(0, MOCK_HIGH - 10, 10);
	expect_piece(1, MOCK_HIGH, 20);
	expect_piece(2, MOCK_HIGH - 1, 1);
	expect_piece(3, MOCK_HIGH, 1);
	mock_fini(&m);
}
END_TEST

/* A chain of more pieces than chain.capacity is refused, and nothing is written behind the
 * array. */
START_TEST(row09_too_many_pieces_for_the_callers_array)
{
	struct iovec *guard = &iov[3];

	packed = _i;
	begin(SIZE, false);
	chain.capacity = 3;
	*guard = (struct iovec){ .iov_base = guard, .iov_len = 4711 };
	mock_desc(&m, 0, MOCK_HIGH - 1, 2, NEXT, 1);
	mock_desc(&m, 1, MOCK_HIGH - 1, 2, WRITE, 0);
	expect_broken(0);
	ck_assert_ptr_eq(guard->iov_base, guard);
	ck_assert_uint_eq(guard->iov_len, 4711);
	mock_fini(&m);
}
END_TEST

START_TEST(row13_readable_after_writable)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_FAR, 16, NEXT, 1);
	mock_desc(&m, 1, MOCK_FAR, 16, NEXT | WRITE, 2);
	mock_desc(&m, 2, MOCK_FAR, 16, 0, 0);
	expect_broken(0);
	mock_fini(&m);

	begin(SIZE, true);
	expect_broken(mock_chain_indirect(
		&m, 0, (struct mock_piece[]){ { MOCK_FAR, 1, true }, { MOCK_FAR, 1, false } }, 2));
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_chain");
	TCase *t = tcase_create("vring_chain");

	tcase_add_named_test(t, chain_of_readable_and_writable_pieces, 2, mock_format_name);
	tcase_add_test(t, row02_next_outside_the_table);
	tcase_add_test(t, row02_next_outside_the_indirect_table);
	tcase_add_test(t, row02_packed_chain_continues_where_nothing_is_available);
	tcase_add_test(t, row03_loop_to_itself_of_two_and_rho);
	tcase_add_test(t, row03_loop_of_empty_descriptors);
	tcase_add_named_test(t, row03_chain_as_long_as_the_queue_and_one_longer, 2,
			     mock_format_name);
	tcase_add_test(t, row03_chain_too_long_through_normal_and_indirect);
	tcase_add_named_test(t, row05_two_heads_share_a_tail, 2, mock_format_name);
	tcase_add_named_test(t, row06_empty_descriptors_are_skipped, 2, mock_format_name);
	tcase_add_named_test(t, row07_row08_buffers_outside_ram, 2, mock_format_name);
	tcase_add_named_test(t, row07_total_of_4_gib_and_more, 2, mock_format_name);
	tcase_add_named_test(t, row08_buffer_ends_exactly_at_the_end_of_ram, 2, mock_format_name);
	tcase_add_named_test(t, row09_buffer_over_two_regions_is_split, 2, mock_format_name);
	tcase_add_named_test(t, row09_too_many_pieces_for_the_callers_array, 2, mock_format_name);
	tcase_add_named_test(t, row13_readable_after_writable, 2, mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
