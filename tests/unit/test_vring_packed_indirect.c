/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of indirect tables of packed rings, and of a driver that rewrites memory being read. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE 7

static void begin(bool indirect)
{
	chains_begin(true, SIZE, indirect);
}

/* Break the queue with what was put, and end. */
static void expect_broken(void)
{
	chains_expect_broken();
	mock_fini(&m);
}

/* `count` readable bytes in the entries of a table at `gpa`, with these flags in each. */
static void byte_table(uint64_t gpa, unsigned int count, uint16_t flags)
{
	for (unsigned int i = 0; i < count; i++) {
		struct vring_packed_desc d = { MOCK_FAR + i, 1, 0xffff, flags };

		memcpy((char *)mock_ptr(&m, gpa) + 16ul * i, &d, sizeof(d));
	}
}

static const struct mock_piece pieces[] = {
	{ MOCK_FAR, 16, false },
	{ MOCK_FAR + 512, 512, false },
	{ MOCK_FAR + 100, 1, true },
};

static void expect_pieces(void)
{
	ck_assert_int_eq(chains_pop(), 1);
	expect_counts(2, 1, 528, 1);
	for (unsigned int i = 0; i < 3; i++)
		expect_piece(i, pieces[i].gpa, pieces[i].len);
}

/* Of an entry's flags only WRITE counts, and its id not at all (2.8.7). */
START_TEST(row11_packed_indirect_table)
{
	const uint16_t rest = (uint16_t) ~(WRITE | INDIRECT);

	for (unsigned int off = 0; off < 16; off++) {
		uint64_t table;

		begin(true);
		table = mock_alloc(&m, 64, 16) + off;
		mock_stage(&m, mock_chain_indirect(&m, table, pieces, 3));
		expect_pieces();
		for (unsigned int i = 0; i < 3; i++) {
			char *entry = (char *)mock_ptr(&m, table) + 16ul * i;
			struct vring_packed_desc d;

			memcpy(&d, entry, sizeof(d));
			d.flags |= rest;
			d.id = 0xffff;
			memcpy(entry, &d, sizeof(d));
		}
		/* One descriptor of the ring, whose WRITE means nothing. */
		mock_packed_put(&m, table, 48, 6, INDIRECT | WRITE);
		expect_pieces();
		ck_assert_uint_eq(chain.head, 6);
		ck_assert_uint_eq(vr.ring.desc_in_flight, 2);
		mock_fini(&m);
	}
}
END_TEST

