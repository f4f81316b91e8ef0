/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of discards and write zeroes, and of the errors of the host. Linked with --wrap: the
 * functions below count the calls, and fail or forward them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_ioctl(int fd, unsigned long request, ...);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

#define SIZE  (4u << 20)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

/* The script of a system call. */
struct script {
	int errors[4];	 /* errors of the first calls; 0: success */
	unsigned int at; /* index of the next of them */
	int always;	 /* error of all later calls; 0: the real call is made */
	unsigned int calls;
};

static struct script punch, zero_range, discard_ioctl, write_script, seek, sync_script;
static bool pretend;		      /* fallocate succeeds, and does nothing */
static ssize_t write_short = -1;      /* number of bytes that the next pwrite writes; -1: all */
static uint64_t ranges_seen[2];	      /* argument of the last BLKDISCARD */
static uint64_t total;		      /* bytes of all fallocate and BLKDISCARD calls */
static uint64_t longest;	      /* largest number of bytes of one of them */
static struct ioranges *cancel_after; /* cancelled by the next call; or NULL */

/* Returns true, and sets errno, when the script says that this call fails. */
static bool refuses(struct script *p)
{
	int err = p->at < ARRAY_SIZE(p->errors) ? p->errors[p->at++] : 0;

	p->calls++;
	errno = err ? err : p->always;
	return errno;
}

static void count(uint64_t len)
{
	total += len;
	longest = len > longest ? len : longest;
	if (cancel_after)
		cancel_after->cancel = true;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	ck_assert(mode == PUNCH || mode == ZERO);
	if (refuses(mode == PUNCH ? &punch : &zero_range))
		return -1;
	count((uint64_t)len);
	return pretend ? 0 : __real_fallocate(fd, mode, offset, len);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	ck_assert_int_ge(fd, 0);
	ck_assert(request == BLKDISCARD);
	va_start(ap, request);
	memcpy(ranges_seen, va_arg(ap, uint64_t *), sizeof(ranges_seen));
	va_end(ap);
	if (refuses(&discard_ioctl))
		return -1;
	count(ranges_seen[1]);
	return 0;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t n = write_short;

	if (refuses(&write_script))
		return -1;
	if (cancel_after)
		cancel_after->cancel = true;
	write_short = -1;
	if (n == 0)
		return 0;
	return __real_pwrite(fd, data, n > 0 ? (size_t)n : len, offset);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	return refuses(&seek) ? -1 : __real_lseek(fd, offset, whence);
}

int __wrap_fdatasync(int fd)
{
	return refuses(&sync_script) ? -1 : __real_fdatasync(fd);
}

static struct test_image image;
static struct ioranges r;
static struct io_task task;
static uint8_t bytes[SIZE];

static void setup(void)
{
	image_make(&image, SIZE, false);
	r = (struct ioranges){ .fd = image.fd, .direct_align = 1 };
	/* image_make calls these functions, too. */
	write_script.calls = seek.calls = 0;
}

static void teardown(void)
{
	image_remove(&image);
}

static int run(enum io_op op, uint64_t offset, uint64_t len, bool unmap)
{
	task = (struct io_task){ .op = op, .range_count = 1 };
	task.range[0] = (struct io_range){ offset, (uint32_t)len, unmap };
	return ioranges_run(&r, &task);
}

/* Checks that [from, to) reads as zeros, and that the rest of the image has its original
 * content. */
static void expect_zeros(uint64_t from, uint64_t to)
{
	ck_assert_uint_eq(image_size(&image), image.size);
	image_peek(&image, bytes, 0, image.size);
	ck_assert(image_is_fresh(bytes, 0, from));
	ck_assert(all_bytes(bytes + from, 0, to - from));
	ck_assert(image_is_fresh(bytes + to, to, image.size - to));
}

START_TEST(discard_makes_a_hole)
{
	ck_assert_int_eq(run(IO_DISCARD, 8192, 65536, false), 0);
	ck_assert_uint_eq(punch.calls, 1);
	ck_assert_uint_eq(zero_range.calls + write_script.calls + sync_script.calls, 0);
	expect_zeros(8192, 8192 + 65536);
}
END_TEST

START_TEST(ranges_are_executed_in_their_order)
{
	task = (struct io_task){ .op = IO_WRITE_ZEROES, .range_count = 3 };
	task.range[0] = (struct io_range){ 4096, 4096, false };
	task.range[1] = (struct io_range){ 8192, 4096, true };
	task.range[2] = (struct io_range){ 12288, 512, false };
	ck_assert_int_eq(ioranges_run(&r, &task), 0);
	ck_assert_uint_eq(punch.calls, 1);
	ck_assert_uint_eq(zero_range.calls, 2);
	expect_zeros(4096, 12288 + 512);

	/* The ranges after one that fails are not executed. */
	zero_range = (struct script){ .errors = { 0, EIO } };
	for (unsigned int i = 0; i < 3; i++)
		task.range[i] = (struct io_range){ 12288 + 4096 * i, 4096, false };
	task.range_at = 0;
	ck_assert_int_eq(ioranges_run(&r, &task), -EIO);
	ck_assert_uint_eq(zero_range.calls, 2);
	expect_zeros(4096, 16384);
}
END_TEST

