/* SPDX-License-Identifier: BSD-3-Clause */
/* packed: any packed ring of at most RING descriptors, in any state that the device can reach. */
#ifndef PROOF_PACKED_H
#define PROOF_PACKED_H

#include "tests/proof/ring.h"

/* Returns the wrap counters, which the ring keeps as flags of descriptors. */
static inline bool avail_wrap(const struct vring_dev *vr)
{
	return vr->ring.avail_flags == AVAIL;
}

static inline bool used_wrap(const struct vring_dev *vr)
{
	return vr->ring.used_flags == BOTH;
}

/* Returns the descriptors of the chains that are in flight. */
static inline unsigned int packed_held(const struct vring_dev *vr)
{
	unsigned int held = 0;

	for (unsigned int id = 0; id < RING; id++)
		if (vr->in_flight[0] >> id & 1)
			held += vr->ring.length[id];
	return held;
}

/*
 * What holds for a packed ring between any two calls of vring.h. Each harness proves that its
 * function keeps it, and that a new ring has it, so that it holds after any number of calls.
 */
static inline bool packed_holds(const struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->ring;
	unsigned int size = vr->size;

	if (vr->mem != &ram || !vr->packed || vr->mirror || !size || size > RING ||
	    vr->in_flight[0] & ~ring_heads(vr))
		return false;
	/* The parts lie in guest RAM. */
	if (!shared_holds(&shared[0], p->desc) || !shared_holds(&shared[0], p->driver_event) ||
	    !shared_holds(&shared[0], p->device_event) ||
	    !ram_has(shared_offset(p->desc), 16 * size) ||
	    !ram_has(shared_offset(p->driver_event), 4) ||
	    !ram_has(shared_offset(p->device_event), 4))
		return false;
	if (p->avail_next >= size || p->used_next >= size ||
	    (p->avail_flags != AVAIL && p->avail_flags != USED) ||
	    (p->used_flags != BOTH && p->used_flags))
		return false;
	for (unsigned int id = 0; id < RING; id++)
		if (vr->in_flight[0] >> id & 1 && (!p->length[id] || p->length[id] > size))
			return false;
	/* Used elements do not overtake what was read: the distance of the two positions is what is
	 * in flight. */
	return p->desc_in_flight <= size && p->desc_in_flight == packed_held(vr) + p->batch &&
	       p->avail_next + (avail_wrap(vr) != used_wrap(vr) ? size : 0) ==
		       p->used_next + packed_held(vr) &&
	       (!p->batch ||
		(p->batch_at < size && (p->batch_at + p->batch == p->used_next ||
					p->batch_at + p->batch == p->used_next + size)));
}

/* Makes any ring. */
static inline void packed_any(struct vring_dev *vr)
{
	uint64_t desc = ANY(uint64_t), driver = ANY(uint64_t), device = ANY(uint64_t);

	ram_any();
	assume(desc < ram_size && driver < ram_size && device < ram_size);
	*vr = ANY(struct vring_dev);
	vr->mem = &ram;
	vr->mirror = NULL;
	vr->packed = true;
	vr->ring.desc = (struct vring_packed_desc *)(ram_base + desc);
	vr->ring.driver_event = (const uint32_t *)(ram_base + driver);
	vr->ring.device_event = (uint32_t *)(ram_base + device);
	assume(packed_holds(vr));
}

#endif
