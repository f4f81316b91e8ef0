/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of errors of the host when an image is opened, and of their messages. Linked with --wrap
 * for the functions below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/image.h"
#include "tests/lib/disk.h"
#include "tests/lib/suite.h"

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static struct test_image file;
static struct image image;
static const char *why;

/* Errors that the host's functions return for the image; 0: the real result. */
static int holder = -1; /* has the lock until another descriptor waits for it */
static int open_error, access_error, fstat_error, lock_error, lseek_error, fdatasync_error;
static mode_t fstat_kind;
static bool no_proc;
static unsigned int fdatasyncs;

static int refuse(int err)
{
	errno = err;
	return -1;
}

int __wrap___open_2(const char *path, int flags)
{
	if (open_error && !strcmp(path, file.path))
		return refuse(open_error);
	if (no_proc && !strncmp(path, "/proc/", 6))
		return refuse(ENOENT);
	return __real_open(path, flags);
}

/* No caller creates a file, so that the mode is not needed. */
int __wrap_open(const char *path, int flags, ...)
{
	return __wrap___open_2(path, flags);
}

int __wrap_access(const char *path, int mode)
{
	if (!strcmp(path, file.path)) {
		ck_assert_int_eq(mode, R_OK);
		return access_error ? refuse(access_error) : 0;
	}
	return __real_access(path, mode);
}

int __wrap_fstat(int fd, struct stat *st)
{
	int err = __real_fstat(fd, st);

	if (fd == image.fd && fstat_error)
		return refuse(fstat_error);
	if (fd == image.fd && fstat_kind)
		st->st_mode = fstat_kind | (st->st_mode & ~(mode_t)S_IFMT);
	return err;
}

int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	int res;

	if (command == F_OFD_SETLKW && holder >= 0) {
		close(holder);
		holder = -1;
	}
	va_start(ap, command);
	if (command == F_OFD_SETLK && lock_error)
		res = refuse(lock_error);
	else if (command == F_SETFL)
		res = __real_fcntl(fd, command, va_arg(ap, int));
	else
		res = __real_fcntl(fd, command, va_arg(ap, void *));
	va_end(ap);
	return res;
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	return fd == image.fd && lseek_error ? refuse(lseek_error)
					     : __real_lseek(fd, offset, whence);
}

int __wrap_fdatasync(int fd)
{
	fdatasyncs++;
	return fdatasync_error ? refuse(fdatasync_error) : __real_fdatasync(fd);
}

static void setup(void)
{
	image_make(&file, 4096, false);
	image.fd = -1;
}

static void teardown(void)
{
	image_remove(&file);
}

/* Expects this error message, and no leaked descriptor. */
static void expect_refused(bool readonly, int err, const char *words)
{
	struct blk_config c = {
		.path = file.path, .readonly = readonly, .blk_size = 512, .queue_size = 64
	};
	unsigned int fds = count_fds();

	why = NULL;
	ck_assert_int_eq(image_open(&image, &c, &why), -err);
	ck_assert_ptr_nonnull(why);
	ck_assert_str_eq(why, words);
	ck_assert_int_eq(image.fd, -1);
	ck_assert_uint_eq(count_fds(), fds);
}

/* The message recommends readonly only where it helps. */
START_TEST(host_read_only_would_do)
{
	static const char advice[] = "cannot be opened for writing (try readonly)";
	static const int always[] = { EROFS, ETXTBSY };

	for (unsigned int i = 0; i < ARRAY_SIZE(always); i++) {
		open_error = always[i];
		expect_refused(false, open_error, advice);
		expect_refused(true, open_error, strerror(open_error));
	}
	open_error = EACCES;
	expect_refused(false, EACCES, advice);
	access_error = EACCES;
	expect_refused(false, EACCES, strerror(EACCES));
	open_error = EMFILE;
	expect_refused(false, EMFILE, strerror(EMFILE));
}
END_TEST

