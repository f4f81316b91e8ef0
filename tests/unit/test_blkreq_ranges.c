/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of discard and write zeroes (5.2.6), whose segments are copied from guest memory and
 * checked. */
#include <string.h>

#include "dataplane/blkreq.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define SECTORS	   2048ull
#define MAX	   64u /* sectors of a segment */
#define UNMAP	   VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP
#define SEGMENTS   20u
#define HEADER_LEN 16u

typedef struct virtio_blk_discard_write_zeroes segment;

static struct {
	struct virtio_blk_outhdr header;
	segment seg[SEGMENTS + 1];
} out;
static uint8_t in[64];
static struct iovec iov[512];
static struct blkreq req;
static struct io_task task;
static struct blkreq_disk disk;

static void setup(void)
{
	disk = (struct blkreq_disk){ .capacity = SECTORS * 512,
				     .blk_size = 512,
				     .discard_max = MAX,
				     .zeroes_max = MAX,
				     .unmap = true };
	memset(&task, 0xa5, sizeof(task));
	memset(in, 0xee, sizeof(in));
}

/* Parses a request: the header and `len` bytes of segments, in pieces of `piece` bytes. */
static enum blkreq_verdict parse_cut(uint32_t type, uint32_t len, uint32_t piece, uint32_t in_len)
{
	unsigned int n = 0;

	out.header = (struct virtio_blk_outhdr){ .type = type, .sector = ~0ull };
	for (uint32_t at = 0; at < HEADER_LEN + len; at += piece) {
		uint32_t left = HEADER_LEN + len - at;

		iov[n++] = (struct iovec){ (uint8_t *)&out + at, left < piece ? left : piece };
	}
	iov[n] = (struct iovec){ in, in_len + 1 };
	req.chain = (struct vring_chain){
		.out_count = n,
		.in_count = 1,
		.out_len = HEADER_LEN + len,
		.in_len = in_len + 1,
		.iov = iov,
		.capacity = ARRAY_SIZE(iov),
	};
	return blkreq_parse(&req, &disk, &task);
}

static enum blkreq_verdict parse(uint32_t type, unsigned int count)
{
	return parse_cut(type, count * sizeof(segment), HEADER_LEN + count * sizeof(segment), 0);
}

/* Returns the status of a request that is finished without I/O. */
static uint8_t status_of(enum blkreq_verdict verdict)
{
	ck_assert_int_eq(verdict, BLKREQ_DONE);
	in[0] = 0xee;
	ck_assert_uint_eq(blkreq_finish(&req, 0), 1);
	return in[0];
}

/* Returns the status of a request with one segment, which must be rejected. */
static uint8_t one(uint32_t type, segment seg)
{
	setup();
	out.seg[0] = seg;
	return status_of(parse(type, 1));
}

static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };

START_TEST(segments_become_ranges)
{
	for (unsigned int t = 0; t < 2; t++) {
		setup();
		for (unsigned int i = 0; i < 16; i++)
			out.seg[i] = (segment){ .sector = i * 100ull, .num_sectors = i + 1 };
		ck_assert_int_eq(parse(types[t], 16), BLKREQ_SUBMIT);
		ck_assert_int_eq(task.op, t ? IO_WRITE_ZEROES : IO_DISCARD);
		ck_assert_uint_eq(task.range_count, 16);
		for (unsigned int i = 0; i < 16; i++) {
			ck_assert_uint_eq(task.range[i].offset, i * 100ull * 512);
			ck_assert_uint_eq(task.range[i].len, (i + 1) * 512);
			ck_assert(!task.range[i].unmap);
		}
		ck_assert_uint_eq(blkreq_finish(&req, 0), 1);
		ck_assert_uint_eq(in[0], VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(blkreq_finish(&req, -5), 1);
		ck_assert_uint_eq(in[0], VIRTIO_BLK_S_IOERR);
	}
}
END_TEST

/* The largest limit is 2^22 sectors, which are 2^31 bytes. */
START_TEST(longest_segment)
{
	disk.capacity = 1ull << 40;
	disk.discard_max = 1u << 22;
	out.seg[0] = (segment){ .sector = (1ull << 31) - (1u << 22), .num_sectors = 1u << 22 };
	ck_assert_int_eq(parse(VIRTIO_BLK_T_DISCARD, 1), BLKREQ_SUBMIT);
	ck_assert_uint_eq(task.range[0].len, 1u << 31);
	ck_assert_uint_eq(task.range[0].offset, (1ull << 40) - (1ull << 31));
}
END_TEST

START_TEST(row14_segments_in_any_pieces)
{
	for (uint32_t piece = 1; piece <= 70; piece++) {
		setup();
		for (unsigned int i = 0; i < 3; i++)
			out.seg[i] = (segment){ .sector = 8 + i, .num_sectors = 1, .flags = i & 1 };
		ck_assert_int_eq(parse_cut(VIRTIO_BLK_T_WRITE_ZEROES, 48, piece, 0), BLKREQ_SUBMIT);
		ck_assert_uint_eq(task.range_count, 3);
		for (unsigned int i = 0; i < 3; i++) {
			ck_assert_uint_eq(task.range[i].offset, (8 + i) * 512);
			ck_assert_uint_eq(task.range[i].len, 512);
			ck_assert_int_eq(task.range[i].unmap, i & 1);
		}
	}
}
END_TEST

START_TEST(row15_segments_are_checked_in_a_copy)
{
	out.seg[0] = (segment){ .sector = 1, .num_sectors = 2 };
	ck_assert_int_eq(parse(VIRTIO_BLK_T_WRITE_ZEROES, 1), BLKREQ_SUBMIT);
	memset(out.seg, 0xff, sizeof(out.seg));
	ck_assert_uint_eq(task.range_count, 1);
	ck_assert_uint_eq(task.range[0].offset, 512);
	ck_assert_uint_eq(task.range[0].len, 1024);
	ck_assert(!task.range[0].unmap);
}
END_TEST

START_TEST(row37_number_of_segments_is_0_too_large_or_no_integer)
{
	static const uint32_t bad[] = { 0, 1, 15, 17, 31, 33, 255, 257, 272, 320 };

	for (unsigned int t = 0; t < 2; t++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			setup();
			for (unsigned int k = 0; k < SEGMENTS; k++)
				out.seg[k] = (segment){ .sector = k, .num_sectors = 1 };
			ck_assert_uint_eq(status_of(parse_cut(types[t], bad[i], 400, 0)),
					  VIRTIO_BLK_S_IOERR);
		}
	}
}
END_TEST

