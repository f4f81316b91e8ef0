/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a plane with every engine and real files, with O_DIRECT and through the page cache. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;

static void begin(int way, uint16_t size)
{
	rig_init_file(&r, engine_way(way).ops, size, engine_way(way).direct);
	rig_start(&r);
}

static uint8_t transfer(uint32_t type, uint64_t sector, uint32_t len, int fill, void **data,
			uint32_t *used_len)
{
	struct mock_blk req;

	mock_forget(m);
	mock_blk(m, &req, type, sector, len);
	*data = mock_ptr(m, req.data);
	if (type == VIRTIO_BLK_T_OUT)
		memset(*data, fill, len);
	return mock_do(m, &req, used_len);
}

static uint8_t read_disk(uint64_t sector, uint32_t len, void **data)
{
	uint32_t used_len;
	uint8_t status = transfer(VIRTIO_BLK_T_IN, sector, len, 0, data, &used_len);

	ck_assert_uint_eq(used_len, status == VIRTIO_BLK_S_OK ? len + 1 : 0);
	return status;
}

static uint8_t write_disk(uint64_t sector, uint32_t len, int fill)
{
	uint32_t used_len;
	void *data;
	uint8_t status = transfer(VIRTIO_BLK_T_OUT, sector, len, fill, &data, &used_len);

	ck_assert_uint_eq(used_len, 1);
	return status;
}

/* Checks that a part of the image has bytes of one value; fill < 0: its original content. */
static void expect_file(uint64_t offset, uint64_t len, int fill)
{
	static uint8_t bytes[256 << 10];

	image_peek(&r.image, bytes, offset, len);
	ck_assert(fill < 0 ? image_is_fresh(bytes, offset, len) : all_bytes(bytes, fill, len));
}

