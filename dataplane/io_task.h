/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io_task: one I/O operation on a disk image, and a queue of such operations.
 *
 * The plane embeds a task in each request slot. The engine, the worker thread and the backends fill
 * in and link the task while it is in flight; the comments in the struct name the owner of each
 * member. All functions are for the thread that uses the engine.
 */
#ifndef DATAPLANE_IO_TASK_H
#define DATAPLANE_IO_TASK_H

#include <libaio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dataplane/evloop.h"

struct ioengine;

/* Operations. IO_READ and IO_WRITE move data; those after IO_FLUSH are for the helper thread. */
enum io_op { IO_READ, IO_WRITE, IO_FLUSH, IO_DISCARD, IO_WRITE_ZEROES };
#define IO_OPS (IO_WRITE_ZEROES + 1)

/* Most ranges of one discard or write-zeroes task. */
#define IO_RANGES_MAX 16

struct io_range {
	uint64_t offset; /* position in the image, bytes */
	uint32_t len;	 /* bytes, > 0 */
	bool unmap;	 /* write-zeroes: the host may deallocate the blocks */
};

/* Reasons for which a transfer is more than a number of segments of its memory. One test on the hot
 * path serves all of them. */
enum io_special {
	IO_BOUNCE = 1 << 0,  /* it goes through a bounce buffer */
	IO_OVERLAY = 1 << 1, /* ephemeral disk: each segment has to be looked up */
	IO_COPY = 1 << 2,    /* ephemeral disk: the copy of a block, not a task of the user */
};

struct io_task {
	/* Set by the caller before ioengine_prep. offset, len, iov and iov_count are for reads and
	 * writes only. */
	enum io_op op;
	bool stable;	   /* write: on stable storage when it completes (writethrough) */
	uint64_t offset;   /* position in the image, bytes */
	uint32_t len;	   /* bytes, > 0 */
	struct iovec *iov; /* covers len bytes exactly; the engine changes it */
	unsigned int iov_count;

	/* Set when ioengine_finished returns the task: 0 or -errno. A failed read may have written
	 * to a part of its memory. */
	int result;

	/*
	 * Private to the engine, down to `engine`. `claimed` to `awaited` are for ephemeral disks
	 * (ioengine_overlay.c). The order allows the compiler to set several members by one store.
	 */
	struct io_task *next;
	uint32_t done;		    /* bytes finished (discard, zeroes: of range[range_at]) */
	uint32_t cut;		    /* finished bytes that were cut off the front of iov[0] */
	uint32_t limit;		    /* most bytes of the next segment */
	unsigned int claimed;	    /* blocks that the task has claimed, from `claim` on */
	void *bounce;		    /* buffer held, or NULL */
	struct io_task *copied_for; /* IO_COPY: the write for which the block is copied */
	uint64_t claim;
	uint64_t awaited; /* block whose claim by another task this one waits for */
	struct iovec seg; /* the current segment, if it is not all of iov */
	uint8_t special;  /* a set of enum io_special; 0: a transfer without any */
	bool base;	  /* the segment is read from the base of an ephemeral disk */
	struct iocb iocb; /* libaio's control block */
	/* io_uring: the request on the loop's ring, and the engine that its completion is for. */
	struct ev_request uring;
	struct ioengine *engine;

	/* Discards and write-zeroes use these members in place of offset, len and iov. range_at
	 * belongs to the engine; the caller sets the others. */
	unsigned int range_at; /* all ranges before this one are finished */
	unsigned int range_count;
	struct io_range range[IO_RANGES_MAX];
};

/* A FIFO list of tasks. An empty list has a NULL head, and its tail points at head. */
struct io_queue {
	struct io_task *head;
	struct io_task **tail;
};

/* Appends a task to the queue. */
static inline void io_queue_put(struct io_queue *q, struct io_task *task)
{
	task->next = NULL;
	*q->tail = task;
	q->tail = &task->next;
}

/* Removes and returns the first task of the queue; NULL if it is empty. */
static inline struct io_task *io_queue_take(struct io_queue *q)
{
	struct io_task *task = q->head;

	if (task) {
		q->head = task->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return task;
}

#endif
