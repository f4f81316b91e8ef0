/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of block requests: validation, framing, status. */
#include <errno.h>
#include <string.h>

#include "dataplane/blkreq.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/suite.h"

#define CAPACITY (1u << 20)
#define SECTORS	 (CAPACITY / 512)
#define ID	 "0123456789abcdefghij"

/* A request as a chain of host memory: what the device reads, then what it writes, in any
 * pieces. */
static uint8_t out_bytes[16 + 65536];
static uint8_t in_bytes[65536 + 64];
static struct iovec iov[4096];
static struct blkreq req;
static struct io_task task;
static struct blkreq_disk disk;

static void setup(void)
{
	disk = (struct blkreq_disk){ .capacity = CAPACITY, .blk_size = 512 };
	memcpy(disk.id, ID, 20);
	memset(in_bytes, 0xee, sizeof(in_bytes));
	memset(&task, 0xa5, sizeof(task));
	memset(&req, 0xa5, sizeof(req));
}

/* Splits `len` bytes into pieces of `piece` bytes. Returns the number of pieces. */
static unsigned int cut(struct iovec *at, uint8_t *bytes, uint32_t len, uint32_t piece)
{
	unsigned int n = 0;

	for (uint32_t done = 0; done < len; done += piece)
		at[n++] = (struct iovec){ .iov_base = bytes + done,
					  .iov_len = len - done < piece ? len - done : piece };
	return n;
}

static enum blkreq_verdict parse_cut(uint32_t out_len, uint32_t out_piece, uint32_t in_len,
				     uint32_t in_piece)
{
	unsigned int out = cut(iov, out_bytes, out_len, out_piece);

	req.chain = (struct vring_chain){
		.out_count = out,
		.in_count = cut(iov + out, in_bytes, in_len, in_piece),
		.out_len = out_len,
		.in_len = in_len,
		.iov = iov,
		.capacity = ARRAY_SIZE(iov),
	};
	return blkreq_parse(&req, &disk, &task);
}

static void header(uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .ioprio = 0xffffffff, .sector = sector };

	memcpy(out_bytes, &h, sizeof(h));
}

/* Parses a request of one piece in each direction. out and in count data bytes, without header and
 * status. */
static enum blkreq_verdict parse(uint32_t type, uint64_t sector, uint32_t out, uint32_t in)
{
	header(type, sector);
	return parse_cut(16 + out, 16 + out, in + 1, in + 1);
}

static uint8_t status_at(uint32_t at)
{
	return in_bytes[at];
}

/* Checks that a request is finished without I/O, with this status and used.len. */
static void expect_done(enum blkreq_verdict verdict, uint32_t status_offset, uint8_t status,
			uint32_t len)
{
	ck_assert_int_eq(verdict, BLKREQ_DONE);
	ck_assert_uint_eq(blkreq_finish(&req, 0), len);
	ck_assert_uint_eq(status_at(status_offset), status);
}

static uint64_t iov_sum(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < task.iov_count; i++) {
		must(task.iov[i].iov_len > 0);
		sum += task.iov[i].iov_len;
	}
	return sum;
}

static void expect_task(enum io_op op, uint64_t offset, uint32_t len, const void *memory)
{
	ck_assert_int_eq(task.op, op);
	ck_assert_uint_eq(task.offset, offset);
	ck_assert_uint_eq(task.len, len);
	ck_assert_uint_eq(iov_sum(), len);
	ck_assert_ptr_eq(task.iov[0].iov_base, memory);
}

START_TEST(read_request)
{
	ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 3, 0, 1024), BLKREQ_SUBMIT);
	expect_task(IO_READ, 3 * 512, 1024, in_bytes);
	ck_assert(!task.stable);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 1025);
	ck_assert_uint_eq(status_at(1024), VIRTIO_BLK_S_OK);
	ck_assert(in_bytes[1025] == 0xee && in_bytes[1023] == 0xee);
}
END_TEST

START_TEST(write_request)
{
	ck_assert_int_eq(parse(VIRTIO_BLK_T_OUT, 5, 4096, 0), BLKREQ_SUBMIT);
	expect_task(IO_WRITE, 5 * 512, 4096, out_bytes + 16);
	ck_assert(!task.stable);
	/* used.len counts the bytes that the device writes, here the status byte alone. */
	ck_assert_uint_eq(blkreq_finish(&req, 0), 1);
	ck_assert_uint_eq(status_at(0), VIRTIO_BLK_S_OK);
}
END_TEST

