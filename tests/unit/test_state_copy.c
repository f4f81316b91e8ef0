/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of copies that keep holes. Linked with --wrap=copy_file_range. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/state/file_copy.h"

ssize_t __real_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
			       unsigned int flags);
ssize_t __wrap_copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
			       unsigned int flags);

#define UNIT  65536u /* data and holes are runs of this size */
#define UNITS 8u
#define SIZE  (UNITS * UNIT)

static int from, to;
static uint32_t cancel;
static int copies_in_kernel; /* calls of copy_file_range that succeed; then it is unsupported */
static bool cancel_then;     /* the caller cancels the copy after them */

ssize_t __wrap_copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
			       unsigned int flags)
{
	if (copies_in_kernel--)
		return __real_copy_file_range(in, in_at, out, out_at, len < 5000 ? len : 5000,
					      flags);
	copies_in_kernel = 0;
	cancel = cancel_then;
	errno = EXDEV;
	return -1;
}

static int empty_file(int flags)
{
	/* /tmp may be a file system without holes. */
	int fd = open("build", O_TMPFILE | O_RDWR | flags, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void fill(int fd, unsigned int unit, int byte)
{
	char *data = aligned_alloc(4096, UNIT);

	memset(data, byte, UNIT);
	ck_assert_int_eq(pwrite(fd, data, UNIT, (off_t)unit * UNIT), (ssize_t)UNIT);
	free(data);
}

static void expect_byte(int fd, off_t at, int byte)
{
	char got = 1;

	ck_assert_int_eq(pread(fd, &got, 1, at), 1);
	ck_assert_msg(got == byte, "byte %ld is %d instead of %d", (long)at, got, byte);
}

/* Data in units 1, 2 and 5; the file ends after unit 6. */
static void setup(void)
{
	from = empty_file(0);
	to = empty_file(0);
	ck_assert_int_eq(ftruncate(from, SIZE - UNIT), 0);
	ck_assert_int_eq(ftruncate(to, SIZE), 0);
	fill(from, 1, 11);
	fill(from, 2, 12);
	fill(from, 5, 15);
	copies_in_kernel = 1 << 20;
}

static void teardown(void)
{
	close(from);
	close(to);
}

static uint64_t allocated(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)SIZE);
	return (uint64_t)st.st_blocks * 512;
}

static const struct {
	const char *name;
	int copies_in_kernel;
	int flags;
} ways[] = {
	{ "copy_file_range", 1 << 20, 0 },
	{ "reads and writes", 0, 0 },
	{ "reads and writes in the middle", 1, 0 },
	{ "reads and writes, O_DIRECT", 0, O_DIRECT },
};

START_TEST(copy_has_the_data_and_the_holes)
{
	int flags = fcntl(from, F_GETFL);

	copies_in_kernel = ways[_i].copies_in_kernel;
	ck_assert_int_eq(fsync(from), 0);
	/* Where the file system has no O_DIRECT, this case is the same as the one without it. */
	if (fcntl(from, F_SETFL, flags | ways[_i].flags))
		ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(file_copy(from, to, 0, SIZE, &cancel), 0);
	for (unsigned int unit = 0; unit < UNITS; unit++) {
		int byte = unit == 1 || unit == 2 || unit == 5 ? 10 + (int)unit : 0;

		expect_byte(to, unit * UNIT, byte);
		expect_byte(to, unit * UNIT + UNIT - 1, byte);
	}
	ck_assert_uint_eq(allocated(to), 3 * UNIT);
}
END_TEST

/* The other parts of the file are copied from elsewhere. */
START_TEST(copy_ends_at_its_end)
{
	copies_in_kernel = ways[_i].copies_in_kernel;
	ck_assert_int_eq(file_copy(from, to, UNIT + 4096, 2 * UNIT + 512, &cancel), 0);
	expect_byte(to, UNIT + 4095, 0);
	expect_byte(to, UNIT + 4096, 11);
	expect_byte(to, 2 * UNIT + 511, 12);
	expect_byte(to, 2 * UNIT + 512, 0);
	/* A hole up to the end, with data behind it. */
	ck_assert_int_eq(file_copy(from, to, 3 * UNIT, 4 * UNIT, &cancel), 0);
	expect_byte(to, 5 * UNIT, 0);
	ck_assert_int_eq(file_copy(from, to, 7 * UNIT, SIZE, &cancel), 0);
}
END_TEST

START_TEST(cancelled_copy_ends)
{
	cancel = 1;
	ck_assert_int_eq(file_copy(from, to, 0, SIZE, &cancel), -ECANCELED);
	cancel = 0;
	cancel_then = true;
	copies_in_kernel = 2;
	ck_assert_int_eq(file_copy(from, to, 0, SIZE, &cancel), -ECANCELED);
	expect_byte(to, 2 * UNIT - 1, 0);
}
END_TEST

START_TEST(errors_of_the_host_are_returned)
{
	int full = open("/dev/full", O_WRONLY), pipes[2];

	copies_in_kernel = 0;
	ck_assert_int_eq(file_copy(from, full, 0, SIZE, &cancel), -ENOSPC);
	ck_assert_int_eq(file_copy(from, -1, 0, SIZE, &cancel), -EBADF);
	ck_assert_int_eq(file_copy(-1, to, 0, SIZE, &cancel), -EBADF);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(file_copy(pipes[0], to, 0, SIZE, &cancel), -ESPIPE);
	close(full);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("state_copy");
	TCase *t = tcase_create("state_copy");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_table_test(t, copy_has_the_data_and_the_holes, ways);
	tcase_add_table_test(t, copy_ends_at_its_end, ways);
	tcase_add_test(t, cancelled_copy_ends);
	tcase_add_test(t, errors_of_the_host_are_returned);
	suite_add_tcase(s, t);
	return s;
}
