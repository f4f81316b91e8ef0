/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of real block devices as disks, where the host provides loop devices (root, and Linux 5.8);
 * elsewhere these tests pass without testing. test_image_bdev.c and test_image_direct.c need
 * neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/virtio/image.h"
#include "tests/lib/cases.h"
#include "tests/lib/disk.h"
#include "tests/lib/suite.h"

#define TRIES 20

static struct test_image file;
static char path[64];
static int
	loop; /* keeps the device configured; its close releases the device, also after a crash */
static struct image image;
static const char *why;

/* Fails if another process takes the free device first. */
static int take_free(int control, uint32_t block)
{
	struct loop_config config = {
		.fd = (uint32_t)file.fd,
		.block_size = block,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int number = ioctl(control, LOOP_CTL_GET_FREE);

	if (number < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/loop%d", number);
	loop = open(path, O_RDWR | O_CLOEXEC);
	if (loop < 0)
		return -1;
	if (!ioctl(loop, LOOP_CONFIGURE, &config))
		return 0;
	close(loop);
	return -1;
}

/* Creates a loop device with this block size over a new image. */
static bool begin(uint32_t block)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	bool got = false;

	image_make(&file, DISK_BYTES, false);
	for (unsigned int i = 0; control >= 0 && i < TRIES && !got; i++)
		got = !take_free(control, block);
	if (control >= 0)
		close(control);
	if (!got) {
		fprintf(stderr, "skip: no loop device: %s\n", strerror(errno));
		image_remove(&file);
	}
	return got;
}

static void end(void)
{
	close(loop);
	image_remove(&file);
}

static struct blk_config config(uint32_t blk_size)
{
	return (struct blk_config){ .path = path, .blk_size = blk_size, .queue_size = 64 };
}

START_TEST(loop_device_is_measured)
{
	static const uint32_t block[] = { 512, 4096 };

	for (unsigned int i = 0; i < ARRAY_SIZE(block); i++) {
		struct blk_config c = config(block[i]);

		if (!begin(block[i]))
			return;
		ck_assert_int_eq(image_open(&image, &c, &why), 0);
		ck_assert_uint_eq(image.size, DISK_BYTES);
		ck_assert_uint_eq(image.physical_block, block[i]);
		ck_assert_uint_eq(image.direct_align, block[i]);
		image_close(&image);
		end();
	}
}
END_TEST

/* When the disk's blocks are smaller than the device's, the page cache is used. */
START_TEST(loop_device_with_larger_blocks_than_the_guests)
{
	struct blk_config c = config(512);

	if (!begin(4096))
		return;
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_uint_eq(image.direct_align, 1);
	ck_assert_int_eq(fcntl(image.fd, F_GETFL) & O_DIRECT, 0);
	image_close(&image);
	c.direct = BLK_DIRECT_ON;
	ck_assert_int_eq(image_open(&image, &c, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "larger blk-size"));
	end();
}
END_TEST

/* The test opens the device with O_EXCL, as a mount does: the kernel permits one such owner. */
START_TEST(host_loop_device_that_is_mounted)
{
	struct blk_config c = config(512);
	int owner;

	if (!begin(512))
		return;
	owner = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	ck_assert_int_ge(owner, 0);
	ck_assert_int_eq(image_open(&image, &c, &why), -EBUSY);
	ck_assert_str_eq(why, "in use by the host");
	c.readonly = true;
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	image_close(&image);
	close(owner);

	/* The device cannot be mounted while it is a disk. */
	c.readonly = false;
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_int_eq(open(path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	ck_assert_int_eq(errno, EBUSY);
	image_close(&image);
	end();
}
END_TEST

START_TEST(loop_device_is_the_base_of_ephemeral_disks)
{
	struct blk_config c = config(512), writer = config(512);
	struct image other;

	if (!begin(512))
		return;
	c.ephemeral = true;
	ck_assert_int_eq(image_open(&image, &c, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "--ephemeral-dir"));
	c.ephemeral_dir = "/dev/shm";
	ck_assert_int_eq(image_open(&image, &c, &why), 0);
	ck_assert_uint_eq(image.size, DISK_BYTES);
	ck_assert_uint_eq(image.device_block, 0);
	ck_assert(image_is(&image, path) && image.overlay);
	ck_assert_int_eq(image_open(&other, &c, &why), 0);
	image_close(&other);
	ck_assert_int_eq(image_open(&other, &writer, &why), -EBUSY);
	image_close(&image);
	end();
}
END_TEST

static const char *const engines[] = { "libaio", "sync" };

START_TEST(loop_device_serves_requests)
{
	static uint8_t sector[512];
	struct mock_blk req;
	struct disk d;

	if (!begin(512))
		return;
	disk_init(&d, _i ? BLK_ENGINE_SYNC : BLK_ENGINE_LIBAIO);
	d.config.path = path;
	disk_open(&d);
	reg_bring_up(&d.mmio, &d.m, 64, DISK_FEATURES);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 3, 4096, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(&d.m, req.data), 3 * 512, 4096));
	/* mock_blk fills the data of a write with 0xee. */
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 5, 512, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL), VIRTIO_BLK_S_OK);
	image_peek(&file, sector, 5 * 512, sizeof(sector));
	ck_assert(all_bytes(sector, 0xee, sizeof(sector)));
	/* This sector is one behind the last. */
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, DISK_BYTES / 512, 512, &req, NULL),
			  VIRTIO_BLK_S_IOERR);
	disk_fini(&d);
	end();
}
END_TEST

