/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of block devices as disks, without a device: a file simulates it. Linked with --wrap: the
 * functions below return the kernel's results for a device.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "devices/virtio/image.h"
#include "tests/lib/disk.h"
#include "tests/lib/suite.h"

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);
int __wrap_ioctl(int fd, unsigned long request, ...);

static struct test_image file;
static struct image image;
static const char *why;

static bool is_device = true;
static int open_error;
static int open_flags; /* flags of the last open of the file */
/* Values that the device reports; a negative one is the error of the call. */
static int physical_block = 512, logical_block = 512;
static int io_min = 512, io_opt, align_offset;
static int read_only;
static unsigned int ioctls; /* number of BLKPBSZGET calls */
static bool is_partition;
/* Contents of the files in the device's queue directory; NULL: the file does not exist. */
static const char *discard_max, *discard_granularity;

static blksize_t file_block; /* st_blksize of a regular file, unless 0 */

static void make_device(struct stat *st)
{
	if (!is_device && file_block)
		st->st_blksize = file_block;
	if (is_device && S_ISREG(st->st_mode)) {
		st->st_mode = S_IFBLK | (st->st_mode & ~(mode_t)S_IFMT);
		st->st_size = 0;
		st->st_rdev = makedev(259, 7);
		/* This is the page cache's unit, which does not describe the device. */
		st->st_blksize = 4096;
	}
}

int __wrap_stat(const char *path, struct stat *st)
{
	int err = __real_stat(path, st);

	if (!err)
		make_device(st);
	return err;
}

int __wrap_fstat(int fd, struct stat *st)
{
	int err = __real_fstat(fd, st);

	if (!err)
		make_device(st);
	return err;
}

/* O_EXCL without O_CREAT has a meaning only for devices. */
int __wrap___open_2(const char *path, int flags)
{
	if (!strcmp(path, file.path)) {
		open_flags = flags;
		if (open_error) {
			errno = open_error;
			return -1;
		}
	}
	return __real_open(path, flags & ~O_EXCL);
}

#define SYSFS "/sys/dev/block/259:7/"

