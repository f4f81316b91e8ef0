/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/ioengine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/base.h"

/* Bounce buffers are needed rarely, and each page of one that was used counts as memory of the VMM,
 * so an engine has only a few. */
#define BOUNCE_SIZE    IOENGINE_BOUNCE_SIZE
#define BOUNCE_BUFFERS 8

_Static_assert(BOUNCE_BUFFERS <= ARRAY_SIZE(((struct ioengine *)0)->bounce_stack), "stack");

COLD int ioengine_create(struct ioengine **engine, const struct ioengine_ops *ops,
			 const struct ioengine_config *config)
{
	struct ioengine *e = cacheline_alloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->ops = ops;
	e->config = *config;
	e->event_fd = -1;
	e->finished.tail = &e->finished.head;
	e->bounce_waiters.tail = &e->bounce_waiters.head;
	e->queued.tail = &e->queued.head;
	e->range_tasks.tail = &e->range_tasks.head;
	e->parked.tail = &e->parked.head;
	e->claim_waiters.tail = &e->claim_waiters.head;
	e->ranges = (struct ioranges){
		.fd = config->fd,
		.overlay = config->overlay,
		.base_fd = config->base_fd,
		.device_block = config->device_block,
		.direct_align = config->direct_align,
	};

	e->bounce_pool = mmap(NULL, (size_t)BOUNCE_SIZE * BOUNCE_BUFFERS, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e->bounce_pool == MAP_FAILED) {
		cacheline_free(e);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < BOUNCE_BUFFERS; i++)
		e->bounce_stack[e->bounce_free++] = e->bounce_pool + (size_t)i * BOUNCE_SIZE;

	int err = ops->open ? ops->open(e) : 0;
	if (err) {
		munmap(e->bounce_pool, (size_t)BOUNCE_SIZE * BOUNCE_BUFFERS);
		cacheline_free(e);
		return err;
	}
	if (config->overlay) {
		e->special = IO_OVERLAY;
		overlay_attach(config->overlay, config->waiter, config->loop);
	}
	*engine = e;
	return 0;
}

COLD void ioengine_destroy(struct ioengine *e)
{
	if (!e)
		return;
	ioworker_destroy(e->worker);
	if (e->ops->close)
		e->ops->close(e);
	/* The kernel may still write to the bounce buffers of lost requests, so these
	 * stay mapped. */
	if (!e->in_flight)
		munmap(e->bounce_pool, (size_t)BOUNCE_SIZE * BOUNCE_BUFFERS);
	cacheline_free(e);
}

void ioengine_begin(struct ioengine *e)
{
	/* A pause may have set a hold while a stop was already in progress. */
	WRITE_ONCE(e->ranges.cancel, false);
	WRITE_ONCE(e->ranges.hold, false);
	if (e->ops->begin)
		e->ops->begin(e);
}

unsigned int ioengine_room(const struct ioengine *e)
{
	return e->config.depth - e->in_flight;
}

/* Ends the claim of a finished task and gives its bounce buffer back. Returns true if the task was
 * the copy of a block, and not a task of the engine's user. */
static __attribute__((noinline)) bool ioengine_finish_special(struct ioengine *e,
							      struct io_task *task, int result)
{
	if (task->special & (IO_OVERLAY | IO_COPY) && ioengine_finish_overlay(e, task, result))
		return true;
	ioengine_drop_bounce(e, task);
	return false;
}

void ioengine_finish(struct ioengine *e, struct io_task *task, int result)
{
	if (__builtin_expect(task->special, 0) && ioengine_finish_special(e, task, result))
		return;
	task->result = result;
	io_queue_put(&e->finished, task);
}

/* Restores the first element of iov to its full length. */
static void ioengine_uncut(struct io_task *task)
{
	task->iov->iov_base = (char *)task->iov->iov_base - task->cut;
	task->iov->iov_len += task->cut;
	task->cut = 0;
}

/* Elements that are completely finished keep their full length, so that ioengine_rewind can restore
 * iov. */
