/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/ioworker.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base.h"
#include "dataplane/io_task.h"

#define THREAD_STACK (128u << 10)

/* Pushes a task onto a lock-free list. The release pairs with the acquire in
 * ioworker_take_all. */
static void ioworker_put(struct io_task **list, struct io_task *task)
{
	task->next = NULL;
	/* A failed exchange updates task->next to the current head of the list. */
	while (!__atomic_compare_exchange_n(list, &task->next, task, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

/* Removes all tasks from a list and returns them oldest first. The acquire pairs with the release
 * in ioworker_put, so that all writes to the tasks before it are visible. */
static struct io_task *ioworker_take_all(struct io_task **list)
{
	struct io_task *last_first = __atomic_exchange_n(list, NULL, __ATOMIC_ACQUIRE);
	struct io_task *first = NULL;

	while (last_first) {
		struct io_task *task = last_first;

		last_first = task->next;
		task->next = first;
		first = task;
	}
	return first;
}

static void *ioworker_work(void *arg)
{
	struct ioworker *w = arg;
	struct io_task *task, *next;

	thread_init(w->begin);
	for (;;) {
		semaphore_wait(&w->wanted);
		if (READ_ONCE(w->quit))
			return NULL;
		for (task = ioworker_take_all(&w->given); task; task = next) {
			/* After ioworker_put the engine's thread owns the task. */
			next = task->next;
			task->result = ioranges_run(w->ranges, task);
			ioworker_put(&w->done, task);
			evloop_wake(w->loop);
		}
	}
}

int ioworker_create(struct ioworker **worker, struct ioranges *ranges, struct evloop *loop,
		    const struct thread_init *begin)
{
	struct ioworker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->ranges = ranges;
	w->loop = loop;
	w->begin = begin;
	sem_init(&w->wanted, 0, 0);
	err = thread_create(&w->thread, THREAD_STACK, THREAD_ANY_CPU, ioworker_work, w);
	if (err) {
		sem_destroy(&w->wanted);
		free(w);
		return err;
	}
	*worker = w;
	return 0;
}

void ioworker_destroy(struct ioworker *w)
{
	if (!w)
		return;
	WRITE_ONCE(w->quit, true);
	sem_post(&w->wanted);
	pthread_join(w->thread, NULL);
	sem_destroy(&w->wanted);
	free(w);
}

void ioworker_give(struct ioworker *w, struct io_task *task)
{
	ioworker_put(&w->given, task);
	sem_post(&w->wanted);
}

struct io_task *ioworker_collect(struct ioworker *w)
{
	return ioworker_take_all(&w->done);
}

bool ioworker_ready(const struct ioworker *w)
{
	return READ_ONCE(w->done);
}
