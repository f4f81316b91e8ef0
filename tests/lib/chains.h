/* SPDX-License-Identifier: BSD-3-Clause */
/* chains: a fixture of mock driver and vring for tests of vring_pop, in either ring format. */
#ifndef TESTS_CHAINS_H
#define TESTS_CHAINS_H

#include "tests/lib/mockdrv.h"

/* The driver and the device of the ring under test. */
extern struct mockdrv m;
extern struct vring_dev vr;

/* The chain that was popped last. chain.iov is `iov`; a test may lower chain.capacity. */
extern struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
extern struct vring_chain chain;

/* Lays out an empty ring. The test must call mock_fini at its end. */
void chains_begin(bool packed, uint16_t size, bool indirect);

/* Makes the staged chains available and pops one. Returns the result of vring_pop. */
int chains_pop(void);

/* Calls chains_pop and checks that the queue breaks, stays broken, and has no further chain in
 * flight. */
void chains_expect_broken(void);

/* Checks entry i of chain.iov: it maps [gpa, gpa + len) in the device's mapping. */
void expect_piece(unsigned int i, uint64_t gpa, uint64_t len);

/* Checks the number of entries and bytes that the device reads (out) and writes (in). */
void expect_counts(unsigned int out, unsigned int in, uint32_t out_len, uint32_t in_len);

#endif
