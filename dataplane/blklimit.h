/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blklimit: a disk's throttle, token buckets for IOPS and for bytes.
 *
 * The functions are integer arithmetic on times that the caller passes (CLOCK_MONOTONIC, ns); they
 * know neither rings nor threads.
 *
 * A bucket holds at most its burst and is refilled at its rate. A request is charged when it is
 * popped: one token of the operations bucket and one token per byte of the bytes bucket
 * (blklimit_take lists the exceptions). No request may be popped while a bucket has less than one
 * token. A request may cost more than the bucket has; the bucket is then in debt, and the refill
 * pays the debt first. A request larger than the burst is therefore not blocked forever.
 *
 * All queues of a disk, on any threads, share its buckets, first come, first served. The state of a
 * bucket is one atomic number, changed by compare-and-swap. Two queues may both see the last token
 * and both pop a request; the debt makes up for that.
 */
#ifndef DATAPLANE_BLKLIMIT_H
#define DATAPLANE_BLKLIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io_task.h"

/* Maximum of a rate (per second) and of a burst, in operations and in bytes. */
#define BLKLIMIT_IOPS_MAX 1000000000ull
#define BLKLIMIT_BPS_MAX  (1ull << 40)

/* Time for which an empty bucket is left to refill, so that a whole batch can be popped afterwards.
 * The wait is shorter if the bucket is full before, and longer if one token takes longer. */
#define BLKLIMIT_REFILL_NS 1000000u

/* The user's limits. A rate of 0 means no limit; a burst of 0 means the default, a tenth of the
 * rate. */
struct blklimit_rates {
	uint64_t iops, iops_burst; /* operations per second, operations; up to BLKLIMIT_IOPS_MAX */
	uint64_t bps, bps_burst;   /* bytes per second, bytes; up to BLKLIMIT_BPS_MAX */
};

/* A token bucket. Each member is accessed atomically. */
struct blklimit_bucket {
	uint64_t rate;	   /* tokens per second; 0: no limit */
	uint64_t burst_ns; /* time in which the empty bucket becomes full, ns */
	uint64_t full_at;  /* time at which the bucket is full; in debt if > now + burst_ns */
};

/* A structure of zeros has no limit. */
struct blklimit {
	struct blklimit_rates rates; /* bursts filled in; each member is atomic by itself */
	struct blklimit_bucket ops, bytes;
};

/* Replace bursts of 0 by their defaults. Returns false when a burst has no rate, or when a rate or
 * a burst exceeds its maximum. */
bool blklimit_fill_defaults(struct blklimit_rates *rates);

/*
 * Set the limits, effective at `now` and with full buckets. `rates` must have passed
 * blklimit_fill_defaults. Any thread may call this, one at a time, while other threads call
 * blklimit_take. The caller must make queues that wait for tokens check again
 * (blkplane_limit_changed).
 */
void blklimit_set(struct blklimit *limit, const struct blklimit_rates *rates, uint64_t now);

/* Read the limits that blklimit_set has set. Any thread. */
void blklimit_get(const struct blklimit *limit, struct blklimit_rates *rates);

/* True when at least one limit is set. Any thread. */
bool blklimit_any(const struct blklimit *limit);

/* Returns 0 when a request may be popped now, else the time (> `now`) at which to ask again. Any
 * thread. */
uint64_t blklimit_next_ns(const struct blklimit *limit, uint64_t now);

/*
 * Charge a popped request to the buckets. `task` is NULL for a request that needs no host I/O
 * (GET_ID, or one that is rejected). Such a request and a flush cost one operation; a read or a
 * write costs one operation and its bytes. A discard costs one operation per range and no bytes. A
 * write-zeroes costs one operation per range and the bytes of all ranges, because the host may have
 * to write them. Any thread.
 */
void blklimit_take(struct blklimit *limit, const struct io_task *task, uint64_t now);

#endif
