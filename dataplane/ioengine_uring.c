/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_uring: engine backends on the event loop's io_uring.
 *
 * Requests are prepared on the ring of the thread's event loop, and its next turn submits them: one
 * system call submits the requests of all engines of the thread and waits for completions.
 */
#include "dataplane/ioengine.h"

#include <errno.h>

#include "dataplane/base.h"

static int uring_open(struct ioengine *e)
{
	e->sqe_fd = e->config.fd;
	return e->config.loop->kind == e->ops->loop ? 0 : -ENOSYS;
}

static void uring_begin(struct ioengine *e)
{
	int file;

	if (e->sqe_flags)
		return;
	file = evloop_register_file(e->config.loop, e->config.fd);
	if (file >= 0) {
		e->sqe_fd = file;
		e->sqe_flags = IOSQE_FIXED_FILE;
	}
}

static void uring_prep_transfer(const struct ioengine *e, struct io_task *task,
				struct io_uring_sqe *sqe)
{
	uint64_t offset = task->offset + task->done;
	bool write = task->op == IO_WRITE;
	struct iovec *iov;
	unsigned int count = ioengine_segment(task, &iov);

	int fixed = count == 1 ? evloop_fixed(e->config.loop, iov) : -1;

	/* A transfer of a single element does not use readv or writev, which saves the kernel
	 * copying an iovec. */
	if (fixed >= 0 && write)
		io_uring_prep_write_fixed(sqe, e->config.fd, iov->iov_base,
					  (unsigned int)iov->iov_len, offset, fixed);
	else if (fixed >= 0)
		io_uring_prep_read_fixed(sqe, e->config.fd, iov->iov_base,
					 (unsigned int)iov->iov_len, offset, fixed);
	else if (count == 1 && write)
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
	sqe->fd = e->sqe_fd;
	sqe->flags = e->sqe_flags;
	evloop_request(sqe, &task->uring);
}

/* Completion of a polled read or write. If the file does not support polling, the engine switches
 * to ioengine_uring, with one warning per process. */
static void uring_polled_done(struct ev_request *request, int res)
{
	struct io_task *task = container_of(request, struct io_task, uring);
	static bool said; /* atomic */

	if (res && res != -EOPNOTSUPP) {
		uring_done(request, res);
		return;
	}
	/*
	 * A result of 0 does not say that no bytes were moved: Linux discards the count when it
	 * retries the rest of a transfer at once and meets the end of the file. The transfer is
	 * therefore repeated without polling.
	 */
	if (!res) {
		uring_prep(task->engine, task);
		return;
	}
	task->engine->ops = &ioengine_uring;
	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		log_warn("iopoll ignored: a disk's file system or device cannot be polled");
	uring_prep(task->engine, task);
}

static void uring_polled_prep(struct ioengine *e, struct io_task *task)
{
	struct io_uring_sqe *sqe;

	if (task->op == IO_FLUSH) {
		uring_prep(e, task);
		return;
	}
	sqe = evloop_polled_sqe(e->config.loop);
	task->uring.done = uring_polled_done;
	task->engine = e;
	uring_prep_transfer(e, task, sqe);
	sqe->fd = e->sqe_fd;
	sqe->flags = e->sqe_flags;
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
#define URING(name_, loop_, prep_)                                                          \
	{                                                                                   \
		.name = (name_), .loop = (loop_), .open = uring_open, .begin = uring_begin, \
		.prep = (prep_),                                                            \
	}

const struct ioengine_ops ioengine_uring = URING("io_uring", EVLOOP_URING, uring_prep);
const struct ioengine_ops ioengine_iopoll = URING("iopoll", EVLOOP_IOPOLL, uring_polled_prep);
