/* SPDX-License-Identifier: BSD-3-Clause */
/* Latency measurement of a plane. The clock is read once per batch, not once per request. */
#include "dataplane/blkplane_internal.h"

void blkplane_times_take(struct blkplane *p, struct slot *slot)
{
	if (!p->times.taken)
		p->times.taken = monotonic_ns();
	slot->next = p->times.batch;
	p->times.batch = slot;
}

/* Returns how long requests submitted at `now` were in the ring and the batch, ns: since an earlier
 * batch left them in the ring, else since `taken`, when the first of them was popped. */
static uint64_t blkplane_times_waited(const struct blkplane *p, uint64_t taken, uint64_t now)
{
	return now - (p->times.left ? p->times.left : taken);
}

void blkplane_times_run(struct blkplane *p, struct slot *slot, uint64_t now)
{
	slot->begun = now;
	latency_add(&p->config.latency->ring, blkplane_times_waited(p, now, now), 1);
	p->times.left = 0;
}

void blkplane_times_submit(struct blkplane *p)
{
	uint64_t now = monotonic_ns(), count = 0;

	for (struct slot *slot = p->times.batch; slot; slot = slot->next) {
		slot->begun = now;
		count++;
	}
	latency_add(&p->config.latency->ring, blkplane_times_waited(p, p->times.taken, now), count);
	p->times.batch = NULL;
	p->times.taken = p->times.left = 0;
}

void blkplane_times_end_batch(struct blkplane *p)
{
	if (!vring_has_avail(&p->ring))
		p->times.left = 0;
	else if (!p->times.left)
		p->times.left = monotonic_ns();
}

void blkplane_times_reap(struct blkplane *p, const struct slot *slot)
{
	if (!p->times.reaped)
		p->times.reaped = monotonic_ns();
	if (!p->times.answers++)
		p->times.unanswered = p->times.reaped;
	latency_add(&p->config.latency->engine[slot->task.op], p->times.reaped - slot->begun, 1);
}

void blkplane_times_answer(struct blkplane *p)
{
	latency_add(&p->config.latency->answer, monotonic_ns() - p->times.unanswered,
		    p->times.answers);
	p->times.answers = 0;
}
