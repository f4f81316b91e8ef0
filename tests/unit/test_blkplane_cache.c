/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of switching the write cache with requests in flight; the test acts as the host. */
#include <pthread.h>
#include <sched.h>

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

static void *stop(void *arg)
{
	rig_stop(&r);
	return arg;
}

static void answer(struct iothread_call *call)
{
	iothread_call_done(call);
}

/* Have fn called on a thread, and wait until the dataplane has been told by it. */
static void call_from(pthread_t *thread, void *(*fn)(void *arg))
{
	struct iothread_call after = { .run = answer };
	uint64_t woken = eventfd_count(r.thread->loop.wake_fd);

	ck_assert_int_eq(pthread_create(thread, NULL, fn, NULL), 0);
	/* The call is there before the thread is woken for it; and is run beside this one. */
	mock_wait_until(eventfd_count(r.thread->loop.wake_fd) == woken + 1);
	iothread_call(r.thread, &after);
}

/* With a write in the host's hands, in ring format number `packed`. */
static void begin(struct mock_blk *write, int packed, bool event_idx)
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

/* The one in flight was begun under the old rule: it ends first. What the driver adds meanwhile is
 * taken afterwards, under the new one, though its doorbell rang in vain. */
START_TEST(row29_switch_waits_for_what_is_in_flight)
{
	struct vring_used_elem elem;
	struct mock_blk old, new;
	pthread_t vcpu;

	rig_poll_ns = _i & 2 ? 1000000 : 0;
	begin(&old, _i & 4, _i & 1);
	mock_blk(m, &new, VIRTIO_BLK_T_OUT, 8, 512);
	call_from(&vcpu, to_writethrough);
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

/* Both end with the write, whichever of them came first. */
START_TEST(row29_stop_while_a_switch_is_pending)
{
	pthread_t vcpu, stopper;
	struct mock_blk write, late;

	begin(&write, _i & 2, false);
	mock_blk(m, &late, VIRTIO_BLK_T_GET_ID, 0, 20);
	call_from(&vcpu, _i & 1 ? stop : to_writethrough);
	call_from(&stopper, _i & 1 ? to_writethrough : stop);
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
	call_from(&vcpu, to_writethrough);
	ck_assert(!is_answered());
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(vcpu, NULL);
	/* And with nothing left in flight. */
	blkplane_set_writethrough(r.plane, false);
	wait_idle_thread();
	rig_fini(&r);
}
END_TEST

/* The ring breaks when the switch lets it be read again. */
START_TEST(row29_ring_broken_while_a_switch_is_pending)
{
	struct mock_blk write;
	pthread_t vcpu;

	begin(&write, _i, false);
	call_from(&vcpu, to_writethrough);
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

	tcase_add_loop_test(t, row29_switch_waits_for_what_is_in_flight, 0, 8);
	tcase_add_loop_test(t, row29_stop_while_a_switch_is_pending, 0, 4);
	tcase_add_loop_test(t, row29_switch_on_a_broken_ring, 0, 2);
	tcase_add_loop_test(t, row29_ring_broken_while_a_switch_is_pending, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
