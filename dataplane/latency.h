/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * latency: a histogram of times, with the same relative precision for all of them. Fixed size; no state
 * but its own. As blkstats.h: one thread writes, any may read.
 *
 * Bucket i counts the times above latency_bound(i - 1) and up to latency_bound(i): first all up to 1024 ns,
 * then four to each power of two, up to 17 s; the last one has no bound.
 */
#ifndef DATAPLANE_LATENCY_H
#define DATAPLANE_LATENCY_H

#include <stdint.h>

#include "dataplane/base.h"

#define LATENCY_FIRST_LOG 10u /* 1024 ns */
#define LATENCY_LAST_LOG  34u /* 17.2 s */
#define LATENCY_BUCKETS	  (4u * (LATENCY_LAST_LOG - LATENCY_FIRST_LOG) + 2u)

struct latency {
	uint64_t sum; /* ns */
	uint64_t bucket[LATENCY_BUCKETS];
};

/* In ns; of the last one UINT64_MAX. */
uint64_t latency_bound(unsigned int bucket);

static inline unsigned int latency_bucket(uint64_t ns)
{
	uint64_t last = ns - 1; /* bounds belong to what is below them */
	unsigned int log;

	if (ns <= 1u << LATENCY_FIRST_LOG)
		return 0;
	log = 63u - (unsigned int)__builtin_clzll(last);
	if (log >= LATENCY_LAST_LOG)
		return LATENCY_BUCKETS - 1;
	return 4 * (log - LATENCY_FIRST_LOG) + (unsigned int)(last >> (log - 2) & 3) + 1;
}

/* `count` things took `ns` each. */
static inline void latency_add(struct latency *l, uint64_t ns, uint64_t count)
{
	uint64_t *bucket = &l->bucket[latency_bucket(ns)];

	WRITE_ONCE(*bucket, *bucket + count);
	WRITE_ONCE(l->sum, l->sum + ns * count);
}

/* How many it has. Of a copy, here and below. */
uint64_t latency_count(const struct latency *l);

/* The bound of the bucket that `permille` of 1000 are not above; of the last bucket the one before it. 0 when
 * there are none. */
uint64_t latency_quantile(const struct latency *l, unsigned int permille);

#endif
