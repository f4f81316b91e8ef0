/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of doorbells and interrupts: whether they are requested, and at which index. */
#include <string.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(8)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

static void begin(bool event_idx, bool indirect)
{
	mock_init(&m, 8, event_idx, indirect);
	for (uint16_t i = 0; i < 8; i++)
		mock_desc(&m, i, mock_alloc(&m, 1, 1), 1, 0, 0);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
}

static void add(unsigned int count)
{
	while (count--)
		mock_stage(&m, m.avail_idx % 8);
	mock_show(&m);
}

/* Everything there is goes through the device; returns whether it wants to interrupt. */
static bool batch(unsigned int count)
{
	add(count);
	while (count--) {
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		vring_push(&vr, chain.head, 0);
	}
	ck_assert(vring_publish(&vr));
	return vring_should_notify(&vr);
}

/* Both sides are at this index, and nothing is pending. */
static void go_to(uint16_t idx)
{
	vr.last_avail = vr.avail_idx = vr.used_next = vr.published = vr.signalled = idx;
	m.avail_idx = m.used_idx = idx;
	mock_show(&m);
	WRITE_ONCE(m.used->idx, idx);
}

/* ---- interrupts ---- */

START_TEST(row16_interrupt_flag_without_event_idx)
{
	begin(false, false);
	ck_assert(batch(1));
	ck_assert(batch(3));
	WRITE_ONCE(m.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	ck_assert(!batch(1));
	/* Other bits mean nothing. */
	WRITE_ONCE(m.avail->flags, 0xfffe);
	ck_assert(batch(1));
	WRITE_ONCE(m.avail->flags, 0xffff);
	ck_assert(!batch(1));
	/* used_event is not looked at. */
	WRITE_ONCE(m.avail->flags, 0);
	WRITE_ONCE(*mock_used_event(&m), 0x8000);
	ck_assert(batch(1));
	mock_fini(&m);
}
END_TEST

START_TEST(row16_flags_mean_nothing_with_event_idx)
{
	begin(true, false);
	WRITE_ONCE(m.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	WRITE_ONCE(*mock_used_event(&m), 0);
	ck_assert(batch(1));
	mock_fini(&m);
}
END_TEST

/* A batch from `old` to `new` interrupts for used_event old .. new - 1, and for no other. */
static void check_boundaries(uint16_t old, uint16_t count)
{
	for (int off = -3; off < count + 3; off++) {
		begin(true, false);
		go_to(old);
		WRITE_ONCE(*mock_used_event(&m), (uint16_t)(old + off));
		ck_assert_msg(batch(count) == (off >= 0 && off < count), "at %u, event %+d of %u",
			      old, off, count);
		mock_fini(&m);
	}
}

START_TEST(need_event_boundaries)
{
	check_boundaries(8, 1);
	check_boundaries(8, 2);
	check_boundaries(8, 8);
}
END_TEST

START_TEST(row18_need_event_boundaries_over_the_wrap)
{
	check_boundaries(65535, 1);
	check_boundaries(65533, 5);
	check_boundaries(65528, 8);
	check_boundaries(0x7fff, 2);
}
END_TEST

/* Each batch is judged from the end of the one before it, whether or not that one interrupted. */
START_TEST(a_batch_is_signalled_once)
{
	begin(true, false);
	WRITE_ONCE(*mock_used_event(&m), 4);
	ck_assert(!batch(4));
	ck_assert(batch(1));
	ck_assert(!batch(1));
	ck_assert(!batch(8));
	/* At 14 by now: 13 is behind, 14 is the next. */
	WRITE_ONCE(*mock_used_event(&m), 13);
	ck_assert(!batch(1));
	WRITE_ONCE(*mock_used_event(&m), 15);
	ck_assert(batch(1));
	mock_fini(&m);
}
END_TEST

/* ---- doorbells ---- */

START_TEST(no_notify_flag_without_event_idx)
{
	begin(false, false);
	WRITE_ONCE(*(uint16_t *)&m.used->ring[8], 0x5a5a);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(READ_ONCE(m.used->flags), VRING_USED_F_NO_NOTIFY);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	/* avail_event is not the device's without the feature. */
	ck_assert_uint_eq(mock_avail_event(&m), 0x5a5a);
	mock_fini(&m);
}
END_TEST

START_TEST(flags_stay_0_with_event_idx)
{
	begin(true, false);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	mock_fini(&m);
}
END_TEST

/*
 * The 2012 code set avail_event from avail.idx, read again: an entry added between the last pop and
 * the arm was behind it and rang for nobody. It must be our own index, and arm must say that there
 * is more.
 */
static void check_arm(uint16_t idx, unsigned int meanwhile)
{
	begin(true, false);
	go_to(idx);
	ck_assert_int_eq(vring_pop(&vr, &chain), 0);
	add(meanwhile);
	ck_assert_int_eq(vring_enable_notify(&vr), meanwhile != 0);
	ck_assert_uint_eq(mock_avail_event(&m), idx);
	mock_fini(&m);
}

START_TEST(wart_avail_event_is_set_from_a_re_read_avail_index)
{
	check_arm(0, 0);
	check_arm(0, 1);
	check_arm(5, 3);
	check_arm(7, 8);
	check_arm(65535, 1);
	check_arm(65535, 0);
}
END_TEST

START_TEST(arm_sees_an_entry_added_meanwhile_without_event_idx)
{
	begin(false, false);
	vring_disable_notify(&vr);
	ck_assert_int_eq(vring_pop(&vr, &chain), 0);
	add(1);
	ck_assert(vring_enable_notify(&vr));
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	mock_fini(&m);
}
END_TEST

/* Entries known and not popped, as when the engine has no room. */
START_TEST(arm_counts_entries_not_yet_popped)
{
	begin(true, false);
	add(3);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert(vring_enable_notify(&vr));
	ck_assert_uint_eq(mock_avail_event(&m), 1);
	mock_fini(&m);
}
END_TEST

/* With EVENT_IDX a disarmed ring does not ring: avail_event is behind the driver. */
static void check_disarm(uint16_t idx)
{
	for (uint16_t n = 1; n <= 8; n++) {
		begin(true, false);
		go_to(idx);
		ck_assert(!vring_enable_notify(&vr));
		vring_disable_notify(&vr);
		batch(n);
		ck_assert(!vring_need_event(mock_avail_event(&m), m.avail_idx, idx));
		/* And is asked for again. */
		ck_assert(!vring_enable_notify(&vr));
		ck_assert_uint_eq(mock_avail_event(&m), m.avail_idx);
		mock_fini(&m);
	}
}

START_TEST(disarm_with_event_idx_puts_the_event_behind)
{
	check_disarm(0);
	check_disarm(5);
	check_disarm(65530);
	check_disarm(0x7fff);
}
END_TEST

/* It has rung: nothing is written that the driver would have to read again. */
START_TEST(disarm_after_the_doorbell_leaves_the_event_behind)
{
	begin(true, false);
	ck_assert(!vring_enable_notify(&vr));
	add(3);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(mock_avail_event(&m), 0);
	/* Nor where none was asked for. */
	WRITE_ONCE(*(uint16_t *)&m.used->ring[8], 7);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(mock_avail_event(&m), 7);
	mock_fini(&m);
}
END_TEST

START_TEST(row19_a_broken_ring_is_not_armed)
{
	begin(false, false);
	vring_disable_notify(&vr);
	vring_fail(&vr, "test");
	add(1);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(READ_ONCE(m.used->flags), VRING_USED_F_NO_NOTIFY);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_notify");
	TCase *t = tcase_create("vring_notify");

	tcase_add_test(t, row16_interrupt_flag_without_event_idx);
	tcase_add_test(t, row16_flags_mean_nothing_with_event_idx);
	tcase_add_test(t, need_event_boundaries);
	tcase_add_test(t, row18_need_event_boundaries_over_the_wrap);
	tcase_add_test(t, a_batch_is_signalled_once);
	tcase_add_test(t, no_notify_flag_without_event_idx);
	tcase_add_test(t, flags_stay_0_with_event_idx);
	tcase_add_test(t, wart_avail_event_is_set_from_a_re_read_avail_index);
	tcase_add_test(t, arm_sees_an_entry_added_meanwhile_without_event_idx);
	tcase_add_test(t, arm_counts_entries_not_yet_popped);
	tcase_add_test(t, disarm_with_event_idx_puts_the_event_behind);
	tcase_add_test(t, disarm_after_the_doorbell_leaves_the_event_behind);
	tcase_add_test(t, row19_a_broken_ring_is_not_armed);
	suite_add_tcase(s, t);
	return s;
}
