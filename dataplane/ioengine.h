/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioengine: asynchronous reads, writes, flushes, discards and zeroes of one image.
 *
 * prep never makes a system call; submit hands everything prepared to the host kernel at once;
 * reap gives back what is finished. Between prep and reap the task, its iovec and the memory behind
 * it belong to the engine. Neither allocates. One thread at a time uses an engine.
 *
 * What every backend would have to do is done once, in ioengine.c: counting what is in flight,
 * reading on after a short transfer, zeros behind the end of a truncated image, and bounce buffers
 * for memory that O_DIRECT refuses. A backend (struct ioengine_ops) moves single segments.
 * Discards and zeroes pass it by: a helper thread does them (ioworker.h).
 */
#ifndef DATAPLANE_IOENGINE_H
#define DATAPLANE_IOENGINE_H

#include <libaio.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dataplane/evloop.h"
#include "dataplane/ioranges.h"
#include "dataplane/ioworker.h"

/*
 * What the host is given of one transfer at a time. A driver may ask for 4 GiB by each request of its
 * ring; a pause, a stop and other queues of the thread wait for that many bytes of each at most. Common
 * drivers ask for less, and see no difference.
 */
#define IOENGINE_SEGMENT_MAX (4u << 20)

/* First those that move data; those behind IO_FLUSH are for the helper thread. */
enum io_op { IO_READ, IO_WRITE, IO_FLUSH, IO_DISCARD, IO_WRITE_ZEROES };
#define IO_OPS (IO_WRITE_ZEROES + 1)

struct io_task {
	/* Set by the caller before prep. */
	enum io_op op;
	bool stable;	   /* a write that is on stable storage when it completes (writethrough) */
	uint64_t offset;   /* in the image, bytes; read and write only, as the next three */
	uint32_t len;	   /* bytes, > 0 */
	struct iovec *iov; /* covers len bytes exactly; the engine changes it */
	unsigned int iov_count;

	/* Set when reap returns the task: 0, or -errno. A failed read may have written part of its
	 * memory. */
	int result;

	/* The engine's. */
	struct io_task *next;
	uint32_t done;	  /* bytes finished (of range[range_at]); iov starts at the next one, */
	uint32_t cut;	  /* that many bytes inside its first piece */
	void *bounce;	  /* buffer held, or NULL */
	struct iovec seg; /* the segment in the bounce buffer */
	bool needs_bounce;
	struct iocb iocb; /* libaio */
	struct ev_request uring;
	struct ioengine *engine; /* io_uring */

	/* Discard and write zeroes, in place of offset, len and iov; range_at is the engine's, the
	 * others are the caller's. */
	unsigned int range_at; /* all ranges before this one are finished */
	unsigned int range_count;
	struct io_range range[IORANGES_MAX];
};

struct io_queue {
	struct io_task *head;
	struct io_task **tail;
};

struct ioengine;

struct ioengine_config {
	struct evloop *loop;   /* of the thread that uses the engine */
	int fd;		       /* the image; the caller keeps it open longer than the engine */
	unsigned int depth;    /* tasks in flight, at most */
	uint32_t direct_align; /* O_DIRECT's alignment of memory, offset and length; 1: none */
	uint32_t device_block; /* a block device's logical block in bytes; 0: a file */
	const struct thread_init *worker_begin; /* see ioworker_create */
};

/* One way of moving data. Called by ioengine.c only. */
struct ioengine_ops {
	const char *name;
	enum evloop_kind loop; /* it needs */
	unsigned int fds;      /* descriptors that open opens */
	int (*open)(struct ioengine *engine);
	void (*close)(struct ioengine *engine);
	/* NULL: nothing to do on the thread itself. */
	void (*begin)(struct ioengine *engine);
	/* Queue the task's segment (ioengine_segment); room for `depth` of them. */
	void (*prep)(struct ioengine *engine, struct io_task *task);
	/* Start what is queued. What the kernel refuses is reported by ioengine_segment_done; what
	 * it has no room or memory for stays queued as long as something is with the kernel whose
	 * end leads to the next submit, and is else moved here and now. */
	void (*submit)(struct ioengine *engine);
	/* Report every finished segment by ioengine_segment_done. */
	void (*reap)(struct ioengine *engine);
	/* Would reap find something? A hint, without a system call. NULL: cannot tell. */
	bool (*ready)(const struct ioengine *engine);
};

struct ioengine {
	const struct ioengine_ops *ops;
	struct ioengine_config config;
	int event_fd; /* readable when reap has something; -1: only submit finishes tasks */
	unsigned int in_flight; /* from prep to reap */
	bool need_submit;	/* since the last submit something was prepared or finished */
	struct io_queue queued; /* for backends: prepared, not yet given to the kernel */
	struct io_queue finished;
	struct io_queue bounce_waiters; /* waiting for a bounce buffer */
	struct io_queue range_tasks;	/* prepared, for the worker */
	struct io_queue parked;		/* interrupted by ioengine_hold */
	struct ioworker *worker;	/* NULL until it is needed */
	unsigned int ranges_in_flight;	/* those in flight that discard or write zeroes */
	unsigned int parked_count;
	unsigned int parked_transfers; /* among them */
	bool lost;		       /* the host has refused to say what has finished */
	struct ioranges ranges;
	char *bounce_pool;
	unsigned int bounce_free;
	void *bounce_stack[16];
	void *backend;
	/* io_uring: the image in a request, as a descriptor or as one of the ring's files. */
	int sqe_fd;
	uint8_t sqe_flags;
};