/* All entries of a table are the chain: there is no next in them. */
START_TEST(row03_packed_table_as_long_as_the_queue_and_one_longer)
{
	for (unsigned int count = SIZE; count <= SIZE + 1; count++) {
		uint64_t table;

		begin(true);
		table = mock_alloc(&m, 16 * count, 16);
		byte_table(table, count, 0);
		mock_packed_put(&m, table, 16 * count, 0, INDIRECT);
		if (count > SIZE) {
			expect_broken();
			continue;
		}
		ck_assert_int_eq(chains_pop(), 1);
		expect_counts(SIZE, 0, SIZE, 0);
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row11_packed_table_that_ends_with_ram)
{
	begin(true);
	mock_stage(&m, mock_chain_indirect(&m, MOCK_TOP - 48, pieces, 3));
	expect_pieces();
	mock_stage(&m, mock_chain_indirect(&m, MOCK_HIGH - 48, pieces, 3));
	expect_pieces();
	mock_fini(&m);
}
END_TEST

START_TEST(row10_packed_indirect_against_the_rules)
{
	static const struct {
		const char *what;
		uint64_t gpa; /* 0: a table that is good but for `entry` */
		uint32_t len;
		uint16_t flags;
		uint16_t entry; /* flags of the table's second entry */
	} bad[] = {
		{ "nested", 0, 48, INDIRECT, INDIRECT },
		{ "nested, with next", 0, 48, INDIRECT, INDIRECT | NEXT },
		{ "with a next one", 0, 48, INDIRECT | NEXT, 0 },
		{ "empty", 0, 0, INDIRECT, 0 },
		{ "half an entry", 0, 8, INDIRECT, 0 },
		{ "three and a byte", 0, 49, INDIRECT, 0 },
		{ "endless", 0, 0xffffffff, INDIRECT, 0 },
		{ "in front of RAM", MOCK_LOW - 16, 48, INDIRECT, 0 },
		{ "in the hole", MOCK_HOLE, 48, INDIRECT, 0 },
		{ "into the hole", MOCK_HOLE - 32, 48, INDIRECT, 0 },
		{ "over the end", MOCK_TOP - 32, 48, INDIRECT, 0 },
		{ "wrapping", ~0ull - 15, 48, INDIRECT, 0 },
		{ "a length of RAM only in 32 bits", MOCK_LOW, 0xfffffff0, INDIRECT, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t table;

		begin(true);
		table = mock_alloc(&m, 48, 16);
		byte_table(table, 3, 0);
		((struct vring_packed_desc *)mock_ptr(&m, table))[1].flags = bad[i].entry;
		mock_packed_put(&m, bad[i].gpa ? bad[i].gpa : table, bad[i].len, 0, bad[i].flags);
		/* What a next would lead to. */
		mock_packed_put(&m, MOCK_FAR, 1, 1, 0);
		expect_broken();
	}
}
END_TEST

START_TEST(row10_packed_indirect_without_the_feature)
{
	begin(false);
	mock_stage(&m, mock_chain_indirect(&m, 0, pieces, 3));
	expect_broken();
}
END_TEST

/* 2.8.19: what the split ring takes (row 11), a packed one does not. */
START_TEST(row10_packed_normal_descriptors_followed_by_one_indirect)
{
	begin(true);
	uint64_t table = mock_alloc(&m, 32, 16);

	mock_chain_indirect(&m, table, &pieces[1], 2);
	mock_packed_put(&m, pieces[0].gpa, pieces[0].len, 0, NEXT);
	mock_packed_put(&m, table, 32, 0, INDIRECT);
	expect_broken();
}
END_TEST

/* ---- row 15 ---- */

static volatile bool flipping;

/* Another vCPU flips the descriptor between a small buffer and one that reaches out of RAM. */
static void *flip(void *arg)
{
	volatile struct vring_packed_desc *d = arg;

	while (__atomic_load_n(&flipping, __ATOMIC_RELAXED)) {
		d->len = 0x10000000;
		d->addr = MOCK_TOP - 16;
		d->id = 0xffff;
		d->len = 16;
		d->addr = MOCK_FAR;
		d->id = 3;
	}
	return NULL;
}

/* Whatever mixture of old and new the device finds, what it accepts is what it judged. */
START_TEST(row15_packed_descriptor_rewritten_while_it_is_read)
{
	unsigned int accepted = 0, refused = 0;
	int64_t end = mock_deadline() + 20;
	pthread_t thread;

	begin(true);
	flipping = true;
	m.packed[0] = (struct vring_packed_desc){ MOCK_FAR, 16, 3, WRITE };
	ck_assert_int_eq(pthread_create(&thread, NULL, flip, &m.packed[0]), 0);
	for (unsigned int i = 0; i < 200000 || !accepted || !refused; i++) {
		must(vring_setup(&vr, &m.hostmem, &m.ring) == 0);
		WRITE_ONCE(m.packed[0].flags, mock_packed_avail(true) | WRITE);
		if (vring_pop(&vr, &chain) == 1) {
			must(chain.head == 3 && chain.out_count + chain.in_count == 1);
			must(iov[0].iov_len == chain.in_len && chain.in_len == 16);
			accepted++;
		} else {
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
	Suite *s = suite_create("vring_packed_indirect");
	TCase *t = tcase_create("vring_packed_indirect");

	tcase_add_test(t, row11_packed_indirect_table);
	tcase_add_test(t, row03_packed_table_as_long_as_the_queue_and_one_longer);
	tcase_add_test(t, row11_packed_table_that_ends_with_ram);
	tcase_add_test(t, row10_packed_indirect_against_the_rules);
	tcase_add_test(t, row10_packed_indirect_without_the_feature);
	tcase_add_test(t, row10_packed_normal_descriptors_followed_by_one_indirect);
	tcase_add_test(t, row15_packed_descriptor_rewritten_while_it_is_read);
	suite_add_tcase(s, t);
	return s;
}
