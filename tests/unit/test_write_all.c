/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of writing small files on hosts without free space. Linked with --wrap=write. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"
#include "vmm/write_all.h"

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

static int target = -1; /* descriptor with simulated writes */
/*
 * Results of these writes in order: a number of bytes, or -errno. Later writes have real results.
 */
static const ssize_t *results;
static unsigned int count, calls;

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	ssize_t result;

	if (fd != target)
		return __real_write(fd, data, size);
	if (calls++ >= count)
		return __real_write(fd, data, size);
	result = results[calls - 1];
	if (result < 0)
		errno = (int)-result;
	return result < 0 ? -1 : __real_write(fd, data, (size_t)result);
}

static const struct {
	const char *name;
	ssize_t results[4];
	unsigned int count;
	int err;
} cases[] = {
	{ "no simulated write", { 0 }, 0, 0 },
	{ "one short write", { 3 }, 1, 0 },
	{ "single bytes", { 1, 1, 1, 1 }, 4, 0 },
	{ "interrupted", { -EINTR, 2, -EINTR }, 3, 0 },
	{ "ENOSPC", { -ENOSPC }, 1, -ENOSPC },
	{ "ENOSPC after a short write", { 4, -ENOSPC }, 2, -ENOSPC },
	{ "EFBIG after a short write", { 4, -EFBIG }, 2, -EFBIG },
	{ "0 after a short write", { -EINTR, 4, 0 }, 3, -EIO },
	{ "0 at once", { 0 }, 1, -EIO },
};

/* A previous value of errno is not reported as the reason. */
START_TEST(short_write_is_continued_and_errors_are_reported)
{
	struct test_image file;
	char read_back[8] = "";
	int err;

	image_make(&file, 0, false);
	target = file.fd;
	results = cases[_i].results;
	count = cases[_i].count;
	errno = ESRCH;
	err = write_all(file.fd, "123456\n", 7);
	ck_assert_int_eq(err, cases[_i].err);
	if (!err) {
		ck_assert_uint_eq(image_size(&file), 7);
		image_peek(&file, read_back, 0, 7);
		ck_assert_str_eq(read_back, "123456\n");
	}
	image_remove(&file);
}
END_TEST

START_TEST(nothing_to_write)
{
	ck_assert_int_eq(write_all(-1, "", 0), 0);
	ck_assert_int_eq(write_all(-1, "x", 1), -EBADF);
}
END_TEST

START_TEST(device_that_is_full)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ck_assert_int_eq(write_all(fd, "1\n", 2), -ENOSPC);
	close(fd);
}
END_TEST

START_TEST(file_size_limit_reached_by_a_short_write)
{
	struct test_image file;
	struct rlimit before, limit;

	image_make(&file, 0, false);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	errno = 0;
	int err = write_all(file.fd, "123456\n", 7);
	setrlimit(RLIMIT_FSIZE, &before);
	ck_assert_int_eq(err, -EFBIG);
	ck_assert_uint_eq(image_size(&file), 3);
	image_remove(&file);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("write_all");
	TCase *t = tcase_create("write_all");

	tcase_add_table_test(t, short_write_is_continued_and_errors_are_reported, cases);
	tcase_add_test(t, nothing_to_write);
	tcase_add_test(t, device_that_is_full);
	tcase_add_test(t, file_size_limit_reached_by_a_short_write);
	suite_add_tcase(s, t);
	return s;
}
