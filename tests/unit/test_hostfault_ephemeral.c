/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of an ephemeral disk whose directory is full, with every engine and both ring formats: the
 * guest is told by werror, and no data is lost or mixed up.
 */
#include "dataplane/blkplane.h"
#include "tests/lib/cases.h"
#include "tests/lib/rows.h"
#include "tests/lib/suite.h"
#include "tests/unit/small_fs_rig.h"

#define IN    VIRTIO_BLK_T_IN
#define OUT   VIRTIO_BLK_T_OUT
#define OK    VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR

static struct disk d;
static struct mock_blk req;
static unsigned int stopped; /* atomic */
static int stopped_err;	     /* atomic */

static void hear(struct blkplane_listener *listener, unsigned int queue, enum io_op op, int err)
{
	(void)listener;
	must(queue == 0 && (op == IO_WRITE || op == IO_WRITE_ZEROES));
	WRITE_ONCE(stopped_err, err);
	__atomic_fetch_add(&stopped, 1, __ATOMIC_SEQ_CST);
}

static struct blkplane_listener listener = { .stopped = hear };

/* Opens a disk whose writes go to a full file system. */
static bool begin(int way, enum blkpolicy_action werror)
{
	char path[300];

	rows_init(&d, way);
	if (!mount_small(d.image.path)) {
		fprintf(stderr, "skip: no file system of its own: %s\n", strerror(errno));
		disk_fini(&d);
		return false;
	}
	snprintf(path, sizeof(path), "%s/ballast", mount_point);
	ballast = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	must(ballast >= 0);
	fill_up();
	d.config.ephemeral = true;
	d.config.ephemeral_dir = mount_point;
	d.config.werror = werror;
	disk_open(&d);
	blk_set_listener(d.blk, &listener);
	disk_bring_up(&d, ROWS_RING, DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	return true;
}

static void end(void)
{
	ck_assert_uint_eq(reg_status(&d.mmio), ST_DRIVER_OK);
	ck_assert_int_eq(disk_close(&d), 0);
	unmount_small();
	ck_assert(image_is_untouched(&d.image));
	disk_fini(&d);
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	return disk_do(&d, type, sector, len, &req, NULL);
}

static void make_room(void)
{
	must(!ftruncate(ballast, 0));
}

static void expect_base(uint64_t sector, uint32_t len)
{
	ck_assert_uint_eq(request(IN, sector, len), OK);
	ck_assert(image_is_fresh(mock_ptr(&d.m, req.data), sector * 512, len));
}

START_TEST(full_directory_fails_writes_and_leaves_the_data)
{
	if (!begin(_i, BLKPOLICY_REPORT))
		return;
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_uint_eq(request(OUT, 64, 4096), IOERR);
		ck_assert_uint_eq(request(OUT, 64 + i, 512), IOERR);
		ck_assert_uint_eq(request(OUT, 61, 64 << 10), IOERR);
		expect_base(56, 128 << 10);
	}
	/* There is room for a part of the request. */
	must(!ftruncate(ballast, lseek(ballast, 0, SEEK_END) - 2 * 4096));
	ck_assert_uint_eq(request(OUT, 128, 64 << 10), IOERR);
	expect_base(512, 4096);
	make_room();
	ck_assert_uint_eq(request(OUT, 65, 512), OK);
	ck_assert_uint_eq(request(IN, 64, 4096), OK);
	const uint8_t *data = mock_ptr(&d.m, req.data);
	ck_assert(image_is_fresh(data, 64 * 512, 512) && all_bytes(data + 512, 0xee, 512));
	ck_assert(image_is_fresh(data + 1024, 66 * 512, 6 * 512));
	end();
}
END_TEST

static const struct {
	uint64_t sector;
	uint32_t len;
} writes[] = { { 64, 4096 }, { 65, 512 }, { 61, 64 << 10 } };

/* The VM is stopped, and the write is repeated when it is resumed. */
START_TEST(full_directory_parks_writes_until_there_is_room)
{
	if (!begin(_i, BLKPOLICY_ENOSPC))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++) {
		struct vring_used_elem elem;

		mock_forget(&d.m);
		mock_blk(&d.m, &req, OUT, writes[i].sector + 512 * i, writes[i].len);
		mock_offer(&d.m, req.head);
		mock_wait_until(__atomic_load_n(&stopped, __ATOMIC_SEQ_CST) == i + 1);
		ck_assert_int_eq(READ_ONCE(stopped_err), ENOSPC);
		blk_pause(d.blk);
		ck_assert_uint_eq(mock_status(&d.m, &req), 0xff);
		make_room();
		blk_resume(d.blk);
		mock_wait_used(&d.m, &elem);
		ck_assert_uint_eq(mock_status(&d.m, &req), OK);
		ck_assert_uint_eq(request(IN, writes[i].sector + 512 * i, writes[i].len), OK);
		ck_assert(all_bytes(mock_ptr(&d.m, req.data), 0xee, writes[i].len));
		fill_up();
	}
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("hostfault_ephemeral");
	TCase *t = tcase_create("full");

	tcase_add_named_test(t, full_directory_fails_writes_and_leaves_the_data, rows_ways(),
			     rows_way_name);
	tcase_add_named_test(t, full_directory_parks_writes_until_there_is_room, rows_ways(),
			     rows_way_name);
	suite_add_tcase(s, t);
	return s;
}
