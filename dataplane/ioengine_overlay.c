/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_overlay: reads and writes of an ephemeral disk (overlay.h).
 *
 * Before each segment, ioengine_place looks up the block at which the task has arrived. The segment
 * ends where the next block is in the other file. The first write to whole blocks claims them, and
 * the claim lasts over several segments if one is short. The first write to a part of a block copies
 * the block: it is read into a bounce buffer, changed there, and written as a whole. Tasks wait for
 * claims of other tasks without holding a claim or a bounce buffer, so that no deadlock is
 * possible.
 */
#include <errno.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"

/* A copy of a block, in a bounce buffer: first the block, then this. */
struct block_copy {
	struct io_task task; /* not counted as in flight, unlike task.copied_for */
	struct iovec iov;
};

_Static_assert(OVERLAY_BLOCK + sizeof(struct block_copy) <= IOENGINE_BOUNCE_SIZE, "room");

static uint64_t ioengine_position(const struct io_task *task)
{
	return task->offset + task->done;
}

static void ioengine_claim_limit(struct io_task *task)
{
	uint64_t end = (task->claim + task->claimed) * OVERLAY_BLOCK;

	task->limit = (uint32_t)(end - ioengine_position(task));
}

void ioengine_end_claim(struct ioengine *e, struct io_task *task)
{
	uint64_t end = (task->claim + task->claimed) * OVERLAY_BLOCK;

	if (ioengine_position(task) < end)
		return;
	overlay_end_claim(e->config.overlay, task->claim, task->claimed, true);
	task->claimed = 0;
}

void ioengine_await_claim(struct ioengine *e, struct io_task *task)
{
	bool first = !e->claim_waiters.head;

	ioengine_drop_bounce(e, task);
	io_queue_put(&e->claim_waiters, task);
	/* The wake-up that ended an earlier wait is not forgotten. */
	if (!overlay_wait(e->config.overlay, e->config.waiter, task->awaited) && !first)
		e->claims_ended = true;
}

void ioengine_retry_claims(struct ioengine *e)
{
	struct io_task *task = e->claim_waiters.head, *next;

	if (!e->claims_ended && overlay_waits(e->config.overlay, e->config.waiter))
		return;
	e->claims_ended = false;
	e->claim_waiters = (struct io_queue){ .tail = &e->claim_waiters.head };
	for (; task; task = next) {
		next = task->next;
		if (overlay_lost(e->config.overlay)) {
			e->ranges_in_flight -= task->op > IO_FLUSH;
			ioengine_finish(e, task, -EIO);
		} else if (task->op > IO_FLUSH) {
			io_queue_put(&e->range_tasks, task);
		} else {
			ioengine_next_segment(e, task);
		}
	}
}

void ioengine_give_up(struct ioengine *e)
{
	if (e->config.overlay && e->in_flight && ioengine_lost(e))
		overlay_lose_claims(e->config.overlay);
}

/* Starts the read of the block from the base, or its write. */
static void ioengine_start_copy(struct ioengine *e, struct block_copy *copy, enum io_op op)
{
	struct io_task *write = copy->task.copied_for;

	copy->iov = (struct iovec){ (char *)copy - OVERLAY_BLOCK, OVERLAY_BLOCK };
	copy->task = (struct io_task){
		.op = op,
		.offset = write->claim * OVERLAY_BLOCK,
		.len = OVERLAY_BLOCK,
		.iov = &copy->iov,
		.iov_count = 1,
		.limit = IOENGINE_SEGMENT_MAX,
		.special = IO_COPY,
		.base = op == IO_READ,
		.copied_for = write,
	};
	e->need_submit = true;
	e->ops->prep(e, &copy->task);
}

