/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of VIRTIO_F_IN_ORDER in both formats: used elements keep the order of the chains. */
#include <errno.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

/* _i: 0 split, 1 packed. */
static void begin(int packed, uint16_t size)
{
	mock_init(&m, size, false, false);
	if (packed)
		mock_ring_packed(&m, size, false, false);
	m.ring.in_order = true;
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	for (uint16_t i = 0; i < size; i++)
		mock_desc(&m, i, MOCK_FAR, 1, 0, 0);
}

/* Offer these heads, and have them in flight. */
static void pop_all(const uint16_t *head, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		mock_stage(&m, head[i]);
	mock_show(&m);
	for (unsigned int i = 0; i < count; i++) {
		must(vring_pop(&vr, &chain) == 1);
		must(chain.head == head[i]);
	}
}

static void expect_used(uint16_t head, uint32_t len)
{
	struct vring_used_elem elem;

	must(mock_used(&m, &elem));
	must(elem.id == head && elem.len == len);
}

static void expect_nothing(void)
{
	struct vring_used_elem elem;

	must(!mock_used(&m, &elem));
}

START_TEST(in_order_what_is_finished_early_waits_for_its_turn)
{
	static const uint16_t head[] = { 5, 2, 7, 0 };

	begin(_i, 8);
	pop_all(head, 4);
	vring_push(&vr, 7, 70);
	vring_push(&vr, 2, 20);
	ck_assert(!vring_publish(&vr));
	expect_nothing();
	vring_push(&vr, 5, 50);
	ck_assert(vring_publish(&vr));
	expect_used(5, 50);
	expect_used(2, 20);
	expect_used(7, 70);
	expect_nothing();
	/* What waited once is forgotten: its head may come again. */
	pop_all((const uint16_t[]){ 7, 2 }, 2);
	vring_push(&vr, 7, 71);
	ck_assert(!vring_publish(&vr));
	vring_push(&vr, 0, 0);
	ck_assert(vring_publish(&vr));
	expect_used(0, 0);
	expect_used(7, 71);
	expect_nothing();
	mock_fini(&m);
}
END_TEST

/* Finished, but not shown: the driver does not have it back yet. */
START_TEST(row04_in_order_head_offered_again_while_it_waits)
{
	begin(_i, 8);
	pop_all((const uint16_t[]){ 1, 3 }, 2);
	vring_push(&vr, 3, 0);
	vring_publish(&vr);
	mock_stage(&m, 3);
	mock_show(&m);
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
	mock_fini(&m);
}
END_TEST

/* Every permutation of four requests. */
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
				expect_used(head[shown], n);
			expect_nothing();
		}
		must(shown == 4 && !vr.in_flight[0]);
	}
	mock_fini(&m);
}
END_TEST

/* A ring as large as can be, always full, finished from the last one on, until the indices wrapped. */
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
			expect_used(head[i], i + 1);
		expect_nothing();
	}
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_in_order");
	TCase *t = tcase_create("vring_in_order");

	tcase_add_loop_test(t, in_order_what_is_finished_early_waits_for_its_turn, 0, 2);
	tcase_add_loop_test(t, row04_in_order_head_offered_again_while_it_waits, 0, 2);
	tcase_add_loop_test(t, in_order_over_all_orders_of_completion, 0, 2);
	tcase_add_loop_test(t, row18_in_order_indices_wrap, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
