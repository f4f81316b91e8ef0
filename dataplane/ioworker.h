/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioworker: helper thread for the discards and write-zeroes of an engine.
 *
 * No interface of the host executes these asynchronously. The worker takes the place that the host
 * kernel has for other requests: it accesses only the image, neither a ring nor guest memory.
 *
 * One thread, the engine's, gives tasks and collects them. The lists between both threads are
 * lock-free, and the engine's thread never waits for the worker.
 */
#ifndef DATAPLANE_IOWORKER_H
#define DATAPLANE_IOWORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "dataplane/evloop.h"
#include "dataplane/ioranges.h"

struct ioworker {
	struct ioranges *ranges; /* used by the worker only, except for its atomic fields */
	struct evloop *loop;	 /* woken after each task */
	struct io_task *given;	 /* atomic; linked by next, newest first */
	struct io_task *done;	 /* atomic; linked by next, newest first */
	bool quit;		 /* atomic */
	const struct thread_init *begin;
	sem_t wanted; /* posted for each task given, and to end the thread */
	pthread_t thread;
};

/*
 * Creates a worker and its thread, which inherits the caller's signal mask and first calls `begin`.
 * An error of `begin` has no effect, because the caller is also able to do what the worker does.
 * Returns 0, -ENOMEM or -EAGAIN.
 */
int ioworker_create(struct ioworker **worker, struct ioranges *ranges, struct evloop *loop,
		    const struct thread_init *begin);
/* Ends the thread and frees the worker. No task may be left to execute or to collect. NULL is
 * allowed. */
void ioworker_destroy(struct ioworker *worker);

/* Hands a task to the worker, which owns it until ioworker_collect returns it with its
 * result set. */
void ioworker_give(struct ioworker *worker, struct io_task *task);
/* Returns all tasks that the worker has finished or interrupted, linked by next, oldest first; NULL
 * if there are none. */
struct io_task *ioworker_collect(struct ioworker *worker);
/* Returns whether ioworker_collect would find a task: a hint. */
bool ioworker_ready(const struct ioworker *worker);

#endif
