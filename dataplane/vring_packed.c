/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed ring: one circular array of descriptors for both sides (virtio 1.2, 2.8).
 *
 * The driver makes a descriptor available, and the device makes it used, by the flags AVAIL and
 * USED, whose meaning is inverted on each round.
 *
 * Memory ordering, with the partner of each access in the driver:
 *   pop            acquire of the flags         write barrier before the store of the first
 *                                               flags of a chain
 *   publish        release of the first flags   read barrier after the load of these flags
 *                  of a batch
 *   enable_notify  full barrier                 full barrier between descriptor flags and the
 *                                               device event structure
 *   should_notify  full barrier                 full barrier between the driver event structure
 *                                               and descriptor flags
 *
 * Used elements overwrite descriptors, and neither side shows an index to the other. The device
 * must never write an element to a descriptor that it has not read, whatever the driver does with
 * the flags. `desc_in_flight` ensures this: it counts the descriptors that were read and are not
 * published as used yet, and never exceeds the size of the ring. As used_next advances by the
 * lengths of popped chains, it cannot overtake avail_next.
 */
#include "dataplane/vring_internal.h"
#include "dataplane/vring_mirror.h"

#define EVENT_SIZE sizeof(struct vring_packed_desc_event)

/* An event suppression structure as one 32-bit word (2.8.10): the position in bits 0 to 14, its
 * wrap counter in bit 15, the flags in bits 16 and 17. */
#define EVENT_DISABLE ((uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16)
#define EVENT_DESC    ((uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16)
#define EVENT_FLAGS   (3u << 16)
#define EVENT_WRAP    (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

_Static_assert(AVAIL << 8 == EVENT_WRAP, "the driver's wrap counter is in AVAIL");

COLD int vring_packed_setup(struct vring_dev *vr, const struct vring_config *config)
{
	struct vring_packed *p = &vr->ring;
	uint16_t size = config->size;

	if (config->desc % VRING_DESC_ALIGN_SIZE || config->avail % EVENT_SIZE ||
	    config->used % EVENT_SIZE)
		return -EINVAL;
	p->desc = hostmem_lookup(vr->mem, config->desc, sizeof(*p->desc) * size, true);
	p->driver_event = hostmem_lookup(vr->mem, config->avail, EVENT_SIZE, false);
	p->device_event = hostmem_lookup(vr->mem, config->used, EVENT_SIZE, true);
	/* Both wrap counters start at 1 (2.8.1). */
	p->avail_flags = AVAIL;
	p->used_flags = BOTH;
	return p->desc && p->driver_event && p->device_event ? 0 : -EFAULT;
}

COLD int vring_packed_continue(struct vring_dev *vr, const struct vring_base *base)
{
	struct vring_packed *p = &vr->ring;
	int in_flight = base->avail - base->used;

	if (base->avail_wrap != base->used_wrap)
		in_flight += vr->size;
	if (base->avail >= vr->size || base->used >= vr->size || in_flight < 0 ||
	    in_flight > vr->size)
		return -EINVAL;
	p->avail_next = base->avail;
	p->avail_flags = base->avail_wrap ? AVAIL : USED;
	p->used_next = base->used;
	p->used_flags = base->used_wrap ? BOTH : 0;
	p->desc_in_flight = (uint16_t)in_flight;
	return 0;
}

COLD void vring_packed_position(const struct vring_dev *vr, struct vring_base *base)
{
	const struct vring_packed *p = &vr->ring;

	*base = (struct vring_base){
		.avail = p->avail_next,
		.used = p->used_next,
		.avail_wrap = p->avail_flags & AVAIL,
		.used_wrap = p->used_flags & USED,
	};
}

/* Advances a position by `count` descriptors, at most the size of the ring, and inverts its flags
 * when it passes the end. */
static void vring_packed_advance(const struct vring_dev *vr, uint16_t *at, uint16_t *flags,
				 uint16_t count)
{
	*at = (uint16_t)(*at + count);
	if (*at >= vr->size) {
		*at = (uint16_t)(*at - vr->size);
		*flags ^= BOTH;
	}
}

