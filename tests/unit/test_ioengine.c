/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the common part of all engines: in-flight bound, short transfers, the end of the image,
 * bounce buffers. The test gives the results of the host.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/scripted.h"
#include "tests/lib/suite.h"

#define BOUNCE	     (64u << 10)
#define BOUNCE_COUNT 8
#define FILL	     0xee

static struct ioengine *e;
static struct io_task task[16];
static struct iovec iov[16][1100];
static uint8_t memory[256 << 10] __attribute__((aligned(4096)));

static void begin(unsigned int depth, uint32_t align)
{
	struct ioengine_config config = { .fd = -1, .depth = depth, .direct_align = align };

	memset(memory, FILL, sizeof(memory));
	ck_assert_int_eq(ioengine_create(&e, &ioengine_scripted, &config), 0);
}

static void end(void)
{
	ck_assert_uint_eq(e->in_flight, 0);
	ioengine_destroy(e);
}

/* Prepares task i: `len` bytes at memory + where, in pieces of `piece` bytes. */
static void make(unsigned int i, enum io_op op, uint64_t offset, uint32_t where, uint32_t len,
		 uint32_t piece)
{
	unsigned int n = 0;

	for (uint32_t done = 0; done < len; done += piece)
		iov[i][n++] = (struct iovec){ .iov_base = memory + where + done,
					      .iov_len = len - done < piece ? len - done : piece };
	memset(&task[i], 0xa5, sizeof(task[i]));
	task[i].op = op;
	task[i].stable = false;
	task[i].offset = offset;
	task[i].len = len;
	task[i].iov = iov[i];
	task[i].iov_count = n;
	ioengine_prep(e, &task[i]);
}

/* Completes pending segment i, and submits what follows. */
static void complete(unsigned int i, int64_t res)
{
	scripted_complete(e, i, res);
	ioengine_reap(e);
	ioengine_submit(e);
}

static void expect_seg(unsigned int i, uint64_t offset, uint64_t len)
{
	struct scripted_seg seg = scripted_seg(e, i);

	ck_assert_uint_eq(seg.offset, offset);
	ck_assert_uint_eq(seg.len, len);
}

static void expect_finished(unsigned int i, int result)
{
	ck_assert_ptr_eq(ioengine_finished(e), &task[i]);
	ck_assert_int_eq(task[i].result, result);
}

static void expect_none(void)
{
	ck_assert_ptr_null(ioengine_finished(e));
}

/* Fills the memory of pending segment i, as the host does for a read. */
static void host_writes(unsigned int i, int byte, uint64_t len)
{
	struct iovec *seg;
	unsigned int n = ioengine_segment(scripted_seg(e, i).task, &seg);

	for (unsigned int k = 0; k < n && len; k++) {
		uint64_t part = seg[k].iov_len < len ? seg[k].iov_len : len;

		memset(seg[k].iov_base, byte, part);
		len -= part;
	}
}

START_TEST(room_is_counted_from_prep_to_finished)
{
	begin(3, 1);
	ck_assert_uint_eq(ioengine_room(e), 3);
	make(0, IO_READ, 0, 0, 512, 512);
	make(1, IO_FLUSH, 0, 0, 0, 1);
	make(2, IO_WRITE, 0, 512, 512, 512);
	ck_assert_uint_eq(ioengine_room(e), 0);
	ck_assert_uint_eq(scripted_held(e), 0);
	ioengine_submit(e);
	ck_assert_uint_eq(scripted_held(e), 3);
	complete(1, 0);
	ck_assert_uint_eq(ioengine_room(e), 0);
	expect_finished(1, 0);
	ck_assert_uint_eq(ioengine_room(e), 1);
	scripted_complete_all(e, SCRIPTED_ALL);
	ioengine_reap(e);
	expect_finished(0, 0);
	expect_finished(2, 0);
	ck_assert_uint_eq(ioengine_room(e), 3);
	end();
}
END_TEST

START_TEST(short_transfers_are_reported_as_success)
{
	static const enum io_op ops[] = { IO_READ, IO_WRITE };

	for (unsigned int i = 0; i < 2; i++) {
		begin(1, 1);
		make(0, ops[i], 4096, 0, 4096, 1000);
		ioengine_submit(e);
		expect_seg(0, 4096, 4096);
		complete(0, 1);
		expect_none();
		expect_seg(0, 4097, 4095);
		ck_assert_uint_eq(scripted_seg(e, 0).pieces, 5);
		complete(0, 999); /* up to the end of a piece */
		expect_seg(0, 5096, 3096);
		ck_assert_uint_eq(scripted_seg(e, 0).pieces, 4);
		complete(0, 2500);
		expect_seg(0, 7596, 596);
		ck_assert_ptr_eq(task[0].iov->iov_base, memory + 3500);
		expect_none();
		complete(0, SCRIPTED_ALL);
		expect_finished(0, 0);
		end();
	}
}
END_TEST