void ioengine_advance(struct io_task *task, size_t bytes)
{
	task->done += (uint32_t)bytes;
	if (task->cut) {
		bytes += task->cut;
		ioengine_uncut(task);
	}
	while (bytes && bytes >= task->iov->iov_len) {
		bytes -= task->iov->iov_len;
		task->iov++;
		task->iov_count--;
	}
	if (bytes) {
		task->iov->iov_base = (char *)task->iov->iov_base + bytes;
		task->iov->iov_len -= bytes;
		task->cut = (uint32_t)bytes;
	}
}

/* Zeroes the front of the read's memory, because the image ends before its next byte. At most
 * `most` bytes, the rest of a segment, are zeroed, so that a huge read does not block the thread. */
static void ioengine_zero_front(struct io_task *task, uint32_t most)
{
	uint32_t left = task->len - task->done;
	size_t len = left < most ? left : most;
	size_t rest = len;

	for (const struct iovec *iov = task->iov; rest; iov++) {
		size_t n = iov->iov_len < rest ? iov->iov_len : rest;

		memset(iov->iov_base, 0, n);
		rest -= n;
	}
	ioengine_advance(task, len);
}

void ioengine_rewind(struct io_task *task)
{
	uint32_t left = task->done - task->cut;

	if (task->op >= IO_FLUSH)
		return;
	if (task->cut)
		ioengine_uncut(task);
	while (left) {
		task->iov--;
		task->iov_count++;
		left -= (uint32_t)task->iov->iov_len;
	}
	task->done = 0;
}

/* Prepares the task's next segment for the backend, where that takes more than its memory. Returns
 * false if the segment is not to be started now. */
static __attribute__((noinline)) bool ioengine_start_special(struct ioengine *e,
							     struct io_task *task)
{
	if (task->special & IO_OVERLAY && !ioengine_place(e, task))
		return false;
	return !(task->special & IO_BOUNCE) || ioengine_use_bounce(e, task);
}

/* Starts the task's next segment, or lets the task wait until it can be started. */
static void ioengine_start_segment(struct ioengine *e, struct io_task *task)
{
	if (__builtin_expect(task->special, 0) && !ioengine_start_special(e, task))
		return;
	e->need_submit = true;
	e->ops->prep(e, task);
}

void ioengine_next_segment(struct ioengine *e, struct io_task *task)
{
	bool can_wait = task->len > IOENGINE_SEGMENT_MAX;

	/* A task that is parked must not hold a claim. */
	if (task->claimed) {
		ioengine_end_claim(e, task);
		can_wait &= !task->claimed;
	}
	if (can_wait && READ_ONCE(e->ranges.cancel)) {
		ioengine_finish(e, task, -ECANCELED);
	} else if (can_wait && READ_ONCE(e->ranges.hold)) {
		ioengine_drop_bounce(e, task);
		e->parked_transfers++;
		ioengine_park(e, task);
	} else {
		ioengine_start_segment(e, task);
	}
}

/* Returns whether the task needs bounce buffers: O_DIRECT refuses misaligned elements, and every
 * system call refuses more than IOV_MAX elements. */
static bool ioengine_needs_bounce(const struct ioengine *e, const struct io_task *task)
{
	uintptr_t mask = e->config.direct_align - 1;
	uintptr_t bits = 0;

	if (task->iov_count > IOV_MAX)
		return true;
	if (!mask)
		return false;
	for (unsigned int i = 0; i < task->iov_count; i++)
		bits |= (uintptr_t)task->iov[i].iov_base | task->iov[i].iov_len;
	return bits & mask;
}

static void ioengine_take_over(struct ioengine *e, struct io_task *task)
{
	e->in_flight++;
	task->done = task->cut = 0;
	task->limit = IOENGINE_SEGMENT_MAX;
	task->claimed = 0;
	task->bounce = NULL;
	task->base = false;
	task->special = 0;
	if (task->op < IO_FLUSH)
		task->special = e->special | (ioengine_needs_bounce(e, task) ? IO_BOUNCE : 0);
}

