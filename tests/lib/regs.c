/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/regs.h"

#include <check.h>
#include <string.h>

void reg_open(struct virtio_device *dev, const void *space, size_t len)
{
	ck_assert_int_eq(virtio_alloc_regpage(dev), 0);
	memcpy(dev->regpage->config, space, len);
}

void reg_close(struct virtio_device *dev)
{
	virtio_regpage_destroy(dev->regpage);
}

uint32_t reg_get(struct virtio_mmio *mmio, uint64_t offset)
{
	uint32_t value = 0x5a5a5a5a;

	virtio_mmio_read(mmio, offset, (uint8_t *)&value, sizeof(value));
	return value;
}

void reg_set(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	virtio_mmio_write(mmio, offset, (const uint8_t *)&value, sizeof(value));
}

void reg_set_status(struct virtio_mmio *mmio, uint32_t status)
{
	reg_set(mmio, VIRTIO_MMIO_STATUS, status);
}

uint32_t reg_status(struct virtio_mmio *mmio)
{
	return reg_get(mmio, VIRTIO_MMIO_STATUS);
}

uint64_t reg_offered(struct virtio_mmio *mmio)
{
	uint64_t features;

	reg_set(mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)reg_get(mmio, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	reg_set(mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | reg_get(mmio, VIRTIO_MMIO_DEVICE_FEATURES);
}

void reg_accept(struct virtio_mmio *mmio, uint64_t features)
{
	/* Linux writes the upper half first, too. */
	reg_set(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_set(mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	reg_set(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_set(mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
}

bool reg_negotiate(struct virtio_mmio *mmio, uint64_t features)
{
	reg_set_status(mmio, ST_ACK);
	reg_set_status(mmio, ST_DRIVER);
	reg_accept(mmio, features);
	reg_set_status(mmio, ST_FEATURES_OK);
	return reg_status(mmio) == ST_FEATURES_OK;
}

bool reg_queue(struct virtio_mmio *mmio, const struct vring_config *ring)
{
	return reg_queue_n(mmio, 0, ring);
}

bool reg_queue_n(struct virtio_mmio *mmio, unsigned int queue, const struct vring_config *ring)
{
	reg_set(mmio, VIRTIO_MMIO_QUEUE_SEL, queue);
	reg_set(mmio, VIRTIO_MMIO_QUEUE_NUM, ring->size);
	reg_set(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)ring->desc);
	reg_set(mmio, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(ring->desc >> 32));
	reg_set(mmio, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)ring->avail);
	reg_set(mmio, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(ring->avail >> 32));
	reg_set(mmio, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)ring->used);
	reg_set(mmio, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(ring->used >> 32));
	reg_set(mmio, VIRTIO_MMIO_QUEUE_READY, 1);
	return reg_get(mmio, VIRTIO_MMIO_QUEUE_READY) == 1;
}

void reg_ring(struct mockdrv *m, uint16_t size, uint64_t features)
{
	bool event_idx = features & BIT64(VIRTIO_RING_F_EVENT_IDX);
	bool indirect = features & BIT64(VIRTIO_RING_F_INDIRECT_DESC);

	if (features & BIT64(VIRTIO_F_RING_PACKED))
		mock_ring_packed(m, size, event_idx, indirect);
	else
		mock_ring(m, size, event_idx, indirect);
}

void reg_bring_up(struct virtio_mmio *mmio, struct mockdrv *m, uint16_t size, uint64_t features)
{
	reg_set_status(mmio, 0);
	ck_assert_uint_eq(reg_status(mmio), 0);
	reg_ring(m, size, features);
	ck_assert(reg_negotiate(mmio, features));
	ck_assert(reg_queue(mmio, &m->ring));
	reg_set_status(mmio, ST_DRIVER_OK);
	ck_assert_uint_eq(reg_status(mmio), ST_DRIVER_OK);
}