START_TEST(used_len_of_every_outcome)
{
	/* The status byte of a failed read follows bytes that are not written, so that used.len is
	 * 0. */
	ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 0, 0, 512), BLKREQ_SUBMIT);
	ck_assert_uint_eq(blkreq_finish(&req, -EIO), 0);
	ck_assert_uint_eq(status_at(512), VIRTIO_BLK_S_IOERR);

	ck_assert_int_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 0), BLKREQ_SUBMIT);
	ck_assert_uint_eq(blkreq_finish(&req, -ENOSPC), 1);
	ck_assert_uint_eq(status_at(0), VIRTIO_BLK_S_IOERR);

	/* This write has writable bytes before the status byte, which the device does not write. */
	ck_assert_int_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 7), BLKREQ_SUBMIT);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 0);
	ck_assert_uint_eq(status_at(7), VIRTIO_BLK_S_OK);

	ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, 0, 0, 0), BLKREQ_SUBMIT);
	ck_assert_uint_eq(blkreq_finish(&req, -EIO), 1);
	ck_assert_uint_eq(status_at(0), VIRTIO_BLK_S_IOERR);

	expect_done(parse(99, 0, 0, 512), 512, VIRTIO_BLK_S_UNSUPP, 0);
	expect_done(parse(99, 0, 512, 0), 0, VIRTIO_BLK_S_UNSUPP, 1);
	/* A request that is rejected without I/O has the used.len of one that failed. */
	expect_done(parse(VIRTIO_BLK_T_IN, SECTORS, 0, 512), 512, VIRTIO_BLK_S_IOERR, 0);
	expect_done(parse(VIRTIO_BLK_T_OUT, SECTORS, 512, 0), 0, VIRTIO_BLK_S_IOERR, 1);
}
END_TEST

START_TEST(rejected_requests_write_only_the_status_byte)
{
	expect_done(parse(VIRTIO_BLK_T_IN, SECTORS, 0, 512), 512, VIRTIO_BLK_S_IOERR, 0);
	for (unsigned int i = 0; i < sizeof(in_bytes); i++)
		must(i == 512 || in_bytes[i] == 0xee);
}
END_TEST

START_TEST(row12_no_header_or_no_status)
{
	header(VIRTIO_BLK_T_IN, 0);
	ck_assert_int_eq(parse_cut(0, 1, 0, 1), BLKREQ_BROKEN);
	ck_assert_int_eq(parse_cut(0, 1, 513, 513), BLKREQ_BROKEN);
	ck_assert_int_eq(parse_cut(15, 15, 513, 513), BLKREQ_BROKEN);
	ck_assert_int_eq(parse_cut(15, 1, 513, 513), BLKREQ_BROKEN);
	ck_assert_int_eq(parse_cut(16, 16, 0, 1), BLKREQ_BROKEN);
	ck_assert_int_eq(parse_cut(16 + 512, 16, 0, 1), BLKREQ_BROKEN);
	for (unsigned int i = 0; i < sizeof(in_bytes); i++)
		must(in_bytes[i] == 0xee);
}
END_TEST

START_TEST(row14_header_in_1_to_16_pieces)
{
	for (uint32_t piece = 1; piece <= 16; piece++) {
		header(VIRTIO_BLK_T_IN, 7);
		ck_assert_int_eq(parse_cut(16, piece, 513, 513), BLKREQ_SUBMIT);
		expect_task(IO_READ, 7 * 512, 512, in_bytes);
		blkreq_finish(&req, 0);
		ck_assert_uint_eq(status_at(512), VIRTIO_BLK_S_OK);
	}
}
END_TEST

START_TEST(row14_piece_with_the_end_of_the_header_and_data)
{
	for (uint32_t piece = 1; piece < 540; piece += 3) {
		header(VIRTIO_BLK_T_OUT, 9);
		ck_assert_int_eq(parse_cut(16 + 512, piece, 1, 1), BLKREQ_SUBMIT);
		expect_task(IO_WRITE, 9 * 512, 512, out_bytes + 16);
		ck_assert_uint_eq(blkreq_finish(&req, 0), 1);
	}
}
END_TEST