/* Starts a copy of the block at which the write has arrived. */
static void ioengine_copy_up(struct ioengine *e, struct io_task *task, uint64_t block)
{
	struct block_copy *copy;
	char *buffer;

	ioengine_drop_bounce(e, task);
	if (!e->bounce_free) {
		io_queue_put(&e->bounce_waiters, task);
		return;
	}
	task->awaited = block;
	if (!overlay_claim(e->config.overlay, block, 1)) {
		ioengine_await_claim(e, task);
		return;
	}
	task->claim = block;
	task->claimed = 1;
	buffer = e->bounce_stack[--e->bounce_free];
	copy = (struct block_copy *)(void *)(buffer + OVERLAY_BLOCK);
	copy->task.copied_for = task;
	ioengine_start_copy(e, copy, IO_READ);
}

/* Returns how many bytes of the block at which the write has arrived the write changes. */
static uint32_t ioengine_part_of_block(const struct io_task *task)
{
	uint32_t room = OVERLAY_BLOCK - ioengine_position(task) % OVERLAY_BLOCK;
	uint32_t left = task->len - task->done;

	return left < room ? left : room;
}

/* The block has been read: changes it and writes it. */
static void ioengine_write_copy(struct ioengine *e, struct block_copy *copy)
{
	struct io_task *write = copy->task.copied_for;
	char *buffer = (char *)copy - OVERLAY_BLOCK;

	ioengine_bounce_copy(write, buffer + ioengine_position(write) % OVERLAY_BLOCK,
			     ioengine_part_of_block(write), true);
	ioengine_start_copy(e, copy, IO_WRITE);
}

/* The copy has ended: the write continues behind the block, or fails with the same error. */
static void ioengine_end_copy(struct ioengine *e, struct block_copy *copy, int result)
{
	struct io_task *write = copy->task.copied_for;

	e->bounce_stack[e->bounce_free++] = (char *)copy - OVERLAY_BLOCK;
	overlay_end_claim(e->config.overlay, write->claim, 1, !result);
	write->claimed = 0;
	if (!result)
		ioengine_advance(write, ioengine_part_of_block(write));
	if (result || write->done == write->len)
		ioengine_finish(e, write, result);
	else
		ioengine_next_segment(e, write);
}

bool ioengine_finish_overlay(struct ioengine *e, struct io_task *task, int result)
{
	struct block_copy *copy = container_of(task, struct block_copy, task);

	if (task->special & IO_COPY) {
		if (task->op == IO_READ && !result)
			ioengine_write_copy(e, copy);
		else
			ioengine_end_copy(e, copy, result);
		return true;
	}
	if (task->claimed) {
		overlay_end_claim(e->config.overlay, task->claim, task->claimed, !result);
		task->claimed = 0;
	}
	return false;
}

bool ioengine_place(struct ioengine *e, struct io_task *task)
{
	uint64_t position = ioengine_position(task), block = position / OVERLAY_BLOCK;
	uint32_t before = position % OVERLAY_BLOCK, left = task->len - task->done;
	struct overlay *overlay = e->config.overlay;
	uint32_t most = left < IOENGINE_SEGMENT_MAX ? left : IOENGINE_SEGMENT_MAX;
	unsigned int count;
	bool written;

	if (task->claimed) {
		ioengine_claim_limit(task);
		return true;
	}
	count = overlay_run(overlay, block, (before + most + OVERLAY_BLOCK - 1) / OVERLAY_BLOCK,
			    &written);
	task->base = !written;
	task->limit = count * OVERLAY_BLOCK - before;
	if (task->limit > most)
		task->limit = most;
	if (written || task->op == IO_READ)
		return true;

	task->base = false;
	if (before || left < OVERLAY_BLOCK) {
		ioengine_copy_up(e, task, block);
		return false;
	}
	task->claim = task->awaited = block;
	task->claimed = overlay_claim(overlay, block, task->limit / OVERLAY_BLOCK);
	if (task->claimed)
		ioengine_claim_limit(task);
	else
		ioengine_await_claim(e, task);
	return task->claimed;
}
