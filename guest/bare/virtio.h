/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-blk test driver: virtio-mmio registers (virtio 1.2, 4.2.2), the driver's side of a split
 * ring (2.7) or, with RING_PACKED, a packed one (2.8), block requests (5.2.6). The driver follows
 * the test, also where that violates the specification.
 */
#ifndef BARE_VIRTIO_H
#define BARE_VIRTIO_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "guest/bare/bare.h"

#define SECTOR	    512u
#define QUEUE_MAX   256u
#define FEATURE(b)  (1ull << (b))
#define EVENT_IDX   FEATURE(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECTION FEATURE(VIRTIO_RING_F_INDIRECT_DESC)
#define PACKED	    FEATURE(VIRTIO_F_RING_PACKED)
#define IN_ORDER    FEATURE(VIRTIO_F_IN_ORDER)
#define RING_RESET  FEATURE(VIRTIO_F_RING_RESET)
#define MQ	    FEATURE(VIRTIO_BLK_F_MQ)

/* Short names of the descriptor flags. */
#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* Values of the device status. */
#define STATUS_DRIVER	   (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_FEATURES_OK (STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_RUNNING	   (STATUS_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define STATUS_BROKEN	   (STATUS_RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET)

/* A position in a packed ring, and its wrap counter. */
struct place {
	uint16_t at;
	bool wrap;
};

struct ring {
	uint16_t size;
	struct vring_desc
		*desc; /* packed: private to the driver; ring_stage copies chains from it */
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* the next entry to fill */
	uint16_t used_idx;  /* the next element to take */
	uint16_t next_desc; /* the next free descriptor; all are freed at once */

	struct vring_packed_desc *packed; /* NULL: a split ring */
	struct vring_packed_desc_event *driver_event, *device_event;
	struct place put, take;
	struct vring_packed_desc *first; /* staged but not yet available: its flags are missing */
	uint16_t first_flags;
	uint16_t length[QUEUE_MAX]; /* number of descriptors, by buffer id */
};

struct device {
	uint64_t base;
	uint32_t gsi;
	uint64_t offered, features; /* features: negotiated, set before device_start */
	uint32_t queue;		    /* queue of `ring`; other queues use a copy of the device */
	struct ring ring;
	struct virtio_blk_config space;
};

/* Initializes d for the device with this number; false if there is none, or it is no disk. */
bool device_probe(struct device *d, unsigned int number);
/* Initializes d for the disk with this number; the test is skipped if there is none. */
void device_find(struct device *d, unsigned int number);

uint32_t reg_read(const struct device *d, uint32_t reg);
void reg_write(const struct device *d, uint32_t reg, uint32_t value);
/* Access the configuration space, by 1, 2, 4 or 8 bytes. */
uint64_t config_read(const struct device *d, uint32_t at, unsigned int bytes);
void config_write(const struct device *d, uint32_t at, unsigned int bytes, uint64_t value);
uint32_t status(const struct device *d);

void device_reset(const struct device *d);
/* Goes from any state to FEATURES_OK, with exactly these features and VERSION_1. */
void device_negotiate(struct device *d, uint64_t features);
/* Writes the addresses of the ring; returns true if the device accepts it. */
bool device_set_queue(const struct device *d, uint32_t size, uint64_t desc, uint64_t avail,
		      uint64_t used);
/* Gives the device an empty ring in fresh memory, without interrupts; checks success. */
void device_lay_out(struct device *d, uint16_t size);
/* Initializes the device completely, with an empty ring of that size; checks each step. */
void device_start(struct device *d, uint16_t size, uint64_t features);
/* Waits until the device has set DEVICE_NEEDS_RESET and notified the driver (2.1.2). */
void device_wait_broken(const struct device *d);
/* Resets and restarts the device from any state, checks a write and a read, and resets it again. */
void device_check_alive(struct device *d);

/* ---- descriptors ---- */

struct piece {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

void desc_set(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);
/* Writes the pieces to the next free descriptors as a chain; returns its head. */
uint16_t chain(struct device *d, const struct piece *piece, unsigned int count);
/* Writes the pieces to an indirect table, `table` or a new one if NULL; returns the head. */
uint16_t chain_indirect(struct device *d, void *table, const struct piece *piece,
			unsigned int count);

/* ---- the rings ---- */

/* Fills the next avail entry, which the device may see only after ring_show. */
void ring_stage(struct device *d, uint16_t head);
void ring_show(struct device *d);
void kick(const struct device *d);
/* Stages a chain, makes it available, and kicks. */
void offer(struct device *d, uint16_t head);
/* Takes the next used element; false if there is none. */
bool ring_used(struct device *d, struct vring_used_elem *elem);
void ring_wait_used(struct device *d, struct vring_used_elem *elem);
uint16_t ring_used_index(const struct device *d);
/*
 * EVENT_IDX: used_event (index that causes an interrupt), and avail_event (index that wants a
 * kick).
 */
void ring_set_used_event(struct device *d, uint16_t index);
uint16_t ring_avail_event(const struct device *d);

/* ---- the operations of a packed ring (packed.c) ---- */

#define PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)

/* Gives the ring fresh memory, and disables interrupts. */
void packed_init(struct device *d, uint16_t size);
/*
 * Fills the next descriptor as an available one; the flags of a chain's first wait for ring_show.
 */
void packed_put(struct device *d, const struct vring_desc *desc, uint16_t id, uint16_t flags);
void packed_stage(struct device *d, uint16_t head);
void packed_show(struct device *d);
bool packed_used(struct device *d, struct vring_used_elem *elem);

/* ---- requests: a header, data and a status byte, in memory of their own ---- */

struct request {
	struct virtio_blk_outhdr *header;
	uint8_t *data;
	uint8_t *status; /* 0xff until the device has written it */
	uint32_t len;
	uint16_t head;
};

#define NO_STATUS 0xff

void request_init(struct request *r, uint32_t type, uint64_t sector, uint32_t len);
/* Writes the request's three pieces to the next free descriptors as a chain. */
void request_chain(struct device *d, struct request *r);
bool request_reads(uint32_t type);
/*
 * Offers the request, waits, frees all descriptors, and returns the status. *written gets used.len
 * and may be NULL.
 */
uint8_t request_do(struct device *d, struct request *r, uint32_t *written);
/* Creates a request, and does what request_do does with it. */
uint8_t blk_do(struct device *d, uint32_t type, uint64_t sector, void *data, uint32_t len);

#endif
