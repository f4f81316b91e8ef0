/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of chains specific to packed rings; test_vring_chain.c has those of both formats. */
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE 7

static void begin(void)
{
	chains_begin(true, SIZE, false);
}

/* Break the queue with what was put, and end. */
static void expect_broken(void)
{
	chains_expect_broken();
	mock_fini(&m);
}

START_TEST(packed_chain_of_readable_and_writable_pieces)
{
	begin();
	/* Over the end of the ring: the flags' meaning turns in the middle. */
	for (uint16_t at = 0; at < 3 * SIZE; at++) {
		mock_packed_put(&m, MOCK_FAR, 16, 0xffff, NEXT);
		mock_packed_put(&m, MOCK_HIGH + 7, 100, 0, NEXT);
		mock_packed_put(&m, MOCK_LOW, 1, 0, NEXT | WRITE);
		mock_packed_put(&m, MOCK_TOP - 9, 9, 5, WRITE);
		ck_assert_int_eq(chains_pop(), 1);
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

/* The first descriptor is available, and one that it leads to is not. */
START_TEST(row02_packed_chain_goes_on_where_nothing_is_available)
{
	for (unsigned int good = 1; good < SIZE; good++) {
		begin();
		for (unsigned int i = 0; i < good; i++)
			mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
		expect_broken();
	}
	/* ... but was a round ago, or is a used element. */
	begin();
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 1, (uint16_t)i, 0);
	mock_show(&m);
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	vring_push(&vr, 2, 0);
	vring_push(&vr, 1, 0);
	vring_publish(&vr);
	vr.in_flight[0] = 0;
	mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
	expect_broken();
}
END_TEST

START_TEST(row03_packed_chain_as_long_as_the_queue_and_one_longer)
{
	begin();
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 1, 3, i + 1 < SIZE ? NEXT : 0);
	ck_assert_int_eq(chains_pop(), 1);
	expect_counts(SIZE, 0, SIZE, 0);
	mock_fini(&m);

	/* The first one again, available for the round that comes. */
	begin();
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 1, 3, NEXT);
	expect_broken();

	/* Empty ones add no piece; they must not make it endless. */
	begin();
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 0, 3, NEXT);
	expect_broken();
}
END_TEST

START_TEST(row05_packed_chains_share_buffers)
{
	begin();
	for (uint16_t id = 0; id < 3; id++)
		mock_packed_put(&m, MOCK_FAR, 9, id, WRITE);
	for (uint16_t id = 0; id < 3; id++) {
		ck_assert_int_eq(chains_pop(), 1);
		expect_counts(0, 1, 0, 9);
		expect_piece(0, MOCK_FAR, 9);
	}
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_packed_chain");
	TCase *t = tcase_create("vring_packed_chain");

	tcase_add_test(t, packed_chain_of_readable_and_writable_pieces);
	tcase_add_test(t, row02_packed_chain_goes_on_where_nothing_is_available);
	tcase_add_test(t, row03_packed_chain_as_long_as_the_queue_and_one_longer);
	tcase_add_test(t, row05_packed_chains_share_buffers);
	suite_add_tcase(s, t);
	return s;
}
