/* SPDX-License-Identifier: BSD-3-Clause */
/* ioengine_segment: splitting of transfers into segments, and their synchronous execution. */
#include <errno.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "dataplane/ioengine.h"

/* Returns the segment of a task that has more bytes left than its limit: as many whole
 * elements of its iov as fit, or a part of the first one. The length in bytes is in seg.iov_len. */
static __attribute__((noinline)) unsigned int ioengine_cut_segment(struct io_task *task,
								   struct iovec **iov)
{
	unsigned int count = 0;
	size_t len = 0;

	while (len + task->iov[count].iov_len <= task->limit)
		len += task->iov[count++].iov_len;
	*iov = len ? task->iov : &task->seg;
	task->seg = (struct iovec){ task->iov->iov_base, len ? len : task->limit };
	return len ? count : 1;
}

unsigned int ioengine_segment(struct io_task *task, struct iovec **iov)
{
	if (!task->bounce && task->len - task->done > task->limit)
		return ioengine_cut_segment(task, iov);
	*iov = task->bounce ? &task->seg : task->iov;
	return task->bounce ? 1 : task->iov_count;
}

static int64_t ioengine_transfer(const struct ioengine *e, struct io_task *task)
{
	off_t offset = (off_t)(task->offset + task->done);
	int fd = ioengine_fd(e, task);
	struct iovec *iov;
	unsigned int count;

	if (task->op == IO_FLUSH)
		return fdatasync(fd);
	count = ioengine_segment(task, &iov);
	if (task->op == IO_READ)
		return preadv(fd, iov, (int)count, offset);
	return pwritev2(fd, iov, (int)count, offset, task->stable ? RWF_DSYNC : 0);
}

int64_t ioengine_segment_blocking(struct ioengine *e, struct io_task *task)
{
	int64_t res;

	do {
		res = ioengine_transfer(e, task);
	} while (res < 0 && errno == EINTR);
	return res < 0 ? -errno : res;
}
