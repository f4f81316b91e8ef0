/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio_state: state of a virtio-mmio device in a snapshot.
 *
 * The structs are stored as they are, on hosts that are all little-endian. Saving requires that no
 * vCPU runs and that the device is paused. Restoring requires a device that was just created, and
 * trusts no value.
 */
#ifndef VIRTIO_MMIO_STATE_H
#define VIRTIO_MMIO_STATE_H

#include "devices/virtio/mmio.h"

struct virtio_queue_state {
	uint64_t desc, avail, used; /* guest physical addresses */
	uint32_t size, max_size;
	uint16_t next_avail, next_used; /* the position of the ring, if it is started */
	uint8_t avail_wrap, used_wrap;
	uint8_t started; /* the dataplane serves the ring, which is not broken */
	uint8_t ready, was_reset;
	uint8_t zero[7];
};

struct virtio_mmio_state {
	uint64_t accepted;     /* features */
	uint32_t status;       /* as set by the driver */
	uint32_t shown_status; /* with DEVICE_NEEDS_RESET */
	uint32_t interrupt;    /* InterruptStatus */
	uint32_t generation;   /* ConfigGeneration */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint32_t accepted_beyond;
	uint32_t queue_count, zero;
	struct virtio_queue_state queue[VIRTIO_MAX_QUEUES];
};

/* Finishes all requests in flight and saves the state. Returns 0, or -EBUSY: a request of *queue
 * cannot be finished now. */
int virtio_mmio_save(struct virtio_mmio *mmio, struct virtio_mmio_state *state,
		     unsigned int *queue);

/* Returns why a device with this state cannot continue as this one, for the user; NULL: it can. */
const char *virtio_mmio_check(const struct virtio_mmio *mmio,
			      const struct virtio_mmio_state *state);

/*
 * Restores the registers and starts the queues. The driver gets the interrupts that it may have
 * missed. The caller has used virtio_mmio_check. Returns 0; -EINVAL: a ring is invalid; or another
 * -errno. After an error, the caller destroys the device.
 */
int virtio_mmio_restore(struct virtio_mmio *mmio, const struct virtio_mmio_state *state);

#endif
