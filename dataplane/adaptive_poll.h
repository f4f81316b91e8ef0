/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adaptive_poll: how long a dataplane thread looks on for work before it sleeps. Pure arithmetic over
 * what it has been told; one thread's. Times in nanoseconds.
 *
 * There are two windows. The long one costs processor time to save waiting time: it grows while
 * sleeps are short, up to what the user allows, which may be nothing. The brief one saves processor
 * time as well: falling asleep and being woken costs about as much as looking for POLL_MIN_NS,
 * so whoever is woken sooner than that had better looked. What comes may be the driver's next
 * requests or the host's answers; for each of them a brief look in vain makes the next ones rarer.
 */
#ifndef DATAPLANE_ADAPTIVE_POLL_H
#define DATAPLANE_ADAPTIVE_POLL_H

#include <stdbool.h>
#include <stdint.h>

#define POLL_MIN_NS 5000u
/* The long window once it pays. */
#define POLL_START_NS 4000u
/* So many brief looks are left out at most until the next one. */
#define POLL_BACKOFF_MAX 31u

/* What is expected to come. */
enum poll_target { POLL_COMPLETIONS, POLL_REQUESTS };

struct adaptive_poll {
	uint64_t poll_ns;     /* the long window, at most; 0: none. Set by the owner */
	uint64_t poll_ns_now; /* the long window just now */
	struct {
		unsigned int fruitless; /* left out after the last one */
		unsigned int skip;	/* still to be left out */
	} brief[2];			/* by enum poll_target */
};

/* About to sleep: look for so long before. 0: not at all. */
uint64_t adaptive_poll_budget(struct adaptive_poll *l, enum poll_target what);

/* It was looked that long; was something found? */
void adaptive_poll_polled(struct adaptive_poll *l, enum poll_target what, bool found);

/* So long was slept. Matters only where poll_ns is not 0. */
void adaptive_poll_slept(struct adaptive_poll *l, uint64_t slept);

#endif
