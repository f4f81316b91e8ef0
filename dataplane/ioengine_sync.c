/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same requests done one by one, each blocking the dataplane thread: the measure of what an
 * asynchronous engine is worth, and the last resort where the host has none.
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
	struct io_task *task;

	/* A short transfer queues its task again, behind the others. */
	while ((task = io_queue_take(&e->queued)))
		ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
}

static void sync_reap(struct ioengine *e)
{
	(void)e; /* submit left nothing behind */
}

const struct ioengine_ops ioengine_sync = {
	.name = "sync",
	.open = sync_open,
	.close = sync_close,
	.prep = sync_prep,
	.submit = sync_submit,
	.reap = sync_reap,
};
