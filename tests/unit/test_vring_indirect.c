/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of indirect tables, and of a driver that rewrites memory while it is read. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE 8

static const struct mock_piece pieces[] = {
	{ MOCK_FAR, 16, false },
	{ MOCK_FAR + 512, 512, false },
	{ MOCK_FAR + 100, 1, true },
};

static void begin(bool indirect)
{
	chains_begin(false, SIZE, indirect);
}

static int pop(uint16_t head)
{
	mock_stage(&m, head);
	return chains_pop();
}

/* Pops the pieces above. */
static void expect_pieces(uint16_t head)
{
	ck_assert_int_eq(pop(head), 1);
	ck_assert_uint_eq(chain.head, head);
	expect_counts(2, 1, 528, 1);
	for (unsigned int i = 0; i < 3; i++)
		expect_piece(i, pieces[i].gpa, pieces[i].len);
}

static void expect_broken(uint16_t head)
{
	mock_stage(&m, head);
	chains_expect_broken();
}

START_TEST(row11_indirect_table)
{
	begin(true);
	expect_pieces(mock_chain_indirect(&m, 0, pieces, 3));
	mock_fini(&m);
}
END_TEST

START_TEST(row11_unaligned_indirect_table)
{
	for (unsigned int off = 1; off < 16; off++) {
		begin(true);
		expect_pieces(mock_chain_indirect(&m, mock_alloc(&m, 64, 16) + off, pieces, 3));
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row11_table_longer_than_the_queue_whose_chain_is_not)
{
	uint64_t table;
	uint16_t head;

	begin(true);
	table = mock_alloc(&m, 16 * 4000, 16);
	head = mock_chain_indirect(&m, table, pieces, 3);
	m.desc[head].len = 16 * 4000;
	expect_pieces(head);

	/* And its far end can be reached. */
	struct vring_desc *desc = mock_ptr(&m, table);
	desc[3999] = desc[1];
	desc[0].next = 3999;
	head = m.next_desc++;
	mock_desc(&m, head, table, 16 * 4000, INDIRECT, 0);
	expect_pieces(head);
	mock_fini(&m);
}
END_TEST

START_TEST(row11_normal_descriptors_followed_by_one_indirect)
{
	uint64_t table;

	begin(true);
	table = mock_alloc(&m, 64, 16);
	mock_chain_indirect(&m, table, &pieces[1], 2);
	mock_desc(&m, 4, table, 32, INDIRECT, 0);
	mock_desc(&m, 3, pieces[0].gpa, pieces[0].len, NEXT, 4);
	expect_pieces(3);
	mock_fini(&m);
}
END_TEST

START_TEST(row11_write_flag_on_the_reference_means_nothing)
{
	uint16_t head;

	begin(true);
	head = mock_chain_indirect(&m, 0, pieces, 3);
	m.desc[head].flags |= WRITE;
	expect_pieces(head);
	mock_fini(&m);
}
END_TEST

START_TEST(row11_table_that_ends_with_ram)
{
	begin(true);
	expect_pieces(mock_chain_indirect(&m, MOCK_TOP - 48, pieces, 3));
	expect_pieces(mock_chain_indirect(&m, MOCK_HIGH - 48, pieces, 3));
	mock_fini(&m);
}
END_TEST

START_TEST(row10_indirect_without_the_feature)
{
	begin(false);
	expect_broken(mock_chain_indirect(&m, 0, pieces, 3));
	mock_fini(&m);
}
END_TEST

START_TEST(row10_nested_indirect)
{
	struct vring_desc *outer;
	uint64_t table;
	uint16_t head;

	begin(true);
	head = mock_chain_indirect(&m, 0, pieces, 3);
	table = mock_alloc(&m, 32, 16);
	outer = mock_ptr(&m, table);
	outer[0] = m.desc[head];
	mock_desc(&m, 7, table, 16, INDIRECT, 0);
	expect_broken(7);
	mock_fini(&m);

	/* A table that contains itself. */
	begin(true);
	table = mock_alloc(&m, 16, 16);
	*(struct vring_desc *)mock_ptr(&m, table) =
		(struct vring_desc){ .addr = table, .len = 16, .flags = INDIRECT };
	mock_desc(&m, 0, table, 16, INDIRECT, 0);
	expect_broken(0);
	mock_fini(&m);
}
END_TEST

START_TEST(row10_indirect_with_next)
{
	uint16_t head;

	begin(true);
	head = mock_chain_indirect(&m, 0, pieces, 3);
	m.desc[head].flags |= NEXT;
	m.desc[head].next = 7;
	mock_desc(&m, 7, MOCK_FAR, 1, WRITE, 0);
	expect_broken(head);
	mock_fini(&m);
}
END_TEST

START_TEST(row10_bad_table_length)
{
	static const uint32_t bad[] = { 0, 1, 15, 17, 47, 49, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		uint16_t head;

		begin(true);
		head = mock_chain_indirect(&m, 0, pieces, 3);
		m.desc[head].len = bad[i];
		expect_broken(head);
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row10_table_outside_ram)
{
	static const uint64_t bad[] = { 0,	   MOCK_LOW - 16, MOCK_HOLE - 32,
					MOCK_HOLE, MOCK_TOP - 32, MOCK_TOP,
					~0ull - 15 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(true);
		mock_desc(&m, 0, bad[i], 48, INDIRECT, 0);
		expect_broken(0);
		mock_fini(&m);
	}
	/* A length that only fits RAM in 32 bits. */
	begin(true);
	mock_desc(&m, 0, MOCK_LOW, 0xfffffff0, INDIRECT, 0);
	expect_broken(0);
	mock_fini(&m);
}
END_TEST

/* ---- row 15 ---- */

static volatile bool flipping;

/* Another vCPU flips the descriptor between a small buffer and one that reaches out of RAM. */
static void *flip(void *arg)
{
	volatile struct vring_desc *d = arg;

	while (__atomic_load_n(&flipping, __ATOMIC_RELAXED)) {
		d->len = 0x10000000;
		d->addr = MOCK_TOP - 16;
		d->len = 16;
		d->addr = MOCK_FAR;
	}
	return NULL;
}

/*
 * Each field is read once: whatever mixture of old and new the device finds, what it accepts lies
 * in RAM and has the length that it counted.
 */
START_TEST(row15_descriptor_rewritten_while_it_is_read)
{
	unsigned int accepted = 0, refused = 0;
	int64_t end = mock_deadline() + 20;
	pthread_t thread;

	begin(true);
	flipping = true;
	mock_desc(&m, 0, MOCK_FAR, 16, WRITE, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, flip, &m.desc[0]), 0);
	for (unsigned int i = 0; i < 200000 || !accepted || !refused; i++) {
		if (pop(0) == 1) {
			must(chain.out_count + chain.in_count == 1);
			must(iov[0].iov_len == chain.in_len && chain.in_len == 16);
			vring_push(&vr, 0, 0);
			accepted++;
		} else {
			vr.broken = NULL;
			vr.last_avail = vr.avail_idx = m.avail_idx;
			refused++;
		}
		if (i % 1024 == 0)
			mock_yield(end);
	}
	__atomic_store_n(&flipping, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_indirect");
	TCase *t = tcase_create("vring_indirect");

	tcase_add_test(t, row11_indirect_table);
	tcase_add_test(t, row11_unaligned_indirect_table);
	tcase_add_test(t, row11_table_longer_than_the_queue_whose_chain_is_not);
	tcase_add_test(t, row11_normal_descriptors_followed_by_one_indirect);
	tcase_add_test(t, row11_write_flag_on_the_reference_means_nothing);
	tcase_add_test(t, row11_table_that_ends_with_ram);
	tcase_add_test(t, row10_indirect_without_the_feature);
	tcase_add_test(t, row10_nested_indirect);
	tcase_add_test(t, row10_indirect_with_next);
	tcase_add_test(t, row10_bad_table_length);
	tcase_add_test(t, row10_table_outside_ram);
	tcase_add_test(t, row15_descriptor_rewritten_while_it_is_read);
	suite_add_tcase(s, t);
	return s;
}
