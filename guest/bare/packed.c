/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/virtio.h"

#define BOTH (PACKED_AVAIL | PACKED_USED)

void packed_init(struct device *d, uint16_t size)
{
	struct ring *ring = &d->ring;

	ring->packed = page_alloc(size * sizeof(*ring->packed));
	ring->driver_event = page_alloc(sizeof(*ring->driver_event));
	ring->device_event = page_alloc(sizeof(*ring->device_event));
	ring->put.wrap = ring->take.wrap = true;
	check(device_set_queue(d, size, (uintptr_t)ring->packed, (uintptr_t)ring->driver_event,
			       (uintptr_t)ring->device_event));
}

static void advance(const struct ring *ring, struct place *p, unsigned int count)
{
	for (p->at = (uint16_t)(p->at + count); p->at >= ring->size;
	     p->at = (uint16_t)(p->at - ring->size))
		p->wrap = !p->wrap;
}

void packed_put(struct device *d, const struct vring_desc *desc, uint16_t id, uint16_t flags)
{
	struct ring *ring = &d->ring;
	struct vring_packed_desc *at = &ring->packed[ring->put.at];

	flags = (uint16_t)(flags | (ring->put.wrap ? PACKED_AVAIL : PACKED_USED));
	at->addr = desc->addr;
	at->len = desc->len;
	at->id = id;
	if (ring->first) {
		at->flags = flags;
	} else {
		ring->first = at;
		ring->first_flags = flags;
	}
	advance(ring, &ring->put, 1);
}

void packed_stage(struct device *d, uint16_t head)
{
	struct ring *ring = &d->ring;
	uint16_t i = head, count = 0, flags;

	do {
		const struct vring_desc *desc = &ring->desc[i % ring->size];

		flags = desc->flags;
		packed_put(d, desc, head, flags);
		i = desc->next;
	} while (++count < ring->size && flags & NEXT);
	if (head < ring->size)
		ring->length[head] = count;
}

void packed_show(struct device *d)
{
	/* Partner: the device's acquire of the flags. */
	if (d->ring.first)
		__atomic_store_n(&d->ring.first->flags, d->ring.first_flags, __ATOMIC_RELEASE);
	d->ring.first = NULL;
}

bool packed_used(struct device *d, struct vring_used_elem *elem)
{
	struct ring *ring = &d->ring;
	const struct vring_packed_desc *at = &ring->packed[ring->take.at];
	/* Partner: the device's release of the flags. */
	uint16_t flags = __atomic_load_n(&at->flags, __ATOMIC_ACQUIRE);

	if ((flags & BOTH) != (ring->take.wrap ? BOTH : 0))
		return false;
	elem->id = at->id;
	elem->len = at->len;
	check(elem->id < ring->size && ring->length[elem->id]);
	/* 2.8.5: the length is meaningful only with the WRITE flag. */
	check(!(flags & WRITE) == !elem->len);
	advance(ring, &ring->take, ring->length[elem->id]);
	return true;
}