static const char *const range_engines[] = { "io_uring", "sync" };

/* A loop device discards by punching holes in its file. */
START_TEST(loop_device_discards_and_zeroes)
{
	const struct virtio_blk_discard_write_zeroes seg[] = {
		{ .sector = 64, .num_sectors = 64 }, { .sector = 512, .num_sectors = 8 }
	};
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	const uint64_t ranges = BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES);
	static uint8_t bytes[64 * 512];
	struct mock_blk req;
	struct disk d;

	if (!begin(512))
		return;
	disk_init(&d, _i ? BLK_ENGINE_SYNC : BLK_ENGINE_URING);
	d.config.path = path;
	disk_open(&d);
	reg_bring_up(&d.mmio, &d.m, 64, DISK_FEATURES | ranges);
	for (unsigned int t = 0; t < 2; t++) {
		mock_blk(&d.m, &req, types[t], 0, sizeof(seg));
		memcpy(mock_ptr(&d.m, req.data), seg, sizeof(seg));
		ck_assert_uint_eq(mock_do(&d.m, &req, NULL), VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 64, sizeof(bytes), &req, NULL),
			  VIRTIO_BLK_S_OK);
	ck_assert(all_bytes(mock_ptr(&d.m, req.data), 0, sizeof(bytes)));
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL), VIRTIO_BLK_S_OK);
	image_peek(&file, bytes, 64 * 512, sizeof(bytes));
	ck_assert(all_bytes(bytes, 0, sizeof(bytes)));
	image_peek(&file, bytes, 128 * 512, sizeof(bytes));
	ck_assert(image_is_fresh(bytes, 128 * 512, sizeof(bytes)));
	disk_fini(&d);
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("image_loop");
	TCase *t = tcase_create("image_loop");

	tcase_add_test(t, loop_device_is_measured);
	tcase_add_test(t, loop_device_with_larger_blocks_than_the_guests);
	tcase_add_test(t, host_loop_device_that_is_mounted);
	tcase_add_test(t, loop_device_is_the_base_of_ephemeral_disks);
	tcase_add_names_test(t, loop_device_serves_requests, engines);
	tcase_add_names_test(t, loop_device_discards_and_zeroes, range_engines);
	suite_add_tcase(s, t);
	return s;
}
