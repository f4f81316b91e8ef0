/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fixture of mock driver and vring, in either ring format.
 *
 * Functions are for the test thread. A failure fails the test.
 */
#ifndef TESTS_CHAINS_H
#define TESTS_CHAINS_H

#include "tests/lib/mockdrv.h"

/* The driver of the ring under test. */
extern struct mockdrv m;
/* The device side of that ring. */
extern struct vring_dev vr;

/* The chain that was popped last. chain.iov is `iov`; a test may lower chain.capacity. */
extern struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
extern struct vring_chain chain;

/* Features of a ring. */
#define CHAINS_EVENT_IDX 1u
#define CHAINS_INDIRECT	 2u
#define CHAINS_IN_ORDER	 4u

/* Lays out an empty ring with a set of features. The test must call mock_fini at its end. */
void chains_begin(bool packed, uint16_t size, unsigned int features);

/* Makes each descriptor of the driver's table a chain of its own: one readable byte. */
void chains_fill_table(void);

/* Makes the staged chains available and pops one. Returns the result of vring_pop. */
int chains_pop(void);

/* Calls chains_pop and checks that it pops the chain with this head, or buffer id. */
void chains_expect_pop(uint16_t head);

/* Calls chains_pop and checks that the queue breaks, stays broken, and has no further chain in
 * flight. */
void chains_expect_broken(void);

/* Checks entry i of chain.iov: it maps [gpa, gpa + len) in the device's mapping. */
void expect_piece(unsigned int i, uint64_t gpa, uint64_t len);

/* Checks the number of entries and bytes that the device reads (out) and writes (in). */
void expect_counts(unsigned int out, unsigned int in, uint32_t out_len, uint32_t in_len);

/* Takes the next used element, which must be this one. */
void chains_expect_used(uint16_t head, uint32_t len);

/* Checks that the device has published no used element that was not taken yet. */
void chains_expect_no_used(void);

/*
 * With EVENT_IDX, requests an interrupt for a descriptor: `ahead` descriptors after the next used
 * element that the driver takes; negative: before it. In a split ring, a used element counts as one
 * descriptor.
 */
void chains_set_event(int ahead);

#endif
