/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of indirect tables, and of a driver that rewrites a descriptor while the device reads it.
 * Most run in both ring formats: _i is 0 for split, 1 for packed.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

static const struct mock_piece pieces[] = {
	{ MOCK_FAR, 16, false },
	{ MOCK_FAR + 512, 512, false },
	{ MOCK_FAR + 100, 1, true },
};

/* The number of descriptors of a packed ring is no power of 2. */
static uint16_t size_of(bool packed)
{
	return packed ? 7 : 8;
}

static void begin(bool packed)
{
	chains_begin(packed, size_of(packed), CHAINS_INDIRECT);
}

static int pop(uint16_t head)
{
	mock_stage(&m, head);
	return chains_pop();
}

/* Pops a chain of the pieces above. */
static void expect_pieces(uint16_t head)
{
	mock_stage(&m, head);
	chains_expect_pop(head);
	expect_counts(2, 1, 528, 1);
	for (unsigned int i = 0; i < 3; i++)
		expect_piece(i, pieces[i].gpa, pieces[i].len);
}

static void expect_broken(uint16_t head)
{
	mock_stage(&m, head);
	chains_expect_broken();
	mock_fini(&m);
}

/* Returns the flags of entry i of an indirect table, in the format of the ring. */
static uint16_t *flags_of(uint64_t table, unsigned int i)
{
	if (m.ring.packed)
		return &((struct vring_packed_desc *)mock_ptr(&m, table))[i].flags;
	return &((struct vring_desc *)mock_ptr(&m, table))[i].flags;
}

START_TEST(row11_indirect_table_at_any_address)
{
	for (unsigned int off = 0; off < 16; off++) {
		begin(_i);
		expect_pieces(mock_chain_indirect(&m, mock_alloc(&m, 64, 16) + off, pieces, 3));
		mock_fini(&m);
	}
}
END_TEST

