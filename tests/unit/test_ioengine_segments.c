/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of transfers larger than a segment: split, interrupted, continued, cancelled. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/engines.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/scripted.h"
#include "tests/lib/suite.h"

#define MIB    (1u << 20)
#define SIZE   (9u * MIB)
#define TASKS  12u
#define PIECES 16u

static struct test_image image;
static struct evloop loop;
static struct ioengine *e;
static struct io_task task[TASKS];
static struct iovec iov[TASKS][PIECES];
static uint8_t memory[SIZE + 4096] __attribute__((aligned(4096)));

/* Prepares task i: at offset 0, in pieces of these sizes (ended by 0) from memory + odd on. */
static void make(unsigned int i, enum io_op op, uint32_t odd, const uint32_t *piece)
{
	unsigned int n = 0;
	uint32_t len = 0;

	for (; n < PIECES && piece[n]; len += piece[n++])
		iov[i][n] = (struct iovec){ memory + odd + len, piece[n] };
	memset(&task[i], 0xa5, sizeof(task[i]));
	task[i].op = op;
	task[i].stable = false;
	task[i].offset = 0;
	task[i].len = len;
	task[i].iov = iov[i];
	task[i].iov_count = n;
	ioengine_prep(e, &task[i]);
}

/* ---- with the scripted engine ---- */

static const char *const directions[] = { "read", "write" };

static const uint32_t whole[] = { SIZE, 0 };

static void begin(uint32_t align)
{
	struct ioengine_config config = { .fd = -1, .depth = TASKS, .direct_align = align };

	ck_assert_int_eq(ioengine_create(&e, &ioengine_scripted, &config), 0);
}

static void end(void)
{
	ck_assert_uint_eq(e->in_flight, 0);
	ck_assert_uint_eq(e->bounce_free, 8);
	ioengine_destroy(e);
}

static void complete(int64_t res)
{
	scripted_complete(e, 0, res);
	ioengine_reap(e);
	ioengine_submit(e);
}

static void expect_finished(unsigned int i, int result)
{
	ck_assert_ptr_eq(ioengine_finished(e), &task[i]);
	ck_assert_int_eq(task[i].result, result);
}

START_TEST(host_never_gets_more_than_a_segment)
{
	static const struct {
		uint32_t piece[PIECES];
		uint32_t segment[PIECES]; /* KiB */
	} cases[] = {
		{ { SIZE }, { 4096, 4096, 1024 } },
		{ { 3 * MIB, 3 * MIB, 3 * MIB }, { 3072, 3072, 3072 } },
		{ { 2 * MIB, 2 * MIB, 2 * MIB, 3 * MIB }, { 4096, 2048, 3072 } },
		{ { 4096, 8 * MIB, 4096 }, { 4, 4096, 4096, 4 } },
		{ { 4 * MIB }, { 4096 } },
		{ { 4 * MIB, 512 }, { 4096, 0 } },
	};

	for (unsigned int c = 0; c < ARRAY_SIZE(cases); c++) {
		uint64_t offset = 0;

		begin(1);
		make(0, _i ? IO_WRITE : IO_READ, 0, cases[c].piece);
		ioengine_submit(e);
		for (const uint32_t *kib = cases[c].segment; *kib; kib++) {
			struct scripted_seg seg = scripted_seg(e, 0);

			ck_assert_uint_eq(seg.offset, offset);
			ck_assert_uint_eq(seg.len, *kib * 1024);
			offset += seg.len;
			complete(SCRIPTED_ALL);
		}
		if (offset < task[0].len)
			complete(SCRIPTED_ALL);
		expect_finished(0, 0);
		end();
	}
}
END_TEST

/* A short transfer continues where it ended, in segments as large as before. */
START_TEST(short_transfer_within_a_segment)
{
	begin(1);
	make(0, IO_READ, 0, whole);
	ioengine_submit(e);
	complete(512);
	ck_assert_uint_eq(scripted_seg(e, 0).offset, 512);
	ck_assert_uint_eq(scripted_seg(e, 0).len, 4 * MIB);
	complete(SCRIPTED_ALL);
	/* A result larger than the segment is an error. */
	complete(4 * MIB + 1);
	expect_finished(0, -EIO);
	/* After the end of the image, zeros are filled in segment by segment, because they take
	 * time. */
	make(0, IO_READ, 0, whole);
	memset(memory, 0xee, SIZE);
	ioengine_submit(e);
	complete(MIB);
	complete(0);
	ck_assert(all_bytes(memory, 0xee, MIB) && all_bytes(memory + MIB, 0, 4 * MIB));
	ck_assert(all_bytes(memory + 5 * MIB, 0xee, 4 * MIB));
	ck_assert_uint_eq(scripted_seg(e, 0).offset, 5 * MIB);
	complete(0);
	expect_finished(0, 0);
	ck_assert(all_bytes(memory + MIB, 0, 8 * MIB));
	end();
}
END_TEST

