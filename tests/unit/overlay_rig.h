/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * overlay_rig: two scripted engines that share the map of one ephemeral disk, like two of its queues.
 *
 * For the test files that include it; all functions are for the test thread. A failure fails the
 * test.
 */
#ifndef TESTS_UNIT_OVERLAY_RIG_H
#define TESTS_UNIT_OVERLAY_RIG_H

#include <string.h>

#include "dataplane/base.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/scripted.h"

#define BLOCK  OVERLAY_BLOCK
#define BLOCKS 4096u
#define TASKS  12u
#define MIB    (1u << 20)

static int file = -1, base_file = -1; /* for discards and write-zeroes */
static struct overlay *o;
static struct evloop loop[2];
static struct ioengine *e[2];
static struct io_task task[TASKS];
static struct iovec iov[TASKS][2];
static uint8_t memory[TASKS * BLOCK + 9 * MIB] __attribute__((aligned(4096)));

static void begin(uint32_t align)
{
	ck_assert_int_eq(overlay_create(&o, BLOCKS * BLOCK), 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct ioengine_config config = {
			.loop = &loop[i],
			.fd = file,
			.base_fd = base_file,
			.depth = TASKS,
			.direct_align = align,
			.ephemeral = true,
			.overlay = o,
			.waiter = i,
		};

		ck_assert_int_eq(evloop_init(&loop[i], EVLOOP_EPOLL), 0);
		ck_assert_int_eq(ioengine_create(&e[i], &ioengine_scripted, &config), 0);
	}
}

static void end(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(e[i]->in_flight, 0);
		ck_assert_uint_eq(e[i]->bounce_free, 8);
		ioengine_destroy(e[i]);
		evloop_destroy(&loop[i]);
	}
	overlay_destroy(o);
}

/* A transfer in up to two pieces, at memory + odd. */
static void make(unsigned int i, enum io_op op, uint64_t offset, uint32_t first, uint32_t second,
		 uint32_t odd)
{
	uint8_t *at = memory + i * BLOCK + odd;

	memset(&task[i], 0xa5, sizeof(task[i]));
	task[i].op = op;
	task[i].stable = false;
	task[i].offset = offset;
	task[i].len = first + second;
	task[i].iov = iov[i];
	task[i].iov_count = second ? 2 : 1;
	iov[i][0] = (struct iovec){ at, first };
	iov[i][1] = (struct iovec){ at + first, second };
}

static void start(unsigned int queue, unsigned int i, enum io_op op, uint64_t offset, uint32_t len)
{
	make(i, op, offset, len, 0, 0);
	ioengine_prep(e[queue], &task[i]);
	ioengine_submit(e[queue]);
}

/* Does what a turn of the plane does. */
static void turn(unsigned int queue)
{
	ioengine_reap(e[queue]);
	ioengine_submit(e[queue]);
}

/* Checks the oldest segment of a queue, and completes it. */
static void complete(unsigned int queue, enum io_op op, bool base, uint64_t offset, uint64_t len,
		     int64_t res)
{
	struct scripted_seg seg = scripted_seg(e[queue], 0);

	ck_assert_int_eq(seg.op, op);
	ck_assert_int_eq(seg.base, base);
	ck_assert_uint_eq(seg.offset, offset);
	ck_assert_uint_eq(seg.len, len);
	if (op == IO_READ && base && len == BLOCK && res == SCRIPTED_ALL) {
		struct iovec *part;

		ioengine_segment(seg.task, &part);
		memset(part->iov_base, 0xba, BLOCK);
	}
	scripted_complete(e[queue], 0, res);
	turn(queue);
}

static void expect_finished(unsigned int queue, unsigned int i, int result)
{
	ck_assert_ptr_eq(ioengine_finished(e[queue]), &task[i]);
	ck_assert_int_eq(task[i].result, result);
}

static void expect_busy(unsigned int queue, unsigned int segments)
{
	turn(queue);
	ck_assert_uint_eq(scripted_held(e[queue]), segments);
	ck_assert_ptr_null(ioengine_finished(e[queue]));
	ck_assert(ioengine_working(e[queue]));
}

static bool is_written(uint64_t block)
{
	bool written;

	overlay_run(o, block, 1, &written);
	return written;
}

#endif
