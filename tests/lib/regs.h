/* SPDX-License-Identifier: BSD-3-Clause */
/* regs: the driver's access to virtio-mmio registers. Any thread. A failure fails the test. */
#ifndef TESTS_REGS_H
#define TESTS_REGS_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "devices/virtio/mmio.h"
#include "tests/lib/mockdrv.h"

#define BIT64(n) (1ull << (n))

/* Values of the Status register in the steps of initialization (virtio 1.2, 3.1.1). */
#define ST_ACK	       VIRTIO_CONFIG_S_ACKNOWLEDGE
#define ST_DRIVER      (ST_ACK | VIRTIO_CONFIG_S_DRIVER)
#define ST_FEATURES_OK (ST_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define ST_DRIVER_OK   (ST_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define ST_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define ST_FAILED      VIRTIO_CONFIG_S_FAILED

/* Allocates the register page of a device that the test itself built, with this configuration
 * space. */
void reg_open(struct virtio_device *dev, const void *space, size_t len);

/* Frees the register page of reg_open. */
void reg_close(struct virtio_device *dev);

/* Access a register of 32 bits. */
uint32_t reg_get(struct virtio_mmio *mmio, uint64_t offset);
void reg_set(struct virtio_mmio *mmio, uint64_t offset, uint32_t value);
void reg_set_status(struct virtio_mmio *mmio, uint32_t status);
uint32_t reg_status(struct virtio_mmio *mmio);

/* Reads DeviceFeatures. */
uint64_t reg_offered(struct virtio_mmio *mmio);

/* Writes DriverFeatures. */
void reg_accept(struct virtio_mmio *mmio, uint64_t features);

/* Initializes a device up to FEATURES_OK; the caller has reset it. Returns false if the device did
 * not accept the features. */
bool reg_negotiate(struct virtio_mmio *mmio, uint64_t features);

/* Writes the configuration of a queue and QueueReady. False: QueueReady does not read back as 1. */
bool reg_queue_n(struct virtio_mmio *mmio, unsigned int queue, const struct vring_config *ring);
bool reg_queue(struct virtio_mmio *mmio, const struct vring_config *ring); /* queue 0 */

/* Lays out an empty ring of `size` descriptors; `features` select its format. */
void reg_ring(struct mockdrv *m, uint16_t size, uint64_t features);

/* Resets the device, lays out an empty ring for queue 0 and initializes the device up to
 * DRIVER_OK. */
void reg_bring_up(struct virtio_mmio *mmio, struct mockdrv *m, uint16_t size, uint64_t features);

#endif
