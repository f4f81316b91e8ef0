/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkstats: counters and latency histograms of one virtqueue.
 *
 * The counters survive a reset of the device. The dataplane thread that serves the queue is the
 * only writer. Any thread may read, each field by a READ_ONCE of its own, so sums over fields need
 * not agree. The owner allocates both structs on cache lines of their own. The functions are inline
 * for the hot path: an addition is a load and a store, without an atomic instruction.
 */
#ifndef DATAPLANE_BLKSTATS_H
#define DATAPLANE_BLKSTATS_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base.h"
#include "dataplane/blkreq.h"
#include "dataplane/latency.h"

/* Buckets for sizes of batches, by powers of two: 1, 2 to 3, 4 to 7, ..., VRING_MAX_SIZE. */
#define BLKSTATS_BATCHES 11

/* Counters of one request type. */
struct blkstats_op {
	uint64_t requests; /* requests completed, with any status */
	uint64_t failed;   /* requests completed with status IOERR or UNSUPP */
	uint64_t bytes;	   /* bytes read, written, discarded or zeroed by successful requests */
};

/* Counters of one queue. All members must be uint64_t: blk_stats copies the struct as an array. */
struct blkplane_stats {
	uint64_t requests;   /* requests popped */
	uint64_t batches;    /* batches with at least one request */
	uint64_t kicks;	     /* wake-ups by the driver; kicks before one wake-up count once */
	uint64_t interrupts; /* interrupts raised for used elements */
	uint64_t suppressed; /* interrupts for used elements that the driver had suppressed */
	uint64_t sleeps;     /* times that the thread enabled notifications in order to sleep */
	uint64_t throttled;  /* times that the disk's rate limits delayed requests */
	uint64_t poll_hits;  /* times that busy polling found work for this queue */
	uint64_t batch[BLKSTATS_BATCHES]; /* batches by size, see BLKSTATS_BATCHES */
	struct blkstats_op op[BLKREQ_KINDS];
};

/* Latency of the requests of one queue, by stage. */
struct blkplane_latency {
	/*
	 * Time from the pop of a batch's first request to its submission. When the previous batch
	 * left requests in the ring, because the engine was full or the disk throttled, the time
	 * starts at the end of that batch. Requests that were in the ring even earlier have waited
	 * longer than this time shows.
	 */
	_Alignas(CACHELINE_PAIR) struct latency ring;

	/* Time from submission to reaping, by enum io_op. The time of a failed request includes the
	 * time that it was parked. */
	struct latency engine[IO_OPS];

	/* Time from reaping until the used element is published and the interrupt, if the driver
	 * wants one, is raised. */
	struct latency answer;
};

/* The name of a request type in output for users, such as "write-zeroes". */
const char *blkstats_name(enum blkreq_kind kind);

/* Adds n to a counter. Only the thread that serves the queue may call this. */
static inline void blkstats_add(uint64_t *counter, uint64_t n)
{
	WRITE_ONCE(*counter, *counter + n);
}

/* Counts a batch of `requests` popped requests, which must not be 0. */
static inline void blkstats_batch(struct blkplane_stats *s, unsigned int requests)
{
	blkstats_add(&s->requests, requests);
	blkstats_add(&s->batches, 1);
	blkstats_add(&s->batch[31 - __builtin_clz(requests)], 1);
}

/* Counts a completed request. `bytes` counts only if the request did not fail. */
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
