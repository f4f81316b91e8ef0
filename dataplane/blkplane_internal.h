/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkplane_parts: what blkplane.c, the work of the dataplane thread, and blkplane_calls.c, what other
 * threads have to say to it, share; for these files only.
 */
#ifndef DATAPLANE_BLKPLANE_PARTS_H
#define DATAPLANE_BLKPLANE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/inline_io.h"
#include "dataplane/blkplane.h"
#include "dataplane/evloop.h"

/* A request from pop to push. */
struct slot {
	struct blkreq req;
	struct slot *
		next; /* the next free one; or of those a turn has taken, while times are measured */
	uint64_t begun; /* when it was submitted; the same */
	struct io_task task;
	struct iovec iov[];
};

/* While times are measured; ns. */
struct plane_times {
	struct slot *batch;   /* taken by this turn, for the engine */
	uint64_t taken;	      /* the first of them; 0: none */
	uint64_t left;	      /* since then something waits in the ring; 0: not so */
	uint64_t reaped;      /* by this turn; 0: nothing */
	uint64_t unanswered;  /* since then something waits to be shown to the driver */
	unsigned int answers; /* so many */
};

struct blkplane {
	struct blkplane_config config;
	struct vring_dev ring;
	struct iothread_client client;
	struct ev_watch kick;
	struct ev_watch completion;
	struct iothread_call *stop;  /* to be answered when all is drained */
	struct plane_call *cache;    /* the same; then the ring is served on */
	struct iothread_call *pause; /* the same; then the ring is left alone */

	struct inline_io inline_io;
	bool has_avail; /* peek or arm has seen an available chain since the last batch began */
	unsigned int
		empty_turns; /* batches that popped nothing although has_avail was set, in a row */
	bool no_slots;	     /* stopped popping for want of a free place in the engine */
	bool broken;	     /* the driver has been told that the ring is broken */
	bool has_limit;	     /* there is a limit now */
	bool throttled;	     /* requests wait for it */
	uint64_t now;	     /* ns: when the limit was looked at last */
	uint64_t throttled_until; /* ns: until when nothing is left of it; 0: something is */
	bool paused;		  /* nothing is taken until it is resumed */
	struct io_queue parked;	  /* they failed, and are repeated then */
	struct plane_times times;

	/* One slot per ring entry, and one to look for the next request with. The one freed last is
	 * used first, and never-used ones last, so only as many are ever touched as requests were
	 * in flight at once. */
	char *slots;
	size_t slot_size;
	unsigned int slots_used;
	struct slot *free_slot;
};

/* What another thread has to say to a plane. */
struct plane_call {
	struct iothread_call call;
	struct blkplane *plane;
	bool writethrough;
	uint64_t capacity;
	int err;
};

/* What the thread does for a plane: the client's functions. */
extern const struct iothread_client blkplane_client;

/* On that thread, blkplane_limit.c; while there is a limit. A turn begins: is there something left? */
void blkplane_throttle_check(struct blkplane *p);
/* A request has been taken; `task` as in blklimit_take. */
void blkplane_throttle_charge(struct blkplane *p, const struct io_task *task);
/* Nothing is left: what is in the ring waits. */
void blkplane_throttle_wait(struct blkplane *p);
/* It may have been set, or lifted. */
void blkplane_throttle_reload(struct blkplane *p);

/* On that thread, blkplane_times.c; while times are measured. It goes to the engine with this batch; */
void blkplane_times_take(struct blkplane *p, struct slot *slot);
/* or has been begun already. */
void blkplane_times_run(struct blkplane *p, struct slot *slot, uint64_t now);
/* There is a batch, and it is about to be submitted. */
void blkplane_times_submit(struct blkplane *p);
/* No more is taken by this turn. */
void blkplane_times_end_batch(struct blkplane *p);
/* The engine has finished with it. */
void blkplane_times_reap(struct blkplane *p, const struct slot *slot);
/* All that is finished has been shown, and there is something. */
void blkplane_times_answer(struct blkplane *p);

/* On that thread: all that is kept ends as failed. */
void blkplane_fail_parked(struct blkplane *plane);

#endif
