/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of available buffer and used buffer notifications: whether device and driver request them,
 * and at which entry. test_vring_packed_notify.c has those of packed rings alone.
 */
#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

static void begin(bool packed, bool event_idx)
{
	chains_begin(packed, packed ? 5 : 8, event_idx ? CHAINS_EVENT_IDX : 0);
	chains_fill_table();
}

/* Makes chains of one descriptor each available. */
static void add(unsigned int count)
{
	static unsigned int next;

	while (count--)
		mock_stage(&m, (uint16_t)(next++ % m.ring.size));
	mock_show(&m);
}

/* Adds chains, which the device completes and publishes. */
static void serve(unsigned int count)
{
	struct vring_used_elem elem;

	add(count);
	while (count--) {
		must(vring_pop(&vr, &chain) == 1);
		vring_push(&vr, chain.head, 0);
	}
	must(vring_publish(&vr));
	while (mock_used(&m, &elem))
		;
}

/* Completes a batch. Returns whether the device interrupts. */
static bool batch(unsigned int count)
{
	serve(count);
	return vring_should_notify(&vr);
}

/* Sets the indices of driver and device of a split ring, with nothing pending. */
static void go_to(uint16_t idx)
{
	vr.last_avail = vr.avail_idx = vr.used_next = vr.published = vr.signalled = idx;
	m.avail_idx = m.used_idx = idx;
	mock_show(&m);
	WRITE_ONCE(m.used->idx, idx);
}

/* ---- used buffer notifications: interrupts ---- */

