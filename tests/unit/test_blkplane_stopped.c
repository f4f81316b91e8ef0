/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of planes whose requests fail: they stop the VM, resume, and are stopped. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

#define KINDS 4 /* of rings */

static struct rig r;
static struct mockdrv *const m = &r.m;

static struct {
	unsigned int count; /* atomic */
	enum io_op op;
	int err;
} heard;

static void hear(struct blkplane_listener *watch, unsigned int queue, enum io_op op, int err)
{
	must(watch == r.config.listener && queue == 5);
	heard.op = op;
	heard.err = err;
	__atomic_fetch_add(&heard.count, 1, __ATOMIC_SEQ_CST);
}

static void wait_heard(unsigned int count, enum io_op op, int err)
{
	mock_wait_until(__atomic_load_n(&heard.count, __ATOMIC_SEQ_CST) == count);
	ck_assert_int_eq(heard.op, op);
	ck_assert_int_eq(heard.err, err);
}

static void on_broken(struct blkplane_listener *watch, unsigned int queue, const char *why)
{
	must(watch == r.config.listener && queue == 5 && *why);
}

static struct blkplane_listener watch = { .broken = on_broken, .stopped = hear };

static void set(enum blkpolicy_action action)
{
	r.config.policy = (struct blkpolicy){ .read = action, .write = action };
	r.config.listener = &watch;
	r.config.queue = 5;
	heard.count = 0;
}

static void begin(int kind, enum blkpolicy_action action)
{
	rig_init(&r, 16, false, false, 16);
	if (kind & 1)
		mock_ring_packed(m, 16, false, false);
	m->ring.in_order = kind & 2;
	set(action);
	rig_start(&r);
}

static void offer(struct mock_blk *req, uint32_t type, uint64_t sector, uint32_t len)
{
	mock_blk(m, req, type, sector, len);
	mock_offer(m, req->head);
}

/* As many used elements as that come, and no more. */
static void expect_used(unsigned int count)
{
	struct vring_used_elem elem;

	while (count--)
		mock_wait_used(m, &elem);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
}

START_TEST(stop_keeps_what_fails_and_resume_repeats_it_once)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH };
	const bool in_order = _i & 2;
	struct mock_blk req[4], late;
	uint64_t taken;

	begin(_i, BLKPOLICY_STOP);
	for (unsigned int i = 0; i < 4; i++) {
		offer(&req[i], types[i], i * 8, types[i] == VIRTIO_BLK_T_FLUSH ? 0 : 4096);
		scripted_wait(r.engine, i + 1);
	}
	scripted_complete(r.engine, 2, -ENOSPC);
	wait_heard(1, IO_WRITE, ENOSPC);
	/* Later is left alone, what was there goes on. */
	offer(&late, VIRTIO_BLK_T_OUT, 80, 512);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	scripted_complete(r.engine, 1, -EIO);
	scripted_complete(r.engine, 0, -EIO);
	expect_used(1);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_OK);
	for (unsigned int i = 1; i < 4; i++)
		ck_assert_uint_eq(mock_status(m, &req[i]), 0xff);
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	taken = READ_ONCE(r.stats.requests);
	blkplane_pause(r.plane);
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), taken);

	blkplane_resume(r.plane);
	scripted_wait(r.engine, 4);
	/* In the order in which they failed, then the new one. */
	ck_assert_uint_eq(scripted_seg(r.engine, 0).offset, 16 * 512);
	ck_assert_int_eq(scripted_seg(r.engine, 1).op, IO_FLUSH);
	ck_assert_uint_eq(scripted_seg(r.engine, 2).offset, 8 * 512);
	ck_assert_uint_eq(scripted_seg(r.engine, 2).len, 4096);
	ck_assert_uint_eq(scripted_seg(r.engine, 3).offset, 80 * 512);
	/* One of them fails again. */
	scripted_complete(r.engine, 0, -ENOSPC);
	wait_heard(2, IO_WRITE, ENOSPC);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(in_order ? 1 : 3);
	ck_assert_uint_eq(mock_status(m, &req[2]), 0xff);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(in_order ? 3 : 1);
	for (unsigned int i = 1; i < 4; i++)
		ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &late), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(READ_ONCE(r.stats.requests), 5);
	blkplane_pause(r.plane);
	blkplane_resume(r.plane);
	wait_idle_thread();
	ck_assert_uint_eq(scripted_held(r.engine), 0);
	rig_fini(&r);
}
END_TEST

