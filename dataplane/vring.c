/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vring.h"

#include <errno.h>
#include <string.h>

#include "dataplane/base.h"

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

int vring_check(const struct hostmem *mem, const struct vring_config *config)
{
	struct vring_dev scratch;

	return vring_setup(&scratch, mem, config);
}

int vring_setup(struct vring_dev *vr, const struct hostmem *mem, const struct vring_config *config)
{
	uint16_t size = config->size;

	if (!is_power_of_2(size) || size > VRING_MAX_SIZE)
		return -EINVAL;
	if (config->desc % VRING_DESC_ALIGN_SIZE || config->avail % VRING_AVAIL_ALIGN_SIZE ||
	    config->used % VRING_USED_ALIGN_SIZE)
		return -EINVAL;

	*vr = (struct vring_dev){
		.mem = mem,
		.desc = hostmem_lookup(mem, config->desc, sizeof(struct vring_desc) * size, false),
		.avail = hostmem_lookup(mem, config->avail, AVAIL_BYTES(size), false),
		.used = hostmem_lookup(mem, config->used, USED_BYTES(size), true),
		.size = size,
		.event_idx = config->event_idx,
		.indirect = config->indirect,
	};
	if (!vr->desc || !vr->avail || !vr->used)
		return -EFAULT;
	return 0;
}

int vring_fail(struct vring_dev *vr, const char *why)
{
	if (!vr->broken)
		vr->broken = why;
	return -EBADMSG;
}

static bool in_flight(const struct vring_dev *vr, uint16_t head)
{
	return vr->in_flight[head / 64] >> (head % 64) & 1;
}

/*
 * The one read of a descriptor. A table the driver placed may be unaligned, hence the copy; the
 * compiler barrier keeps every later use of *d from going back to the driver's memory.
 */
static void read_desc(struct vring_desc *d, const struct vring_desc *table, unsigned int i)
{
	memcpy(d, (const char *)table + i * sizeof(*d), sizeof(*d));
	__asm__ volatile("" : : : "memory");
}

/* Where the walk of a chain is. */
struct walk {
	const struct vring_desc *table;
	uint32_t table_len; /* descriptors */
	bool indirect;	    /* inside an indirect table */
};

/* Step into the table that *d refers to (2.7.5.3). */
static int enter_indirect(struct vring_dev *vr, struct walk *w, const struct vring_desc *d)
{
	if (!vr->indirect)
		return vring_fail(vr, "indirect descriptor without the feature");
	if (w->indirect)
		return vring_fail(vr, "indirect descriptor inside an indirect table");
	if (d->flags & VRING_DESC_F_NEXT)
		return vring_fail(vr, "indirect descriptor with a next one");
	if (!d->len || d->len % sizeof(*d))
		return vring_fail(vr, "indirect table of a bad length");

	w->table = hostmem_lookup(vr->mem, d->addr, d->len, false);
	if (!w->table)
		return vring_fail(vr, "indirect table outside RAM");
	w->table_len = d->len / sizeof(*d);
	w->indirect = true;
	return 0;
}

/* Append the buffer of *d to the chain. */
static int add_buffer(struct vring_dev *vr, struct vring_chain *chain, const struct vring_desc *d)
{
	unsigned int used = chain->out_count + chain->in_count;
	bool write = d->flags & VRING_DESC_F_WRITE;

	if (!d->len)
		return 0;
	if (!write && chain->in_count)
		return vring_fail(vr, "readable buffer after a writable one");
	if ((uint64_t)chain->in_len + chain->out_len + d->len > UINT32_MAX)
		return vring_fail(vr, "chain of 4 GiB or more");

	int n = hostmem_map(vr->mem, d->addr, d->len, write, chain->iov + used,
			    chain->capacity - used);
	if (n < 0)
		return vring_fail(vr,
				  n == -ENOSPC ? "chain in too many pieces" : "buffer outside RAM");
	if (write) {
		chain->in_count += (unsigned int)n;
		chain->in_len += d->len;
	} else {
		chain->out_count += (unsigned int)n;
		chain->out_len += d->len;
	}
	return 0;
}

static int walk_chain(struct vring_dev *vr, struct vring_chain *chain)
{
	struct walk w = { .table = vr->desc, .table_len = vr->size };
	unsigned int buffers = 0, i = chain->head;

	chain->out_count = chain->in_count = 0;
	chain->out_len = chain->in_len = 0;

	for (;;) {
		struct vring_desc d;

		read_desc(&d, w.table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* At most once per chain: tables do not nest. */
			if (enter_indirect(vr, &w, &d))
				return -EBADMSG;
			i = 0;
			continue;
		}
		if (buffers++ == vr->size)
			return vring_fail(vr, "chain longer than the queue");
		if (add_buffer(vr, chain, &d))
			return -EBADMSG;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (d.next >= w.table_len)
			return vring_fail(vr, "next descriptor outside its table");
		i = d.next;
	}
}

int vring_pop(struct vring_dev *vr, struct vring_chain *chain)
{
	if (vr->broken)
		return -EBADMSG;

	if (vr->last_avail == vr->avail_idx) {
		/* Pairs with the driver's write barrier: entries and descriptors are there. */
		vr->avail_idx = LOAD_ACQUIRE(vr->avail->idx);
		uint16_t pending = (uint16_t)(vr->avail_idx - vr->last_avail);
		if (!pending)
			return 0;
		if (pending > vr->size)
			return vring_fail(vr, "avail index moved by more than the queue size");
	}

	uint16_t head = READ_ONCE(vr->avail->ring[vr->last_avail & (vr->size - 1)]);
	if (head >= vr->size)
		return vring_fail(vr, "head outside the descriptor table");
	if (in_flight(vr, head))
		return vring_fail(vr, "head offered again while in flight");

	chain->head = head;
	if (walk_chain(vr, chain))
		return -EBADMSG;
	vr->in_flight[head / 64] |= 1ull << (head % 64);
	vr->last_avail++;
	return 1;
}

void vring_push(struct vring_dev *vr, uint16_t head, uint32_t written)
{
	struct vring_used_elem *elem = &vr->used->ring[vr->used_next & (vr->size - 1)];

	WRITE_ONCE(elem->id, head);
	WRITE_ONCE(elem->len, written);
	vr->used_next++;
	vr->in_flight[head / 64] &= ~(1ull << (head % 64));
}

bool vring_publish(struct vring_dev *vr)
{
	if (vr->published == vr->used_next)
		return false;
	vr->published = vr->used_next;
	/* Pairs with the driver's read barrier: it sees elements and data before the index. */
	STORE_RELEASE(vr->used->idx, vr->published);
	return true;
}

bool vring_should_notify(struct vring_dev *vr)
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

void vring_disarm(struct vring_dev *vr)
{
	/* With EVENT_IDX the event index simply stays where it was: behind the driver. */
	if (!vr->event_idx && !vr->broken)
		WRITE_ONCE(vr->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool vring_more(const struct vring_dev *vr)
{
	return READ_ONCE(vr->avail->idx) != vr->last_avail;
}

bool vring_arm(struct vring_dev *vr)
{
	if (vr->broken)
		return false;
	/* Our own index, not the driver's: an entry added since the last pop must still ring or be
	 * found below. */
	if (vr->event_idx)
		WRITE_ONCE(*avail_event(vr), vr->last_avail);
	else
		WRITE_ONCE(vr->used->flags, 0);

	/* Pairs with the driver's full barrier: either it sees that we want to be told of its new
	 * entry, or we see the entry. */
	full_barrier();
	return LOAD_ACQUIRE(vr->avail->idx) != vr->last_avail;
}
