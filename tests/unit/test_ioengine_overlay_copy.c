/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of first writes to a part of a block of an ephemeral disk, for which the block is copied. */
#include <errno.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "tests/unit/overlay_rig.h"

/* ---- copies ---- */

START_TEST(write_of_a_part_copies_the_block)
{
	const uint8_t *block;
	struct iovec *part;

	begin(1);
	make(0, IO_WRITE, 512, 300, 212, 0);
	memset(memory, 0x11, 300);
	memset(memory + 300, 0x22, 212);
	ioengine_prep(e[0], &task[0]);
	ioengine_submit(e[0]);
	complete(0, IO_READ, true, 0, BLOCK, SCRIPTED_ALL);
	ioengine_segment(scripted_seg(e[0], 0).task, &part);
	block = part->iov_base;
	ck_assert(all_bytes(block, 0xba, 512) && all_bytes(block + 512, 0x11, 300));
	ck_assert(all_bytes(block + 812, 0x22, 212) && all_bytes(block + 1024, 0xba, 3072));
	ck_assert(!is_written(0));
	complete(0, IO_WRITE, false, 0, BLOCK, 1024);
	complete(0, IO_WRITE, false, 1024, BLOCK - 1024, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	ck_assert(is_written(0) && !is_written(1));
	end();
}
END_TEST

START_TEST(write_at_odd_ends_copies_the_first_and_last_block)
{
	begin(1);
	start(0, 0, IO_WRITE, BLOCK - 512, 2 * BLOCK);
	complete(0, IO_READ, true, 0, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	complete(0, IO_READ, true, 2 * BLOCK, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, 2 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	ck_assert(is_written(0) && is_written(1) && is_written(2));
	end();
}
END_TEST

static const struct {
	const char *name;
	int64_t read, write;
	int result;
} failures[] = {
	{ "read", -EIO, 0, -EIO },
	{ "write", SCRIPTED_ALL, -ENOSPC, -ENOSPC },
};

START_TEST(failed_copy_fails_the_write)
{
	begin(1);
	start(0, 0, IO_WRITE, 512, 512);
	complete(0, IO_READ, true, 0, BLOCK, failures[_i].read);
	if (failures[_i].write)
		complete(0, IO_WRITE, false, 0, BLOCK, failures[_i].write);
	expect_finished(0, 0, failures[_i].result);
	ck_assert(!is_written(0));
	/* The block is free. */
	start(1, 1, IO_WRITE, 0, BLOCK);
	complete(1, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	end();
}
END_TEST

START_TEST(copy_of_a_block_at_the_end_of_the_base_is_filled_with_zeros)
{
	struct iovec *part;

	begin(1);
	start(0, 0, IO_WRITE, 0, 512);
	complete(0, IO_READ, true, 0, BLOCK, 1024);
	complete(0, IO_READ, true, 1024, BLOCK - 1024, 0);
	ioengine_segment(scripted_seg(e[0], 0).task, &part);
	ck_assert(all_bytes((uint8_t *)part->iov_base + 1024, 0, BLOCK - 1024));
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	end();
}
END_TEST

/* Both writes change the copy: none of them is lost. */
START_TEST(second_write_to_a_part_of_the_block_follows_the_copy)
{
	begin(1);
	start(0, 0, IO_WRITE, 0, 512);
	start(1, 1, IO_WRITE, 512, 512);
	start(0, 2, IO_WRITE, 1024, 512);
	expect_busy(1, 0);
	complete(0, IO_READ, true, 0, BLOCK, SCRIPTED_ALL);
	expect_busy(1, 0);
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	turn(1);
	turn(0);
	complete(1, IO_WRITE, false, 512, 512, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, 1024, 512, SCRIPTED_ALL);
	expect_finished(1, 1, 0);
	expect_finished(0, 2, 0);
	end();
}
END_TEST

START_TEST(copies_take_turns_for_the_buffers)
{
	begin(1);
	for (unsigned int i = 0; i < 10; i++)
		start(0, i, IO_WRITE, i * BLOCK, 512);
	ck_assert_uint_eq(scripted_held(e[0]), 8);
	for (unsigned int i = 0; i < 8; i++)
		complete(0, IO_READ, true, i * BLOCK, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 0, 0);
	ck_assert_uint_eq(scripted_held(e[0]), 8);
	for (unsigned int i = 1; i < 8; i++) {
		complete(0, IO_WRITE, false, i * BLOCK, BLOCK, SCRIPTED_ALL);
		expect_finished(0, i, 0);
	}
	for (unsigned int i = 8; i < 10; i++)
		complete(0, IO_READ, true, i * BLOCK, BLOCK, SCRIPTED_ALL);
	for (unsigned int i = 8; i < 10; i++) {
		complete(0, IO_WRITE, false, i * BLOCK, BLOCK, SCRIPTED_ALL);
		expect_finished(0, i, 0);
	}
	end();
}
END_TEST

/* A write that needs a buffer for its own memory gives it back for the copy, and while it waits. */
START_TEST(bounced_writes_do_not_keep_buffers_from_those_they_wait_for)
{
	begin(512);
	start(1, 11, IO_WRITE, 64 * BLOCK, BLOCK);
	for (unsigned int i = 0; i < 8; i++) {
		make(i, IO_WRITE, (63 - i) * BLOCK, (i + 2) * BLOCK, 0, 1);
		ioengine_prep(e[0], &task[i]);
		ioengine_submit(e[0]);
	}
	for (unsigned int i = 0; i < 8; i++)
		complete(0, IO_WRITE, false, (63 - i) * BLOCK, BLOCK, SCRIPTED_ALL);
	/* Each of them has arrived at block 64, or waits for it behind blocks of another one. */
	for (unsigned int i = 0; i < 100 && scripted_held(e[0]); i++) {
		scripted_complete(e[0], 0, SCRIPTED_ALL);
		turn(0);
	}
	ck_assert_uint_eq(e[0]->bounce_free, 8);
	make(8, IO_WRITE, 512, BLOCK, 0, 1);
	ioengine_prep(e[0], &task[8]);
	ioengine_submit(e[0]);
	complete(0, IO_READ, true, 0, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, 0, BLOCK, SCRIPTED_ALL);
	complete(0, IO_READ, true, BLOCK, BLOCK, SCRIPTED_ALL);
	complete(0, IO_WRITE, false, BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(0, 8, 0);
	complete(1, IO_WRITE, false, 64 * BLOCK, BLOCK, SCRIPTED_ALL);
	expect_finished(1, 11, 0);
	turn(0);
	while (scripted_held(e[0])) {
		scripted_complete(e[0], 0, SCRIPTED_ALL);
		turn(0);
	}
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_ptr_nonnull(ioengine_finished(e[0]));
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioengine_overlay_copy");
	TCase *t = tcase_create("overlay");

	tcase_add_test(t, write_of_a_part_copies_the_block);
	tcase_add_test(t, write_at_odd_ends_copies_the_first_and_last_block);
	tcase_add_table_test(t, failed_copy_fails_the_write, failures);
	tcase_add_test(t, copy_of_a_block_at_the_end_of_the_base_is_filled_with_zeros);
	tcase_add_test(t, second_write_to_a_part_of_the_block_follows_the_copy);
	tcase_add_test(t, copies_take_turns_for_the_buffers);
	tcase_add_test(t, bounced_writes_do_not_keep_buffers_from_those_they_wait_for);
	suite_add_tcase(s, t);
	return s;
}
