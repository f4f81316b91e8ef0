/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evloop_parts: functions shared by evloop.c, the turns of a loop, and evloop_rings.c, the set-up
 * of its rings; for these files only.
 */
#ifndef DATAPLANE_EVLOOP_PARTS_H
#define DATAPLANE_EVLOOP_PARTS_H

#include "dataplane/evloop.h"

/* How many rings a loop of this kind has. */
static inline unsigned int evloop_rings(enum evloop_kind kind)
{
	return kind == EVLOOP_EPOLL ? 0 : kind == EVLOOP_IOPOLL ? 2 : 1;
}

static inline struct io_uring *evloop_ring(struct evloop *loop, unsigned int n)
{
	return n ? &loop->polled : &loop->ring;
}

/* Create the rings of a loop, not yet enabled. 0 or -errno, and then there are none. */
int evloop_create_rings(struct evloop *loop);
void evloop_destroy_rings(struct evloop *loop);

#endif
