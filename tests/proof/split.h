/* SPDX-License-Identifier: BSD-3-Clause */
/* split: any split ring of at most RING descriptors, in any state that the device can reach. */
#ifndef PROOF_SPLIT_H
#define PROOF_SPLIT_H

#include "tests/proof/ring.h"

/*
 * What holds for a split ring between any two calls of vring.h. Each harness proves that its
 * function keeps it, and split_notify that a new ring has it, so that it holds after any number of
 * calls.
 */
static inline bool split_holds(const struct vring_dev *vr)
{
	const void *desc = vr->desc, *avail = vr->avail, *used = vr->used;
	uint64_t size = vr->size;

	return vr->mem == &ram && !vr->packed && !vr->mirror &&
	       /* A power of two, so that the indices may wrap at 2^16. */
	       size <= RING && (size == 1 || size == 2 || size == 4) &&
	       /* The three parts lie in guest RAM. */
	       shared_holds(&shared[0], desc) && shared_holds(&shared[0], avail) &&
	       shared_holds(&shared[0], used) && ram_has(shared_offset(desc), 16 * size) &&
	       ram_has(shared_offset(avail), 6 + 2 * size) &&
	       ram_has(shared_offset(used), 6 + 8 * size) &&
	       /* Entries are popped only up to the index that was checked. */
	       (uint16_t)(vr->avail_idx - vr->last_avail) <= size &&
	       !(vr->in_flight[0] & ~ring_heads(vr));
}

/* Makes any ring. */
static inline void split_any(struct vring_dev *vr)
{
	uint64_t desc = ANY(uint64_t), avail = ANY(uint64_t), used = ANY(uint64_t);

	ram_any();
	assume(desc < ram_size && avail < ram_size && used < ram_size);
	*vr = ANY(struct vring_dev);
	vr->mem = &ram;
	vr->mirror = NULL;
	vr->packed = false;
	vr->desc = (const struct vring_desc *)(ram_base + desc);
	vr->avail = (struct vring_avail *)(ram_base + avail);
	vr->used = (struct vring_used *)(ram_base + used);
	assume(split_holds(vr));
}

#endif
