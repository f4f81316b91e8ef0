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
	uint32_t done;	  /* bytes finished; iov starts at the next one, */
	uint32_t cut;	  /* that many bytes inside its first piece */
	void *bounce;	  /* buffer held, or NULL */
	struct iovec seg; /* the segment in the bounce buffer */
	bool needs_bounce;
	struct iocb iocb; /* libaio */
	struct ev_request uring;
	struct ioengine *engine; /* io_uring */

	/* Discard and write zeroes, in place of offset, len and iov; the caller's. */
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
	const struct thread_begin *worker_begin; /* see ioworker_create */
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
	bool stirred;		/* since the last submit something was prepared or finished */
	struct io_queue queued; /* for backends: prepared, not yet given to the kernel */
	struct io_queue finished;
	struct io_queue starved;  /* waiting for a bounce buffer */
	struct io_queue ranged;	  /* prepared, for the worker */
	struct ioworker *worker;  /* NULL until it is needed */
	unsigned int with_ranges; /* those in flight that discard or write zeroes */
	bool lost;		  /* the host has refused to say what has finished */
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
extern const struct ioengine_ops ioengine_sqpoll; /* the same over another loop */
/* Polls for reads and writes, as long as the image can; then turns into ioengine_uring. */
extern const struct ioengine_ops ioengine_iopoll;

/* -ENOMEM, or what the backend's open says (-EAGAIN: the host's aio-max-nr is used up; -ENOSYS).
 * Any thread. */
int ioengine_create(struct ioengine **engine, const struct ioengine_ops *ops,
		    const struct ioengine_config *config);

/* Nothing may be in flight, but for what is lost. */
void ioengine_destroy(struct ioengine *engine);

/* On the thread that uses the engine, before the first prep; again: nothing. */
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

/* Discards and zeroes that end from now on are, or are not, stable when they are finished. Also
 * while they are in flight. */
void ioengine_set_stable(struct ioengine *engine, bool stable);

/* The transfers in flight will never be reaped, because the host has refused it for good. */
static inline bool ioengine_lost(const struct ioengine *engine)
{
	const struct evloop *loop = engine->config.loop;

	return engine->lost || (loop->failed && loop->kind != EVLOOP_EPOLL);
}

/* Is nothing in flight, or nothing but discards and zeroes? Lost transfers do not count. */
static inline bool ioengine_transfers_done(const struct ioengine *engine)
{
	return engine->in_flight == engine->with_ranges || ioengine_lost(engine);
}

/* Is nothing in flight? Lost transfers do not count. */
static inline bool ioengine_drained(const struct ioengine *engine)
{
	return !engine->in_flight || (ioengine_lost(engine) && !engine->with_ranges);
}

/* Nobody wants the discards and zeroes in flight any more: those not yet begun fail with -ECANCELED,
 * and the others at their next step. */
void ioengine_hurry(struct ioengine *engine);

/* The next finished task, or NULL. Those that failed at once are here right after submit. */
struct io_task *ioengine_finished(struct ioengine *engine);

/* ---- for backends ---- */

/* First in, first out. An empty queue has head NULL, and tail pointing at head. */
void io_queue_put(struct io_queue *queue, struct io_task *task);
struct io_task *io_queue_take(struct io_queue *queue);

/* The segment to move now: at task->offset + task->done, all of *iov. Returns its pieces. */
unsigned int ioengine_segment(struct io_task *task, struct iovec **iov);

/* `res`: bytes moved or -errno. The task is then finished, or has been prepared again. */
void ioengine_segment_done(struct ioengine *engine, struct io_task *task, int64_t res);

/* Move the task's segment here and now; returns bytes moved or -errno. */
int64_t ioengine_segment_blocking(struct ioengine *engine, struct io_task *task);

#endif
