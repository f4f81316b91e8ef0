/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests whether a path names an image that is already open. Linked with --wrap: files with "node"
 * in their name are simulated block device nodes, whose size is the device number.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/image.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

static int device_fd = -1; /* a descriptor that is a simulated device */
static int fstat_error;

static void make_device(struct stat *st)
{
	st->st_mode = S_IFBLK | (st->st_mode & ~(mode_t)S_IFMT);
	st->st_rdev = (dev_t)st->st_size;
}

int __wrap_stat(const char *path, struct stat *st)
{
	int err = __real_stat(path, st);

	if (!err && strstr(path, "node"))
		make_device(st);
	return err;
}

int __wrap_fstat(int fd, struct stat *st)
{
	int err = __real_fstat(fd, st);

	if (fstat_error) {
		errno = fstat_error;
		return -1;
	}
	if (!err && fd == device_fd)
		make_device(st);
	return err;
}

static struct test_image file, other;
static struct image image;

static void setup(void)
{
	image_make(&file, 4096, false);
	image_make(&other, 4096, false);
	image = (struct image){ .fd = file.fd, .base_fd = -1, .lock_fd = -1 };
}

static void teardown(void)
{
	image_remove(&file);
	image_remove(&other);
}

/* Returns another name for the file: its path with `suffix` appended. */
static const char *named(const struct test_image *of, const char *suffix)
{
	static char name[300];

	snprintf(name, sizeof(name), "%s%s", of->path, suffix);
	return name;
}

START_TEST(same_file_by_each_of_its_names)
{
	const char *name = named(&file, ".link");

	ck_assert(image_is(&image, file.path));
	ck_assert_int_eq(link(file.path, name), 0);
	ck_assert(image_is(&image, name));
	unlink(name);
	ck_assert_int_eq(symlink(strrchr(file.path, '/') + 1, name), 0);
	ck_assert(image_is(&image, name));
	unlink(name);
}
END_TEST

START_TEST(other_file_and_missing_file)
{
	ck_assert(!image_is(&image, other.path));
	ck_assert(!image_is(&image, named(&file, ".nothere")));
	ck_assert(!image_is(&image, ""));
	/* An inode number means nothing on another file system; root directories have the same. */
	ck_assert(!image_is(&image, "/proc"));
	fstat_error = EIO;
	ck_assert(!image_is(&image, file.path));
	fstat_error = 0;
}
END_TEST

START_TEST(block_device_by_another_of_its_nodes)
{
	device_fd = file.fd;
	ck_assert_int_eq(link(other.path, named(&other, ".node")), 0);
	ck_assert(image_is(&image, named(&other, ".node")));
	ck_assert_int_eq(ftruncate(other.fd, 8192), 0);
	ck_assert(!image_is(&image, named(&other, ".node")));
	/* A regular file does not match a device with the same number. */
	ck_assert_int_eq(ftruncate(other.fd, 4096), 0);
	ck_assert(!image_is(&image, other.path));
	device_fd = -1;
	ck_assert(!image_is(&image, named(&other, ".node")));
	unlink(named(&other, ".node"));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_is");
	TCase *t = tcase_create("image_is");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, same_file_by_each_of_its_names);
	tcase_add_test(t, other_file_and_missing_file);
	tcase_add_test(t, block_device_by_another_of_its_nodes);
	suite_add_tcase(s, t);
	return s;
}
