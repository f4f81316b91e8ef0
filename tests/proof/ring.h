/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring: what the harnesses of both formats replace in the code under proof, by what other harnesses
 * prove of it.
 */
#ifndef PROOF_RING_H
#define PROOF_RING_H

#include "dataplane/vring_internal.h"

#ifndef RING
#define RING 4
#endif

/* Bits of heads that exist. */
static inline uint64_t ring_heads(const struct vring_dev *vr)
{
	return (1ull << vr->size) - 1;
}

/* The mirror is the memory of another process, and has a harness of its own. */
#undef HAS_MIRROR
#define HAS_MIRROR(vr) false

#endif
