/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evloop_parts: internal interface between the event loop and its ring set-up.
 *
 * Included by evloop.c and evloop_rings.c only.
 */
#ifndef DATAPLANE_EVLOOP_PARTS_H
#define DATAPLANE_EVLOOP_PARTS_H

#include "dataplane/evloop.h"

/* Returns how many io_uring instances a loop of this kind has. */
static inline unsigned int evloop_rings(enum evloop_kind kind)
{
	return kind == EVLOOP_EPOLL ? 0 : kind == EVLOOP_IOPOLL ? 2 : 1;
}

/* Returns ring n of the loop: 0 is the main ring, 1 the polled ring. */
static inline struct io_uring *evloop_ring(struct evloop *loop, unsigned int n)
{
	return n ? &loop->polled : &loop->ring;
}

/* Creates the rings of a loop in the disabled state. Returns 0, or -errno with no ring left. */
int evloop_create_rings(struct evloop *loop);
void evloop_destroy_rings(struct evloop *loop);

#endif
