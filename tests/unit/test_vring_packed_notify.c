/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the two event suppression structures of packed rings. */
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

#define SIZE	5

#define ENABLE	((uint32_t)VRING_PACKED_EVENT_FLAG_ENABLE << 16)
#define DISABLE ((uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16)
#define DESC	((uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16)
#define NO_FLAG (3u << 16)

static void begin(uint16_t size, bool event_idx)
{
	chains_begin(true, size, event_idx ? CHAINS_EVENT_IDX : 0);
	chains_fill_table();
}

/* Makes chains of one descriptor each available, with the ids 0 to count - 1. The device completes
 * a batch of them. Returns whether it interrupts. */
static bool batch(unsigned int count)
{
	struct vring_used_elem elem;

	for (uint16_t id = 0; id < count; id++)
		mock_stage(&m, id);
	mock_show(&m);
	for (unsigned int i = 0; i < count; i++) {
		must(vring_pop(&vr, &chain) == 1);
		vring_push(&vr, chain.head, 0);
	}
	must(vring_publish(&vr) == (count != 0));
	while (mock_used(&m, &elem))
		;
	return vring_should_notify(&vr);
}

/* Completes a chain with this driver event suppression structure. Returns whether the device
 * interrupts. */
static bool batch_with(uint32_t event)
{
	WRITE_ONCE(*m.driver_event, event);
	return batch(1);
}

/* ---- interrupts ---- */

START_TEST(row16_packed_interrupt_flags_without_event_idx)
{
	begin(SIZE, false);
	ck_assert(batch_with(ENABLE));
	ck_assert(!batch_with(DISABLE));
	/* The position and the reserved bits have no meaning. */
	ck_assert(!batch_with(DISABLE | 0xffff));
	ck_assert(!batch_with(DISABLE | 0xfffc0000));
	ck_assert(batch_with(ENABLE | 0xfffc0000 | 2));
	/* DESC is not negotiated, and 3 is reserved: the device interrupts, because a lost
	 * interrupt would be worse than one too many. */
	ck_assert(batch_with(DESC | 2));
	ck_assert(batch_with(NO_FLAG));
	mock_fini(&m);
}
END_TEST

START_TEST(row16_packed_interrupt_flags_with_event_idx)
{
	begin(SIZE, true);
	ck_assert(batch_with(ENABLE | 3));
	ck_assert(!batch_with(DISABLE | 1));
	ck_assert(batch_with(NO_FLAG));
	mock_fini(&m);
}
END_TEST

/*
 * Completes batches of every length at every position of the ring, with the event from a round
 * before to a round after the start of the batch. The device must interrupt when a descriptor of
 * the batch is at the event.
 */
static void check_events(uint16_t size)
{
	begin(size, true);
	for (unsigned int n = 0; n < 4000; n++) {
		uint16_t count = (uint16_t)(n / 7 % (size + 1u));
		unsigned int off = n * 7919 % (2u * size);
		struct mock_place event = m.take;

		/* A round before, the wrap counter at the same position was the other one. */
		event.wrap = !event.wrap;
		mock_packed_advance(&m, &event, (uint16_t)off);
		WRITE_ONCE(*m.driver_event, mock_packed_event(event));
		if (batch(count) != (off >= size && off - size < count))
			ck_abort_msg("size %u, batch of %u, event at %d", size, count,
				     (int)off - size);
	}
	mock_fini(&m);
}

START_TEST(packed_need_event_over_the_end_of_the_ring)
{
	static const uint16_t sizes[] = { 1, 2, 3, 5, 8, 100 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		check_events(sizes[i]);
}
END_TEST

/* With a position outside the ring or a wrong wrap counter, the device may interrupt or not, but it
 * must not break the ring. */
START_TEST(row16_packed_events_over_all_values)
{
	begin(SIZE, true);
	for (unsigned int off_wrap = 0; off_wrap < 0x10000; off_wrap++)
		batch_with(DESC | off_wrap);
	ck_assert_ptr_null(vr.broken);
	/* A valid event counts again afterwards. */
	ck_assert(batch_with(mock_packed_event(m.take)));
	mock_fini(&m);
}
END_TEST

START_TEST(packed_batches_while_interrupts_are_disabled_are_not_counted_later)
{
	struct mock_place event;

	begin(SIZE, true);
	ck_assert(!batch_with(DISABLE));
	event = m.take;
	ck_assert(!batch_with(DISABLE));
	WRITE_ONCE(*m.driver_event, mock_packed_event(event));
	ck_assert(!batch(1));
	mock_fini(&m);
}
END_TEST

/* The used element of a chain stands for all descriptors of the chain. */
START_TEST(packed_event_in_the_middle_of_a_chain)
{
	begin(SIZE, true);
	for (unsigned int at = 0; at < SIZE; at++) {
		mock_ring_packed(&m, SIZE, true, false);
		must(vring_setup(&vr, &m.hostmem, &m.ring) == 0);
		mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
		mock_packed_put(&m, MOCK_FAR, 1, 0, NEXT);
		mock_packed_put(&m, MOCK_FAR, 1, 0, 0);
		mock_show(&m);
		WRITE_ONCE(*m.driver_event,
			   mock_packed_event((struct mock_place){ (uint16_t)at, true }));
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		vring_push(&vr, 0, 0);
		vring_publish(&vr);
		ck_assert_int_eq(vring_should_notify(&vr), at < 3);
	}
	mock_fini(&m);
}
END_TEST

/* ---- available buffer notifications ---- */

START_TEST(packed_device_event_without_event_idx)
{
	begin(SIZE, false);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(*m.device_event, DISABLE);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(*m.device_event, ENABLE);
	mock_fini(&m);
}
END_TEST

START_TEST(packed_device_event_with_event_idx)
{
	begin(SIZE, true);
	for (unsigned int i = 0; i < 4 * SIZE; i++) {
		vring_disable_notify(&vr);
		ck_assert_uint_eq(*m.device_event, DISABLE);
		ck_assert(!vring_enable_notify(&vr));
		ck_assert_uint_eq(*m.device_event, mock_packed_event(m.put));
		vring_disable_notify(&vr);
		batch(1);
	}
	mock_fini(&m);
}
END_TEST

/* A second write would take the cache line away from the driver. */
START_TEST(packed_disable_notify_writes_only_once)
{
	begin(SIZE, true);
	vring_disable_notify(&vr);
	WRITE_ONCE(*m.device_event, 0x5a5a5a5a);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(*m.device_event, 0x5a5a5a5a);
	vring_enable_notify(&vr);
	ck_assert_uint_eq(*m.device_event, mock_packed_event(m.put));
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_packed_notify");
	TCase *t = tcase_create("vring_packed_notify");

	tcase_add_test(t, row16_packed_interrupt_flags_without_event_idx);
	tcase_add_test(t, row16_packed_interrupt_flags_with_event_idx);
	tcase_add_test(t, packed_need_event_over_the_end_of_the_ring);
	tcase_add_test(t, row16_packed_events_over_all_values);
	tcase_add_test(t, packed_batches_while_interrupts_are_disabled_are_not_counted_later);
	tcase_add_test(t, packed_event_in_the_middle_of_a_chain);
	tcase_add_test(t, packed_device_event_without_event_idx);
	tcase_add_test(t, packed_device_event_with_event_idx);
	tcase_add_test(t, packed_disable_notify_writes_only_once);
	suite_add_tcase(s, t);
	return s;
}
