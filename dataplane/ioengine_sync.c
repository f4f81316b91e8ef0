/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_sync: engine backend on preadv, pwritev2 and fdatasync.
 *
 * Requests are executed one after another, and each blocks the dataplane thread. The backend is the
 * last resort on a host without asynchronous I/O, and the baseline for measuring the asynchronous
 * engines.
 */
#include "dataplane/ioengine.h"

static int sync_open(struct ioengine *e)
{
	(void)e;
	return 0;
}

static void sync_close(struct ioengine *e)
{
	(void)e;
}

static void sync_prep(struct ioengine *e, struct io_task *task)
{
	io_queue_put(&e->queued, task);
}

static void sync_submit(struct ioengine *e)
{
	struct io_task *task = e->queued.head, *next;

	e->queued = (struct io_queue){ .tail = &e->queued.head };
	/* One segment of each task: a task that is not finished is queued again, for the next turn.
	 * Calls to the thread and its other clients do not wait for large transfers. */
	for (; task; task = next) {
		next = task->next;
		ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
	}
}

static void sync_reap(struct ioengine *e)
{
	(void)e; /* sync_submit has executed the segments */
}

/* The thread must not sleep while segments are left. */
static bool sync_ready(const struct ioengine *e)
{
	return e->queued.head;
}

const struct ioengine_ops ioengine_sync = {
	.name = "sync",
	.open = sync_open,
	.close = sync_close,
	.prep = sync_prep,
	.submit = sync_submit,
	.reap = sync_reap,
	.ready = sync_ready,
};
