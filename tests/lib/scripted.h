/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scripted: an I/O engine whose segments are completed by the test.
 *
 * A segment that the dataplane submits stays pending until the test completes it, with any result
 * and in any order. The functions below are for the test thread; a lock protects them from the
 * dataplane thread. A failure fails the test.
 */
#ifndef TESTS_SCRIPTED_H
#define TESTS_SCRIPTED_H

#include "dataplane/ioengine.h"

#define SCRIPTED_MAX 1024

extern const struct ioengine_ops ioengine_scripted;

/* A copy of a pending segment. */
struct scripted_seg {
	struct io_task *task;
	enum io_op op;
	bool stable;
	bool base; /* the segment is in the base of an ephemeral disk */
	uint64_t offset;
	uint64_t len;
	unsigned int pieces;
};

/* Waits until exactly `count` segments are pending. Fails the test if there are more. */
void scripted_wait(struct ioengine *e, unsigned int count);

/* Returns the number of pending segments. */
unsigned int scripted_held(struct ioengine *e);

/* Returns pending segment i; segments are numbered from 0, oldest first. */
struct scripted_seg scripted_seg(struct ioengine *e, unsigned int i);

/* A result for the full length of the segment. */
#define SCRIPTED_ALL INT64_MAX

/* Completes pending segment i with `res`, bytes or -errno, and wakes the dataplane thread. */
void scripted_complete(struct ioengine *e, unsigned int i, int64_t res);

/* Completes all pending segments with `res`, oldest first, by one wake-up. */
void scripted_complete_all(struct ioengine *e, int64_t res);

/* Returns the number of submit calls with at least one queued task. */
unsigned int scripted_submits(struct ioengine *e);

/* Limits the tasks that one submit call takes from the queue. */
void scripted_accept(struct ioengine *e, unsigned int per_submit);

#endif
