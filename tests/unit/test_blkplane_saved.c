/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of parked requests that a plane of another process repeats. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/unit/parked_rig.h"

#define KINDS 4 /* kinds of rings: bit 0 for packed, bit 1 for IN_ORDER */
#define SAVED 4096u

typedef struct virtio_blk_discard_write_zeroes segment;

static struct mock_blk req[4];
static struct vring_base position, start;
static _Alignas(8) uint8_t saved[SAVED];
static size_t saved_bytes;
static void *ram[HOSTMEM_MAX_REGIONS];

static const char *kind_name(int kind)
{
	static const char *const bits[][2] = { { "split", "packed" }, { "", "IN_ORDER" } };

	return case_bits(kind, bits, ARRAY_SIZE(bits));
}

static void offer(unsigned int i, uint32_t type, uint64_t sector, uint32_t len)
{
	mock_blk(m, &req[i], type, sector, len);
	mock_offer(m, req[i].head);
	scripted_wait(r.engine, i + 1);
}

/* Returns the pending segment of this kind and offset. */
static unsigned int find(enum io_op op, uint64_t offset)
{
	unsigned int i = 0;

	while (scripted_seg(r.engine, i).op != op || scripted_seg(r.engine, i).offset != offset)
		i++;
	return i;
}

static void expect_segment(enum io_op op, uint64_t offset, uint64_t len)
{
	if (op != IO_FLUSH)
		ck_assert_uint_eq(scripted_seg(r.engine, find(op, offset)).len, len);
}

static void drain_and_save(void)
{
	blkplane_pause(r.plane);
	ck_assert_int_eq(blkplane_drain(r.plane, &position), 0);
	saved_bytes = blkplane_save(r.plane, NULL);
	ck_assert_uint_le(saved_bytes, SAVED);
	ck_assert_uint_eq(blkplane_save(r.plane, saved), saved_bytes);
}

/* Three requests fail, one of them after a part of it, and one behind them succeeds: in a packed ring
 * its used element replaces a descriptor of the first one. */
static void park(int kind)
{
	begin(kind, BLKPOLICY_STOP);
	offer(0, VIRTIO_BLK_T_OUT, 8, 1024);
	offer(1, VIRTIO_BLK_T_IN, 16, 1024);
	offer(2, VIRTIO_BLK_T_FLUSH, 0, 0);
	offer(3, VIRTIO_BLK_T_OUT, 32, 512);
	scripted_complete(r.engine, find(IO_WRITE, 8 * 512), 700);
	mock_wait_until(scripted_held(r.engine) == 4 &&
			scripted_seg(r.engine, 3).offset == 8 * 512 + 700);
	scripted_complete(r.engine, find(IO_WRITE, 8 * 512 + 700), -EIO);
	wait_heard(1, IO_WRITE, EIO);
	scripted_complete(r.engine, find(IO_READ, 16 * 512), -EIO);
	scripted_complete(r.engine, find(IO_WRITE, 32 * 512), SCRIPTED_ALL);
	scripted_complete(r.engine, 0, -EIO);
	expect_used(kind & 2 ? 0 : 1);
	drain_and_save();
}

/* Replaces the plane by one of another process, which has the memory of this moment. */
static int replace(void)
{
	for (unsigned int i = 0; i < m->hostmem.count; i++) {
		const struct hostmem_region *region = &m->hostmem.region[i];

		ram[i] = malloc(region->size);
		memcpy(ram[i], region->hva, region->size);
	}
	rig_stop(&r);
	for (unsigned int i = 0; i < m->hostmem.count; i++) {
		memcpy(m->hostmem.region[i].hva, ram[i], m->hostmem.region[i].size);
		free(ram[i]);
	}
	start = position;
	r.config.base = &start;
	r.config.saved = saved_bytes ? saved : NULL;
	r.config.saved_bytes = saved_bytes;
	return blkplane_start(&r.plane, &r.config);
}

