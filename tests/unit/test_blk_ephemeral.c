/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of ephemeral disks as a driver sees them: with every engine, with and without O_DIRECT, and
 * both ring formats. Linked with --wrap: flushes of the host are counted.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/overlay.h"
#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/sanitizer.h"
#include "tests/lib/suite.h"

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
void __real_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
int __real_io_submit(io_context_t ctx, long count, struct iocb **iocb);
int __wrap_io_submit(io_context_t ctx, long count, struct iocb **iocb);

#define IN	 VIRTIO_BLK_T_IN
#define OUT	 VIRTIO_BLK_T_OUT
#define FLUSH	 VIRTIO_BLK_T_FLUSH
#define OK	 VIRTIO_BLK_S_OK
#define BLOCK	 OVERLAY_BLOCK
#define SECTORS	 (DISK_BYTES / 512)
#define CAPACITY VIRTIO_MMIO_CONFIG
#define WCE	 (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, wce))

#define FEATURES                                                      \
	(DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_CONFIG_WCE) | \
	 BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES))

static struct disk d, other;
static unsigned int flushes; /* atomic; flushes and synchronous writes of the host */
static struct mock_blk req;

int __wrap_fdatasync(int fd)
{
	__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	return __real_fdatasync(fd);
}

void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	if (sqe->opcode == IORING_OP_FSYNC || sqe->rw_flags & RWF_DSYNC)
		__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	__real_evloop_request(sqe, request);
}

int __wrap_io_submit(io_context_t ctx, long count, struct iocb **iocb)
{
	for (long i = 0; i < count; i++)
		if (iocb[i]->aio_lio_opcode == IO_CMD_FDSYNC || iocb[i]->aio_rw_flags & RWF_DSYNC)
			__atomic_fetch_add(&flushes, 1, __ATOMIC_SEQ_CST);
	return __real_io_submit(ctx, count, iocb);
}

static void begin(struct disk *disk, int way)
{
	rows_init(disk, way);
	disk->config.ephemeral = true;
}

static void start(struct disk *disk)
{
	disk_open(disk);
	disk_bring_up(disk, ROWS_RING, FEATURES);
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	return disk_do(&d, type, sector, len, &req, NULL);
}

static uint8_t *data_of(const struct disk *disk)
{
	return mock_ptr(&disk->m, req.data);
}

/* Sends a discard or write-zeroes of one range. */
static uint8_t range(uint32_t type, uint64_t sector, uint32_t sectors)
{
	struct virtio_blk_discard_write_zeroes seg = { .sector = sector, .num_sectors = sectors };
	struct vring_used_elem elem;

	mock_forget(&d.m);
	mock_blk(&d.m, &req, type, 0, sizeof(seg));
	memcpy(mock_ptr(&d.m, req.data), &seg, sizeof(seg));
	mock_offer(&d.m, req.head);
	mock_wait_used(&d.m, &elem);
	return mock_status(&d.m, &req);
}

START_TEST(writes_are_dropped_and_the_image_stays)
{
	begin(&d, _i);
	for (unsigned int life = 0; life < 2; life++) {
		start(&d);
		ck_assert_uint_eq(request(IN, 7, 9 * 512), OK);
		ck_assert(image_is_fresh(data_of(&d), 7 * 512, 9 * 512));
		ck_assert_uint_eq(request(OUT, 7, 9 * 512), OK);
		/* They outlast a reset, such as a reboot of the guest. */
		disk_bring_up(&d, ROWS_RING, FEATURES);
		ck_assert_uint_eq(request(IN, 0, 4 * BLOCK), OK);
		ck_assert(image_is_fresh(data_of(&d), 0, 7 * 512));
		ck_assert(all_bytes(data_of(&d) + 7 * 512, 0xee, 9 * 512));
		ck_assert(image_is_fresh(data_of(&d) + 16 * 512, 16 * 512, 16 * 512));
		ck_assert_int_eq(disk_close(&d), 0);
		ck_assert(image_is_untouched(&d.image));
	}
	disk_fini(&d);
}
END_TEST

