/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of start and stop against an uncooperative guest, from other threads. Each test loops over
 * both ring formats, or alternates between them.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;
static bool flag; /* atomic */

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

/* An empty ring, in format number `packed`, over a host that holds the requests. */
static void begin(int packed, uint16_t size, bool indirect)
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

START_TEST(row26_stop_returns_when_the_last_request_is_done)
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

/* A segment that has to be moved in two halves: the second half, too, belongs to the drain. */
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

static void *stopper(void *arg)
{
	rig_stop(&r);
	return arg;
}

static void answer(struct iothread_call *call)
{
	iothread_call_done(call);
}

/* Stopping with a request in flight: no spinning, and nothing new is taken. */
START_TEST(row17_no_request_is_taken_while_stopping)
{
	struct iothread_call after = { .run = answer };
	struct mock_blk read, late;
	uint64_t woken;
	pthread_t thread;
	struct vring_used_elem elem;

	begin(_i, 16, false);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_blk(m, &late, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	woken = eventfd_count(r.thread->loop.wake_fd);
	ck_assert_int_eq(pthread_create(&thread, NULL, stopper, NULL), 0);
	/* The call is there before the thread is woken for it; and is run beside this one. */
	mock_wait_until(eventfd_count(r.thread->loop.wake_fd) == woken + 1);
	iothread_call(r.thread, &after);
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

/* ---- the guest refills at once ---- */

#define FLOOD_RING  64
#define FLOOD_COUNT 32
/* Packed: so many more may be offered before their first one is seen used; three are the read's. */
#define FLOOD_ROOM (FLOOD_RING - FLOOD_COUNT - 3)

#define KEPT_UP	   200

static struct mock_blk flood[FLOOD_COUNT];
static unsigned int refilled; /* atomic, as the next one */
static unsigned int kept_up;  /* batches that the guest kept going nearly to their end */
static unsigned int over_budget;
static uint16_t taken; /* the guest's, as over_budget */

/*
 * A request that costs the device more than the guest: in pieces of one byte. Its status byte tells
 * that the device is done with it before used.idx does.
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

static bool device_wants_kicks(void)
{
	if (m->ring.packed)
		return READ_ONCE(*m->device_event) >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	return !(READ_ONCE(m->used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* How many were published as used, modulo 2^16; of a packed ring the guest has to take them for
 * that. */
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
 * The guest offers each request again as soon as its status byte says so: it is never behind, and
 * the ring never empty. No more than a ring full may go by between two used indices. A packed ring
 * has room for it only until it is full of what is not published: there, the guest is held up by
 * nothing else.
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
			if (device_wants_kicks())
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
	/* However long it lasted, nothing was more than a batch at a time. */
	ck_assert_uint_gt(r.stats.requests, FLOOD_COUNT);
	ck_assert_uint_le(r.stats.requests, r.stats.batches * m->ring.size);
}

START_TEST(row17_refill_flood_lets_others_have_their_turn)
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
	/* A batch of a packed ring ends where its room does, and cannot be kept going: there, just
	 * long. */
	if (m->ring.packed)
		return __atomic_load_n(&refilled, __ATOMIC_ACQUIRE) > KEPT_UP * FLOOD_RING;
	return __atomic_load_n(&kept_up, __ATOMIC_SEQ_CST) >= KEPT_UP;
}

START_TEST(wart_guest_keeps_a_stopping_thread_busy)
{
	pthread_t guest;

	begin(_i, FLOOD_RING, true);
	rig_start(&r);
	begin_flood(&guest);
	/* Where another program takes the processor each time, this shows nothing. */
	for (int64_t end = mock_deadline() - 5; mock_seconds() < end && !kept_going();)
		sched_yield();
	end_flood(guest);
	ck_assert_uint_eq(over_budget, 0);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

#define KEPT_BUSY 20000

/* The host answers the oldest read as soon as the guest has another one with it, if it ever has. */
static void *busy_host(void *arg)
{
	const struct mock_blk *req = arg;
	struct vring_used_elem elem;
	unsigned int answered = 0;

	while (answered < KEPT_BUSY) {
		for (unsigned int i = 0; i < 20000 && scripted_held(r.engine) < 2; i++)
			sched_yield();
		if (scripted_held(r.engine) < 2)
			break; /* nothing new is taken any more */
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

/* There is always something in flight: only a thread that takes nothing new can come to an end. */
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

START_TEST(wart_start_and_stop_re_entered_by_a_pending_doorbell)
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

	tcase_add_loop_test(t, row26_stop_returns_when_the_last_request_is_done, 0, 2);
	tcase_add_loop_test(t, row26_stop_waits_for_the_rest_of_a_short_transfer, 0, 2);
	tcase_add_loop_test(t, row17_no_request_is_taken_while_stopping, 0, 2);
	tcase_add_loop_test(t, row17_refill_flood_lets_others_have_their_turn, 0, 2);
	tcase_add_loop_test(t, wart_guest_keeps_a_stopping_thread_busy, 0, 2);
	tcase_add_loop_test(t, row17_reads_refilled_while_stopping, 0, 2);
	tcase_add_test(t, wart_start_and_stop_re_entered_by_a_pending_doorbell);
	suite_add_tcase(s, t);
	return s;
}