/* A chain of a header, `count` pieces of data of 1024 bytes, with their number in each byte (a
 * read: 0xee), and a status byte. */
static uint64_t data[8];

static uint64_t pieces(uint32_t type, unsigned int count)
{
	struct mock_piece piece[10] = { { mock_header(m, type, 0), 16, false } };
	uint64_t status = mock_alloc(m, 1, 1);

	for (unsigned int i = 0; i < count; i++) {
		data[i] = mock_alloc(m, 1024, 512);
		if (type == VIRTIO_BLK_T_OUT)
			memset(mock_ptr(m, data[i]), (int)i, 1024);
		piece[1 + i] = (struct mock_piece){ data[i], 1024, type == VIRTIO_BLK_T_IN };
	}
	piece[1 + count] = (struct mock_piece){ status, 1, true };
	memset(mock_ptr(m, status), 0xff, 1);
	mock_offer(m, mock_chain(m, piece, 2 + count));
	scripted_wait(r.engine, 1);
	return status;
}

/* How much the host has done, each time it was asked, before it failed. */
static const unsigned int progress[][4] = {
	{ 0 },	  { 1 },	{ 1023 },	    { 1024 },	   { 1025 },
	{ 3000 }, { 700, 324 }, { 700, 1, 323, 1 }, { 700, 2000 }, { 1024, 1024, 500, 700 },
};

static void fail_after(int way, int err)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < 4 && progress[way][i]; i++) {
		scripted_complete(r.engine, 0, progress[way][i]);
		scripted_wait(r.engine, 1);
		done += progress[way][i];
		/* The rest of it, and not what was there before. */
		mock_wait_until(scripted_held(r.engine) &&
				scripted_seg(r.engine, 0).offset == done);
	}
	scripted_complete(r.engine, 0, err);
}

START_TEST(repeat_begins_at_the_start)
{
	struct scripted_seg seg;
	uint64_t status;

	begin(0, BLKPOLICY_ENOSPC);
	/* It leaves nothing behind for who is next at its place. */
	status = pieces(VIRTIO_BLK_T_OUT, 4);
	fail_after(_i, -EIO);
	expect_used(1);
	ck_assert(all_bytes(mock_ptr(m, status), VIRTIO_BLK_S_IOERR, 1));

	status = pieces(VIRTIO_BLK_T_OUT, 4);
	fail_after(_i, -ENOSPC);
	wait_heard(1, IO_WRITE, ENOSPC);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	seg = scripted_seg(r.engine, 0);
	ck_assert_uint_eq(seg.offset, 0);
	ck_assert_uint_eq(seg.len, 4096);
	ck_assert_uint_eq(seg.pieces, 4);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(seg.task->iov[i].iov_len, 1024);
		ck_assert(all_bytes(seg.task->iov[i].iov_base, (int)i, 1024));
	}
	/* And once more. */
	fail_after(_i, -EDQUOT);
	wait_heard(2, IO_WRITE, EDQUOT);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 1);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).len, 4096);
	ck_assert_uint_eq(scripted_seg(r.engine, 0).pieces, 4);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(1);
	ck_assert(all_bytes(mock_ptr(m, status), VIRTIO_BLK_S_OK, 1));
	rig_fini(&r);
}
END_TEST

START_TEST(ignored_read_leaks_nothing)
{
	struct vring_used_elem elem;
	uint64_t status;

	begin(0, BLKPOLICY_IGNORE);
	status = pieces(VIRTIO_BLK_T_IN, 4);
	fail_after(_i, -EIO);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(elem.len, 4097);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert(all_bytes(mock_ptr(m, data[i]), 0, 1024));
	ck_assert(all_bytes(mock_ptr(m, status), VIRTIO_BLK_S_OK, 1));
	ck_assert_uint_eq(heard.count, 0);
	rig_fini(&r);
}
END_TEST

