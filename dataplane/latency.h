/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * latency: a log-linear histogram of latencies, of fixed size.
 *
 * One thread writes a histogram, and any thread may read it. A reader copies it with a READ_ONCE
 * for each field, and may see a sum that does not fit the buckets.
 *
 * Bucket i counts the times t with latency_bound(i - 1) < t <= latency_bound(i), in nanoseconds.
 * Bucket 0 counts all times up to 1024 ns. Four buckets for each power of two follow, up to 17 s;
 * the last bucket counts all longer times.
 */
#ifndef DATAPLANE_LATENCY_H
#define DATAPLANE_LATENCY_H

#include <stdint.h>

#include "dataplane/base.h"

#define LATENCY_FIRST_LOG 10u /* 1024 ns */
#define LATENCY_LAST_LOG  34u /* 17.2 s */
#define LATENCY_BUCKETS	  (4u * (LATENCY_LAST_LOG - LATENCY_FIRST_LOG) + 2u)

struct latency {
	uint64_t sum;			  /* sum of all times, ns */
	uint64_t bucket[LATENCY_BUCKETS]; /* number of times */
};

/* The upper bound of a bucket in ns, which the bucket includes. UINT64_MAX for the last bucket. */
uint64_t latency_bound(unsigned int bucket);

/* The bucket that counts a time of `ns`. */
static inline unsigned int latency_bucket(uint64_t ns)
{
	uint64_t last = ns - 1; /* a bucket includes its upper bound */
	unsigned int log;

	if (ns <= 1u << LATENCY_FIRST_LOG)
		return 0;
	log = 63u - (unsigned int)__builtin_clzll(last);
	if (log >= LATENCY_LAST_LOG)
		return LATENCY_BUCKETS - 1;
	return 4 * (log - LATENCY_FIRST_LOG) + (unsigned int)(last >> (log - 2) & 3) + 1;
}

/* Adds `count` times of `ns` each. */
static inline void latency_add(struct latency *l, uint64_t ns, uint64_t count)
{
	uint64_t *bucket = &l->bucket[latency_bucket(ns)];

	WRITE_ONCE(*bucket, *bucket + count);
	WRITE_ONCE(l->sum, l->sum + ns * count);
}

/* The number of times in a histogram. `l` must be a copy that no thread writes. */
uint64_t latency_count(const struct latency *l);

/*
 * An upper bound in ns of the fastest `permille` / 1000 of the times: the bound of the bucket that
 * contains this quantile. For the last bucket, which has no bound, its lower bound. 0 for an empty
 * histogram. `l` must be a copy that no thread writes.
 */
uint64_t latency_quantile(const struct latency *l, unsigned int permille);

#endif
