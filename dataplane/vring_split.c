/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring: descriptor table, available ring and used ring (virtio 1.2, 2.7). */
#include "dataplane/vring_internal.h"
#include "dataplane/vring_mirror.h"

/* Sizes of the two rings (2.7). Both include the event field at the end, which is there even
 * without EVENT_IDX. */
#define AVAIL_BYTES(size) (sizeof(struct vring_avail) + 2ul * (size) + 2)
#define USED_BYTES(size)  (sizeof(struct vring_used) + sizeof(struct vring_used_elem) * (size) + 2)

/* The driver writes used_event, which follows the last entry of the available ring (2.7.6). */
static uint16_t *vring_split_used_event(const struct vring_dev *vr)
{
	return &vr->avail->ring[vr->size];
}

/* The device writes avail_event, which follows the last element of the used ring (2.7.8). */
static uint16_t *vring_split_avail_event(const struct vring_dev *vr)
{
	return (uint16_t *)&vr->used->ring[vr->size];
}

COLD int vring_split_setup(struct vring_dev *vr, const struct vring_config *config)
{
	uint16_t size = config->size;

	if (!is_power_of_2(size))
		return -EINVAL;
	if (config->desc % VRING_DESC_ALIGN_SIZE || config->avail % VRING_AVAIL_ALIGN_SIZE ||
	    config->used % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	vr->desc = hostmem_lookup(vr->mem, config->desc, sizeof(struct vring_desc) * size, false);
	vr->avail = hostmem_lookup(vr->mem, config->avail, AVAIL_BYTES(size), false);
	vr->used = hostmem_lookup(vr->mem, config->used, USED_BYTES(size), true);
	return vr->desc && vr->avail && vr->used ? 0 : -EFAULT;
}

COLD int vring_split_continue(struct vring_dev *vr, const struct vring_base *base)
{
	vr->last_avail = vr->avail_idx = base->avail;
	vr->used_next = vr->published = vr->signalled = READ_ONCE(vr->used->idx);
	return 0;
}

COLD void vring_split_position(const struct vring_dev *vr, struct vring_base *base)
{
	*base = (struct vring_base){ .avail = vr->last_avail, .used = vr->published };
}

/* The descriptor table that the walk of a chain is in. */
struct walk {
	const void *table;
	uint32_t table_len; /* descriptors */
	bool indirect;	    /* this is an indirect table */
};

/* Moves the walk to the indirect table that *d refers to (2.7.5.3). Returns 0, or -EBADMSG when the
 * reference is invalid, and the queue is broken from now on. */
HOT_INLINE int vring_split_enter_indirect(struct vring_dev *vr, struct walk *w,
					  const struct vring_desc *d)
{
	if (w->indirect)
		return break_ring(vr, "indirect descriptor inside an indirect table");
	if (d->flags & VRING_DESC_F_NEXT)
		return break_ring(vr, "indirect descriptor with a next one");
	w->table = indirect_table(vr, d->addr, d->len);
	w->table_len = d->len / (uint32_t)sizeof(*d);
	w->indirect = true;
	return w->table ? 0 : -EBADMSG;
}

/* Collects the buffers of the chain that begins at chain->head. The loop ends, for a chain has at
 * most `size` buffers and one indirect table. Returns 0 or -EBADMSG. */
HOT_INLINE int vring_split_walk_chain(struct vring_dev *vr, struct vring_chain *chain)
{
	struct walk w = { .table = vr->desc, .table_len = vr->size };
	unsigned int buffers = 0, i = chain->head;

	chain_begin(chain);
	for (;;) {
		struct vring_desc d;

		read_entry(&d, w.table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* Happens at most once per chain, for indirect tables must not nest. */
			if (vring_split_enter_indirect(vr, &w, &d))
				return -EBADMSG;
			i = 0;
			continue;
		}
		if (buffers++ == vr->size)
			return break_ring(vr, "chain longer than the queue");
		if (chain_add(vr, chain, d.addr, d.len, d.flags & VRING_DESC_F_WRITE))
			return -EBADMSG;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (d.next >= w.table_len)
			return break_ring(vr, "next descriptor outside its table");
		i = d.next;
	}
}

int vring_split_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	if (vr->last_avail == vr->avail_idx) {
		/* Pairs with the driver's write barrier: the entries before this index and their
		 * descriptors are visible. */
		vr->avail_idx = LOAD_ACQUIRE(vr->avail->idx);
		uint16_t pending = (uint16_t)(vr->avail_idx - vr->last_avail);
		if (!pending)
			return 0;
		if (pending > vr->size)
			return break_ring(vr, "avail index moved by more than the queue size");
	}

	uint16_t head = READ_ONCE(vr->avail->ring[vr->last_avail & (vr->size - 1)]);
	if (head >= vr->size)
		return break_ring(vr, "head outside the descriptor table");
	if (bit_of(vr->in_flight, head))
		return break_ring(vr, "head offered again while in flight");

	chain->head = head;
	if (vring_split_walk_chain(vr, chain))
		return -EBADMSG;
	chain_popped(vr, head);
	vr->last_avail++;
	if (HAS_MIRROR(vr))
		mirror_split_popped(vr->mirror, head);
	return 1;
}

