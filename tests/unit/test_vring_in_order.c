/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of VIRTIO_F_IN_ORDER: used elements have the order of the chains. All run in both ring
 * formats: _i is 0 for split, 1 for packed.
 */
#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

static void begin(bool packed, uint16_t size)
{
	chains_begin(packed, size, CHAINS_IN_ORDER);
	chains_fill_table();
}

/* Offers these heads, and pops them. */
static void pop_all(const uint16_t *head, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		mock_stage(&m, head[i]);
	for (unsigned int i = 0; i < count; i++)
		chains_expect_pop(head[i]);
}

START_TEST(in_order_chain_completed_early_waits_for_those_before_it)
{
	static const uint16_t head[] = { 5, 2, 7, 0 };

	begin(_i, 8);
	pop_all(head, 4);
	vring_push(&vr, 7, 70);
	vring_push(&vr, 2, 20);
	ck_assert(!vring_publish(&vr));
	chains_expect_no_used();
	vring_push(&vr, 5, 50);
	ck_assert(vring_publish(&vr));
	chains_expect_used(5, 50);
	chains_expect_used(2, 20);
	chains_expect_used(7, 70);
	chains_expect_no_used();
	/* A head that had to wait can be offered again. */
	pop_all((const uint16_t[]){ 7, 2 }, 2);
	vring_push(&vr, 7, 71);
	ck_assert(!vring_publish(&vr));
	vring_push(&vr, 0, 0);
	ck_assert(vring_publish(&vr));
	chains_expect_used(0, 0);
	chains_expect_used(7, 71);
	chains_expect_no_used();
	mock_fini(&m);
}
END_TEST

/* The chain is completed, but its used element is not published. */
START_TEST(row04_in_order_head_offered_again_while_it_waits)
{
	begin(_i, 8);
	pop_all((const uint16_t[]){ 1, 3 }, 2);
	vring_push(&vr, 3, 0);
	vring_publish(&vr);
	mock_stage(&m, 3);
	chains_expect_broken();
	mock_fini(&m);
}
END_TEST

/* The completions come in every permutation of four requests. */
START_TEST(in_order_over_all_orders_of_completion)
{
	static const uint16_t head[] = { 3, 1, 0, 2 };

	begin(_i, 4);
	for (unsigned int n = 0; n < 4 * 4 * 4 * 4; n++) {
		unsigned int done = 0, shown = 0;

		for (unsigned int i = 0, k = n; i < 4; i++, k /= 4)
			done |= 1u << k % 4;
		if (done != 15)
			continue;
		pop_all(head, 4);
		done = 0;
		for (unsigned int i = 0, k = n; i < 4; i++, k /= 4) {
			vring_push(&vr, head[k % 4], n);
			done |= 1u << k % 4;
			must(vring_publish(&vr) == (done >> shown & 1));
			for (; done >> shown & 1; shown++)
				chains_expect_used(head[shown], n);
			chains_expect_no_used();
		}
		must(shown == 4 && !vr.in_flight[0]);
	}
	mock_fini(&m);
}
END_TEST

/* The largest ring is always full, and completed from the last chain to the first, until the
 * indices have wrapped three times. */
START_TEST(row18_in_order_indices_wrap)
{
	static uint16_t head[VRING_MAX_SIZE];

	begin(_i, VRING_MAX_SIZE);
	for (unsigned int round = 0; round < 3 * 65536 / VRING_MAX_SIZE; round++) {
		for (unsigned int i = 0; i < VRING_MAX_SIZE; i++)
			head[i] = (uint16_t)((i * 37 + round) % VRING_MAX_SIZE);
		pop_all(head, VRING_MAX_SIZE);
		for (unsigned int i = VRING_MAX_SIZE; i-- > 0;) {
			must(!vring_publish(&vr));
			vring_push(&vr, head[i], i + 1);
		}
		must(vring_publish(&vr));
		for (unsigned int i = 0; i < VRING_MAX_SIZE; i++)
			chains_expect_used(head[i], i + 1);
		chains_expect_no_used();
	}
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_in_order");
	TCase *t = tcase_create("vring_in_order");

	tcase_add_named_test(t, in_order_chain_completed_early_waits_for_those_before_it, 2,
			     mock_format_name);
	tcase_add_named_test(t, row04_in_order_head_offered_again_while_it_waits, 2,
			     mock_format_name);
	tcase_add_named_test(t, in_order_over_all_orders_of_completion, 2, mock_format_name);
	tcase_add_named_test(t, row18_in_order_indices_wrap, 2, mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
