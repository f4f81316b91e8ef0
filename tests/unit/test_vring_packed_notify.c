/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of doorbells and interrupts of packed rings: the two event suppression structures. */
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define SIZE	5

#define ENABLE	((uint32_t)VRING_PACKED_EVENT_FLAG_ENABLE << 16)
#define DISABLE ((uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16)
#define DESC	((uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16)
#define NO_FLAG (3u << 16)

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

static void begin(uint16_t size, bool event_idx)
{
	mock_init(&m, size, event_idx, false);
	mock_ring_packed(&m, size, event_idx, false);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
}

/* Chains of one descriptor with the ids from 0 on, none of which is in flight. */
static void add(unsigned int count)
{
	for (uint16_t id = 0; id < count; id++) {
		mock_packed_put(&m, MOCK_FAR, 1, id, 0);
		m.length[id] = 1;
	}
	mock_show(&m);
}

static void serve(unsigned int count)
{
	struct vring_used_elem elem;

	add(count);
	for (unsigned int i = 0; i < count; i++) {
		must(vring_pop(&vr, &chain) == 1);
		vring_push(&vr, chain.head, 0);
	}
	must(vring_publish(&vr) == (count != 0));
	while (mock_used(&m, &elem))
		;
}

/* Everything there is goes through the device; returns whether it wants to interrupt. */
static bool batch(unsigned int count)
{
	serve(count);
	return vring_should_notify(&vr);
}

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
	/* The position is not looked at, nor the bits that mean nothing. */
	ck_assert(!batch_with(DISABLE | 0xffff));
	ck_assert(!batch_with(DISABLE | 0xfffc0000));
	ck_assert(batch_with(ENABLE | 0xfffc0000 | 2));
	/* DESC is not negotiated, 3 is no flag: an interrupt too many, never one too few. */
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

/* Batches of every length from every place of the ring, and the event from a round before the batch to
 * a round behind its start: an interrupt when one of its descriptors is where the event is. */
static void check_events(uint16_t size)
{
	begin(size, true);
	for (unsigned int n = 0; n < 4000; n++) {
		uint16_t count = (uint16_t)(n / 7 % (size + 1u));
		unsigned int off = n * 7919 % (2u * size);
		struct mock_place event = m.take;

		/* A round back is the same place with the other wrap counter. */
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

/* Positions outside the ring, wrap counters of no round: anything may come of it but harm. */
START_TEST(row16_packed_events_over_all_values)
{
	begin(SIZE, true);
	for (unsigned int off_wrap = 0; off_wrap < 0x10000; off_wrap++)
		batch_with(DESC | off_wrap);
	ck_assert_ptr_null(vr.broken);
	/* And it is the driver's choice again. */
	ck_assert(batch_with(mock_packed_event(m.take)));
	mock_fini(&m);
}
END_TEST

/* Each batch is judged from the end of the one before it, whether or not that one interrupted. */
START_TEST(packed_batch_is_signalled_once)
{
	struct mock_place event;

	begin(SIZE, true);
	event = m.take;
	mock_packed_advance(&m, &event, 4);
	WRITE_ONCE(*m.driver_event, mock_packed_event(event));
	ck_assert(!batch(4));
	ck_assert(batch(1));
	ck_assert(!batch(1));
	ck_assert(!batch(3));
	/* Published in two steps, and asked once. */
	event = m.take;
	WRITE_ONCE(*m.driver_event, mock_packed_event(event));
	serve(1);
	ck_assert(batch(1));
	/* Not asked for while there was no event to wait for: these are not counted later. */
	ck_assert(!batch_with(DISABLE));
	event = m.take;
	ck_assert(!batch_with(DISABLE));
	WRITE_ONCE(*m.driver_event, mock_packed_event(event));
	ck_assert(!batch(1));
	mock_fini(&m);
}
END_TEST

/* A chain is one used element, and passes all its descriptors. */
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

/* ---- doorbells ---- */

START_TEST(packed_doorbells_without_event_idx)
{
	begin(SIZE, false);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(*m.device_event, DISABLE);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(*m.device_event, ENABLE);
	mock_fini(&m);
}
END_TEST

START_TEST(packed_doorbells_with_event_idx)
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

/* Said once: under load the driver's cache line is not taken away from it again and again. */
START_TEST(packed_disarmed_ring_is_not_disarmed_again)
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

/* Our own position, not one behind what came in meanwhile: that must be found, and it rings again. */
START_TEST(packed_arm_sees_a_chain_added_meanwhile)
{
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		begin(SIZE, event_idx);
		for (unsigned int i = 0; i < 3 * SIZE; i++) {
			struct mock_place mine = m.put;

			vring_disable_notify(&vr);
			ck_assert_int_eq(vring_pop(&vr, &chain), 0);
			add(1);
			ck_assert(vring_has_avail(&vr));
			ck_assert(vring_enable_notify(&vr));
			ck_assert_uint_eq(*m.device_event,
					  event_idx ? mock_packed_event(mine) : ENABLE);
			ck_assert_int_eq(vring_pop(&vr, &chain), 1);
			ck_assert(!vring_has_avail(&vr));
			vring_push(&vr, 0, 0);
			vring_publish(&vr);
		}
		mock_fini(&m);
	}
}
END_TEST

START_TEST(row19_packed_broken_ring_is_neither_armed_nor_disarmed)
{
	begin(SIZE, true);
	vring_fail(&vr, "test");
	add(1);
	WRITE_ONCE(*m.device_event, 0x5a5a5a5a);
	vring_disable_notify(&vr);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(*m.device_event, 0x5a5a5a5a);
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
	tcase_add_test(t, packed_batch_is_signalled_once);
	tcase_add_test(t, packed_event_in_the_middle_of_a_chain);
	tcase_add_test(t, packed_doorbells_without_event_idx);
	tcase_add_test(t, packed_doorbells_with_event_idx);
	tcase_add_test(t, packed_disarmed_ring_is_not_disarmed_again);
	tcase_add_test(t, packed_arm_sees_a_chain_added_meanwhile);
	tcase_add_test(t, row19_packed_broken_ring_is_neither_armed_nor_disarmed);
	suite_add_tcase(s, t);
	return s;
}
