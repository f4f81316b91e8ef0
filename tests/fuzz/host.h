/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interposer between a device and the host kernel (linked with --wrap, see targets.mk). It checks
 * the device's calls and, where the input says so, makes them fail or transfer less.
 *
 * These invariants hold whatever the guest does, even while it rewrites its memory:
 * - I/O moves data between guest RAM or a bounce buffer and the image, within the image's capacity,
 *   aligned for O_DIRECT, and never to a read-only image;
 * - every popped chain is pushed once, with used.len within its writable bytes, unless the ring
 *   breaks;
 * - per wake-up at most one ring of chains is popped, and none after the thread has seen a stop
 *   request, nor from a broken ring. A thread without work sleeps: between two turns that sleep or
 *   make progress, there are only as many others as polling again takes or, where the ring changes
 *   by itself, as many as break it;
 * - after a stop no request is with the host, and no bounce buffer is lost.
 *
 * Bounce buffers are filled with poison when a read begins: 8 random bytes for each process,
 * repeated, which neither input nor image can contain. Poison in guest memory or the image is
 * leaked host memory.
 */
#ifndef TESTS_FUZZ_HOST_H
#define TESTS_FUZZ_HOST_H

#include "tests/fuzz/guest.h"

struct host_case {
	const struct guest *guest;
	uint64_t capacity; /* of the image, in bytes */
	bool readonly;
	uint32_t faults; /* start in the sequence of host errors; 0: none */
	bool racing;	 /* the guest changes its indices concurrently */
	/* Called after the device has read a descriptor, before it uses it; may be NULL. */
	void (*between)(void);
};

/* Starts a case. Called while no dataplane runs. */
void host_begin(const struct host_case *c);

/*
 * Tells whether entries of the ring may come and go by themselves from now on; a racing guest is
 * expected to cause that from the start of its case. Any thread.
 */
void host_expect_empty_turns(bool expected);

/* Returns whether the image has been written to since host_begin. */
bool host_wrote(void);

/*
 * Returns whether [data, data + len), aligned to 8, has poison. Fewer than 15 bytes may be missed.
 */
bool host_poisoned(const void *data, size_t len);

#endif
