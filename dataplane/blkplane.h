/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkplane: the conductor. Takes requests from a ring, judges them, gives them to an I/O engine and
 * completes them, on a dataplane thread that it may share with other rings; the only file that sees
 * all layers.
 *
 * A request never changes thread. The thread takes no lock at all; with others it shares guest
 * memory, the eventfds, the interrupt status word and the device status word.
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

/*
 * How many turns in a row a plane may begin because its ring seemed to have something, and then find
 * nothing to pop, without a doorbell in between. One such turn happens to a driver that keeps the
 * rules, while its disk is throttled. More than this means that what the plane reads of the ring
 * changes with what the plane itself, or another queue's plane, writes: the rings overlap, and the
 * turns would never end. Such a ring is broken.
 */
#define BLKPLANE_EMPTY_TURNS 16u

/* Who is to hear of what a driver does wrong, and the host. Called on the dataplane thread: it must not wait. */
struct blkplane_listener {
	/* The ring has been broken, and is not served again; `why` is static. */
	void (*broken)(struct blkplane_listener *watch, unsigned int queue, const char *why);
	/* A request has failed with `err` (an errno) and is kept: from now on the plane is paused
	 * (blkplane_pause), but for what is in flight. Of others that fail until it is resumed
	 * nothing is said. */
	void (*stopped)(struct blkplane_listener *watch, unsigned int queue, enum io_op op,
			int err);
};

/* Pointers and file descriptors are lent from start to the end of stop. */
struct blkplane_config {
	const char *name; /* for the log */
	const struct hostmem *mem;
	struct vring_config ring;
	struct blkreq_disk disk;
	struct blkpolicy policy; /* for what the host fails in */
	struct blklimit *limit;	 /* shared with the disk's other queues; NULL: there is never one */
	struct iothread *thread;
	struct ioengine *engine; /* idle; used by that thread alone, for this ring */
	int kick_fd;		 /* the doorbell's eventfd */
	struct irqline *irq;
	struct blkplane_stats *stats;
	struct blkplane_latency *latency; /* NULL: times are not measured */
	struct blkplane_listener *watch;  /* NULL: nobody */
	unsigned int queue;		  /* its number, for the watch */
	uint32_t *device_status; /* atomic; gets DEVICE_NEEDS_RESET when the ring breaks (2.1.2) */
};

struct blkplane;

/*
 * Check and freeze the ring, then have the thread serve it. It looks at the ring once unasked:
 * doorbells from before are not lost. -EINVAL or -EFAULT: the ring is unusable; else -errno of the
 * host. Any other thread.
 */
int blkplane_start(struct blkplane **plane, const struct blkplane_config *config);

/*
 * From now on each write is stable when it is completed (writethrough), or not before a flush.
 * Returns when none is in flight any more that began under the old rule; until then no more
 * requests are taken. A discard, zeroes, or a transfer of more than 4 MiB in flight need not end for
 * that: the new rule applies to the rest of it, and the caller's flush afterwards covers what it has
 * written before. Waits for the host's I/O, never for the guest. Any other thread, one at a time; a stop
 * may come meanwhile.
 */
void blkplane_set_writethrough(struct blkplane *plane, bool writethrough);

/*
 * A pause or a stop of this plane follows: long discards and zeroes are interrupted at their next step
 * from now on, so that those of several planes can be interrupted at the same time. Any other thread.
 */
void blkplane_hold(struct blkplane *plane);

/*
 * No more requests are taken. Reads, writes and flushes in flight are finished and published; discards
 * and zeroes in flight are interrupted at their next step, and the driver is told nothing of them.
 * Returns when that is done: it waits for the host's I/O, never for the guest. Until the plane is
 * resumed nothing is read from or written to guest memory, and no interrupt is raised. Any other
 * thread, one at a time; a stop may come at any time.
 */
void blkplane_pause(struct blkplane *plane);

/* Interrupted discards and zeroes go on where they were, and requests that failed and were kept are begun
 * again. The ring is looked at once unasked: no doorbell rung during the pause is lost. Any other thread,
 * one at a time; the plane need not be paused. */
void blkplane_resume(struct blkplane *plane);

/* Requests are judged by that capacity (struct blkreq_disk) from the return on; those already taken
 * were judged by the old one. Any other thread, one at a time; also while paused. */
void blkplane_set_capacity(struct blkplane *plane, uint64_t capacity);

/*
 * The limit has been set: requests are taken by it from the return on. While there is nothing left in it
 * they stay in the ring, and no doorbell is asked for: a timer wakes the thread. What is in flight goes on.
 * What is repeated after a failure is not counted again. Any other thread, one at a time; also while paused.
 */
void blkplane_limit_changed(struct blkplane *plane);

/*
 * No more requests are taken, and those in flight are finished; long discards and zeroes, and what was
 * kept after a failure, as failed. Nothing is read from or written to
 * guest memory afterwards, and no interrupt raised. Waits for the host's I/O, never for the guest.
 * Frees the plane; NULL is allowed. Any other thread.
 */
void blkplane_stop(struct blkplane *plane);

#endif