START_TEST(held_transfer_continues_where_it_was_interrupted)
{
	begin(1);
	make(0, IO_WRITE, 0, whole);
	ioengine_submit(e);
	ioengine_hold(e);
	ck_assert(ioengine_working(e));
	ck_assert(!ioengine_transfers_done(e));
	complete(SCRIPTED_ALL);
	ck_assert_uint_eq(scripted_held(e), 0);
	ck_assert(!ioengine_working(e));
	ck_assert(ioengine_transfers_done(e));
	ck_assert_uint_eq(ioengine_room(e), TASKS - 1);
	ck_assert_ptr_null(ioengine_finished(e));
	/* The write cache may be switched off meanwhile. */
	ioengine_set_writethrough(e, true);
	ioengine_release(e);
	ck_assert(ioengine_working(e));
	ioengine_submit(e);
	ck_assert_uint_eq(scripted_seg(e, 0).offset, 4 * MIB);
	ck_assert(scripted_seg(e, 0).stable);
	complete(SCRIPTED_ALL);
	complete(SCRIPTED_ALL);
	expect_finished(0, 0);
	end();
}
END_TEST

static const char *const cache_modes[] = { "to writeback", "to writethrough" };

/* The write cache is switched while a write and a read are parked. */
START_TEST(switch_of_the_cache_reaches_parked_writes_and_no_reads)
{
	bool writethrough = _i;

	begin(1);
	make(0, IO_WRITE, 0, whole);
	make(1, IO_READ, 0, whole);
	task[0].stable = !writethrough;
	ioengine_submit(e);
	ioengine_hold(e);
	complete(SCRIPTED_ALL);
	complete(SCRIPTED_ALL);
	ck_assert(!ioengine_working(e));
	ioengine_set_writethrough(e, writethrough);
	ioengine_release(e);
	ioengine_submit(e);
	ck_assert_uint_eq(scripted_held(e), 2);
	ck_assert_int_eq(scripted_seg(e, 0).op, IO_WRITE);
	ck_assert(scripted_seg(e, 0).stable == writethrough);
	ck_assert_int_eq(scripted_seg(e, 1).op, IO_READ);
	ck_assert(!scripted_seg(e, 1).stable);
	ioengine_cancel_ranges(e);
	complete(SCRIPTED_ALL);
	complete(SCRIPTED_ALL);
	expect_finished(0, -ECANCELED);
	expect_finished(1, -ECANCELED);
	end();
}
END_TEST

static const char *const interruptions[] = { "pause", "pause and cancel" };

/* Transfers of one segment are not interrupted, even after a short result. */
START_TEST(transfer_of_one_segment_is_finished)
{
	begin(1);
	make(0, IO_WRITE, 0, (const uint32_t[]){ 4 * MIB, 0 });
	ioengine_submit(e);
	ioengine_hold(e);
	if (_i)
		ioengine_cancel_ranges(e);
	complete(MIB);
	ck_assert_uint_eq(scripted_seg(e, 0).offset, MIB);
	complete(SCRIPTED_ALL);
	expect_finished(0, 0);
	end();
}
END_TEST

static const struct {
	const char *name;
	enum io_op op;
	bool parked;
} cancelled[] = {
	{ "read in flight", IO_READ, false },
	{ "write in flight", IO_WRITE, false },
	{ "parked read", IO_READ, true },
	{ "parked write", IO_WRITE, true },
};

START_TEST(large_transfer_is_cancelled)
{
	begin(1);
	make(0, cancelled[_i].op, 0, whole);
	ioengine_submit(e);
	if (cancelled[_i].parked) {
		ioengine_hold(e);
		complete(SCRIPTED_ALL);
		ioengine_cancel_ranges(e);
	} else {
		ioengine_cancel_ranges(e);
		complete(SCRIPTED_ALL);
	}
	expect_finished(0, -ECANCELED);
	ck_assert_uint_eq(scripted_held(e), 0);
	ioengine_begin(e);
	make(0, IO_READ, 0, whole);
	ioengine_submit(e);
	for (unsigned int n = 0; n < 3; n++)
		complete(SCRIPTED_ALL);
	expect_finished(0, 0);
	end();
}
END_TEST

