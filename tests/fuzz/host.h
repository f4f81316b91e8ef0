/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host: stands between a device and its host (the linker turns the calls over, see targets.mk), to
 * watch and, where the input says so, to refuse and to cut short.
 *
 * What it watches holds whatever the guest does, even while it rewrites its memory:
 * - I/O moves between guest RAM or a bounce buffer and the image, within its capacity, aligned as
 *   O_DIRECT wants it, and never to a read-only image;
 * - every chain popped is pushed once, and used.len is within its writable bytes; or the ring broke;
 * - per wake-up at most one ring of chains is popped; none once the thread had to see that it is to
 *   stop, and none from a broken ring; with nothing to do the thread waits: between two turns that
 *   wait or get something done are no more than it takes to look again, or, where the ring changes by
 *   itself, as many as break it;
 * - after a stop nothing is with the host, and no bounce buffer is lost.
 *
 * Bounce buffers are full of poison when a read begins: 8 bytes chosen by chance for each process,
 * again and again, that neither input nor image can hold. Where guest memory or the image has them,
 * host memory leaked.
 */
#ifndef TESTS_FUZZ_HOST_H
#define TESTS_FUZZ_HOST_H

#include "tests/fuzz/guest.h"

struct host_case {
	const struct guest *guest;
	uint64_t capacity; /* of the image, bytes */
	bool readonly;
	uint32_t faults; /* where to begin in the sequence of what the host refuses; 0: nothing */
	bool racing;	 /* the guest moves its indices while they are read */
	/* Called between the device's look at a descriptor and what it does with it; or NULL. */
	void (*between)(void);
};

/* While no dataplane runs. */
void host_begin(const struct host_case *c);

/*
 * May entries of the ring come and go by themselves from now on? Of a racing guest that is expected from
 * the beginning of its case. Any thread.
 */
void host_expect_empty_turns(bool expected);

/* Has anything been written to the image since host_begin? */
bool host_wrote(void);

/* Is there poison in [data, data + len)? Aligned to 8; fewer than 15 bytes in a row may be missed. */
bool host_poisoned(const void *data, size_t len);

#endif
