/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/virtio_blk.h>

#include "dataplane/base.h"
#include "tests/bench/ringbench.h"

#define AVAIL	(1u << VRING_PACKED_DESC_F_AVAIL)
#define USED	(1u << VRING_PACKED_DESC_F_USED)
#define BOTH	(AVAIL | USED)
#define DISABLE ((uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16)
#define DESC	((uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16)

static void advance(uint16_t *at, uint16_t *flags, unsigned int count)
{
	*at = (uint16_t)(*at + count);
	if (*at >= RING_SIZE) {
		*at = (uint16_t)(*at - RING_SIZE);
		*flags ^= BOTH;
	}
}

/* Writes the descriptors of a request: header, data and status. */
static void lay_out(struct vring_packed_desc *desc, const struct driver *d, unsigned int slot)
{
	desc[0] = (struct vring_packed_desc){
		.addr = d->gpa + AT_HEADERS + slot * sizeof(struct virtio_blk_outhdr),
		.len = sizeof(struct virtio_blk_outhdr),
	};
	desc[1] = (struct vring_packed_desc){
		.addr = d->gpa + AT_DATA + (uint64_t)slot * d->bytes,
		.len = d->bytes,
		.flags = VRING_DESC_F_WRITE,
	};
	desc[2] = (struct vring_packed_desc){
		.addr = d->gpa + AT_STATUS + slot,
		.len = 1,
		.flags = VRING_DESC_F_WRITE,
	};
}

void packed_disarm(struct driver *d)
{
	WRITE_ONCE(*d->driver_event, DISABLE);
}

/* Returns whether the device has completed the next request. */
static bool is_used(const struct driver *d)
{
	/* Acquire: pairs with vring_publish's release. */
	return (LOAD_ACQUIRE(d->packed[d->take].flags) & BOTH) == d->take_flags;
}

bool packed_arm(struct driver *d)
{
	WRITE_ONCE(*d->driver_event, DESC | (d->take_flags & AVAIL ? 0x8000u : 0) | d->take);
	/* The device reads the event after it has published; this driver checks the flags again. */
	full_barrier();
	return !is_used(d);
}

void packed_init(struct driver *d, void *base)
{
	char *at = base;

	d->packed = (struct vring_packed_desc *)(at + AT_DESC);
	d->device_event = (uint32_t *)(at + AT_USED);
	d->driver_event = (uint32_t *)(at + AT_AVAIL);
	d->put_flags = AVAIL;
	d->take_flags = BOTH;
	packed_disarm(d);
	for (unsigned int slot = 0; d->ring.indirect && slot < d->slots; slot++)
		lay_out((struct vring_packed_desc *)(at + AT_TABLES) + slot * 4ul, d, slot);
}

static void put(struct driver *d, const struct vring_packed_desc *desc, uint16_t flags)
{
	struct vring_packed_desc *at = &d->packed[d->put];

	flags |= desc->flags | d->put_flags;
	at->addr = desc->addr;
	at->len = desc->len;
	at->id = desc->id;
	if (d->first) {
		WRITE_ONCE(at->flags, flags);
	} else {
		d->first = at;
		d->first_flags = flags;
	}
	advance(&d->put, &d->put_flags, 1);
}

void packed_stage(struct driver *d, unsigned int slot)
{
	struct vring_packed_desc desc[3];

	if (d->ring.indirect) {
		desc[0] = (struct vring_packed_desc){
			.addr = d->gpa + AT_TABLES + slot * 4ul * sizeof(desc[0]),
			.len = sizeof(desc),
			.id = (uint16_t)slot,
			.flags = VRING_DESC_F_INDIRECT,
		};
		put(d, &desc[0], 0);
		return;
	}
	lay_out(desc, d, slot);
	desc[2].id = (uint16_t)slot;
	for (unsigned int i = 0; i < 3; i++)
		put(d, &desc[i], i < 2 ? VRING_DESC_F_NEXT : 0);
}

bool packed_show(struct driver *d)
{
	uint16_t old = d->shown, at;
	/* Positions cannot tell a ring that was offered as a whole from one without news. */
	bool whole = d->first && d->put == old;
	uint32_t event;

	/* Release: pairs with vring_pop's acquire. */
	if (d->first)
		STORE_RELEASE(d->first->flags, d->first_flags);
	d->first = NULL;
	d->shown = d->put;
	full_barrier();
	event = READ_ONCE(*d->device_event);
	if ((event & ~0xffffu) != DESC)
		return (event & ~0xffffu) != DISABLE;
	if (whole)
		return true;
	/* Converts ring positions to a running count, as if the ring had no end. */
	at = (uint16_t)(event & 0x7fff);
	if (!(event & 0x8000) != !(d->put_flags & AVAIL))
		at = (uint16_t)(at - RING_SIZE);
	if (old > d->put)
		old = (uint16_t)(old - RING_SIZE);
	return vring_need_event(at, d->put, old);
}

int packed_take(struct driver *d)
{
	const struct vring_packed_desc *at = &d->packed[d->take];
	int id;

	if (!is_used(d))
		return -1;
	id = at->id;
	advance(&d->take, &d->take_flags, d->per_slot);
	return id;
}