START_TEST(row14_status_byte_in_any_piece)
{
	for (uint32_t piece = 1; piece <= 514; piece++) {
		memset(in_bytes, 0xee, sizeof(in_bytes));
		header(VIRTIO_BLK_T_IN, 1);
		ck_assert_int_eq(parse_cut(16, 16, 513, piece), BLKREQ_SUBMIT);
		expect_task(IO_READ, 512, 512, in_bytes);
		ck_assert_uint_eq(blkreq_finish(&req, 0), 513);
		ck_assert_uint_eq(status_at(512), VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(in_bytes[511], 0xee);
	}
}
END_TEST

START_TEST(row15_header_is_checked_in_a_copy)
{
	ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 2, 0, 512), BLKREQ_SUBMIT);
	header(VIRTIO_BLK_T_OUT, ~0ull);
	expect_task(IO_READ, 1024, 512, in_bytes);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 513);
}
END_TEST

START_TEST(row30_beyond_the_capacity)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors;
		bool fits;
	} cases[] = {
		{ SECTORS - 1, 1, true },	{ SECTORS - 8, 8, true },
		{ SECTORS - 1, 2, false },	{ SECTORS, 1, false },
		{ SECTORS + 1, 1, false },	{ ~0ull, 1, false },
		{ ~0ull - 1, 2, false },	{ 1ull << 32, 1, false },
		{ 1ull << 54, 1, false }, /* times 512: 2^63 */
		{ 1ull << 55, 1, false }, /* times 512: 0 */
		{ (1ull << 55) + 1, 1, false }, { (1ull << 55) - 1, 2, false },
		{ 1ull << 63, 1, false },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t len = cases[i].sectors * 512;

		setup();
		if (cases[i].fits) {
			ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, cases[i].sector, 0, len),
					 BLKREQ_SUBMIT);
			ck_assert_int_eq(parse(VIRTIO_BLK_T_OUT, cases[i].sector, len, 0),
					 BLKREQ_SUBMIT);
			continue;
		}
		expect_done(parse(VIRTIO_BLK_T_IN, cases[i].sector, 0, len), len,
			    VIRTIO_BLK_S_IOERR, 0);
		expect_done(parse(VIRTIO_BLK_T_OUT, cases[i].sector, len, 0), 0, VIRTIO_BLK_S_IOERR,
			    1);
	}
}
END_TEST

/* An empty transfer at the end of the disk is valid, and beyond it an error. */
START_TEST(row30_empty_transfers)
{
	expect_done(parse(VIRTIO_BLK_T_IN, 0, 0, 0), 0, VIRTIO_BLK_S_OK, 1);
	expect_done(parse(VIRTIO_BLK_T_OUT, 0, 0, 0), 0, VIRTIO_BLK_S_OK, 1);
	expect_done(parse(VIRTIO_BLK_T_IN, SECTORS, 0, 0), 0, VIRTIO_BLK_S_OK, 1);
	expect_done(parse(VIRTIO_BLK_T_IN, SECTORS + 1, 0, 0), 0, VIRTIO_BLK_S_IOERR, 1);
}
END_TEST

START_TEST(row31_length_not_a_multiple_of_a_sector)
{
	static const uint32_t bad[] = { 1, 16, 511, 513, 1023, 4095, 4097 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_done(parse(VIRTIO_BLK_T_IN, 0, 0, bad[i]), bad[i], VIRTIO_BLK_S_IOERR, 0);
		expect_done(parse(VIRTIO_BLK_T_OUT, 0, bad[i], 0), 0, VIRTIO_BLK_S_IOERR, 1);
	}
}
END_TEST

START_TEST(row31_length_or_sector_not_a_multiple_of_a_block)
{
	disk.blk_size = 4096;
	expect_done(parse(VIRTIO_BLK_T_IN, 0, 0, 512), 512, VIRTIO_BLK_S_IOERR, 0);
	expect_done(parse(VIRTIO_BLK_T_OUT, 0, 4096 + 512, 0), 0, VIRTIO_BLK_S_IOERR, 1);
	expect_done(parse(VIRTIO_BLK_T_OUT, 1, 4096, 0), 0, VIRTIO_BLK_S_IOERR, 1);
	expect_done(parse(VIRTIO_BLK_T_IN, 7, 0, 4096), 4096, VIRTIO_BLK_S_IOERR, 0);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 8, 0, 4096), BLKREQ_SUBMIT);
	expect_task(IO_READ, 4096, 4096, in_bytes);
}
END_TEST

