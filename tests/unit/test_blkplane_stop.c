/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of start and stop while a guest and the host keep the dataplane thread busy, from other
 * threads. All run in both ring formats.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;
static bool flag; /* atomic: an event of the test has happened, or a thread must end */

static bool flag_is_set(void)
{
	return __atomic_load_n(&flag, __ATOMIC_ACQUIRE);
}

static void set_flag(bool on)
{
	__atomic_store_n(&flag, on, __ATOMIC_RELEASE);
}

static void yield_often(void)
{
	for (unsigned int i = 0; i < 2000; i++)
		sched_yield();
}

/* Creates a rig with the scripted engine, and lays out an empty ring. */
static void begin(bool packed, uint16_t size, bool indirect)
{
	rig_init(&r, size, false, indirect, 16);
	if (packed)
		mock_ring_packed(m, size, false, indirect);
}

/* ---- stop waits for the host ---- */

static void *complete_late(void *arg)
{
	yield_often();
	set_flag(true);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	return arg;
}

START_TEST(row26_stop_returns_when_the_last_request_has_ended)
{
	struct vring_used_elem elem[2];
	struct mock_blk read, flush;
	pthread_t host;

	begin(_i, 16, false);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_blk(m, &flush, VIRTIO_BLK_T_FLUSH, 0, 0);
	rig_start(&r);
	mock_offer(m, read.head);
	mock_offer(m, flush.head);
	scripted_wait(r.engine, 2);
	ck_assert_int_eq(pthread_create(&host, NULL, complete_late, NULL), 0);
	rig_stop(&r);
	ck_assert(flag_is_set());
	ck_assert(mock_used(m, &elem[0]) && mock_used(m, &elem[1]) && !mock_has_used(m));
	ck_assert_uint_eq(elem[0].id + elem[1].id, read.head + flush.head);
	ck_assert_uint_eq(mock_status(m, &read), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &flush), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(r.engine->in_flight, 0);
	pthread_join(host, NULL);
	rig_fini(&r);
}
END_TEST

/* Completes a segment by two short transfers. Stop must wait for the second one as well. */
static void *complete_in_halves(void *arg)
{
	yield_often();
	scripted_complete(r.engine, 0, 256);
	scripted_wait(r.engine, 1);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, 256);
	set_flag(true);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	return arg;
}

START_TEST(row26_stop_waits_for_the_rest_of_a_short_transfer)
{
	struct vring_used_elem elem;
	struct mock_blk read;
	pthread_t host;

	begin(_i, 16, false);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&r);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	ck_assert_int_eq(pthread_create(&host, NULL, complete_in_halves, NULL), 0);
	rig_stop(&r);
	ck_assert(flag_is_set());
	ck_assert(mock_used(m, &elem) && !mock_has_used(m));
	ck_assert(elem.id == read.head && elem.len == 513);
	ck_assert_uint_eq(mock_status(m, &read), VIRTIO_BLK_S_OK);
	pthread_join(host, NULL);
	rig_fini(&r);
}
END_TEST

/* While a request is in flight, the thread sleeps and pops no further requests. */
START_TEST(row17_no_request_is_popped_while_stopping)
{
	struct mock_blk read, late;
	pthread_t thread;
	struct vring_used_elem elem;

	begin(_i, 16, false);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_blk(m, &late, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	thread = rig_call_from(&r, rig_stop_main);
	mock_offer(m, late.head);
	wait_idle_thread();
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(mock_status(m, &read), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &late), 0xff);
	ck_assert(mock_used(m, &elem) && !mock_has_used(m));
	rig_fini(&r);
}
END_TEST

/* ---- a guest that refills the ring at once ---- */

#define FLOOD_RING  64
#define FLOOD_COUNT 32
/* Number of further requests that fit into a packed ring before the first one is used. Three
 * descriptors belong to the read of the test. */
#define FLOOD_ROOM (FLOOD_RING - FLOOD_COUNT - 3)

#define KEPT_UP	   200

static struct mock_blk flood[FLOOD_COUNT];
static unsigned int refilled;	 /* atomic: number of requests offered again */
static unsigned int kept_up;	 /* atomic: batches that the guest extended nearly to their limit */
static unsigned int over_budget; /* batches larger than the ring; the guest's thread writes this */
static uint16_t taken; /* used elements of a packed ring; the guest's thread writes this */

