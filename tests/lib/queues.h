/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues: the drivers of a disk with several queues, in either ring format, with or without IN_ORDER. A
 * test that has to hold for all of these is a loop over QUEUES_FORMATS.
 */
#ifndef TESTS_QUEUES_H
#define TESTS_QUEUES_H

#include "tests/lib/disk.h"

#define QUEUES_RING	16u /* entries */
#define QUEUES_FORMATS	4   /* as bits: RING_PACKED, IN_ORDER */

#define QUEUES_FEATURES (DISK_FEATURES | DISK_RING | BIT64(VIRTIO_BLK_F_MQ))

/* Queues 0 to count - 1. */
#define QUEUES_ALL(count) ((1u << (count)) - 1)

/* Formats times engines: way w has format w % QUEUES_FORMATS and engine w / QUEUES_FORMATS. */
int queues_ways(void);

/* The features that make format number i; the disk has to offer them. */
uint64_t queues_format(int i);

/* As disk_init, with that many queues and all formats on offer. */
void queues_init(struct disk *d, enum blk_engine engine, unsigned int count);

/* All steps to DRIVER_OK: queue i has the driver q[i], at place 1 + i, and is ready when its bit is set. */
void queues_bring_up(struct disk *d, struct mockdrv *q, unsigned int ready, uint64_t features);

/* A read on each of those queues, all of them offered before the first doorbell. */
void queues_read(struct disk *d, struct mockdrv *q, unsigned int which);

/* Slow and quick requests, as many as fit, for queue number i: laid out and shown, `round` tells them
 * apart; taken back, each once, and with in_order in the order they were offered in. */
#define QUEUES_DEPTH (QUEUES_RING / 3)
struct queues_batch {
	struct mock_blk req[QUEUES_DEPTH];
};
void queues_offer(struct mockdrv *q, struct queues_batch *batch, unsigned int round);
/* Those that have come back, at most QUEUES_DEPTH. With `all`: wait for the rest. */
unsigned int queues_take(struct mockdrv *q, const struct queues_batch *batch, bool in_order,
			 bool all);

#endif