COLD int vring_split_replay(struct vring_dev *vr, struct vring_chain *chain, uint16_t head)
{
	chain->head = head;
	if (vring_split_walk_chain(vr, chain))
		return -EBADMSG;
	chain_popped(vr, head);
	return 1;
}

void vring_split_push(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	struct vring_used_elem *elem = &vr->used->ring[vr->used_next & (vr->size - 1)];

	WRITE_ONCE(elem->id, head);
	WRITE_ONCE(elem->len, written);
	vr->used_next++;
	if (HAS_MIRROR(vr))
		mirror_split_pushed(vr->mirror, head);
}

/* Records the used elements from `first` on in the dirty log, and the index. */
static __attribute__((noinline)) void vring_split_mark_used(const struct vring_dev *vr,
							    uint16_t first)
{
	uint16_t at = first & (vr->size - 1), count = (uint16_t)(vr->used_next - first);
	uint16_t before_end = (uint16_t)(vr->size - at);

	if (count > before_end) {
		hostmem_mark_dirty(vr->mem, &vr->used->ring[0],
				   (count - before_end) * sizeof(vr->used->ring[0]));
		count = before_end;
	}
	hostmem_mark_dirty(vr->mem, &vr->used->ring[at], count * sizeof(vr->used->ring[0]));
	hostmem_mark_dirty(vr->mem, &vr->used->idx, sizeof(vr->used->idx));
}

bool vring_split_publish(struct vring_dev *vr)
{
	uint16_t first = vr->published;

	if (first == vr->used_next)
		return false;
	vr->published = vr->used_next;
	/* Pairs with the driver's read barrier: a driver that sees the new index sees the elements
	 * and the data, too. */
	STORE_RELEASE(vr->used->idx, vr->published);
	if (__builtin_expect(vr->mem->dirty != NULL, 0))
		vring_split_mark_used(vr, first);
	return true;
}

bool vring_split_should_notify(struct vring_dev *vr)
{
	uint16_t old = vr->signalled;

	/* Pairs with the driver's full barrier between used_event and used.idx: either the driver
	 * sees the new used.idx after it requested an interrupt, or the device sees the request. */
	full_barrier();
	if (!vr->event_idx)
		return !(READ_ONCE(vr->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vr->signalled = vr->published;
	return vring_need_event(READ_ONCE(*vring_split_used_event(vr)), vr->published, old);
}

bool vring_split_has_avail(const struct vring_dev *vr)
{
	return READ_ONCE(vr->avail->idx) != vr->last_avail;
}

void vring_split_mark_event(const struct vring_dev *vr)
{
	const uint16_t *event = vr->event_idx ? vring_split_avail_event(vr) : &vr->used->flags;

	hostmem_mark_dirty(vr->mem, event, sizeof(*event));
}

void vring_split_disable_notify(struct vring_dev *vr)
{
	if (!vr->event_idx)
		WRITE_ONCE(vr->used->flags, VRING_USED_F_NO_NOTIFY);
	else if (vr->notify_enabled && !vring_split_has_avail(vr))
		/* An avail_event behind the driver's index requests no notification. When the
		 * driver has added entries, avail_event is behind its index already, and
		 * needs no store. */
		WRITE_ONCE(*vring_split_avail_event(vr), (uint16_t)(vr->last_avail - 1));
	vr->notify_enabled = false;
}

bool vring_split_enable_notify(struct vring_dev *vr)
{
	/* The event is the device's index, not the driver's: for an entry added since the last pop,
	 * either the driver must notify, or the load below must find the entry. */
	vr->notify_enabled = true;
	if (vr->event_idx)
		WRITE_ONCE(*vring_split_avail_event(vr), vr->last_avail);
	else
		WRITE_ONCE(vr->used->flags, 0);

	/* Pairs with the driver's full barrier between avail.idx and avail_event: either the driver
	 * sees the request for a notification after it added an entry, or the device sees the
	 * entry. */
	full_barrier();
	return LOAD_ACQUIRE(vr->avail->idx) != vr->last_avail;
}