/*
 * Builds a request in pieces of one byte, which takes the device longer than the guest. Its status
 * byte shows that the device has completed it before used.idx does.
 */
static void make_flood_request(struct mock_blk *req)
{
	struct mock_piece piece[16 + 20 + 1];

	req->header = mock_header(m, VIRTIO_BLK_T_GET_ID, 0);
	req->data = mock_alloc(m, 20, 1);
	req->status = mock_alloc(m, 1, 1);
	WRITE_ONCE(*(uint8_t *)mock_ptr(m, req->status), 0xff);
	for (unsigned int i = 0; i < 16; i++)
		piece[i] = (struct mock_piece){ req->header + i, 1, false };
	for (unsigned int i = 0; i < 20; i++)
		piece[16 + i] = (struct mock_piece){ req->data + i, 1, true };
	piece[36] = (struct mock_piece){ req->status, 1, true };
	req->head = mock_chain_indirect(m, 0, piece, ARRAY_SIZE(piece));
}

static bool device_requests_kicks(void)
{
	if (m->ring.packed)
		return READ_ONCE(*m->device_event) >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	return !(READ_ONCE(m->used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* Returns the number of published used elements, modulo 2^16. Takes those of a packed ring, which
 * has no index. */
static uint16_t count_published(void)
{
	struct vring_used_elem elem;

	if (!m->ring.packed)
		return mock_used_index(m);
	while (mock_used(m, &elem))
		taken++;
	return taken;
}

/*
 * The guest: offers each request again as soon as its status byte is written, so that the ring is
 * never empty. The device may complete no more than a ring full between two publications. A packed
 * ring is full when it has that many unpublished elements, so that the guest must wait.
 */
static void *refill(void *arg)
{
	const uint16_t most = m->ring.packed ? FLOOD_ROOM : m->ring.size;
	uint32_t seen = 0;

	while (!flag_is_set()) {
		const struct mock_blk *req = &flood[seen % FLOOD_COUNT];
		uint8_t *status = mock_ptr(m, req->status);
		uint16_t ahead = (uint16_t)(seen + 1 - count_published());

		if (READ_ONCE(*status) == 0xff ||
		    (m->ring.packed && ahead < 0x8000 && ahead > most)) {
			if (device_requests_kicks())
				mock_kick(m);
			continue;
		}
		WRITE_ONCE(*status, 0xff);
		__atomic_store_n(&refilled, ++seen, __ATOMIC_RELEASE);
		ahead = (uint16_t)(seen - count_published());
		if (ahead == most - 1)
			__atomic_fetch_add(&kept_up, 1, __ATOMIC_SEQ_CST);
		if (ahead < 0x8000 && ahead > most)
			over_budget++;
		mock_stage(m, req->head);
		mock_show(m);
	}
	return arg;
}

static void begin_flood(pthread_t *guest)
{
	over_budget = refilled = taken = 0;
	set_flag(false);
	for (unsigned int i = 0; i < FLOOD_COUNT; i++) {
		make_flood_request(&flood[i]);
		mock_stage(m, flood[i].head);
	}
	mock_show(m);
	mock_kick(m);
	ck_assert_int_eq(pthread_create(guest, NULL, refill, NULL), 0);
}

static void end_flood(pthread_t guest)
{
	rig_stop(&r);
	set_flag(true);
	pthread_join(guest, NULL);
	/* No batch was larger than the ring. */
	ck_assert_uint_gt(r.stats.requests, FLOOD_COUNT);
	ck_assert_uint_le(r.stats.requests, r.stats.batches * m->ring.size);
}

START_TEST(row17_completions_are_handled_during_a_flood)
{
	struct mock_blk read;
	pthread_t guest;

	begin(_i, FLOOD_RING, true);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&r);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	begin_flood(&guest);
	mock_wait_until(__atomic_load_n(&refilled, __ATOMIC_ACQUIRE) > 2000);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_until(mock_status(m, &read) == VIRTIO_BLK_S_OK);
	end_flood(guest);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

static bool kept_going(void)
{
	/* A batch of a packed ring cannot be extended, so the flood just lasts longer. */
	if (m->ring.packed)
		return __atomic_load_n(&refilled, __ATOMIC_ACQUIRE) > KEPT_UP * FLOOD_RING;
	return __atomic_load_n(&kept_up, __ATOMIC_SEQ_CST) >= KEPT_UP;
}

START_TEST(guest_keeps_a_stopping_thread_busy)
{
	pthread_t guest;

	begin(_i, FLOOD_RING, true);
	rig_start(&r);
	begin_flood(&guest);
	/* On a busy machine, the guest may not keep up, and the test shows nothing. */
	for (int64_t end = mock_deadline() - 5; mock_seconds() < end && !kept_going();)
		sched_yield();
	end_flood(guest);
	ck_assert_uint_eq(over_budget, 0);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

#define KEPT_BUSY 20000

/* The host: completes the oldest read when another one is in flight. Returns the number of
 * completions. */
static void *busy_host(void *arg)
{
	const struct mock_blk *req = arg;
	struct vring_used_elem elem;
	unsigned int answered = 0;

	while (answered < KEPT_BUSY) {
		for (unsigned int i = 0; i < 20000 && scripted_held(r.engine) < 2; i++)
			sched_yield();
		if (scripted_held(r.engine) < 2)
			break; /* the device pops no further requests */
		mock_stage(m, req[answered % 4].head);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		mock_wait_used(m, &elem);
		answered++;
		mock_show(m);
		mock_kick(m);
		if (answered == 100)
			set_flag(true);
	}
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	return (void *)(uintptr_t)answered;
}

/* A request is always in flight, so that stop returns only when the device pops no further
 * requests. */
START_TEST(row17_reads_refilled_while_stopping)
{
	struct mock_blk req[4];
	pthread_t host;
	void *answered;

	begin(_i, 16, false);
	for (unsigned int i = 0; i < 4; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i, 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	rig_start(&r);
	ck_assert_int_eq(pthread_create(&host, NULL, busy_host, req), 0);
	mock_wait_until(flag_is_set());
	rig_stop(&r);
	pthread_join(host, &answered);
	ck_assert_uint_lt((uintptr_t)answered, KEPT_BUSY);
	ck_assert_uint_eq(r.engine->in_flight, 0);
	rig_fini(&r);
}
END_TEST

/* ---- doorbells at any moment ---- */

static void *kick_storm(void *arg)
{
	while (!flag_is_set()) {
		mock_kick(m);
		__atomic_fetch_or(&r.irq_status, 0, __ATOMIC_SEQ_CST);
		__atomic_fetch_and(&r.irq_status, ~1u, __ATOMIC_SEQ_CST);
	}
	return arg;
}

START_TEST(start_and_stop_during_a_storm_of_doorbells)
{
	struct vring_used_elem elem;
	unsigned int fds, threads;
	struct mock_blk req;
	pthread_t guest;
	bool done;

	rig_init_file(&r, &ioengine_libaio, 16, true);
	ck_assert_int_eq(pthread_create(&guest, NULL, kick_storm, NULL), 0);
	fds = count_fds();
	threads = count_threads();
	for (unsigned int i = 0; i < 300; i++) {
		(i / 2 % 2 ? mock_ring_packed : mock_ring)(m, 16, i % 2, false);
		mock_blk(m, &req, VIRTIO_BLK_T_IN, i, 4096);
		mock_stage(m, req.head);
		mock_show(m);
		rig_start(&r);
		if (i % 3)
			mock_wait_until(mock_has_used(m));
		rig_stop(&r);
		done = mock_used(m, &elem);
		ck_assert(!mock_has_used(m));
		if (done)
			ck_assert(image_is_fresh(mock_ptr(m, req.data), i * 512, 4096));
	}
	ck_assert_uint_eq(count_fds(), fds);
	mock_wait_until(count_threads() == threads);
	set_flag(true);
	pthread_join(guest, NULL);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_stop");
	TCase *t = tcase_create("blkplane_stop");

	tcase_add_named_test(t, row26_stop_returns_when_the_last_request_has_ended, 2,
			     mock_format_name);
	tcase_add_named_test(t, row26_stop_waits_for_the_rest_of_a_short_transfer, 2,
			     mock_format_name);
	tcase_add_named_test(t, row17_no_request_is_popped_while_stopping, 2, mock_format_name);
	tcase_add_named_test(t, row17_completions_are_handled_during_a_flood, 2, mock_format_name);
	tcase_add_named_test(t, guest_keeps_a_stopping_thread_busy, 2, mock_format_name);
	tcase_add_named_test(t, row17_reads_refilled_while_stopping, 2, mock_format_name);
	tcase_add_test(t, start_and_stop_during_a_storm_of_doorbells);
	suite_add_tcase(s, t);
	return s;
}
