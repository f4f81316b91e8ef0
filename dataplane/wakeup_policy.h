/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * patience: when a dataplane thread shares an only processor with the vCPUs.
 *
 * Woken by a doorbell it would take the processor from the very vCPU that rang, and find one
 * request where the driver was about to leave many. A patient thread waits until no vCPU has
 * anything to do: one doorbell, one batch, one interrupt for all of them. For a driver that has one
 * request at a time patience only means that its vCPU goes to sleep in between; and where a vCPU
 * computes while it waits for a disk, that the disk waits as well.
 *
 * So both ways are tried, and what gets more done in the same time is kept. Plain arithmetic on
 * what it is told; one thread at a time uses it.
 */
#ifndef DATAPLANE_WAKEUP_POLICY_H
#define DATAPLANE_WAKEUP_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* So many wake-ups are judged together, */
#define WAKEUP_POLICY_SPAN 8u
/* and so many spans later the other way is tried, for one. At depth 1 patience costs a third, which
 * makes 0.5 %; with deep queues eagerness takes several times as long for a request, but what is
 * counted are wake-ups. */
#define WAKEUP_POLICY_EAGER_SPANS 64u
#define WAKEUP_POLICY_BATCH_SPANS 16u

/* Zeros to begin with. */
struct wakeup_policy {
	bool batch_class; /* how the thread is to be woken now */
	bool trial;	  /* for this span only */
	/* This span. */
	unsigned int taken; /* requests ... */
	unsigned int wakes; /* ... at so many wake-ups */
	uint64_t since;	    /* ns; 0: the next wake-up says */

	unsigned int spans; /* without a trial */
	uint64_t usual;	    /* what a request took in the last of them, ns */
};

/* The thread is about to sleep, at `now` ns, and has taken so many requests since it last did.
 * Returns ->patient. */
bool wakeup_policy_update(struct wakeup_policy *wakeup_policy, unsigned int taken, uint64_t now);

#endif
