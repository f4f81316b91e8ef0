/* SPDX-License-Identifier: BSD-3-Clause */
/* regs: the driver's side of the virtio-mmio registers. Any thread. */
#ifndef TESTS_REGS_H
#define TESTS_REGS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "devices/virtio/mmio.h"
#include "tests/lib/mockdrv.h"

#define BIT64(n) (1ull << (n))

/* Status, step by step. */
#define ST_ACK	       VIRTIO_CONFIG_S_ACKNOWLEDGE
#define ST_DRIVER      (ST_ACK | VIRTIO_CONFIG_S_DRIVER)
#define ST_FEATURES_OK (ST_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define ST_DRIVER_OK   (ST_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define ST_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define ST_FAILED      VIRTIO_CONFIG_S_FAILED

/* For a device that a test makes: its window, with that configuration space; until reg_close. */
void reg_open(struct virtio_device *dev, const void *space, size_t len);
void reg_close(struct virtio_device *dev);

uint32_t reg_get(struct virtio_mmio *mmio, uint64_t offset);
void reg_set(struct virtio_mmio *mmio, uint64_t offset, uint32_t value);
void reg_set_status(struct virtio_mmio *mmio, uint32_t status);
uint32_t reg_status(struct virtio_mmio *mmio);

uint64_t reg_offered(struct virtio_mmio *mmio);
void reg_accept(struct virtio_mmio *mmio, uint64_t features);

/* From 0 to FEATURES_OK; whether it stayed. */
bool reg_negotiate(struct virtio_mmio *mmio, uint64_t features);
/* A queue as its driver has laid it out, and ready; whether it reads back so. */
bool reg_queue_n(struct virtio_mmio *mmio, unsigned int queue, const struct vring_config *ring);
bool reg_queue(struct virtio_mmio *mmio, const struct vring_config *ring); /* queue 0 */
/* An empty ring of the kind that these features make. */
void reg_ring(struct mockdrv *m, uint16_t size, uint64_t features);
/* Reset, an empty ring of that size, and all steps up to DRIVER_OK. */
void reg_bring_up(struct virtio_mmio *mmio, struct mockdrv *m, uint16_t size, uint64_t features);

#endif
