/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of commands of the operator while the driver is active: resize, flush, pause, limits.
 * Linked with --wrap for errors of the host.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/blkplane.h"
#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

#define SECTORS	    (DISK_BYTES / 512)
#define CAPACITY    VIRTIO_MMIO_CONFIG
#define QUEUE_RESET 0x0c0

static struct disk d;
static struct mockdrv *const m = &d.m;
static int flush_error, truncate_error, lseek_error, fstat_error;
static bool is_device; /* fstat says that the image is a block device */
static int flushed_fd; /* descriptor of the last fdatasync */

static int refuse(int err)
{
	errno = err;
	return -1;
}

int __wrap_fdatasync(int fd)
{
	WRITE_ONCE(flushed_fd, fd);
	return READ_ONCE(flush_error) ? refuse(EIO) : __real_fdatasync(fd);
}

int __wrap_ftruncate(int fd, off_t size)
{
	return truncate_error ? refuse(truncate_error) : __real_ftruncate(fd, size);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	return lseek_error ? refuse(lseek_error) : __real_lseek(fd, offset, whence);
}

int __wrap_fstat(int fd, struct stat *st)
{
	int err = fstat_error ? refuse(fstat_error) : __real_fstat(fd, st);

	if (!err && is_device)
		st->st_mode = S_IFBLK | 0600;
	return err;
}

static int resize(uint64_t bytes, const char **why)
{
	int err;

	virtio_mmio_lock(&d.mmio);
	err = blk_resize(d.blk, bytes, why);
	/* The capacity may change before the generation, because all readers here take the lock. */
	if (!err)
		blk_notify_resize(d.blk);
	virtio_mmio_unlock(&d.mmio);
	return err;
}

static uint64_t capacity(void)
{
	uint64_t sectors = 0;

	virtio_mmio_read(&d.mmio, CAPACITY, (uint8_t *)&sectors, 4);
	virtio_mmio_read(&d.mmio, CAPACITY + 4, (uint8_t *)&sectors + 4, 4);
	return sectors;
}

static uint32_t generation(void)
{
	return reg_get(&d.mmio, VIRTIO_MMIO_CONFIG_GENERATION);
}

static bool config_interrupt(void)
{
	uint32_t status = reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS);

	reg_set(&d.mmio, VIRTIO_MMIO_INTERRUPT_ACK, status);
	return status & IRQLINE_CONFIG;
}

/* Resizes the disk, and checks that the driver is told and sees the new capacity. */
static void resize_to(uint64_t bytes)
{
	uint32_t before = generation();
	const char *why;

	ck_assert_int_eq(resize(bytes, &why), 0);
	ck_assert_uint_ne(generation(), before);
	ck_assert(config_interrupt());
	ck_assert_uint_eq(capacity(), bytes / 512);
	ck_assert_uint_eq(blk_capacity(d.blk), bytes);
}

static uint8_t write_at(uint64_t sector, uint32_t len)
{
	struct mock_blk req;

	return disk_do(&d, VIRTIO_BLK_T_OUT, sector, len, &req, NULL);
}

