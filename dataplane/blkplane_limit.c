/* SPDX-License-Identifier: BSD-3-Clause */
/* A plane whose disk has a limit: none of this is called where there is none. */
#include "dataplane/base.h"
#include "dataplane/blkplane_parts.h"

void blkplane_limit_look(struct blkplane *p)
{
	p->now = monotonic_ns();
	p->spent = blklimit_due(p->config.limit, p->now);
}

void blkplane_limit_take(struct blkplane *p, const struct io_task *task)
{
	blklimit_take(p->config.limit, task, p->now);
	p->spent = blklimit_due(p->config.limit, p->now);
	p->held = false;
}

void blkplane_limit_hold(struct blkplane *p)
{
	/* A ring in which nothing waits sleeps as any other, and asks for a doorbell. */
	if (!vring_more(&p->ring))
		return;
	p->client.due = p->spent;
	if (p->held)
		return;
	p->held = true;
	blkstats_add(&p->config.stats->held, 1);
}

void blkplane_limit_learn(struct blkplane *p)
{
	p->limited = p->config.limit && blklimit_any(p->config.limit);
	p->spent = 0;
	p->held = false;
}