START_TEST(row16_interrupt_flag_without_event_idx)
{
	begin(false, false);
	ck_assert(batch(1));
	ck_assert(batch(3));
	WRITE_ONCE(m.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	ck_assert(!batch(1));
	/* Other bits have no meaning. */
	WRITE_ONCE(m.avail->flags, 0xfffe);
	ck_assert(batch(1));
	WRITE_ONCE(m.avail->flags, 0xffff);
	ck_assert(!batch(1));
	/* The device ignores used_event. */
	WRITE_ONCE(m.avail->flags, 0);
	WRITE_ONCE(*mock_used_event(&m), 0x8000);
	ck_assert(batch(1));
	mock_fini(&m);
}
END_TEST

START_TEST(row16_flags_mean_nothing_with_event_idx)
{
	begin(false, true);
	WRITE_ONCE(m.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	WRITE_ONCE(*mock_used_event(&m), 0);
	ck_assert(batch(1));
	mock_fini(&m);
}
END_TEST

/* A batch from `old` to `new` interrupts when used_event is one of old to new - 1, and only
 * then. */
static void check_boundaries(uint16_t old, uint16_t count)
{
	for (int off = -3; off < count + 3; off++) {
		begin(false, true);
		go_to(old);
		chains_set_event(off);
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

/* A batch begins where the one before it ended, whether or not that one interrupted. */
START_TEST(batch_is_signalled_once)
{
	begin(_i, true);
	chains_set_event(4);
	ck_assert(!batch(4));
	ck_assert(batch(1));
	ck_assert(!batch(1));
	ck_assert(!batch(3));
	/* The descriptor before the batch is not part of it. */
	chains_set_event(-1);
	ck_assert(!batch(1));
	/* A batch may be published in two steps. */
	chains_set_event(0);
	serve(1);
	ck_assert(batch(1));
	mock_fini(&m);
}
END_TEST

/* ---- available buffer notifications: doorbells ---- */

static const struct {
	const char *name;
	bool packed, event_idx;
} formats[] = {
	{ "split", false, false },
	{ "split, EVENT_IDX", false, true },
	{ "packed", true, false },
	{ "packed, EVENT_IDX", true, true },
};

START_TEST(no_notify_flag_without_event_idx)
{
	begin(false, false);
	WRITE_ONCE(*(uint16_t *)&m.used->ring[8], 0x5a5a);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(READ_ONCE(m.used->flags), VRING_USED_F_NO_NOTIFY);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	/* Without the feature, the device must not write avail_event. */
	ck_assert_uint_eq(mock_avail_event(&m), 0x5a5a);
	mock_fini(&m);
}
END_TEST

START_TEST(flags_stay_0_with_event_idx)
{
	begin(false, true);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
	mock_fini(&m);
}
END_TEST

/*
 * avail_event must be the device's own index, not avail.idx read again: otherwise an entry added
 * between the last pop and enable_notify is before it, and its driver does not notify.
 * enable_notify must report this entry.
 */
static void check_enable(uint16_t idx, unsigned int meanwhile)
{
	begin(false, true);
	go_to(idx);
	ck_assert_int_eq(vring_pop(&vr, &chain), 0);
	add(meanwhile);
	ck_assert_int_eq(vring_enable_notify(&vr), meanwhile != 0);
	ck_assert_uint_eq(mock_avail_event(&m), idx);
	mock_fini(&m);
}

START_TEST(avail_event_is_set_from_a_re_read_avail_index)
{
	check_enable(0, 0);
	check_enable(0, 1);
	check_enable(5, 3);
	check_enable(7, 8);
	check_enable(65535, 1);
	check_enable(65535, 0);
}
END_TEST

/* Checks that the driver is asked to notify of the entry at a position of its own. */
static void expect_enabled(uint16_t idx, struct mock_place place)
{
	if (m.ring.packed)
		ck_assert_uint_eq(*m.device_event,
				  m.ring.event_idx
					  ? mock_packed_event(place)
					  : (uint32_t)VRING_PACKED_EVENT_FLAG_ENABLE << 16);
	else if (m.ring.event_idx)
		ck_assert_uint_eq(mock_avail_event(&m), idx);
	else
		ck_assert_uint_eq(READ_ONCE(m.used->flags), 0);
}

START_TEST(enable_notify_reports_a_chain_added_meanwhile)
{
	begin(formats[_i].packed, formats[_i].event_idx);
	for (unsigned int i = 0; i < 3u * m.ring.size; i++) {
		struct mock_place place = m.put;
		uint16_t idx = m.avail_idx;

		vring_disable_notify(&vr);
		ck_assert_int_eq(vring_pop(&vr, &chain), 0);
		add(1);
		ck_assert(vring_has_avail(&vr));
		ck_assert(vring_enable_notify(&vr));
		expect_enabled(idx, place);
		ck_assert_int_eq(vring_pop(&vr, &chain), 1);
		ck_assert(!vring_has_avail(&vr));
		vring_push(&vr, chain.head, 0);
		vring_publish(&vr);
	}
	mock_fini(&m);
}
END_TEST

/* The device leaves entries in the ring when its engine accepts no more requests. */
START_TEST(enable_notify_reports_entries_not_yet_popped)
{
	begin(formats[_i].packed, formats[_i].event_idx);
	struct mock_place place = m.put;

	add(3);
	mock_packed_advance(&m, &place, 1);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert(vring_enable_notify(&vr));
	expect_enabled(1, place);
	mock_fini(&m);
}
END_TEST

/* While notifications are disabled, avail_event is an index that the driver has passed. */
static void check_disable(uint16_t idx)
{
	for (uint16_t n = 1; n <= 8; n++) {
		begin(false, true);
		go_to(idx);
		ck_assert(!vring_enable_notify(&vr));
		vring_disable_notify(&vr);
		batch(n);
		ck_assert(!vring_need_event(mock_avail_event(&m), m.avail_idx, idx));
		/* The next enable_notify sets it to the next entry. */
		ck_assert(!vring_enable_notify(&vr));
		ck_assert_uint_eq(mock_avail_event(&m), m.avail_idx);
		mock_fini(&m);
	}
}

START_TEST(disable_notify_moves_avail_event_behind_the_driver)
{
	check_disable(0);
	check_disable(5);
	check_disable(65530);
	check_disable(0x7fff);
}
END_TEST

/* A write would take the cache line away from the driver, which has passed avail_event anyway. */
START_TEST(disable_notify_writes_nothing_after_the_doorbell)
{
	begin(false, true);
	ck_assert(!vring_enable_notify(&vr));
	add(3);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(mock_avail_event(&m), 0);
	/* Nothing is written either when notifications are disabled already. */
	WRITE_ONCE(*(uint16_t *)&m.used->ring[8], 7);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	ck_assert_int_eq(vring_pop(&vr, &chain), 1);
	vring_disable_notify(&vr);
	ck_assert_uint_eq(mock_avail_event(&m), 7);
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
	tcase_add_named_test(t, batch_is_signalled_once, 2, mock_format_name);
	tcase_add_test(t, no_notify_flag_without_event_idx);
	tcase_add_test(t, flags_stay_0_with_event_idx);
	tcase_add_test(t, avail_event_is_set_from_a_re_read_avail_index);
	tcase_add_table_test(t, enable_notify_reports_a_chain_added_meanwhile, formats);
	tcase_add_table_test(t, enable_notify_reports_entries_not_yet_popped, formats);
	tcase_add_test(t, disable_notify_moves_avail_event_behind_the_driver);
	tcase_add_test(t, disable_notify_writes_nothing_after_the_doorbell);
	suite_add_tcase(s, t);
	return s;
}
