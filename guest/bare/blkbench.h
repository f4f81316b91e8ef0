/* SPDX-License-Identifier: BSD-3-Clause */
/* The measuring guest: what its options (blkbench.c) and its driver (blkbench_drive.c) share. */
#ifndef BARE_BLKBENCH_H
#define BARE_BLKBENCH_H

#include "guest/bare/virtio.h"

#define DEPTH_MAX QUEUE_MAX

/* Latencies: exact below SUBS ticks, then SUBS buckets for each power of two. */
#define SUB_BITS 6u
#define SUBS	 (1u << SUB_BITS)
#define BUCKETS	 ((64u - SUB_BITS + 1) * SUBS)

/*
 * What the device reads and writes of a request beside its data. The driver touches the first line
 * once for each request and the second never again.
 */
struct slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t pad[47];
	struct vring_desc table[4];
} __attribute__((aligned(64)));

struct bench {
	/* Chosen before the first phase. */
	bool mixed, sequential, verify, interrupts, event_idx;
	uint32_t type; /* of all requests, unless mixed */
	uint32_t bytes;
	unsigned int depth;
	unsigned int block_shift; /* of a request's number of sectors */
	uint64_t blocks;	  /* requests that fit into the span */

	struct device d;
	uint16_t mask; /* of the ring's indices */
	struct slot *slot;
	struct vring_desc *data_desc[DEPTH_MAX];
	uint8_t *data;
	uint64_t handled; /* interrupts that were acknowledged */

	/* Of the running phase. */
	uint64_t left; /* requests that may still be submitted */
	uint64_t began[DEPTH_MAX];
	uint64_t next_block, random;

	/* Results of the last phase. */
	uint64_t submitted, done, errors, kicks;
	uint64_t counted, ticks; /* requests that count for the rate, and the time they took */
	uint64_t longest;
	uint32_t bucket[BUCKETS];
};

/* A device with its ring, and all descriptors, from what was chosen. */
void bench_prepare(struct bench *b, uint16_t ring_size, bool indirect, bool event_idx);
/*
 * Keeps `depth` requests in flight until so many were submitted or so many ticks have gone by, then
 * waits for the last of them.
 */
void bench_phase(struct bench *b, uint64_t requests, uint64_t ticks);

#endif
