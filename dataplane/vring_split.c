/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vring_internal.h"

/* Sizes of 2.7: both rings end with an event field, whether or not EVENT_IDX is used. */
#define AVAIL_BYTES(size) (sizeof(struct vring_avail) + 2ul * (size) + 2)
#define USED_BYTES(size)  (sizeof(struct vring_used) + sizeof(struct vring_used_elem) * (size) + 2)

/* The driver's used_event and our avail_event sit behind the last element of each ring. */
static uint16_t *used_event(const struct vring_dev *vr)
{
	return &vr->avail->ring[vr->size];
}

static uint16_t *avail_event(const struct vring_dev *vr)
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

/* Where the walk of a chain is. */
struct walk {
	const void *table;
	uint32_t table_len; /* descriptors */
	bool indirect;	    /* inside an indirect table */
};

/* Step into the table that *d refers to (2.7.5.3). */
static int vring_split_enter_indirect(struct vring_dev *vr, struct walk *w,
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

static int vring_split_walk_chain(struct vring_dev *vr, struct vring_chain *chain)
{
	struct walk w = { .table = vr->desc, .table_len = vr->size };
	unsigned int buffers = 0, i = chain->head;

	chain_begin(chain);
	for (;;) {
		struct vring_desc d;

		read_entry(&d, w.table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* At most once per chain: tables do not nest. */
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
		/* Pairs with the driver's write barrier: entries and descriptors are there. */
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
	return 1;
}

void vring_split_push(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	struct vring_used_elem *elem = &vr->used->ring[vr->used_next & (vr->size - 1)];

	WRITE_ONCE(elem->id, head);
	WRITE_ONCE(elem->len, written);
	vr->used_next++;
}

bool vring_split_publish(struct vring_dev *vr)
{
	if (vr->published == vr->used_next)
		return false;
	vr->published = vr->used_next;
	/* Pairs with the driver's read barrier: it sees elements and data before the index. */
	STORE_RELEASE(vr->used->idx, vr->published);
	return true;
}

bool vring_split_should_notify(struct vring_dev *vr)
{
	uint16_t old = vr->signalled;

	/* Pairs with the driver's full barrier: either it sees our index after it asked for an
	 * interrupt, or we see that it asked. */
	full_barrier();
	if (!vr->event_idx)
		return !(READ_ONCE(vr->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vr->signalled = vr->published;
	return vring_need_event(READ_ONCE(*used_event(vr)), vr->published, old);
}

bool vring_split_has_avail(const struct vring_dev *vr)
{
	return READ_ONCE(vr->avail->idx) != vr->last_avail;
}

void vring_split_disable_notify(struct vring_dev *vr)
{
	if (!vr->event_idx)
		WRITE_ONCE(vr->used->flags, VRING_USED_F_NO_NOTIFY);
	else if (vr->armed && !vring_split_has_avail(vr))
		/* Behind the driver, where it is anyway once the driver has gone on. */
		WRITE_ONCE(*avail_event(vr), (uint16_t)(vr->last_avail - 1));
	vr->armed = false;
}

bool vring_split_enable_notify(struct vring_dev *vr)
{
	/* Our own index, not the driver's: an entry added since the last pop must still ring or be
	 * found below. */
	vr->armed = true;
	if (vr->event_idx)
		WRITE_ONCE(*avail_event(vr), vr->last_avail);
	else
		WRITE_ONCE(vr->used->flags, 0);

	/* Pairs with the driver's full barrier: either it sees that we want to be told of its new
	 * entry, or we see the entry. */
	full_barrier();
	return LOAD_ACQUIRE(vr->avail->idx) != vr->last_avail;
}
