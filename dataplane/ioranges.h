/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioranges: synchronous discards and write-zeroes on one image.
 *
 * The ranges are processed by blocking calls: fallocate, BLKDISCARD for block devices, and pwrite.
 * No asynchronous interface of the host supports them all, so a helper thread makes these calls
 * (ioworker.h).
 *
 * A discard is a hint: it succeeds without effect where the host does not support it. Zeroes are
 * written by pwrite where the host has no faster way. The image never grows, even if it has been
 * truncated meanwhile: bytes beyond its end read as zeros. Long ranges are processed in steps;
 * between two steps the caller can cancel the task, or interrupt it and continue it later.
 */
#ifndef DATAPLANE_IORANGES_H
#define DATAPLANE_IORANGES_H

#include <stdbool.h>
#include <stdint.h>

struct io_task;
struct overlay;

struct ioranges {
	/* The owner sets fd, device_block and direct_align before the first use. */
	int fd;
	uint32_t device_block;	 /* a block device's logical block size in bytes; 0: a file */
	uint32_t direct_align;	 /* O_DIRECT's alignment in bytes; 1: none */
	struct overlay *overlay; /* of an ephemeral disk; else NULL */
	int base_fd;		 /* its base, with the same alignment */

	/* Any thread may write stable, cancel and hold. */
	bool stable; /* atomic; tasks that finish from now on are on stable storage */
	bool cancel; /* atomic; tasks fail with -ECANCELED at their next step */
	bool hold;   /* atomic; tasks return IORANGES_PARKED; cancel takes precedence */

	/* Set by the owner: ioranges_run returns after each step, as if a hold had been set in
	 * between. */
	bool stepwise;

	/* Private: each flag is set when the host has refused an operation as unsupported, which is
	 * then not tried again. */
	bool no_discard;
	bool no_punch;
	bool no_zero_range;
};

/* Result of ioranges_run for a task that a hold, or the end of a step, has interrupted. */
#define IORANGES_PARKED 1
/* Result of ioranges_run for a task that has to wait until another one ends its claim of the block
 * task->awaited (overlay_wait). */
#define IORANGES_BLOCKED 2

/*
 * Processes all ranges of a discard or write-zeroes task in order, starting at task->range_at and
 * task->done, which are both 0 in a new task. Returns 0; -errno, after which any part of the ranges
 * may have been processed; or IORANGES_PARKED or IORANGES_BLOCKED, after which another call with the
 * same task continues it. One thread at a time.
 */
int ioranges_run(struct ioranges *ranges, struct io_task *task);

#endif
