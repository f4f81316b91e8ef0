/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * alone: whether a driver has one request at a time. On a file whose reads do not wait, such a one is
 * served quickest by a plain system call; as soon as a second request turns up, that is over. Pure
 * arithmetic of one thread, inline for the hot path.
 */
#ifndef DATAPLANE_ALONE_H
#define DATAPLANE_ALONE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A plain system call is tried after so many requests that were each alone. When it had to wait for
 * a device, which is longer than this, then not again before twice as many, up to a limit.
 */
#define ALONE_FIRST    32u
#define ALONE_MOST     65536u
#define ALONE_PLAIN_NS 10000u

struct alone {
	unsigned int row;  /* requests in a row with no other one beside them */
	unsigned int wait; /* so many before a plain call is tried; ALONE_FIRST to begin with */
};

/* A request has come. True: try it by a plain call, and say how that went. */
static inline bool alone_try(struct alone *a, bool company)
{
	a->row = company ? 0 : a->row + 1;
	if (a->row <= a->wait)
		return false;
	a->row = a->wait;
	return true;
}

/* `more`: requests have come meanwhile. Not having been told of this one yet, a driver that has one
 * at a time could not have sent them. */
static inline void alone_tried(struct alone *a, uint64_t ns, bool more)
{
	if (ns <= ALONE_PLAIN_NS) {
		a->wait = ALONE_FIRST;
	} else {
		a->row = 0;
		/* Twice, but no more than ALONE_MOST, a power of two as all of them. */
		a->wait = (2 * a->wait - 1) % ALONE_MOST + 1;
	}
	if (more)
		a->row = 0;
}

#endif