/* Two are kept and one is in flight; who stops it gets all of them as failed, without waiting for
 * anybody to have it go on. */
START_TEST(stop_ends_what_is_kept)
{
	struct mock_blk req[3];

	begin(_i % KINDS, BLKPOLICY_STOP);
	for (unsigned int i = 0; i < 3; i++) {
		offer(&req[i], VIRTIO_BLK_T_OUT, i, 512);
		scripted_wait(r.engine, i + 1);
	}
	scripted_complete(r.engine, 0, -EIO);
	wait_heard(1, IO_WRITE, EIO);
	scripted_complete(r.engine, 0, -EIO);
	wait_idle_thread();
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	if (_i & KINDS)
		blkplane_pause(r.plane);
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &req[0]), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(mock_status(m, &req[1]), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(mock_status(m, &req[2]), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 3; i++) {
		struct vring_used_elem elem;

		ck_assert(mock_used(m, &elem));
	}
	ck_assert(!mock_has_used(m));
	ck_assert_uint_eq(heard.count, 1);
	rig_fini(&r);
}
END_TEST

static void *stop_it(void *arg)
{
	rig_stop(&r);
	return arg;
}

static void answer(struct iothread_call *call)
{
	iothread_call_done(call);
}

START_TEST(what_fails_while_it_is_stopped_is_not_kept)
{
	struct iothread_call after = { .run = answer };
	uint64_t woken;
	struct mock_blk req;
	pthread_t stopper;

	begin(_i, BLKPOLICY_STOP);
	offer(&req, VIRTIO_BLK_T_OUT, 0, 512);
	scripted_wait(r.engine, 1);
	woken = eventfd_count(r.thread->loop.wake_fd);
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop_it, NULL), 0);
	mock_wait_until(eventfd_count(r.thread->loop.wake_fd) == woken + 1);
	iothread_call(r.thread, &after);
	scripted_complete(r.engine, 0, -ENOSPC);
	pthread_join(stopper, NULL);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(heard.count, 0);
	rig_fini(&r);
}
END_TEST

/* The switch waits for nobody; a write that began before it is made stable by its repetition. */
START_TEST(cache_is_switched_while_a_write_is_kept)
{
	struct mock_blk write, flush;

	begin(_i, BLKPOLICY_STOP);
	offer(&flush, VIRTIO_BLK_T_FLUSH, 0, 0);
	scripted_wait(r.engine, 1);
	offer(&write, VIRTIO_BLK_T_OUT, 0, 512);
	scripted_wait(r.engine, 2);
	ck_assert(!scripted_seg(r.engine, 1).stable);
	scripted_complete_all(r.engine, -ENOSPC);
	wait_heard(1, IO_FLUSH, ENOSPC);
	blkplane_set_writethrough(r.plane, true);
	blkplane_resume(r.plane);
	scripted_wait(r.engine, 2);
	ck_assert(!scripted_seg(r.engine, 0).stable);
	ck_assert(scripted_seg(r.engine, 1).stable);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(2);
	ck_assert_uint_eq(mock_status(m, &write), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

/* A broken queue's requests are drained, the kept one as well. */
START_TEST(ring_breaks_behind_a_request_that_is_kept)
{
	struct mock_blk write, behind;

	rig_init(&r, 16, false, false, 16);
	set(BLKPOLICY_STOP);
	r.config.listener = NULL;
	rig_start(&r);
	offer(&write, VIRTIO_BLK_T_OUT, 0, 512);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, -EIO);
	wait_idle_thread();
	mock_blk(m, &behind, VIRTIO_BLK_T_OUT, 0, 512);
	mock_offer(m, 16);
	wait_idle_thread();
	ck_assert(!rig_is_broken(&r));
	blkplane_resume(r.plane);
	rig_wait_broken(&r);
	scripted_wait(r.engine, 1);
	scripted_complete(r.engine, 0, -EIO);
	wait_idle_thread();
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &write), 0xff);
	rig_fini(&r);
}
END_TEST

