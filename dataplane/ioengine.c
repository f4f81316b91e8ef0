/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/ioengine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/base.h"

/* Bounce buffers are rare, and each page of them counts as the VMM's memory once it was used. */
#define BOUNCE_SIZE    (64u << 10)
#define BOUNCE_BUFFERS 8

_Static_assert(BOUNCE_BUFFERS <= ARRAY_SIZE(((struct ioengine *)0)->bounce_stack), "stack");

void io_queue_put(struct io_queue *q, struct io_task *task)
{
	task->next = NULL;
	*q->tail = task;
	q->tail = &task->next;
}

struct io_task *io_queue_take(struct io_queue *q)
{
	struct io_task *task = q->head;

	if (task) {
		q->head = task->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return task;
}

int ioengine_create(struct ioengine **engine, const struct ioengine_ops *ops,
		    const struct ioengine_config *config)
{
	struct ioengine *e = lines_alloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->ops = ops;
	e->config = *config;
	e->event_fd = -1;
	e->finished.tail = &e->finished.head;
	e->starved.tail = &e->starved.head;
	e->queued.tail = &e->queued.head;
	e->ranged.tail = &e->ranged.head;
	e->ranges = (struct ioranges){
		.fd = config->fd,
		.device_block = config->device_block,
		.direct_align = config->direct_align,
	};

	e->bounce_pool = mmap(NULL, (size_t)BOUNCE_SIZE * BOUNCE_BUFFERS, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e->bounce_pool == MAP_FAILED) {
		lines_free(e);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < BOUNCE_BUFFERS; i++)
		e->bounce_stack[e->bounce_free++] = e->bounce_pool + (size_t)i * BOUNCE_SIZE;

	int err = ops->open(e);
	if (err) {
		munmap(e->bounce_pool, (size_t)BOUNCE_SIZE * BOUNCE_BUFFERS);
		lines_free(e);
		return err;
	}
	*engine = e;
	return 0;
}

void ioengine_destroy(struct ioengine *e)
{
	if (!e)
		return;
	ioworker_destroy(e->worker);
	e->ops->close(e);
	/* The kernel may still write to the buffers of requests that are lost. */
	if (!e->in_flight)
		munmap(e->bounce_pool, (size_t)BOUNCE_SIZE * BOUNCE_BUFFERS);
	lines_free(e);
}

void ioengine_begin(struct ioengine *e)
{
	if (e->ops->begin)
		e->ops->begin(e);
}

unsigned int ioengine_room(const struct ioengine *e)
{
	return e->config.depth - e->in_flight;
}

static void finish(struct ioengine *e, struct io_task *task, int result)
{
	if (task->bounce) {
		e->bounce_stack[e->bounce_free++] = task->bounce;
		task->bounce = NULL;
	}
	task->result = result;
	io_queue_put(&e->finished, task);
}

/* Copy between the bounce buffer and the front of the task's memory. */
static void bounce_copy(struct io_task *task, size_t len, bool to_bounce)
{
	char *buffer = task->bounce;
	const struct iovec *iov = task->iov;

	while (len) {
		size_t n = iov->iov_len < len ? iov->iov_len : len;

		if (to_bounce)
			memcpy(buffer, iov->iov_base, n);
		else
			memcpy(iov->iov_base, buffer, n);
		buffer += n;
		len -= n;
		iov++;
	}
}

static void zero_rest(struct io_task *task)
{
	for (unsigned int i = 0; i < task->iov_count; i++)
		memset(task->iov[i].iov_base, 0, task->iov[i].iov_len);
}

/* Give the first piece back what was cut off. */
static void uncut(struct io_task *task)
{
	task->iov->iov_base = (char *)task->iov->iov_base - task->cut;
	task->iov->iov_len += task->cut;
	task->cut = 0;
}

/* Move the front of the task's memory past `bytes` finished ones. Pieces behind it are whole, so that
 * there is a way back. */
static void advance(struct io_task *task, size_t bytes)
{
	task->done += (uint32_t)bytes;
	if (task->cut) {
		bytes += task->cut;
		uncut(task);
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

void ioengine_rewind(struct io_task *task)
{
	uint32_t left = task->done - task->cut;

	if (task->op >= IO_FLUSH)
		return;
	if (task->cut)
		uncut(task);
	while (left) {
		task->iov--;
		task->iov_count++;
		left -= (uint32_t)task->iov->iov_len;
	}
}

/* Start the next segment of a task: straight from its memory, or through a bounce buffer. */
static void start_segment(struct ioengine *e, struct io_task *task)
{
	if (task->needs_bounce) {
		uint32_t left = task->len - task->done;

		if (!task->bounce) {
			if (!e->bounce_free) {
				io_queue_put(&e->starved, task);
				return;
			}
			task->bounce = e->bounce_stack[--e->bounce_free];
		}
		task->seg.iov_base = task->bounce;
		task->seg.iov_len = left < BOUNCE_SIZE ? left : BOUNCE_SIZE;
		if (task->op == IO_WRITE)
			bounce_copy(task, task->seg.iov_len, true);
	}
	e->stirred = true;
	e->ops->prep(e, task);
}

/* O_DIRECT refuses misaligned pieces, and every system call more than IOV_MAX of them. */
static bool needs_bounce(const struct ioengine *e, const struct io_task *task)
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

static void take_over(struct ioengine *e, struct io_task *task)
{
	e->in_flight++;
	task->done = 0;
	task->cut = 0;
	task->bounce = NULL;
	task->needs_bounce = task->op < IO_FLUSH && needs_bounce(e, task);
}

static void start_task(struct ioengine *e, struct io_task *task)
{
	if (task->op <= IO_FLUSH) {
		start_segment(e, task);
		return;
	}
	e->with_ranges++;
	e->stirred = true;
	io_queue_put(&e->ranged, task);
}

void ioengine_prep(struct ioengine *e, struct io_task *task)
{
	take_over(e, task);
	start_task(e, task);
}

void ioengine_run(struct ioengine *e, struct io_task *task)
{
	take_over(e, task);
	if (task->needs_bounce || task->op >= IO_FLUSH)
		start_task(e, task);
	else
		ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
}

unsigned int ioengine_segment(struct io_task *task, struct iovec **iov)
{
	*iov = task->bounce ? &task->seg : task->iov;
	return task->bounce ? 1 : task->iov_count;
}

/*
 * A segment moved `bytes` > 0, fewer than asked for. O_DIRECT can only go on at an aligned place;
 * what is behind the last one is moved again. A read that did not even get that far met the end of
 * the image. Returns the bytes that count as done, or -errno, and *end at the end of the image.
 */
static int64_t settle_short(const struct ioengine *e, const struct io_task *task, int64_t bytes,
			    bool *end)
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
	int64_t asked = task->bounce ? (int64_t)task->seg.iov_len : task->len - task->done;
	bool end = false;

	e->stirred = true;
	if (res < 0 || task->op == IO_FLUSH) {
		finish(e, task, res < 0 ? (int)res : 0);
		return;
	}
	if (res == 0 && task->op == IO_READ)
		end = true;
	else if (res == 0 || res > asked)
		res = -EIO; /* a write without progress; an answer that cannot be */
	else if (res < asked)
		res = settle_short(e, task, res, &end);
	if (res < 0) {
		finish(e, task, (int)res);
		return;
	}

	if (task->bounce && task->op == IO_READ)
		bounce_copy(task, (size_t)res, false);
	advance(task, (size_t)res);
	if (end)
		zero_rest(task);
	if (end || task->done == task->len)
		finish(e, task, 0);
	else
		start_segment(e, task);
}

static void finish_ranges(struct ioengine *e, struct io_task *task, int result)
{
	/* What is wanted of the next ones is said anew. */
	if (!--e->with_ranges)
		WRITE_ONCE(e->ranges.hurry, false);
	finish(e, task, result);
}

/* Where the host has no thread to give, late is better than never: done here and now. */
static void submit_ranges(struct ioengine *e)
{
	struct io_task *task;

	if (!e->worker)
		ioworker_create(&e->worker, &e->ranges, e->config.loop, e->config.worker_begin);
	while ((task = io_queue_take(&e->ranged))) {
		if (e->worker)
			ioworker_give(e->worker, task);
		else
			finish_ranges(e, task, ioranges_run(&e->ranges, task));
	}
}

static void collect_ranges(struct ioengine *e)
{
	struct io_task *task, *next;

	for (task = ioworker_collect(e->worker); task; task = next) {
		next = task->next;
		finish_ranges(e, task, task->result);
	}
}

void ioengine_set_stable(struct ioengine *e, bool stable)
{
	WRITE_ONCE(e->ranges.stable, stable);
	/* Pairs with ioranges_run's. */
	full_barrier();
}

void ioengine_hurry(struct ioengine *e)
{
	if (e->with_ranges)
		WRITE_ONCE(e->ranges.hurry, true);
}

void ioengine_submit(struct ioengine *e)
{
	if (!e->stirred)
		return;
	e->stirred = false;
	e->ops->submit(e);
	while (e->starved.head && e->bounce_free) {
		while (e->starved.head && e->bounce_free)
			start_segment(e, io_queue_take(&e->starved));
		e->ops->submit(e);
	}
	if (e->ranged.head)
		submit_ranges(e);
}

void ioengine_reap(struct ioengine *e)
{
	e->ops->reap(e);
	if (e->worker)
		collect_ranges(e);
}

bool ioengine_ready(const struct ioengine *e)
{
	if (e->worker && ioworker_ready(e->worker))
		return true;
	return e->finished.head || (e->in_flight && e->ops->ready && e->ops->ready(e));
}

struct io_task *ioengine_finished(struct ioengine *e)
{
	struct io_task *task = io_queue_take(&e->finished);

	if (task)
		e->in_flight--;
	return task;
}

static int64_t transfer(const struct ioengine *e, struct io_task *task)
{
	off_t offset = (off_t)(task->offset + task->done);
	struct iovec *iov;
	unsigned int count;

	if (task->op == IO_FLUSH)
		return fdatasync(e->config.fd);
	count = ioengine_segment(task, &iov);
	if (task->op == IO_READ)
		return preadv(e->config.fd, iov, (int)count, offset);
	return pwritev2(e->config.fd, iov, (int)count, offset, task->stable ? RWF_DSYNC : 0);
}

int64_t ioengine_segment_blocking(struct ioengine *e, struct io_task *task)
{
	int64_t res;

	do {
		res = transfer(e, task);
	} while (res < 0 && errno == EINTR);
	return res < 0 ? -errno : res;
}
