/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine: asynchronous I/O on one disk image.
 *
 * An engine performs reads, writes, flushes, discards and write-zeroes. ioengine_prep queues a task
 * without a system call, except that a full io_uring is submitted early; ioengine_submit hands all
 * queued tasks to the host kernel at once; ioengine_reap collects completions, and
 * ioengine_finished returns the finished tasks. Between ioengine_prep and ioengine_finished the
 * task, its iovec and the memory that this refers to belong to the engine. These functions do not
 * allocate. One thread at a time uses an engine. Errors are -errno.
 *
 * The io_uring backend, the default, uses the ring of the thread's event loop. Its tasks are
 * submitted, and their completions collected, by evloop_turn: one io_uring_enter submits the tasks
 * of all engines of the thread and waits. With this backend, ioengine_submit and ioengine_reap only
 * handle bounce buffers, discards and write-zeroes.
 *
 * ioengine.c has the code that all backends need: it counts the tasks in flight,
 * continues short transfers, returns zeros for reads beyond the end of a truncated image, and
 * copies through bounce buffers where O_DIRECT refuses the memory. A backend (struct ioengine_ops)
 * transfers single segments. Discards and write-zeroes do not go through a backend: a helper thread
 * executes them (ioworker.h).
 */
#ifndef DATAPLANE_IOENGINE_H
#define DATAPLANE_IOENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/evloop.h"
#include "dataplane/io_task.h"
#include "dataplane/ioranges.h"
#include "dataplane/ioworker.h"
#include "dataplane/overlay.h"

/*
 * Largest segment in bytes: the most that the host is given of one transfer at a time. A driver may
 * ask for 4 GiB in each request of its ring; a pause, a stop and the thread's other queues then
 * wait for at most one segment of each. Common drivers send smaller requests, which are not split.
 */
#define IOENGINE_SEGMENT_MAX (4u << 20)

/* Size of a bounce buffer in bytes. */
#define IOENGINE_BOUNCE_SIZE (64u << 10)

struct ioengine;

struct ioengine_config {
	struct evloop *loop;   /* loop of the thread that uses the engine */
	int fd;		       /* the image; stays open until the engine is destroyed */
	unsigned int depth;    /* most tasks in flight */
	uint32_t direct_align; /* O_DIRECT's alignment of memory, offset and length; 1: none */
	uint32_t device_block; /* a block device's logical block in bytes; 0: a file */
	/* The guest's writes are dropped at the end: a flush finishes at once. */
	bool ephemeral;
	struct overlay
		*overlay;    /* the disk's map; unwritten blocks are read from base_fd; or NULL */
	int base_fd;	     /* as fd, and with its alignment */
	unsigned int waiter; /* the engine's number among those that share the map */
	const struct thread_init *worker_begin; /* see ioworker_create */
};

/* A backend: one host interface that moves data. Called by ioengine.c only. Every function but prep
 * may be NULL, which has the effect of a function that does nothing and succeeds. */
struct ioengine_ops {
	const char *name;
	enum evloop_kind loop; /* kind of event loop that the backend needs */
	unsigned int fds;      /* file descriptors that open creates */
	int (*open)(struct ioengine *engine);
	void (*close)(struct ioengine *engine);
	/* Called by ioengine_begin on the engine's thread. */
	void (*begin)(struct ioengine *engine);
	/* Queues the task's current segment (ioengine_segment); there is room for `depth`
	 * of them. */
	void (*prep)(struct ioengine *engine, struct io_task *task);
	/*
	 * Submits the queued segments. A segment that the kernel refuses is reported by
	 * ioengine_segment_done. If the kernel is short of memory or queue space, segments stay
	 * queued as long as one is in flight whose completion leads to the next submit; otherwise
	 * the backend transfers them synchronously. NULL: the event loop submits.
	 */
	void (*submit)(struct ioengine *engine);
	/* Reports every finished segment by ioengine_segment_done. NULL: the event loop, or submit,
	 * does so. */
	void (*reap)(struct ioengine *engine);
	/* Returns whether a completion is there to be reaped, or a segment to be submitted: a hint,
	 * without a system call. NULL: the backend cannot tell. */
	bool (*ready)(const struct ioengine *engine);
};

