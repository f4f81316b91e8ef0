/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues: mock drivers for all queues of a multi-queue disk.
 *
 * A format is a combination of RING_PACKED and IN_ORDER. A test that must pass for all formats is a
 * loop test over 0 to QUEUES_FORMATS - 1, or over 0 to queues_ways() - 1. A failure fails the test.
 */
#ifndef TESTS_QUEUES_H
#define TESTS_QUEUES_H

#include "tests/lib/disk.h"

#define QUEUES_RING	16u /* descriptors */
#define QUEUES_FORMATS	4   /* bit 0 of a format: RING_PACKED; bit 1: IN_ORDER */

#define QUEUES_FEATURES (DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_MQ))

/* The bit set of queues 0 to count - 1. */
#define QUEUES_ALL(count) ((1u << (count)) - 1)

/* Returns the number of combinations of engine and format. Combination w has format
 * w % QUEUES_FORMATS and engine w / QUEUES_FORMATS. */
int queues_ways(void);

/* Return the names of format i and of combination `way`, valid until the next call. */
const char *queues_format_name(int i);
const char *queues_way_name(int way);

/* Returns the feature bits of format i. */
uint64_t queues_format(int i);

/* Calls disk_init, and configures `count` queues, which offer RING_PACKED and IN_ORDER. */
void queues_init(struct disk *d, enum blk_engine engine, unsigned int count);

/*
 * Resets the device and brings it up to DRIVER_OK. Each queue i gets the driver q[i] in memory area
 * 1 + i (mock_beside). Only queues with a bit in `ready` get QueueReady.
 */
void queues_bring_up(struct disk *d, struct mockdrv *q, unsigned int ready, uint64_t features);

/* Reads 4 KiB by each queue with a bit in `which`, and checks the data. All requests are available
 * before the first queue is notified. */
void queues_read(struct disk *d, struct mockdrv *q, unsigned int which);

/* Requests in a batch: each has a chain of three descriptors. */
#define QUEUES_DEPTH (QUEUES_RING / 3)

/* A full ring of requests for one queue, a mix of slow ones (read) and quick ones (GET_ID). */
struct queues_batch {
	struct mock_blk req[QUEUES_DEPTH];
};

/* Builds a batch and makes it available, without a notification. `round` varies types and
 * sectors. */
void queues_offer(struct mockdrv *q, struct queues_batch *batch, unsigned int round);

/*
 * Takes the used elements of a batch, and checks that each request is completed at most once, with
 * success, and with in_order in the order of the requests. With `all`, the function waits for the
 * whole batch. Returns the number of elements taken. Afterwards all buffers of the queue are free.
 */
unsigned int queues_take(struct mockdrv *q, const struct queues_batch *batch, bool in_order,
			 bool all);

#endif
