/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkpolicy: what becomes of a task that the host failed in, by its disk's rerror and werror
 * (microvm(1)): the driver hears of it, does not, or the task is kept and later repeated. Knows
 * neither rings nor threads.
 */
#ifndef DATAPLANE_BLKPOLICY_H
#define DATAPLANE_BLKPOLICY_H

#include <stdbool.h>

#include "dataplane/ioengine.h"

enum blkpolicy_action {
	BLKPOLICY_REPORT,
	BLKPOLICY_STOP,
	BLKPOLICY_ENOSPC, /* stop if the host has no room, else report */
	BLKPOLICY_IGNORE, /* as if it had been done; what was to be read is zeros */
};

struct blkpolicy {
	enum blkpolicy_action read;
	enum blkpolicy_action write; /* also flushes, discards and zeroes */
	/* The host's page cache is in between. Who asks it tells of a lost write once: a flush that
	 * is repeated would succeed without the data. So none is kept. */
	bool cached;
};

/*
 * `task` has failed. True: it is to be kept, and is put into *kept. False: it is to be finished with
 * its result, which is 0 when the failure is ignored.
 */
bool blkpolicy_should_park(const struct blkpolicy *policy, struct io_task *task,
			   struct io_queue *parked);

/* Prepare all of them again, from their beginning and in the order in which they failed; writes get
 * the `stable` of now. The engine has room. */
void blkpolicy_repeat(struct io_queue *parked, struct ioengine *engine, bool stable);

#endif
