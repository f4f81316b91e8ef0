/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of discards and write zeroes that are interrupted between two steps, and continued. Linked
 * with --wrap: fallocate does nothing, and each call requests an interruption.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "dataplane/ioengine.h"
#include "tests/lib/cases.h"
#include "tests/lib/files.h"
#include "tests/lib/suite.h"

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
int __wrap_fdatasync(int fd);

#define MIB 1048576ull

static struct ioranges r;
static struct io_task task;
static struct test_image image;
static unsigned int calls, flushes;
static off_t next; /* expected offset of the next call */

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd;
	(void)mode;
	ck_assert_int_eq(offset, next);
	next += len;
	calls++;
	r.hold = !r.stepwise;
	return 0;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	ck_assert_int_eq(offset, next);
	next += (off_t)len;
	calls++;
	r.hold = !r.stepwise;
	return __real_pwrite(fd, data, len, offset);
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	flushes++;
	return 0;
}

/* Runs the task until it is finished. Returns how many times it was interrupted. */
static unsigned int run_to_the_end(void)
{
	unsigned int times = 0;
	int err;

	for (; (err = ioranges_run(&r, &task)) == IORANGES_PARKED; times++) {
		/* While the task is held, no step is executed. */
		ck_assert_int_eq(ioranges_run(&r, &task), IORANGES_PARKED);
		ck_assert_uint_eq(calls, times + 1);
		ck_assert_uint_eq(flushes, 0);
		r.hold = false;
	}
	ck_assert_int_eq(err, 0);
	return times;
}

static const struct {
	const char *name;
	enum io_op op;
} ops[] = { { "write zeroes", IO_WRITE_ZEROES }, { "discard", IO_DISCARD } };

START_TEST(range_is_interrupted_between_two_steps)
{
	r.stable = true;
	task = (struct io_task){ .op = ops[_i].op, .range_count = 2 };
	task.range[0] = (struct io_range){ 0, 300 * MIB, false };
	task.range[1] = (struct io_range){ 300 * MIB, 130 * MIB, false };
	ck_assert_uint_eq(run_to_the_end(), 4);
	ck_assert_uint_eq(calls, 5);
	ck_assert_int_eq(next, 430 * MIB);
	ck_assert_uint_eq(flushes, 1);
}
END_TEST

START_TEST(range_is_interrupted_between_two_writes_of_zeros)
{
	image_make(&image, 4 * MIB, false);
	calls = 0;
	next = 512;
	r = (struct ioranges){
		.fd = image.fd, .direct_align = 1, .no_punch = true, .no_zero_range = true
	};
	task = (struct io_task){ .op = IO_WRITE_ZEROES, .range_count = 1 };
	task.range[0] = (struct io_range){ 512, 3 * MIB, false };
	ck_assert_uint_eq(run_to_the_end(), 2);
	ck_assert_int_eq(next, 512 + 3 * MIB);
	image_remove(&image);
}
END_TEST

/* A task that is held can be cancelled. */
START_TEST(held_range_is_cancelled)
{
	r.hold = r.cancel = true;
	task = (struct io_task){ .op = IO_DISCARD, .range_count = 1 };
	task.range[0] = (struct io_range){ 0, 4096, false };
	ck_assert_int_eq(ioranges_run(&r, &task), -ECANCELED);
	ck_assert_uint_eq(calls, 0);
}
END_TEST

/* Without a worker, the dataplane thread executes one step at a time, also of small ranges. */
START_TEST(ranges_are_executed_one_step_at_a_time)
{
	r.stepwise = true;
	task = (struct io_task){ .op = IO_WRITE_ZEROES, .range_count = 3 };
	task.range[0] = (struct io_range){ 0, 300 * MIB, false };
	task.range[1] = (struct io_range){ 300 * MIB, MIB, false };
	task.range[2] = (struct io_range){ 301 * MIB, MIB, false };
	for (unsigned int steps = 1; steps < 5; steps++) {
		ck_assert_int_eq(ioranges_run(&r, &task), IORANGES_PARKED);
		ck_assert_uint_eq(calls, steps);
	}
	ck_assert_int_eq(ioranges_run(&r, &task), 0);
	ck_assert_uint_eq(calls, 5);
	ck_assert_int_eq(next, 302 * MIB);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ioranges_steps");
	TCase *t = tcase_create("ioranges_steps");

	tcase_add_table_test(t, range_is_interrupted_between_two_steps, ops);
	tcase_add_test(t, range_is_interrupted_between_two_writes_of_zeros);
	tcase_add_test(t, held_range_is_cancelled);
	tcase_add_test(t, ranges_are_executed_one_step_at_a_time);
	suite_add_tcase(s, t);
	return s;
}
