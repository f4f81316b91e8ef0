/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blkplane_parts: what blkplane.c, the work of the dataplane thread, and blkplane_calls.c, what other
 * threads have to say to it, share; for these files only.
 */
#ifndef DATAPLANE_BLKPLANE_PARTS_H
#define DATAPLANE_BLKPLANE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/alone.h"
#include "dataplane/blkplane.h"
#include "dataplane/evloop.h"

/* A request from pop to push. */
struct slot {
	struct blkreq req;
	struct slot *next_free;
	struct io_task task;
	struct iovec iov[];
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

	struct alone alone;
	bool starved;	      /* stopped popping for want of a free place in the engine */
	bool broken;	      /* the driver has been told that the ring is broken */
	bool limited;	      /* there is a limit now */
	bool held;	      /* requests wait for it */
	uint64_t now;	      /* ns: when the limit was looked at last */
	uint64_t spent;	      /* ns: until when nothing is left of it; 0: something is */
	bool paused;	      /* nothing is taken until it is resumed */
	struct io_queue kept; /* they failed, and are repeated then */

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
void blkplane_limit_look(struct blkplane *p);
/* A request has been taken; `task` as in blklimit_take. */
void blkplane_limit_take(struct blkplane *p, const struct io_task *task);
/* Nothing is left: what is in the ring waits. */
void blkplane_limit_hold(struct blkplane *p);
/* It may have been set, or lifted. */
void blkplane_limit_learn(struct blkplane *p);

/* On that thread: all that is kept ends as failed. */
void blkplane_fail_kept(struct blkplane *plane);

#endif
