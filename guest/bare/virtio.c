/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/bare/virtio.h"

#define MAGIC	 0x74726976u
#define BLOCK_ID 2u

bool device_probe(struct device *d, unsigned int number)
{
	memset(d, 0, sizeof(*d));
	if (!arch_device(number, &d->base, &d->gsi))
		return false;
	check(reg_read(d, VIRTIO_MMIO_MAGIC_VALUE) == MAGIC);
	check(reg_read(d, VIRTIO_MMIO_VERSION) == 2);
	return reg_read(d, VIRTIO_MMIO_DEVICE_ID) == BLOCK_ID;
}

void device_find(struct device *d, unsigned int number)
{
	if (!device_probe(d, number))
		bare_skip("no such disk");
}

uint32_t reg_read(const struct device *d, uint32_t reg)
{
	return (uint32_t)arch_read(d->base + reg, 4);
}

void reg_write(const struct device *d, uint32_t reg, uint32_t value)
{
	arch_write(d->base + reg, 4, value);
}

uint64_t config_read(const struct device *d, uint32_t at, unsigned int bytes)
{
	return arch_read(d->base + VIRTIO_MMIO_CONFIG + at, bytes);
}

void config_write(const struct device *d, uint32_t at, unsigned int bytes, uint64_t value)
{
	arch_write(d->base + VIRTIO_MMIO_CONFIG + at, bytes, value);
}

uint32_t status(const struct device *d)
{
	return reg_read(d, VIRTIO_MMIO_STATUS);
}

void device_reset(const struct device *d)
{
	reg_write(d, VIRTIO_MMIO_STATUS, 0);
	wait_until(status(d) == 0);
}

