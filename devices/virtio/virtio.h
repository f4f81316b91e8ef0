/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio: transport-independent part of a virtio device (virtio 1.2, section 2).
 *
 * The transport (mmio.c) owns the control path: it calls the ops and changes everything in this
 * header under its own lock, on vCPU threads, or on the main thread while no vCPU runs. The
 * dataplane sees only the values that activate has copied for it, and two words of the register
 * page: Status, in which it sets DEVICE_NEEDS_RESET, and InterruptStatus.
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

/* Feature bit of section 6, which the kernel headers of Debian 12 do not define yet. */
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

struct virtio_device;

struct virtio_ops {
	/* Starts the device: the driver has set DRIVER_OK, and features and queues are final.
	 * Returns 0 or -errno, after which the device needs a reset. */
	int (*activate)(struct virtio_device *dev);
	/* Stops the device. The function returns when the device no longer accesses guest memory or
	 * raises interrupts. It is also called when the device is not active. */
	void (*reset)(struct virtio_device *dev);
	/* Starts one queue of an active device again after its reset (VIRTIO_F_RING_RESET). The
	 * configuration of the queue is final. Returns 0 or -errno. */
	int (*queue_start)(struct virtio_device *dev, unsigned int queue);
	/* Stops one queue of an active device. The function returns when the device no longer
	 * accesses that queue or its requests' memory, or raises interrupts for it. */
	void (*queue_stop)(struct virtio_device *dev, unsigned int queue);
	/* Pauses a queue, finishes all its requests, and stores the position of its ring. Returns 0;
	 * -ENOENT: the queue is not started; -EBADMSG: its ring is broken; -EBUSY: a request cannot
	 * be finished now. NULL: the device has no snapshots. */
	int (*queue_drain)(struct virtio_device *dev, unsigned int queue,
			   struct vring_base *position);
	/* Called when the driver sets FEATURES_OK: the accepted features are final. May be NULL. */
	void (*negotiated)(struct virtio_device *dev);
	/*
	 * Called when the driver, after FEATURES_OK, writes `len` bytes (1 to 8) at `offset` of the
	 * configuration space. Any of these bytes may lie beyond its end. NULL: the space is
	 * read-only.
	 */
	void (*write_config)(struct virtio_device *dev, uint64_t offset, const uint8_t *data,
			     unsigned int len);
};

struct virtio_queue {
	uint16_t max_size;
	int kick_fd; /* eventfd of the doorbell */
	/* The queue's own interrupt; NULL: that of the device. */
	struct irqline *irq;
	/* The position at which the ring starts, and, after a stop, at which it stopped. NULL: the
	 * ring is unused at each start. */
	struct vring_base *base;
	struct vring_mirror *mirror; /* of the requests in flight; NULL: none */
	bool ready;
	bool was_reset; /* the queue alone was reset and is not ready again (2.6.1) */
	/* size, desc, avail and used are the values that the driver wrote; they are validated when
	 * it sets QueueReady. */
	uint32_t size;
	uint64_t desc;
	uint64_t avail; /* driver area (2.6) */
	uint64_t used;	/* device area (2.6) */
};

struct virtio_device {
	uint32_t id;	   /* device ID (section 5) */
	uint64_t offered;  /* feature bits that the device offers */
	uint64_t accepted; /* feature bits that the driver has accepted */
	uint32_t status;   /* as set by the driver; atomic for readers without the lock */
	struct virtio_regpage *regpage; /* the registers as the driver reads them */
	struct irqline irq;		/* its status word is in the register page */
	const struct hostmem *mem;
	unsigned int queue_count;
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];
	const struct virtio_ops *ops;
};

/* Returns whether the driver has accepted a feature. `bit` is its number in the specification. All
 * tests for features use this function. */
static inline bool virtio_has(const struct virtio_device *dev, unsigned int bit)
{
	return dev->accepted >> bit & 1;
}

/* Allocates the empty register page of a device under construction; the caller frees it with
 * virtio_regpage_destroy. Returns 0 or -ENOMEM. */
int virtio_alloc_regpage(struct virtio_device *dev);

/* Fills *config with the queue's layout as the driver has set it and with the accepted ring
 * features. */
void virtio_queue_config(const struct virtio_device *dev, unsigned int queue,
			 struct vring_config *config);

/* Returns whether the driver's choice of features is valid (2.2.2, 6.2). */
bool virtio_features_ok(const struct virtio_device *dev);

/* Returns whether the queue's size and addresses are valid, so that the dataplane can serve it. */
bool virtio_queue_ok(const struct virtio_device *dev, unsigned int queue);

/* Adds bits that the driver has set to the device status, and shows them in Status. */
void virtio_status_add(struct virtio_device *dev, uint32_t bits);

/* Returns the Status word of the register page. It is atomic, and holds the bits that the driver
 * has set and DEVICE_NEEDS_RESET. */
uint32_t *virtio_status_reg(const struct virtio_device *dev);

/* Stops the device and resets everything except the Status register. When the function returns, the
 * device no longer accesses guest memory or raises interrupts. */
void virtio_reset(struct virtio_device *dev);

/* Sets Status to 0, which completes a reset. Called when all other registers are reset. */
void virtio_status_clear(struct virtio_device *dev);

/* Resets one queue (2.6.1). When the function returns, the device no longer uses the queue, and
 * its registers have their values after power-on. */
void virtio_queue_reset(struct virtio_device *dev, unsigned int queue);

/* Starts a queue again after its reset. The caller has checked it with virtio_queue_ok. A failure
 * sets DEVICE_NEEDS_RESET. */
void virtio_queue_restart(struct virtio_device *dev, unsigned int queue);

/* Activates the device when the driver sets DRIVER_OK. A failure sets DEVICE_NEEDS_RESET
 * (2.1.2). */
void virtio_activate(struct virtio_device *dev);

/*
 * Reports a change of the configuration space by the device (2.5, 4.2.2.1): increments the
 * generation, and interrupts a driver that has set DRIVER_OK. Called while no vCPU runs, or under
 * the transport's lock, which virtio_mmio_read takes for the generation.
 */
void virtio_config_changed(struct virtio_device *dev);

/* Sets DEVICE_NEEDS_RESET, because the device cannot continue as the driver expects, and notifies
 * the driver (2.1.2). */
void virtio_needs_reset(struct virtio_device *dev);

#endif
