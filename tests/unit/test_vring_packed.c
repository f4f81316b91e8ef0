/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of what only packed rings have: wrap counters, and used elements in place of
 * descriptors. */
#include <errno.h>
#include <string.h>

#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

/* Puts a chain of `count` readable bytes into the ring. Its buffer id is that of its last
 * descriptor. */
static void put_chain(uint16_t id, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		mock_packed_put(&m, MOCK_FAR + i, 1, i + 1 < count ? 0xffff : id,
				i + 1 < count ? NEXT : 0);
	m.length[id] = (uint16_t)count;
}

static void expect_pop(uint16_t id, unsigned int pieces)
{
	chains_expect_pop(id);
	must(chain.out_count == pieces && chain.in_count == 0);
}

/* Chains of different lengths cross the end of the ring, and are completed in another order. */
START_TEST(row18_packed_rounds_nothing_lost_nothing_twice)
{
	static const uint16_t sizes[] = { 1, 2, 3, 5, 7, 64, 100, 1023, 1024 };

	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint16_t size = sizes[s];

		chains_begin(true, size, 0);
		for (uint32_t round = 0; round < 3000; round++) {
			uint16_t first = 1 + round % size, second = (size - first + 1) / 2;
			uint16_t a = round % size, b = (uint16_t)((a + 1) % size);

			put_chain(a, first);
			if (second)
				put_chain(b, second);
			must(vring_pop(&vr, &chain) == 0);
			expect_pop(a, first);
			if (second)
				expect_pop(b, second);
			must(vring_pop(&vr, &chain) == 0 && !vring_has_avail(&vr));
			if (second)
				vring_push(&vr, b, round);
			vring_push(&vr, a, 0);
			chains_expect_no_used();
			must(vring_publish(&vr) && !vring_publish(&vr));
			if (second)
				chains_expect_used(b, round);
			chains_expect_used(a, 0);
			chains_expect_no_used();
			must(vr.ring.desc_in_flight == 0 && !vr.in_flight[0]);
		}
		mock_fini(&m);
	}
}
END_TEST

/* One of the four combinations of AVAIL and USED means an available descriptor in each round. */
START_TEST(row01_packed_flags_of_another_round_are_not_available)
{
	for (unsigned int wrap = 0; wrap < 2; wrap++) {
		for (unsigned int bits = 0; bits < 4; bits++) {
			uint16_t flags = (uint16_t)((bits & 1) << VRING_PACKED_DESC_F_AVAIL |
						    (bits >> 1) << VRING_PACKED_DESC_F_USED);
			bool available = bits == (wrap ? 1 : 2);

			chains_begin(true, 1, 0);
			if (!wrap) {
				put_chain(0, 1);
				expect_pop(0, 1);
				vring_push(&vr, 0, 1);
				vring_publish(&vr);
			}
			m.packed[0] = (struct vring_packed_desc){ MOCK_FAR, 1, 0, flags };
			ck_assert_int_eq(vring_has_avail(&vr), available);
			ck_assert_int_eq(vring_enable_notify(&vr), available);
			ck_assert_int_eq(vring_pop(&vr, &chain), available);
			mock_fini(&m);
		}
	}
}
END_TEST

START_TEST(row01_packed_descriptor_made_available_again_before_it_was_used)
{
	/* The device has popped it and not pushed it. */
	chains_begin(true, 3, 0);
	put_chain(0, 2);
	put_chain(1, 1);
	expect_pop(0, 2);
	expect_pop(1, 1);
	put_chain(2, 1);
	chains_expect_broken();
	mock_fini(&m);

	/* The device has pushed it and not published it. */
	chains_begin(true, 3, 0);
	put_chain(0, 3);
	expect_pop(0, 3);
	vring_push(&vr, 0, 0);
	put_chain(0, 1);
	chains_expect_broken();
	mock_fini(&m);

	/* A chain continues into descriptors that are in flight. */
	chains_begin(true, 3, 0);
	put_chain(0, 1);
	put_chain(1, 3);
	mock_show(&m);
	m.packed[0].flags = NEXT | mock_packed_avail(true);
	m.packed[1].flags = NEXT | mock_packed_avail(true);
	m.packed[2].flags = NEXT | mock_packed_avail(true);
	chains_expect_broken();
	mock_fini(&m);
}
END_TEST

/* The device writes only the used element, to the first descriptor of the chain. */
START_TEST(packed_used_element_goes_where_the_chain_began)
{
	static const struct vring_packed_desc mark = { 0x5a5a, 0x5a5a, 0x5a5a, 0 };

	chains_begin(true, 8, 0);
	put_chain(3, 3);
	put_chain(6, 2);
	expect_pop(3, 3);
	expect_pop(6, 2);
	for (unsigned int i = 0; i < 8; i++)
		m.packed[i] = mark;
	vring_push(&vr, 6, 9);
	vring_push(&vr, 3, 0);
	/* Until the batch is published, the flags of its first element do not change. */
	ck_assert_uint_eq(m.packed[0].flags, 0);
	ck_assert_uint_eq(m.packed[2].flags, MOCK_BOTH);
	vring_publish(&vr);
	ck_assert_uint_eq(m.packed[0].id, 6);
	ck_assert_uint_eq(m.packed[0].len, 9);
	ck_assert_uint_eq(m.packed[0].flags, MOCK_BOTH | WRITE);
	ck_assert_uint_eq(m.packed[0].addr, mark.addr);
	ck_assert_uint_eq(m.packed[2].id, 3);
	ck_assert_uint_eq(m.packed[2].len, 0);
	for (unsigned int i = 0; i < 8; i++)
		if (i != 0 && i != 2)
			ck_assert(!memcmp(&m.packed[i], &mark, sizeof(mark)));
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_packed");
	TCase *t = tcase_create("vring_packed");

	tcase_add_test(t, row18_packed_rounds_nothing_lost_nothing_twice);
	tcase_add_test(t, row01_packed_flags_of_another_round_are_not_available);
	tcase_add_test(t, row01_packed_descriptor_made_available_again_before_it_was_used);
	tcase_add_test(t, packed_used_element_goes_where_the_chain_began);
	suite_add_tcase(s, t);
	return s;
}
