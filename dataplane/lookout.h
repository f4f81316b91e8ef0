/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lookout: how long a dataplane thread looks on for work before it sleeps. Pure arithmetic over
 * what it has been told; one thread's. Times in nanoseconds.
 *
 * There are two windows. The long one costs processor time to save waiting time: it grows while
 * sleeps are short, up to what the user allows, which may be nothing. The brief one saves processor
 * time as well: falling asleep and being woken costs about as much as looking for LOOKOUT_BRIEF,
 * so whoever is woken sooner than that had better looked. What comes may be the driver's next
 * requests or the host's answers; for each of them a brief look in vain makes the next ones rarer.
 */
#ifndef DATAPLANE_LOOKOUT_H
#define DATAPLANE_LOOKOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LOOKOUT_BRIEF 5000u
/* The long window once it pays. */
#define LOOKOUT_FIRST 4000u
/* So many brief looks are left out at most until the next one. */
#define LOOKOUT_SKIPS 31u

/* What is expected to come. */
enum lookout_for { LOOKOUT_ANSWERS, LOOKOUT_REQUESTS };

struct lookout {
	uint64_t poll_ns;   /* the long window, at most; 0: none. Set by the owner */
	uint64_t window_ns; /* the long window just now */
	struct {
		unsigned int vain; /* left out after the last one */
		unsigned int skip; /* still to be left out */
	} brief[2];		   /* by enum lookout_for */
};

/* About to sleep: look for so long before. 0: not at all. */
uint64_t lookout_window(struct lookout *l, enum lookout_for what);

/* It was looked that long; was something found? */
void lookout_looked(struct lookout *l, enum lookout_for what, bool found);

/* So long was slept. Matters only where poll_ns is not 0. */
void lookout_slept(struct lookout *l, uint64_t slept);

#endif
