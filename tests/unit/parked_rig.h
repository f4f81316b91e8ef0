/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixture of a ring whose failed requests are parked, ignored or reported, by rerror and werror.
 * A test program includes this file once.
 */
#ifndef TESTS_UNIT_PARKED_RIG_H
#define TESTS_UNIT_PARKED_RIG_H

#include <errno.h>

#include "tests/lib/rig.h"
#include "tests/lib/suite.h"

static struct rig r;
static struct mockdrv *const m = &r.m;

static struct {
	unsigned int count; /* atomic: number of stopped() calls */
	enum io_op op;
	int err;
} heard;

static void hear(struct blkplane_listener *listener, unsigned int queue, enum io_op op, int err)
{
	must(listener == r.config.listener && queue == 5);
	heard.op = op;
	heard.err = err;
	__atomic_fetch_add(&heard.count, 1, __ATOMIC_SEQ_CST);
}

/* Waits until the listener has been told of `count` errors, of which this is the last. */
static inline void wait_heard(unsigned int count, enum io_op op, int err)
{
	mock_wait_until(__atomic_load_n(&heard.count, __ATOMIC_SEQ_CST) == count);
	ck_assert_int_eq(heard.op, op);
	ck_assert_int_eq(heard.err, err);
}

static void on_broken(struct blkplane_listener *listener, unsigned int queue, const char *why)
{
	must(listener == r.config.listener && queue == 5 && *why);
}

static struct blkplane_listener parked_listener = { .broken = on_broken, .stopped = hear };

/* Sets the policy for reads and writes. */
static void set(enum blkpolicy_action action)
{
	r.config.policy = (struct blkpolicy){ .read = action, .write = action };
	r.config.listener = &parked_listener;
	r.config.queue = 5;
	heard.count = 0;
}

/* Starts a ring with the scripted engine. Kind: bit 0 for packed, bit 1 for IN_ORDER. */
static void begin(int kind, enum blkpolicy_action action)
{
	rig_init(&r, 16, false, false, 16);
	if (kind & 1)
		mock_ring_packed(m, 16, false, false);
	m->ring.in_order = kind & 2;
	set(action);
	rig_start(&r);
}

/* Waits for this number of used elements, and checks that there are no more. */
static void expect_used(unsigned int count)
{
	struct vring_used_elem elem;

	while (count--)
		mock_wait_used(m, &elem);
	wait_idle_thread();
	ck_assert(!mock_has_used(m));
}

#endif
