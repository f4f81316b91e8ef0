/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of a queue that the driver broke: it is reported once and drained, and a reset recovers it.
 * Most run in both ring formats: _i is 0 for split, 1 for packed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;

static uint32_t irq_bits(void)
{
	return __atomic_load_n(&r.irq_status, __ATOMIC_SEQ_CST);
}

/* Lays out an empty ring. */
static void lay_out(bool packed, bool event_idx)
{
	(packed ? mock_ring_packed : mock_ring)(m, 16, event_idx, true);
}

static void init(bool packed)
{
	rig_init(&r, 16, false, true, 16);
	lay_out(packed, false);
}

/* Starts a ring with a good request in flight. */
static void begin(bool packed, struct mock_blk *good)
{
	init(packed);
	mock_blk(m, good, VIRTIO_BLK_T_IN, 0, 512);
	rig_start(&r);
	mock_offer(m, good->head);
	scripted_wait(r.engine, 1);
}

/* Checks that the queue is broken, that the good request is drained and not completed, and that a
 * reset recovers the queue. */
static void expect_broken_then_recovers(const struct mock_blk *good)
{
	struct mock_blk again;

	rig_wait_broken(&r);
	wait_idle_thread();
	mock_irqs(m);
	/* The device ignores later requests, and the thread does not spin. */
	mock_blk(m, &again, VIRTIO_BLK_T_GET_ID, 0, 20);
	for (unsigned int i = 0; i < 50; i++)
		mock_offer(m, again.head);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	wait_idle_thread();
	rig_stop(&r);
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(mock_status(m, good), 0xff);
	ck_assert_uint_eq(mock_status(m, &again), 0xff);
	ck_assert_uint_eq(mock_irqs(m), 0);

	r.status = 0;
	r.irq_status = 0;
	lay_out(m->ring.packed, true);
	mock_blk(m, &again, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	ck_assert_uint_eq(mock_do(m, &again, NULL), VIRTIO_BLK_S_OK);
	ck_assert(!rig_is_broken(&r));
	rig_fini(&r);
}

START_TEST(row01_more_entries_than_the_ring_has)
{
	struct mock_blk good;

	begin(_i, &good);
	if (m->ring.packed) {
		/* The good request has three descriptors, so that this chain is too long by one. */
		for (unsigned int i = 0; i < 14; i++)
			mock_packed_put(m, MOCK_FAR, 16, 9, i < 13 ? NEXT : 0);
	} else {
		m->avail_idx = (uint16_t)(m->avail_idx + 17);
	}
	mock_show(m);
	mock_kick(m);
	expect_broken_then_recovers(&good);
}
END_TEST

START_TEST(row02_head_outside_the_table)
{
	struct mock_blk good;

	begin(_i, &good);
	mock_offer(m, 16);
	expect_broken_then_recovers(&good);
}
END_TEST

START_TEST(row03_chain_that_loops)
{
	struct mock_blk good;

	begin(_i, &good);
	mock_desc(m, 9, MOCK_FAR, 16, NEXT, 9);
	mock_offer(m, 9);
	expect_broken_then_recovers(&good);
}
END_TEST

START_TEST(row04_head_offered_again_while_in_flight_breaks_the_queue)
{
	struct mock_blk good;

	begin(_i, &good);
	mock_offer(m, good.head);
	expect_broken_then_recovers(&good);
}
END_TEST

START_TEST(row08_data_in_the_hole)
{
	struct mock_blk good, bad;

	begin(_i, &good);
	mock_blk(m, &bad, VIRTIO_BLK_T_IN, 0, 512);
	m->desc[bad.head + 1].addr = MOCK_HOLE;
	mock_offer(m, bad.head);
	expect_broken_then_recovers(&good);
}
END_TEST

/* Checks that a request without a status byte is returned with used.len 0, and breaks the queue. */
static void check_row12(bool packed, const struct mock_piece *piece, unsigned int count)
{
	struct vring_used_elem elem;
	struct mock_blk good;
	uint16_t head;

	begin(packed, &good);
	head = mock_chain(m, piece, count);
	mock_offer(m, head);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, head);
	ck_assert_uint_eq(elem.len, 0);
	expect_broken_then_recovers(&good);
}

START_TEST(row12_request_without_header_or_status)
{
	check_row12(_i, (struct mock_piece[]){ { MOCK_FAR, 16, false } }, 1);
	check_row12(_i,
		    (struct mock_piece[]){ { MOCK_FAR, 15, false }, { MOCK_FAR + 99, 1, true } },
		    2);
	check_row12(_i, (struct mock_piece[]){ { MOCK_FAR + 99, 513, true } }, 1);
	check_row12(_i, (struct mock_piece[]){ { 0, 0, false } }, 1);
}
END_TEST

