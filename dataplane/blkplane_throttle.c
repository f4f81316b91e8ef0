/* SPDX-License-Identifier: BSD-3-Clause */
/* The throttle of a plane: when its disk's token buckets (blklimit) allow it to pop requests. */
#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"

static void blkplane_throttle_update(struct blkplane *p)
{
	p->throttle.until = blklimit_next_ns(p->config.limit, p->throttle.now);
	if (p->throttle.until)
		p->blocked |= BLOCKED_THROTTLE;
}

void blkplane_throttle_check(struct blkplane *p)
{
	p->throttle.now = monotonic_ns();
	blkplane_throttle_update(p);
}

void blkplane_throttle_charge(struct blkplane *p, const struct io_task *task)
{
	blklimit_take(p->config.limit, task, p->throttle.now);
	blkplane_throttle_update(p);
	p->throttle.counted = false;
}

void blkplane_throttle_wait(struct blkplane *p)
{
	/* An empty ring needs no timer: the thread enables its doorbell before it sleeps, so that
	 * a new request wakes the thread. */
	if (!vring_has_avail(&p->ring)) {
		p->blocked &= ~BLOCKED_THROTTLE;
		return;
	}
	p->client.due = p->throttle.until;
	if (p->throttle.counted)
		return;
	p->throttle.counted = true;
	blkstats_add(&p->config.stats->throttled, 1);
}

void blkplane_throttle_reload(struct blkplane *p)
{
	p->throttle = (struct plane_throttle){
		.active = p->config.limit && blklimit_any(p->config.limit),
	};
}