static void ioengine_start_task(struct ioengine *e, struct io_task *task)
{
	if (task->op < IO_FLUSH)
		ioengine_start_segment(e, task);
	else if (task->op > IO_FLUSH)
		ioengine_ranges_prep(e, task);
	else if (e->config.ephemeral)
		ioengine_finish(e, task, 0);
	else
		ioengine_start_segment(e, task);
}

void ioengine_prep(struct ioengine *e, struct io_task *task)
{
	ioengine_take_over(e, task);
	ioengine_start_task(e, task);
}

void ioengine_run(struct ioengine *e, struct io_task *task)
{
	ioengine_take_over(e, task);
	if (task->special & IO_BOUNCE || task->op >= IO_FLUSH)
		ioengine_start_task(e, task);
	else if (!task->special || ioengine_place(e, task))
		ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
}

/*
 * Handles a segment that moved fewer bytes than asked for (`bytes` > 0). O_DIRECT can continue only
 * at an aligned position; bytes beyond the last one are transferred again. A read that did not
 * reach an aligned position has met the end of the image. Returns the number of bytes that count as
 * done, or -errno; sets *end at the end of the image.
 */
static int64_t ioengine_settle_short(const struct ioengine *e, const struct io_task *task,
				     int64_t bytes, bool *end)
{
	int64_t aligned = bytes - bytes % e->config.direct_align;

	if (aligned)
		return aligned;
	if (task->op == IO_WRITE)
		return -EIO;
	*end = true;
	return bytes;
}

void ioengine_segment_done(struct ioengine *e, struct io_task *task, int64_t res)
{
	int64_t asked = ioengine_segment_len(task);
	bool end = false;

	e->need_submit = true;
	if (res < 0 || task->op == IO_FLUSH) {
		ioengine_finish(e, task, res < 0 ? (int)res : 0);
		return;
	}
	if (res == 0 && task->op == IO_READ)
		end = true;
	else if (res == 0 || res > asked)
		res = -EIO; /* a write without progress, or more bytes than asked for */
	else if (res < asked)
		res = ioengine_settle_short(e, task, res, &end);
	if (res < 0) {
		ioengine_finish(e, task, (int)res);
		return;
	}

	if (task->bounce && task->op == IO_READ)
		ioengine_bounce_copy(task, task->bounce, (size_t)res, false);
	ioengine_advance(task, (size_t)res);
	if (end)
		ioengine_zero_front(task, task->limit - (uint32_t)res);
	if (task->done == task->len)
		ioengine_finish(e, task, 0);
	else
		ioengine_next_segment(e, task);
}

static void ioengine_submit_segments(struct ioengine *e)
{
	if (e->ops->submit)
		e->ops->submit(e);
}

void ioengine_submit(struct ioengine *e)
{
	if (!e->need_submit)
		return;
	e->need_submit = false;
	if (e->claim_waiters.head)
		ioengine_retry_claims(e);
	ioengine_submit_segments(e);
	while (e->bounce_waiters.head && e->bounce_free) {
		while (e->bounce_waiters.head && e->bounce_free)
			ioengine_next_segment(e, io_queue_take(&e->bounce_waiters));
		ioengine_submit_segments(e);
	}
	if (e->range_tasks.head)
		ioengine_ranges_submit(e);
}

void ioengine_reap(struct ioengine *e)
{
	if (e->ops->reap)
		e->ops->reap(e);
	if (e->worker)
		ioengine_ranges_reap(e);
	/* The end of a claim on another thread only wakes this one: ioengine_submit retries. */
	if (e->claim_waiters.head)
		e->need_submit = true;
}

bool ioengine_ready(const struct ioengine *e)
{
	if (e->worker && ioworker_ready(e->worker))
		return true;
	return e->finished.head || e->range_tasks.head ||
	       (e->in_flight && e->ops->ready && e->ops->ready(e));
}

struct io_task *ioengine_finished(struct ioengine *e)
{
	struct io_task *task = io_queue_take(&e->finished);

	if (task)
		e->in_flight--;
	return task;
}