extern const struct ioengine_ops ioengine_libaio;
extern const struct ioengine_ops ioengine_sync;
extern const struct ioengine_ops ioengine_uring;
/* Polls for reads and writes, as long as the image can; then turns into ioengine_uring. */
extern const struct ioengine_ops ioengine_iopoll;

/* -ENOMEM, or what the backend's open says (-EAGAIN: the host's aio-max-nr is used up; -ENOSYS).
 * Any thread. */
int ioengine_create(struct ioengine **engine, const struct ioengine_ops *ops,
		    const struct ioengine_config *config);

/* Nothing may be in flight, but for what is lost. */
void ioengine_destroy(struct ioengine *engine);

/* On the thread that uses the engine, before the first prep, and again after a hurry. Nothing is in
 * flight. */
void ioengine_begin(struct ioengine *engine);

/* How many more tasks may be prepared now. */
unsigned int ioengine_room(const struct ioengine *engine);

void ioengine_prep(struct ioengine *engine, struct io_task *task);

/* The same, but wait for the host here and now: no engine is quicker when the host need not wait.
 * What is awkward (a flush, ranges, a bounce buffer, the rest of a short transfer) is prepared. */
void ioengine_run(struct ioengine *engine, struct io_task *task);

/* A read or write that has finished gets iov back as it was before prep; any other task is left
 * alone. */
void ioengine_rewind(struct io_task *task);

void ioengine_submit(struct ioengine *engine);

/* Ask the backend what has finished. */
void ioengine_reap(struct ioengine *engine);

/* Would reap find something? Only a hint, and cheap. */
bool ioengine_ready(const struct ioengine *engine);

/* Discards and zeroes that end from now on, and writes that are parked, are or are not stable when they
 * are finished; in the former case also if they are in flight. */
void ioengine_set_writethrough(struct ioengine *engine, bool stable);

/* The transfers in flight will never be reaped, because the host has refused it for good. */
static inline bool ioengine_lost(const struct ioengine *engine)
{
	return engine->lost || (engine->ops->loop != EVLOOP_EPOLL && engine->config.loop->failed);
}

/* Is nothing in flight but discards, zeroes and what is parked? Lost transfers do not count. */
static inline bool ioengine_transfers_done(const struct ioengine *engine)
{
	return engine->in_flight == engine->ranges_in_flight + engine->parked_transfers ||
	       ioengine_lost(engine);
}

/* Is nothing in flight? Lost transfers do not count. */
static inline bool ioengine_drained(const struct ioengine *engine)
{
	return !engine->in_flight || (ioengine_lost(engine) && !engine->ranges_in_flight);
}

/* Nobody wants what takes long any more: discards and zeroes in flight, and reads and writes of more than
 * 4 MiB, fail with -ECANCELED at their next step, segment, or at once if they are parked or not yet
 * begun. Ends a hold. Lasts until ioengine_begin. */
void ioengine_cancel_ranges(struct ioengine *engine);

/*
 * Discards and zeroes in flight, and reads and writes of more than 4 MiB, are interrupted at their next
 * step or segment and parked, until a release lets them go on where they were. They stay in flight. Any
 * thread: it need not wait for the engine's.
 */
void ioengine_hold(struct ioengine *engine);
void ioengine_release(struct ioengine *engine);

/* Is something in flight that is not parked? The host works on it, or reap has to collect it. Lost
 * transfers do not count. */
static inline bool ioengine_working(const struct ioengine *engine)
{
	if (engine->in_flight <= engine->parked_count)
		return false;
	return !ioengine_lost(engine) ||
	       engine->ranges_in_flight > engine->parked_count - engine->parked_transfers;
}

/* The next finished task, or NULL. Those that failed at once are here right after submit. */
struct io_task *ioengine_finished(struct ioengine *engine);

/* ---- for backends ---- */

/* First in, first out. An empty queue has head NULL, and tail pointing at head. */
void io_queue_put(struct io_queue *queue, struct io_task *task);
struct io_task *io_queue_take(struct io_queue *queue);

/* For ioengine.c and ioengine_ranges.c. The task's result is known; it is in flight until it is taken
 * by ioengine_finished. */
void ioengine_finish(struct ioengine *engine, struct io_task *task, int result);
/* Take a discard or zeroes over, from their beginning. */
void ioengine_ranges_prep(struct ioengine *engine, struct io_task *task);
/* Have a transfer's next segment moved; where it was interrupted, park or finish it. */
void ioengine_next_segment(struct ioengine *engine, struct io_task *task);
void ioengine_park(struct ioengine *engine, struct io_task *task);
/* Give what is prepared to the worker. */
void ioengine_ranges_submit(struct ioengine *engine);
/* Collect what the worker gives back; there is a worker. */
void ioengine_ranges_reap(struct ioengine *engine);

/* The segment to move now: at task->offset + task->done, all of *iov. Returns its pieces. */
unsigned int ioengine_segment(struct io_task *task, struct iovec **iov);

/* Its bytes, after that call. */
static inline int64_t ioengine_segment_len(const struct io_task *task)
{
	uint32_t left = task->len - task->done;

	return task->bounce || left > IOENGINE_SEGMENT_MAX ? (int64_t)task->seg.iov_len : left;
}

/* `res`: bytes moved or -errno. The task is then finished, or has been prepared again. */
void ioengine_segment_done(struct ioengine *engine, struct io_task *task, int64_t res);

/* Move the task's segment here and now; returns bytes moved or -errno. */
int64_t ioengine_segment_blocking(struct ioengine *engine, struct io_task *task);

#endif