/*
 * Takes back the used elements that a killed device wrote behind the first one of a batch: the
 * driver would see them as soon as this device publishes an element before them. Their descriptors
 * get the flags that the driver had given them.
 */
COLD void vring_packed_hide_used(const struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->ring;
	uint16_t at = p->used_next, used = p->used_flags;

	for (unsigned int i = 0; i < p->desc_in_flight; i++) {
		struct vring_packed_desc *d = &p->desc[at];

		if ((READ_ONCE(d->flags) & BOTH) == used) {
			WRITE_ONCE(d->flags, (uint16_t)(used ^ USED));
			if (vr->mem->dirty)
				hostmem_mark_dirty(vr->mem, d, sizeof(*d));
		}
		vring_packed_advance(vr, &at, &used, 1);
	}
}

/* Collects the buffers of an indirect table. All of its entries belong to the chain, and of their
 * flags only WRITE is valid (2.8.7). Returns 0 or -EBADMSG. */
HOT_INLINE int vring_packed_walk_table(struct vring_dev *vr, struct vring_chain *chain,
				       const struct vring_packed_desc *ref)
{
	const void *table = indirect_table(vr, ref->addr, ref->len);
	uint32_t entries = ref->len / (uint32_t)sizeof(*ref);

	if (!table)
		return -EBADMSG;
	if (entries > vr->size)
		return break_ring(vr, "chain longer than the queue");
	for (unsigned int i = 0; i < entries; i++) {
		struct vring_packed_desc d;

		read_entry(&d, table, i);
		/* 2.8.19 forbids nested tables. Using the entry as a buffer would let the device
		 * write over a table. */
		if (d.flags & VRING_DESC_F_INDIRECT)
			return break_ring(vr, "indirect descriptor inside an indirect table");
		if (chain_add(vr, chain, d.addr, d.len, d.flags & VRING_DESC_F_WRITE))
			return -EBADMSG;
	}
	return 0;
}

/*
 * Copies the descriptor at *at, the only read of it. False: the descriptor is not available, for
 * its AVAIL and USED differ from `flags`. The acquire pairs with the driver's write barrier before
 * it stores the flags: the other fields are visible.
 */
static bool vring_packed_read_desc(struct vring_packed_desc *d, const struct vring_packed_desc *at,
				   uint16_t flags)
{
	d->flags = LOAD_ACQUIRE(at->flags);
	if ((d->flags & BOTH) != flags)
		return false;
	d->addr = READ_ONCE(at->addr);
	d->len = READ_ONCE(at->len);
	d->id = READ_ONCE(at->id);
	return true;
}

/*
 * Collects the buffers of a chain. At entry, *d is the chain's first descriptor, which was read at
 * position *at with wrap flags *flags. At return, *d is the chain's last descriptor, and *at and
 * *flags are the position after it. Returns the number of descriptors, or -EBADMSG.
 */
static int vring_packed_walk_chain(struct vring_dev *vr, struct vring_chain *chain,
				   struct vring_packed_desc *d, uint16_t *at, uint16_t *flags)
{
	const struct vring_packed *p = &vr->ring;
	int room = vr->size - p->desc_in_flight, count = 0;

	chain_begin(chain);
	for (;;) {
		if (count++ == room)
			return break_ring(vr, "more descriptors offered than the ring has");
		vring_packed_advance(vr, at, flags, 1);
		if (d->flags & VRING_DESC_F_INDIRECT) {
			/* A chain has either direct descriptors only, or one table (2.8.19). */
			if (count > 1 || d->flags & VRING_DESC_F_NEXT)
				return break_ring(vr, "indirect descriptor in a chain of others");
			return vring_packed_walk_table(vr, chain, d) ? -EBADMSG : count;
		}
		if (chain_add(vr, chain, d->addr, d->len, d->flags & VRING_DESC_F_WRITE))
			return -EBADMSG;
		if (!(d->flags & VRING_DESC_F_NEXT))
			return count;
		/*
		 * The first descriptor of a chain becomes available last (2.8.6), so the others
		 * must be available now. An unavailable one is a descriptor of the previous round,
		 * or a used element. The driver did not offer it, so the device neither waits nor
		 * reads on.
		 */
		if (!vring_packed_read_desc(d, &p->desc[*at], *flags))
			return break_ring(vr, "chain continues in an unavailable descriptor");
	}
}

