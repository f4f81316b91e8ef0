/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * alone: whether a driver has one request at a time. On a file whose reads do not wait, such a one is
 * served quickest by a plain system call; as soon as a second request turns up, that is over. Pure
 * arithmetic of one thread, inline for the hot path.
 */
#ifndef DATAPLANE_INLINE_IO_H
#define DATAPLANE_INLINE_IO_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A plain system call is tried after so many requests that were each alone. When it had to wait for
 * a device, which is longer than this, then not again before twice as many, up to a limit.
 */
#define INLINE_IO_MIN_STREAK 32u
#define INLINE_IO_MAX_STREAK 65536u
#define INLINE_IO_FAST_NS    10000u

struct inline_io {
	unsigned int row; /* requests in a row with no other one beside them */
	unsigned int
		wait; /* so many before a plain call is tried; INLINE_IO_MIN_STREAK to begin with */
};

/* A request has come. True: try it by a plain call, and say how that went. */
static inline bool inline_io_should_try(struct inline_io *a, bool others_in_flight)
{
	a->row = others_in_flight ? 0 : a->row + 1;
	if (a->row <= a->wait)
		return false;
	a->row = a->wait;
	return true;
}

/* `more`: requests have come meanwhile. Not having been told of this one yet, a driver that has one
 * at a time could not have sent them. */
static inline void inline_io_report(struct inline_io *a, uint64_t ns, bool more)
{
	if (ns <= INLINE_IO_FAST_NS) {
		a->wait = INLINE_IO_MIN_STREAK;
	} else {
		a->row = 0;
		/* Twice, but no more than INLINE_IO_MAX_STREAK, a power of two as all of them. */
		a->wait = (2 * a->wait - 1) % INLINE_IO_MAX_STREAK + 1;
	}
	if (more)
		a->row = 0;
}

#endif
