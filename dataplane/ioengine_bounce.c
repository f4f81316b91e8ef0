/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_bounce: bounce buffers of an I/O engine, for transfers that O_DIRECT or a system call
 * refuses. A task keeps its buffer over all of its segments, unless it is parked or has to wait.
 */
#include <string.h>

#include "dataplane/ioengine.h"

void ioengine_drop_bounce(struct ioengine *e, struct io_task *task)
{
	if (task->bounce) {
		e->bounce_stack[e->bounce_free++] = task->bounce;
		task->bounce = NULL;
	}
}

void ioengine_bounce_copy(struct io_task *task, void *to, size_t len, bool to_buffer)
{
	const struct iovec *iov = task->iov;
	char *buffer = to;

	while (len) {
		size_t n = iov->iov_len < len ? iov->iov_len : len;

		if (to_buffer)
			memcpy(buffer, iov->iov_base, n);
		else
			memcpy(iov->iov_base, buffer, n);
		buffer += n;
		len -= n;
		iov++;
	}
}

bool ioengine_use_bounce(struct ioengine *e, struct io_task *task)
{
	uint32_t most = task->len - task->done;

	if (most > task->limit)
		most = task->limit;
	if (!task->bounce) {
		if (!e->bounce_free) {
			io_queue_put(&e->bounce_waiters, task);
			return false;
		}
		task->bounce = e->bounce_stack[--e->bounce_free];
	}
	task->seg.iov_base = task->bounce;
	task->seg.iov_len = most < IOENGINE_BOUNCE_SIZE ? most : IOENGINE_BOUNCE_SIZE;
	if (task->op == IO_WRITE)
		ioengine_bounce_copy(task, task->bounce, task->seg.iov_len, true);
	return true;
}
