/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wakeup_policy: choice between SCHED_OTHER and SCHED_BATCH on a single CPU.
 *
 * This matters when a dataplane thread shares one CPU with the vCPUs. A SCHED_OTHER thread that a
 * doorbell wakes preempts the vCPU that rang it, and finds one request where the driver was about
 * to submit many. A SCHED_BATCH thread does not preempt: it runs when the vCPUs are idle, and then
 * serves one doorbell, one batch and one interrupt for all the requests. With a driver at queue
 * depth 1, SCHED_BATCH only adds a sleep of the vCPU to each request; with a vCPU that computes
 * while it waits for its disk, SCHED_BATCH keeps the disk idle as well.
 *
 * The policy therefore tries both classes and keeps the one that takes less time per request. It
 * only computes on its arguments and on the structure, which one thread at a time may use.
 */
#ifndef DATAPLANE_WAKEUP_POLICY_H
#define DATAPLANE_WAKEUP_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* Length of a measuring span, in wake-ups that popped requests. */
#define WAKEUP_POLICY_SPAN 8u
/*
 * Number of spans in SCHED_OTHER (eager) and in SCHED_BATCH after which the other class is tried
 * for one span. At queue depth 1 a span in SCHED_BATCH takes a third longer, 0.5 % of the total.
 * With deep queues a request takes several times as long in SCHED_OTHER; but a span is counted in
 * wake-ups, so a trial in that class covers few requests.
 */
#define WAKEUP_POLICY_EAGER_SPANS 64u
#define WAKEUP_POLICY_BATCH_SPANS 16u

/* The caller initializes the structure with zeros, which selects SCHED_OTHER. */
struct wakeup_policy {
	bool batch_class; /* true: SCHED_BATCH is the class to use; false: SCHED_OTHER */
	bool trial;	  /* batch_class is being tried out, for the current measuring span only */
	unsigned int taken; /* requests popped in the current span */
	unsigned int wakes; /* wake-ups in the current span that popped requests */
	uint64_t since;	    /* start of the current span, ns; 0: before the first span */

	unsigned int spans; /* measuring spans in the present class that were no trials */
	uint64_t usual;	    /* time per request, ns, in the last measuring span that was no trial */
};

/* Called when the thread is about to sleep, at `now` ns (CLOCK_MONOTONIC), with the number of
 * requests popped since its previous sleep. Returns the new batch_class. */
bool wakeup_policy_update(struct wakeup_policy *wakeup_policy, unsigned int taken, uint64_t now);

#endif
