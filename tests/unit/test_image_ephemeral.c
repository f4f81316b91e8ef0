/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the files of an ephemeral disk: where they are created, clones, locks, sizes, and errors of
 * the host. Linked with --wrap for the functions below.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/overlay.h"
#include "devices/virtio/image.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __real_fstatat(int dir, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags);
int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st);

#define SIZE (64u << 10)

static struct test_image file;
static struct image image;
static struct blk_config config;
static const char *why;

/* The simulated host. */
static struct {
	int open_error, tmpfile_error, truncate_error, fstat_error, fstatat_error;
	int base_direct_error, direct_error, buffered_error;
	bool clones, is_device, no_memory;
	uint32_t base_align, align; /* of O_DIRECT, as reported; 0: not reported */
} host;
static char directory[300]; /* in which the second file was created */

static int refuse(int err)
{
	errno = err;
	return -1;
}

int __wrap___open_2(const char *path, int flags)
{
	if (host.open_error && !strcmp(path, file.path))
		return refuse(host.open_error);
	if ((flags & O_TMPFILE) != O_TMPFILE)
		return __real_open(path, flags);
	ck_assert(flags & O_EXCL && flags & O_CLOEXEC);
	snprintf(directory, sizeof(directory), "%s", path);
	return host.tmpfile_error ? refuse(host.tmpfile_error) : __real_open(path, flags, 0600);
}

int __wrap_open(const char *path, int flags, ...)
{
	return __wrap___open_2(path, flags);
}