static uint64_t read_offered(const struct device *d)
{
	uint64_t low;

	reg_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = reg_read(d, VIRTIO_MMIO_DEVICE_FEATURES);
	reg_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)reg_read(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

void device_negotiate(struct device *d, uint64_t features)
{
	device_reset(d);
	reg_write(d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(d, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	d->offered = read_offered(d);
	d->features = features | FEATURE(VIRTIO_F_VERSION_1);
	check((d->features & ~d->offered) == 0);
	reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)d->features);
	reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(d->features >> 32));
	reg_write(d, VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
	check(status(d) == STATUS_FEATURES_OK);
	for (uint32_t i = 0; i < sizeof(d->space); i++)
		((uint8_t *)&d->space)[i] = (uint8_t)config_read(d, i, 1);
}

bool device_set_queue(const struct device *d, uint32_t size, uint64_t desc, uint64_t avail,
		      uint64_t used)
{
	reg_write(d, VIRTIO_MMIO_QUEUE_SEL, d->queue);
	reg_write(d, VIRTIO_MMIO_QUEUE_NUM, size);
	reg_write(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
	reg_write(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc >> 32));
	reg_write(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
	reg_write(d, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(avail >> 32));
	reg_write(d, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
	reg_write(d, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(used >> 32));
	reg_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
	return reg_read(d, VIRTIO_MMIO_QUEUE_READY) == 1;
}

void device_lay_out(struct device *d, uint16_t size)
{
	struct ring *ring = &d->ring;

	memset(ring, 0, sizeof(*ring));
	ring->size = size;
	ring->desc = page_alloc(size * sizeof(struct vring_desc));
	if (d->features & PACKED) {
		packed_init(d, size);
	} else {
		ring->avail = page_alloc(6 + 2u * size);
		ring->used = page_alloc(6 + 8u * size);
		check(device_set_queue(d, size, (uintptr_t)ring->desc, (uintptr_t)ring->avail,
				       (uintptr_t)ring->used));
	}
	if (ring->packed)
		ring->driver_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	else if (d->features & EVENT_IDX)
		ring_set_used_event(d, 0x8000);
	else
		ring->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
}

void device_start(struct device *d, uint16_t size, uint64_t features)
{
	device_negotiate(d, features);
	device_lay_out(d, size);
	reg_write(d, VIRTIO_MMIO_STATUS, STATUS_RUNNING);
	check(status(d) == STATUS_RUNNING);
}

void device_wait_broken(const struct device *d)
{
	wait_until(status(d) == STATUS_BROKEN);
	wait_until(reg_read(d, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
}

void device_check_alive(struct device *d)
{
	uint8_t *data = page_alloc(PAGE), *read = page_alloc(PAGE);
	uint8_t byte = (uint8_t)random64();

	device_start(d, 16, INDIRECTION | EVENT_IDX);
	if (!(d->offered & FEATURE(VIRTIO_BLK_F_RO))) {
		memset(data, byte, PAGE);
		check(blk_do(d, VIRTIO_BLK_T_OUT, 64, data, PAGE) == VIRTIO_BLK_S_OK);
		check(blk_do(d, VIRTIO_BLK_T_IN, 64, read, PAGE) == VIRTIO_BLK_S_OK);
		check(all_bytes(read, byte, PAGE));
	} else {
		check(blk_do(d, VIRTIO_BLK_T_IN, 64, read, PAGE) == VIRTIO_BLK_S_OK);
	}
	device_reset(d);
}

/* ---- descriptors ---- */

void desc_set(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){ gpa, len, flags, next };
}

static void fill_chain(struct vring_desc *table, uint16_t first, const struct piece *piece,
		       unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint16_t at = (uint16_t)(first + i);
		unsigned int flags = (piece[i].write ? WRITE : 0) | (i + 1 < count ? NEXT : 0);

		desc_set(&table[at], piece[i].gpa, piece[i].len, (uint16_t)flags,
			 (uint16_t)(at + 1));
	}
}

uint16_t chain(struct device *d, const struct piece *piece, unsigned int count)
{
	uint16_t head = d->ring.next_desc;

	check(head + count <= d->ring.size);
	fill_chain(d->ring.desc, head, piece, count);
	d->ring.next_desc = (uint16_t)(head + count);
	return head;
}

uint16_t chain_indirect(struct device *d, void *table, const struct piece *piece,
			unsigned int count)
{
	uint16_t head = d->ring.next_desc++;
	uint32_t bytes = count * (uint32_t)sizeof(struct vring_desc);

	check(head < d->ring.size);
	if (!table)
		table = page_alloc(bytes);
	fill_chain(table, 0, piece, count);
	/* A packed entry has its flags where a split entry has the next index. */
	for (unsigned int i = 0; d->ring.packed && i < count; i++)
		((struct vring_packed_desc *)table)[i].flags = piece[i].write ? WRITE : 0;
	desc_set(&d->ring.desc[head], (uintptr_t)table, bytes, INDIRECT, 0);
	return head;
}

/* ---- the rings ---- */

void ring_stage(struct device *d, uint16_t head)
{
	if (d->ring.packed) {
		packed_stage(d, head);
		return;
	}
	d->ring.avail->ring[d->ring.avail_idx++ % d->ring.size] = head;
}

void ring_show(struct device *d)
{
	if (d->ring.packed) {
		packed_show(d);
		return;
	}
	/* Partner: the device's acquire of avail.idx. */
	__atomic_store_n(&d->ring.avail->idx, d->ring.avail_idx, __ATOMIC_RELEASE);
}

void kick(const struct device *d)
{
	reg_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, d->queue);
}

void offer(struct device *d, uint16_t head)
{
	ring_stage(d, head);
	ring_show(d);
	kick(d);
}

uint16_t ring_used_index(const struct device *d)
{
	/* Partner: the device's release of used.idx. */
	return __atomic_load_n(&d->ring.used->idx, __ATOMIC_ACQUIRE);
}

bool ring_used(struct device *d, struct vring_used_elem *elem)
{
	if (d->ring.packed)
		return packed_used(d, elem);
	if (ring_used_index(d) == d->ring.used_idx)
		return false;
	*elem = d->ring.used->ring[d->ring.used_idx++ % d->ring.size];
	return true;
}

void ring_wait_used(struct device *d, struct vring_used_elem *elem)
{
	wait_until(ring_used(d, elem));
}

void ring_set_used_event(struct device *d, uint16_t index)
{
	__atomic_store_n(&d->ring.avail->ring[d->ring.size], index, __ATOMIC_SEQ_CST);
}

uint16_t ring_avail_event(const struct device *d)
{
	return __atomic_load_n((uint16_t *)&d->ring.used->ring[d->ring.size], __ATOMIC_SEQ_CST);
}

/* ---- requests ---- */

bool request_reads(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

void request_init(struct request *r, uint32_t type, uint64_t sector, uint32_t len)
{
	uint8_t *memory = page_alloc(PAGE + len);

	r->header = (void *)memory;
	*r->header = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	r->status = memory + 64;
	*r->status = NO_STATUS;
	r->data = memory + PAGE;
	r->len = len;
	memset(r->data, 0xee, len);
}

void request_chain(struct device *d, struct request *r)
{
	struct piece piece[3] = {
		{ (uintptr_t)r->header, sizeof(*r->header), false },
		{ (uintptr_t)r->data, r->len, request_reads(r->header->type) },
		{ (uintptr_t)r->status, 1, true },
	};

	if (!r->len)
		piece[1] = piece[2];
	r->head = chain(d, piece, r->len ? 3 : 2);
}

uint8_t request_do(struct device *d, struct request *r, uint32_t *written)
{
	struct vring_used_elem elem;

	d->ring.next_desc = 0;
	request_chain(d, r);
	offer(d, r->head);
	ring_wait_used(d, &elem);
	check(elem.id == r->head);
	if (written)
		*written = elem.len;
	d->ring.next_desc = 0;
	return *r->status;
}

uint8_t blk_do(struct device *d, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	struct request r;

	request_init(&r, type, sector, 0);
	r.data = data;
	r.len = len;
	return request_do(d, &r, NULL);
}