static int open_sysfs(const char *name)
{
	const char *text = NULL;
	int fd;

	if (is_partition && strncmp(name, "../", 3)) {
		errno = ENOENT;
		return -1;
	}
	name += is_partition ? 3 : 0;
	if (!strcmp(name, "queue/discard_max_bytes"))
		text = discard_max;
	else if (!strcmp(name, "queue/discard_granularity"))
		text = discard_granularity;
	if (!text) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("sysfs", MFD_CLOEXEC);
	must(pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
	return fd;
}

/* No caller creates a file, so that the mode is not needed. */
int __wrap_open(const char *path, int flags, ...)
{
	if (!strncmp(path, SYSFS, strlen(SYSFS)))
		return open_sysfs(path + strlen(SYSFS));
	return __wrap___open_2(path, flags);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const struct {
		unsigned long request;
		int answer;
	} table[] = {
		{ BLKROGET, read_only }, { BLKPBSZGET, physical_block },
		{ BLKIOMIN, io_min },	 { BLKSSZGET, logical_block },
		{ BLKIOOPT, io_opt },	 { BLKALIGNOFF, align_offset },
	};
	unsigned int i = 0;
	va_list ap;
	int answer;

	ck_assert_int_ge(fd, 0);
	while (i < ARRAY_SIZE(table) && table[i].request != request)
		i++;
	ck_assert_uint_lt(i, ARRAY_SIZE(table));
	answer = table[i].answer;
	ioctls += request == BLKPBSZGET;
	/* A misaligned device reports -1. */
	if (answer < -1) {
		errno = -answer;
		return -1;
	}
	va_start(ap, request);
	*va_arg(ap, int *) = answer;
	va_end(ap);
	return 0;
}

static struct blk_config config(void)
{
	return (struct blk_config){
		.path = file.path, .blk_size = 512, .queue_size = 64, .direct = BLK_DIRECT_OFF
	};
}

/* The capacity is the position of the end, because st_size of a device is 0. */
START_TEST(block_device_has_its_capacity_and_is_opened_exclusively)
{
	struct blk_config c;

	image_make(&file, 1 << 20, false);
	c = config();
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_uint_eq(image.size, 1 << 20);
	/* O_EXCL refuses a mounted device, and refuses to mount a device that is a disk. */
	ck_assert_int_eq(open_flags & (O_ACCMODE | O_EXCL), O_RDWR | O_EXCL);
	ck_assert_int_eq(open_flags & O_CLOEXEC, O_CLOEXEC);
	image_close(&image);
	image_remove(&file);
}
END_TEST

/* Reading a device that the host uses does no harm. */
START_TEST(read_only_block_device_is_shared_with_the_host)
{
	struct blk_config c;

	image_make(&file, 4096, false);
	c = config();
	c.readonly = true;
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_int_eq(open_flags & (O_ACCMODE | O_EXCL), O_RDONLY);
	image_close(&image);
	image_remove(&file);
}
END_TEST

/* O_EXCL without O_CREAT is undefined for anything but a block device. */
START_TEST(file_is_not_opened_like_a_block_device)
{
	struct blk_config c;

	is_device = false;
	image_make(&file, 4096, false);
	c = config();
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_int_eq(open_flags & O_EXCL, 0);
	ck_assert_uint_eq(ioctls, 0);
	image_close(&image);
	image_remove(&file);
}
END_TEST

START_TEST(host_block_device_that_is_mounted)
{
	unsigned int fds;
	struct blk_config c;

	image_make(&file, 4096, false);
	fds = count_fds();
	c = config();
	open_error = EBUSY;
	ck_assert_int_eq(image_open(&image, &c, &why), -EBUSY);
	ck_assert_str_eq(why, "in use by the host");
	ck_assert_int_eq(image.fd, -1);
	ck_assert_uint_eq(count_fds(), fds);
	image_remove(&file);
}
END_TEST

/* Such a device opens for writing, but the guest would get a disk that fails every write. */
START_TEST(read_only_device_was_given_to_the_guest_as_writable)
{
	unsigned int fds;
	struct blk_config c;

	image_make(&file, 4096, false);
	fds = count_fds();
	c = config();
	read_only = 1;
	ck_assert_int_eq(image_open(&image, &c, &why), -EROFS);
	ck_assert_str_eq(why, "cannot be opened for writing (try readonly)");
	ck_assert_int_eq(image.fd, -1);
	ck_assert_uint_eq(count_fds(), fds);
	c.readonly = true;
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	image_close(&image);

	/* A device whose state is unknown is used. */
	c.readonly = false;
	read_only = -ENOTTY;
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	image_close(&image);
	image_remove(&file);
}
END_TEST

/* The physical block of a device is rounded to a power of two from 512 to 4096. */
START_TEST(physical_block_of_a_block_device)
{
	static const struct {
		int says;
		unsigned int is;
	} table[] = {
		{ 512, 512 },  { 1024, 1024 },	 { 4096, 4096 },    { 16384, 4096 },
		{ 0, 512 },    { 256, 512 },	 { 520, 512 },	    { 12288, 512 },
		{ -EIO, 512 }, { -ENOTTY, 512 }, { 1 << 30, 4096 },
	};
	struct blk_config c;

	image_make(&file, 4096, false);
	c = config();
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		physical_block = table[i].says;
		ck_assert_int_eq(image_open(&image, &c, &why), 0);
		ck_assert_uint_eq(image.physical_block, table[i].is);
		image_close(&image);
	}
	ck_assert_uint_eq(ioctls, ARRAY_SIZE(table));
	image_remove(&file);
}
END_TEST

/* 5.2.4: the driver sees the physical block for alignment; blk_size remains the configured one. */
START_TEST(physical_block_is_in_the_config_space)
{
	struct virtio_blk_config space;
	struct disk d;

	physical_block = 4096;
	disk_init(&d, BLK_ENGINE_SYNC);
	file = d.image;
	d.config.direct = BLK_DIRECT_OFF;
	disk_open(&d);
	space = *(const struct virtio_blk_config *)d.dev->regpage->config;
	ck_assert_uint_eq(space.blk_size, 512);
	ck_assert_uint_eq(space.physical_block_exp, 3);
	ck_assert_uint_eq(space.min_io_size, 1);
	disk_fini(&d);
}
END_TEST

/* The topology in the configuration space is in units of the disk's blk_size (5.2.4). */
START_TEST(topology_of_a_block_device)
{
	static const struct {
		uint32_t blk_size;
		int physical, min, opt, offset;
		unsigned int exp, says_min, says_opt, says_offset;
	} table[] = {
		{ 512, 512, 512, 0, 0, 0, 1, 0, 0 },
		{ 512, 4096, 4096, 0, 3584, 3, 8, 0, 7 },
		{ 512, 4096, 65536, 1 << 20, 0, 3, 128, 2048, 0 },
		{ 4096, 4096, 65536, 1 << 20, 0, 0, 16, 256, 0 },
		/* These are no multiple of a block, or exceed the field. */
		{ 4096, 512, 512, 6144, 3584, 0, 1, 0, 0 },
		{ 512, 4096, 1 << 25, 0, 131072, 3, 8, 0, 0 },
		/* The device is misaligned, or does not report its topology. */
		{ 512, 4096, 0, 0, -1, 3, 8, 0, 0 },
		{ 512, 4096, -EIO, -EIO, -EIO, 3, 8, 0, 0 },
	};
	struct virtio_blk_config space;
	struct disk d;

	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		physical_block = table[i].physical;
		io_min = table[i].min;
		io_opt = table[i].opt;
		align_offset = table[i].offset;
		disk_init(&d, BLK_ENGINE_SYNC);
		file = d.image;
		d.config.direct = BLK_DIRECT_OFF;
		d.config.blk_size = table[i].blk_size;
		disk_open(&d);
		memcpy(&space, d.dev->regpage->config, sizeof(space));
		ck_assert_uint_eq(space.physical_block_exp, table[i].exp);
		ck_assert_uint_eq(space.min_io_size, table[i].says_min);
		ck_assert_uint_eq(space.opt_io_size, table[i].says_opt);
		ck_assert_uint_eq(space.alignment_offset, table[i].says_offset);
		disk_fini(&d);
	}
}
END_TEST

