/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_sync: engine backend on preadv, pwritev2 and fdatasync.
 *
 * Requests are executed one after another, and each blocks the dataplane thread. The backend is the
 * last resort on a host without asynchronous I/O, and the baseline for measuring the asynchronous
 * engines.
 */
#include "dataplane/ioengine.h"

static void sync_prep(struct ioengine *e, struct io_task *task)
{
	io_queue_put(&e->queued, task);
}

static void sync_submit(struct ioengine *e)
{
	struct io_task *task = e->queued.head, *next;

	e->queued = (struct io_queue){ .tail = &e->queued.head };
	/* The loop transfers one segment of each task; an unfinished task is queued again for the
	 * next turn. Calls to the thread and its other clients do not wait for large transfers. */
	for (; task; task = next) {
		next = task->next;
		ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
	}
}

/* The thread must not sleep while segments are left. */
static bool sync_ready(const struct ioengine *e)
{
	return e->queued.head;
}

const struct ioengine_ops ioengine_sync = {
	.name = "sync",
	.prep = sync_prep,
	.submit = sync_submit,
	.ready = sync_ready,
};