/* WRITE is the only flag of an entry that has a meaning; the id of an entry has none (2.8.7). */
START_TEST(row11_packed_flags_and_ids_in_a_table_mean_nothing)
{
	const uint16_t rest = (uint16_t) ~(WRITE | INDIRECT);

	for (unsigned int off = 0; off < 16; off++) {
		uint64_t table;

		begin(true);
		table = mock_alloc(&m, 64, 16) + off;
		expect_pieces(mock_chain_indirect(&m, table, pieces, 3));
		for (unsigned int i = 0; i < 3; i++) {
			char *entry = (char *)mock_ptr(&m, table) + 16ul * i;
			struct vring_packed_desc d;

			memcpy(&d, entry, sizeof(d));
			d.flags |= rest;
			d.id = 0xffff;
			memcpy(entry, &d, sizeof(d));
		}
		mock_desc(&m, 6, table, 48, INDIRECT, 0);
		expect_pieces(6);
		/* Each reference takes one descriptor of the ring. */
		ck_assert_uint_eq(vr.ring.desc_in_flight, 2);
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row11_table_longer_than_the_queue_whose_chain_is_not)
{
	uint64_t table;
	uint16_t head;

	begin(false);
	table = mock_alloc(&m, 16 * 4000, 16);
	head = mock_chain_indirect(&m, table, pieces, 3);
	m.desc[head].len = 16 * 4000;
	expect_pieces(head);

	/* The chain may use the last entry of the table. */
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

	begin(false);
	table = mock_alloc(&m, 64, 16);
	mock_chain_indirect(&m, table, &pieces[1], 2);
	mock_desc(&m, 4, table, 32, INDIRECT, 0);
	mock_desc(&m, 3, pieces[0].gpa, pieces[0].len, NEXT, 4);
	expect_pieces(3);
	mock_fini(&m);
}
END_TEST

/* A packed ring does not allow what a split ring allows in the test above (2.8.19). */
START_TEST(row10_packed_normal_descriptors_followed_by_one_indirect)
{
	uint64_t table;

	begin(true);
	table = mock_alloc(&m, 32, 16);
	mock_chain_indirect(&m, table, &pieces[1], 2);
	mock_desc(&m, 4, table, 32, INDIRECT, 0);
	mock_desc(&m, 3, pieces[0].gpa, pieces[0].len, NEXT, 4);
	expect_broken(3);
}
END_TEST

START_TEST(row11_write_flag_on_the_reference_means_nothing)
{
	uint16_t head;

	begin(_i);
	head = mock_chain_indirect(&m, 0, pieces, 3);
	m.desc[head].flags |= WRITE;
	expect_pieces(head);
	mock_fini(&m);
}
END_TEST

START_TEST(row11_table_that_ends_with_ram)
{
	begin(_i);
	expect_pieces(mock_chain_indirect(&m, MOCK_TOP - 48, pieces, 3));
	expect_pieces(mock_chain_indirect(&m, MOCK_HIGH - 48, pieces, 3));
	mock_fini(&m);
}
END_TEST

START_TEST(row03_table_as_long_as_the_queue_and_one_longer)
{
	static const struct mock_piece bytes[9] = { { MOCK_FAR, 1, false }, { MOCK_FAR, 1, false },
						    { MOCK_FAR, 1, false }, { MOCK_FAR, 1, false },
						    { MOCK_FAR, 1, false }, { MOCK_FAR, 1, false },
						    { MOCK_FAR, 1, false }, { MOCK_FAR, 1, false },
						    { MOCK_FAR, 1, false } };
	const uint16_t size = size_of(_i);

	begin(_i);
	ck_assert_int_eq(pop(mock_chain_indirect(&m, 0, bytes, size)), 1);
	expect_counts(size, 0, size, 0);
	expect_broken(mock_chain_indirect(&m, 0, bytes, size + 1u));
}
END_TEST

START_TEST(row10_indirect_without_the_feature)
{
	chains_begin(_i, size_of(_i), 0);
	expect_broken(mock_chain_indirect(&m, 0, pieces, 3));
}
END_TEST

START_TEST(row10_nested_indirect)
{
	for (unsigned int i = 0; i < 4; i++) {
		bool contains_itself = i & 1, next = i & 2;
		uint64_t outer, inner;
		uint16_t head;

		begin(_i);
		outer = mock_alloc(&m, 48, 16);
		inner = contains_itself ? outer : mock_alloc(&m, 48, 16);
		mock_chain_indirect(&m, inner, pieces, 3);
		head = mock_chain_indirect(&m, outer,
					   (struct mock_piece[]){ { inner, 48, false },
								  { MOCK_FAR, 1, false } },
					   2);
		*flags_of(outer, 0) = (uint16_t)(INDIRECT | (next ? NEXT : 0));
		expect_broken(head);
	}
}
END_TEST

START_TEST(row10_indirect_with_next)
{
	uint16_t head;

	begin(_i);
	head = mock_chain_indirect(&m, 0, pieces, 3);
	m.desc[head].flags |= NEXT;
	m.desc[head].next = 5;
	mock_desc(&m, 5, MOCK_FAR, 1, WRITE, 0);
	mock_stage(&m, head);
	/* Only NEXT may be wrong, so that the reference needs a valid buffer id. */
	if (_i)
		m.packed[0].id = head;
	chains_expect_broken();
	mock_fini(&m);
}
END_TEST

START_TEST(row10_bad_table_length)
{
	static const uint32_t bad[] = { 0, 1, 8, 15, 17, 47, 49, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		uint16_t head;

		begin(_i);
		head = mock_chain_indirect(&m, 0, pieces, 3);
		m.desc[head].len = bad[i];
		expect_broken(head);
	}
}
END_TEST

START_TEST(row10_table_outside_ram)
{
	static const uint64_t bad[] = { 0,	   MOCK_LOW - 16, MOCK_HOLE - 32,
					MOCK_HOLE, MOCK_TOP - 32, MOCK_TOP,
					~0ull - 15 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(_i);
		mock_desc(&m, 0, bad[i], 48, INDIRECT, 0);
		expect_broken(0);
	}
	/* The end of this table is inside RAM only when it is calculated in 32 bits. */
	begin(_i);
	mock_desc(&m, 0, MOCK_LOW, 0xfffffff0, INDIRECT, 0);
	expect_broken(0);
}
END_TEST

/* ---- a descriptor that changes while it is read ---- */

static volatile bool rewriting;

/*
 * Another vCPU of the guest: changes the descriptor between a valid buffer and one that extends
 * beyond RAM. Address and length are at the same place in both formats; the id is that of a packed
 * descriptor.
 */
static void *rewrite(void *arg)
{
	volatile struct vring_packed_desc *d = arg;

	while (__atomic_load_n(&rewriting, __ATOMIC_RELAXED)) {
		d->len = 0x10000000;
		d->addr = MOCK_TOP - 16;
		if (m.ring.packed)
			d->id = 0xffff;
		d->len = 16;
		d->addr = MOCK_FAR;
		if (m.ring.packed)
			d->id = 3;
	}
	return NULL;
}

/* Makes the descriptor available in a ring that was set up again. */
static void offer_again(void)
{
	must(vring_setup(&vr, &m.hostmem, &m.ring) == 0);
	if (m.ring.packed) {
		WRITE_ONCE(m.packed[0].flags, mock_packed_avail(true) | WRITE);
	} else {
		m.avail_idx = 0;
		mock_stage(&m, 0);
		mock_show(&m);
	}
}

/*
 * Each field is read once: whatever mixture of old and new values the device finds, a buffer that
 * it accepts lies in RAM and has the length that it counted.
 */
START_TEST(row15_descriptor_rewritten_while_it_is_read)
{
	unsigned int accepted = 0, refused = 0;
	int64_t end = mock_deadline() + 20;
	uint16_t head = _i ? 3 : 0;
	pthread_t thread;
	void *desc;

	begin(_i);
	desc = mock_ptr(&m, m.ring.desc);
	if (_i)
		m.packed[0] = (struct vring_packed_desc){ MOCK_FAR, 16, head, WRITE };
	else
		mock_desc(&m, head, MOCK_FAR, 16, WRITE, 0);
	rewriting = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, rewrite, desc), 0);
	for (unsigned int i = 0; i < 200000 || !accepted || !refused; i++) {
		offer_again();
		if (vring_pop(&vr, &chain) == 1) {
			must(chain.head == head && chain.out_count + chain.in_count == 1);
			must(iov[0].iov_len == chain.in_len && chain.in_len == 16);
			accepted++;
		} else {
			refused++;
		}
		if (i % 1024 == 0)
			mock_yield(end);
	}
	__atomic_store_n(&rewriting, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_indirect");
	TCase *t = tcase_create("vring_indirect");

	tcase_add_named_test(t, row11_indirect_table_at_any_address, 2, mock_format_name);
	tcase_add_test(t, row11_packed_flags_and_ids_in_a_table_mean_nothing);
	tcase_add_test(t, row11_table_longer_than_the_queue_whose_chain_is_not);
	tcase_add_test(t, row11_normal_descriptors_followed_by_one_indirect);
	tcase_add_test(t, row10_packed_normal_descriptors_followed_by_one_indirect);
	tcase_add_named_test(t, row11_write_flag_on_the_reference_means_nothing, 2,
			     mock_format_name);
	tcase_add_named_test(t, row11_table_that_ends_with_ram, 2, mock_format_name);
	tcase_add_named_test(t, row03_table_as_long_as_the_queue_and_one_longer, 2,
			     mock_format_name);
	tcase_add_named_test(t, row10_indirect_without_the_feature, 2, mock_format_name);
	tcase_add_named_test(t, row10_nested_indirect, 2, mock_format_name);
	tcase_add_named_test(t, row10_indirect_with_next, 2, mock_format_name);
	tcase_add_named_test(t, row10_bad_table_length, 2, mock_format_name);
	tcase_add_named_test(t, row10_table_outside_ram, 2, mock_format_name);
	tcase_add_named_test(t, row15_descriptor_rewritten_while_it_is_read, 2, mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