/* Expects all requests, those of an IN_ORDER ring that were finished as well, and completes them. */
static void expect_repeated(int kind)
{
	unsigned int count = kind & 2 ? 4 : 3;

	scripted_wait(r.engine, count);
	expect_segment(IO_WRITE, 8 * 512, 1024);
	expect_segment(IO_READ, 16 * 512, 1024);
	expect_segment(IO_FLUSH, 0, 0);
	if (count == 4)
		expect_segment(IO_WRITE, 32 * 512, 512);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(count);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
}

START_TEST(next_plane_repeats_parked_requests_once)
{
	park(_i);
	ck_assert_int_eq(saved_bytes != 0, !(_i & 2));
	ck_assert_uint_eq(mock_status(m, &req[0]), 0xff);
	ck_assert_int_eq(replace(), 0);
	expect_repeated(_i);
	/* The ring goes on behind them. */
	offer(0, VIRTIO_BLK_T_OUT, 64, 512);
	scripted_complete(r.engine, 0, SCRIPTED_ALL);
	expect_used(1);
	drain_and_save();
	ck_assert_uint_eq(saved_bytes, 0);
	rig_fini(&r);
}
END_TEST

START_TEST(repeated_requests_are_measured)
{
	static struct blkplane_latency latency;

	park(0);
	r.config.latency = &latency;
	ck_assert_int_eq(replace(), 0);
	expect_repeated(0);
	rig_fini(&r);
	ck_assert_uint_eq(latency_count(&latency.answer), 3);
}
END_TEST