START_TEST(row37_beyond_the_limit_or_the_disk)
{
	static const segment bad[] = {
		{ .sector = 0, .num_sectors = MAX + 1 },
		{ .sector = 0, .num_sectors = ~0u },
		{ .sector = SECTORS, .num_sectors = 1 },
		{ .sector = SECTORS - 1, .num_sectors = 2 },
		{ .sector = SECTORS - MAX + 1, .num_sectors = MAX },
		{ .sector = ~0ull, .num_sectors = 1 },
		{ .sector = ~0ull, .num_sectors = 2 },
		{ .sector = ~0ull - MAX + 1, .num_sectors = MAX },
		{ .sector = 1ull << 55, .num_sectors = 1 },
		{ .sector = 1ull << 63, .num_sectors = 1 },
		{ .sector = SECTORS + 1, .num_sectors = 0 },
	};

	for (unsigned int t = 0; t < 2; t++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
			ck_assert_uint_eq(one(types[t], bad[i]), VIRTIO_BLK_S_IOERR);
		setup();
		out.seg[0] = (segment){ .sector = SECTORS - MAX, .num_sectors = MAX };
		ck_assert_int_eq(parse(types[t], 1), BLKREQ_SUBMIT);
	}
	/* Discards and zeroes have limits of their own. */
	disk.zeroes_max = MAX - 1;
	ck_assert_int_eq(parse(VIRTIO_BLK_T_DISCARD, 1), BLKREQ_SUBMIT);
	ck_assert_uint_eq(status_of(parse(VIRTIO_BLK_T_WRITE_ZEROES, 1)), VIRTIO_BLK_S_IOERR);
}
END_TEST

START_TEST(row37_parts_of_a_block)
{
	static const segment bad[] = { { .sector = 1, .num_sectors = 8 },
				       { .sector = 8, .num_sectors = 7 },
				       { .sector = 4, .num_sectors = 4 },
				       { .sector = 4, .num_sectors = 0 } };

	for (unsigned int t = 0; t < 2; t++) {
		disk.blk_size = 4096;
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
			out.seg[0] = bad[i];
			ck_assert_uint_eq(status_of(parse(types[t], 1)), VIRTIO_BLK_S_IOERR);
		}
		out.seg[0] = (segment){ .sector = 8, .num_sectors = 8 };
		ck_assert_int_eq(parse(types[t], 1), BLKREQ_SUBMIT);
	}
}
END_TEST

START_TEST(row37_flags)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		segment seg = { .sector = 0, .num_sectors = 1, .flags = 1u << bit };

		ck_assert_uint_eq(one(VIRTIO_BLK_T_DISCARD, seg), VIRTIO_BLK_S_UNSUPP);
		if (seg.flags != UNMAP)
			ck_assert_uint_eq(one(VIRTIO_BLK_T_WRITE_ZEROES, seg), VIRTIO_BLK_S_UNSUPP);
		seg.flags |= UNMAP;
		if (seg.flags != UNMAP)
			ck_assert_uint_eq(one(VIRTIO_BLK_T_WRITE_ZEROES, seg), VIRTIO_BLK_S_UNSUPP);
	}
	out.seg[0] = (segment){ .sector = 0, .num_sectors = 1, .flags = UNMAP };
	ck_assert_int_eq(parse(VIRTIO_BLK_T_WRITE_ZEROES, 1), BLKREQ_SUBMIT);
	ck_assert(task.range[0].unmap);
	/* With discard=off, the user forbids unmapping that the driver allows. */
	disk.unmap = false;
	ck_assert_int_eq(parse(VIRTIO_BLK_T_WRITE_ZEROES, 1), BLKREQ_SUBMIT);
	ck_assert(!task.range[0].unmap);
}
END_TEST

