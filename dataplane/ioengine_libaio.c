/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux AIO: one io_submit per batch, completions through an eventfd, FLUSH as an asynchronous
 * fdatasync. With O_DIRECT nothing here blocks; through the page cache io_submit may.
 *
 * libaio's functions return -errno and leave errno alone.
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
 * Does the host refuse io_submit or io_getevents, as a seccomp policy may? A call for no request
 * does nothing. Not by libaio, whose io_getevents asks the kernel only when there is something to
 * get.
 */
static int refused(const struct aio_backend *b)
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
	err = refused(b);
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
		io_prep_preadv(cb, e->config.fd, iov, (int)count, offset);
	} else {
		count = ioengine_segment(task, &iov);
		io_prep_pwritev(cb, e->config.fd, iov, (int)count, offset);
		cb->aio_rw_flags = task->stable ? RWF_DSYNC : 0;
	}
	io_set_eventfd(cb, e->event_fd);
	b->batch[b->batched++] = cb;
}

static struct io_task *take_head(struct aio_backend *b)
{
	struct io_task *task = container_of(b->batch[0], struct io_task, iocb);

	b->batched--;
	memmove(b->batch, b->batch + 1, b->batched * sizeof(b->batch[0]));
	return task;
}

/*
 * io_submit takes a part of a batch, from its head, or refuses its head and takes nothing. Every
 * round either hands tasks to the kernel, finishes one, or ends the loop.
 */
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
			/* The kernel is short of resources or memory: go on when something came
			 * back. If nothing will, do it the slow way rather than wait for ever; only
			 * when that fails, too, does the task. */
			if (b->in_kernel)
				return;
			struct io_task *task = take_head(b);
			ioengine_segment_done(e, task, ioengine_segment_blocking(e, task));
			continue;
		}
		/* This one request is bad; the others behind it need not be. Where the host refuses
		 * the call itself, each of them fails. */
		if (refused(b))
			evloop_fail(e->config.loop, n, "io_submit");
		ioengine_segment_done(e, take_head(b), n);
	}
}

/*
 * The wake-up that led here stands for everything that finished before: ask until there is no more.
 * That is free, because libaio sees an empty completion ring without a system call.
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
 * The context's address is that of its completion ring, which the kernel has mapped into this
 * process. A ring of a later make is not looked at; its eventfd tells.
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