int vring_packed_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	struct vring_packed *p = &vr->ring;
	uint16_t at = p->avail_next, flags = p->avail_flags;
	struct vring_packed_desc d;
	int count;

	if (!vring_packed_read_desc(&d, &p->desc[at], flags))
		return 0;
	count = vring_packed_walk_chain(vr, chain, &d, &at, &flags);
	if (count < 0)
		return -EBADMSG;
	if (d.id >= vr->size)
		return break_ring(vr, "buffer id not below the queue size");
	if (bit_of(vr->in_flight, d.id))
		return break_ring(vr, "buffer id offered again while in flight");

	chain->head = d.id;
	chain_popped(vr, d.id);
	p->length[d.id] = (uint16_t)count;
	p->desc_in_flight = (uint16_t)(p->desc_in_flight + count);
	p->avail_next = at;
	p->avail_flags = flags;
	return 1;
}

COLD int vring_packed_replay(struct vring_dev *vr, struct vring_chain *chain,
			     const struct vring_packed_desc *desc, uint16_t count)
{
	uint16_t id = desc[count - 1].id;

	if (id >= vr->size)
		return break_ring(vr, "buffer id not below the queue size");
	if (bit_of(vr->in_flight, id))
		return break_ring(vr, "buffer id offered again while in flight");
	chain_begin(chain);
	for (uint16_t i = 0; i < count; i++) {
		const struct vring_packed_desc *d = &desc[i];

		if (d->flags & VRING_DESC_F_INDIRECT) {
			if (count > 1)
				return break_ring(vr, "indirect descriptor in a chain of others");
			if (vring_packed_walk_table(vr, chain, d))
				return -EBADMSG;
		} else if (chain_add(vr, chain, d->addr, d->len, d->flags & VRING_DESC_F_WRITE)) {
			return -EBADMSG;
		}
	}
	chain->head = id;
	chain_popped(vr, id);
	vr->ring.length[id] = count;
	return 1;
}

void vring_packed_push(struct vring_dev *vr, uint16_t id, uint32_t written)
{
	struct vring_packed *p = &vr->ring;
	struct vring_packed_desc *d = &p->desc[p->used_next];
	uint16_t flags = (uint16_t)(p->used_flags | (written ? VRING_DESC_F_WRITE : 0));

	WRITE_ONCE(d->id, id);
	WRITE_ONCE(d->len, written);
	/* Elements behind the first one can be stored at once: the driver does not read them before
	 * it sees the flags of the batch's first element, which vring_publish stores. */
	if (p->batch) {
		WRITE_ONCE(d->flags, flags);
	} else {
		p->batch_at = p->used_next;
		p->batch_flags = flags;
	}
	p->batch = (uint16_t)(p->batch + p->length[id]);
	vring_packed_advance(vr, &p->used_next, &p->used_flags, p->length[id]);
	if (HAS_MIRROR(vr))
		mirror_pushed(vr->mirror, vr->mirror->chain[id]);
}

/* Records the descriptors of the batch that has been published in the dirty log. */
static __attribute__((noinline)) void vring_packed_mark_used(const struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->ring;
	uint16_t before_end = (uint16_t)(vr->size - p->batch_at);
	uint16_t count = p->batch < before_end ? p->batch : before_end;

	hostmem_mark_dirty(vr->mem, &p->desc[p->batch_at], count * sizeof(p->desc[0]));
	hostmem_mark_dirty(vr->mem, &p->desc[0], (p->batch - count) * sizeof(p->desc[0]));
}