/* A file system that clones: the clone is a copy. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	static char data[SIZE];
	va_list ap;
	int from;

	if (request != FICLONE)
		return refuse(ENOTTY);
	va_start(ap, request);
	from = va_arg(ap, int);
	va_end(ap);
	if (!host.clones)
		return refuse(EOPNOTSUPP);
	ck_assert_int_eq(pread(from, data, SIZE, 0), SIZE);
	ck_assert_int_eq(pwrite(fd, data, SIZE, 0), SIZE);
	return 0;
}

int __wrap_ftruncate(int fd, off_t size)
{
	return host.truncate_error ? refuse(host.truncate_error) : __real_ftruncate(fd, size);
}

int __wrap_fstat(int fd, struct stat *st)
{
	if (host.fstat_error && image.base_fd >= 0 && fd == image.fd)
		return refuse(host.fstat_error);
	if (__real_fstat(fd, st))
		return -1;
	if (host.is_device && image.base_fd < 0)
		st->st_mode = S_IFBLK | (st->st_mode & ~(mode_t)S_IFMT);
	return 0;
}

int __wrap_stat(const char *path, struct stat *st)
{
	if (__real_stat(path, st))
		return -1;
	if (host.is_device)
		st->st_mode = S_IFBLK | (st->st_mode & ~(mode_t)S_IFMT);
	return 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return host.no_memory ? NULL : __real_calloc(n, size);
}

static int set_flags(int fd, int flags)
{
	bool is_base = fd == image.base_fd;

	if (flags & O_DIRECT && (is_base ? host.base_direct_error : host.direct_error))
		return refuse(EINVAL);
	if (!(flags & O_DIRECT) && is_base && host.buffered_error)
		return refuse(host.buffered_error);
	return __real_fcntl(fd, F_SETFL, flags);
}

int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	int res;

	va_start(ap, command);
	res = command == F_SETFL ? set_flags(fd, va_arg(ap, int))
				 : __real_fcntl(fd, command, va_arg(ap, void *));
	va_end(ap);
	return res;
}

int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return host.fstatat_error ? refuse(host.fstatat_error)
				  : __real_fstatat(dir, path, st, flags);
}

int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	uint32_t align = fd == image.base_fd ? host.base_align : host.align;

	(void)path;
	(void)flags;
	*st = (struct statx){ .stx_mask = align ? mask : 0,
			      .stx_dio_mem_align = align,
			      .stx_dio_offset_align = align };
	return 0;
}

static void setup(void)
{
	image_make(&file, SIZE, false);
	memset(&host, 0, sizeof(host));
	config = (struct blk_config){ .path = file.path, .ephemeral = true, .blk_size = 512 };
	image.fd = image.base_fd = -1;
}

static void teardown(void)
{
	ck_assert(image_is_untouched(&file));
	image_remove(&file);
}

static void expect_refused(int err, const char *reason)
{
	unsigned int fds = count_fds();

	ck_assert_int_eq(image_open(&image, &config, &why), err);
	ck_assert_ptr_nonnull(strstr(why, reason));
	ck_assert_uint_eq(count_fds(), fds);
}

START_TEST(second_file_has_no_name_and_is_beside_the_image)
{
	struct stat st;

	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert_uint_eq(strlen(directory),
			  strlen(file.path) - strlen(strrchr(file.path, '/') + 1));
	ck_assert(!strncmp(directory, file.path, strlen(directory)));
	ck_assert(!image.readonly && image.overlay);
	ck_assert_uint_eq(image.size, SIZE);
	ck_assert_int_eq(fstat(image.fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_size, SIZE);
	ck_assert_int_eq(fcntl(image.base_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert(image_is(&image, file.path));
	image_close(&image);
	image_close(&image);
}
END_TEST

static const char *const directories[] = { "of the working directory", "given" };

START_TEST(directory_of_the_second_file)
{
	char *dir = strdup(file.path), here[PATH_MAX];

	*strrchr(dir, '/') = '\0';
	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
	ck_assert_int_eq(chdir(dir), 0);
	config.path = strrchr(file.path, '/') + 1;
	config.ephemeral_dir = _i ? "/dev/shm" : NULL;
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert_str_eq(directory, _i ? "/dev/shm" : ".");
	image_close(&image);
	ck_assert_int_eq(chdir(here), 0);
	free(dir);
}
END_TEST

static const struct {
	const char *name;
	int err;
	const char *reason;
} refusals[] = {
	{ "missing", ENOENT, "/nowhere: No such file or directory" },
	{ "not writable", EACCES, "/nowhere: Permission denied" },
	{ "without O_TMPFILE", EOPNOTSUPP, "no files without a name" },
	{ "old kernel", EISDIR, "no files without a name" },
	{ "file system that does not know the flag", EINVAL, "no files without a name" },
};

START_TEST(directory_that_cannot_be_used)
{
	config.ephemeral_dir = "/nowhere";
	host.tmpfile_error = refusals[_i].err;
	expect_refused(-refusals[_i].err, refusals[_i].reason);
}
END_TEST

START_TEST(long_directory_is_shown_in_part)
{
	char path[400];

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	config.ephemeral_dir = path;
	expect_refused(-ENAMETOOLONG, "xxxxxxxx: File name too long");
}
END_TEST

START_TEST(errors_of_the_host_after_the_second_file_is_open)
{
	host.truncate_error = EFBIG;
	expect_refused(-EFBIG, strerror(EFBIG));
	host.truncate_error = 0;
	host.no_memory = true;
	expect_refused(-ENOMEM, "no memory for the map");
	host.no_memory = false;
	host.fstat_error = EIO;
	expect_refused(-EIO, strerror(EIO));
}
END_TEST

START_TEST(clone_is_the_disk)
{
	static char data[SIZE];

	host.clones = true;
	config.direct = BLK_DIRECT_OFF;
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert_ptr_null(image.overlay);
	ck_assert_int_eq(pread(image.fd, data, SIZE, 0), SIZE);
	ck_assert(image_is_fresh(data, 0, SIZE));
	ck_assert_int_eq(image_resize(&image, 512, 2 * SIZE + 512, &why), 0);
	ck_assert_int_eq(lseek(image.fd, 0, SEEK_END), 2 * SIZE + 512);
	ck_assert_int_eq(image_resize(&image, 512, 0, &why), -EINVAL);
	image_close(&image);
}
END_TEST

START_TEST(block_device_needs_a_directory)
{
	host.is_device = true;
	expect_refused(-EINVAL, "only with --ephemeral-dir");
	config.ephemeral_dir = "/dev/shm";
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	/* The guest writes to a file. */
	ck_assert_uint_eq(image.device_block, 0);
	image_close(&image);
}
END_TEST

START_TEST(many_may_share_the_image_and_a_writer_is_refused)
{
	struct image second, third;
	struct blk_config writer = config;

	writer.ephemeral = false;
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert_int_eq(image_open(&second, &config, &why), 0);
	ck_assert_int_eq(image_open(&third, &writer, &why), -EBUSY);
	writer.readonly = true;
	ck_assert_int_eq(image_open(&third, &writer, &why), 0);
	image_close(&third);
	image_close(&second);
	image_close(&image);
	writer.readonly = false;
	ck_assert_int_eq(image_open(&third, &writer, &why), 0);
	ck_assert_int_eq(image_open(&image, &config, &why), -EBUSY);
	image_close(&third);
}
END_TEST

