/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the synchronous engine alone. test_blkplane_io.c tests it with the plane. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"
#include "dataplane/ioengine.h"

static struct ioengine *e;
static char memory[3][512];
static struct iovec iov[3];
static struct io_task task[3];

static void begin(int fd)
{
	struct ioengine_config config = { .fd = fd, .depth = 3, .direct_align = 1 };

	ck_assert_int_eq(ioengine_create(&e, &ioengine_sync, &config), 0);
	ck_assert_int_eq(e->event_fd, -1);
}

static void prep(unsigned int i, enum io_op op, bool stable, uint64_t offset, uint32_t len)
{
	iov[i] = (struct iovec){ .iov_base = memory[i], .iov_len = len };
	task[i] = (struct io_task){ .op = op,
				    .stable = stable,
				    .offset = offset,
				    .len = len,
				    .iov = &iov[i],
				    .iov_count = 1 };
	ioengine_prep(e, &task[i]);
}

/* Checks that task i is the next one that is finished. */
static void expect(unsigned int i, int result)
{
	ck_assert_ptr_eq(ioengine_finished(e), &task[i]);
	ck_assert_int_eq(task[i].result, result);
}

START_TEST(all_requests_are_finished_when_submit_returns)
{
	struct test_image image;
	char bytes[512];

	image_make(&image, 4096, false);
	begin(image.fd);
	memset(memory[1], 0x33, 512);
	prep(0, IO_READ, false, 512, 512);
	prep(1, IO_WRITE, true, 1024, 512);
	prep(2, IO_FLUSH, false, 0, 0);
	ck_assert_uint_eq(ioengine_room(e), 0);
	ck_assert_ptr_null(ioengine_finished(e));
	ioengine_submit(e);
	expect(0, 0);
	expect(1, 0);
	expect(2, 0);
	ck_assert_ptr_null(ioengine_finished(e));
	ck_assert(image_is_fresh(memory[0], 512, 512));
	image_peek(&image, bytes, 1024, 512);
	ck_assert(all_bytes(bytes, 0x33, 512));
	ck_assert_uint_eq(ioengine_room(e), 3);
	ioengine_destroy(e);
	image_remove(&image);
}
END_TEST

/* The thread can serve other clients between two segments of a transfer. */
START_TEST(large_transfer_takes_a_turn_for_each_segment)
{
	enum { LEN = 9 << 20 };
	static char large[LEN];
	struct test_image image;

	image_make(&image, LEN, false);
	begin(image.fd);
	prep(0, IO_READ, false, 0, 512);
	iov[1] = (struct iovec){ .iov_base = large, .iov_len = LEN };
	task[1] = (struct io_task){ .op = IO_READ, .len = LEN, .iov = &iov[1], .iov_count = 1 };
	ioengine_prep(e, &task[1]);
	ioengine_submit(e);
	expect(0, 0);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_ptr_null(ioengine_finished(e));
		ck_assert(ioengine_ready(e));
		ioengine_reap(e);
		ioengine_submit(e);
	}
	expect(1, 0);
	ck_assert(!ioengine_ready(e));
	ck_assert(image_is_fresh(large, 0, LEN));
	ioengine_destroy(e);
	image_remove(&image);
}
END_TEST

START_TEST(each_request_has_an_error_of_its_own)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	begin(fd);
	prep(0, IO_WRITE, false, 0, 512);
	prep(1, IO_FLUSH, false, 0, 0);
	prep(2, IO_READ, false, 0, 512);
	memset(memory[2], 0x44, 512);
	ioengine_submit(e);
	expect(0, -EBADF);
	expect(1, -EINVAL);
	expect(2, 0); /* zeros after the end of the file */
	ck_assert(all_bytes(memory[2], 0, 512));
	ioengine_destroy(e);
	close(fd);
}
END_TEST

/*
 * This file of procfs accepts writes without flags only, so that a write with RWF_DSYNC fails.
 */
START_TEST(stable_writes_have_the_dsync_flag)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	ssize_t len;

	ck_assert_int_ge(fd, 0);
	begin(fd);
	len = pread(fd, memory[0], sizeof(memory[0]), 0);
	ck_assert_int_gt(len, 0);
	memcpy(memory[1], memory[0], sizeof(memory[0]));
	prep(0, IO_WRITE, false, 0, (uint32_t)len);
	prep(1, IO_WRITE, true, 0, (uint32_t)len);
	ioengine_submit(e);
	expect(0, 0);
	expect(1, -EOPNOTSUPP);
	ioengine_destroy(e);
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_sync");
	TCase *t = tcase_create("ioengine_sync");

	tcase_add_test(t, all_requests_are_finished_when_submit_returns);
	tcase_add_test(t, large_transfer_takes_a_turn_for_each_segment);
	tcase_add_test(t, each_request_has_an_error_of_its_own);
	tcase_add_test(t, stable_writes_have_the_dsync_flag);
	suite_add_tcase(s, t);
	return s;
}