bool vring_packed_publish(struct vring_dev *vr)
{
	struct vring_packed *p = &vr->ring;

	if (!p->batch)
		return false;
	/* Pairs with the driver's read barrier: a driver that sees these flags sees all elements of
	 * the batch and the data, too. */
	STORE_RELEASE(p->desc[p->batch_at].flags, p->batch_flags);
	if (__builtin_expect(vr->mem->dirty != NULL, 0))
		vring_packed_mark_used(vr);
	p->desc_in_flight = (uint16_t)(p->desc_in_flight - p->batch);
	p->unsignalled = (uint16_t)(p->unsignalled + p->batch);
	p->batch = 0;
	return true;
}

/* True when the last `count` used descriptors passed the position in `event` (2.8.10, 2.7.10.1). */
static bool vring_packed_event_passed(const struct vring_dev *vr, uint32_t event, uint16_t count)
{
	const struct vring_packed *p = &vr->ring;
	uint16_t at = (uint16_t)(event & (EVENT_WRAP - 1)), now = p->used_next;

	/* With the other wrap counter, the position belongs to the previous round: it lies one ring
	 * size further behind. */
	if (!(event & EVENT_WRAP) != !(p->used_flags & AVAIL))
		at = (uint16_t)(at - vr->size);
	return vring_need_event(at, now, (uint16_t)(now - count));
}

bool vring_packed_should_notify(struct vring_dev *vr)
{
	struct vring_packed *p = &vr->ring;
	uint16_t count = p->unsignalled;
	uint32_t event;

	/* Pairs with the driver's full barrier between driver event and flags: either the driver
	 * sees the new used flags after it requested an interrupt, or the device sees the
	 * request. */
	full_barrier();
	p->unsignalled = 0;
	event = READ_ONCE(*p->driver_event);
	if ((event & EVENT_FLAGS) == EVENT_DISABLE)
		return false;
	/* Reserved flags count as ENABLE: at worst, the driver gets interrupts that it does not
	 * need. */
	return !vr->event_idx || (event & EVENT_FLAGS) != EVENT_DESC ||
	       vring_packed_event_passed(vr, event, count);
}

/* Stores the device event structure, and a private copy, which saves reading guest memory. */
static void vring_packed_set_device_event(struct vring_packed *p, uint32_t event)
{
	p->event = event;
	WRITE_ONCE(*p->device_event, event);
}

void vring_packed_mark_event(const struct vring_dev *vr)
{
	hostmem_mark_dirty(vr->mem, vr->ring.device_event, EVENT_SIZE);
}

void vring_packed_disable_notify(struct vring_dev *vr)
{
	/* With EVENT_IDX, too, notifications are disabled by the flag: an old event position would
	 * match again after two rounds of the ring. */
	if (vr->ring.event != EVENT_DISABLE)
		vring_packed_set_device_event(&vr->ring, EVENT_DISABLE);
}

bool vring_packed_has_avail(const struct vring_dev *vr)
{
	const struct vring_packed *p = &vr->ring;

	return (READ_ONCE(p->desc[p->avail_next].flags) & BOTH) == p->avail_flags;
}

bool vring_packed_enable_notify(struct vring_dev *vr)
{
	struct vring_packed *p = &vr->ring;

	/* The device asks for a notification of the descriptor that it reads next. A chain added
	 * since the last pop then either makes the driver notify, or the load below finds it. */
	vring_packed_set_device_event(
		p, vr->event_idx ? p->avail_next | (p->avail_flags & AVAIL) << 8 | EVENT_DESC : 0);

	/* Pairs with the driver's full barrier between flags and device event: either the driver
	 * sees the request for a notification after it added a chain, or the device sees the
	 * chain. */
	full_barrier();
	return (LOAD_ACQUIRE(p->desc[p->avail_next].flags) & BOTH) == p->avail_flags;
}
