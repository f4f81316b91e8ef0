/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of discards and write-zeroes of an ephemeral disk. Linked with --wrap: the functions below
 * fail or forward the calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/io_task.h"
#include "dataplane/ioranges.h"
#include "dataplane/overlay.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);

#define BLOCK  OVERLAY_BLOCK
#define BLOCKS 1000u
#define END    (BLOCKS * BLOCK - 512) /* of the base */

static struct test_image base, file;
static struct overlay *o;
static struct ioranges r;
static struct io_task task;
static int punch_error, write_error, read_error; /* of all calls */
static unsigned int signals;			 /* calls that a signal interrupts first */
static size_t longest;				 /* transfers are at most this long */
static off_t punched, punched_len;

static int refuse(int err)
{
	errno = err;
	return -1;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	punched = offset;
	punched_len += len;
	return punch_error ? refuse(punch_error) : __real_fallocate(fd, mode, offset, len);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (signals && signals--)
		return refuse(EINTR);
	if (write_error)
		return refuse(write_error);
	return __real_pwrite(fd, data, len < longest ? len : longest, offset);
}

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct iovec part = *iov;

	must(count == 1);
	if (signals && signals--)
		return refuse(EINTR);
	if (read_error)
		return refuse(read_error);
	part.iov_len = part.iov_len < longest ? part.iov_len : longest;
	return __real_preadv(fd, &part, 1, offset);
}

static void setup(void)
{
	longest = SIZE_MAX;
	image_make(&base, END, false);
	image_make(&file, BLOCKS * BLOCK, false);
	ck_assert_int_eq(overlay_create(&o, END), 0);
	r = (struct ioranges){ .fd = file.fd, .direct_align = 1, .overlay = o, .base_fd = base.fd };
}

static void teardown(void)
{
	overlay_destroy(o);
	image_remove(&base);
	image_remove(&file);
}

static int run(enum io_op op, uint64_t offset, uint32_t len, bool unmap)
{
	memset(&task, 0, sizeof(task));
	task.op = op;
	task.range_count = 1;
	task.range[0] = (struct io_range){ .offset = offset, .len = len, .unmap = unmap };
	punched_len = 0;
	return ioranges_run(&r, &task);
}

static bool is_written(uint64_t block)
{
	bool written;

	overlay_run(o, block, 1, &written);
	return written;
}

static bool has_zeros(uint64_t offset, uint64_t len)
{
	char *data = malloc(len);
	bool zeros;

	image_peek(&file, data, offset, len);
	zeros = all_bytes(data, 0, len);
	free(data);
	return zeros;
}

/* Returns whether the file has the data of the base, which has that of `file` at its creation. */
static bool has_base(uint64_t offset, uint64_t len)
{
	char *data = malloc(len);
	bool fresh;

	image_peek(&file, data, offset, len);
	fresh = image_is_fresh(data, offset, len);
	free(data);
	return fresh;
}

/* Makes the file different from the base, as far as nothing has been written. */
static void scribble(void)
{
	static const char junk[16 * BLOCK] = { 1 };

	must(__real_pwrite(file.fd, junk, sizeof(junk), 0) == sizeof(junk));
}

START_TEST(zeroes_hide_whole_blocks_by_holes)
{
	ck_assert_int_eq(run(IO_WRITE_ZEROES, BLOCK, 5 * BLOCK, false), 0);
	ck_assert(!is_written(0) && is_written(1) && is_written(5) && !is_written(6));
	ck_assert(has_zeros(BLOCK, 5 * BLOCK) && has_base(6 * BLOCK, BLOCK));
	ck_assert_int_eq(punched, BLOCK);
	ck_assert_int_eq(punched_len, 5 * BLOCK);
	/* A discard gives the space of written blocks back, and hides the others. */
	scribble();
	ck_assert_int_eq(run(IO_DISCARD, 0, 8 * BLOCK, false), 0);
	ck_assert_int_eq(punched_len, 8 * BLOCK);
	ck_assert(is_written(0) && is_written(7) && !is_written(8));
	ck_assert(has_zeros(0, 8 * BLOCK));
}
END_TEST

START_TEST(zeroes_of_a_part_copy_the_block)
{
	scribble();
	ck_assert_int_eq(run(IO_WRITE_ZEROES, BLOCK + 512, 1024, false), 0);
	ck_assert(is_written(1) && !is_written(0) && !is_written(2));
	ck_assert(has_base(BLOCK, 512) && has_zeros(BLOCK + 512, 1024));
	ck_assert(has_base(BLOCK + 1536, BLOCK - 1536));
	/* Both ends of a range. */
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 3 * BLOCK - 512, 2 * BLOCK, true), 0);
	ck_assert(is_written(2) && is_written(3) && is_written(4));
	ck_assert(has_base(2 * BLOCK, BLOCK - 512) && has_zeros(3 * BLOCK - 512, 2 * BLOCK));
	ck_assert(has_base(5 * BLOCK - 512, 512));
	/* Now they are written. */
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 2 * BLOCK, 512, false), 0);
	ck_assert(has_zeros(2 * BLOCK, 512) && has_base(2 * BLOCK + 512, BLOCK - 1024));
}
END_TEST

