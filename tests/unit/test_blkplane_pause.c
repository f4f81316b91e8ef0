/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of pause and resume of a ring, and of a new capacity, with requests in flight. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;
static bool answered; /* atomic */

static void *pause_it(void *arg)
{
	blkplane_pause(r.plane);
	__atomic_store_n(&answered, true, __ATOMIC_RELEASE);
	return arg;
}

static bool is_answered(void)
{
	return __atomic_load_n(&answered, __ATOMIC_ACQUIRE);
}

/* Starts a ring with a write in flight. */
static void begin(struct mock_blk *write, bool event_idx)
{
	rig_init(&r, 16, event_idx, false, 16);
	mock_blk(m, write, VIRTIO_BLK_T_OUT, 0, 512);
	rig_start(&r);
	mock_offer(m, write->head);
	scripted_wait(r.engine, 1);
}

static const char *pause_name(int i)
{
	static const char *const bits[][2] = { { "without EVENT_IDX", "with EVENT_IDX" },
					       { "sleeping", "polling" } };

	return case_bits(i, bits, ARRAY_SIZE(bits));
}

/* The pause waits until requests in flight are completed and published. Requests that the driver
 * adds meanwhile are popped after the resume, without a further notification. */
START_TEST(pause_waits_for_requests_in_flight_and_resume_pops_later_ones)
{
	struct mock_blk old, late;
	pthread_t operator;

	rig_poll_ns = _i & 2 ? 1000000 : 0;
	begin(&old, _i & 1);
	mock_blk(m, &late, VIRTIO_BLK_T_OUT, 8, 512);
	operator= rig_call_from(&r, pause_it);
	mock_offer(m, late.head);
	for (unsigned int i = 0; i < 1000; i++)
		sched_yield();
	ck_assert(!is_answered());
	ck_assert_uint_eq(scripted_held(r.engine), 1);

	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(operator, NULL);
	ck_assert_uint_eq(mock_used_index(m), 1);
	ck_assert_uint_eq(mock_status(m, &old), VIRTIO_BLK_S_OK);
	/* The thread sleeps although there is a request in the ring. */
	mock_kick(m);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	ck_assert_uint_eq(mock_status(m, &late), 0xff);
	/* A second pause returns at once. */
	blkplane_pause(r.plane);

	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_index(m, 2);
	ck_assert_uint_eq(mock_status(m, &late), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

static const char *const orders[] = { "pause first", "stop first" };

/* Both pause and stop return when the write has ended. */
START_TEST(stop_while_a_pause_is_pending)
{
	pthread_t operator, stopper;
	struct mock_blk write, late;

	begin(&write, false);
	mock_blk(m, &late, VIRTIO_BLK_T_GET_ID, 0, 20);
	operator= rig_call_from(&r, _i ? rig_stop_main : pause_it);
	stopper = rig_call_from(&r, _i ? pause_it : rig_stop_main);
	mock_offer(m, late.head);
	ck_assert(!is_answered());
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(operator, NULL);
	pthread_join(stopper, NULL);
	ck_assert(is_answered());
	ck_assert_uint_eq(mock_status(m, &write), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &late), 0xff);
	rig_fini(&r);
}
END_TEST

START_TEST(stop_of_a_paused_ring)
{
	struct mock_blk write, late;

	begin(&write, false);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	blkplane_pause(r.plane);
	mock_blk(m, &late, VIRTIO_BLK_T_OUT, 8, 512);
	mock_offer(m, late.head);
	rig_stop(&r);
	ck_assert_uint_eq(mock_used_index(m), 1);
	ck_assert_uint_eq(mock_status(m, &late), 0xff);
	/* The ring can be started again. */
	mock_ring(m, 16, false, false);
	rig_start(&r);
	mock_blk(m, &late, VIRTIO_BLK_T_OUT, 8, 512);
	mock_offer(m, late.head);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	rig_fini(&r);
}
END_TEST

START_TEST(pause_of_a_broken_ring)
{
	struct mock_blk write;
	pthread_t operator;

	begin(&write, false);
	mock_offer(m, 16);
	rig_wait_broken(&r);
	operator= rig_call_from(&r, pause_it);
	ck_assert(!is_answered());
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(operator, NULL);
	blkplane_resume(r.plane);
	wait_idle_thread();
	ck_assert(rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

static unsigned int told; /* atomic: number of broken() calls */

static void tell(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	must(listener == r.config.listener && queue == 3 && *why);
	__atomic_fetch_add(&told, 1, __ATOMIC_SEQ_CST);
}

START_TEST(listener_is_told_once_of_a_broken_ring)
{
	struct blkplane_listener listener = { .broken = tell };

	rig_init(&r, 16, false, false, 16);
	r.config.listener = &listener;
	r.config.queue = 3;
	rig_start(&r);
	mock_offer(m, 16);
	rig_wait_broken(&r);
	mock_offer(m, 16);
	rig_stop(&r);
	ck_assert_uint_eq(__atomic_load_n(&told, __ATOMIC_SEQ_CST), 1);
	rig_fini(&r);
}
END_TEST

/* The engine is full when the pause comes. A request that waits in the ring is served after it. */
START_TEST(pause_of_a_ring_that_waits_for_the_engine)
{
	struct mock_blk req[3];

	rig_init(&r, 16, false, false, 1);
	rig_start(&r);
	for (unsigned int i = 0; i < 3; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, i, 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	mock_kick(m);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	scripted_wait(r.engine, 1);
	pthread_t operator;
	operator= rig_call_from(&r, pause_it);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(operator, NULL);
	ck_assert_uint_eq(mock_used_index(m), 2);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_index(m, 3);
	rig_fini(&r);
}
END_TEST

static const char *const resizes[] = { "running", "paused" };

/* Requests beyond the new end fail from now on. A request that was popped before succeeds. */
START_TEST(capacity_shrinks_below_a_request_in_flight)
{
	struct mock_blk in_flight, behind, last;
	struct vring_used_elem elem;
	pthread_t operator;
	const uint64_t sectors = RIG_CAPACITY / 512;

	rig_init(&r, 16, false, false, 16);
	rig_start(&r);
	mock_blk(m, &in_flight, VIRTIO_BLK_T_OUT, sectors - 1, 512);
	mock_offer(m, in_flight.head);
	scripted_wait(r.engine, 1);
	if (_i)
		operator= rig_call_from(&r, pause_it);
	blkplane_set_capacity(r.plane, RIG_CAPACITY / 2);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &in_flight), VIRTIO_BLK_S_OK);
	if (_i) {
		pthread_join(operator, NULL);
		blkplane_resume(r.plane);
	}
	mock_blk(m, &behind, VIRTIO_BLK_T_OUT, sectors / 2 - 1, 1024);
	ck_assert_uint_eq(mock_do(m, &behind, NULL), VIRTIO_BLK_S_IOERR);
	mock_blk(m, &last, VIRTIO_BLK_T_OUT, sectors / 2 - 1, 512);
	mock_offer(m, last.head);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_used(m, &elem);
	blkplane_set_capacity(r.plane, RIG_CAPACITY);
	mock_offer(m, behind.head);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &behind), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

/* ---- under load ---- */

#define PAUSES ROUNDS(2000u, 200u, 300u)
#define DEPTH  8u

static void *pause_and_resume(void *arg)
{
	for (unsigned int i = 0; i < PAUSES; i++) {
		uint64_t requests;

		blkplane_pause(r.plane);
		must(r.engine->in_flight == 0);
		requests = READ_ONCE(r.stats.requests);
		if (i % 4 == 0)
			sched_yield();
		must(READ_ONCE(r.stats.requests) == requests);
		blkplane_resume(r.plane);
		for (unsigned int n = i % 8; n; n--)
			sched_yield();
	}
	__atomic_store_n(&answered, true, __ATOMIC_RELEASE);
	return arg;
}

/* Each request has sectors of its own. Rounds of writes and rounds that read the same data
 * alternate. */
START_TEST(pauses_under_load_lose_and_repeat_no_request_on_every_engine)
{
	struct mock_blk req[DEPTH];
	pthread_t operator;
	uint64_t done = 0;

	rig_poll_ns = 20000;
	rig_init_file(&r, engine_way(_i).ops, 32, engine_way(_i).direct);
	rig_start(&r);
	must(!pthread_create(&operator, NULL, pause_and_resume, NULL));
	for (unsigned int i = 0; i < DEPTH; i++)
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, i * 8, 4096);
	for (unsigned int round = 0; !is_answered() || round % 2; round++) {
		struct vring_used_elem elem;
		unsigned int seen = 0;

		for (unsigned int i = 0; i < DEPTH; i++) {
			struct virtio_blk_outhdr *header = mock_ptr(m, req[i].header);
			bool reads = round & 1;

			header->type = reads ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
			m->desc[req[i].head + 1].flags = NEXT | (reads ? WRITE : 0);
			memset(mock_ptr(m, req[i].data), reads ? 0xee : (int)(round + i) & 0xff,
			       4096);
			memset(mock_ptr(m, req[i].status), 0xff, 1);
			mock_stage(m, req[i].head);
			mock_show(m);
			if (i % 3 == 0)
				mock_kick(m);
		}
		mock_kick(m);
		for (unsigned int n = 0; n < DEPTH; n++) {
			mock_wait_used(m, &elem);
			must(elem.id % 3 == 0 && elem.id / 3 < DEPTH && !(seen >> elem.id / 3 & 1));
			seen |= 1u << elem.id / 3;
		}
		for (unsigned int i = 0; i < DEPTH; i++) {
			must(mock_status(m, &req[i]) == VIRTIO_BLK_S_OK);
			if (round & 1)
				must(all_bytes(mock_ptr(m, req[i].data),
					       (int)(round - 1 + i) & 0xff, 4096));
		}
		done += DEPTH;
	}
	pthread_join(operator, NULL);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), done);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_pause");
	TCase *t = tcase_create("blkplane_pause");

	tcase_add_named_test(t, pause_waits_for_requests_in_flight_and_resume_pops_later_ones, 4,
			     pause_name);
	tcase_add_names_test(t, stop_while_a_pause_is_pending, orders);
	tcase_add_test(t, stop_of_a_paused_ring);
	tcase_add_test(t, pause_of_a_broken_ring);
	tcase_add_test(t, listener_is_told_once_of_a_broken_ring);
	tcase_add_test(t, pause_of_a_ring_that_waits_for_the_engine);
	tcase_add_names_test(t, capacity_shrinks_below_a_request_in_flight, resizes);
	tcase_add_named_test(t, pauses_under_load_lose_and_repeat_no_request_on_every_engine,
			     engine_ways(), engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