START_TEST(flushes_cost_nothing_in_either_cache_mode)
{
	begin(&d, _i);
	d.config.writethrough = true;
	start(&d);
	ck_assert_uint_eq(request(OUT, 0, 512), OK);
	ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 8), OK);
	for (uint8_t wce = 0; wce < 2; wce++) {
		virtio_mmio_write(&d.mmio, WCE, &wce, 1);
		ck_assert_uint_eq(request(OUT, 64, BLOCK), OK);
		ck_assert_uint_eq(request(FLUSH, 0, 0), OK);
	}
	/* A driver that cannot flush. */
	disk_bring_up(&d, ROWS_RING, DISK_PLAIN);
	ck_assert_uint_eq(request(OUT, 0, BLOCK), OK);
	ck_assert_int_eq(blk_flush(d.blk), 0);
	ck_assert_int_eq(disk_close(&d), 0);
	ck_assert_uint_eq(flushes, 0);
	disk_fini(&d);
}
END_TEST

START_TEST(serial_number_is_that_of_any_disk)
{
	begin(&d, _i);
	start(&d);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, 20), OK);
	ck_assert_str_eq((char *)data_of(&d), "disk3");
	disk_fini(&d);
}
END_TEST

/* Two VMs on one image do not see each other's writes. */
START_TEST(two_disks_share_one_image)
{
	begin(&d, _i);
	begin(&other, _i);
	other.config.path = d.image.path;
	start(&d);
	start(&other);
	ck_assert_uint_eq(request(OUT, 0, BLOCK), OK);
	ck_assert_uint_eq(disk_do(&other, IN, 0, 2 * BLOCK, &req, NULL), OK);
	ck_assert(image_is_fresh(data_of(&other), 0, 2 * BLOCK));
	ck_assert_uint_eq(disk_do(&other, OUT, 8, BLOCK, &req, NULL), OK);
	ck_assert_uint_eq(request(IN, 0, 2 * BLOCK), OK);
	ck_assert(all_bytes(data_of(&d), 0xee, BLOCK));
	ck_assert(image_is_fresh(data_of(&d) + BLOCK, BLOCK, BLOCK));
	ck_assert(image_is_untouched(&d.image));
	disk_fini(&other);
	disk_fini(&d);
}
END_TEST

START_TEST(grown_part_is_zeros)
{
	const char *why;

	begin(&d, _i);
	/* The last block of the image is incomplete. */
	must(!ftruncate(d.image.fd, DISK_BYTES - 1024));
	d.image.size = DISK_BYTES - 1024;
	start(&d);
	ck_assert_int_eq(blk_resize(d.blk, 0, &why), -EINVAL);
	ck_assert_int_eq(blk_resize(d.blk, 2 * DISK_BYTES, &why), 0);
	blk_notify_resize(d.blk);
	ck_assert_uint_eq(reg_get(&d.mmio, CAPACITY), 2 * SECTORS);
	ck_assert_uint_eq(request(IN, SECTORS - 8, 2 * BLOCK), OK);
	ck_assert(image_is_fresh(data_of(&d), DISK_BYTES - BLOCK, BLOCK - 1024));
	ck_assert(all_bytes(data_of(&d) + BLOCK - 1024, 0, BLOCK + 1024));
	ck_assert_uint_eq(request(OUT, SECTORS - 1, BLOCK), OK);
	ck_assert_uint_eq(request(OUT, 2 * SECTORS - 1, 512), OK);
	ck_assert_uint_eq(request(IN, SECTORS - 8, 2 * BLOCK), OK);
	ck_assert(image_is_fresh(data_of(&d), DISK_BYTES - BLOCK, BLOCK - 1024));
	ck_assert(all_bytes(data_of(&d) + BLOCK - 1024, 0, 512));
	ck_assert(all_bytes(data_of(&d) + BLOCK - 512, 0xee, BLOCK));
	ck_assert_uint_eq(request(IN, 2 * SECTORS - 8, BLOCK), OK);
	ck_assert(all_bytes(data_of(&d), 0, BLOCK - 512));
	ck_assert(all_bytes(data_of(&d) + BLOCK - 512, 0xee, 512));
	ck_assert_int_eq(disk_close(&d), 0);
	ck_assert(image_is_untouched(&d.image));
	disk_fini(&d);
}
END_TEST