START_TEST(error_after_a_short_transfer_is_reported)
{
	begin(1, 1);
	make(0, IO_WRITE, 0, 0, 4096, 4096);
	ioengine_submit(e);
	complete(0, 512);
	complete(0, -ENOSPC);
	expect_finished(0, -ENOSPC);
	end();
}
END_TEST

START_TEST(write_without_progress_is_an_error)
{
	begin(1, 1);
	make(0, IO_WRITE, 0, 0, 4096, 4096);
	ioengine_submit(e);
	complete(0, 0);
	expect_finished(0, -EIO);
	end();
}
END_TEST

/* With O_DIRECT, a transfer continues at the last sector boundary that it reached. */
START_TEST(short_transfer_continues_at_an_aligned_offset)
{
	begin(1, 512);
	make(0, IO_WRITE, 0, 0, 8192, 1024);
	ioengine_submit(e);
	complete(0, 1500);
	expect_seg(0, 1024, 7168);
	complete(0, 511);
	expect_finished(0, -EIO);
	end();
}
END_TEST

START_TEST(end_of_the_image_reads_zeros)
{
	begin(1, 1);
	make(0, IO_READ, 0, 100, 4096, 700);
	ioengine_submit(e);
	host_writes(0, 0x11, 1000);
	complete(0, 1000);
	complete(0, 0);
	expect_finished(0, 0);
	ck_assert(all_bytes(memory, FILL, 100));
	ck_assert(all_bytes(memory + 100, 0x11, 1000));
	ck_assert(all_bytes(memory + 1100, 0, 3096));
	ck_assert(all_bytes(memory + 4196, FILL, 1000));
	end();
}
END_TEST

START_TEST(end_of_the_image_within_a_sector)
{
	begin(1, 512);
	make(0, IO_READ, 0, 0, 4096, 1024);
	ioengine_submit(e);
	host_writes(0, 0x11, 1300);
	complete(0, 1300);
	expect_seg(0, 1024, 3072);
	host_writes(0, 0x22, 276);
	complete(0, 276);
	expect_finished(0, 0);
	ck_assert(all_bytes(memory, 0x11, 1024));
	ck_assert(all_bytes(memory + 1024, 0x22, 276));
	ck_assert(all_bytes(memory + 1300, 0, 4096 - 1300));
	ck_assert_uint_eq(memory[4096], FILL);
	end();
}
END_TEST

START_TEST(result_larger_than_the_request_is_an_error)
{
	begin(1, 1);
	for (unsigned int i = 0; i < 2; i++) {
		make(0, i ? IO_READ : IO_WRITE, 0, 0, 512, 512);
		ioengine_submit(e);
		complete(0, 513);
		expect_finished(0, -EIO);
	}
	end();
}
END_TEST

START_TEST(result_of_a_flush_is_reported)
{
	begin(1, 512);
	for (int result = -EIO; result <= 0; result += EIO) {
		make(0, IO_FLUSH, 0, 0, 0, 1);
		ioengine_submit(e);
		complete(0, result);
		expect_finished(0, result);
	}
	end();
}
END_TEST

/* ---- bounce buffers ---- */

/* Returns true when the engine uses a bounce buffer for such a write. */
static bool is_bounced(uint32_t align, uint32_t where, uint32_t len, uint32_t piece)
{
	struct iovec *seg;
	bool bounced;

	begin(1, align);
	make(0, IO_WRITE, 0, where, len, piece);
	ioengine_submit(e);
	ioengine_segment(scripted_seg(e, 0).task, &seg);
	bounced = (uint8_t *)seg->iov_base < memory ||
		  (uint8_t *)seg->iov_base >= memory + sizeof(memory);
	if (bounced)
		ck_assert_uint_eq((uintptr_t)seg->iov_base % 4096, 0);
	complete(0, SCRIPTED_ALL);
	expect_finished(0, 0);
	end();
	return bounced;
}

START_TEST(row32_unaligned_memory_and_long_vectors_are_bounced)
{
	ck_assert(!is_bounced(1, 1, 1024, 1));
	ck_assert(!is_bounced(512, 0, 4096, 512));
	ck_assert(!is_bounced(512, 512, 4096, 4096));
	ck_assert(is_bounced(512, 1, 4096, 4096));
	ck_assert(is_bounced(512, 256, 4096, 4096));
	ck_assert(is_bounced(512, 0, 4096, 768));
	ck_assert(is_bounced(512, 0, 4096 + 256, 4096)); /* only the length is not aligned */
	ck_assert(is_bounced(4096, 512, 4096, 4096));
	ck_assert(!is_bounced(4096, 4096, 4096, 4096));
	/* The last one has more pieces than a system call accepts. */
	ck_assert(!is_bounced(1, 0, IOV_MAX * 8, 8));
	ck_assert(is_bounced(1, 0, (IOV_MAX + 1) * 8, 8));
}
END_TEST

