/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop against a guest that does not want to, from other threads. */
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
	struct mock_blk read, flush;
	pthread_t host;

	rig_init(&r, 16, false, false, 16);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_blk(m, &flush, VIRTIO_BLK_T_FLUSH, 0, 0);
	rig_start(&r);
	mock_offer(m, read.head);
	mock_offer(m, flush.head);
	scripted_wait(r.engine, 2);
	ck_assert_int_eq(pthread_create(&host, NULL, complete_late, NULL), 0);
	rig_stop(&r);
	ck_assert(flag_is_set());
	ck_assert_uint_eq(mock_used_index(m), 2);
	ck_assert_uint_eq(mock_status(m, &read), VIRTIO_BLK_S_OK);
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
	struct mock_blk read;
	pthread_t host;

	rig_init(&r, 16, false, false, 16);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&r);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	ck_assert_int_eq(pthread_create(&host, NULL, complete_in_halves, NULL), 0);
	rig_stop(&r);
	ck_assert(flag_is_set());
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
	iothread_answer(call);
}

/* Stopping with a request in flight: no spinning, and nothing new is taken. */
START_TEST(row17_no_request_is_taken_while_stopping)
{
	struct iothread_call after = { .run = answer };
	struct mock_blk read, late;
	uint64_t woken;
	pthread_t thread;
	struct vring_used_elem elem;

	rig_init(&r, 16, false, false, 16);
	if (_i)
		mock_ring_packed(m, 16, false, false);
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

#define KEPT_UP	    200

static struct mock_blk flood[FLOOD_COUNT];
static unsigned int kept_up; /* batches that the guest kept going nearly to their end; atomic */
static unsigned int over_budget;

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

/*
 * The guest offers each request again as soon as its status byte says so: it is never behind, and
 * the ring never empty. No more than a ring full may go by between two used indices.
 */
static void *refill(void *arg)
{
	uint32_t seen = 0;

	while (!flag_is_set()) {
		const struct mock_blk *req = &flood[seen % FLOOD_COUNT];
		uint8_t *status = mock_ptr(m, req->status);

		if (READ_ONCE(*status) == 0xff) {
			if (!(READ_ONCE(m->used->flags) & VRING_USED_F_NO_NOTIFY))
				mock_kick(m);
			continue;
		}
		WRITE_ONCE(*status, 0xff);
		seen++;
		uint16_t ahead = (uint16_t)(seen - mock_used_index(m));
		if (ahead == m->ring.size - 1)
			__atomic_fetch_add(&kept_up, 1, __ATOMIC_SEQ_CST);
		if (ahead < 0x8000 && ahead > m->ring.size)
			over_budget++;
		mock_stage(m, req->head);
		mock_show(m);
	}
	return arg;
}

static void begin_flood(pthread_t *guest)
{
	over_budget = 0;
	set_flag(false);
	for (unsigned int i = 0; i < FLOOD_COUNT; i++) {
		make_flood_request(&flood[i]);
		mock_stage(m, flood[i].head);
	}
	mock_show(m);
	mock_kick(m);
	ck_assert_int_eq(pthread_create(guest, NULL, refill, NULL), 0);
}

START_TEST(row17_refill_flood_lets_others_have_their_turn)
{
	struct mock_blk read;
	pthread_t guest;

	rig_init(&r, FLOOD_RING, false, true, 16);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&r);
	mock_offer(m, read.head);
	scripted_wait(r.engine, 1);
	begin_flood(&guest);
	mock_wait_until(mock_used_index(m) > 2000);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_until(mock_status(m, &read) == VIRTIO_BLK_S_OK);
	rig_stop(&r);
	set_flag(true);
	pthread_join(guest, NULL);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}
END_TEST

static bool kept_going(void)
{
	return __atomic_load_n(&kept_up, __ATOMIC_SEQ_CST) >= KEPT_UP;
}

START_TEST(wart_guest_keeps_a_stopping_thread_busy)
{
	pthread_t guest;

	rig_init(&r, FLOOD_RING, false, true, 16);
	rig_start(&r);
	begin_flood(&guest);
	/* Where another program takes the processor each time, this shows nothing. */
	for (int64_t end = mock_deadline() - 5; mock_seconds() < end && !kept_going();)
		sched_yield();
	rig_stop(&r);
	set_flag(true);
	pthread_join(guest, NULL);
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
	unsigned int answered = 0;

	while (answered < KEPT_BUSY) {
		for (unsigned int i = 0; i < 20000 && scripted_held(r.engine) < 2; i++)
			sched_yield();
		if (scripted_held(r.engine) < 2)
			break; /* nothing new is taken any more */
		mock_stage(m, req[answered % 4].head);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		mock_wait_index(m, (uint16_t)++answered);
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

	rig_init(&r, 16, false, false, 16);
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
		__atomic_fetch_or(&r.irq.status, 0, __ATOMIC_SEQ_CST);
		__atomic_fetch_and(&r.irq.status, ~1u, __ATOMIC_SEQ_CST);
	}
	return arg;
}

START_TEST(wart_start_and_stop_re_entered_by_a_pending_doorbell)
{
	unsigned int fds, threads;
	struct mock_blk req;
	pthread_t guest;

	rig_init_file(&r, &ioengine_libaio, 16, true);
	ck_assert_int_eq(pthread_create(&guest, NULL, kick_storm, NULL), 0);
	fds = count_fds();
	threads = count_threads();
	for (unsigned int i = 0; i < 300; i++) {
		mock_ring(m, 16, i % 2, false);
		mock_blk(m, &req, VIRTIO_BLK_T_IN, i, 4096);
		mock_stage(m, req.head);
		mock_show(m);
		rig_start(&r);
		if (i % 3)
			mock_wait_index(m, 1);
		rig_stop(&r);
		ck_assert_uint_le(mock_used_index(m), 1);
		if (mock_used_index(m))
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

	tcase_add_test(t, row26_stop_returns_when_the_last_request_is_done);
	tcase_add_test(t, row26_stop_waits_for_the_rest_of_a_short_transfer);
	tcase_add_loop_test(t, row17_no_request_is_taken_while_stopping, 0, 2);
	tcase_add_test(t, row17_refill_flood_lets_others_have_their_turn);
	tcase_add_test(t, wart_guest_keeps_a_stopping_thread_busy);
	tcase_add_test(t, row17_reads_refilled_while_stopping);
	tcase_add_test(t, wart_start_and_stop_re_entered_by_a_pending_doorbell);
	suite_add_tcase(s, t);
	return s;
}
