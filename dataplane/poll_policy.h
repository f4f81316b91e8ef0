/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll_policy: adaptive polling, wake-up preemption and inline I/O of a dataplane thread.
 *
 * Three policies trade the CPU time of the thread for latency. Each measures the cost of its
 * previous decisions and adapts, without access to rings, engines or the event loop:
 *
 *	adaptive_poll	how long the thread busy-polls before it sleeps, on several CPUs
 *	wakeup_policy	whether a wake-up preempts the vCPU, on a single CPU, without polling
 *	inline_io	whether a request is executed by a system call that may block
 *
 * The first two belong to a thread, the third to a queue. The functions only compute on their
 * arguments and on the structure, which one thread at a time may use. All times are in nanoseconds.
 */
#ifndef DATAPLANE_POLL_POLICY_H
#define DATAPLANE_POLL_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* ---- adaptive_poll: how long to busy-poll before a sleep ---- */

/*
 * There are two polling windows. The long window spends CPU time to reduce latency: it grows while
 * sleeps are short, up to the maximum that the user allows, which may be 0. The brief window of
 * POLL_MIN_NS saves CPU time as well: a sleep and a wake-up cost about that much, so polling is
 * cheaper whenever work arrives within the window. Work is either new requests of the driver or
 * completions from the host; for each of these two kinds, a brief poll that finds nothing makes
 * later brief polls less frequent (exponential backoff).
 */

/* Length of the brief polling window. */
#define POLL_MIN_NS 5000u
/* First value of the long window when it opens. A long window below POLL_MIN_NS is used only where
 * the backoff skips the brief poll. */
#define POLL_START_NS 4000u
/* Largest number of consecutive brief polls that the backoff skips. */
#define POLL_BACKOFF_MAX 31u

/* The kind of work that a poll is expected to find. */
enum poll_target { POLL_COMPLETIONS, POLL_REQUESTS };

struct adaptive_poll {
	uint64_t poll_ns;     /* maximum of the long window, set by the owner; 0: no long window */
	uint64_t poll_ns_now; /* current length of the long window; 0: closed */
	struct {
		unsigned int fruitless; /* backoff: brief polls to skip after the latest poll */
		unsigned int skip;	/* brief polls still to be skipped */
	} brief[2];			/* indexed by enum poll_target */
};

/* Returns the time to poll before the sleep that is about to begin; 0: do not poll. */
uint64_t adaptive_poll_budget(struct adaptive_poll *poll, enum poll_target what);

/* Report whether the poll that adaptive_poll_budget allowed found work. */
void adaptive_poll_polled(struct adaptive_poll *poll, enum poll_target what, bool found);

/* Report the length of a sleep that has ended. Not needed while poll_ns is 0. */
void adaptive_poll_slept(struct adaptive_poll *poll, uint64_t slept);

/* ---- wakeup_policy: SCHED_OTHER or SCHED_BATCH on a single CPU ---- */

/*
 * This matters when a dataplane thread shares one CPU with the vCPUs. A SCHED_OTHER thread that a
 * doorbell wakes preempts the vCPU that rang it, and finds one request where the driver was about
 * to submit many. A SCHED_BATCH thread does not preempt: it runs when the vCPUs are idle, and then
 * serves one doorbell, one batch and one interrupt for all the requests. With a driver at queue
 * depth 1, SCHED_BATCH only adds a sleep of the vCPU to each request; with a vCPU that computes
 * while it waits for its disk, SCHED_BATCH keeps the disk idle as well. The policy therefore tries
 * both classes and keeps the one that takes less time per request.
 */

/* Length of a measuring span, in wake-ups that popped requests. */
#define WAKEUP_POLICY_SPAN 8u
/*
 * Number of spans in SCHED_OTHER (eager) and in SCHED_BATCH after which the other class is tried
 * for one span. A trial of SCHED_BATCH ends early, at the first wake-up that shows it to be worse:
 * with a vCPU that computes, a wake-up waits for the scheduler's next tick, up to 4 ms at 250 Hz.
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

/* ---- inline_io: whether a synchronous preadv or pwritev replaces the engine ---- */

/*
 * At queue depth 1, on a file whose I/O does not block (in the page cache, for instance), a
 * synchronous system call is faster than the asynchronous engine. As soon as a second request is in
 * flight, requests go to the engine again. The functions are inline because every request calls
 * one.
 */

/*
 * Inline I/O begins after INLINE_IO_MIN_STREAK consecutive requests at queue depth 1. A call that
 * takes longer than INLINE_IO_FAST_NS has waited for a device: inline I/O then ends, and the streak
 * required for the next attempt doubles, up to INLINE_IO_MAX_STREAK. All streaks are powers of two.
 */
#define INLINE_IO_MIN_STREAK 32u
#define INLINE_IO_MAX_STREAK 65536u
#define INLINE_IO_FAST_NS    10000u

struct inline_io {
	unsigned int row;  /* length of the present streak at queue depth 1, at most `wait` */
	unsigned int wait; /* streak required for inline I/O; initially INLINE_IO_MIN_STREAK */
};

/* Called for each request, before it is submitted. Returns true when the caller should execute it
 * synchronously and then call inline_io_report. */
static inline bool inline_io_should_try(struct inline_io *io, bool others_in_flight)
{
	io->row = others_in_flight ? 0 : io->row + 1;
	if (io->row <= io->wait)
		return false;
	io->row = io->wait;
	return true;
}

/*
 * Report a synchronous call: its duration in ns, and in `more` whether the ring has new requests
 * after it. The driver has not yet seen this request completed, so a new one means a queue depth
 * above 1.
 */
static inline void inline_io_report(struct inline_io *io, uint64_t ns, bool more)
{
	if (ns <= INLINE_IO_FAST_NS) {
		io->wait = INLINE_IO_MIN_STREAK;
	} else {
		io->row = 0;
		/* Double the streak up to INLINE_IO_MAX_STREAK; relies on powers of two. */
		io->wait = (2 * io->wait - 1) % INLINE_IO_MAX_STREAK + 1;
	}
	if (more)
		io->row = 0;
}

#endif