struct ioengine {
	const struct ioengine_ops *ops;
	struct ioengine_config config;
	int event_fd;		/* readable when there are completions (libaio); -1: unused */
	unsigned int in_flight; /* tasks between ioengine_prep and ioengine_finished */
	uint8_t special;	/* of each transfer, see enum io_special */
	bool need_submit;	/* there is new work, or a bounce buffer may have become free */
	struct io_queue queued; /* for backends: prepared, not yet submitted */
	struct io_queue finished;
	struct io_queue bounce_waiters; /* tasks that wait for a bounce buffer */
	struct io_queue range_tasks;	/* discards and zeroes, not yet given to the worker */
	struct io_queue parked;		/* interrupted by ioengine_hold, until ioengine_release */
	struct ioworker *worker;	/* NULL until the first discard or zeroes */
	unsigned int ranges_in_flight;	/* discards and zeroes in flight */
	unsigned int parked_count;
	unsigned int parked_transfers; /* reads and writes among the parked */
	bool lost;		       /* the host refuses io_getevents: completions are lost */
	struct ioranges ranges;
	struct io_queue claim_waiters; /* tasks that wait for the end of another's claim */
	bool claims_ended;	       /* one of these claims may have ended */
	char *bounce_pool;
	unsigned int bounce_free;
	void *bounce_stack[16];
	void *backend;
	/* io_uring: the descriptors of the image and of the base, or the index of one if its flags
	 * are IOSQE_FIXED_FILE. */
	int sqe_fd[2];
	uint8_t sqe_flags[2];
};

extern const struct ioengine_ops ioengine_libaio;
extern const struct ioengine_ops ioengine_sync;
extern const struct ioengine_ops ioengine_uring;

/* Creates an engine. Returns 0, -ENOMEM, or the error of the backend's open (-EAGAIN: the host's
 * aio-max-nr is exhausted; -ENOSYS). Any thread. */
int ioengine_create(struct ioengine **engine, const struct ioengine_ops *ops,
		    const struct ioengine_config *config);

/* Frees an engine; NULL is allowed. No task may be in flight, except lost ones (ioengine_lost). */
void ioengine_destroy(struct ioengine *engine);

/*
 * Prepares the engine for use, and ends a cancellation and a hold. Called on the thread that uses
 * the engine, before the first ioengine_prep and again after ioengine_cancel_ranges, with nothing
 * in flight.
 */
void ioengine_begin(struct ioengine *engine);

/* Returns how many more tasks may be prepared now. */
unsigned int ioengine_room(const struct ioengine *engine);

/* Takes the task over and queues its first segment, or the task itself if it is a discard or
 * write-zeroes. The next ioengine_submit starts it. */
void ioengine_prep(struct ioengine *engine, struct io_task *task);

/*
 * Like ioengine_prep, but transfers the first segment synchronously by preadv or pwritev2, which is
 * faster than any engine when the host need not wait for the device. Flushes, discards,
 * write-zeroes, transfers that need a bounce buffer, and the rest of a short or long transfer are
 * queued as by ioengine_prep.
 */
void ioengine_run(struct ioengine *engine, struct io_task *task);

/* Restores the iov of a finished read or write to its state before ioengine_prep, so that the task
 * can be prepared again. Does nothing for a flush, discard or write-zeroes. */
void ioengine_rewind(struct io_task *task);

/* Hands the queued tasks to the host kernel, and discards and write-zeroes to the helper thread.
 * The transfers of the io_uring backend are on the event loop's ring already, and its next turn
 * submits them. */
void ioengine_submit(struct ioengine *engine);

/* Collects the completions of the backend and of the helper thread. */
void ioengine_reap(struct ioengine *engine);

/* Returns whether tasks are finished or ioengine_reap would find one: a hint, without a system
 * call. */
bool ioengine_ready(const struct ioengine *engine);

/*
 * Sets the cache mode. With `stable`, discards and write-zeroes that finish from now on are on
 * stable storage by then, also those in flight, and parked writes continue with RWF_DSYNC. Other
 * writes are governed by task->stable. Called on the engine's thread.
 */
void ioengine_set_writethrough(struct ioengine *engine, bool stable);

/* Returns whether the transfers in flight are lost: they will never be reaped, because the host
 * permanently refuses the system call that would collect them. */
static inline bool ioengine_lost(const struct ioengine *engine)
{
	return engine->lost || (engine->ops->loop != EVLOOP_EPOLL && engine->config.loop->failed);
}

/*
 * Declares the engine's transfers in flight lost, if they are (ioengine_lost). Other engines of an
 * ephemeral disk fail the writes that wait for a claim of one of them. On the engine's thread.
 */
void ioengine_give_up(struct ioengine *engine);

/* Returns whether nothing is in flight except discards, write-zeroes and parked tasks. Lost
 * transfers count as finished. */
static inline bool ioengine_transfers_done(const struct ioengine *engine)
{
	return engine->in_flight == engine->ranges_in_flight + engine->parked_transfers ||
	       ioengine_lost(engine);
}

/* Returns whether nothing is in flight. Lost transfers count as finished. */
static inline bool ioengine_drained(const struct ioengine *engine)
{
	return !engine->in_flight || (ioengine_lost(engine) && !engine->ranges_in_flight);
}

/*
 * Cancels long operations: discards and write-zeroes in flight, and reads and writes of more than 4
 * MiB, fail with -ECANCELED at their next step or segment; parked tasks, and tasks that have not
 * begun, fail without another step. Ends a hold. The cancellation lasts until ioengine_begin.
 * Called on the engine's thread.
 */