/* Only with UNMAP may the blocks be deallocated. */
START_TEST(zeroes_with_and_without_unmap)
{
	for (unsigned int unmap = 0; unmap < 2; unmap++) {
		punch.calls = zero_range.calls = 0;
		ck_assert_int_eq(run(IO_WRITE_ZEROES, 4096, 4096, unmap), 0);
		ck_assert_uint_eq(punch.calls, unmap);
		ck_assert_uint_eq(zero_range.calls, !unmap);
	}
	expect_zeros(4096, 8192);
}
END_TEST

/* A discard is a hint, so that it succeeds. The host is not asked again. */
START_TEST(host_cannot_discard)
{
	static const int errors[] = { EOPNOTSUPP, ENOTTY };

	for (unsigned int i = 0; i < 2; i++) {
		r = (struct ioranges){ .fd = image.fd, .direct_align = 1 };
		punch = (struct script){ .always = errors[i] };
		ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), 0);
		ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), 0);
		ck_assert_uint_eq(punch.calls, 1);
	}
	expect_zeros(0, 0);
}
END_TEST

START_TEST(zeroes_fall_back_to_the_next_method)
{
	punch.always = EOPNOTSUPP;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 4096, 4096, true), 0);
	ck_assert_uint_eq(zero_range.calls, 1);
	zero_range.always = EOPNOTSUPP;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 8192, 2560, true), 0);
	ck_assert_uint_eq(write_script.calls, 1);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 8192 + 2560, 3u << 20, false), 0);
	ck_assert_uint_eq(write_script.calls, 4);
	ck_assert_uint_eq(punch.calls, 1);
	ck_assert_uint_eq(zero_range.calls, 2);
	expect_zeros(4096, 8192 + 2560 + (3u << 20));
}
END_TEST

START_TEST(errors_of_fallocate_and_signals)
{
	static const int errors[] = { EIO, ENOSPC, EPERM, EINVAL };

	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		punch = (struct script){ .errors = { EINTR, EINTR, errors[i] } };
		zero_range = punch;
		ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), -errors[i]);
		ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), -errors[i]);
		ck_assert_uint_eq(punch.calls, 3);
		ck_assert_uint_eq(zero_range.calls, 3);
		/* The next call may succeed. */
		ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), 0);
		ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), 0);
		ck_assert_uint_eq(punch.calls, 4);
	}
	punch = (struct script){ .errors = { ENOSPC } };
	zero_range.calls = 0;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, true), -ENOSPC);
	ck_assert_uint_eq(zero_range.calls, 0);
}
END_TEST

static void writes_only(void)
{
	r.no_punch = r.no_zero_range = true;
}

START_TEST(errors_of_writing_zeros)
{
	writes_only();
	write_script = (struct script){ .errors = { EINTR, ENOSPC } };
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), -ENOSPC);
	write_script = (struct script){ .errors = { EIO } };
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), -EIO);
	seek = (struct script){ .errors = { EIO } };
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), -EIO);
	write_short = 0;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), -EIO);
	expect_zeros(0, 0);
}
END_TEST

START_TEST(short_writes_of_zeros_are_continued)
{
	writes_only();
	write_script = (struct script){ .errors = { EINTR } };
	write_short = 1000;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 4096, 8192, false), 0);
	ck_assert_uint_eq(write_script.calls, 3);
	expect_zeros(4096, 12288);

	/* With O_DIRECT, a write continues at a sector boundary. */
	r.direct_align = 512;
	write_script.calls = 0;
	write_short = 1000;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 12288, 4096, false), 0);
	ck_assert_uint_eq(write_script.calls, 2);
	expect_zeros(4096, 16384);
	write_short = 511;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 16384, 4096, false), -EIO);
}
END_TEST

/* The image was truncated while it was in use. Ranges beyond its end must not extend it. */
START_TEST(truncated_image_does_not_grow)
{
	for (unsigned int way = 0; way < 3; way++) {
		ck_assert_int_eq(ftruncate(image.fd, 1 << 20), 0);
		image.size = 1 << 20;
		if (way == 2)
			writes_only();
		ck_assert_int_eq(run(IO_WRITE_ZEROES, (1 << 20) - 4096, 65536, way == 1), 0);
		ck_assert_int_eq(run(IO_WRITE_ZEROES, 2 << 20, 65536, way == 1), 0);
		ck_assert_int_eq(run(IO_DISCARD, (1 << 20) - 4096, 65536, false), 0);
		expect_zeros((1 << 20) - 4096, 1 << 20);
	}
	/* This image ends in the middle of a page. */
	ck_assert_int_eq(ftruncate(image.fd, 10000), 0);
	image.size = 10000;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 8192, 4096, false), 0);
	expect_zeros(8192, 10000);
}
END_TEST