/* On an image that is none: the helper thread fails in it each time. */
START_TEST(ranges_are_kept_and_repeated)
{
	const struct virtio_blk_discard_write_zeroes segment = { .sector = 8, .num_sectors = 8 };
	struct mock_blk req;

	rig_init(&r, 16, false, false, 16);
	r.config.disk.discard_max = r.config.disk.zeroes_max = 64;
	set(BLKPOLICY_STOP);
	rig_start(&r);
	mock_blk(m, &req, _i ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES, 0,
		 sizeof(segment));
	memcpy(mock_ptr(m, req.data), &segment, sizeof(segment));
	mock_offer(m, req.head);
	wait_heard(1, _i ? IO_DISCARD : IO_WRITE_ZEROES, EBADF);
	blkplane_pause(r.plane);
	blkplane_resume(r.plane);
	wait_heard(2, _i ? IO_DISCARD : IO_WRITE_ZEROES, EBADF);
	ck_assert_uint_eq(mock_status(m, &req), 0xff);
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_IOERR);
	rig_fini(&r);
}
END_TEST

/* ---- a host that has no room, and then has ---- */
#define LIMIT (RIG_CAPACITY / 2)

/* Writes that lie before the limit, across it and behind it. */
START_TEST(writes_are_whole_after_resume_on_every_engine)
{
	const struct engine_way way = engine_way(_i % engine_ways());
	const uint32_t len = 65536;
	struct mock_blk req[4];
	struct rlimit limit, before;
	uint8_t *seen = calloc(4, len);

	signal(SIGXFSZ, SIG_IGN);
	must(!getrlimit(RLIMIT_FSIZE, &before));
	limit = (struct rlimit){ LIMIT, before.rlim_max };
	rig_init_file(&r, way.ops, 16, way.direct);
	set(BLKPOLICY_STOP);
	rig_start(&r);
	must(!setrlimit(RLIMIT_FSIZE, &limit));
	for (unsigned int i = 0; i < 4; i++) {
		mock_blk(m, &req[i], VIRTIO_BLK_T_OUT, (LIMIT - len * 3 / 2 + i * len) / 512, len);
		memset(mock_ptr(m, req[i].data), 0x40 + (int)i, len);
		mock_stage(m, req[i].head);
	}
	mock_show(m);
	mock_kick(m);
	wait_heard(1, IO_WRITE, EFBIG);
	expect_used(1);
	blkplane_pause(r.plane);
	/* There is still no room. */
	blkplane_resume(r.plane);
	wait_heard(2, IO_WRITE, EFBIG);
	/* What fails later than the resume would be kept again. */
	blkplane_pause(r.plane);
	expect_used(0);
	must(!setrlimit(RLIMIT_FSIZE, &before));
	blkplane_resume(r.plane);
	expect_used(3);
	image_peek(&r.image, seen, LIMIT - len * 3 / 2, 4 * len);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
		ck_assert(all_bytes(seen + i * len, 0x40 + (int)i, len));
	}
	free(seen);
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_stopped");
	TCase *t = tcase_create("blkplane_stopped");
	const int ways = (int)ARRAY_SIZE(progress);

	tcase_add_loop_test(t, stop_keeps_what_fails_and_resume_repeats_it_once, 0, KINDS);
	tcase_add_loop_test(t, repeat_begins_at_the_start, 0, ways);
	tcase_add_loop_test(t, ignored_read_leaks_nothing, 0, ways);
	tcase_add_loop_test(t, stop_ends_what_is_kept, 0, 2 * KINDS);
	tcase_add_loop_test(t, what_fails_while_it_is_stopped_is_not_kept, 0, KINDS);
	tcase_add_loop_test(t, cache_is_switched_while_a_write_is_kept, 0, KINDS);
	tcase_add_loop_test(t, ranges_are_kept_and_repeated, 0, 2);
	tcase_add_test(t, ring_breaks_behind_a_request_that_is_kept);
	tcase_add_loop_test(t, writes_are_whole_after_resume_on_every_engine, 0, engine_ways());
	suite_add_tcase(s, t);
	return s;
}
