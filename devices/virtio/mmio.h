/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio: virtio-mmio transport, register layout version 2 (virtio 1.2, 4.2.2).
 *
 * The transport also implements the driver's steps through the device status (3.1.1). Its functions
 * are called on any vCPU thread, and on other threads where they say so. Reads are served from the
 * device's register page (regpage.h), whether the guest reads it as memory or by virtio_mmio_read,
 * and need no lock, except that virtio_mmio_read takes it for ConfigGeneration. A write takes the
 * transport's own lock, which no dataplane thread ever takes, and has updated the register page
 * when it returns; a write of 0 to Status returns when the reset of the device is complete. Writes
 * to InterruptACK and QueueNotify take no lock.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtio.h"

/* Offset of QueueNotify, the doorbell, for KVM's ioeventfd. */
#define VIRTIO_MMIO_DOORBELL 0x50

/* Offset of InterruptACK. */
#define VIRTIO_MMIO_ACK 0x64
/* Value whose write to InterruptACK has no effect (irqline.h) and need not reach the device. */
#define VIRTIO_MMIO_ACK_IDLE IRQLINE_USED_RING

/*
 * Registers whose writes may be delayed (coalesced MMIO), as long as they are carried out in order,
 * and before any later write to another register by any CPU: nothing in the register page depends
 * on them.
 */
#define VIRTIO_MMIO_COALESCED_ZONES 3
extern const struct virtio_mmio_range {
	uint32_t offset, size;
} virtio_mmio_coalesced[VIRTIO_MMIO_COALESCED_ZONES];

struct virtio_mmio {
	struct virtio_device *dev;
	pthread_mutex_t lock;
	unsigned int wanted; /* atomic: callers of virtio_mmio_lock that wait for it or hold it */
	pthread_cond_t free; /* signalled by virtio_mmio_unlock */
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	bool accepted_beyond; /* the driver accepted a feature bit above 63; none is offered */
	struct vring_base restored[VIRTIO_MAX_QUEUES]; /* see virtio_mmio_restore */
};

void virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *dev);
void virtio_mmio_destroy(struct virtio_mmio *mmio);

/*
 * Locks the transport for a control operation: until virtio_mmio_unlock no register is written and
 * no op of the device is called. The caller waits for a register write in progress, and takes
 * precedence over later ones. Any thread.
 */
void virtio_mmio_lock(struct virtio_mmio *mmio);
void virtio_mmio_unlock(struct virtio_mmio *mmio);

/* Updates the registers whose values depend on a selector or on a queue. Called with the transport
 * locked, or before it is used. */
void virtio_mmio_show_selected(struct virtio_mmio *mmio);

/* Reads len bytes (1 to 8) at `offset` of the device's MMIO range; data is little-endian. An access
 * that 4.2.2.2 does not allow reads 0. */
void virtio_mmio_read(void *mmio, uint64_t offset, uint8_t *data, unsigned int len);
/* Writes len bytes (1 to 8) at `offset` of the device's MMIO range; data is little-endian. An
 * access that 4.2.2.2 does not allow is ignored. */
void virtio_mmio_write(void *mmio, uint64_t offset, const uint8_t *data, unsigned int len);

#endif
