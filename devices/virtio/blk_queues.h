/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_queues: the dataplane of a disk: its threads, and for each queue an I/O engine and a plane.
 *
 * All is made at the first start, off the boot path, and kept: between a stop and the next start it
 * is idle. Which thread serves a queue is settled once: the user's map, or in turn. Called where the
 * transport calls the device, one call at a time.
 */
#ifndef VIRTIO_BLK_QUEUES_H
#define VIRTIO_BLK_QUEUES_H

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/image.h"

struct blk_queue {
	_Alignas(CACHELINE_PAIR) struct blkplane_stats stats;
	struct ioengine *engine;
	struct blkplane *plane; /* NULL: stopped */
};

struct blk_queues {
	const struct blk_config *config;
	const struct image *image;
	const struct hostmem *mem;
	unsigned int thread_count;
	struct blkplane_latency *latency;	    /* of each queue; NULL: not measured */
	struct iothread *thread[VIRTIO_MAX_QUEUES]; /* all NULL before the first start */
	struct blk_queue queue[VIRTIO_MAX_QUEUES];
};

/* All are lent until destroy. -errno with *why, or with *why NULL and a line in the log, as blk_create. */
int blk_queues_init(struct blk_queues *queues, const struct blk_config *config,
		    const struct image *image, const struct hostmem *mem, const char **why);
/* Also if init failed, over zeroed memory. */
void blk_queues_destroy(struct blk_queues *queues);

/* How many descriptors all threads and engines of the disk have open at most, whichever engine
 * the host lends. */
unsigned int blk_queues_fds(const struct blk_queues *queues);

/* Start queue n, which is stopped. Thread, engine and statistics in *plane are filled in here.
 * 0 or -errno, also of blkplane_start. */
int blk_queues_start(struct blk_queues *queues, unsigned int n, struct blkplane_config *plane);

/* See blkplane_set_writethrough; it may be stopped. */
void blk_queues_set_writethrough(struct blk_queues *queues, unsigned int n, bool writethrough);

/* See blkplane_set_capacity; it may be stopped. */
void blk_queues_set_capacity(struct blk_queues *queues, unsigned int n, uint64_t capacity);

/* See blkplane_limit_changed; it may be stopped. */
void blk_queues_limit_changed(struct blk_queues *queues, unsigned int n);

/* See blkplane_hold, blkplane_pause and blkplane_resume; it may be stopped. */
void blk_queues_hold(struct blk_queues *queues, unsigned int n);
void blk_queues_pause(struct blk_queues *queues, unsigned int n);
void blk_queues_resume(struct blk_queues *queues, unsigned int n);

/* Returns when queue n is quiet, see blkplane_stop; it may be stopped already. */
void blk_queues_stop(struct blk_queues *queues, unsigned int n);

#endif
