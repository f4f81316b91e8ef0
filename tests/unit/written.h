/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of an engine's writes to the host: stable writes and others. Linked with
 * --wrap=io_submit, pwritev2 and evloop_request. A test program includes this file once.
 */
#ifndef TESTS_UNIT_WRITTEN_H
#define TESTS_UNIT_WRITTEN_H

#include <libaio.h>
#include <sys/uio.h>

#include "dataplane/evloop.h"

static unsigned int stable, others; /* atomic */

int __real_io_submit(io_context_t ctx, long nr, struct iocb *cbs[]);
int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *cbs[]);
ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
void __real_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);
void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request);

static void count_write(int flags)
{
	__atomic_fetch_add(flags & RWF_DSYNC ? &stable : &others, 1, __ATOMIC_SEQ_CST);
}

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *cbs[])
{
	for (long i = 0; i < nr; i++)
		if (cbs[i]->aio_lio_opcode == IO_CMD_PWRITEV)
			count_write(cbs[i]->aio_rw_flags);
	return __real_io_submit(ctx, nr, cbs);
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	count_write(flags);
	return __real_pwritev2(fd, iov, count, offset, flags);
}

/* Returns true for a write that is submitted again, because the device cannot be polled for it. It
 * is the same write if it is as stable as before. */
static bool refused(const struct ev_request *request, int flags)
{
	/* There is one write at a time, because the test waits for each. */
	static struct {
		const struct ev_request *request;
		const void *done;
		int flags;
	} last;
	bool same = request == last.request && request->done != last.done && flags == last.flags;

	last.request = request;
	last.done = request->done;
	last.flags = flags;
	return same;
}

void __wrap_evloop_request(struct io_uring_sqe *sqe, struct ev_request *request)
{
	if ((sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_WRITEV) &&
	    !refused(request, (int)sqe->rw_flags))
		count_write((int)sqe->rw_flags);
	__real_evloop_request(sqe, request);
}

#endif