START_TEST(discard_leaves_parts_of_unwritten_blocks)
{
	ck_assert_int_eq(run(IO_DISCARD, 512, 512, false), 0);
	ck_assert_int_eq(run(IO_DISCARD, 2 * BLOCK - 512, BLOCK, false), 0);
	ck_assert_int_eq(punched_len, 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert(!is_written(i));
	ck_assert_int_eq(run(IO_DISCARD, BLOCK - 512, 2 * BLOCK, false), 0);
	ck_assert(!is_written(0) && is_written(1) && !is_written(2));
}
END_TEST

START_TEST(host_without_holes)
{
	punch_error = EOPNOTSUPP;
	/* A discard that the host does not support has no effect. */
	ck_assert_int_eq(run(IO_DISCARD, 0, 4 * BLOCK, false), 0);
	ck_assert(!is_written(0) && !is_written(3));
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4 * BLOCK, false), 0);
	ck_assert(is_written(0) && is_written(3) && has_zeros(0, 4 * BLOCK));
	/* Zeros in several writes. */
	longest = 1000;
	signals = 2;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 4 * BLOCK, 4 * BLOCK, false), 0);
	ck_assert(is_written(7) && has_zeros(4 * BLOCK, 4 * BLOCK));
	write_error = ENOSPC;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 8 * BLOCK, BLOCK, false), -ENOSPC);
	ck_assert(!is_written(8));
	r.no_punch = false;
	punch_error = EIO;
	ck_assert_int_eq(run(IO_DISCARD, 8 * BLOCK, BLOCK, false), -EIO);
	ck_assert_int_eq(run(IO_DISCARD, 0, BLOCK, false), -EIO);
	ck_assert(!is_written(8));
	/* The claims have ended. */
	ck_assert_uint_eq(overlay_claim(o, 8, 1), 1);
}
END_TEST

START_TEST(copy_in_several_transfers)
{
	scribble();
	longest = 1000;
	signals = 1;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 512, 512, false), 0);
	ck_assert(has_base(0, 512) && has_zeros(512, 512) && has_base(1024, BLOCK - 1024));
	ck_assert(is_written(0));
	/* The end of the base: the rest of its last block is zeros. */
	longest = SIZE_MAX;
	signals = 0;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, (BLOCKS - 1) * BLOCK, 512, false), 0);
	ck_assert(has_base((BLOCKS - 1) * BLOCK + 512, BLOCK - 1024));
	ck_assert(has_zeros(BLOCKS * BLOCK - 512, 512));
	/* O_DIRECT cannot continue at an odd position, where the base has been truncated. */
	must(!ftruncate(base.fd, BLOCK + 700));
	r.direct_align = 512;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, BLOCK, 512, false), 0);
	ck_assert(has_zeros(BLOCK, 512) && has_base(BLOCK + 512, 188));
	ck_assert(has_zeros(BLOCK + 700, BLOCK - 700));
	/* A write of less than O_DIRECT's alignment is no progress. */
	longest = 100;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 3 * BLOCK, 512, false), -EIO);
	ck_assert(!is_written(3));
}
END_TEST

START_TEST(host_errors_of_a_copy)
{
	read_error = EIO;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 512, 512, false), -EIO);
	ck_assert(!is_written(0));
	read_error = 0;
	write_error = ENOSPC;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 512, 512, false), -ENOSPC);
	ck_assert(!is_written(0));
	write_error = 0;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 512, 512, false), 0);
	ck_assert(is_written(0));
}
END_TEST

START_TEST(claim_of_a_write_blocks_the_range_there)
{
	ck_assert_uint_eq(overlay_claim(o, 3, 2), 2);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 6 * BLOCK, false), IORANGES_BLOCKED);
	ck_assert_uint_eq(task.awaited, 3);
	ck_assert_uint_eq(task.done, 3 * BLOCK);
	ck_assert(is_written(2) && !is_written(5));
	ck_assert_int_eq(ioranges_run(&r, &task), IORANGES_BLOCKED);
	overlay_end_claim(o, 3, 1, true);
	ck_assert_int_eq(ioranges_run(&r, &task), IORANGES_BLOCKED);
	ck_assert_uint_eq(task.awaited, 4);
	overlay_end_claim(o, 4, 1, false);
	ck_assert_int_eq(ioranges_run(&r, &task), 0);
	ck_assert(is_written(4) && is_written(5) && has_zeros(0, 6 * BLOCK));
	/* Part of a block. */
	ck_assert_uint_eq(overlay_claim(o, 8, 1), 1);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 8 * BLOCK, 512, false), IORANGES_BLOCKED);
	overlay_end_claim(o, 8, 1, false);
	ck_assert_int_eq(ioranges_run(&r, &task), 0);
}
END_TEST

/* Writes to a long range wait for a part of it at a time. */
START_TEST(long_range_is_hidden_in_parts)
{
	const uint64_t len = 40u << 20;

	overlay_destroy(o);
	ck_assert_int_eq(overlay_create(&o, len), 0);
	r.overlay = o;
	must(!ftruncate(file.fd, (off_t)len));
	ck_assert_uint_eq(overlay_claim(o, len / BLOCK - 1, 1), 1);
	ck_assert_int_eq(run(IO_DISCARD, 0, (uint32_t)len, false), IORANGES_BLOCKED);
	ck_assert_int_eq(punched, 32 << 20);
	ck_assert_int_eq(punched_len, len - BLOCK);
	overlay_end_claim(o, len / BLOCK - 1, 1, false);
	ck_assert_int_eq(ioranges_run(&r, &task), 0);
	ck_assert(is_written(len / BLOCK - 1));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioranges_overlay");
	TCase *t = tcase_create("ranges");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, zeroes_hide_whole_blocks_by_holes);
	tcase_add_test(t, zeroes_of_a_part_copy_the_block);
	tcase_add_test(t, discard_leaves_parts_of_unwritten_blocks);
	tcase_add_test(t, host_without_holes);
	tcase_add_test(t, copy_in_several_transfers);
	tcase_add_test(t, host_errors_of_a_copy);
	tcase_add_test(t, long_range_is_hidden_in_parts);
	tcase_add_test(t, claim_of_a_write_blocks_the_range_there);
	suite_add_tcase(s, t);
	return s;
}
