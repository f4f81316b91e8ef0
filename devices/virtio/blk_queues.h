/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_queues: dataplane threads, I/O engines and planes of a disk.
 *
 * Threads and engines are created at the first start of a queue, which keeps them off the boot
 * path, and stay idle between a stop and the next start. Queues are assigned to threads once: by
 * the user's map, or round-robin. The functions are called where the transport calls the device,
 * one call at a time. Errors are -errno.
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
	struct blkplane *plane; /* NULL: the queue is stopped */
};

struct blk_queues {
	const struct blk_config *config;
	const struct image *image;
	unsigned int thread_count;
	struct blkplane_latency *latency;	    /* one per queue; NULL: not measured */
	struct iothread *thread[VIRTIO_MAX_QUEUES]; /* all NULL before the first start */
	struct blk_queue queue[VIRTIO_MAX_QUEUES];
};

/* Initialises *queues; the caller keeps all arguments valid until blk_queues_destroy. Returns 0, or
 * -errno with a message in *why, or with *why NULL and a line in the log, as blk_create. */
int blk_queues_init(struct blk_queues *queues, const struct blk_config *config,
		    const struct image *image, const char **why);
/* Frees threads, engines and statistics. Also allowed on zeroed memory and after a failed
 * blk_queues_init. */
void blk_queues_destroy(struct blk_queues *queues);

/* Returns how many file descriptors all threads and engines of the disk have open at most,
 * whichever engine the host provides. */
unsigned int blk_queues_fds(const struct blk_queues *queues);

/* Starts queue n, which is stopped. The function fills in the thread, engine and statistics of
 * *plane. Returns 0 or -errno, also that of blkplane_start. */
int blk_queues_start(struct blk_queues *queues, unsigned int n, struct blkplane_config *plane);

/* Sets the cache mode of queue n (blkplane_set_writethrough). Does nothing if it is stopped. */
void blk_queues_set_writethrough(struct blk_queues *queues, unsigned int n, bool writethrough);

/* Sets the capacity for queue n (blkplane_set_capacity). Does nothing if it is stopped. */
void blk_queues_set_capacity(struct blk_queues *queues, unsigned int n, uint64_t capacity);

/* Applies new rate limits to queue n (blkplane_limit_changed). Does nothing if it is stopped. */
void blk_queues_limit_changed(struct blk_queues *queues, unsigned int n);

/* Interrupts long discards and write-zeroes of queue n (blkplane_hold). Does nothing if it is
 * stopped. */
void blk_queues_hold(struct blk_queues *queues, unsigned int n);
/* Pauses queue n (blkplane_pause). Does nothing if it is stopped. */
void blk_queues_pause(struct blk_queues *queues, unsigned int n);
/* Drains queue n, which is paused (blkplane_drain). Returns its result, or -ENOENT if the queue is
 * stopped. */
int blk_queues_drain(struct blk_queues *queues, unsigned int n, struct vring_base *position);
/* Writes the failed requests of queue n, which is drained (blkplane_save). Returns 0 if it is
 * stopped. */
size_t blk_queues_save(struct blk_queues *queues, unsigned int n, void *data);
/* Resumes queue n (blkplane_resume). Does nothing if it is stopped. */
void blk_queues_resume(struct blk_queues *queues, unsigned int n);

/* Stops queue n and returns when none of its requests is in flight (blkplane_stop). The queue may
 * be stopped already. */
void blk_queues_stop(struct blk_queues *queues, unsigned int n);

#endif
