/* SPDX-License-Identifier: BSD-3-Clause */
/* The throttle of a plane: when its disk's token buckets (blklimit) allow it to pop requests. */
#include "dataplane/base.h"
#include "dataplane/blkplane_internal.h"

void blkplane_throttle_check(struct blkplane *p)
{
	p->now = monotonic_ns();
	p->throttled_until = blklimit_next_ns(p->config.limit, p->now);
}

void blkplane_throttle_charge(struct blkplane *p, const struct io_task *task)
{
	blklimit_take(p->config.limit, task, p->now);
	p->throttled_until = blklimit_next_ns(p->config.limit, p->now);
	p->throttled = false;
}

void blkplane_throttle_wait(struct blkplane *p)
{
	/* An empty ring needs no timer: the thread enables its doorbell before it sleeps, so that
	 * a new request wakes the thread. */
	if (!vring_has_avail(&p->ring))
		return;
	p->client.due = p->throttled_until;
	if (p->throttled)
		return;
	p->throttled = true;
	blkstats_add(&p->config.stats->throttled, 1);
}

void blkplane_throttle_reload(struct blkplane *p)
{
	p->has_limit = p->config.limit && blklimit_any(p->config.limit);
	p->throttled_until = 0;
	p->throttled = false;
}