/* A network file system, for example, may prefer large transfers. */
START_TEST(topology_of_a_file)
{
	static const struct {
		blksize_t says;
		unsigned int exp, min, opt;
	} table[] = { { 512, 0, 1, 0 },
		      { 4096, 3, 8, 0 },
		      { 1 << 20, 3, 8, 2048 },
		      { 65536, 3, 8, 128 },
		      { 256, 0, 1, 0 } };
	struct virtio_blk_config space;
	struct disk d;

	is_device = false;
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		file_block = table[i].says;
		disk_init(&d, BLK_ENGINE_SYNC);
		file = d.image;
		d.config.direct = BLK_DIRECT_OFF;
		disk_open(&d);
		memcpy(&space, d.dev->regpage->config, sizeof(space));
		ck_assert_uint_eq(space.physical_block_exp, table[i].exp);
		ck_assert_uint_eq(space.min_io_size, table[i].min);
		ck_assert_uint_eq(space.opt_io_size, table[i].opt);
		ck_assert_uint_eq(space.discard_sector_alignment, table[i].min);
		disk_fini(&d);
	}
}
END_TEST

#define SECTORS_MAX (1u << 22)

START_TEST(what_a_block_device_can_discard)
{
	static const struct {
		const char *max, *granularity;
		uint32_t blk_size;
		uint32_t says_max, says_align;
	} table[] = {
		{ "2147450880\n", "512\n", 512, 4194240, 1 },
		{ "4294966784\n", "4096\n", 512, SECTORS_MAX, 8 },
		{ "1048576\n", "65536\n", 4096, 2048, 128 },
		{ "10000\n", "512\n", 4096, 16, 8 },
		{ "18446744073709551615\n", "0\n", 4096, SECTORS_MAX, 8 },
		{ "1048576\n", "8589934592\n", 512, 2048, 1 },
		{ NULL, NULL, 512, SECTORS_MAX, 1 },
		{ "", "", 512, SECTORS_MAX, 1 },
		/* The device cannot discard. */
		{ "0\n", "0\n", 512, 0, 0 },
		{ "512\n", "512\n", 4096, 0, 0 },
	};
	const uint64_t discard = BIT64(VIRTIO_BLK_F_DISCARD);
	struct virtio_blk_config space;
	struct disk d;

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(table); i++) {
		is_partition = i % 2;
		discard_max = table[i / 2].max;
		discard_granularity = table[i / 2].granularity;
		disk_init(&d, BLK_ENGINE_SYNC);
		file = d.image;
		d.config.direct = BLK_DIRECT_OFF;
		d.config.blk_size = table[i / 2].blk_size;
		disk_open(&d);
		memcpy(&space, d.dev->regpage->config, sizeof(space));
		ck_assert_uint_eq(space.max_discard_sectors, table[i / 2].says_max);
		ck_assert_uint_eq(space.max_discard_seg, table[i / 2].says_max ? 16 : 0);
		ck_assert_uint_eq(space.discard_sector_alignment, table[i / 2].says_align);
		ck_assert_uint_eq(d.dev->offered & discard, table[i / 2].says_max ? discard : 0);
		ck_assert_uint_eq(space.max_write_zeroes_sectors, SECTORS_MAX);
		disk_fini(&d);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_bdev");
	TCase *t = tcase_create("image_bdev");

	tcase_add_test(t, block_device_has_its_capacity_and_is_opened_exclusively);
	tcase_add_test(t, read_only_block_device_is_shared_with_the_host);
	tcase_add_test(t, file_is_not_opened_like_a_block_device);
	tcase_add_test(t, host_block_device_that_is_mounted);
	tcase_add_test(t, read_only_device_was_given_to_the_guest_as_writable);
	tcase_add_test(t, physical_block_of_a_block_device);
	tcase_add_test(t, physical_block_is_in_the_config_space);
	tcase_add_test(t, topology_of_a_block_device);
	tcase_add_test(t, topology_of_a_file);
	tcase_add_test(t, what_a_block_device_can_discard);
	suite_add_tcase(s, t);
	return s;
}
