/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of image_content: which file has the content of a disk. Linked with --wrap for fstatat and
 * ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "dataplane/overlay.h"
#include "devices/virtio/image.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"

#define SIZE (64u << 10)

static struct test_image file;
static struct blk_config config;
static struct image image;
static const char *why;
static bool clones, is_device;
static int error;

int __real_fstatat(int dir, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	int res = __real_fstatat(dir, path, st, flags);

	if (is_device)
		st->st_mode = S_IFBLK | (st->st_mode & ~(mode_t)S_IFMT);
	errno = error;
	return error ? -1 : res;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	errno = EOPNOTSUPP;
	return request == FICLONE && clones ? 0 : -1;
}

static void setup(void)
{
	image_make(&file, SIZE, false);
	config = (struct blk_config){ .path = file.path, .ephemeral = true, .blk_size = 512 };
}

static void teardown(void)
{
	image_close(&image);
	image_remove(&file);
}

static void open_image(void)
{
	ck_assert_int_eq(image_open(&image, &config, &why), 0);
}

/* Checks that the content from `at` up to `end` is in the file `fd`. */
static void expect_content(uint64_t at, int fd, uint64_t end)
{
	uint64_t got = 0;

	ck_assert_int_eq(image_content(&image, at, &got), fd);
	ck_assert_uint_eq(got, end);
}

START_TEST(content_is_in_the_file_that_has_the_block)
{
	open_image();
	expect_content(0, image.base_fd, SIZE);
	ck_assert_uint_eq(overlay_claim(image.overlay, 1, 2), 2);
	overlay_end_claim(image.overlay, 1, 2, true);
	expect_content(0, image.base_fd, OVERLAY_BLOCK);
	expect_content(OVERLAY_BLOCK, image.fd, 3 * OVERLAY_BLOCK);
	expect_content(3 * OVERLAY_BLOCK, image.base_fd, SIZE);
	/* What a disk has grown by is in the second file. */
	ck_assert_int_eq(image_resize(&image, 512, SIZE + 2 * OVERLAY_BLOCK + 512, &why), 0);
	expect_content(3 * OVERLAY_BLOCK, image.base_fd, SIZE);
	expect_content(SIZE, image.fd, SIZE + 2 * OVERLAY_BLOCK + 512);
	/* The disk ends in a block of another kind than the one before. */
	ck_assert_int_eq(image_resize(&image, 512, 3 * OVERLAY_BLOCK + 512, &why), 0);
	expect_content(OVERLAY_BLOCK, image.fd, 3 * OVERLAY_BLOCK);
	expect_content(3 * OVERLAY_BLOCK, image.base_fd, 3 * OVERLAY_BLOCK + 512);
}
END_TEST

START_TEST(clone_has_all_content)
{
	clones = true;
	open_image();
	expect_content(0, image.fd, SIZE);
}
END_TEST

START_TEST(image_that_is_written_has_all_content)
{
	config.ephemeral = false;
	open_image();
	expect_content(OVERLAY_BLOCK, image.fd, SIZE);
}
END_TEST

START_TEST(block_device_and_error_have_none)
{
	uint64_t end;

	open_image();
	is_device = true;
	ck_assert_int_eq(image_content(&image, 0, &end), -EINVAL);
	error = EIO;
	ck_assert_int_eq(image_content(&image, 0, &end), -EIO);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_content");
	TCase *t = tcase_create("image_content");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, content_is_in_the_file_that_has_the_block);
	tcase_add_test(t, clone_has_all_content);
	tcase_add_test(t, image_that_is_written_has_all_content);
	tcase_add_test(t, block_device_and_error_have_none);
	suite_add_tcase(s, t);
	return s;
}