START_TEST(image_that_only_can_be_read)
{
	ck_assert_int_eq(chmod(file.path, 0400), 0);
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	image_close(&image);
	host.open_error = EACCES;
	expect_refused(-EACCES, strerror(EACCES));
	host.open_error = 0;
	config.path = "/proc/self/mem/none";
	expect_refused(-ENOTDIR, strerror(ENOTDIR));
}
END_TEST

static bool is_direct(int fd)
{
	return fcntl(fd, F_GETFL) & O_DIRECT;
}

START_TEST(both_files_use_o_direct_or_none)
{
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert(is_direct(image.fd) == is_direct(image.base_fd));
	ck_assert(is_direct(image.fd) == (image.direct_align > 1));
	image_close(&image);
	host.base_direct_error = EINVAL;
	for (unsigned int i = 0; i < 2; i++) {
		config.direct = BLK_DIRECT_AUTO;
		ck_assert_int_eq(image_open(&image, &config, &why), 0);
		ck_assert(!is_direct(image.fd) && !is_direct(image.base_fd));
		ck_assert_uint_eq(image.direct_align, 1);
		image_close(&image);
		config.direct = BLK_DIRECT_ON;
		expect_refused(-EINVAL, "direct=on is not possible");
		host.base_direct_error = 0;
		host.direct_error = EINVAL;
	}
	config.direct = BLK_DIRECT_AUTO;
	host.buffered_error = EIO;
	expect_refused(-EIO, strerror(EIO));
	config.direct = BLK_DIRECT_OFF;
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	image_close(&image);
}
END_TEST

/* Both files are accessed with the larger of their alignments. */
START_TEST(alignment_suits_both_files)
{
	for (unsigned int i = 0; i < 2; i++) {
		host.base_align = i ? 4096 : 512;
		host.align = i ? 512 : 4096;
		config.blk_size = 4096;
		ck_assert_int_eq(image_open(&image, &config, &why), 0);
		ck_assert_uint_eq(image.direct_align, 4096);
		image_close(&image);
		config.blk_size = 512;
		ck_assert_int_eq(image_open(&image, &config, &why), 0);
		ck_assert_uint_eq(image.direct_align, 1);
		image_close(&image);
	}
}
END_TEST

START_TEST(size_grows_by_whole_blocks_and_does_not_follow_the_image)
{
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert_int_eq(image_resize(&image, 512, 0, &why), -EINVAL);
	ck_assert_str_eq(why, "an ephemeral disk needs a size");
	ck_assert_int_eq(image_resize(&image, 512, SIZE + 512, &why), 0);
	ck_assert_uint_eq(image.size, SIZE + 512);
	ck_assert_int_eq(lseek(image.fd, 0, SEEK_END), SIZE + OVERLAY_BLOCK);
	ck_assert_int_eq(image_resize(&image, 512, SIZE - 512, &why), 0);
	ck_assert_int_eq(lseek(image.fd, 0, SEEK_END), SIZE + OVERLAY_BLOCK);
	ck_assert_uint_eq(image.size, SIZE - 512);
	image_close(&image);
}
END_TEST

START_TEST(allocated_bytes_are_those_of_the_second_file)
{
	static const char data[4 * OVERLAY_BLOCK] = { 1 };

	config.direct = BLK_DIRECT_OFF;
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
	ck_assert_uint_eq(image_allocated(&image), 0);
	ck_assert_int_eq(pwrite(image.fd, data, sizeof(data), 0), sizeof(data));
	ck_assert_uint_ge(image_allocated(&image), sizeof(data));
	ck_assert_uint_lt(image_allocated(&image), SIZE);
	host.fstatat_error = EIO;
	ck_assert_uint_eq(image_allocated(&image), 0);
	image_close(&image);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_ephemeral");
	TCase *t = tcase_create("files");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, second_file_has_no_name_and_is_beside_the_image);
	tcase_add_names_test(t, directory_of_the_second_file, directories);
	tcase_add_table_test(t, directory_that_cannot_be_used, refusals);
	tcase_add_test(t, long_directory_is_shown_in_part);
	tcase_add_test(t, errors_of_the_host_after_the_second_file_is_open);
	tcase_add_test(t, clone_is_the_disk);
	tcase_add_test(t, block_device_needs_a_directory);
	tcase_add_test(t, many_may_share_the_image_and_a_writer_is_refused);
	tcase_add_test(t, image_that_only_can_be_read);
	tcase_add_test(t, both_files_use_o_direct_or_none);
	tcase_add_test(t, alignment_suits_both_files);
	tcase_add_test(t, size_grows_by_whole_blocks_and_does_not_follow_the_image);
	tcase_add_test(t, allocated_bytes_are_those_of_the_second_file);
	suite_add_tcase(s, t);
	return s;
}
