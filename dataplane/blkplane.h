/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkplane: request processing of one virtio-blk virtqueue on a dataplane thread.
 *
 * A plane pops requests from its ring (vring), validates them (blkreq), submits them to an I/O
 * engine (ioengine), pushes their results back and interrupts the driver (irqline). Several planes
 * may share one dataplane thread (iothread).
 *
 * A request stays on the plane's dataplane thread from pop to push. That thread takes no lock. The
 * state it shares with other threads is guest memory, eventfds, the interrupt status word, the
 * device status word, the disk's token buckets, the statistics and the calls that iothread passes
 * on. The functions below are for other threads; each waits for the dataplane thread unless its
 * comment says otherwise.
 */
#ifndef DATAPLANE_BLKPLANE_H
#define DATAPLANE_BLKPLANE_H

#include <stdint.h>

#include "dataplane/blklimit.h"
#include "dataplane/blkpolicy.h"
#include "dataplane/blkreq.h"
#include "dataplane/blkstats.h"
#include "dataplane/hostmem.h"
#include "dataplane/ioengine.h"
#include "dataplane/iothread.h"
#include "dataplane/irqline.h"
#include "dataplane/vring.h"
#include "dataplane/vring_mirror.h"

/*
 * Largest number of consecutive turns, without a doorbell in between, in which the ring appears to
 * have an available chain but the plane pops none. A correct driver can cause one such turn, while
 * its disk is throttled. More of them mean that the device's own writes change the entries that it
 * reads: the memory of two rings, or of two parts of one ring, overlaps. The turns would never
 * end, so the plane declares the ring broken.
 */
#define BLKPLANE_EMPTY_TURNS 16u

/* Callbacks for driver errors and host I/O errors. They run on the dataplane thread and must not
 * wait. */
struct blkplane_listener {
	/* The plane found the ring broken and no longer serves it; `why` is a static string. */
	void (*broken)(struct blkplane_listener *listener, unsigned int queue, const char *why);
	/*
	 * A request failed with `err` (a positive errno) and was parked, to be repeated when the
	 * plane is resumed. The plane pops no more requests until then (blkplane_resume) but
	 * completes those in flight. Further failures before the resume are not reported.
	 */
	void (*stopped)(struct blkplane_listener *listener, unsigned int queue, enum io_op op,
			int err);
};

/* The caller keeps every pointer and file descriptor valid until blkplane_stop returns. */
struct blkplane_config {
	const char *name; /* the disk's name, for log lines */
	const struct hostmem *mem;
	struct vring_config ring;
	struct blkreq_disk disk;
	struct blkpolicy policy; /* reaction to host I/O errors */
	struct blklimit *limit;	 /* shared by the disk's queues; NULL: never a limit */
	struct iothread *thread;
	struct ioengine *engine; /* idle at start; for this ring and this thread only */
	int kick_fd;		 /* eventfd that the doorbell signals */
	/* The position at which the ring starts; blkplane_stop stores the position at which it
	 * stopped. NULL: the ring is unused at the start, and the stop stores no position. */
	struct vring_base *base;
	/* The mirror of the requests in flight, which can replace *base; NULL: none. */
	struct vring_mirror *mirror;
	struct irqline *irq;
	struct blkplane_stats *stats;
	struct blkplane_latency *latency;   /* NULL: latencies are not measured */
	struct blkplane_listener *listener; /* NULL: none */
	unsigned int queue;		    /* queue number, passed to the callbacks */
	/* Atomic. The plane sets DEVICE_NEEDS_RESET (virtio 1.2, 2.1.2) when the ring breaks. */
	uint32_t *device_status;
};

struct blkplane;

/*
 * Validate and freeze the ring's addresses and size, allocate the plane, and make the dataplane
 * thread serve it. The thread checks the ring once without a doorbell, so that doorbells rung
 * before the start are not lost. Returns 0; -EINVAL or -EFAULT when the ring is unusable; another
 * -errno when the host refuses a resource. Callable from any thread but the dataplane thread.
 */
