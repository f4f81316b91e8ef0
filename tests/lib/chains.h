/* SPDX-License-Identifier: BSD-3-Clause */
/* chains: a mock driver and a ring, in either format, for tests of what is popped from it. */
#ifndef TESTS_CHAINS_H
#define TESTS_CHAINS_H

#include "tests/lib/mockdrv.h"

extern struct mockdrv m;
extern struct vring_dev vr;
/* What was popped last; `chain` points to all of `iov`, unless a test says otherwise. */
extern struct iovec iov[VRING_CHAIN_CAPACITY(VRING_MAX_SIZE)];
extern struct vring_chain chain;

/* An empty ring; ends with mock_fini. */
void chains_begin(bool packed, uint16_t size, bool indirect);

/* Show the device what is staged, and pop. */
int chains_pop(void);
/* ... and see the ring broken, for good, with nothing more in flight. */
void chains_expect_broken(void);

/* Piece number i of the chain, and how many there are to read and to write. */
void expect_piece(unsigned int i, uint64_t gpa, uint64_t len);
void expect_counts(unsigned int out, unsigned int in, uint32_t out_len, uint32_t in_len);

#endif
