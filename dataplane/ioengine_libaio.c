/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine_libaio: engine backend on Linux AIO.
 *
 * One io_submit submits a batch, and an eventfd reports completions. A flush is an asynchronous
 * fdatasync. With O_DIRECT io_submit does not block; through the page cache it may.
 *
 * The functions of libaio return -errno and do not set errno.
 */
#include "dataplane/ioengine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/base.h"

struct aio_backend {
	io_context_t ctx;
	unsigned int in_kernel;	 /* accepted by io_submit, not yet seen by io_getevents */
	unsigned int batched;	 /* waiting in batch[] for io_submit */
	struct io_event *events; /* room for `depth` */
	struct iocb *batch[];	 /* room for `depth` */
};

/*
 * Returns -errno if the host refuses io_submit or io_getevents, as a seccomp policy may, else 0.
 * The function issues both calls for zero requests, which has no effect. It bypasses libaio, whose
 * io_getevents enters the kernel only when there are completions.
 */
static int aio_refused(const struct aio_backend *b)
{
	struct timespec now = { 0 };

	if ((!syscall(SYS_io_submit, b->ctx, 0, NULL) &&
	     !syscall(SYS_io_getevents, b->ctx, 0, 0, b->events, &now)) ||
	    errno == EINTR)
		return 0;
	return -errno;
}

static COLD int aio_open(struct ioengine *e)
{
	unsigned int depth = e->config.depth;
	struct aio_backend *b = cacheline_alloc(sizeof(*b) + depth * sizeof(b->batch[0]));
	int err = -ENOMEM;

	if (!b)
		return err;
	b->events = cacheline_alloc(depth * sizeof(*b->events));
	if (!b->events)
		goto free_backend;
	e->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->event_fd < 0) {
		err = -errno;
		goto free_events;
	}
	err = io_setup((int)depth, &b->ctx);
	if (err)
		goto close_event;
	err = aio_refused(b);
	if (err)
		goto destroy_context;
	e->backend = b;
	return 0;

destroy_context:
	io_destroy(b->ctx);
close_event:
	close(e->event_fd);
free_events:
	cacheline_free(b->events);
free_backend:
	cacheline_free(b);
	return err;
}

static COLD void aio_close(struct ioengine *e)
{
	struct aio_backend *b = e->backend;

	io_destroy(b->ctx);
	close(e->event_fd);
	cacheline_free(b->events);
	cacheline_free(b);
}

static void aio_prep(struct ioengine *e, struct io_task *task)
{
	struct aio_backend *b = e->backend;
	long long offset = (long long)(task->offset + task->done);
	struct iocb *cb = &task->iocb;
	struct iovec *iov;
	unsigned int count;

	if (task->op == IO_FLUSH) {
		io_prep_fdsync(cb, e->config.fd);
	} else if (task->op == IO_READ) {
		count = ioengine_segment(task, &iov);
		io_prep_preadv(cb, ioengine_fd(e, task), iov, (int)count, offset);
	} else {
		count = ioengine_segment(task, &iov);
		io_prep_pwritev(cb, e->config.fd, iov, (int)count, offset);
		cb->aio_rw_flags = task->stable ? RWF_DSYNC : 0;
	}
	io_set_eventfd(cb, e->event_fd);
	b->batch[b->batched++] = cb;
}

static struct io_task *aio_take_head(struct aio_backend *b)
{
	struct io_task *task = container_of(b->batch[0], struct io_task, iocb);

	b->batched--;
	memmove(b->batch, b->batch + 1, b->batched * sizeof(b->batch[0]));
	return task;
}

/* Submits the batch. io_submit accepts a part of a batch, from its head, or refuses the head and
 * accepts nothing. Every iteration hands tasks to the kernel, finishes one, or ends the loop. */
static void aio_submit(struct ioengine *e)
{
	struct aio_backend *b = e->backend;

	while (b->batched) {
		int n = io_submit(b->ctx, b->batched, b->batch);

		if (n > 0) {
			b->in_kernel += (unsigned int)n;
			b->batched -= (unsigned int)n;
			memmove(b->batch, b->batch + n, b->batched * sizeof(b->batch[0]));
			continue;
		}
		if (n == -EINTR)
			continue;

		if (n == 0 || n == -EAGAIN || n == -ENOMEM) {
			/*
			 * The kernel is short of resources or memory: the rest is submitted after a
			 * completion. If no completion is pending, the task is transferred
			 * synchronously instead of waiting for ever; the task fails only if that
			 * fails, too.
			 */
			if (b->in_kernel)
				return;
			struct io_task *task = aio_take_head(b);
			ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
			continue;
		}
		/* The kernel refuses this one request; those behind it may be valid. If the host
		 * refuses io_submit itself, every request fails here in turn. */
		if (aio_refused(b))
			evloop_fail(e->config.loop, n, "io_submit");
		ioengine_segment_done(e, aio_take_head(b), n);
	}
}

/*
 * Collects all completions. One wake-up stands for all tasks that finished before it, so the loop
 * runs until there are no more. The final call, which finds none, is cheap: libaio recognises an
 * empty completion ring without a system call.
 */
static void aio_reap(struct ioengine *e)
{
	struct aio_backend *b = e->backend;
	struct timespec now = { 0 };

	while (b->in_kernel) {
		int n = io_getevents(b->ctx, 0, (long)b->in_kernel, b->events, &now);

		if (n == -EINTR)
			continue;
		if (n < 0) {
			e->lost = true;
			evloop_fail(e->config.loop, n, "io_getevents");
		}
		if (n <= 0)
			return;
		for (int i = 0; i < n; i++) {
			struct io_task *task = container_of(b->events[i].obj, struct io_task, iocb);

			b->in_kernel--;
			ioengine_segment_done(e, task, (int64_t)(long)b->events[i].res);
		}
	}
}

/*
 * Head of the completion ring, which the kernel maps into this process at the address that is also
 * the context's id. A ring whose layout has another magic number is not inspected; its eventfd
 * still reports completions.
 */
struct aio_ring {
	uint32_t id;
	uint32_t nr;
	uint32_t head;
	uint32_t tail;
	uint32_t magic;
};

#define AIO_RING_MAGIC 0xa10a10a1u

static bool aio_ready(const struct ioengine *e)
{
	const struct aio_backend *b = e->backend;
	const struct aio_ring *ring = (const struct aio_ring *)b->ctx;

	return !e->lost && ring->magic == AIO_RING_MAGIC &&
	       READ_ONCE(ring->head) != READ_ONCE(ring->tail);
}

const struct ioengine_ops ioengine_libaio = {
	.name = "libaio",
	.fds = 1,
	.open = aio_open,
	.close = aio_close,
	.prep = aio_prep,
	.submit = aio_submit,
	.reap = aio_reap,
	.ready = aio_ready,
};
