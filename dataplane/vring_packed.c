/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed ring (2.8): one array of descriptors that both sides go round. The driver makes a
 * descriptor available, and the device makes it used, by the flags AVAIL and USED, whose meaning is
 * inverted on each round.
 *
 * Memory ordering, our side and its partner in the driver:
 *   pop      acquires the flags          the driver's write barrier before it stores a chain's first
 *   publish  releases the first flags    the driver's read barrier after it loads them
 *   arm      full fence                  the driver's full barrier between flags and device event
 *   notify   full fence                  the driver's full barrier between driver event and flags
 *
 * A used element goes where a chain began, and neither side keeps an index of the other. What holds
 * both together is `held`: no more descriptors are read than the ring has without having been given
 * back. So used_next, which moves by what was read, stays behind avail_next, and no element is written
 * to a descriptor that was not read yet, whatever the driver says with its flags.
 */
#include "dataplane/vring_internal.h"

#define AVAIL	   (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED	   (1u << VRING_PACKED_DESC_F_USED)
#define BOTH	   (AVAIL | USED)

#define EVENT_SIZE sizeof(struct vring_packed_desc_event)

/* The flags of an event suppression structure, where they are in its 32 bits (2.8.10). */
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
	/* 2.8.1: both wrap counters are 1. */
	p->avail_flags = AVAIL;
	p->used_flags = BOTH;
	return p->desc && p->driver_event && p->device_event ? 0 : -EFAULT;
}

/* Go on by `count` descriptors, at most one round. */
static void vring_packed_advance(const struct vring_dev *vr, uint16_t *at, uint16_t *flags,
				 uint16_t count)
{
	*at = (uint16_t)(*at + count);
	if (*at >= vr->size) {
		*at = (uint16_t)(*at - vr->size);
		*flags ^= BOTH;
	}
}

/* The buffers of a table: all of its entries, of whose flags only WRITE counts (2.8.7). */
static int vring_packed_walk_table(struct vring_dev *vr, struct vring_chain *chain,
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
		/* 2.8.19 forbids it to the driver: what it thinks is a table is not one buffer. */
		if (d.flags & VRING_DESC_F_INDIRECT)
			return break_ring(vr, "indirect descriptor inside an indirect table");
		if (chain_add(vr, chain, d.addr, d.len, d.flags & VRING_DESC_F_WRITE))
			return -EBADMSG;
	}
	return 0;
}

/* The one read of a descriptor, if it is available: has these flags. The acquire pairs with the driver's
 * write barrier before it stores them: the rest is there. */
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
 * The descriptors of the chain that begins with *d, read already at *at; *d is the last one then, and
 * *at where the next chain begins. Returns how many there are, or -EBADMSG.
 */
static int vring_packed_walk_chain(struct vring_dev *vr, struct vring_chain *chain,
				   struct vring_packed_desc *d, uint16_t *at, uint16_t *flags)
{
	const struct vring_packed *p = &vr->ring;
	int room = vr->size - p->held, count = 0;

	chain_begin(chain);
	for (;;) {
		if (count++ == room)
			return break_ring(vr, "more descriptors offered than the ring has");
		vring_packed_advance(vr, at, flags, 1);
		if (d->flags & VRING_DESC_F_INDIRECT) {
			/* 2.8.19: a list is all direct, or one table. */
			if (count > 1 || d->flags & VRING_DESC_F_NEXT)
				return break_ring(vr, "indirect descriptor in a chain of others");
			return vring_packed_walk_table(vr, chain, d) ? -EBADMSG : count;
		}
		if (chain_add(vr, chain, d->addr, d->len, d->flags & VRING_DESC_F_WRITE))
			return -EBADMSG;
		if (!(d->flags & VRING_DESC_F_NEXT))
			return count;
		/*
		 * 2.8.6: with the first descriptor of a chain all of it is available. One that is
		 * not holds what was there a round ago, or a used element of ours: none of it was
		 * offered, so it is not waited for, nor read on.
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
	p->held = (uint16_t)(p->held + count);
	p->avail_next = at;
	p->avail_flags = flags;
	return 1;
}

void vring_packed_push(struct vring_dev *vr, uint16_t id, uint32_t written)
{
	struct vring_packed *p = &vr->ring;
	struct vring_packed_desc *d = &p->desc[p->used_next];
	uint16_t flags = (uint16_t)(p->used_flags | (written ? VRING_DESC_F_WRITE : 0));

	WRITE_ONCE(d->id, id);
	WRITE_ONCE(d->len, written);
	/* The driver does not get beyond the first of a batch before it sees its flags. */
	if (p->batch) {
		WRITE_ONCE(d->flags, flags);
	} else {
		p->batch_at = p->used_next;
		p->batch_flags = flags;
	}
	p->batch = (uint16_t)(p->batch + p->length[id]);
	vring_packed_advance(vr, &p->used_next, &p->used_flags, p->length[id]);
}

bool vring_packed_publish(struct vring_dev *vr)
{
	struct vring_packed *p = &vr->ring;

	if (!p->batch)
		return false;
	/* Pairs with the driver's read barrier: it sees all elements of the batch, and the data. */
	STORE_RELEASE(p->desc[p->batch_at].flags, p->batch_flags);
	p->held = (uint16_t)(p->held - p->batch);
	p->unsignalled = (uint16_t)(p->unsignalled + p->batch);
	p->batch = 0;
	return true;
}

/* Has the position of *event been passed by the last `count` descriptors? (2.8.10, 2.7.10.1) */
static bool vring_packed_event_passed(const struct vring_dev *vr, uint32_t event, uint16_t count)
{
	const struct vring_packed *p = &vr->ring;
	uint16_t at = (uint16_t)(event & (EVENT_WRAP - 1)), now = p->used_next;

	/* From the round before: a ring's length behind. */
	if (!(event & EVENT_WRAP) != !(p->used_flags & AVAIL))
		at = (uint16_t)(at - vr->size);
	return vring_need_event(at, now, (uint16_t)(now - count));
}

bool vring_packed_should_notify(struct vring_dev *vr)
{
	struct vring_packed *p = &vr->ring;
	uint16_t count = p->unsignalled;
	uint32_t event;

	/* Pairs with the driver's full barrier: either it sees our flags after it asked for an
	 * interrupt, or we see that it asked. */
	full_barrier();
	p->unsignalled = 0;
	event = READ_ONCE(*p->driver_event);
	if ((event & EVENT_FLAGS) == EVENT_DISABLE)
		return false;
	/* An interrupt too many for flags that mean nothing is the driver's own. */
	return !vr->event_idx || (event & EVENT_FLAGS) != EVENT_DESC ||
	       vring_packed_event_passed(vr, event, count);
}

static void vring_packed_set_device_event(struct vring_packed *p, uint32_t event)
{
	p->event = event;
	WRITE_ONCE(*p->device_event, event);
}

void vring_packed_disable_notify(struct vring_dev *vr)
{
	/* With EVENT_IDX, too: an event that stays behind is met again after two rounds. */
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

	/* Our own position: a chain added since the last pop must still ring or be found below. */
	vring_packed_set_device_event(
		p, vr->event_idx ? p->avail_next | (p->avail_flags & AVAIL) << 8 | EVENT_DESC : 0);

	/* Pairs with the driver's full barrier: either it sees that we want to be told of its new
	 * chain, or we see the chain. */
	full_barrier();
	return (LOAD_ACQUIRE(p->desc[p->avail_next].flags) & BOTH) == p->avail_flags;
}
