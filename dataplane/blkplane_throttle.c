/* SPDX-License-Identifier: BSD-3-Clause */
/* A plane whose disk has a limit: none of this is called where there is none. */
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
	/* A ring in which nothing waits sleeps as any other, and asks for a doorbell. */
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