/* The image is the running test program, which cannot be opened for writing. */
START_TEST(host_image_that_is_being_executed)
{
	struct blk_config c = { .path = "/proc/self/exe", .blk_size = 512, .queue_size = 64 };

	ck_assert_int_eq(image_open(&image, &c, &why), -ETXTBSY);
	ck_assert_ptr_nonnull(strstr(why, "try readonly"));
}
END_TEST

/* Another process replaces the file between stat and open: the result of fstat counts. */
START_TEST(host_file_that_is_replaced_while_it_is_opened)
{
	fstat_kind = S_IFDIR;
	expect_refused(false, EISDIR, "is a directory");
	fstat_kind = S_IFIFO;
	expect_refused(false, EINVAL, "neither a file nor a block device");
	fstat_kind = S_IFCHR;
	expect_refused(true, EINVAL, "neither a file nor a block device");
	fstat_kind = 0;
	fstat_error = EIO;
	expect_refused(false, EIO, strerror(EIO));
}
END_TEST

/* A lock of another process is distinguished from a file system without locks. */
START_TEST(host_lock_refused)
{
	static const int taken[] = { EAGAIN, EACCES };

	for (unsigned int i = 0; i < ARRAY_SIZE(taken); i++) {
		lock_error = taken[i];
		expect_refused(false, EBUSY, "in use by another process");
		expect_refused(true, EBUSY, "in use by another process");
	}
	lock_error = ENOLCK;
	expect_refused(false, ENOLCK, strerror(ENOLCK));
	lock_error = EINVAL;
	expect_refused(false, EINVAL, strerror(EINVAL));
}
END_TEST

/* An io_uring of a killed process still has the image open, and its requests have not ended. */
START_TEST(requests_of_a_killed_process_are_awaited)
{
	struct blk_config c = { .path = file.path, .blk_size = 512, .queue_size = 64 };
	struct flock last = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INT64_MAX - 1, .l_len = 1
	};

	holder = open(file.path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(__real_fcntl(holder, F_OFD_SETLK, &last), 0);
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_int_eq(holder, -1);
	image_close(&image);
}
END_TEST

/* Without /proc the image's own descriptor has the lock. */
START_TEST(host_without_proc)
{
	struct blk_config c = { .path = file.path, .blk_size = 512, .queue_size = 64 };
	struct image first;

	no_proc = true;
	ck_assert_int_eq(image_open(&first, &c, &why), 0);
	ck_assert_int_eq(first.lock_fd, -1);
	no_proc = false;
	expect_refused(false, EBUSY, "in use by another process");
	image_close(&first);
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_int_ge(image.lock_fd, 0);
	image_close(&image);
}
END_TEST

START_TEST(host_image_without_a_size)
{
	lseek_error = ESPIPE;
	expect_refused(false, ESPIPE, strerror(ESPIPE));
}
END_TEST

/* The failed flush of the last writes is reported to the caller that ends the VM; all is closed. */
START_TEST(host_flush_that_fails_at_the_end)
{
	struct disk d;

	disk_init(&d, BLK_ENGINE_SYNC);
	unsigned int fds = count_fds();
	disk_open(&d);
	fdatasync_error = EIO;
	ck_assert_int_eq(disk_close(&d), -EIO);
	fdatasync_error = 0;
	ck_assert_uint_eq(fdatasyncs, 1);
	ck_assert_uint_eq(count_fds(), fds);

	/* A read-only disk is not flushed. */
	d.config.readonly = true;
	disk_open(&d);
	ck_assert_int_eq(disk_close(&d), 0);
	ck_assert_uint_eq(fdatasyncs, 1);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_errors");
	TCase *t = tcase_create("image_errors");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, host_read_only_would_do);
	tcase_add_test(t, host_image_that_is_being_executed);
	tcase_add_test(t, host_file_that_is_replaced_while_it_is_opened);
	tcase_add_test(t, host_lock_refused);
	tcase_add_test(t, requests_of_a_killed_process_are_awaited);
	tcase_add_test(t, host_without_proc);
	tcase_add_test(t, host_image_without_a_size);
	tcase_add_test(t, host_flush_that_fails_at_the_end);
	suite_add_tcase(s, t);
	return s;
}