START_TEST(reads_and_writes_reach_the_file)
{
	void *data;

	begin(_i, 16);
	ck_assert_uint_eq(read_disk(8, 4096, &data), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(data, 8 * 512, 4096));
	ck_assert_uint_eq(write_disk(16, 8192, 0x42), VIRTIO_BLK_S_OK);
	expect_file(0, 16 * 512, -1);
	expect_file(16 * 512, 8192, 0x42);
	expect_file(16 * 512 + 8192, 8192, -1);
	ck_assert_uint_eq(read_disk(15, 1024, &data), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(data, 15 * 512, 512));
	ck_assert(all_bytes((char *)data + 512, 0x42, 512));
	ck_assert_uint_eq(transfer(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &data, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(read_disk(RIG_CAPACITY / 512 - 1, 512, &data), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(data, RIG_CAPACITY - 512, 512));
	rig_fini(&r);
}
END_TEST

START_TEST(row30_write_past_the_end_does_not_grow_the_image)
{
	static const uint64_t bad[] = {
		2048, 2047, 4096, 1ull << 40, 1ull << 54, 1ull << 55, ~0ull
	};
	void *data;

	begin(_i, 16);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(write_disk(bad[i], 1024, 1), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(read_disk(bad[i], 1024, &data), VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(write_disk(0, 1000, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(write_disk(0, 1, 1), VIRTIO_BLK_S_IOERR);
	ck_assert(image_is_untouched(&r.image));
	rig_fini(&r);
}
END_TEST

/* Sixteen requests are in flight, more than there are bounce buffers. */
START_TEST(row32_data_in_one_byte_pieces)
{
	enum { COUNT = 16 };
	static struct mock_piece piece[514];
	uint64_t data[COUNT], status[COUNT];
	struct vring_used_elem elem;

	begin(_i, 1024);
	for (unsigned int i = 0; i < COUNT; i++) {
		bool write = i % 2;

		piece[0] = (struct mock_piece){
			mock_header(m, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, i), 16, false
		};
		data[i] = mock_alloc(m, 1024, 1);
		memset(mock_ptr(m, data[i]), 0x80 + (int)i, 1024);
		for (unsigned int k = 0; k < 512; k++)
			piece[1 + k] = (struct mock_piece){ data[i] + 2 * k, 1, !write };
		status[i] = mock_alloc(m, 1, 1);
		piece[513] = (struct mock_piece){ status[i], 1, true };
		mock_stage(m, mock_chain_indirect(m, 0, piece, 514));
	}
	mock_show(m);
	mock_kick(m);
	for (unsigned int i = 0; i < COUNT; i++) {
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(elem.len, elem.id % 2 ? 1 : 513);
	}
	for (unsigned int i = 0; i < COUNT; i++) {
		const uint8_t *bytes = mock_ptr(m, data[i]);

		ck_assert_uint_eq(*(uint8_t *)mock_ptr(m, status[i]), VIRTIO_BLK_S_OK);
		expect_file(i * 512, 512, i % 2 ? 0x80 + (int)i : -1);
		for (unsigned int k = 0; k < 512 && i % 2 == 0; k++) {
			ck_assert(image_is_fresh(&bytes[2 * k], i * 512 + k, 1));
			ck_assert_uint_eq(bytes[2 * k + 1], 0x80 + i);
		}
	}
	rig_fini(&r);
}
END_TEST

/* The buffer is larger than a bounce buffer. */
START_TEST(row32_odd_address_and_many_segments)
{
	const uint32_t len = 200 << 10;
	struct mock_piece piece[3];
	uint64_t data, status;
	struct vring_used_elem elem;

	begin(_i, 16);
	for (int write = 1; write >= 0; write--) {
		data = mock_alloc(m, len, 512) + 1;
		m->heap++;
		memset(mock_ptr(m, data), 0x17, len);
		status = mock_alloc(m, 1, 1);
		piece[0] = (struct mock_piece){
			mock_header(m, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 3 + write), 16,
			false
		};
		piece[1] = (struct mock_piece){ data, len, !write };
		piece[2] = (struct mock_piece){ status, 1, true };
		mock_offer(m, mock_chain(m, piece, 3));
		mock_wait_used(m, &elem);
		ck_assert_uint_eq(*(uint8_t *)mock_ptr(m, status), VIRTIO_BLK_S_OK);
	}
	const uint8_t *bytes = mock_ptr(m, data);
	ck_assert(image_is_fresh(bytes, 3 * 512, 512));
	ck_assert(all_bytes(bytes + 512, 0x17, len - 512));
	expect_file(4 * 512, len, 0x17);
	expect_file(4 * 512 + len, 4096, -1);
	rig_fini(&r);
}
END_TEST

START_TEST(row09_buffer_over_two_regions)
{
	struct mock_blk req;

	begin(_i, 16);
	for (uint64_t before = 512; before <= 513; before++) {
		mock_forget(m);
		mock_blk(m, &req, VIRTIO_BLK_T_IN, 4, 2048);
		m->desc[req.head + 1].addr = MOCK_HIGH - before;
		ck_assert_uint_eq(mock_do(m, &req, NULL), VIRTIO_BLK_S_OK);
		ck_assert(image_is_fresh(mock_ptr(m, MOCK_HIGH - before), 4 * 512, 2048));
	}
	rig_fini(&r);
}
END_TEST

START_TEST(row05_two_requests_share_a_buffer)
{
	struct mock_blk a, b;
	struct vring_used_elem elem;

	begin(_i, 16);
	mock_blk(m, &a, VIRTIO_BLK_T_IN, 4, 4096);
	mock_blk(m, &b, VIRTIO_BLK_T_IN, 4, 4096);
	m->desc[b.head + 1].addr = a.data;
	m->desc[b.head].addr = a.header;
	mock_stage(m, a.head);
	mock_stage(m, b.head);
	mock_show(m);
	mock_kick(m);
	mock_wait_used(m, &elem);
	mock_wait_used(m, &elem);
	ck_assert_uint_eq(mock_status(m, &a), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(mock_status(m, &b), VIRTIO_BLK_S_OK);
	ck_assert(image_is_fresh(mock_ptr(m, a.data), 4 * 512, 4096));
	rig_fini(&r);
}
END_TEST

/* The descriptor is read-only as well, so that a write fails that passed all checks. */
START_TEST(row33_write_through_a_read_only_descriptor)
{
	void *data;
	int fd;

	rig_init_file(&r, engine_way(_i).ops, 16, engine_way(_i).direct);
	fd = open(r.image.path, O_RDONLY | O_CLOEXEC | (r.image.align > 1 ? O_DIRECT : 0));
	ck_assert_int_ge(fd, 0);
	dup2(fd, r.image.fd);
	close(fd);
	rig_start(&r);
	ck_assert_uint_eq(write_disk(0, 512, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(read_disk(0, 512, &data), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(transfer(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &data, NULL), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(write_disk(0, 4096, 1), VIRTIO_BLK_S_IOERR);
	ck_assert(image_is_untouched(&r.image));
	rig_fini(&r);
}
END_TEST

/* Bytes beyond the new end of the image read as zeros. */
START_TEST(host_truncated_image_reads_zeros)
{
	static const uint32_t sizes[] = { 65536, 5120, 5000, 513, 1, 0 };
	uint8_t *data;

	begin(_i, 16);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_int_eq(ftruncate(r.image.fd, sizes[i]), 0);
		ck_assert_uint_eq(read_disk(0, 128 << 10, (void **)&data), VIRTIO_BLK_S_OK);
		ck_assert(image_is_fresh(data, 0, sizes[i]));
		ck_assert(all_bytes(data + sizes[i], 0, (128 << 10) - sizes[i]));
		ck_assert_uint_eq(read_disk(1024, 512, (void **)&data), VIRTIO_BLK_S_OK);
		ck_assert(all_bytes(data, 0, 512));
		mock_ring(m, 16, false, true);
		rig_stop(&r);
		rig_start(&r);
	}
	rig_fini(&r);
}
END_TEST

/* These reads use bounce buffers. */
START_TEST(host_truncated_image_reads_zeros_at_an_odd_address)
{
	const uint32_t len = 160 << 10;
	struct mock_blk req;

	begin(_i, 16);
	ck_assert_int_eq(ftruncate(r.image.fd, 70001), 0);
	mock_blk(m, &req, VIRTIO_BLK_T_IN, 1, len);
	m->desc[req.head + 1].addr = req.data = mock_alloc(m, len, 512) + 3;
	m->heap += 3;
	ck_assert_uint_eq(mock_do(m, &req, NULL), VIRTIO_BLK_S_OK);
	const uint8_t *data = mock_ptr(m, req.data);
	ck_assert(image_is_fresh(data, 512, 70001 - 512));
	ck_assert(all_bytes(data + 70001 - 512, 0, len - (70001 - 512)));
	rig_fini(&r);
}
END_TEST

/* A write that stops at the limit is an error, and SIGXFSZ does not end the process. */
START_TEST(host_file_size_limit_fails_the_write)
{
	struct rlimit limit = { .rlim_cur = 64 << 10, .rlim_max = RLIM_INFINITY };
	void *data;

	begin(_i, 16);
	ck_assert_int_eq(ftruncate(r.image.fd, 32 << 10), 0);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_uint_eq(write_disk(127, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(write_disk(128, 512, 2), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(write_disk(120, 8192, 3), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_le(image_size(&r.image), 64 << 10);
	ck_assert_uint_eq(read_disk(0, 512, &data), VIRTIO_BLK_S_OK);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	ck_assert_uint_eq(write_disk(120, 8192, 3), VIRTIO_BLK_S_OK);
	rig_fini(&r);
}
END_TEST

/* The ring is full of writes, and then of reads of the same blocks, not in the order of the
 * image. */
START_TEST(ring_full_of_requests)
{
	enum { COUNT = 80 };
	struct mock_blk req[COUNT];

	begin(_i, 256);
	for (int write = 1; write >= 0; write--) {
		mock_forget(m);
		for (unsigned int i = 0; i < COUNT; i++) {
			mock_blk(m, &req[i], write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
				 i * 37 % COUNT * 8, 4096);
			if (write)
				memset(mock_ptr(m, req[i].data), (int)i, 4096);
			mock_stage(m, req[i].head);
		}
		mock_show(m);
		mock_kick(m);
		mock_wait_index(m, (uint16_t)(write ? COUNT : 2 * COUNT));
	}
	for (unsigned int i = 0; i < COUNT; i++) {
		ck_assert_uint_eq(mock_status(m, &req[i]), VIRTIO_BLK_S_OK);
		ck_assert(all_bytes(mock_ptr(m, req[i].data), (int)i, 4096));
	}
	rig_fini(&r);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkplane_io");
	TCase *t = tcase_create("blkplane_io");

	tcase_add_named_test(t, reads_and_writes_reach_the_file, engine_ways(), engine_way_name);
	tcase_add_named_test(t, row30_write_past_the_end_does_not_grow_the_image, engine_ways(),
			     engine_way_name);
	tcase_add_named_test(t, row32_data_in_one_byte_pieces, engine_ways(), engine_way_name);
	tcase_add_named_test(t, row32_odd_address_and_many_segments, engine_ways(),
			     engine_way_name);
	tcase_add_named_test(t, row09_buffer_over_two_regions, engine_ways(), engine_way_name);
	tcase_add_named_test(t, row05_two_requests_share_a_buffer, engine_ways(), engine_way_name);
	tcase_add_named_test(t, row33_write_through_a_read_only_descriptor, engine_ways(),
			     engine_way_name);
	tcase_add_named_test(t, host_truncated_image_reads_zeros, engine_ways(), engine_way_name);
	tcase_add_named_test(t, host_truncated_image_reads_zeros_at_an_odd_address, engine_ways(),
			     engine_way_name);
	tcase_add_named_test(t, host_file_size_limit_fails_the_write, engine_ways(),
			     engine_way_name);
	tcase_add_named_test(t, ring_full_of_requests, engine_ways(), engine_way_name);
	suite_add_tcase(s, t);
	return s;
}
