/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State shared by the measuring guest's main program (blkbench.c) and its driver
 * (blkbench_drive.c).
 */
#ifndef BARE_BLKBENCH_H
#define BARE_BLKBENCH_H

#include "guest/bare/virtio.h"

#define DEPTH_MAX QUEUE_MAX

/* Latency histogram: exact below SUBS ticks, then SUBS buckets for each power of two. */
#define SUB_BITS 6u
#define SUBS	 (1u << SUB_BITS)
#define BUCKETS	 ((64u - SUB_BITS + 1) * SUBS)

/*
 * The header and status of a request. The driver writes the first cache line once for each request;
 * the second one holds descriptors that it never changes.
 */
struct slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t pad[47];
	struct vring_desc table[4];
} __attribute__((aligned(64)));

struct bench {
	/* Options, set before the first phase. */
	bool mixed, sequential, verify, interrupts, event_idx;
	uint32_t type; /* type of all requests, unless mixed */
	uint32_t bytes;
	unsigned int depth;
	unsigned int block_shift; /* log2 of a request's number of sectors */
	uint64_t blocks;	  /* requests that fit into the span */

	struct device d;
	uint16_t mask; /* mask of the ring's indices */
	struct slot *slot;
	struct vring_desc *data_desc[DEPTH_MAX];
	uint8_t *data;
	uint64_t handled; /* acknowledged interrupts */

	/* State of the running phase. */
	uint64_t left; /* requests that may still be submitted */
	uint64_t began[DEPTH_MAX];
	uint64_t next_block, random;

	/* Results of the last phase. */
	uint64_t submitted, done, errors, kicks;
	uint64_t counted, ticks; /* requests that count for the rate, and the time they took */
	uint64_t longest;
	uint32_t bucket[BUCKETS];
};

/* Starts the device with its ring, and fills in all descriptors, by the options in b. */
void bench_prepare(struct bench *b, uint16_t ring_size, bool indirect, bool event_idx);
/*
 * Keeps `depth` requests in flight until `requests` were submitted or `ticks` have passed, then
 * waits for the last of them.
 */
void bench_phase(struct bench *b, uint64_t requests, uint64_t ticks);

#endif
