/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkstats: what a queue has seen so far, also in earlier lives. The thread that serves it writes; any
 * thread may read, each field by itself (READ_ONCE), so that sums need not agree. Nothing else is on the
 * same cache lines. Inline, for the hot path: adding to a counter is a load and a store.
 */
#ifndef DATAPLANE_BLKSTATS_H
#define DATAPLANE_BLKSTATS_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "dataplane/blkreq.h"
#include "dataplane/latency.h"

/* Sizes of batches by powers of two: 1, 2 to 3, 4 to 7, ... up to a whole ring of the largest. */
#define BLKSTATS_BATCHES 11

struct blkstats_op {
	uint64_t requests; /* finished and told to the driver, well or not */
	uint64_t failed;   /* those of them that were told to have failed, or are not supported */
	uint64_t bytes;	   /* of those that did not fail: read, written, discarded or zeroed */
};

/* uint64_t only: blk_stats copies it as an array of them. */
struct blkplane_stats {
	uint64_t requests;   /* taken off the ring */
	uint64_t batches;    /* turns that took requests */
	uint64_t kicks;	     /* wake-ups by the doorbell; several before one was heeded are one */
	uint64_t interrupts; /* raised for used elements */
	uint64_t suppressed; /* not raised for them, as the driver did not ask for it */
	uint64_t sleeps;     /* times the thread asked for a doorbell */
	uint64_t throttled;  /* times requests had to wait for the disk's limits */
	uint64_t poll_hits;  /* times the thread looked on, and this queue had something to do */
	uint64_t batch[BLKSTATS_BATCHES];
	struct blkstats_op op[BLKREQ_KINDS];
};

/* Where its requests spend their time. On lines of its own, too. */
struct blkplane_latency {
	/* From when it was taken off the ring until it was submitted; or from when the turn before had to leave
	 * something there, for want of room in the engine or by the disk's limits. What was there before, or
	 * was left by several turns, has been there for longer. */
	_Alignas(CACHELINE_PAIR) struct latency ring;
	/* From there until the host had done it; by enum io_op. With that what a failure was kept for. */
	struct latency engine[IO_OPS];
	/* From there until the driver can see it, and the interrupt is raised, if it wants one. */
	struct latency answer;
};

/* As users know it: "write-zeroes". */
const char *blkstats_name(enum blkreq_kind kind);

/* The only writer. */
static inline void blkstats_add(uint64_t *counter, uint64_t n)
{
	WRITE_ONCE(*counter, *counter + n);
}

/* A turn took `requests` > 0. */
static inline void blkstats_batch(struct blkplane_stats *s, unsigned int requests)
{
	blkstats_add(&s->requests, requests);
	blkstats_add(&s->batches, 1);
	blkstats_add(&s->batch[31 - __builtin_clz(requests)], 1);
}

/* A request is told to the driver; `bytes`: what a success moved. */
static inline void blkstats_request(struct blkplane_stats *s, enum blkreq_kind kind, bool failed,
				    uint64_t bytes)
{
	struct blkstats_op *op = &s->op[kind];

	blkstats_add(&op->requests, 1);
	if (__builtin_expect(failed, 0))
		blkstats_add(&op->failed, 1);
	else
		blkstats_add(&op->bytes, bytes);
}

#endif
