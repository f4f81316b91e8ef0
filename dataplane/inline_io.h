/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inline_io: whether to execute a request by a synchronous preadv or pwritev.
 *
 * At queue depth 1, on a file whose I/O does not block (in the page cache, for instance), a
 * synchronous system call is faster than the asynchronous engine. As soon as a second request is in
 * flight, requests go to the engine again. The functions only compute on the structure, which
 * belongs to one thread; they are inline because every request calls one.
 */
#ifndef DATAPLANE_INLINE_IO_H
#define DATAPLANE_INLINE_IO_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Inline I/O begins after INLINE_IO_MIN_STREAK consecutive requests at queue depth 1. A call that
 * takes longer than INLINE_IO_FAST_NS has waited for a device: inline I/O then ends, and the streak
 * required for the next attempt doubles, up to INLINE_IO_MAX_STREAK. All streaks are powers of two.
 */
#define INLINE_IO_MIN_STREAK 32u
#define INLINE_IO_MAX_STREAK 65536u
#define INLINE_IO_FAST_NS    10000u

struct inline_io {
	unsigned int row;  /* length of the present streak at queue depth 1, at most `wait` */
	unsigned int wait; /* streak required for inline I/O; initially INLINE_IO_MIN_STREAK */
};

/* Called for each request, before it is submitted. True: execute it synchronously, then call
 * inline_io_report. */
static inline bool inline_io_should_try(struct inline_io *a, bool others_in_flight)
{
	a->row = others_in_flight ? 0 : a->row + 1;
	if (a->row <= a->wait)
		return false;
	a->row = a->wait;
	return true;
}

/*
 * Report a synchronous call: its duration in ns, and in `more` whether the ring has new requests
 * after it. The driver has not yet seen this request completed, so a new one means a queue depth
 * above 1.
 */
static inline void inline_io_report(struct inline_io *a, uint64_t ns, bool more)
{
	if (ns <= INLINE_IO_FAST_NS) {
		a->wait = INLINE_IO_MIN_STREAK;
	} else {
		a->row = 0;
		/* Double the streak up to INLINE_IO_MAX_STREAK; relies on powers of two. */
		a->wait = (2 * a->wait - 1) % INLINE_IO_MAX_STREAK + 1;
	}
	if (more)
		a->row = 0;
}

#endif
