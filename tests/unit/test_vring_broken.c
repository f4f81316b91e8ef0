/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a broken ring: no chain is popped from it, and no notification requested. */
#include <errno.h>

#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

static struct mockdrv m;
static struct vring_dev vr;
static struct iovec iov[VRING_CHAIN_CAPACITY(16)];
static struct vring_chain chain = { .iov = iov, .capacity = ARRAY_SIZE(iov) };

static void begin(bool event_idx)
{
	mock_init(&m, 16, event_idx, false);
	ck_assert_int_eq(vring_setup(&vr, &m.hostmem, &m.ring), 0);
	mock_desc(&m, 0, mock_alloc(&m, 1, 1), 1, 0, 0);
	mock_stage(&m, 16); /* no such descriptor */
	mock_show(&m);
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
}

/* The driver resets it and uses the memory for something else: no flag of ours may turn up there. */
START_TEST(broken_ring_is_neither_armed_nor_disarmed)
{
	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		begin(event_idx);
		uint16_t event = mock_avail_event(&m);

		m.used->flags = 0x5a5a;
		vring_disable_notify(&vr);
		ck_assert(!vring_enable_notify(&vr));
		ck_assert_uint_eq(m.used->flags, 0x5a5a);
		ck_assert_uint_eq(mock_avail_event(&m), event);
		mock_fini(&m);
	}
}
END_TEST

START_TEST(broken_ring_stays_broken_for_its_first_reason)
{
	begin(false);
	const char *why = vr.broken;

	mock_stage(&m, 0);
	mock_show(&m);
	ck_assert_int_eq(vring_pop(&vr, &chain), -EBADMSG);
	ck_assert_int_eq(vring_fail(&vr, "another"), -EBADMSG);
	ck_assert_ptr_eq(vr.broken, why);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_broken");
	TCase *t = tcase_create("vring_broken");

	tcase_add_test(t, broken_ring_is_neither_armed_nor_disarmed);
	tcase_add_test(t, broken_ring_stays_broken_for_its_first_reason);
	suite_add_tcase(s, t);
	return s;
}