START_TEST(row38_long_ranges_are_executed_in_steps)
{
	pretend = true;
	ck_assert_int_eq(run(IO_DISCARD, 1ull << 40, 1u << 31, false), 0);
	ck_assert_uint_eq(total, 1u << 31);
	ck_assert_uint_eq(longest, 128u << 20);
	/* A range can be cancelled between two steps. */
	cancel_after = &r;
	punch.calls = 0;
	ck_assert_int_eq(run(IO_DISCARD, 0, 1u << 31, false), -ECANCELED);
	ck_assert_uint_eq(punch.calls, 1);
	ck_assert_int_eq(run(IO_DISCARD, 0, 512, false), -ECANCELED);
	ck_assert_uint_eq(punch.calls, 1);
	r.cancel = false;
	writes_only();
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 3u << 20, false), -ECANCELED);
	ck_assert_uint_eq(write_script.calls, 1);
}
END_TEST

START_TEST(stable_ranges_end_with_a_flush)
{
	r.stable = true;
	ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), 0);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 0, 4096, false), 0);
	ck_assert_uint_eq(sync_script.calls, 2);
	sync_script.always = EIO;
	ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), -EIO);
	punch.always = ENOSPC;
	ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), -ENOSPC);
	ck_assert_uint_eq(sync_script.calls, 3);
}
END_TEST

/* ---- a block device, simulated by the file ---- */

START_TEST(device_discards_whole_blocks)
{
	static const struct {
		uint64_t offset, len, from, to;
	} table[] = {
		{ 4096, 8192, 4096, 12288 }, { 512, 8192, 4096, 8192 }, { 4096, 4608, 4096, 8192 },
		{ 4608, 4096, 0, 0 },	     { 512, 3584, 0, 0 },	{ 3584, 4608, 4096, 8192 },
	};

	r.device_block = 4096;
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		discard_ioctl.calls = 0;
		ck_assert_int_eq(run(IO_DISCARD, table[i].offset, table[i].len, false), 0);
		ck_assert_uint_eq(discard_ioctl.calls, table[i].to != 0);
		if (table[i].to) {
			ck_assert_uint_eq(ranges_seen[0], table[i].from);
			ck_assert_uint_eq(ranges_seen[1], table[i].to - table[i].from);
		}
	}
	ck_assert_uint_eq(punch.calls, 0);
}
END_TEST

START_TEST(device_cannot_discard_or_fails)
{
	r.device_block = 512;
	discard_ioctl = (struct script){ .errors = { EINTR, EIO } };
	ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), -EIO);
	ck_assert_uint_eq(discard_ioctl.calls, 2);
	discard_ioctl = (struct script){ .always = EOPNOTSUPP };
	ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), 0);
	ck_assert_int_eq(run(IO_DISCARD, 0, 4096, false), 0);
	ck_assert_uint_eq(discard_ioctl.calls, 1);
}
END_TEST

/* The kernel can zero whole blocks only. Zeros are written to parts of a block. */
START_TEST(device_zeroes_parts_of_a_block)
{
	r.device_block = 4096;
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 4096, 8192, true), 0);
	ck_assert_uint_eq(punch.calls, 1);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 4096, 8192, false), 0);
	ck_assert_uint_eq(zero_range.calls, 1);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 12288, 512, true), 0);
	ck_assert_int_eq(run(IO_WRITE_ZEROES, 12800, 4096, true), 0);
	ck_assert_uint_eq(write_script.calls, 2);
	ck_assert_uint_eq(punch.calls + zero_range.calls, 2);
	expect_zeros(4096, 12800 + 4096);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioranges");
	TCase *t = tcase_create("ioranges");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, discard_makes_a_hole);
	tcase_add_test(t, ranges_are_executed_in_their_order);
	tcase_add_test(t, zeroes_with_and_without_unmap);
	tcase_add_test(t, host_cannot_discard);
	tcase_add_test(t, zeroes_fall_back_to_the_next_method);
	tcase_add_test(t, errors_of_fallocate_and_signals);
	tcase_add_test(t, errors_of_writing_zeros);
	tcase_add_test(t, short_writes_of_zeros_are_continued);
	tcase_add_test(t, truncated_image_does_not_grow);
	tcase_add_test(t, row38_long_ranges_are_executed_in_steps);
	tcase_add_test(t, stable_ranges_end_with_a_flush);
	tcase_add_test(t, device_discards_whole_blocks);
	tcase_add_test(t, device_cannot_discard_or_fails);
	tcase_add_test(t, device_zeroes_parts_of_a_block);
	suite_add_tcase(s, t);
	return s;
}
