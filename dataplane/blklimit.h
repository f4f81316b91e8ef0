/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blklimit: how much a disk's driver may ask for: a token bucket of operations and one of bytes. Plain
 * integer arithmetic over the time that it is told (CLOCK_MONOTONIC, ns); knows neither rings nor threads.
 *
 * A bucket holds up to its burst and is filled at its rate. Each request takes an operation and its bytes
 * when it is taken off the ring; none is taken while a bucket has less than one token. What is asked for
 * may be more than is there: then the bucket is in debt, and has to be filled up first, so that a request
 * larger than the burst passes as any other.
 *
 * The queues of a disk, on whatever threads, share its buckets: first come, first served. A bucket's state
 * is one atomic number, which they change by compare-and-swap. Two of them may find the last token at once,
 * and both take it: the debt evens that out.
 */
#ifndef DATAPLANE_BLKLIMIT_H
#define DATAPLANE_BLKLIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ioengine.h"

#define BLKLIMIT_IOPS_MAX 1000000000ull
#define BLKLIMIT_BPS_MAX  (1ull << 40)

/* An empty bucket is let alone for so long, so that there is something for a whole batch: but no longer
 * than it takes to be full, and at least for one token. */
#define BLKLIMIT_REFILL_NS 1000000u

/* What the user says; per second. 0: no limit, and of a burst: the default, a tenth of a second's worth. */
struct blklimit_rates {
	uint64_t iops, iops_burst; /* up to BLKLIMIT_IOPS_MAX */
	uint64_t bps, bps_burst;   /* bytes; up to BLKLIMIT_BPS_MAX */
};

/* All atomic. */
struct blklimit_bucket {
	uint64_t rate;	   /* tokens a second; 0: no limit */
	uint64_t burst_ns; /* an empty one takes so long to be full */
	uint64_t full_at;  /* when it will be full; later than that from now: it is in debt */
};

/* Zeros: no limit. */
struct blklimit {
	struct blklimit_rates rates; /* as settled; atomic, each by itself */
	struct blklimit_bucket ops, bytes;
};

/* Fill in the bursts that were not given. False: a burst without its rate, or more than there may be. */
bool blklimit_fill_defaults(struct blklimit_rates *rates);

/* From now on, with full buckets; `rates` are settled. Any thread, one at a time, beside those that take:
 * who has been waiting has to look again. */
void blklimit_set(struct blklimit *limit, const struct blklimit_rates *rates, uint64_t now);

/* What was set. Any thread. */
void blklimit_get(const struct blklimit *limit, struct blklimit_rates *rates);

/* Is there any limit? Any thread. */
bool blklimit_any(const struct blklimit *limit);

/* 0: a request may be taken now. Else when to look again, which is later than `now`. Any thread. */
uint64_t blklimit_next_ns(const struct blklimit *limit, uint64_t now);

/*
 * A request has been taken. NULL: one that the host need not be asked for (its id, or what is refused
 * at once). It is one operation; reads and writes are their bytes as well. A flush has none. A discard moves
 * none: each range is an operation. Zeroes are an operation for each range and all of their bytes, since
 * the host may have to write them. Any thread.
 */
void blklimit_take(struct blklimit *limit, const struct io_task *task, uint64_t now);

#endif
