/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a whole disk as its driver sees it. test_blk_life.c tests start and reset under load. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/disk.h"
#include "tests/lib/engines.h"
#include "tests/lib/suite.h"

static struct disk d;
static struct mockdrv *const m = &d.m;

static void begin(enum blk_engine engine, uint64_t features)
{
	disk_init(&d, engine);
	disk_open(&d);
	reg_bring_up(&d.mmio, m, 64, features);
}

static void config_read(void *to, size_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		virtio_mmio_read(&d.mmio, VIRTIO_MMIO_CONFIG + offset + i, (uint8_t *)to + i, 1);
}

START_TEST(features_and_configuration_space)
{
	const uint64_t always = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |
				BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_BLK_F_SEG_MAX) |
				BIT64(VIRTIO_BLK_F_BLK_SIZE) | BIT64(VIRTIO_BLK_F_TOPOLOGY) |
				BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_CONFIG_WCE) |
				BIT64(VIRTIO_F_RING_RESET);
	const uint64_t changes = BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES);
	struct virtio_blk_config space = { 0 };

	for (unsigned int ro = 0; ro < 2; ro++) {
		disk_init(&d, BLK_ENGINE_SYNC);
		d.config.readonly = ro;
		d.config.queue_size = 128;
		disk_open(&d);
		ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_DEVICE_ID), 2);
		ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_QUEUE_NUM_MAX), 128);
		ck_assert_uint_eq(reg_offered(&d.mmio),
				  always | (ro ? BIT64(VIRTIO_BLK_F_RO) : changes));
		config_read(&space, 0, sizeof(space));
		ck_assert_uint_eq(space.capacity, DISK_BYTES / 512);
		ck_assert_uint_eq(space.seg_max, 126);
		ck_assert_uint_eq(space.blk_size, 512);
		ck_assert_uint_ge(space.min_io_size, 1);
		ck_assert_uint_eq(1u << space.physical_block_exp, space.min_io_size);
		ck_assert_uint_eq(space.wce, 1);
		ck_assert_uint_eq(space.max_discard_sectors, ro ? 0 : 1u << 22);
		ck_assert_uint_eq(space.max_discard_seg, ro ? 0 : 16);
		ck_assert_uint_eq(space.discard_sector_alignment, ro ? 0 : space.min_io_size);
		ck_assert_uint_eq(space.max_write_zeroes_sectors, ro ? 0 : 1u << 22);
		ck_assert_uint_eq(space.max_write_zeroes_seg, ro ? 0 : 16);
		ck_assert_uint_eq(space.write_zeroes_may_unmap, !ro);
		disk_fini(&d);
	}
}
END_TEST

/* The user chooses the block size. The capacity is always in sectors of 512 bytes (5.2.4). */
START_TEST(configuration_space_with_4096_byte_blocks)
{
	struct virtio_blk_config space = { 0 };

	disk_init(&d, BLK_ENGINE_SYNC);
	d.config.blk_size = 4096;
	disk_open(&d);
	config_read(&space, 0, offsetof(struct virtio_blk_config, wce));
	ck_assert_uint_eq(space.capacity, DISK_BYTES / 512);
	ck_assert_uint_eq(space.blk_size, 4096);
	ck_assert_uint_eq(space.physical_block_exp, 0);
	disk_fini(&d);
}
END_TEST

START_TEST(queue_that_is_not_started_has_no_requests_to_save)
{
	disk_init(&d, BLK_ENGINE_SYNC);
	disk_open(&d);
	ck_assert_uint_eq(blk_save_requests(d.blk, 0, NULL), 0);
	disk_fini(&d);
}
END_TEST

