/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of transfers of several segments during pause, stop and cache switch. */
#include <pthread.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define MIB 1048576ull

static struct rig r;
static struct mockdrv *const m = &r.m;
static struct mock_blk large;
static unsigned int ended; /* atomic: number of calls that have returned */

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

/* Calls fn on another thread. The call must not be answered before the pending segment ends. */
static pthread_t call_from(void *(*fn)(void *arg))
{
	pthread_t thread = rig_call_from(&r, fn);

	ck_assert_uint_eq(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 0);
	return thread;
}

/* Stages a transfer of 9 MiB, whose pieces are the same 1 MiB of memory. */
static void stage_large(struct mock_blk *req, uint32_t type)
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

/* Starts a ring with a write whose first segment is pending. */
static void begin(bool packed)
{
	rig_init(&r, 64, false, false, 16);
	if (packed)
		mock_ring_packed(m, 64, false, false);
	r.config.disk.capacity = 16 * MIB;
	rig_start(&r);
	stage_large(&large, VIRTIO_BLK_T_OUT);
	mock_show(m);
	mock_kick(m);
	scripted_wait(r.engine, 1);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).len, 4 * MIB);
}

/* Completes the remaining segments, and checks that the request succeeds. */
static void complete_rest(unsigned int segments)
{
	struct vring_used_elem elem;

	while (segments--) {
		scripted_wait(r.engine, 1);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
	}
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, large.head);
	ck_assert_uint_eq(mock_status(m, &large), VIRTIO_BLK_S_OK);
	ck_assert(!mock_has_used(m));
}

START_TEST(pause_waits_for_one_segment_of_a_large_transfer)
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
	ck_assert_uint_eq(mock_status(m, &large), 0xff);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, 4 * MIB);
	complete_rest(2);
	rig_fini(&r);
}
END_TEST

/* The segments after the switch are stable. */
START_TEST(cache_switch_waits_for_one_segment_of_a_large_write)
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

static const char *order_name(int i)
{
	static const char *const bits[][2] = { { "split", "packed" },
					       { "switch first", "pause first" } };

	return case_bits(i, bits, ARRAY_SIZE(bits));
}

/* The end of the switch must not continue a transfer that the pause has interrupted. */
START_TEST(cache_switch_and_pause_during_a_large_write)
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

static const char *stop_name(int i)
{
	static const char *const bits[][2] = { { "split", "packed" }, { "running", "paused" } };

	return case_bits(i, bits, ARRAY_SIZE(bits));
}

/* The request fails, and the driver gets its used element. */
START_TEST(stop_waits_for_one_segment_of_a_large_transfer)
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
	ck_assert_uint_eq(mock_status(m, &large), VIRTIO_BLK_S_IOERR);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_segments");
	TCase *t = tcase_create("blkplane_segments");

	tcase_add_named_test(t, pause_waits_for_one_segment_of_a_large_transfer, 2,
			     mock_format_name);
	tcase_add_named_test(t, cache_switch_waits_for_one_segment_of_a_large_write, 2,
			     mock_format_name);
	tcase_add_named_test(t, cache_switch_and_pause_during_a_large_write, 4, order_name);
	tcase_add_named_test(t, stop_waits_for_one_segment_of_a_large_transfer, 4, stop_name);
	suite_add_tcase(s, t);
	return s;
}
