/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a broken ring: no chain is popped from it, and no notification is requested. */
#include <errno.h>

#include "tests/lib/cases.h"
#include "tests/lib/chains.h"
#include "tests/lib/suite.h"

static const struct {
	const char *name;
	bool packed;
	unsigned int features;
} cases[] = {
	{ "split", false, 0 },
	{ "split, EVENT_IDX", false, CHAINS_EVENT_IDX },
	{ "packed", true, 0 },
	{ "packed, EVENT_IDX", true, CHAINS_EVENT_IDX },
};

/* Lays out a ring, and breaks it by a head, or buffer id, that is no descriptor. */
static void begin(bool packed, unsigned int features)
{
	chains_begin(packed, 16, features);
	chains_fill_table();
	mock_stage(&m, 16);
	ck_assert_int_eq(chains_pop(), -EBADMSG);
}

/* The driver may use the memory of a broken ring for something else after it has reset the
 * queue. */
START_TEST(row19_broken_ring_is_not_written_by_enable_or_disable_notify)
{
	struct vring_used *used;
	uint16_t *event;

	begin(cases[_i].packed, cases[_i].features);
	mock_stage(&m, 0);
	mock_show(&m);
	/* The device event structure of a packed ring lies where a split ring has flags and
	 * index. */
	used = m.used;
	event = (uint16_t *)&used->ring[16];
	used->flags = used->idx = *event = 0x5a5a;
	vring_disable_notify(&vr);
	ck_assert(!vring_enable_notify(&vr));
	ck_assert_uint_eq(used->flags, 0x5a5a);
	ck_assert_uint_eq(used->idx, 0x5a5a);
	ck_assert_uint_eq(*event, 0x5a5a);
	mock_fini(&m);
}
END_TEST

START_TEST(broken_ring_stays_broken_for_its_first_reason)
{
	begin(_i, 0);
	const char *why = vr.broken;

	mock_stage(&m, 0);
	chains_expect_broken();
	ck_assert_int_eq(vring_fail(&vr, "another"), -EBADMSG);
	ck_assert_ptr_eq(vr.broken, why);
	mock_fini(&m);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("vring_broken");
	TCase *t = tcase_create("vring_broken");

	tcase_add_table_test(t, row19_broken_ring_is_not_written_by_enable_or_disable_notify,
			     cases);
	tcase_add_named_test(t, broken_ring_stays_broken_for_its_first_reason, 2, mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
