/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkpolicy: a disk's error policy, the options rerror and werror (microvm(1)).
 *
 * The policy decides whether an I/O error of the host is reported to the driver, is ignored, or
 * makes the task a parked one, which is repeated later. The functions know neither rings nor
 * threads; the caller passes the queue of parked tasks, which it owns.
 */
#ifndef DATAPLANE_BLKPOLICY_H
#define DATAPLANE_BLKPOLICY_H

#include <stdbool.h>

#include "dataplane/ioengine.h"

enum blkpolicy_action {
	BLKPOLICY_REPORT, /* the request fails with VIRTIO_BLK_S_IOERR */
	BLKPOLICY_STOP,	  /* the task is parked, and the plane pauses */
	BLKPOLICY_ENOSPC, /* stop on -ENOSPC and -EDQUOT, report other errors */
	BLKPOLICY_IGNORE, /* the request succeeds; a read returns zeros */
};

struct blkpolicy {
	enum blkpolicy_action read;
	enum blkpolicy_action write; /* also flushes, discards and zeroes */
	/*
	 * The image is accessed through the host's page cache. The kernel reports a lost write to
	 * only one fsync, and a repeated flush would succeed without the data, so failed flushes
	 * are not parked.
	 */
	bool cached;
};

/*
 * Decide about a task that has failed (task->result is -errno). True: the task has been appended to
 * *parked. False: the caller must finish the task with its result, which this function has set to 0
 * if the error is ignored.
 */
bool blkpolicy_should_park(const struct blkpolicy *policy, struct io_task *task,
			   struct io_queue *parked);

/*
 * Prepare all parked tasks again, each from its beginning, in the order in which they failed.
 * `stable` is the present cache mode of writes (true: writethrough). The engine must have room for
 * all of them.
 */
void blkpolicy_repeat(struct io_queue *parked, struct ioengine *engine, bool stable);

#endif
