/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adaptive_poll: how long a dataplane thread busy-polls before it sleeps.
 *
 * The functions only compute on their arguments and on the structure, which belongs to one thread.
 * All times are in nanoseconds.
 *
 * There are two polling windows. The long window spends CPU time to reduce latency: it grows while
 * sleeps are short, up to the maximum that the user allows, which may be 0. The brief window of
 * POLL_MIN_NS saves CPU time as well: a sleep and a wake-up cost about that much, so polling is
 * cheaper whenever work arrives within the window. Work is either new requests of the driver or
 * completions from the host; for each of these two kinds, a brief poll that finds nothing makes
 * later brief polls less frequent (exponential backoff).
 */
#ifndef DATAPLANE_ADAPTIVE_POLL_H
#define DATAPLANE_ADAPTIVE_POLL_H

#include <stdbool.h>
#include <stdint.h>

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

/* Time to poll before the sleep that is about to begin; 0: do not poll. */
uint64_t adaptive_poll_budget(struct adaptive_poll *l, enum poll_target what);

/* Report whether the poll that adaptive_poll_budget allowed found work. */
void adaptive_poll_polled(struct adaptive_poll *l, enum poll_target what, bool found);

/* Report the length of a sleep that has ended. Not needed while poll_ns is 0. */
void adaptive_poll_slept(struct adaptive_poll *l, uint64_t slept);

#endif
