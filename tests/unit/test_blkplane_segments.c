/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of huge transfers during pause, stop and cache switch; the test acts as the host. */
#include <pthread.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define MIB 1048576ull

static struct rig r;
static struct mockdrv *const m = &r.m;
static struct mock_blk huge;
static unsigned int ended; /* atomic */

static void *pause_it(void *arg)
{
	blkplane_pause(r.plane);
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *to_writethrough(void *arg)
{
	blkplane_set_writethrough(r.plane, true);
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *stop_it(void *arg)
{
	rig_stop(&r);
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void answer(struct iothread_call *call)
{
	iothread_call_done(call);
}

/* Have fn called on a thread, and wait until the dataplane has been told by it. */
static pthread_t call_from(void *(*fn)(void *arg))
{
	struct iothread_call after = { .run = answer };
	uint64_t woken = eventfd_count(r.thread->loop.wake_fd);
	pthread_t thread;

	must(!pthread_create(&thread, NULL, fn, NULL));
	/* The call is there before the thread is woken for it; and is run beside this one. */
	mock_wait_until(eventfd_count(r.thread->loop.wake_fd) == woken + 1);
	iothread_call(r.thread, &after);
	ck_assert_uint_eq(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 0);
	return thread;
}

/* 9 MiB, from and to the same one of memory. */
static void offer_huge(struct mock_blk *req, uint32_t type)
{
	struct mock_piece piece[11];

	mock_blk(m, req, type, 0, MIB);
	piece[0] = (struct mock_piece){ req->header, 16, false };
	for (unsigned int i = 1; i < 10; i++)
		piece[i] = (struct mock_piece){ req->data, MIB, type == VIRTIO_BLK_T_IN };
	piece[10] = (struct mock_piece){ req->status, 1, true };
	req->head = mock_chain(m, piece, 11);
	mock_stage(m, req->head);
}

/* With a write of which the host has the first segment. */
static void begin(int packed)
{
	rig_init(&r, 64, false, false, 16);
	if (packed)
		mock_ring_packed(m, 64, false, false);
	r.config.disk.capacity = 16 * MIB;
	rig_start(&r);
	offer_huge(&huge, VIRTIO_BLK_T_OUT);
	mock_show(m);
	mock_kick(m);
	scripted_wait(r.engine, 1);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).len, 4 * MIB);
}

static void complete_rest(unsigned int segments)
{
	struct vring_used_elem elem;

	while (segments--) {
		scripted_wait(r.engine, 1);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
	}
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, huge.head);
	ck_assert_uint_eq(mock_status(m, &huge), VIRTIO_BLK_S_OK);
	ck_assert(!mock_has_used(m));
}

START_TEST(pause_waits_for_a_segment_of_a_huge_transfer)
{
	pthread_t pauser;

	begin(_i);
	pauser = call_from(pause_it);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(pauser, NULL);
	mock_kick(m);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(mock_status(m, &huge), 0xff);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, 4 * MIB);
	complete_rest(2);
	rig_fini(&r);
}
END_TEST

/* A switch to writethrough waits for one segment of a large write. The segments after it are
 * stable. */
START_TEST(cache_switch_waits_for_a_segment_of_a_huge_write)
{
	pthread_t vcpu;

	begin(_i);
	ck_assert(!scripted_seg(r.engine, 0).stable);
	vcpu = call_from(to_writethrough);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(vcpu, NULL);
	scripted_wait(r.engine, 1);
	ck_assert(scripted_seg(r.engine, 0).stable);
	complete_rest(2);
	rig_fini(&r);
}
END_TEST

/* A switch must not let go what a pause holds. */
START_TEST(cache_switch_and_pause_beside_a_huge_write)
{
	pthread_t one, other;

	begin(_i & 1);
	one = call_from(_i & 2 ? pause_it : to_writethrough);
	other = call_from(_i & 2 ? to_writethrough : pause_it);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(one, NULL);
	pthread_join(other, NULL);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	ck_assert(scripted_seg(r.engine, 0).stable);
	complete_rest(2);
	rig_fini(&r);
}
END_TEST

/* The driver hears that it failed; also when it is stopped while it is paused. */
START_TEST(stop_waits_for_a_segment_of_a_huge_transfer)
{
	struct vring_used_elem elem;
	pthread_t thread;

	begin(_i & 1);
	if (_i & 2) {
		thread = call_from(pause_it);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		pthread_join(thread, NULL);
		rig_stop(&r);
	} else {
		thread = call_from(stop_it);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		pthread_join(thread, NULL);
	}
	ck_assert_uint_eq(r.engine->in_flight, 0);
	ck_assert(mock_used(m, &elem) && elem.len == 1 && !mock_has_used(m));
	ck_assert_uint_eq(mock_status(m, &huge), VIRTIO_BLK_S_IOERR);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_segments");
	TCase *t = tcase_create("blkplane_segments");

	tcase_add_loop_test(t, pause_waits_for_a_segment_of_a_huge_transfer, 0, 2);
	tcase_add_loop_test(t, cache_switch_waits_for_a_segment_of_a_huge_write, 0, 2);
	tcase_add_loop_test(t, cache_switch_and_pause_beside_a_huge_write, 0, 4);
	tcase_add_loop_test(t, stop_waits_for_a_segment_of_a_huge_transfer, 0, 4);
	suite_add_tcase(s, t);
	return s;
}