START_TEST(requests_end_to_end)
{
	static uint8_t bytes[4096];
	struct mock_blk req;
	uint32_t len;

	begin(engine_way(2 * _i).engine, DISK_FEATURES | DISK_RING);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 8, 4096, &req, &len), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(len, 4097);
	ck_assert(image_is_fresh(mock_ptr(m, req.data), 4096, 4096));
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 16, 4096, &req, &len), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(len, 1);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, &len), VIRTIO_BLK_S_OK);
	image_peek(&d.image, bytes, 16 * 512, 4096);
	ck_assert(all_bytes(bytes, 0xee, 4096));
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, &req, NULL),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_DISCARD, 0, 512, &req, NULL),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 512, &req, NULL),
			  VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(image_size(&d.image), DISK_BYTES);
	disk_fini(&d);
}
END_TEST

START_TEST(row35_serial_numbers)
{
	static const struct {
		const char *serial;
		const char id[21];
	} cases[] = { { NULL, "disk3" },
		      { "", "" },
		      { "root", "root" },
		      { "12345678901234567890", "12345678901234567890" } };
	struct mock_blk req;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		disk_init(&d, BLK_ENGINE_SYNC);
		d.config.serial = cases[i].serial;
		disk_open(&d);
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_GET_ID, 0, 20, &req, NULL),
				  VIRTIO_BLK_S_OK);
		ck_assert_mem_eq(mock_ptr(m, req.data), cases[i].id, 20);
		disk_fini(&d);
	}
}
END_TEST

START_TEST(row33_read_only_disk_with_and_without_the_feature)
{
	static uint8_t bytes[512];
	struct mock_blk req;

	for (unsigned int ro = 0; ro < 2; ro++) {
		disk_init(&d, BLK_ENGINE_LIBAIO);
		d.config.readonly = true;
		disk_open(&d);
		reg_bring_up(&d.mmio, m, 64, DISK_FEATURES | (ro ? BIT64(VIRTIO_BLK_F_RO) : 0));
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_OUT, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL),
				  VIRTIO_BLK_S_OK);
		image_peek(&d.image, bytes, 0, 512);
		ck_assert(image_is_fresh(bytes, 0, 512));
		disk_fini(&d);
	}
}
END_TEST

/* A flush is completed also when FLUSH was not negotiated. */
START_TEST(row36_flush_not_negotiated)
{
	struct mock_blk req;

	begin(BLK_ENGINE_LIBAIO, DISK_PLAIN);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &req, NULL), VIRTIO_BLK_S_OK);
	disk_fini(&d);
}
END_TEST

START_TEST(row39_another_formats_header_survives_as_data)
{
	struct mock_blk req;

	begin(BLK_ENGINE_LIBAIO, DISK_FEATURES);
	mock_blk(m, &req, VIRTIO_BLK_T_OUT, 0, 512);
	memcpy(mock_ptr(m, req.data), "QFI\xfb\0\0\0\3", 8);
	ck_assert_uint_eq(mock_do(m, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(disk_close(&d), 0);
	disk_open(&d);
	reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(mock_ptr(m, req.data), "QFI\xfb\0\0\0\3", 8);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, DISK_BYTES / 512 - 1, 512, &req, NULL),
			  VIRTIO_BLK_S_OK);
	disk_fini(&d);
}
END_TEST

START_TEST(second_disk_on_the_same_image)
{
	struct blk *other;
	const char *why;

	begin(BLK_ENGINE_LIBAIO, DISK_FEATURES);
	unsigned int fds = count_fds();
	ck_assert_int_eq(blk_create(&other, &d.config, 1, &m->hostmem, &why), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "in use"));
	ck_assert_uint_eq(count_fds(), fds);
	ck_assert(blk_has_image(d.blk, d.config.path));
	ck_assert(!blk_has_image(d.blk, "/proc"));
	disk_close(&d);
	ck_assert_int_eq(blk_create(&other, &d.config, 1, &m->hostmem, &why), 0);
	ck_assert_ptr_null(blk_format(other));
	ck_assert_int_eq(blk_destroy(other), 0);
	disk_fini(&d);
}
END_TEST

