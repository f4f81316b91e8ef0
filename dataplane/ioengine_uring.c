/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_uring: engine backend on the event loop's io_uring.
 *
 * Requests are prepared on the ring of the thread's event loop, and its next turn submits them: one
 * system call submits the requests of all engines of the thread and waits for completions.
 */
#include "dataplane/ioengine.h"

#include <errno.h>

#include "dataplane/base.h"

static int uring_open(struct ioengine *e)
{
	e->sqe_fd[0] = e->config.fd;
	e->sqe_fd[1] = e->config.base_fd;
	return e->config.loop->kind == e->ops->loop ? 0 : -ENOSYS;
}

static void uring_register(struct ioengine *e, unsigned int which, int fd)
{
	int file;

	if (e->sqe_flags[which])
		return;
	file = evloop_register_file(e->config.loop, fd);
	if (file >= 0) {
		e->sqe_fd[which] = file;
		e->sqe_flags[which] = IOSQE_FIXED_FILE;
	}
}

static void uring_begin(struct ioengine *e)
{
	uring_register(e, 0, e->config.fd);
	if (e->config.overlay)
		uring_register(e, 1, e->config.base_fd);
}

static void uring_prep_transfer(const struct ioengine *e, struct io_task *task,
				struct io_uring_sqe *sqe)
{
	uint64_t offset = task->offset + task->done;
	bool write = task->op == IO_WRITE;
	struct iovec *iov;
	unsigned int count = ioengine_segment(task, &iov);

	/* A transfer of a single element does not use readv or writev, which saves the kernel
	 * copying an iovec. */
	if (count == 1 && write)
		io_uring_prep_write(sqe, e->config.fd, iov->iov_base, (unsigned int)iov->iov_len,
				    offset);
	else if (count == 1)
		io_uring_prep_read(sqe, e->config.fd, iov->iov_base, (unsigned int)iov->iov_len,
				   offset);
	else if (write)
		io_uring_prep_writev(sqe, e->config.fd, iov, count, offset);
	else
		io_uring_prep_readv(sqe, e->config.fd, iov, count, offset);
	if (task->stable)
		sqe->rw_flags = RWF_DSYNC;
}

static void uring_done(struct ev_request *request, int res);

static void uring_prep(struct ioengine *e, struct io_task *task)
{
	struct io_uring_sqe *sqe = evloop_sqe(e->config.loop);

	task->uring.done = uring_done;
	task->engine = e;
	if (task->op == IO_FLUSH)
		io_uring_prep_fsync(sqe, e->config.fd, IORING_FSYNC_DATASYNC);
	else
		uring_prep_transfer(e, task, sqe);
	sqe->fd = e->sqe_fd[task->base];
	sqe->flags = e->sqe_flags[task->base];
	evloop_request(sqe, &task->uring);
}

static void uring_done(struct ev_request *request, int res)
{
	struct io_task *task = container_of(request, struct io_task, uring);

	if (res == -EINTR) {
		/* A signal interrupted the request before any byte was moved. */
		task->engine->ops->prep(task->engine, task);
		return;
	}
	/*
	 * The engine never cancels a request. The kernel completes one with -ECANCELED when it
	 * cannot create an io-wq worker for a request that would block, because of a signal or for
	 * lack of resources.
	 */
	ioengine_segment_done(task->engine, task,
			      res == -ECANCELED ? ioengine_segment_blocking(task->engine, task)
						: res);
}

/* There is no submit, reap and close: the ring belongs to the event loop, whose turns submit
 * requests and collect completions. */
const struct ioengine_ops ioengine_uring = {
	.name = "io_uring",
	.loop = EVLOOP_URING,
	.open = uring_open,
	.begin = uring_begin,
	.prep = uring_prep,
};
