/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a queue's counters. */
#include <errno.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;

static void expect_op(enum blkreq_kind kind, uint64_t requests, uint64_t failed, uint64_t bytes)
{
	const struct blkstats_op *op = &r.stats.op[kind];

	ck_assert_msg(op->requests == requests && op->failed == failed && op->bytes == bytes,
		      "%s: %lu requests, %lu failed, %lu bytes", blkstats_name(kind), op->requests,
		      op->failed, op->bytes);
}

/* Sends a request and waits for its completion. res: result of the host; 0: the request does not
 * reach it. */
static void run(uint32_t type, uint64_t sector, uint32_t len, int64_t res)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	mock_forget(m);
	mock_blk(m, &req, type, sector, len);
	mock_offer(m, req.head);
	if (res) {
		scripted_wait(r.engine, 1);
		scripted_complete(r.engine, 0, res == SCRIPTED_ALL && !len ? 0 : res);
	}
	mock_wait_used(m, &elem);
}

START_TEST(each_operation_and_its_failures)
{
	rig_init(&r, 16, false, false, 16);
	r.stats = (struct blkplane_stats){ 0 };
	rig_start(&r);
	run(VIRTIO_BLK_T_IN, 0, 4096, SCRIPTED_ALL);
	run(VIRTIO_BLK_T_IN, 0, 512, SCRIPTED_ALL);
	run(VIRTIO_BLK_T_IN, 0, 1024, -EIO);
	run(VIRTIO_BLK_T_IN, 0, 0, 0); /* no data, in a slot whose last request had data */
	run(VIRTIO_BLK_T_OUT, 8, 2048, SCRIPTED_ALL);
	run(VIRTIO_BLK_T_OUT, RIG_CAPACITY, 512, 0);
	run(VIRTIO_BLK_T_FLUSH, 0, 0, SCRIPTED_ALL);
	run(VIRTIO_BLK_T_FLUSH, 0, 0, -EIO);
	run(VIRTIO_BLK_T_GET_ID, 0, 20, 0);
	run(77, 0, 512, 0);
	rig_stop(&r);
	expect_op(BLKREQ_READ, 4, 1, 4608);
	expect_op(BLKREQ_WRITE, 2, 1, 2048);
	expect_op(BLKREQ_FLUSH, 2, 1, 0);
	expect_op(BLKREQ_GET_ID, 1, 0, 0);
	expect_op(BLKREQ_UNKNOWN, 1, 1, 0);
	expect_op(BLKREQ_DISCARD, 0, 0, 0);
	ck_assert_uint_eq(r.stats.requests, 10);
	ck_assert_uint_eq(r.stats.batches, 10);
	ck_assert_uint_eq(r.stats.batch[0], 10);
	ck_assert_uint_eq(r.stats.interrupts, 10);
	ck_assert_uint_eq(r.stats.suppressed, 0);
	/* Each request has a doorbell, but the thread may see two of them at once. */
	ck_assert_uint_ge(r.stats.kicks, 1);
	ck_assert_uint_le(r.stats.kicks, 11);
	rig_fini(&r);
}
END_TEST

/* The worker executes these operations, which need an image. */
START_TEST(discards_and_zeroes_count_their_bytes)
{
	struct virtio_blk_discard_write_zeroes seg[2] = { { .num_sectors = 16 },
							  { .sector = 64, .num_sectors = 8 } };
	struct vring_used_elem elem;
	struct mock_blk req;

	rig_init_file(&r, &ioengine_sync, 16, false);
	r.stats = (struct blkplane_stats){ 0 };
	mock_ring(m, 16, false, false);
	r.config.disk.discard_max = r.config.disk.zeroes_max = 64;
	rig_start(&r);
	for (unsigned int i = 0; i < 3; i++) {
		mock_forget(m);
		mock_blk(m, &req, i ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD, 0,
			 i == 2 ? 7
			 : i	? 16
				: 32);
		memcpy(mock_ptr(m, req.data), seg, i == 2 ? 7 : i ? 16 : 32);
		mock_offer(m, req.head);
		mock_wait_used(m, &elem);
	}
	rig_stop(&r);
	expect_op(BLKREQ_DISCARD, 1, 0, 24 * 512);
	expect_op(BLKREQ_WRITE_ZEROES, 2, 1, 16 * 512);
	rig_fini(&r);
}
END_TEST

/* The driver sends batches of 1, 2 and 5 requests, and suppresses interrupts. */
START_TEST(batches_by_size_and_no_interrupts)
{
	static const unsigned int sizes[] = { 1, 2, 5 };
	struct vring_used_elem elem;
	struct mock_blk req;

	rig_init(&r, 16, false, false, 16);
	r.stats = (struct blkplane_stats){ 0 };
	rig_start(&r);
	WRITE_ONCE(m->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		mock_forget(m);
		for (unsigned int k = 0; k < sizes[i]; k++) {
			mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
			mock_stage(m, req.head);
		}
		mock_show(m);
		mock_kick(m);
		for (unsigned int k = 0; k < sizes[i]; k++)
			mock_wait_used(m, &elem);
	}
	rig_stop(&r);
	for (unsigned int i = 0; i < BLKSTATS_BATCHES; i++)
		ck_assert_uint_eq(r.stats.batch[i], i < 3);
	ck_assert_uint_eq(r.stats.interrupts, 0);
	ck_assert_uint_eq(r.stats.suppressed, 3);
	rig_fini(&r);
}
END_TEST

/* Each engine sleeps in a way of its own. */
START_TEST(doorbell_that_wakes_the_thread_is_counted)
{
	struct engine_way way = engine_way(_i);
	struct vring_used_elem elem;
	struct mock_blk req;

	rig_poll_ns = 0;
	rig_init_file(&r, way.ops, 16, way.direct);
	r.stats = (struct blkplane_stats){ 0 };
	mock_ring(m, 16, true, true);
	rig_start(&r);
	for (int64_t end = mock_deadline(); mock_avail_event(m) || !READ_ONCE(r.stats.sleeps);)
		mock_yield(end);
	ck_assert_uint_eq(READ_ONCE(r.stats.kicks), 0);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_offer(m, req.head);
	mock_wait_used(m, &elem);
	for (int64_t end = mock_deadline(); !READ_ONCE(r.stats.kicks);)
		mock_yield(end);
	rig_stop(&r);
	ck_assert_uint_eq(r.stats.kicks, 1);
	rig_fini(&r);
}
END_TEST

START_TEST(every_kind_has_a_name)
{
	for (unsigned int i = 0; i < BLKREQ_KINDS; i++)
		for (unsigned int k = 0; k < i; k++)
			ck_assert_str_ne(blkstats_name(i), blkstats_name(k));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkstats");
	TCase *t = tcase_create("blkstats");

	suite_add_tcase(s, t);
	tcase_add_test(t, each_operation_and_its_failures);
	tcase_add_test(t, discards_and_zeroes_count_their_bytes);
	tcase_add_test(t, batches_by_size_and_no_interrupts);
	tcase_add_named_test(t, doorbell_that_wakes_the_thread_is_counted, engine_ways(),
			     engine_way_name);
	tcase_add_test(t, every_kind_has_a_name);
	return s;
}