START_TEST(row32_bounced_read_in_segments)
{
	const uint32_t len = 2 * BOUNCE + 512;

	begin(1, 512);
	make(0, IO_READ, 512, 7, len, 1000);
	ioengine_submit(e);
	expect_seg(0, 512, BOUNCE);
	host_writes(0, 1, BOUNCE);
	ck_assert(all_bytes(memory, FILL, sizeof(memory)));
	complete(0, 1000); /* of which 512 are whole sectors */
	expect_seg(0, 1024, BOUNCE);
	ck_assert(all_bytes(memory + 7, 1, 512));
	ck_assert_uint_eq(memory[7 + 512], FILL);
	host_writes(0, 2, BOUNCE);
	complete(0, BOUNCE);
	expect_seg(0, 1024 + BOUNCE, BOUNCE);
	host_writes(0, 3, BOUNCE);
	complete(0, BOUNCE);
	expect_finished(0, 0);
	ck_assert(all_bytes(memory, FILL, 7));
	ck_assert(all_bytes(memory + 7 + 512, 2, BOUNCE));
	ck_assert(all_bytes(memory + 7 + 512 + BOUNCE, 3, BOUNCE));
	ck_assert_uint_eq(memory[7 + len], FILL);
	end();
}
END_TEST

/* Each segment of a write has the bytes that are next, also after a short transfer. */
START_TEST(row32_bounced_write_in_segments)
{
	const uint32_t len = BOUNCE + 1024;
	struct iovec *seg;

	begin(1, 512);
	for (uint32_t i = 0; i < len; i++)
		memory[i + 3] = (uint8_t)(i / 512);
	make(0, IO_WRITE, 0, 3, len, 777);
	ioengine_submit(e);
	ioengine_segment(&task[0], &seg);
	ck_assert_mem_eq(seg->iov_base, memory + 3, BOUNCE);
	complete(0, 1024);
	expect_seg(0, 1024, BOUNCE);
	ioengine_segment(&task[0], &seg);
	ck_assert_mem_eq(seg->iov_base, memory + 3 + 1024, BOUNCE);
	complete(0, SCRIPTED_ALL);
	expect_finished(0, 0);
	end();
}
END_TEST

START_TEST(row32_failed_bounced_read_frees_its_buffer)
{
	begin(16, 512);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < BOUNCE_COUNT; i++)
			make(i, IO_READ, 0, 1 + i * 1024, 512, 512);
		ioengine_submit(e);
		ck_assert_uint_eq(scripted_held(e), BOUNCE_COUNT);
		for (unsigned int i = 0; i < BOUNCE_COUNT; i++) {
			complete(0, i % 2 ? -EIO : SCRIPTED_ALL);
			expect_finished(i, i % 2 ? -EIO : 0);
		}
	}
	end();
}
END_TEST

/* Requests that need a bounce buffer wait in their order. Others are submitted meanwhile. */
START_TEST(row32_number_of_bounce_buffers_is_bounded)
{
	begin(16, 512);
	for (unsigned int i = 0; i < 12; i++)
		make(i, IO_WRITE, i * 512, 1 + i * 1024, 512, 512);
	make(12, IO_WRITE, 12 * 512, 16384, 512, 512);
	ioengine_submit(e);
	ck_assert_uint_eq(scripted_held(e), BOUNCE_COUNT + 1);
	expect_seg(BOUNCE_COUNT, 12 * 512, 512);
	for (unsigned int i = 0; i < BOUNCE_COUNT; i++) {
		complete(0, SCRIPTED_ALL);
		expect_finished(i, 0);
	}
	complete(0, SCRIPTED_ALL);
	expect_finished(12, 0);
	for (unsigned int i = BOUNCE_COUNT; i < 12; i++) {
		expect_seg(0, i * 512, 512);
		complete(0, SCRIPTED_ALL);
		expect_finished(i, 0);
	}
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine");
	TCase *t = tcase_create("ioengine");

	tcase_add_test(t, room_is_counted_from_prep_to_finished);
	tcase_add_test(t, short_transfers_are_reported_as_success);
	tcase_add_test(t, error_after_a_short_transfer_is_reported);
	tcase_add_test(t, write_without_progress_is_an_error);
	tcase_add_test(t, short_transfer_continues_at_an_aligned_offset);
	tcase_add_test(t, end_of_the_image_reads_zeros);
	tcase_add_test(t, end_of_the_image_within_a_sector);
	tcase_add_test(t, result_larger_than_the_request_is_an_error);
	tcase_add_test(t, result_of_a_flush_is_reported);
	tcase_add_test(t, row32_unaligned_memory_and_long_vectors_are_bounced);
	tcase_add_test(t, row32_bounced_read_in_segments);
	tcase_add_test(t, row32_bounced_write_in_segments);
	tcase_add_test(t, row32_failed_bounced_read_frees_its_buffer);
	tcase_add_test(t, row32_number_of_bounce_buffers_is_bounded);
	suite_add_tcase(s, t);
	return s;
}