/* The disk grows, shrinks and grows again. */
START_TEST(resized_disk_on_every_engine)
{
	rows_begin(&d, _i);
	ck_assert_uint_eq(write_at(SECTORS, 512), VIRTIO_BLK_S_IOERR);
	resize_to(2 * DISK_BYTES);
	ck_assert_uint_eq(image_size(&d.image), 2 * DISK_BYTES);
	ck_assert_uint_eq(write_at(2 * SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(write_at(2 * SECTORS - 7, 4096), VIRTIO_BLK_S_IOERR);
	resize_to(DISK_BYTES / 2);
	/* The file does not shrink. */
	ck_assert_uint_eq(image_size(&d.image), 2 * DISK_BYTES);
	ck_assert_uint_eq(write_at(SECTORS / 2, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(write_at(SECTORS / 2 - 1, 512), VIRTIO_BLK_S_OK);
	/* The new size holds for the next driver, and for a queue that is started alone. */
	reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES | BIT64(VIRTIO_F_RING_RESET));
	ck_assert_uint_eq(capacity(), SECTORS / 2);
	ck_assert_uint_eq(write_at(SECTORS / 2, 512), VIRTIO_BLK_S_IOERR);
	reg_set(&d.mmio, QUEUE_RESET, 1);
	resize_to(DISK_BYTES);
	mock_ring(m, ROWS_RING, false, false);
	ck_assert(reg_queue(&d.mmio, &m->ring));
	ck_assert_uint_eq(write_at(SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_close(&d), 0);
	disk_fini(&d);
}
END_TEST

/* A driver is not told before DRIVER_OK, nor when the size is the same. */
START_TEST(driver_is_told_only_of_a_change)
{
	const char *why;
	uint32_t before;

	disk_init(&d, BLK_ENGINE_SYNC);
	disk_open(&d);
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	before = generation();
	ck_assert_int_eq(resize(DISK_BYTES / 2, &why), 0);
	ck_assert_uint_ne(generation(), before);
	ck_assert(!config_interrupt());
	ck_assert_uint_eq(mock_irqs(m), 0);
	ck_assert_uint_eq(capacity(), SECTORS / 2);
	disk_bring_up(&d, 16, DISK_FEATURES);
	before = generation();
	ck_assert_int_eq(resize(DISK_BYTES / 2, &why), 0);
	ck_assert_uint_eq(generation(), before);
	ck_assert(!config_interrupt());
	/* A reset does not undo it. */
	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(generation(), before);
	ck_assert_uint_eq(capacity(), SECTORS / 2);
	disk_fini(&d);
}
END_TEST

/* Size 0 stands for the present size of the image, in whole blocks. */
START_TEST(resize_to_the_size_of_the_image)
{
	const char *why;

	disk_init(&d, BLK_ENGINE_URING);
	d.config.blk_size = 4096;
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_int_eq(truncate(d.image.path, 3 * DISK_BYTES + 4095), 0);
	ck_assert_int_eq(resize(0, &why), 0);
	ck_assert_uint_eq(capacity(), 3 * SECTORS);
	ck_assert_uint_eq(write_at(3 * SECTORS - 8, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(truncate(d.image.path, 4095), 0);
	ck_assert_int_eq(resize(0, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "empty"));
	ck_assert_uint_eq(capacity(), 3 * SECTORS);
	ck_assert_int_eq(truncate(d.image.path, DISK_BYTES), 0);
	disk_fini(&d);
}
END_TEST

START_TEST(size_that_is_refused)
{
	const char *why;

	disk_init(&d, BLK_ENGINE_SYNC);
	d.config.blk_size = 1024;
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_int_eq(resize(DISK_BYTES + 512, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "blk-size"));
	ck_assert_int_lt(resize(1ull << 63, &why), 0);
	lseek_error = EIO;
	ck_assert_int_eq(resize(DISK_BYTES / 2, &why), -EIO);
	lseek_error = 0;
	fstat_error = EIO;
	ck_assert_int_eq(resize(DISK_BYTES * 2, &why), -EIO);
	fstat_error = 0;
	truncate_error = ENOSPC;
	ck_assert_int_eq(resize(DISK_BYTES * 2, &why), -ENOSPC);
	truncate_error = 0;
	ck_assert_str_eq(why, strerror(ENOSPC));
	truncate_error = 0;
	is_device = true;
	ck_assert_int_eq(resize(DISK_BYTES * 2, &why), -EINVAL);
	is_device = false;
	ck_assert_uint_eq(capacity(), SECTORS);
	ck_assert(!config_interrupt());
	disk_fini(&d);

	disk_init(&d, BLK_ENGINE_SYNC);
	d.config.readonly = true;
	disk_open(&d);
	ck_assert_int_eq(resize(DISK_BYTES * 2, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "grow"));
	ck_assert_int_eq(resize(DISK_BYTES / 2, &why), 0);
	ck_assert_uint_eq(image_size(&d.image), DISK_BYTES);
	disk_fini(&d);
}
END_TEST

/* The flush uses a descriptor of its own, so that the guest still gets an error of the host. */
START_TEST(flush_for_the_operator)
{
	disk_init(&d, BLK_ENGINE_SYNC);
	disk_open(&d);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_uint_eq(write_at(0, 512), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(blk_flush(d.blk), 0);
	int own = READ_ONCE(flushed_fd);
	struct mock_blk req;
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_int_ne(READ_ONCE(flushed_fd), own);
	WRITE_ONCE(flush_error, EIO);
	ck_assert_int_eq(blk_flush(d.blk), -EIO);
	WRITE_ONCE(flush_error, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	disk_fini(&d);

	disk_init(&d, BLK_ENGINE_SYNC);
	d.config.readonly = true;
	disk_open(&d);
	WRITE_ONCE(flushed_fd, -1);
	ck_assert_int_eq(blk_flush(d.blk), 0);
	ck_assert_int_eq(READ_ONCE(flushed_fd), -1);
	disk_fini(&d);
}
END_TEST

/* Only one of the two queues is set up. */
START_TEST(disk_is_paused_resized_resumed_and_destroyed)
{
	struct vring_used_elem elem;
	struct mock_blk req;

	disk_init(&d, BLK_ENGINE_URING);
	d.config.queues = 2;
	disk_open(&d);
	/* There is no driver yet. */
	blk_pause(d.blk);
	blk_resume(d.blk);
	disk_bring_up(&d, 16, DISK_FEATURES);
	ck_assert_uint_eq(write_at(0, 512), VIRTIO_BLK_S_OK);
	blk_pause(d.blk);
	mock_forget(m);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 0, 512);
	mock_offer(m, req.head);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
	resize_to(DISK_BYTES / 2);
	blk_resume(d.blk);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	/* The VM ends while it is paused. */
	blk_pause(d.blk);
	ck_assert_int_eq(disk_close(&d), 0);
	disk_fini(&d);
}
END_TEST

/* ---- with concurrent readers ---- */

static bool over; /* atomic */

/* Reads the capacity as Linux does: again when the generation has changed. */
static void *read_capacity(void *arg)
{
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint32_t before = generation();
		uint64_t sectors = capacity();

		if (generation() == before)
			must(sectors == 0x1ffffffff || sectors == 0x2000000000);
	}
	return arg;
}

/* The two sizes differ in both halves, so that a mixture of them would be seen. */
START_TEST(capacity_is_never_read_in_halves)
{
	pthread_t reader;
	const char *why;

	disk_init(&d, BLK_ENGINE_SYNC);
	disk_open(&d);
	if (truncate(d.image.path, 0x2000000000ll * 512)) {
		/* The file system has no files of that size. */
		disk_fini(&d);
		return;
	}
	ck_assert_int_eq(resize(0x1ffffffffull * 512, &why), 0);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_capacity, NULL), 0);
	for (unsigned int i = 0; i < 20000; i++)
		must(!resize((i % 2 ? 0x1ffffffffull : 0x2000000000ull) * 512, &why));
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(reader, NULL);
	disk_fini(&d);
}
END_TEST

static bool is_throttled(void)
{
	struct blkplane_stats stats;

	blk_stats(d.blk, 0, &stats);
	return stats.throttled;
}

/* Limits are set before there is a driver, changed while its requests wait, and removed. */
START_TEST(limits_set_before_and_while_a_driver_is_active)
{
	const struct blklimit_rates slow = { .bps = 1, .bps_burst = 1 }, none = { 0 };
	struct blklimit_rates now;
	struct mock_blk req;
	struct vring_used_elem elem;

	disk_init(&d, BLK_ENGINE_SYNC);
	disk_open(&d);
	blk_set_limits(d.blk, &slow);
	blk_limits(d.blk, &now);
	ck_assert_uint_eq(now.bps, 1);
	reg_bring_up(&d.mmio, m, ROWS_RING, DISK_FEATURES);
	/* After this request, the bucket is empty for more than an hour. */
	ck_assert_uint_eq(write_at(0, 4096), VIRTIO_BLK_S_OK);
	mock_blk(m, &req, VIRTIO_BLK_T_OUT, 8, 4096);
	for (unsigned int i = 0; i < 2; i++) {
		mock_offer(m, req.head);
		mock_wait_until(is_throttled());
		ck_assert(!mock_has_used(m));
		blk_set_limits(d.blk, i ? &none : &slow);
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(mock_status(m, &req), VIRTIO_BLK_S_OK);
	}
	ck_assert_uint_eq(write_at(0, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_close(&d), 0);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_operate");
	TCase *t = tcase_create("blk_operate");

	tcase_add_named_test(t, resized_disk_on_every_engine, engine_ways(), engine_way_name);
	tcase_add_test(t, driver_is_told_only_of_a_change);
	tcase_add_test(t, resize_to_the_size_of_the_image);
	tcase_add_test(t, size_that_is_refused);
	tcase_add_test(t, flush_for_the_operator);
	tcase_add_test(t, disk_is_paused_resized_resumed_and_destroyed);
	tcase_add_test(t, limits_set_before_and_while_a_driver_is_active);
	tcase_add_test(t, capacity_is_never_read_in_halves);
	suite_add_tcase(s, t);
	return s;
}
