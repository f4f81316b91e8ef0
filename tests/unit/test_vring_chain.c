/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of descriptor chains: valid ones, and those that break the queue. Most tests run in both
 * ring formats: _i is 0 for split, 1 for packed.
 */
#include <errno.h>
#include <string.h>

#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE 8

static bool packed;

static void begin(uint16_t size, bool indirect)
{
	chains_begin(packed, size, indirect);
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

/* A table of `count` one-byte readable descriptors, linked in order, at `gpa`. */
static void byte_table(uint64_t gpa, unsigned int count, unsigned int linked)
{
	for (unsigned int i = 0; i < count; i++) {
		struct vring_desc d = {
			.addr = MOCK_FAR + i,
			.len = 1,
			.flags = i + 1 < linked ? NEXT : 0,
			.next = (uint16_t)(i + 1),
		};

		memcpy((char *)mock_ptr(&m, gpa) + 16ul * i, &d, sizeof(d));
	}
}

START_TEST(chain_of_readable_and_writable_pieces)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 5, MOCK_FAR, 16, NEXT, 2);
	mock_desc(&m, 2, MOCK_HIGH + 7, 100, NEXT, 7);
	mock_desc(&m, 7, MOCK_LOW, 1, NEXT | WRITE, 0);
	mock_desc(&m, 0, MOCK_TOP - 9, 9, WRITE, 5); /* no NEXT: next means nothing */
	ck_assert_int_eq(pop(5), 1);
	ck_assert_uint_eq(chain.head, 5);
	expect_counts(2, 2, 116, 10);
	expect_piece(0, MOCK_FAR, 16);
	expect_piece(1, MOCK_HIGH + 7, 100);
	expect_piece(2, MOCK_LOW, 1);
	expect_piece(3, MOCK_TOP - 9, 9);
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
		byte_table(table, SIZE, SIZE);
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

/* Zero lengths add no piece; they must not make a loop endless. */
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

START_TEST(row03_chain_as_long_as_the_queue_and_one_longer)
{
	uint64_t table;

	begin(SIZE, true);
	table = mock_alloc(&m, 16 * (SIZE + 1), 16);
	byte_table(table, SIZE, SIZE);
	mock_desc(&m, 0, table, 16 * SIZE, INDIRECT, 0);
	ck_assert_int_eq(pop(0), 1);
	expect_counts(SIZE, 0, SIZE, 0);
	byte_table(table, SIZE + 1, SIZE + 1);
	mock_desc(&m, 1, table, 16 * (SIZE + 1), INDIRECT, 0);
	expect_broken(1);
	mock_fini(&m);

	begin(SIZE, false);
	byte_table(m.ring.desc, SIZE, SIZE);
	ck_assert_int_eq(pop(0), 1);
	expect_counts(SIZE, 0, SIZE, 0);
	mock_fini(&m);
}
END_TEST

/* Three normal descriptors and a table: together they may be as long as the queue. */
START_TEST(row03_chain_too_long_through_normal_and_indirect)
{
	for (unsigned int in_table = SIZE - 3; in_table <= SIZE - 2; in_table++) {
		uint64_t table;

		begin(SIZE, true);
		table = mock_alloc(&m, 16 * SIZE, 16);
		byte_table(table, in_table, in_table);
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

START_TEST(row05_two_heads_share_a_tail)
{
	packed = _i;
	begin(SIZE, false);
	mock_desc(&m, 0, MOCK_FAR, 4, NEXT, 2);
	mock_desc(&m, 1, MOCK_FAR, 4, NEXT, 2);
	mock_desc(&m, 2, MOCK_HIGH, 8, WRITE, 0);
	ck_assert_int_eq(pop(0), 1);
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
	mock_desc(&m, 0, 0, 0, NEXT | WRITE, 1); /* nowhere, but of no bytes */
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

/* A guest whose RAM is that large can make a chain of any length out of the same bytes. */
START_TEST(row07_total_of_4_gib_and_more)
{
	static struct hostmem huge;

	packed = _i;
	for (int over = 0; over <= 1; over++) {
		begin(SIZE, false);
		huge = m.hostmem;
		/* Nothing is read or written there: an address is enough. */
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

/* More pieces than there is room for: never written behind the caller's array. */
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

	tcase_add_loop_test(t, chain_of_readable_and_writable_pieces, 0, 2);
	tcase_add_test(t, row02_next_outside_the_table);
	tcase_add_test(t, row02_next_outside_the_indirect_table);
	tcase_add_test(t, row03_loop_to_itself_of_two_and_rho);
	tcase_add_test(t, row03_loop_of_empty_descriptors);
	tcase_add_test(t, row03_chain_as_long_as_the_queue_and_one_longer);
	tcase_add_test(t, row03_chain_too_long_through_normal_and_indirect);
	tcase_add_loop_test(t, row05_two_heads_share_a_tail, 0, 2);
	tcase_add_loop_test(t, row06_empty_descriptors_are_skipped, 0, 2);
	tcase_add_loop_test(t, row07_row08_buffers_outside_ram, 0, 2);
	tcase_add_loop_test(t, row07_total_of_4_gib_and_more, 0, 2);
	tcase_add_loop_test(t, row08_buffer_ends_exactly_at_the_end_of_ram, 0, 2);
	tcase_add_loop_test(t, row09_buffer_over_two_regions_is_split, 0, 2);
	tcase_add_loop_test(t, row09_too_many_pieces_for_the_callers_array, 0, 2);
	tcase_add_loop_test(t, row13_readable_after_writable, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