START_TEST(row33_write_to_a_read_only_disk)
{
	disk.readonly = true;
	expect_done(parse(VIRTIO_BLK_T_OUT, 0, 512, 0), 0, VIRTIO_BLK_S_IOERR, 1);
	expect_done(parse(VIRTIO_BLK_T_OUT, 0, 0, 0), 0, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 0, 0, 512), BLKREQ_SUBMIT);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, 0, 0, 0), BLKREQ_SUBMIT);
}
END_TEST

START_TEST(row34_unknown_types)
{
	/* These include SCSI, DISCARD, WRITE_ZEROES, GET_LIFETIME, SECURE_ERASE and BARRIER, which
	 * is also a flag of IN and OUT. */
	static const uint32_t types[] = { 2,  3,  5,  7,  9,	      10,	  11,	     12,
					  13, 14, 15, 16, 0x80000000, 0x80000001, 0xffffffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		setup();
		expect_done(parse(types[i], 0, 512, 0), 0, VIRTIO_BLK_S_UNSUPP, 1);
		expect_done(parse(types[i], 0, 0, 512), 512, VIRTIO_BLK_S_UNSUPP, 0);
	}
}
END_TEST

START_TEST(row35_get_id_of_any_length)
{
	static const uint32_t lengths[] = { 0, 1, 5, 19, 20, 21, 512 };

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (uint32_t piece = 1; piece <= lengths[i] + 1; piece += 3) {
			uint32_t len = lengths[i], id = len < 20 ? len : 20;

			setup();
			header(VIRTIO_BLK_T_GET_ID, 77);
			expect_done(parse_cut(16, 16, len + 1, piece), len, VIRTIO_BLK_S_OK,
				    len <= 20 ? len + 1 : 20);
			ck_assert_mem_eq(in_bytes, ID, id);
			for (uint32_t at = id; at < len; at++)
				must(in_bytes[at] == 0xee);
		}
	}
}
END_TEST

START_TEST(row36_flush_with_data_or_a_sector)
{
	ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, ~0ull, 512, 0), BLKREQ_SUBMIT);
	ck_assert_int_eq(task.op, IO_FLUSH);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 1);
	ck_assert_uint_eq(status_at(0), VIRTIO_BLK_S_OK);

	ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, 1, 0, 512), BLKREQ_SUBMIT);
	ck_assert_int_eq(task.op, IO_FLUSH);
	ck_assert_uint_eq(blkreq_finish(&req, 0), 0);
	ck_assert_uint_eq(status_at(512), VIRTIO_BLK_S_OK);
}
END_TEST

START_TEST(writethrough_makes_only_writes_stable)
{
	disk.writethrough = true;
	ck_assert_int_eq(parse(VIRTIO_BLK_T_OUT, 0, 512, 0), BLKREQ_SUBMIT);
	ck_assert(task.stable);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 0, 0, 512), BLKREQ_SUBMIT);
	ck_assert(!task.stable);
	ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, 0, 0, 0), BLKREQ_SUBMIT);
	ck_assert(!task.stable);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blkreq");
	TCase *t = tcase_create("blkreq");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, read_request);
	tcase_add_test(t, write_request);
	tcase_add_test(t, used_len_of_every_outcome);
	tcase_add_test(t, rejected_requests_write_only_the_status_byte);
	tcase_add_test(t, row12_no_header_or_no_status);
	tcase_add_test(t, row14_header_in_1_to_16_pieces);
	tcase_add_test(t, row14_piece_with_the_end_of_the_header_and_data);
	tcase_add_test(t, row14_status_byte_in_any_piece);
	tcase_add_test(t, row15_header_is_checked_in_a_copy);
	tcase_add_test(t, row30_beyond_the_capacity);
	tcase_add_test(t, row30_empty_transfers);
	tcase_add_test(t, row31_length_not_a_multiple_of_a_sector);
	tcase_add_test(t, row31_length_or_sector_not_a_multiple_of_a_block);
	tcase_add_test(t, row33_write_to_a_read_only_disk);
	tcase_add_test(t, row34_unknown_types);
	tcase_add_test(t, row35_get_id_of_any_length);
	tcase_add_test(t, row36_flush_with_data_or_a_sector);
	tcase_add_test(t, writethrough_makes_only_writes_stable);
	suite_add_tcase(s, t);
	return s;
}
