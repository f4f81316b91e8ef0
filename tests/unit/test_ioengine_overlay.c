/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of reads of an ephemeral disk, and of writes to whole blocks, segment by segment. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/unit/overlay_rig.h"

static void write_block(uint64_t block)
{
	ck_assert_uint_eq(overlay_claim(o, block, 1), 1);
	overlay_end_claim(o, block, 1, true);
}

/* ---- reads ---- */

START_TEST(read_is_split_where_the_file_changes)
{
	begin(1);
	write_block(2);
	write_block(3);
	make(0, IO_READ, 512, BLOCK, 5 * BLOCK, 0);
	ioengine_prep(e[0], &task[0]);
	ioengine_submit(e[0]);
	complete(0, IO_READ, true, 512, BLOCK, SCRIPTED_ALL);
	complete(0, IO_READ, true, BLOCK + 512, BLOCK - 512, SCRIPTED_ALL);
	complete(0, IO_READ, false, 2 * BLOCK, 2 * BLOCK, 100);
	complete(0, IO_READ, false, 2 * BLOCK + 100, 2 * BLOCK - 100, SCRIPTED_ALL);
	complete(0, IO_READ, true, 4 * BLOCK, 2 * BLOCK + 512, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end();
}
END_TEST

/* Zeros behind the end of the base must not cover the block that follows. */
START_TEST(read_of_a_truncated_base_is_zeros_up_to_the_next_written_block)
{
	begin(1);
	write_block(2);
	memset(memory, 0xee, 3 * BLOCK);
	start(0, 0, IO_READ, 0, 3 * BLOCK);
	complete(0, IO_READ, true, 0, 2 * BLOCK, 512);
	complete(0, IO_READ, true, 512, 2 * BLOCK - 512, 0);
	ck_assert(all_bytes(memory + 512, 0, 2 * BLOCK - 512));
	ck_assert(all_bytes(memory + 2 * BLOCK, 0xee, BLOCK));
	complete(0, IO_READ, false, 2 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end();
}
END_TEST

START_TEST(bounced_read_is_split_where_the_file_changes)
{
	begin(512);
	write_block(1);
	make(0, IO_READ, 0, 2 * BLOCK, 0, 1);
	ioengine_prep(e[0], &task[0]);
	ioengine_submit(e[0]);
	complete(0, IO_READ, true, 0, BLOCK, SCRIPTED_ALL);
	complete(0, IO_READ, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end();
}
END_TEST

/* ---- writes of whole blocks ---- */

START_TEST(block_is_written_when_its_write_has_completed)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, 2 * BLOCK);
	ck_assert(!is_written(0));
	complete(0, IO_WRITE, false, 0, 2 * BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	ck_assert(is_written(0) && is_written(1) && !is_written(2));
	/* A part of a written block is written directly. */
	start(0, 0, IO_WRITE, 512, 1024);
	complete(0, IO_WRITE, false, 512, 1024, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end();
}
END_TEST

START_TEST(failed_write_leaves_the_base_visible)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, 2 * BLOCK);
	complete(0, IO_WRITE, false, 0, 2 * BLOCK, BLOCK + 512);
	complete(0, IO_WRITE, false, BLOCK + 512, BLOCK - 512, -ENOSPC);
	expect_finished(0, 0, -ENOSPC);
	ck_assert(!is_written(0) && !is_written(1));
	/* It can be repeated from its beginning. */
	ioengine_rewind(&task[0]);
	ioengine_prep(e[0], &task[0]);
	ioengine_submit(e[0]);
	complete(0, IO_WRITE, false, 0, 2 * BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	ck_assert(is_written(0) && is_written(1));
	end();
}
END_TEST

START_TEST(second_write_of_a_block_waits_for_the_first_on_another_queue)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, 2 * BLOCK);
	start(1, 1, IO_WRITE, BLOCK, BLOCK);
	expect_busy(1, 0);
	/* A short write keeps its claim. */
	complete(0, IO_WRITE, false, 0, 2 * BLOCK, 100);
	expect_busy(1, 0);
	uint64_t before = eventfd_count(loop[1].wake_fd);
	complete(0, IO_WRITE, false, 100, 2 * BLOCK - 100, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	ck_assert_uint_eq(eventfd_count(loop[1].wake_fd), before + 1);
	turn(1);
	complete(1, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	end();
}
END_TEST

/* The second write continues where it has to wait, and holds no claim while it waits. */
START_TEST(writes_that_overlap_in_opposite_order_do_not_block_each_other)
{
	begin(1);
	start(0, 0, IO_WRITE, 2 * BLOCK, BLOCK);
	start(1, 1, IO_WRITE, 0, 4 * BLOCK);
	complete(1, IO_WRITE, false, 0, 2 * BLOCK, SCRIPTED_ALL);
	expect_busy(1, 0);
	ck_assert(is_written(0) && is_written(1));
	start(0, 2, IO_WRITE, 3 * BLOCK, BLOCK);
	complete(0, IO_WRITE, false, 2 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	turn(1);
	complete(1, IO_WRITE, false, 2 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_busy(1, 0);
	complete(0, IO_WRITE, false, 3 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 2, 0);
	turn(1);
	complete(1, IO_WRITE, false, 3 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	end();
}
END_TEST

/* The claim that the first one waits for has ended when the second one begins to wait. */
START_TEST(write_that_begins_to_wait_does_not_delay_another_one)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, BLOCK);
	start(0, 2, IO_WRITE, BLOCK, BLOCK);
	start(1, 1, IO_WRITE, 0, BLOCK);
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	start(1, 3, IO_WRITE, BLOCK, BLOCK);
	turn(1);
	complete(1, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	expect_busy(1, 0);
	complete(0, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 2, 0);
	turn(1);
	complete(1, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 3, 0);
	end();
}
END_TEST

START_TEST(bounced_first_write_keeps_its_claim_over_all_buffers)
{
	begin(512);
	make(0, IO_WRITE, 0, 32 * BLOCK, 0, 1);
	ioengine_prep(e[0], &task[0]);
	ioengine_submit(e[0]);
	start(1, 1, IO_WRITE, 20 * BLOCK, BLOCK);
	complete(0, IO_WRITE, false, 0, 16 * BLOCK, SCRIPTED_ALL);
	expect_busy(1, 0);
	complete(0, IO_WRITE, false, 16 * BLOCK, 16 * BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	turn(1);
	complete(1, IO_WRITE, false, 20 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	end();
}
END_TEST

/* ---- other ---- */

START_TEST(flush_ends_at_once)
{
	begin(1);
	task[0].op = IO_FLUSH;
	ioengine_prep(e[0], &task[0]);
	ioengine_submit(e[0]);
	ck_assert(ioengine_ready(e[0]));
	expect_finished(0, 0, 0);
	ck_assert_uint_eq(scripted_held(e[0]), 0);
	end();
}
END_TEST

START_TEST(long_write_is_parked_between_two_claims)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, 9 * MIB);
	ioengine_hold(e[0]);
	complete(0, IO_WRITE, false, 0, 4 * MIB, MIB);
	ck_assert(ioengine_working(e[0]));
	complete(0, IO_WRITE, false, MIB, 3 * MIB, SCRIPTED_ALL);
	ck_assert(!ioengine_working(e[0]));
	ck_assert(is_written(0) && is_written(4 * MIB / BLOCK - 1));
	/* Another queue is not kept from the blocks behind. */
	start(1, 1, IO_WRITE, 4 * MIB, BLOCK);
	complete(1, IO_WRITE, false, 4 * MIB, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	ioengine_release(e[0]);
	ioengine_submit(e[0]);
	complete(0, IO_WRITE, false, 4 * MIB, BLOCK, SCRIPTED_ALL);
	ioengine_cancel_ranges(e[0]);
	complete(0, IO_WRITE, false, 4 * MIB + BLOCK, 4 * MIB, SCRIPTED_ALL);
	expect_finished(0, 0, -ECANCELED);
	ioengine_begin(e[0]);
	end();
}
END_TEST

START_TEST(writes_that_wait_for_a_lost_claim_fail)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, BLOCK);
	start(1, 1, IO_WRITE, 0, BLOCK);
	ioengine_give_up(e[1]);
	expect_busy(1, 0);
	e[0]->lost = true;
	ioengine_give_up(e[0]);
	turn(1);
	expect_finished(1, 1, -EIO);
	start(1, 1, IO_WRITE, BLOCK, BLOCK);
	complete(1, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	e[0]->lost = false;
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	/* Nothing is in flight: nothing is lost. */
	e[0]->lost = true;
	ioengine_give_up(e[0]);
	end();
}
END_TEST

/* ---- with files ---- */

static void begin_files(void)
{
	file = memfd_create("file", MFD_CLOEXEC);
	base_file = memfd_create("base", MFD_CLOEXEC);
	must(!ftruncate(file, BLOCKS * BLOCK) && !ftruncate(base_file, BLOCKS * BLOCK));
	begin(1);
}

static void end_files(void)
{
	end();
	close(file);
	close(base_file);
}

START_TEST(synchronous_transfers_use_the_same_files)
{
	begin_files();
	must(pwrite(base_file, "base", 4, BLOCK) == 4 && pwrite(file, "file", 4, 0) == 4);
	write_block(0);
	make(0, IO_READ, 0, 2 * BLOCK, 0, 0);
	ioengine_run(e[0], &task[0]);
	ioengine_submit(e[0]);
	/* The first segment has been transferred, and the second one is queued. */
	ck_assert_int_eq(memcmp(memory, "file", 4), 0);
	complete(0, IO_READ, true, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	make(0, IO_READ, BLOCK, BLOCK, 0, 0);
	ioengine_run(e[0], &task[0]);
	expect_finished(0, 0, 0);
	ck_assert_int_eq(memcmp(memory, "base", 4), 0);
	/* A copy is asynchronous. */
	make(0, IO_WRITE, BLOCK + 512, 512, 0, 0);
	ioengine_run(e[0], &task[0]);
	ioengine_submit(e[0]);
	complete(0, IO_READ, true, BLOCK, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end_files();
}
END_TEST

/* Starts to zero the first 8 blocks by queue 1, while queue 0 has a claim of block 4. */
static void zero_around_a_claim(void)
{
	begin_files();
	start(0, 0, IO_WRITE, 4 * BLOCK, BLOCK);
	memset(&task[1], 0xa5, sizeof(task[1]));
	task[1].op = IO_WRITE_ZEROES;
	task[1].range_count = 1;
	task[1].range[0] = (struct io_range){ .offset = 0, .len = 8 * BLOCK };
	ioengine_prep(e[1], &task[1]);
	ioengine_submit(e[1]);
	mock_wait_until(ioworker_ready(e[1]->worker));
	expect_busy(1, 0);
	ck_assert(is_written(3) && !is_written(4) && !is_written(5));
}

START_TEST(zeroes_wait_for_a_write_of_another_queue)
{
	zero_around_a_claim();
	complete(0, IO_WRITE, false, 4 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	turn(1);
	mock_wait_until(ioworker_ready(e[1]->worker));
	turn(1);
	expect_finished(1, 1, 0);
	ck_assert(is_written(4) && is_written(7) && !is_written(8));
	end_files();
}
END_TEST

START_TEST(zeroes_that_wait_for_a_lost_claim_fail)
{
	zero_around_a_claim();
	e[0]->lost = true;
	ioengine_give_up(e[0]);
	turn(1);
	expect_finished(1, 1, -EIO);
	ck_assert_uint_eq(e[1]->ranges_in_flight, 0);
	e[0]->lost = false;
	complete(0, IO_WRITE, false, 4 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end_files();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_overlay");
	TCase *t = tcase_create("overlay");

	tcase_add_test(t, read_is_split_where_the_file_changes);
	tcase_add_test(t, read_of_a_truncated_base_is_zeros_up_to_the_next_written_block);
	tcase_add_test(t, bounced_read_is_split_where_the_file_changes);
	tcase_add_test(t, block_is_written_when_its_write_has_completed);
	tcase_add_test(t, failed_write_leaves_the_base_visible);
	tcase_add_test(t, second_write_of_a_block_waits_for_the_first_on_another_queue);
	tcase_add_test(t, writes_that_overlap_in_opposite_order_do_not_block_each_other);
	tcase_add_test(t, write_that_begins_to_wait_does_not_delay_another_one);
	tcase_add_test(t, bounced_first_write_keeps_its_claim_over_all_buffers);
	tcase_add_test(t, flush_ends_at_once);
	tcase_add_test(t, long_write_is_parked_between_two_claims);
	tcase_add_test(t, writes_that_wait_for_a_lost_claim_fail);
	tcase_add_test(t, synchronous_transfers_use_the_same_files);
	tcase_add_test(t, zeroes_wait_for_a_write_of_another_queue);
	tcase_add_test(t, zeroes_that_wait_for_a_lost_claim_fail);
	suite_add_tcase(s, t);
	return s;
}
