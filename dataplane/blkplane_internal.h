/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkplane_internal: private types and functions of the blkplane_*.c files.
 *
 * blkplane.c is the request loop and runs on the dataplane thread; blkplane_control.c has the calls
 * from other threads; blkplane_throttle.c applies the disk's limits; blkplane_times.c measures
 * latencies; blkplane_dirty.c records writes to guest memory; blkplane_saved.c saves parked requests.
 */
#ifndef DATAPLANE_BLKPLANE_INTERNAL_H
#define DATAPLANE_BLKPLANE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/blkplane.h"
#include "dataplane/evloop.h"
#include "dataplane/poll_policy.h"

/* A request's state from pop to push. */
struct slot {
	struct blkreq req;
	struct slot *next; /* in plane->free_slot or in plane_times.batch */
	uint64_t begun;	   /* submission time, ns; only while latencies are measured */
	struct io_task task;
	struct iovec iov[]; /* the chain's buffers; VRING_CHAIN_CAPACITY(ring size) entries */
};

/* State of the latency measurement; times in CLOCK_MONOTONIC nanoseconds. */
struct plane_times {
	struct slot *batch;   /* requests popped in this batch and prepared for the engine */
	uint64_t taken;	      /* when the first request of `batch` was popped; 0: batch is empty */
	uint64_t left;	      /* when a batch left available chains in the ring; 0: none are left */
	uint64_t reaped;      /* when this turn finished its first request; 0: none yet */
	uint64_t unanswered;  /* when the first of the `answers` requests was reaped */
	unsigned int answers; /* requests reaped, and not yet published to the driver */
};

/* The reasons for which a plane pops no requests: a set of bits in plane->blocked. */
enum plane_blocked {
	BLOCKED_STOP = 1 << 0,	   /* the plane is being stopped */
	BLOCKED_CACHE = 1 << 1,	   /* the transfers of the old cache mode have to finish first */
	BLOCKED_PAUSE = 1 << 2,	   /* until blkplane_resume */
	BLOCKED_BROKEN = 1 << 3,   /* the ring's failure has been reported to the driver */
	BLOCKED_NO_SLOT = 1 << 4,  /* until the next turn: the engine has no room */
	BLOCKED_THROTTLE = 1 << 5, /* until the next turn: requests in the ring wait for tokens */
};

/* Calls that are answered in a later turn, when their condition is met. */
enum plane_pending {
	PENDING_CACHE, /* a switch of the cache mode: answered after the transfers */
	PENDING_PAUSE, /* answered when all tasks are done or parked */
	PENDING_STOP,  /* answered when the engine is drained */
	PENDING_CALLS
};

/* State of the throttle; times in CLOCK_MONOTONIC nanoseconds. */
struct plane_throttle {
	bool active;	/* the disk has a limit at present */
	bool counted;	/* the statistics include the present wait of the ring's requests */
	uint64_t now;	/* time at the start of the batch, at which its requests are charged */
	uint64_t until; /* time before which no request may be popped; 0: tokens are left */
};

struct blkplane {
	struct blkplane_config config;
	struct vring_dev ring;
	struct iothread_client client;
	struct ev_watch kick;
	struct ev_watch completion;
	struct plane_call *pending[PENDING_CALLS]; /* by enum plane_pending; NULL: none */

	unsigned int blocked; /* a set of enum plane_blocked; 0: the plane may pop requests */
	struct plane_throttle throttle;
	struct inline_io inline_io;
	bool has_avail;		  /* peek or enable_notify saw a chain since the last batch began */
	unsigned int empty_turns; /* consecutive batches that popped nothing despite has_avail */
	struct io_queue parked;	  /* failed requests, repeated by blkplane_resume */
	struct plane_times times;

	/*
	 * The array of request slots, in anonymous memory: one slot per ring entry, and one more,
	 * which vring_pop needs to find out whether there is another request. Slots are reused in
	 * LIFO order and unused ones are taken last, so that no more of them become resident than
	 * requests were ever in flight.
	 */
	char *slots;
	size_t slot_size;	 /* bytes, a multiple of 64 */
	unsigned int slots_used; /* slots taken from the array so far */
	struct slot *free_slot;	 /* LIFO list of the freed ones */
};

/* A call from another thread to a plane; each call uses only the members that it needs. */
struct plane_call {
	struct iothread_call call;
	struct blkplane *plane;
	bool writethrough; /* new cache mode */
	uint64_t capacity; /* new capacity, bytes */
	int err;	   /* result of a start: 0 or -errno */
};

/* Takes an unused slot. There is always one: vring allows fewer heads in flight than there are
 * slots. */
static inline struct slot *blkplane_slot_get(struct blkplane *p)
{
	struct slot *slot = p->free_slot;

	if (slot) {
		p->free_slot = slot->next;
		return slot;
	}
	return (struct slot *)(p->slots + p->slot_size * p->slots_used++);
}

/* Returns a slot whose request has ended. */
static inline void blkplane_slot_put(struct blkplane *p, struct slot *slot)
{
	slot->next = p->free_slot;
	p->free_slot = slot;
}

/* The callbacks by which a dataplane thread serves a plane. */
extern const struct iothread_client blkplane_client;

/*
 * blkplane_throttle.c, on the dataplane thread. The first three functions are called only while the
 * disk has a limit.
 */

/* At the start of a batch: read the clock, and block popping if no tokens are left. */
void blkplane_throttle_check(struct blkplane *p);
/* Charge a popped request to the token buckets, and block popping if that empties one; `task` as in
 * blklimit_take. */
void blkplane_throttle_charge(struct blkplane *p, const struct io_task *task);
/* No tokens are left: if the ring has requests, set the time at which the thread serves them, else
 * end the blocking. */
void blkplane_throttle_wait(struct blkplane *p);
/* Reset the throttle after the limit of the disk was set, changed or lifted. */
void blkplane_throttle_reload(struct blkplane *p);

/* blkplane_times.c, on the dataplane thread. These are called only while latencies are measured. */

/* Called when a request was popped that the engine executes. */
void blkplane_times_take(struct blkplane *p, struct slot *slot);
/* Called when a request was popped that is executed inline from `now` on. */
void blkplane_times_run(struct blkplane *p, struct slot *slot, uint64_t now);
/* Called before a batch, which is not empty, is submitted to the engine. */
void blkplane_times_submit(struct blkplane *p);
/* Called when no more requests are popped for this batch: records whether the ring has more. */
void blkplane_times_end_batch(struct blkplane *p);
/* Called when the engine has finished a request, before the request is pushed. */
void blkplane_times_reap(struct blkplane *p, const struct slot *slot);
/* Called when one or more finished requests have been published to the driver. */
void blkplane_times_answer(struct blkplane *p);

/*
 * Answer the pending calls for which the engine has done its part. Returns true when the plane
 * needs another turn. The plane is gone afterwards if the answered call was a stop. Called on the
 * dataplane thread.
 */
bool blkplane_answer_calls(struct blkplane *p);

/* Complete all parked requests as failed. On the dataplane thread. */
void blkplane_fail_parked(struct blkplane *plane);

/* blkplane_saved.c: adds the requests that blkplane_save wrote to the parked ones. Called before the
 * dataplane thread serves the plane. Returns 0; -EINVAL: they are none of this ring's. */
int blkplane_load(struct blkplane *plane, const void *data, size_t size);

/* blkplane_dirty.c, on the dataplane thread. Records all writable memory of a finished request in
 * the dirty log: a failed read may have written a part of it. */
void blkplane_mark_dirty(const struct blkplane *p, const struct slot *slot);

#endif
