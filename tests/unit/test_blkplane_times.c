/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of latency statistics. Linked with --wrap: the dataplane uses a simulated clock. */
#include <errno.h>

#include "dataplane/poll_policy.h"
#define OWNCLOCK_TICK 10u
#include "tests/lib/ownclock.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;
static struct blkplane_latency latency;

static void begin(unsigned int depth)
{
	ownclock_begin();
	latency = (struct blkplane_latency){ 0 };
	rig_init(&r, 16, false, false, depth);
	r.config.latency = &latency;
	rig_start(&r);
}

static void offer(struct mock_blk *req, unsigned int count, uint32_t type)
{
	for (unsigned int i = 0; i < count; i++) {
		mock_blk(m, &req[i], type, i, type == VIRTIO_BLK_T_FLUSH ? 0 : 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	mock_kick(m);
}

static void take_back(unsigned int count)
{
	struct vring_used_elem elem;

	while (count--)
		mock_wait_used(m, &elem);
}

/* All `count` are up to `ms`, and as near to it as buckets and ticks tell. */
static void expect(const struct latency *l, uint64_t count, uint64_t ms)
{
	ck_assert_uint_eq(latency_count(l), count);
	ck_assert_uint_ge(l->sum, count * ms * MS);
	ck_assert_uint_le(l->sum, count * (ms * MS + MS / 2));
}

START_TEST(time_in_the_engine_by_operation)
{
	struct mock_blk req[3];

	begin(16);
	offer(req, 3, VIRTIO_BLK_T_IN);
	scripted_wait(r.engine, 3);
	wait_idle_thread();
	ownclock_pass(20 * MS);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	take_back(3);
	offer(req, 1, VIRTIO_BLK_T_FLUSH);
	scripted_wait(r.engine, 1);
	wait_idle_thread();
	ownclock_pass(50 * MS);
	scripted_complete(r.engine, 0, -EIO);
	take_back(1);
	/* Never with the engine. */
	mock_blk(m, req, VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_offer(m, req->head);
	take_back(1);
	rig_stop(&r);
	expect(&latency.engine[IO_READ], 3, 20);
	expect(&latency.engine[IO_FLUSH], 1, 50);
	expect(&latency.engine[IO_WRITE], 0, 0);
	expect(&latency.ring, 4, 0);
	expect(&latency.answer, 4, 0);
	rig_fini(&r);
}
END_TEST

/* One at a time reaches the engine; the others wait for it in the ring, the last one from when it
 * was passed over the second time. */
START_TEST(what_has_no_room_waits_in_the_ring)
{
	struct mock_blk req[3];

	begin(1);
	offer(req, 3, VIRTIO_BLK_T_OUT);
	for (unsigned int i = 0; i < 3; i++) {
		scripted_wait(r.engine, 1);
		wait_idle_thread();
		ownclock_pass(30 * MS);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		take_back(1);
	}
	rig_stop(&r);
	expect(&latency.ring, 3, 20);
	ck_assert_uint_eq(latency.ring.bucket[0], 1);
	expect(&latency.engine[IO_WRITE], 3, 30);
	rig_fini(&r);
}
END_TEST

/* A turn that may take nothing does not begin it anew. */
START_TEST(it_has_waited_since_the_first_turn_that_left_it)
{
	struct mock_blk req[2], more;

	begin(1);
	offer(req, 2, VIRTIO_BLK_T_OUT);
	scripted_wait(r.engine, 1);
	for (unsigned int i = 0; i < 3; i++) {
		wait_idle_thread();
		ownclock_pass(10 * MS);
		mock_kick(m);
	}
	wait_idle_thread();
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	take_back(1);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	take_back(1);
	/* And what comes now has not waited. */
	wait_idle_thread();
	ownclock_pass(80 * MS);
	mock_blk(m, &more, VIRTIO_BLK_T_OUT, 0, 512);
	mock_offer(m, more.head);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	take_back(1);
	rig_stop(&r);
	expect(&latency.ring, 3, 10);
	ck_assert_uint_eq(latency.ring.bucket[0], 2);
	rig_fini(&r);
}
END_TEST

/* Longer than any bound. */
START_TEST(a_minute_with_the_engine)
{
	struct mock_blk req;

	begin(16);
	offer(&req, 1, VIRTIO_BLK_T_IN);
	scripted_wait(r.engine, 1);
	wait_idle_thread();
	ownclock_pass(60000 * MS);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	take_back(1);
	rig_stop(&r);
	expect(&latency.engine[IO_READ], 1, 60000);
	ck_assert_uint_eq(latency.engine[IO_READ].bucket[LATENCY_BUCKETS - 1], 1);
	rig_fini(&r);
}
END_TEST

/* The driver holds the thread in the interrupt. */
START_TEST(time_until_the_interrupt)
{
	struct mock_blk req[2];

	begin(16);
	offer(req, 2, VIRTIO_BLK_T_IN);
	scripted_wait(r.engine, 2);
	wait_idle_thread();
	rig_block_irq(&r);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	mock_wait_index(m, 2);
	ownclock_pass(40 * MS);
	mock_irqs(m);
	rig_stop(&r);
	ck_assert_uint_eq(latency_count(&latency.answer), 2);
	ck_assert_uint_eq(latency_count(&latency.engine[IO_READ]), 2);
	ck_assert_uint_eq(latency.engine[IO_READ].sum / (30 * MS), 0);
	rig_fini(&r);
}
END_TEST

/* Those in order of an IN_ORDER ring wait for the first of them. */
START_TEST(what_is_kept_in_order_is_not_answered)
{
	struct mock_blk req[2];

	ownclock_begin();
	latency = (struct blkplane_latency){ 0 };
	rig_init(&r, 16, false, false, 16);
	m->ring.in_order = true;
	r.config.latency = &latency;
	rig_start(&r);
	offer(req, 2, VIRTIO_BLK_T_IN);
	scripted_wait(r.engine, 2);
	wait_idle_thread();
	scripted_complete(r.engine, 1, SCRIPTED_ALL);
	for (int64_t end = mock_deadline(); !READ_ONCE(latency.engine[IO_READ].bucket[0]) &&
					    !READ_ONCE(latency.engine[IO_READ].sum);)
		mock_yield(end);
	wait_idle_thread();
	ck_assert_uint_eq(mock_used_index(m), 0);
	ck_assert_uint_eq(READ_ONCE(latency.answer.sum), 0);
	ownclock_pass(60 * MS);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	mock_wait_until(mock_used_index(m));
	rig_stop(&r);
	expect(&latency.answer, 2, 30 * 2);
	rig_fini(&r);
}
END_TEST

/* A plain system call is measured as well. */
START_TEST(who_is_alone_is_measured)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	ownclock_begin();
	latency = (struct blkplane_latency){ 0 };
	rig_init_file(&r, &ioengine_libaio, 16, false);
	mock_ring(m, 16, false, false);
	r.config.latency = &latency;
	rig_start(&r);
	for (unsigned int i = 0; i < 2 * INLINE_IO_MIN_STREAK; i++) {
		uint64_t heap = m->heap;

		mock_forget(m);
		mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 512);
		mock_offer(m, req.head);
		mock_wait_used(m, &elem);
		m->heap = heap;
	}
	rig_stop(&r);
	ck_assert_uint_eq(latency_count(&latency.ring), 2 * INLINE_IO_MIN_STREAK);
	ck_assert_uint_eq(latency_count(&latency.engine[IO_READ]), 2 * INLINE_IO_MIN_STREAK);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_times");
	TCase *t = tcase_create("blkplane_times");

	suite_add_tcase(s, t);
	tcase_add_test(t, time_in_the_engine_by_operation);
	tcase_add_test(t, what_has_no_room_waits_in_the_ring);
	tcase_add_test(t, it_has_waited_since_the_first_turn_that_left_it);
	tcase_add_test(t, a_minute_with_the_engine);
	tcase_add_test(t, time_until_the_interrupt);
	tcase_add_test(t, what_is_kept_in_order_is_not_answered);
	tcase_add_test(t, who_is_alone_is_measured);
	return s;
}
