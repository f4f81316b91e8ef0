/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio: what every device has, whatever the transport (virtio 1.2, section 2).
 *
 * The transport (mmio.c) owns the control path: it calls the ops and changes everything here under
 * its own lock, on vCPU threads, or on the main thread when no vCPU runs. The dataplane only ever sees
 * what activate copied for it, and two words of the window: Status, where it adds DEVICE_NEEDS_RESET,
 * and InterruptStatus.
 */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostmem.h"
#include "dataplane/irqline.h"
#include "dataplane/vring.h"
#include "devices/virtio/regpage.h"

#define VIRTIO_MAX_QUEUES 16

/* 6, VIRTIO_F_RING_RESET: newer than the kernel headers of Debian 12. */
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

struct virtio_device;

struct virtio_ops {
	/* DRIVER_OK: features and queues are final. 0 or -errno; then the device needs a reset. */
	int (*activate)(struct virtio_device *dev);
	/* Stop: returns when nothing touches guest memory or raises interrupts any more. Also
	 * called when the device is not active. */
	void (*reset)(struct virtio_device *dev);
	/* VIRTIO_F_RING_RESET: one queue of an active device. Its configuration is final, as in
	 * activate; it is quiet, as after reset. */
	int (*queue_start)(struct virtio_device *dev, unsigned int queue);
	void (*queue_stop)(struct virtio_device *dev, unsigned int queue);
	/* FEATURES_OK: what the driver accepted is final. NULL: of no interest. */
	void (*negotiated)(struct virtio_device *dev);
	/* The driver, past FEATURES_OK, writes `len` bytes (1 to 8) at `offset` of the configuration
	 * space, any bytes of which may lie beyond its end. NULL: all of it is read-only. */
	void (*write_config)(struct virtio_device *dev, uint64_t offset, const uint8_t *data,
			     unsigned int len);
};

struct virtio_queue {
	uint16_t max_size;
	int kick_fd; /* the doorbell's eventfd */
	bool ready;
	bool was_reset; /* by itself, and not ready again since (2.6.1) */
	/* As the driver wrote it; judged when it says ready. */
	uint32_t size;
	uint64_t desc;
	uint64_t avail; /* the driver area (2.6) */
	uint64_t used;	/* the device area */
};

struct virtio_device {
	uint32_t id;	   /* section 5 */
	uint64_t offered;  /* feature bits */
	uint64_t accepted; /* by the driver */
	uint32_t status;   /* what the driver has said; atomic, for who reads it without the lock */
	struct virtio_regpage *regpage; /* what the driver reads */
	struct irqline irq;		/* its word is in the window */
	const struct hostmem *mem;
	unsigned int queue_count;
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];
	const struct virtio_ops *ops;
};

/* The only feature test there is. `bit` is the number the specification gives. */
static inline bool virtio_has(const struct virtio_device *dev, unsigned int bit)
{
	return dev->accepted >> bit & 1;
}

/* The window of a device that is being made, empty; whoever makes it destroys it. -ENOMEM. */
int virtio_alloc_regpage(struct virtio_device *dev);

/* The queue as the driver laid it out, with the ring features it accepted. */
void virtio_queue_config(const struct virtio_device *dev, unsigned int queue,
			 struct vring_config *config);

/* May the driver have what it accepted? (2.2.2, 6.2) */
bool virtio_features_ok(const struct virtio_device *dev);

/* Is the queue one the dataplane can run? */
bool virtio_queue_ok(const struct virtio_device *dev, unsigned int queue);

/* The driver has come so far; Status shows it. */
void virtio_status_add(struct virtio_device *dev, uint32_t bits);

/* The word that Status shows: atomic; what the driver has said, and DEVICE_NEEDS_RESET. */
uint32_t *virtio_status_reg(const struct virtio_device *dev);

/* Back to the state after power-on; it is quiet then, which Status does not show yet. */
void virtio_reset(struct virtio_device *dev);

/* When all else that can be read is as after power-on: Status shows 0. */
void virtio_status_clear(struct virtio_device *dev);

/* 2.6.1: stop that queue; its registers are as after power-on when it is quiet. */
void virtio_queue_reset(struct virtio_device *dev, unsigned int queue);

/* It is ready again (virtio_queue_ok). When that fails the device needs a reset and says so. */
void virtio_queue_restart(struct virtio_device *dev, unsigned int queue);

/* DRIVER_OK. When it fails the device needs a reset and says so (2.1.2). */
void virtio_activate(struct virtio_device *dev);

/* The device has changed its configuration space by itself (2.5, 4.2.2.1): while no vCPU reads, or
 * under the transport's lock, in which the generation is read. Tells a driver that is up. */
void virtio_config_changed(struct virtio_device *dev);

/* The device cannot go on as the driver believes it does: tell the driver (2.1.2). */
void virtio_needs_reset(struct virtio_device *dev);

#endif
