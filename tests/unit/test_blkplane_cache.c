/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of switching the write cache with requests in flight, with the scripted engine. */
#include <pthread.h>
#include <sched.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;
static bool answered; /* atomic */

static void *to_writethrough(void *arg)
{
	blkplane_set_writethrough(r.plane, true);
	__atomic_store_n(&answered, true, __ATOMIC_RELEASE);
	return arg;
}

static bool is_answered(void)
{
	return __atomic_load_n(&answered, __ATOMIC_ACQUIRE);
}

/* Starts a ring with a write in flight. */
static void begin(struct mock_blk *write, bool packed, bool event_idx)
{
	rig_init(&r, 16, event_idx, false, 16);
	if (packed)
		mock_ring_packed(m, 16, event_idx, false);
	mock_blk(m, write, VIRTIO_BLK_T_OUT, 0, 512);
	rig_start(&r);
	mock_offer(m, write->head);
	scripted_wait(r.engine, 1);
	ck_assert(!scripted_seg(r.engine, 0).stable);
}

static const char *switch_name(int i)
{
	static const char *const bits[][2] = { { "without EVENT_IDX", "with EVENT_IDX" },
					       { "sleeping", "polling" },
					       { "split", "packed" } };

	return case_bits(i, bits, ARRAY_SIZE(bits));
}

/* A write in flight ends in the old mode before the switch. A write that the driver adds meanwhile
 * is popped afterwards, in the new mode, without a further notification. */
START_TEST(row29_switch_waits_for_requests_in_flight)
{
	struct vring_used_elem elem;
	struct mock_blk old, new;
	pthread_t vcpu;

	rig_poll_ns = _i & 2 ? 1000000 : 0;
	begin(&old, _i & 4, _i & 1);
	mock_blk(m, &new, VIRTIO_BLK_T_OUT, 8, 512);
	vcpu = rig_call_from(&r, to_writethrough);
	mock_offer(m, new.head);
	for (unsigned int i = 0; i < 1000; i++)
		sched_yield();
	ck_assert(!is_answered());
	ck_assert_uint_eq(scripted_held(r.engine), 1);

	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(vcpu, NULL);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, old.head);
	ck_assert_uint_eq(mock_status(m, &old), VIRTIO_BLK_S_OK);
	scripted_wait(r.engine, 1);
	ck_assert(scripted_seg(r.engine, 0).stable);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, new.head);

	blkplane_set_writethrough(r.plane, false);
	mock_blk(m, &new, VIRTIO_BLK_T_OUT, 8, 512);
	mock_offer(m, new.head);
	scripted_wait(r.engine, 1);
	ck_assert(!scripted_seg(r.engine, 0).stable);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	rig_fini(&r);
}
END_TEST

static const char *order_name(int i)
{
	static const char *const bits[][2] = { { "switch first", "stop first" },
					       { "split", "packed" } };

	return case_bits(i, bits, ARRAY_SIZE(bits));
}

/* Both switch and stop return when the write has ended. */
START_TEST(row29_stop_while_a_switch_is_pending)
{
	pthread_t vcpu, stopper;
	struct mock_blk write, late;

	begin(&write, _i & 2, false);
	mock_blk(m, &late, VIRTIO_BLK_T_GET_ID, 0, 20);
	vcpu = rig_call_from(&r, _i & 1 ? rig_stop_main : to_writethrough);
	stopper = rig_call_from(&r, _i & 1 ? to_writethrough : rig_stop_main);
	mock_offer(m, late.head);
	ck_assert(!is_answered());
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(vcpu, NULL);
	pthread_join(stopper, NULL);
	ck_assert(is_answered());
	ck_assert_uint_eq(mock_status(m, &write), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &late), 0xff);
	rig_fini(&r);
}
END_TEST

START_TEST(row29_switch_on_a_broken_ring)
{
	struct mock_blk write;
	pthread_t vcpu;

	begin(&write, _i, false);
	mock_offer(m, 16);
	rig_wait_broken(&r);
	vcpu = rig_call_from(&r, to_writethrough);
	ck_assert(!is_answered());
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(vcpu, NULL);
	/* A switch without requests in flight returns as well. */
	blkplane_set_writethrough(r.plane, false);
	wait_idle_thread();
	rig_fini(&r);
}
END_TEST

/* The ring breaks when it is read again after the switch. */
START_TEST(row29_ring_broken_while_a_switch_is_pending)
{
	struct mock_blk write;
	pthread_t vcpu;

	begin(&write, _i, false);
	vcpu = rig_call_from(&r, to_writethrough);
	mock_offer(m, 16);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(vcpu, NULL);
	rig_wait_broken(&r);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_cache");
	TCase *t = tcase_create("blkplane_cache");

	tcase_add_named_test(t, row29_switch_waits_for_requests_in_flight, 8, switch_name);
	tcase_add_named_test(t, row29_stop_while_a_switch_is_pending, 4, order_name);
	tcase_add_named_test(t, row29_switch_on_a_broken_ring, 2, mock_format_name);
	tcase_add_named_test(t, row29_ring_broken_while_a_switch_is_pending, 2, mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
