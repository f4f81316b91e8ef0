/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scripted: an I/O engine whose "host" is the test. What the dataplane submits stays visible until
 * the test gives it a result, in any order, from the test thread.
 */
#ifndef TESTS_SCRIPTED_H
#define TESTS_SCRIPTED_H

#include "dataplane/ioengine.h"

#define SCRIPTED_MAX 1024

extern const struct ioengine_ops ioengine_scripted;

/* A submitted segment, copied. */
struct scripted_seg {
	struct io_task *task;
	enum io_op op;
	bool stable;
	uint64_t offset;
	uint64_t len;
	unsigned int pieces;
};

/* Wait until `count` segments are with the host. */
void scripted_wait(struct ioengine *e, unsigned int count);

/* How many are, now. */
unsigned int scripted_held(struct ioengine *e);

/* Number i of those the host holds, oldest first. */
struct scripted_seg scripted_seg(struct ioengine *e, unsigned int i);

/* Give number i its result (SCRIPTED_ALL: all that was asked for) and wake the dataplane. */
#define SCRIPTED_ALL INT64_MAX
void scripted_complete(struct ioengine *e, unsigned int i, int64_t res);
/* Several at once, oldest first, with one wake-up. */
void scripted_complete_all(struct ioengine *e, int64_t res);

/* How many times submit was called with something queued; and a bound for what one call takes. */
unsigned int scripted_submits(struct ioengine *e);
void scripted_accept(struct ioengine *e, unsigned int per_submit);

#endif
