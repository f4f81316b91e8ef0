/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio: the virtio-mmio register file, version 2 (virtio 1.2, 4.2.2), and the driver's steps
 * through the device status (3.1.1).
 *
 * Called from any vCPU thread, and where it says so from others. What is read is the device's window
 * (window.h), whether the guest reads it as memory or by virtio_mmio_read; no lock is needed for it. A
 * write takes the transport's own lock, which no dataplane thread ever takes, and has changed the window
 * when it returns; one of 0 to Status returns when the device is quiet. Acknowledgements take none.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtio.h"

/* Where the doorbell is, for the ioeventfd. */
#define VIRTIO_MMIO_DOORBELL 0x50

/* A write of this value there changes nothing (irqline.h), and may as well not be seen. */
#define VIRTIO_MMIO_ACK	     0x64
#define VIRTIO_MMIO_ACK_IDLE IRQLINE_USED_RING

/*
 * Registers whose writes may be done late, as long as that is in order and before any other write to a
 * register, by any CPU, that comes after them: nothing in the window depends on them.
 */
#define VIRTIO_MMIO_COALESCED_ZONES 3
extern const struct virtio_mmio_range {
	uint32_t offset, size;
} virtio_mmio_coalesced[VIRTIO_MMIO_COALESCED_ZONES];

struct virtio_mmio {
	struct virtio_device *dev;
	pthread_mutex_t lock;
	unsigned int wanted; /* atomic: how many operators wait for the lock or have it */
	pthread_cond_t free; /* signalled when an operator gives it back */
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	bool accepted_beyond; /* the driver accepted features from bit 64 on: nobody offered them */
};

void virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *dev);
void virtio_mmio_destroy(struct virtio_mmio *mmio);

/* Any thread: no register is written meanwhile, and no op of the device called. The caller waits for
 * the writes that are being carried out, and goes before any other. */
void virtio_mmio_lock(struct virtio_mmio *mmio);
void virtio_mmio_unlock(struct virtio_mmio *mmio);

/*
 * One access of len bytes (1 to 8) at `offset` into the device's range; data is little-endian.
 * What 4.2.2.2 does not allow reads 0 and is ignored when written.
 */
void virtio_mmio_read(void *mmio, uint64_t offset, uint8_t *data, unsigned int len);
void virtio_mmio_write(void *mmio, uint64_t offset, const uint8_t *data, unsigned int len);

#endif