/* Requests before the bad entry of the same batch are served. */
START_TEST(good_requests_of_the_same_batch_are_served)
{
	struct mock_blk id, read;
	struct vring_used_elem elem;

	init(_i);
	mock_blk(m, &id, VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_stage(m, id.head);
	mock_stage(m, read.head);
	mock_stage(m, 99);
	mock_show(m);
	rig_start(&r);
	rig_wait_broken(&r);
	ck_assert(mock_used(m, &elem) && !mock_has_used(m));
	ck_assert_uint_eq(elem.id, id.head);
	ck_assert_uint_eq(mock_status(m, &id), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(irq_bits(), IRQLINE_CONFIG | IRQLINE_USED_RING);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	rig_fini(&r);
}
END_TEST

START_TEST(row26_broken_queue_is_drained_before_stop_returns)
{
	struct mock_blk good;

	begin(_i, &good);
	mock_offer(m, 16);
	rig_wait_broken(&r);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	rig_stop(&r);
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	ck_assert_uint_eq(r.engine->in_flight, 0);
	rig_fini(&r);
}
END_TEST

/* The driver reads the status when it gets the interrupt (2.1.2). */
START_TEST(needs_reset_is_set_before_the_interrupt)
{
	init(_i);
	rig_block_irq(&r);
	rig_start(&r);
	mock_offer(m, 16);
	mock_wait_until(irq_bits() & IRQLINE_CONFIG);
	ck_assert(rig_is_broken(&r));
	mock_irqs(m);
	rig_fini(&r);
}
END_TEST

START_TEST(used_index_is_published_before_the_interrupt)
{
	struct mock_blk req;

	init(_i);
	rig_block_irq(&r);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	mock_offer(m, req.head);
	mock_wait_until(irq_bits() & IRQLINE_USED_RING);
	ck_assert(mock_has_used(m));
	mock_irqs(m);
	rig_fini(&r);
}
END_TEST

/* A guest must not be able to fill the log. */
START_TEST(queue_broken_a_hundred_times_is_logged_a_few_times)
{
	char path[] = "/tmp/log.XXXXXX";
	int log = mkstemp(path), saved = dup(STDERR_FILENO);
	char text[16384];
	unsigned int lines = 0;

	ck_assert_int_ge(log, 0);
	unlink(path);
	dup2(log, STDERR_FILENO);
	rig_init(&r, 16, false, true, 16);
	for (unsigned int i = 0; i < 100; i++) {
		lay_out(i % 2, false);
		r.status = r.irq_status = 0;
		rig_start(&r);
		mock_offer(m, 16);
		rig_wait_broken(&r);
		rig_stop(&r);
	}
	rig_fini(&r);
	dup2(saved, STDERR_FILENO);
	ssize_t n = pread(log, text, sizeof(text), 0);
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	/* The log allows a burst in each 5 s. A slow machine may need several periods. */
	ck_assert_uint_ge(lines, 1);
	ck_assert_uint_lt(lines, 50);
	close(log);
	close(saved);
}
END_TEST

static unsigned int stops; /* atomic */

static void count_stop(struct blkplane_listener *listener, unsigned int queue, enum io_op op,
		       int err)
{
	(void)listener;
	(void)queue;
	(void)op;
	(void)err;
	__atomic_fetch_add(&stops, 1, __ATOMIC_SEQ_CST);
}

static void ignore_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	(void)listener;
	(void)queue;
	(void)why;
}

/* With werror=stop, the VM is not paused for a request whose result the driver will never see. */
START_TEST(write_that_fails_after_the_ring_broke_does_not_pause_the_vm)
{
	static struct blkplane_listener listener = { .broken = ignore_broken,
						     .stopped = count_stop };
	struct mock_blk good;

	init(_i);
	r.config.policy = (struct blkpolicy){ .read = BLKPOLICY_STOP, .write = BLKPOLICY_STOP };
	r.config.listener = &listener;
	mock_blk(m, &good, VIRTIO_BLK_T_OUT, 0, 512);
	rig_start(&r);
	mock_offer(m, good.head);
	scripted_wait(r.engine, 1);
	mock_offer(m, 16);
	rig_wait_broken(&r);
	scripted_complete(r.engine, 0, -ENOSPC);
	/* When the second call has been answered, a whole turn has passed. */
	blkplane_set_capacity(r.plane, RIG_CAPACITY);
	blkplane_set_capacity(r.plane, RIG_CAPACITY);
	ck_assert_uint_eq(__atomic_load_n(&stops, __ATOMIC_SEQ_CST), 0);
	rig_stop(&r);
	ck_assert(!mock_has_used(m));
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_broken");
	TCase *t = tcase_create("blkplane_broken");

	tcase_add_named_test(t, row01_more_entries_than_the_ring_has, 2, mock_format_name);
	tcase_add_named_test(t, row02_head_outside_the_table, 2, mock_format_name);
	tcase_add_named_test(t, row03_chain_that_loops, 2, mock_format_name);
	tcase_add_named_test(t, row04_head_offered_again_while_in_flight_breaks_the_queue, 2,
			     mock_format_name);
	tcase_add_named_test(t, row08_data_in_the_hole, 2, mock_format_name);
	tcase_add_named_test(t, row12_request_without_header_or_status, 2, mock_format_name);
	tcase_add_named_test(t, good_requests_of_the_same_batch_are_served, 2, mock_format_name);
	tcase_add_named_test(t, row26_broken_queue_is_drained_before_stop_returns, 2,
			     mock_format_name);
	tcase_add_named_test(t, needs_reset_is_set_before_the_interrupt, 2, mock_format_name);
	tcase_add_named_test(t, used_index_is_published_before_the_interrupt, 2, mock_format_name);
	tcase_add_test(t, queue_broken_a_hundred_times_is_logged_a_few_times);
	tcase_add_named_test(t, write_that_fails_after_the_ring_broke_does_not_pause_the_vm, 2,
			     mock_format_name);
	suite_add_tcase(s, t);
	return s;
}
