/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioranges: discards and zeroes of one image, done here and now by blocking calls: fallocate, and
 * for devices BLKDISCARD. No asynchronous interface of the host has them all, so that whoever calls
 * this should have time (ioworker.h).
 *
 * A discard is a hint: where the host has no way to do it, it is done. Zeroes are written where
 * there is no quicker way. The image never grows, even when it was truncated meanwhile: what is
 * behind its end reads as zeros. Long ranges are done in steps; between two steps the caller can
 * cancel the task, or have it interrupted and go on with it later.
 */
#ifndef DATAPLANE_IORANGES_H
#define DATAPLANE_IORANGES_H

#include <stdbool.h>
#include <stdint.h>

#define IORANGES_MAX 16

struct io_range {
	uint64_t offset; /* in the image, bytes */
	uint32_t len;	 /* bytes, > 0 */
	bool unmap;	 /* zeroes: the host may give the blocks back */
};

struct io_task;

struct ioranges {
	/* Set by the owner before the first use. */
	int fd;
	uint32_t device_block; /* a block device's logical block, bytes; 0: a file */
	uint32_t direct_align; /* O_DIRECT's alignment; 1: none */

	/* For any thread. */
	bool stable; /* atomic; what ends from now on is on stable storage by then */
	bool cancel; /* atomic; stop at the next step, with -ECANCELED */
	bool hold;   /* atomic; the same with IORANGES_PARKED; hurry takes precedence */

	/* What the host turned out not to have is not asked for again. */
	bool no_discard;
	bool no_punch;
	bool no_zero_range;
};

#define IORANGES_PARKED 1

/*
 * Do all ranges of a discard or write-zeroes task in their order, from task->range_at and task->done
 * on; both are 0 in a new task. Returns 0; or -errno, and then any part may have been done; or
 * IORANGES_PARKED: another call with the same task does the rest. One thread at a time.
 */
int ioranges_run(struct ioranges *ranges, struct io_task *task);

#endif