int blkplane_start(struct blkplane **plane, const struct blkplane_config *config);

/*
 * Switch the cache mode. In writethrough mode a write completes only once it is on stable storage;
 * in writeback mode only a flush guarantees that. The function returns when every transfer begun
 * under the old mode has finished; the plane pops no requests until then. A discard, a write-zeroes
 * or a transfer of more than 4 MiB in flight need not finish: its remaining part follows the new
 * mode, and a flush that the caller issues afterwards covers the part already written. The function
 * waits for host I/O, never for the guest. Callable from any thread but the dataplane thread, by
 * one caller at a time; blkplane_stop may be called while it waits.
 */
void blkplane_set_writethrough(struct blkplane *plane, bool writethrough);

/*
 * Interrupt long operations ahead of a pause or a stop of this plane: discards and write-zeroes in
 * flight stop at their next step, transfers of more than 4 MiB at their next segment. Calling this
 * for several planes first lets their operations wind down in parallel. Does not wait. Any thread.
 */
void blkplane_hold(struct blkplane *plane);

/*
 * Pause the plane: it pops no more requests. Reads, writes and flushes in flight are finished and
 * published. Discards and write-zeroes in flight are interrupted at their next step, transfers of
 * more than 4 MiB at their next segment, and the driver sees no completion for them yet. The
 * function returns when all this is done; it waits for host I/O, never for the guest. Until
 * blkplane_resume the plane neither accesses guest memory nor raises an interrupt. Callable from
 * any thread but the dataplane thread, by one caller at a time; blkplane_stop may be called at any
 * time.
 */
void blkplane_pause(struct blkplane *plane);

/*
 * Resume the plane. Interrupted operations continue where they stopped, and parked requests (failed
 * ones that the error policy kept) are repeated from their beginning. The plane checks the ring
 * once without a doorbell, so that doorbells rung during the pause are not lost. The plane need not
 * be paused. Callable from any thread but the dataplane thread, by one caller at a time.
 */
void blkplane_resume(struct blkplane *plane);

/*
 * Pause the plane, finish what is in flight, also long operations, and store the position of the
 * ring, which then has no chain in flight. Until the return, the plane accesses guest memory and
 * may raise an interrupt, also if it was paused before. Long operations are interrupted when they
 * take longer than BLKPLANE_DRAIN_MS, and by blkplane_hold. Returns 0; -EBADMSG: the ring is
 * broken; -EBUSY: a request is parked, because it failed or was interrupted.
 * Callable from any thread but the dataplane thread, by one caller at a time.
 */
#define BLKPLANE_DRAIN_MS 2000
int blkplane_drain(struct blkplane *plane, struct vring_base *position);

/*
 * Change the capacity, in bytes, against which requests are validated (struct blkreq_disk).
 * Requests popped before the return may have been validated against the old capacity. Callable from
 * any thread but the dataplane thread, by one caller at a time, also while the plane is paused.
 */
void blkplane_set_capacity(struct blkplane *plane, uint64_t capacity);

/*
 * Tell the plane that the disk's limit was changed by blklimit_set; the plane applies the new limit
 * from the return on. While a token bucket is empty, requests stay in the ring with doorbells
 * disabled, and a timer wakes the thread. Requests in flight continue. A request that is repeated
 * after a failure is not charged again. Callable from any thread but the dataplane thread, by one
 * caller at a time, also while the plane is paused.
 */
void blkplane_limit_changed(struct blkplane *plane);

/*
 * Stop the plane and free it; NULL is allowed. The plane pops no more requests and finishes those
 * in flight. Discards and write-zeroes that are not done at their next step, transfers of more than
 * 4 MiB that are not done at their next segment, and parked requests end as failed. The function
 * waits for host I/O, never for the guest; after its return the plane neither accesses guest memory
 * nor raises an interrupt. Callable from any thread but the dataplane thread.
 */
void blkplane_stop(struct blkplane *plane);

#endif
