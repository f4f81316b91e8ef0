/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains of the packed ring: what a device must take, and what breaks the queue. */
#include <errno.h>
#include <string.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define SIZE 7

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(SIZE)];
static struct vring_chain chain = { .iov = iov };

static void begin(bool indirect)
{
	mock_init(&m, SIZE, false, indirect);
	mock_ring_packed(&m, SIZE, false, indirect);
	chain.capacity = ARRAY_SIZE(iov);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
}

static int pop(void)
{
	mock_show(&m);
	return vring_pop(&vr, &chain);
}

/* Break the queue with what was put, and end. */
static void expect_broken(void)
{
	uint64_t in_flight = vr.in_flight[0];

	ck_assert_int_eq(pop(), -EBADMSG);
	ck_assert_ptr_nonnull(vr.broken);
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
	ck_assert_uint_eq(vr.in_flight[0], in_flight);
	mock_fini(&m);
}

static void *device_ptr(uint64_t gpa)
{
	if (gpa >= MOCK_FAR)
		return m.device[2] + (gpa - MOCK_FAR);
	if (gpa >= MOCK_HIGH)
		return m.device[1] + (gpa - MOCK_HIGH);
	return m.device[0] + (gpa - MOCK_LOW);
}

static void expect_piece(unsigned int i, uint64_t gpa, uint64_t len)
{
	ck_assert_ptr_eq(iov[i].iov_base, device_ptr(gpa));
	ck_assert_uint_eq(iov[i].iov_len, len);
}

static void expect_counts(unsigned int out, unsigned int in, uint32_t out_len, uint32_t in_len)
{
	ck_assert_uint_eq(chain.out_count, out);
	ck_assert_uint_eq(chain.in_count, in);
	ck_assert_uint_eq(chain.out_len, out_len);
	ck_assert_uint_eq(chain.in_len, in_len);
}

START_TEST(packed_chain_of_readable_and_writable_pieces)
{
	begin(false);
	/* Over the end of the ring: the flags' meaning turns in the middle. */
	for (uint16_t at = 0; at < 3 * SIZE; at++) {
		mock_packed_put(&m, MOCK_FAR, 16, 0xffff, NEXT);
		mock_packed_put(&m, MOCK_HIGH + 7, 100, 0, NEXT);
		mock_packed_put(&m, MOCK_LOW, 1, 0, NEXT | WRITE);
		mock_packed_put(&m, MOCK_TOP - 9, 9, 5, WRITE);
		ck_assert_int_eq(pop(), 1);
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
		begin(false);
		for (unsigned int i = 0; i < good; i++)
			mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
		expect_broken();
	}
	/* ... but was a round ago, or is a used element. */
	begin(false);
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
	begin(false);
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 1, 3, i + 1 < SIZE ? NEXT : 0);
	ck_assert_int_eq(pop(), 1);
	expect_counts(SIZE, 0, SIZE, 0);
	mock_fini(&m);

	/* The first one again, available for the round that comes. */
	begin(false);
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 1, 3, NEXT);
	expect_broken();

	/* Empty ones add no piece; they must not make it endless. */
	begin(false);
	for (unsigned int i = 0; i < SIZE; i++)
		mock_packed_put(&m, MOCK_FAR, 0, 3, NEXT);
	expect_broken();
}
END_TEST

START_TEST(row05_packed_chains_share_buffers)
{
	begin(false);
	for (uint16_t id = 0; id < 3; id++)
		mock_packed_put(&m, MOCK_FAR, 9, id, WRITE);
	for (uint16_t id = 0; id < 3; id++) {
		ck_assert_int_eq(pop(), 1);
		expect_counts(0, 1, 0, 9);
		expect_piece(0, MOCK_FAR, 9);
	}
	mock_fini(&m);
}
END_TEST

START_TEST(row06_packed_empty_descriptors_are_skipped)
{
	begin(false);
	mock_packed_put(&m, 0, 0, 0, NEXT);
	mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
	mock_packed_put(&m, ~0ull, 0, 0, NEXT | WRITE);
	mock_packed_put(&m, MOCK_FAR, 2, 0, 0);
	ck_assert_int_eq(pop(), 1);
	expect_counts(2, 0, 3, 0);
	mock_packed_put(&m, 0, 0, 1, 0);
	ck_assert_int_eq(pop(), 1);
	expect_counts(0, 0, 0, 0);
	mock_fini(&m);
}
END_TEST

START_TEST(row07_row08_packed_buffers_outside_ram)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = { { MOCK_LOW, 0xffffffff }, { ~0ull, 1 },
		    { ~0ull - 15, 17 },	      { ~0ull - 15, 16 },
		    { MOCK_HOLE, 1 },	      { MOCK_HOLE - 1, 2 },
		    { MOCK_TOP - 511, 512 },  { MOCK_TOP, 1 },
		    { MOCK_LOW - 1, 2 },      { 0, 1 },
		    { MOCK_FAR - 1, 2 } };

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		begin(true);
		if (i % 2) {
			struct mock_piece piece = { bad[i / 2].gpa, bad[i / 2].len, false };

			mock_stage(&m, mock_chain_indirect(&m, 0, &piece, 1));
		} else {
			mock_packed_put(&m, bad[i / 2].gpa, bad[i / 2].len, 0, WRITE);
		}
		expect_broken();
	}
	begin(false);
	mock_packed_put(&m, MOCK_TOP - 512, 512, 0, WRITE);
	ck_assert_int_eq(pop(), 1);
	expect_piece(0, MOCK_TOP - 512, 512);
	mock_fini(&m);
}
END_TEST

START_TEST(row09_packed_buffer_over_two_regions_is_split)
{
	begin(false);
	mock_packed_put(&m, MOCK_HIGH - 5, 12, 0, WRITE);
	ck_assert_int_eq(pop(), 1);
	expect_counts(0, 2, 0, 12);
	expect_piece(0, MOCK_HIGH - 5, 5);
	expect_piece(1, MOCK_HIGH, 7);
	mock_packed_put(&m, MOCK_HIGH - 5, 12, 1, WRITE);
	chain.capacity = 1;
	expect_broken();
}
END_TEST

START_TEST(row13_packed_readable_after_writable)
{
	begin(true);
	mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT | WRITE);
	mock_packed_put(&m, MOCK_FAR, 1, 0, 0);
	expect_broken();

	begin(true);
	mock_stage(&m, mock_chain_indirect(&m, 0,
					   (struct mock_piece[]){ { MOCK_FAR, 1, true },
								  { MOCK_FAR, 1, false } },
					   2));
	expect_broken();
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
	tcase_add_test(t, row06_packed_empty_descriptors_are_skipped);
	tcase_add_test(t, row07_row08_packed_buffers_outside_ram);
	tcase_add_test(t, row09_packed_buffer_over_two_regions_is_split);
	tcase_add_test(t, row13_packed_readable_after_writable);
	suite_add_tcase(s, t);
	return s;
}
