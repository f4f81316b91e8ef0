/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a plane with the scripted engine: requests, batches, interrupts, back-pressure. */
#include <errno.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;

/* Sums of what the plane told its thread after each turn; atomic. */
static unsigned int told_popped, told_published, told_irq;
static __typeof__(((struct iothread_client *)0)->serve) plane_serve;

static struct iothread_served count_serve(struct iothread_client *client)
{
	struct iothread_served served = plane_serve(client);

	__atomic_fetch_add(&told_popped, served.popped, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&told_published, served.published, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&told_irq, served.irq, __ATOMIC_SEQ_CST);
	return served;
}

void __real_iothread_add(struct iothread *thread, struct iothread_client *client);
void __wrap_iothread_add(struct iothread *thread, struct iothread_client *client);

void __wrap_iothread_add(struct iothread *thread, struct iothread_client *client)
{
	plane_serve = client->serve;
	client->serve = count_serve;
	__real_iothread_add(thread, client);
}

static void expect_used(uint16_t head, uint32_t len)
{
	struct vring_used_elem elem;

	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.id, head);
	ck_assert_uint_eq(elem.len, len);
}

START_TEST(requests_complete_in_any_order)
{
	struct mock_blk req[3];

	rig_init(&r, 16, false, false, 16);
	mock_blk(m, &req[0], VIRTIO_BLK_T_IN, 1, 512);
	mock_blk(m, &req[1], VIRTIO_BLK_T_OUT, 2, 1024);
	mock_blk(m, &req[2], VIRTIO_BLK_T_IN, 3, 512);
	rig_start(&r);
	for (unsigned int i = 0; i < 3; i++)
		mock_offer(m, req[i].head);
	scripted_wait(r.engine, 3);
	ck_assert_int_eq(scripted_seg(r.engine, 0).op, IO_READ);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, 512);
	ck_assert_int_eq(scripted_seg(r.engine, 1).op, IO_WRITE);
	ck_assert_uint_eq(scripted_seg(r.engine, 1).len, 1024);

	scripted_complete(r.engine, 2, SCRIPTED_ALL);
	expect_used(req[2].head, 513);
	ck_assert_uint_eq(mock_status(m, &req[2]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &req[0]), 0xff);
	scripted_complete(r.engine, 0, -EIO);
	expect_used(req[0].head, 0);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_IOERR);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(req[1].head, 1);
	ck_assert_uint_eq(mock_status(m, &req[1]), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

/* Other requests are served while the host executes many flushes. */
START_TEST(row38_flush_blocks_the_loop)
{
	enum { FLUSHES = 20 };
	struct mock_blk flush[FLUSHES], read, id;

	rig_init(&r, 64, false, false, 32);
	mock_blk(m, &read, VIRTIO_BLK_T_IN, 0, 512);
	mock_blk(m, &id, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	for (unsigned int i = 0; i < FLUSHES; i++) {
		mock_blk(m, &flush[i], VIRTIO_BLK_T_FLUSH, 0, 0);
		mock_offer(m, flush[i].head);
	}
	scripted_wait(r.engine, FLUSHES);
	mock_offer(m, read.head);
	mock_offer(m, id.head);
	expect_used(id.head, 21);
	scripted_wait(r.engine, FLUSHES + 1);
	scripted_complete(r.engine, FLUSHES, SCRIPTED_ALL);
	expect_used(read.head, 513);
	for (unsigned int i = 0; i < FLUSHES; i++)
		ck_assert_uint_eq(mock_status(m, &flush[i]), 0xff);
	scripted_complete_all(r.engine, 0);
	for (unsigned int i = 0; i < FLUSHES; i++) {
		expect_used(flush[i].head, 1);
		ck_assert_uint_eq(mock_status(m, &flush[i]), VIRTIO_BLK_S_OK);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(error_of_a_flush_is_reported)
{
	struct mock_blk flush;

	rig_init(&r, 4, false, false, 4);
	mock_blk(m, &flush, VIRTIO_BLK_T_FLUSH, 0, 0);
	rig_start(&r);
	mock_offer(m, flush.head);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, -ENOSPC);
	expect_used(flush.head, 1);
	ck_assert_uint_eq(mock_status(m, &flush), VIRTIO_BLK_S_IOERR);
	rig_fini(&r);
}
END_TEST

/* The requests are in the ring before the start. */
START_TEST(one_submit_and_one_interrupt_per_batch)
{
	struct mock_blk req[5];

	rig_init(&r, 16, false, false, 16);
	for (unsigned int i = 0; i < 5; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i, 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	rig_start(&r);
	scripted_wait(r.engine, 5);
	ck_assert_uint_eq(scripted_submits(r.engine), 1);
	ck_assert_uint_eq(mock_irqs(m), 0);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	mock_wait_index(m, 5);
	rig_stop(&r);
	ck_assert_uint_eq(mock_irqs(m), 1);
	ck_assert_uint_eq(__atomic_load_n(&told_popped, __ATOMIC_SEQ_CST), 5);
	ck_assert_uint_eq(__atomic_load_n(&told_published, __ATOMIC_SEQ_CST), 1);
	ck_assert_uint_eq(__atomic_load_n(&told_irq, __ATOMIC_SEQ_CST), 1);
	ck_assert_uint_eq(r.irq_status, IRQLINE_USED_RING);
	rig_fini(&r);
}
END_TEST

START_TEST(one_interrupt_for_requests_that_need_no_io)
{
	struct mock_blk req[4];

	rig_init(&r, 16, false, false, 16);
	for (unsigned int i = 0; i < 4; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_GET_ID, 0, 20);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	rig_start(&r);
	mock_wait_index(m, 4);
	rig_stop(&r);
	ck_assert_uint_eq(mock_irqs(m), 1);
	ck_assert_uint_eq(scripted_submits(r.engine), 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_mem_eq(mock_ptr(m, req[i].data), RIG_ID, 20);
	rig_fini(&r);
}
END_TEST

/* Returns the number of interrupts for four requests, which are completed one by one. */
static uint64_t interrupts_for(bool event_idx, uint16_t flags, uint16_t used_event)
{
	struct mock_blk req[4];
	uint64_t irqs;

	rig_init(&r, 16, event_idx, false, 16);
	WRITE_ONCE(m->avail->flags, flags);
	WRITE_ONCE(*mock_used_event(m), used_event);
	for (unsigned int i = 0; i < 4; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i, 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	rig_start(&r);
	scripted_wait(r.engine, 4);
	for (uint16_t i = 0; i < 4; i++) {
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		mock_wait_index(m, (uint16_t)(i + 1));
	}
	rig_stop(&r);
	irqs = mock_irqs(m);
	rig_fini(&r);
	return irqs;
}

START_TEST(row16_interrupt_suppression_counts)
{
	ck_assert_uint_eq(interrupts_for(false, 0, 0), 4);
	ck_assert_uint_eq(interrupts_for(false, VRING_AVAIL_F_NO_INTERRUPT, 0), 0);
	ck_assert_uint_eq(interrupts_for(true, 0, 0), 1);
	ck_assert_uint_eq(interrupts_for(true, 0, 3), 1);
	ck_assert_uint_eq(interrupts_for(true, VRING_AVAIL_F_NO_INTERRUPT, 3), 1);
	ck_assert_uint_eq(interrupts_for(true, 0, 4), 0);
	ck_assert_uint_eq(interrupts_for(true, 0, 0xffff), 0);
}
END_TEST

START_TEST(doorbell_from_before_the_start_is_not_lost)
{
	struct mock_blk req;

	rig_init(&r, 4, true, false, 4);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	/* The driver offers a request and does not notify. */
	mock_stage(m, req.head);
	mock_show(m);
	rig_start(&r);
	expect_used(req.head, 21);
	rig_stop(&r);

	/* A notification from before the start has no entry in the new ring. */
	mock_kick(m);
	mock_ring(m, 4, false, false);
	mock_blk(m, &req, VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	wait_idle_thread();
	ck_assert_uint_eq(mock_used_index(m), 0);
	mock_offer(m, req.head);
	expect_used(req.head, 21);
	rig_fini(&r);
}
END_TEST

/* The engine accepts two of eight requests. The others stay in the ring, and notifications are
 * disabled. */
START_TEST(back_pressure_leaves_requests_in_the_ring)
{
	struct mock_blk req[8];

	rig_init(&r, 32, false, false, 2);
	for (unsigned int i = 0; i < 8; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_IN, i, 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	rig_start(&r);
	scripted_wait(r.engine, 2);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 2);
	ck_assert_uint_eq(READ_ONCE(m->used->flags), VRING_USED_F_NO_NOTIFY);
	/* A notification changes nothing. */
	mock_kick(m);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 2);
	for (unsigned int i = 0; i < 8; i++) {
		scripted_wait(r.engine, i < 7 ? 2 : 1);
		ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, i * 512);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		expect_used(req[i].head, 513);
	}
	wait_idle_thread();
	ck_assert_uint_eq(READ_ONCE(m->used->flags), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(host_accepts_one_request_per_submit)
{
	struct mock_blk req[6];

	rig_init(&r, 32, false, false, 32);
	scripted_accept(r.engine, 1);
	for (unsigned int i = 0; i < 6; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, i, 512);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	rig_start(&r);
	for (unsigned int i = 0; i < 6; i++) {
		scripted_wait(r.engine, 1);
		ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, i * 512);
		scripted_complete(r.engine, 0, SCRIPTED_ALL);
		expect_used(req[i].head, 1);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(writethrough_reaches_the_engine)
{
	struct mock_blk req;

	rig_init(&r, 4, false, false, 4);
	r.config.disk.writethrough = true;
	mock_blk(m, &req, VIRTIO_BLK_T_OUT, 0, 512);
	rig_start(&r);
	mock_offer(m, req.head);
	scripted_wait(r.engine, 1);
	ck_assert(scripted_seg(r.engine, 0).stable);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(req.head, 1);
	rig_fini(&r);
}
END_TEST

/* The ring is always full, until its indices have wrapped. */
START_TEST(row18_indices_wrap)
{
	struct mock_blk req[8];
	uint32_t offered = 0, done = 0;
	unsigned int seen[64] = { 0 };

	rig_init(&r, 32, true, false, 32);
	/* 31 is no multiple of the 24 descriptors of 8 requests, so that each begins at all
	 * positions. */
	if (_i)
		mock_ring_packed(m, 31, true, false);
	for (unsigned int i = 0; i < 8; i++)
		mock_blk(m, &req[i], VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	while (done < 70000) {
		struct vring_used_elem elem;

		while (offered < done + 8 && offered < 70000)
			mock_offer(m, req[offered++ % 8].head);
		mock_wait_used(m, &elem);
		must(elem.id == req[done % 8].head);
		seen[elem.id]++;
		done++;
	}
	ck_assert(!mock_has_used(m));
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(seen[req[i].head], 70000 / 8);
	rig_fini(&r);
}
END_TEST

static const char *const event_idx[] = { "without EVENT_IDX", "with EVENT_IDX" };

/*
 * The driver notifies only when the device requests it. It adds a request after the device has
 * completed the one before, and before the device has enabled notifications again: the dataplane
 * thread is blocked in the interrupt meanwhile.
 */
START_TEST(request_added_before_notifications_are_enabled_is_not_lost)
{
	struct mock_blk req[2];

	rig_init(&r, 8, _i, false, 4);
	mock_blk(m, &req[0], VIRTIO_BLK_T_GET_ID, 0, 20);
	mock_blk(m, &req[1], VIRTIO_BLK_T_GET_ID, 0, 20);
	rig_start(&r);
	wait_idle_thread();
	rig_block_irq(&r);
	mock_offer(m, req[0].head);
	mock_wait_index(m, 1);
	mock_stage(m, req[1].head);
	mock_show(m);
	if (_i)
		ck_assert(!vring_need_event(mock_avail_event(m), 2, 1));
	else
		ck_assert_uint_eq(READ_ONCE(m->used->flags), VRING_USED_F_NO_NOTIFY);
	mock_irqs(m);
	mock_wait_index(m, 2);
	rig_fini(&r);
}
END_TEST

START_TEST(row20_start_refuses_an_invalid_ring)
{
	struct blkplane *plane = NULL;

	rig_init(&r, 4, false, false, 4);
	unsigned int fds = count_fds(), threads = count_threads();
	r.config.ring.size = 3;
	ck_assert_int_eq(blkplane_start(&plane, &r.config), -EINVAL);
	r.config.ring = m->ring;
	r.config.ring.used = MOCK_HOLE;
	ck_assert_int_eq(blkplane_start(&plane, &r.config), -EFAULT);
	r.config.ring = m->ring;
	r.config.kick_fd = -1;
	ck_assert_int_eq(blkplane_start(&plane, &r.config), -EBADF);
	ck_assert_ptr_null(plane);
	ck_assert_uint_eq(count_fds(), fds);
	mock_wait_until(count_threads() == threads);
	blkplane_stop(NULL);
	rig_fini(&r);
}
END_TEST

START_TEST(idle_plane_sleeps)
{
	rig_init(&r, 4, true, false, 4);
	rig_start(&r);
	wait_idle_thread();
	for (unsigned int i = 0; i < 100; i++)
		mock_kick(m);
	wait_idle_thread();
	ck_assert_uint_eq(mock_irqs(m), 0);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane");
	TCase *t = tcase_create("blkplane");

	tcase_add_test(t, requests_complete_in_any_order);
	tcase_add_test(t, row38_flush_blocks_the_loop);
	tcase_add_test(t, error_of_a_flush_is_reported);
	tcase_add_test(t, one_submit_and_one_interrupt_per_batch);
	tcase_add_test(t, one_interrupt_for_requests_that_need_no_io);
	tcase_add_test(t, row16_interrupt_suppression_counts);
	tcase_add_test(t, doorbell_from_before_the_start_is_not_lost);
	tcase_add_test(t, back_pressure_leaves_requests_in_the_ring);
	tcase_add_test(t, host_accepts_one_request_per_submit);
	tcase_add_test(t, writethrough_reaches_the_engine);
	tcase_add_named_test(t, row18_indices_wrap, 2, mock_format_name);
	tcase_add_names_test(t, request_added_before_notifications_are_enabled_is_not_lost,
			     event_idx);
	tcase_add_test(t, row20_start_refuses_an_invalid_ring);
	tcase_add_test(t, idle_plane_sleeps);
	suite_add_tcase(s, t);
	return s;
}
