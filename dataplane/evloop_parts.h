/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * evloop_parts: internal interface between the event loop and its ring set-up.
 *
 * Included by evloop.c and evloop_ring.c only.
 */
#ifndef DATAPLANE_EVLOOP_PARTS_H
#define DATAPLANE_EVLOOP_PARTS_H

#include "dataplane/evloop.h"

/* Creates the ring of a loop in the disabled state. Returns 0, or -errno with no ring left. */
int evloop_create_ring(struct evloop *loop);

#endif