START_TEST(saved_plane_repeats_them_as_well)
{
	park(_i);
	ck_assert_uint_eq(blkplane_save(r.plane, saved), saved_bytes);
	blkplane_resume(r.plane);
	if (_i & 2) {
		scripted_wait(r.engine, 3);
		scripted_complete_all(r.engine, SCRIPTED_ALL);
		expect_used(4);
	} else {
		expect_repeated(_i);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(request_that_fails_again_is_parked_again)
{
	park(_i & 1);
	ck_assert_int_eq(replace(), 0);
	scripted_wait(r.engine, 3);
	heard.count = 0;
	scripted_complete(r.engine, find(IO_READ, 16 * 512), -EIO);
	wait_heard(1, IO_READ, EIO);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(2);
	drain_and_save();
	ck_assert_int_eq(replace(), 0);
	scripted_wait(r.engine, 1);
	expect_segment(IO_READ, 16 * 512, 1024);
	scripted_complete_all(r.engine, SCRIPTED_ALL);
	expect_used(1);
	rig_fini(&r);
}
END_TEST

static const struct {
	const char *name;
	uint32_t type;
	enum io_op op;
	uint32_t flags;
} ranges[] = {
	{ "write zeroes", VIRTIO_BLK_T_WRITE_ZEROES, IO_WRITE_ZEROES, 0 },
	{ "write zeroes that unmap", VIRTIO_BLK_T_WRITE_ZEROES, IO_WRITE_ZEROES, 1 },
	{ "discard", VIRTIO_BLK_T_DISCARD, IO_DISCARD, 0 },
};

/* The scripted engine has no image, so that the worker always fails. */
START_TEST(segments_are_saved)
{
	const segment segments[2] = { { .sector = 8, .num_sectors = 8, .flags = ranges[_i].flags },
				      { .sector = 64, .num_sectors = 16 } };

	rig_init(&r, 16, false, false, 16);
	r.config.disk.discard_max = r.config.disk.zeroes_max = 64;
	r.config.disk.unmap = true;
	set(BLKPOLICY_STOP);
	rig_start(&r);
	mock_blk(m, &req[0], ranges[_i].type, 0, sizeof(segments));
	memcpy(mock_ptr(m, req[0].data), segments, sizeof(segments));
	mock_offer(m, req[0].head);
	wait_heard(1, ranges[_i].op, EBADF);
	drain_and_save();
	ck_assert_uint_eq(saved_bytes, 32 + sizeof(segments));
	ck_assert(!memcmp(saved + 32, segments, sizeof(segments)));
	ck_assert_int_eq(replace(), 0);
	wait_heard(2, ranges[_i].op, EBADF);
	rig_fini(&r);
}
END_TEST

/* Changes of a saved write with one piece: type at 0, sector 8, status 16, count 24, head 28, length 30,
 * address of the piece 32, its length 40. */
static const struct {
	const char *name;
	unsigned int at, size;
	uint64_t value;
} changes[] = {
	{ "head outside the ring", 28, 2, 16 },
	{ "no descriptor", 30, 2, 0 },
	{ "more descriptors than the ring has", 30, 2, 17 },
	{ "other descriptors than are in flight", 30, 2, 4 },
	{ "status outside of memory", 16, 8, UINT64_MAX },
	{ "data outside of memory", 32, 8, UINT64_MAX - 512 },
	{ "data of no bytes", 40, 8, 0 },
	{ "data of 4 GiB", 40, 8, 1ull << 32 },
	{ "data longer than the memory", 40, 8, 0xfffffff0 },
	{ "sector behind the end", 8, 8, UINT64_MAX },
	{ "request without I/O", 0, 4, VIRTIO_BLK_T_GET_ID },
	{ "type that no disk has", 0, 4, 99 },
	{ "discard that the driver has not accepted", 0, 4, VIRTIO_BLK_T_DISCARD },
	{ "more pieces than there are", 24, 4, 2 },
	{ "many pieces", 24, 4, UINT32_MAX },
};

static void park_one(int kind)
{
	begin(kind, BLKPOLICY_STOP);
	offer(0, VIRTIO_BLK_T_OUT, 8, 1024);
	scripted_complete(r.engine, 0, -EIO);
	wait_heard(1, IO_WRITE, EIO);
	drain_and_save();
	ck_assert_uint_eq(saved_bytes, 48);
}

START_TEST(impossible_request_is_refused)
{
	park_one(1);
	memcpy(saved + changes[_i].at, &changes[_i].value, changes[_i].size);
	ck_assert_int_eq(replace(), -EINVAL);
	r.plane = NULL;
	rig_fini(&r);
}
END_TEST

static void expect_refused(size_t bytes)
{
	r.config.saved_bytes = bytes;
	ck_assert_int_eq(blkplane_start(&r.plane, &r.config), -EINVAL);
}

START_TEST(impossible_list_is_refused)
{
	park_one(0);
	saved_bytes = 31;
	ck_assert_int_eq(replace(), -EINVAL);
	/* Segments, but none of them. */
	r.config.disk.discard_max = 64;
	memcpy(saved + 48, saved, 48);
	saved[0] = VIRTIO_BLK_T_DISCARD;
	memset(saved + 24, 0, 4);
	expect_refused(32);
	/* Another request behind an impossible one. */
	expect_refused(96);
	/* Another piece behind an impossible one. */
	memcpy(saved, saved + 48, 48);
	saved[24] = 2;
	memset(saved + 32, 0xff, 8);
	expect_refused(64);
	/* A head is in flight once. */
	memcpy(saved, saved + 48, 48);
	expect_refused(96);
	r.plane = NULL;
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_saved");
	TCase *t = tcase_create("blkplane_saved");

	tcase_add_named_test(t, next_plane_repeats_parked_requests_once, KINDS, kind_name);
	tcase_add_test(t, repeated_requests_are_measured);
	tcase_add_named_test(t, saved_plane_repeats_them_as_well, KINDS, kind_name);
	tcase_add_named_test(t, request_that_fails_again_is_parked_again, 2, kind_name);
	tcase_add_table_test(t, segments_are_saved, ranges);
	tcase_add_table_test(t, impossible_request_is_refused, changes);
	tcase_add_test(t, impossible_list_is_refused);
	suite_add_tcase(s, t);
	return s;
}
