/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of what a failed request leaves behind: it is repeated from its start, and data is
 * whole. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/unit/parked_rig.h"

static uint64_t data[8]; /* guest physical addresses of the pieces below */

/* Offers a request with `count` pieces of 1024 bytes. In a write, each byte has the number of its
 * piece. Waits until the request is in flight. Returns the address of its status byte. */
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

/* Numbers of bytes that the host transfers, by one short transfer each, before the request
 * fails. */
static const struct {
	const char *name;
	unsigned int bytes[4];
} progress[] = {
	{ "none", { 0 } },
	{ "one byte", { 1 } },
	{ "a piece but one byte", { 1023 } },
	{ "a piece", { 1024 } },
	{ "a piece and a byte", { 1025 } },
	{ "within the third piece", { 3000 } },
	{ "a piece in two", { 700, 324 } },
	{ "over a piece in four", { 700, 1, 323, 1 } },
	{ "over pieces in two", { 700, 2000 } },
	{ "over pieces in four", { 1024, 1024, 500, 700 } },
};

/* Completes the pending request by these short transfers and an error. */
static void fail_after(int way, int err)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < 4 && progress[way].bytes[i]; i++) {
		scripted_complete(r.engine, 0, progress[way].bytes[i]);
		scripted_wait(r.engine, 1);
		done += progress[way].bytes[i];
		/* The next segment must be pending, not the one that was completed. */
		mock_wait_until(scripted_held(r.engine) &&
				scripted_seg(r.engine, 0).offset == done);
	}
	scripted_complete(r.engine, 0, err);
}

START_TEST(repeated_request_begins_at_its_start)
{
	struct scripted_seg seg;
	uint64_t status;

	begin(0, BLKPOLICY_ENOSPC);
	/* A request that fails leaves no state for the next one in its slot. */
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
	/* The repeated request fails, and is repeated again. */
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

START_TEST(ignored_read_error_returns_zeros)
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

static const struct {
	const char *name;
	uint32_t type;
	enum io_op op;
} ranges[] = {
	{ "write zeroes", VIRTIO_BLK_T_WRITE_ZEROES, IO_WRITE_ZEROES },
	{ "discard", VIRTIO_BLK_T_DISCARD, IO_DISCARD },
};

/* The scripted engine has no image, so that the worker always fails. */
START_TEST(ranges_are_parked_and_repeated)
{
	const struct virtio_blk_discard_write_zeroes segment = { .sector = 8, .num_sectors = 8 };
	struct mock_blk req;

	rig_init(&r, 16, false, false, 16);
	r.config.disk.discard_max = r.config.disk.zeroes_max = 64;
	set(BLKPOLICY_STOP);
	rig_start(&r);
	mock_blk(m, &req, ranges[_i].type, 0, sizeof(segment));
	memcpy(mock_ptr(m, req.data), &segment, sizeof(segment));
	mock_offer(m, req.head);
	wait_heard(1, ranges[_i].op, EBADF);
	blkplane_pause(r.plane);
	blkplane_resume(r.plane);
	wait_heard(2, ranges[_i].op, EBADF);
	ck_assert_uint_eq(mock_status(m, &req), 0xff);
	rig_stop(&r);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_IOERR);
	rig_fini(&r);
}
END_TEST

/* ---- a host whose file system is full, and then is not ---- */

#define LIMIT (RIG_CAPACITY / 2)

/* The writes lie before the size limit, across it and beyond it. */
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
	/* The limit is still the same. */
	blkplane_resume(r.plane);
	wait_heard(2, IO_WRITE, EFBIG);
	/* All writes must have failed before the limit is raised. */
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
	Suite *s = suite_create("blkplane_repeat");
	TCase *t = tcase_create("blkplane_repeat");

	tcase_add_table_test(t, repeated_request_begins_at_its_start, progress);
	tcase_add_table_test(t, ignored_read_error_returns_zeros, progress);
	tcase_add_table_test(t, ranges_are_parked_and_repeated, ranges);
	tcase_add_named_test(t, writes_are_whole_after_resume_on_every_engine, engine_ways(),
			     engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