START_TEST(discards_give_space_back)
{
	uint64_t before;

	begin(&d, _i);
	start(&d);
	ck_assert_uint_eq(request(OUT, 0, 64 << 10), OK);
	before = blk_allocated(d.blk);
	ck_assert_uint_ge(before, 64 << 10);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_DISCARD, 0, SECTORS), OK);
	ck_assert_uint_lt(blk_allocated(d.blk), before);
	ck_assert_uint_eq(request(IN, 64, 128 << 10), OK);
	ck_assert(all_bytes(data_of(&d), 0, 128 << 10));
	disk_fini(&d);
}
END_TEST

/* A guest with 4 KiB blocks on the same image. */
START_TEST(larger_logical_blocks)
{
	begin(&d, _i);
	d.config.blk_size = 4096;
	start(&d);
	ck_assert_uint_eq(request(OUT, 8, BLOCK), OK);
	ck_assert_uint_eq(request(OUT, 9, BLOCK), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(IN, 0, 3 * BLOCK), OK);
	ck_assert(image_is_fresh(data_of(&d), 0, BLOCK));
	ck_assert(all_bytes(data_of(&d) + BLOCK, 0xee, BLOCK));
	ck_assert(image_is_fresh(data_of(&d) + 2 * BLOCK, 2 * BLOCK, BLOCK));
	disk_fini(&d);
}
END_TEST

/* ---- a pause ---- */

static void *pause_and_resume(void *arg)
{
	bool *over = arg;

	while (!__atomic_load_n(over, __ATOMIC_ACQUIRE)) {
		blk_pause(d.blk);
		blk_resume(d.blk);
	}
	return NULL;
}

/* All writes of a batch copy the same block; pauses come in between. */
START_TEST(writes_to_one_block_while_the_disk_is_paused_and_resumed)
{
	unsigned int rounds = ROUNDS(60, 20, 20);
	bool over = false;
	pthread_t thread;

	begin(&d, _i);
	start(&d);
	must(!pthread_create(&thread, NULL, pause_and_resume, &over));
	for (unsigned int round = 0; round < rounds; round++) {
		struct vring_used_elem elem;
		struct mock_blk part[8];

		mock_forget(&d.m);
		for (unsigned int i = 0; i < 8; i++) {
			mock_blk(&d.m, &part[i], OUT, round * 8 + i, 512);
			memset(mock_ptr(&d.m, part[i].data), (int)(round + i), 512);
			mock_stage(&d.m, part[i].head);
		}
		mock_show(&d.m);
		mock_kick(&d.m);
		for (unsigned int i = 0; i < 8; i++)
			mock_wait_used(&d.m, &elem);
		for (unsigned int i = 0; i < 8; i++)
			must(mock_status(&d.m, &part[i]) == OK);
		must(request(IN, round * 8, BLOCK) == OK);
		for (unsigned int i = 0; i < 8; i++)
			must(all_bytes(data_of(&d) + i * 512, (int)(round + i), 512));
	}
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	disk_fini(&d);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blk_ephemeral");
	TCase *t = tcase_create("disk");
	int ways = rows_ways();

	tcase_add_named_test(t, writes_are_dropped_and_the_image_stays, ways, rows_way_name);
	tcase_add_named_test(t, flushes_cost_nothing_in_either_cache_mode, ways, rows_way_name);
	tcase_add_named_test(t, serial_number_is_that_of_any_disk, ways, rows_way_name);
	tcase_add_named_test(t, two_disks_share_one_image, ways, rows_way_name);
	tcase_add_named_test(t, grown_part_is_zeros, ways, rows_way_name);
	tcase_add_named_test(t, discards_give_space_back, ways, rows_way_name);
	tcase_add_named_test(t, larger_logical_blocks, ways, rows_way_name);
	tcase_add_named_test(t, writes_to_one_block_while_the_disk_is_paused_and_resumed, ways,
			     rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
