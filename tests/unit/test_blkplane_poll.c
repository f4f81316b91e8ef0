/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a dataplane thread that polls before it sleeps. */
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r, other;
static struct mockdrv *const m = &r.m;

#define SECOND 1000000000ull

/* Notifies the device if it has requested it by EVENT_IDX. Returns whether it has. */
static bool kick_if_wanted(struct mockdrv *d)
{
	bool wanted = mock_avail_event(d) == (uint16_t)(d->avail_idx - 1);

	if (wanted)
		mock_kick(d);
	return wanted;
}

/* Makes the staged chains available, and waits for used.idx. Returns true when the device needed no
 * notification. */
static bool show_and_wait(struct mockdrv *d, uint16_t used)
{
	bool kicked = false;

	mock_show(d);
	__sync_synchronize();
	for (int64_t end = mock_deadline(); mock_used_index(d) != used; mock_yield(end))
		kicked |= kick_if_wanted(d);
	return !kicked;
}

static void read_sector(struct mock_blk *req, uint16_t used, bool *unnotified)
{
	struct vring_used_elem elem;

	mock_forget(m);
	mock_blk(m, req, VIRTIO_BLK_T_IN, 8, 4096);
	mock_stage(m, req->head);
	*unnotified = show_and_wait(m, used);
	ck_assert(mock_used(m, &elem));
	ck_assert_uint_eq(mock_status(m, req), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(m, req->data), 8 * 512, 4096));
}

/* Requests are found without a notification, and completions without an event. There are few
 * rounds, because each takes time slices of the scheduler on a busy machine. */
START_TEST(requests_are_found_while_polling)
{
	struct engine_way way = engine_way(_i);
	unsigned int found = 0;
	uint16_t used = 0;
	int64_t end = mock_deadline();

	rig_poll_ns = SECOND;
	rig_init_file(&r, way.ops, 16, way.direct);
	mock_ring(m, 16, true, true);
	rig_start(&r);
	while (found < 25) {
		struct mock_blk req;
		uint64_t heap = m->heap;
		bool unnotified;

		read_sector(&req, ++used, &unnotified);
		m->heap = heap;
		found += unnotified;
		if (mock_seconds() > end)
			ck_abort_msg("%u of %u were found by polling", found, used);
	}
	rig_stop(&r);
	ck_assert_uint_gt(r.stats.poll_hits, 0);
	ck_assert_uint_le(r.stats.poll_hits, 2ull * used);
	rig_fini(&r);
}
END_TEST

/* ---- polling while nothing may be popped ---- */

/* Makes requests until sleeps have been short often enough for a long polling window. */
static void warm_up(struct rig *rig)
{
	struct mock_blk req;

	for (unsigned int i = 0; i < 400; i++) {
		uint64_t heap = rig->m.heap;

		mock_forget(&rig->m);
		mock_blk(&rig->m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
		ck_assert_uint_eq(mock_do(&rig->m, &req, NULL), VIRTIO_BLK_S_OK);
		rig->m.heap = heap;
	}
}

START_TEST(engine_is_full_while_the_thread_polls)
{
	struct mock_blk req[3];

	rig_poll_ns = SECOND;
	rig_init(&r, 16, false, true, 1);
	rig_start(&r);
	warm_up(&r);
	mock_forget(m);
	for (unsigned int i = 0; i < 3; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i, 512);
		mock_offer(m, req[i].head);
	}
	for (unsigned int i = 0; i < 3; i++) {
		struct vring_used_elem elem;

		scripted_wait(r.engine, 1);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(elem.id, req[i].head);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(ring_breaks_while_the_thread_polls)
{
	struct mock_blk req;

	rig_poll_ns = SECOND;
	rig_init(&r, 16, false, true, 16);
	rig_start(&r);
	warm_up(&r);
	mock_offer(m, 16);
	rig_wait_broken(&r);
	/* The thread ignores later requests, and still runs calls. */
	mock_forget(m);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_offer(m, req.head);
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &req), 0xff);
	rig_fini(&r);
}
END_TEST

START_TEST(ring_is_stopped_while_the_thread_polls)
{
	struct mock_blk read, late;
	pthread_t thread;

	rig_poll_ns = SECOND;
	rig_init(&r, 16, false, true, 16);
	rig_start(&r);
	warm_up(&r);
	mock_forget(m);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_blk(m, &late, VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	thread = rig_call_from(&r, rig_stop_main);
	wait_idle_thread();
	mock_offer(m, late.head);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(mock_status(m, &read), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &late), 0xff);
	rig_fini(&r);
}
END_TEST

/* ---- several rings on one thread ---- */

START_TEST(two_rings_on_one_thread)
{
	struct mock_blk mine, yours;
	struct vring_used_elem elem;

	rig_init(&r, 16, false, true, 16);
	rig_init(&other, 16, true, true, 16);
	other.config.thread = r.thread;
	rig_start(&r);
	rig_start(&other);
	/* A request in flight of one ring does not delay the other ring. */
	mock_blk(m, &mine, VIRTIO_BLK_T_IN, 0, 512);
	mock_offer(m, mine.head);
	scripted_wait(r.engine, 1);
	for (unsigned int i = 0; i < 30; i++) {
		uint64_t heap = other.m.heap;

		mock_forget(&other.m);
		mock_blk(&other.m, &yours, VIRTIO_BLK_T_IN, i, 512);
		mock_offer(&other.m, yours.head);
		scripted_wait(other.engine, 1);
		scripted_complete(other.engine, 0, SCRIPTED_ALL);
		mock_wait_used(&other.m, &elem);
		other.m.heap = heap;
	}
	/* The ring works while the other one is broken, and after it has stopped. */
	mock_offer(&other.m, 16);
	rig_wait_broken(&other);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, mine.head);
	rig_stop(&other);
	mock_forget(m);
	mock_blk(m, &mine, VIRTIO_BLK_T_GET_ID, 0, 20);
	ck_assert_uint_eq(mock_do(m, &mine, NULL), VIRTIO_BLK_S_OK);
	rig_stop(&r);
	rig_fini(&other);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_poll");
	TCase *t = tcase_create("blkplane_poll");
	const int n = engine_ways();

	tcase_add_named_test(t, requests_are_found_while_polling, n, engine_way_name);
	tcase_add_test(t, engine_is_full_while_the_thread_polls);
	tcase_add_test(t, ring_breaks_while_the_thread_polls);
	tcase_add_test(t, ring_is_stopped_while_the_thread_polls);
	tcase_add_test(t, two_rings_on_one_thread);
	suite_add_tcase(s, t);
	return s;
}