/* Another disk keeps working meanwhile. */
START_TEST(broken_queue_is_reported_and_a_reset_recovers_it)
{
	static struct disk other;
	struct mock_blk req;

	begin(BLK_ENGINE_LIBAIO, DISK_FEATURES);
	disk_init(&other, BLK_ENGINE_LIBAIO);
	disk_open(&other);
	reg_bring_up(&other.mmio, &other.m, 64, DISK_FEATURES);

	mock_offer(m, 64);
	mock_wait_until(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS) & IRQLINE_CONFIG);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	ck_assert_uint_eq(mock_wait_irq(m), 1);
	reg_set(&d.mmio, VIRTIO_MMIO_INTERRUPT_ACK, IRQLINE_CONFIG);
	/* Further notifications cause no second interrupt and no processing. */
	for (unsigned int i = 0; i < 100; i++)
		mock_kick(m);
	ck_assert_uint_eq(disk_do(&other, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(reg_get(&d.mmio, VIRTIO_MMIO_INTERRUPT_STATUS), 0);

	reg_bring_up(&d.mmio, m, 64, DISK_FEATURES | DISK_RING);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	disk_fini(&other);
	disk_fini(&d);
}
END_TEST

START_TEST(driver_without_queues)
{
	unsigned int threads;

	disk_init(&d, BLK_ENGINE_LIBAIO);
	disk_open(&d);
	threads = count_threads();
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	mock_wait_until(count_threads() == threads);
	reg_set_status(&d.mmio, 0);
	ck_assert_uint_eq(reg_status(&d.mmio), 0);
	disk_fini(&d);
}
END_TEST

/* The device sets NEEDS_RESET, and starts after a reset. */
START_TEST(host_out_of_descriptors_at_activation)
{
	struct rlimit before, none;
	struct mock_blk req;

	disk_init(&d, BLK_ENGINE_SYNC);
	disk_open(&d);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	int fd = dup(0);
	close(fd);
	none.rlim_cur = (rlim_t)fd;
	mock_ring(m, 64, false, false);
	ck_assert(reg_negotiate(&d.mmio, DISK_FEATURES));
	ck_assert(reg_queue(&d.mmio, &m->ring));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	reg_set_status(&d.mmio, ST_DRIVER_OK);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK | ST_NEEDS_RESET);
	reg_bring_up(&d.mmio, m, 64, DISK_FEATURES);
	ck_assert_uint_eq(disk_do(&d, VIRTIO_BLK_T_IN, 0, 512, &req, NULL), VIRTIO_BLK_S_OK);
	disk_fini(&d);
}
END_TEST

START_TEST(disk_whose_image_cannot_be_opened_leaks_nothing)
{
	struct blk *blk = NULL;
	const char *why;
	unsigned int fds;

	disk_init(&d, BLK_ENGINE_SYNC);
	d.config.path = "no-such.img";
	fds = count_fds();
	ck_assert_int_eq(blk_create(&blk, &d.config, 0, &m->hostmem, &why), -ENOENT);
	ck_assert_ptr_null(blk);
	ck_assert_ptr_nonnull(why);
	ck_assert_uint_eq(count_fds(), fds);
	ck_assert_int_eq(blk_destroy(NULL), 0);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk");
	TCase *t = tcase_create("blk");

	tcase_add_test(t, features_and_configuration_space);
	tcase_add_test(t, configuration_space_with_4096_byte_blocks);
	tcase_add_test(t, queue_that_is_not_started_has_no_requests_to_save);
	tcase_add_named_test(t, requests_end_to_end, engine_count(), engine_name);
	tcase_add_test(t, row35_serial_numbers);
	tcase_add_test(t, row33_read_only_disk_with_and_without_the_feature);
	tcase_add_test(t, row36_flush_not_negotiated);
	tcase_add_test(t, row39_another_formats_header_survives_as_data);
	tcase_add_test(t, second_disk_on_the_same_image);
	tcase_add_test(t, broken_queue_is_reported_and_a_reset_recovers_it);
	tcase_add_test(t, driver_without_queues);
	tcase_add_test(t, host_out_of_descriptors_at_activation);
	tcase_add_test(t, disk_whose_image_cannot_be_opened_leaks_nothing);
	suite_add_tcase(s, t);
	return s;
}
