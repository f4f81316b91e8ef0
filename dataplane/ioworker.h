/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioworker: a helper thread that does an engine's discards and zeroes, which no host interface does
 * asynchronously. It stands where the host kernel does for other requests: it knows no ring and no
 * guest memory, only the image.
 *
 * One thread, the engine's, gives and collects; it never waits for the worker, and neither takes a
 * lock.
 */
#ifndef DATAPLANE_IOWORKER_H
#define DATAPLANE_IOWORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "dataplane/evloop.h"
#include "dataplane/ioranges.h"

struct ioworker {
	struct ioranges *ranges; /* the worker's alone, but for its atomic fields */
	struct evloop *loop;	 /* woken when something has been done */
	struct io_task *given;	 /* atomic; linked by next, last come first */
	struct io_task *done;	 /* the same */
	bool quit;		 /* atomic */
	const struct thread_init *begin;
	sem_t wanted; /* posted for each task given, and for the end */
	pthread_t thread;
};

/* -ENOMEM, -EAGAIN: no thread is to be had. It inherits the caller's signal mask. What `begin` returns
 * changes nothing: the caller, too, may do what the worker does. */
int ioworker_create(struct ioworker **worker, struct ioranges *ranges, struct evloop *loop,
		    const struct thread_init *begin);
/* Nothing may be left to do or to collect. NULL is allowed. */
void ioworker_destroy(struct ioworker *worker);

/* The task is the worker's until it is collected, with its result set. */
void ioworker_give(struct ioworker *worker, struct io_task *task);
/* All that are done, linked by next; or NULL. */
struct io_task *ioworker_collect(struct ioworker *worker);
/* Would collect find one? A hint. */
bool ioworker_ready(const struct ioworker *worker);

#endif
