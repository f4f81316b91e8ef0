/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/scripted.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/mockdrv.h"

struct backend {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct scripted_seg held[SCRIPTED_MAX]; /* pending segments, oldest first */
	unsigned int held_count;
	struct {
		struct io_task *task;
		int64_t res;
	} done[SCRIPTED_MAX]; /* completed segments that are not reaped yet */
	unsigned int done_count;
	unsigned int submits; /* submit calls with a queued task */
	unsigned int accept;  /* largest number of tasks that one submit call takes */
};

static int scripted_open(struct ioengine *e)
{
	struct backend *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->more, &attr);
	pthread_condattr_destroy(&attr);
	b->accept = SCRIPTED_MAX;
	e->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->backend = b;
	return 0;
}

static void scripted_close(struct ioengine *e)
{
	struct backend *b = e->backend;

	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->more);
	close(e->event_fd);
	free(b);
}

static void scripted_prep(struct ioengine *e, struct io_task *task)
{
	io_queue_put(&e->queued, task);
}

static struct scripted_seg describe(struct io_task *task)
{
	struct scripted_seg seg = {
		.task = task, .op = task->op, .stable = task->stable, .base = task->base
	};
	struct iovec *iov;

	if (task->op == IO_FLUSH)
		return seg;
	seg.pieces = ioengine_segment(task, &iov);
	seg.offset = task->offset + task->done;
	for (unsigned int i = 0; i < seg.pieces; i++)
		seg.len += iov[i].iov_len;
	return seg;
}

static void scripted_submit(struct ioengine *e)
{
	struct backend *b = e->backend;
	struct io_task *task;

	if (!e->queued.head)
		return;
	pthread_mutex_lock(&b->lock);
	b->submits++;
	for (unsigned int n = 0; n < b->accept && (task = io_queue_take(&e->queued)); n++)
		b->held[b->held_count++] = describe(task);
	pthread_cond_broadcast(&b->more);
	pthread_mutex_unlock(&b->lock);
}

static void scripted_reap(struct ioengine *e)
{
	struct backend *b = e->backend;

	for (;;) {
		struct io_task *task = NULL;
		int64_t res = 0;

		pthread_mutex_lock(&b->lock);
		if (b->done_count) {
			task = b->done[0].task;
			res = b->done[0].res;
			memmove(&b->done[0], &b->done[1], --b->done_count * sizeof(b->done[0]));
		}
		pthread_mutex_unlock(&b->lock);
		if (!task)
			return;
		ioengine_segment_done(e, task, res);
	}
}

const struct ioengine_ops ioengine_scripted = {
	.name = "scripted",
	.open = scripted_open,
	.close = scripted_close,
	.prep = scripted_prep,
	.submit = scripted_submit,
	.reap = scripted_reap,
};

void scripted_wait(struct ioengine *e, unsigned int count)
{
	struct backend *b = e->backend;
	struct timespec end;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += MOCK_DEADLINE_S;
	pthread_mutex_lock(&b->lock);
	while (b->held_count < count && !err)
		err = pthread_cond_timedwait(&b->more, &b->lock, &end);
	unsigned int held = b->held_count;
	pthread_mutex_unlock(&b->lock);
	must(held == count);
}

unsigned int scripted_held(struct ioengine *e)
{
	struct backend *b = e->backend;

	pthread_mutex_lock(&b->lock);
	unsigned int n = b->held_count;
	pthread_mutex_unlock(&b->lock);
	return n;
}

struct scripted_seg scripted_seg(struct ioengine *e, unsigned int i)
{
	struct backend *b = e->backend;
	struct scripted_seg seg = { 0 };

	pthread_mutex_lock(&b->lock);
	bool there = i < b->held_count;
	if (there)
		seg = b->held[i];
	pthread_mutex_unlock(&b->lock);
	must(there);
	return seg;
}

/* Moves pending segment i to the completed ones. The caller holds the lock. */
static void give_back(struct backend *b, unsigned int i, int64_t res)
{
	b->done[b->done_count].task = b->held[i].task;
	b->done[b->done_count].res = res == SCRIPTED_ALL ? (int64_t)b->held[i].len : res;
	b->done_count++;
	memmove(&b->held[i], &b->held[i + 1], (--b->held_count - i) * sizeof(b->held[0]));
}

static void wake(struct ioengine *e)
{
	uint64_t one = 1;

	must(write(e->event_fd, &one, sizeof(one)) == sizeof(one));
}

void scripted_complete(struct ioengine *e, unsigned int i, int64_t res)
{
	struct backend *b = e->backend;

	pthread_mutex_lock(&b->lock);
	bool there = i < b->held_count;
	if (there)
		give_back(b, i, res);
	pthread_mutex_unlock(&b->lock);
	must(there);
	wake(e);
}

void scripted_complete_all(struct ioengine *e, int64_t res)
{
	struct backend *b = e->backend;

	pthread_mutex_lock(&b->lock);
	while (b->held_count)
		give_back(b, 0, res);
	pthread_mutex_unlock(&b->lock);
	wake(e);
}

unsigned int scripted_submits(struct ioengine *e)
{
	struct backend *b = e->backend;

	pthread_mutex_lock(&b->lock);
	unsigned int n = b->submits;
	pthread_mutex_unlock(&b->lock);
	return n;
}

void scripted_accept(struct ioengine *e, unsigned int per_submit)
{
	struct backend *b = e->backend;

	pthread_mutex_lock(&b->lock);
	b->accept = per_submit;
	pthread_mutex_unlock(&b->lock);
}
