/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/blkpolicy.h"

#include <errno.h>
#include <string.h>

/* A failed read may have filled part of the driver's buffers, so all of them are zeroed. */
static void blkpolicy_ignore(struct io_task *task)
{
	if (task->op == IO_READ) {
		ioengine_rewind(task);
		for (unsigned int i = 0; i < task->iov_count; i++)
			memset(task->iov[i].iov_base, 0, task->iov[i].iov_len);
	}
	task->result = 0;
}

bool blkpolicy_should_park(const struct blkpolicy *policy, struct io_task *task,
			   struct io_queue *parked)
{
	enum blkpolicy_action action = task->op == IO_READ ? policy->read : policy->write;
	/* An exhausted quota counts as a full file system. */
	bool no_room = task->result == -ENOSPC || task->result == -EDQUOT;

	if (action == BLKPOLICY_IGNORE)
		blkpolicy_ignore(task);
	if (action != BLKPOLICY_STOP && !(action == BLKPOLICY_ENOSPC && no_room))
		return false;
	if (task->op == IO_FLUSH && policy->cached)
		return false;
	io_queue_put(parked, task);
	return true;
}

void blkpolicy_repeat(struct io_queue *parked, struct ioengine *engine, bool stable)
{
	struct io_task *task;

	while ((task = io_queue_take(parked))) {
		ioengine_rewind(task);
		task->stable = task->op == IO_WRITE && stable;
		ioengine_prep(engine, task);
	}
}