/* Transfers that wait for a bounce buffer are parked as well, and parked transfers have none. */
START_TEST(held_transfers_need_more_bounce_buffers_than_there_are)
{
	begin(512);
	for (unsigned int i = 0; i < TASKS; i++)
		make(i, IO_WRITE, 1, whole);
	ioengine_submit(e);
	ck_assert_uint_eq(scripted_held(e), 8);
	ioengine_hold(e);
	while (scripted_held(e))
		complete(SCRIPTED_ALL);
	ck_assert(!ioengine_working(e));
	ck_assert_uint_eq(e->bounce_free, 8);
	ioengine_release(e);
	ioengine_submit(e);
	ck_assert_uint_eq(scripted_held(e), 8);
	ioengine_cancel_ranges(e);
	while (scripted_held(e))
		complete(SCRIPTED_ALL);
	for (unsigned int i = 0; i < TASKS; i++) {
		struct io_task *done = ioengine_finished(e);

		ck_assert_ptr_nonnull(done);
		ck_assert_int_eq(done->result, -ECANCELED);
	}
	end();
}
END_TEST

/* ---- every engine ---- */

static void turn(void)
{
	evloop_turn(&loop, !ioengine_ready(e) && e->event_fd < 0);
	ioengine_reap(e);
	ioengine_submit(e);
}

static void wait_finished(void)
{
	ioengine_submit(e);
	while (ioengine_finished(e) != &task[0])
		turn();
	ck_assert_int_eq(task[0].result, 0);
}

/* Returns the name of combination i: an engine, and memory that is aligned or not. */
static const char *alignment_name(int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s, %s", engine_way_name(i / 2),
		 i & 1 ? "unaligned" : "aligned");
	return name;
}

/* A read, a write that is held twice, and another read move all bytes. */
START_TEST(large_transfers_on_every_engine)
{
	static const uint32_t pieces[] = { 4096, 5 * MIB, 8192, 3 * MIB, MIB - 12288, 0 };
	struct engine_way way = engine_way(_i / 2);
	struct ioengine_config config = { .loop = &loop, .depth = TASKS };
	uint32_t odd = _i & 1;

	image_make(&image, SIZE, way.direct);
	config.fd = image.fd;
	config.direct_align = image.align;
	ck_assert_int_eq(evloop_init(&loop, way.ops->loop), 0);
	ck_assert_int_eq(evloop_begin(&loop), 0);
	ck_assert_int_eq(ioengine_create(&e, way.ops, &config), 0);
	make(0, IO_READ, odd, pieces);
	wait_finished();
	ck_assert(image_is_fresh(memory + odd, 0, SIZE));
	for (uint32_t i = 0; i < SIZE; i++)
		memory[odd + i] = (uint8_t)(i >> 12 ^ i);
	make(0, IO_WRITE, odd, whole);
	for (unsigned int i = 0; i < 2; i++) {
		ioengine_hold(e);
		ioengine_submit(e);
		while (ioengine_working(e))
			turn();
		ck_assert_ptr_null(ioengine_finished(e));
		ioengine_release(e);
	}
	wait_finished();
	memset(memory, 0xee, sizeof(memory));
	make(0, IO_READ, odd, pieces);
	wait_finished();
	for (uint32_t i = 0; i < SIZE; i++)
		must(memory[odd + i] == (uint8_t)(i >> 12 ^ i));
	ck_assert_uint_eq(e->in_flight, 0);
	ioengine_destroy(e);
	evloop_unwatch(&loop, &loop.wake);
	evloop_destroy(&loop);
	image_remove(&image);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_segments");
	TCase *t = tcase_create("ioengine_segments");

	tcase_add_names_test(t, host_never_gets_more_than_a_segment, directions);
	tcase_add_test(t, short_transfer_within_a_segment);
	tcase_add_test(t, held_transfer_continues_where_it_was_interrupted);
	tcase_add_names_test(t, switch_of_the_cache_reaches_parked_writes_and_no_reads,
			     cache_modes);
	tcase_add_names_test(t, transfer_of_one_segment_is_finished, interruptions);
	tcase_add_table_test(t, large_transfer_is_cancelled, cancelled);
	tcase_add_test(t, held_transfers_need_more_bounce_buffers_than_there_are);
	tcase_add_named_test(t, large_transfers_on_every_engine, 2 * engine_ways(), alignment_name);
	suite_add_tcase(s, t);
	return s;
}