void ioengine_cancel_ranges(struct ioengine *engine);

/*
 * Interrupts long operations: discards and write-zeroes in flight, and reads and writes of more
 * than 4 MiB, are parked at their next step or segment. They stay in flight until ioengine_release.
 * Any thread: the function only sets a flag.
 */
void ioengine_hold(struct ioengine *engine);
/* Ends a hold: parked tasks continue where they were interrupted. Called on the engine's thread. */
void ioengine_release(struct ioengine *engine);

/* Returns whether a task is in flight that is not parked: the host works on it, or ioengine_reap
 * has to collect it. Lost transfers count as finished. */
static inline bool ioengine_working(const struct ioengine *engine)
{
	if (engine->in_flight <= engine->parked_count)
		return false;
	return !ioengine_lost(engine) ||
	       engine->ranges_in_flight > engine->parked_count - engine->parked_transfers;
}

/* Returns the next finished task, or NULL. Tasks that ended at once are returned directly after
 * ioengine_submit. */
struct io_task *ioengine_finished(struct ioengine *engine);

/* ---- for backends ---- */

/* Records the result of a task and queues it for ioengine_finished; the task stays in flight until
 * then. For the ioengine files without a backend only, like the functions below. */
void ioengine_finish(struct ioengine *engine, struct io_task *task, int result);
/* Queues a discard or write-zeroes task, which starts at its first range. */
void ioengine_ranges_prep(struct ioengine *engine, struct io_task *task);
/* Starts the next segment of a transfer. After ioengine_cancel_ranges or ioengine_hold a transfer
 * of more than 4 MiB is finished or parked instead. */
void ioengine_next_segment(struct ioengine *engine, struct io_task *task);
/* Adds an interrupted task to the parked ones, which ioengine_release continues. */
void ioengine_park(struct ioengine *engine, struct io_task *task);
/* Gives the queued discards and write-zeroes to the worker, which is created if necessary. */
void ioengine_ranges_submit(struct ioengine *engine);
/* Collects the tasks that the worker has finished or interrupted. The engine must have a worker. */
void ioengine_ranges_reap(struct ioengine *engine);
/* Advances the front of the transfer's memory past `bytes` finished bytes. */
void ioengine_advance(struct io_task *task, size_t bytes);
/* Copies len bytes between `buffer` and the front of the transfer's memory. */
void ioengine_bounce_copy(struct io_task *task, void *buffer, size_t len, bool to_buffer);
/* Makes the next segment go through a bounce buffer, to which it copies a write. Returns false if no
 * buffer is free: the task waits for one. */
bool ioengine_use_bounce(struct ioengine *engine, struct io_task *task);
/* Gives the task's bounce buffer back, if it has one. */
void ioengine_drop_bounce(struct ioengine *engine, struct io_task *task);

/*
 * ioengine_overlay.c, for engines with an overlay only. ioengine_place chooses the file of the
 * transfer's next segment, and the most that it may move (task->limit), and claims the blocks of a
 * first write. Returns false if the segment is not to be started now: the task waits, or a block is
 * copied up for it.
 */
bool ioengine_place(struct ioengine *engine, struct io_task *task);
/* Ends the task's claim: its blocks are written, if all of them have been transferred. */
void ioengine_end_claim(struct ioengine *engine, struct io_task *task);
/* To be called when a task is finished, before all else. Returns true if it was the copy of a block,
 * and not a task of the engine's user. */
bool ioengine_finish_overlay(struct ioengine *engine, struct io_task *task, int result);
/* Makes a task wait for the end of the claim of task->awaited by another one. */
void ioengine_await_claim(struct ioengine *engine, struct io_task *task);
/* Starts the tasks that wait for the end of a claim again, if a claim has ended. */
void ioengine_retry_claims(struct ioengine *engine);

/* Returns the descriptor of the file that the task's current segment is in. */
static inline int ioengine_fd(const struct ioengine *engine, const struct io_task *task)
{
	return task->base ? engine->config.base_fd : engine->config.fd;
}

/* Sets *iov to the memory of the task's current segment, which is at task->offset + task->done in
 * the image. Returns the number of elements in *iov. */
unsigned int ioengine_segment(struct io_task *task, struct iovec **iov);

/* Returns the length in bytes of the current segment. Called after ioengine_segment. */
static inline int64_t ioengine_segment_len(const struct io_task *task)
{
	uint32_t left = task->len - task->done;

	return task->bounce || left > task->limit ? (int64_t)task->seg.iov_len : left;
}

/* Reports the result of the task's current segment: `res` is the number of bytes moved, or -errno.
 * The task is then finished, or its next segment is prepared. */
void ioengine_segment_done(struct ioengine *engine, struct io_task *task, int64_t res);

/* Transfers the task's current segment synchronously. Returns the number of bytes moved,
 * or -errno. */
int64_t ioengine_segment_blocking(struct ioengine *engine, struct io_task *task);

#endif