/* No segment is executed when any of them is invalid. */
START_TEST(row37_all_segments_are_checked_before_the_first_is_executed)
{
	for (unsigned int t = 0; t < 2; t++) {
		for (unsigned int bad = 0; bad < 16; bad++) {
			setup();
			for (unsigned int i = 0; i < 16; i++)
				out.seg[i] = (segment){ .sector = i, .num_sectors = 1 };
			out.seg[bad].sector = SECTORS;
			ck_assert_uint_eq(status_of(parse(types[t], 16)), VIRTIO_BLK_S_IOERR);
			out.seg[bad].sector = bad;
			out.seg[bad].flags = 2;
			ck_assert_uint_eq(status_of(parse(types[t], 16)), VIRTIO_BLK_S_UNSUPP);
		}
	}
}
END_TEST

START_TEST(row37_segments_without_sectors)
{
	for (unsigned int t = 0; t < 2; t++) {
		setup();
		memset(out.seg, 0, sizeof(out.seg));
		out.seg[1].sector = SECTORS;
		ck_assert_uint_eq(status_of(parse(types[t], 2)), VIRTIO_BLK_S_OK);
		out.seg[2] = (segment){ .sector = 3, .num_sectors = 4 };
		ck_assert_int_eq(parse(types[t], 4), BLKREQ_SUBMIT);
		ck_assert_uint_eq(task.range_count, 1);
		ck_assert_uint_eq(task.range[0].offset, 3 * 512);
	}
}
END_TEST

START_TEST(row37_not_negotiated)
{
	segment good = { .sector = 0, .num_sectors = 1 };

	out.seg[0] = good;
	disk.discard_max = 0;
	ck_assert_uint_eq(status_of(parse(VIRTIO_BLK_T_DISCARD, 1)), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(status_of(parse(VIRTIO_BLK_T_DISCARD, 0)), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_WRITE_ZEROES, 1), BLKREQ_SUBMIT);
	setup();
	disk.zeroes_max = 0;
	ck_assert_uint_eq(status_of(parse(VIRTIO_BLK_T_WRITE_ZEROES, 1)), VIRTIO_BLK_S_UNSUPP);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_DISCARD, 1), BLKREQ_SUBMIT);
}
END_TEST

START_TEST(row33_discard_and_zeroes_on_a_read_only_disk)
{
	for (unsigned int t = 0; t < 2; t++) {
		disk.readonly = true;
		out.seg[0] = (segment){ .sector = 0, .num_sectors = 1 };
		ck_assert_uint_eq(status_of(parse(types[t], 1)), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(status_of(parse(types[t], 0)), VIRTIO_BLK_S_IOERR);
	}
}
END_TEST

/* The device does not write the bytes before the status byte, so that used.len is 0. */
START_TEST(used_len_of_ranges)
{
	out.seg[0] = (segment){ .sector = 0, .num_sectors = 1 };
	ck_assert_int_eq(parse_cut(VIRTIO_BLK_T_DISCARD, 16, 32, 7), BLKREQ_SUBMIT);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 0);
	ck_assert_uint_eq(in[7], VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(in[6], 0xee);
	ck_assert_int_eq(parse_cut(VIRTIO_BLK_T_DISCARD, 0, 32, 7), BLKREQ_DONE);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 0);
	ck_assert_uint_eq(in[7], VIRTIO_BLK_S_IOERR);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkreq_ranges");
	TCase *t = tcase_create("ranges");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, segments_become_ranges);
	tcase_add_test(t, longest_segment);
	tcase_add_test(t, row14_segments_in_any_pieces);
	tcase_add_test(t, row15_segments_are_checked_in_a_copy);
	tcase_add_test(t, row37_number_of_segments_is_0_too_large_or_no_integer);
	tcase_add_test(t, row37_beyond_the_limit_or_the_disk);
	tcase_add_test(t, row37_parts_of_a_block);
	tcase_add_test(t, row37_flags);
	tcase_add_test(t, row37_all_segments_are_checked_before_the_first_is_executed);
	tcase_add_test(t, row37_segments_without_sectors);
	tcase_add_test(t, row37_not_negotiated);
	tcase_add_test(t, row33_discard_and_zeroes_on_a_read_only_disk);
	tcase_add_test(t, used_len_of_ranges);
	suite_add_tcase(s, t);
	return s;
}
