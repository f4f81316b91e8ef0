/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-blk driver to test with: virtio-mmio registers (virtio 1.2, 4.2.2), the driver's side of
 * a split ring (2.7) or, with RING_PACKED, a packed one (2.8), block requests (5.2.6). It does what it
 * is told, wrong things included.
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

/* Descriptor flags, short. */
#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* Device status, as far as a driver brings it. */
#define STATUS_DRIVER	   (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_FEATURES_OK (STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_RUNNING	   (STATUS_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define STATUS_BROKEN	   (STATUS_RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET)

/* A position in a packed ring, and the wrap counter there. */
struct place {
	uint16_t at;
	bool wrap;
};

struct ring {
	uint16_t size;
	struct vring_desc *desc; /* packed: the driver's own; ring_stage copies chains from it */
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* the next entry to fill */
	uint16_t used_idx;  /* the next element to take */
	uint16_t next_desc; /* the next free descriptor; all are freed at once */

	struct vring_packed_desc *packed; /* NULL: a split ring */
	struct vring_packed_desc_event *driver_event, *device_event;
	struct place put, take;
	struct vring_packed_desc *first; /* staged and not shown; its flags are not there yet */
	uint16_t first_flags;
	uint16_t length[QUEUE_MAX]; /* of the chain with that id */
};

struct device {
	uint64_t base;
	uint32_t gsi;
	uint64_t offered, features; /* negotiated: set before device_start */
	uint32_t queue; /* of which this is the ring; another one's is in a copy of this */
	struct ring ring;
	struct virtio_blk_config space;
};

/* The device of that number; false: none, or no disk. */
bool device_probe(struct device *d, unsigned int number);
/* The disk of that number; the test is skipped without it. */
void device_find(struct device *d, unsigned int number);

uint32_t reg_read(const struct device *d, uint32_t reg);
void reg_write(const struct device *d, uint32_t reg, uint32_t value);
/* The configuration space, by 1, 2, 4 or 8 bytes. */
uint64_t config_read(const struct device *d, uint32_t at, unsigned int bytes);
void config_write(const struct device *d, uint32_t at, unsigned int bytes, uint64_t value);
uint32_t status(const struct device *d);

/* From any state to FEATURES_OK with those features beside VERSION_1 (and no others). */
void device_reset(const struct device *d);
void device_negotiate(struct device *d, uint64_t features);
/* Tell where the ring is; true if the device takes it. */
bool device_set_queue(const struct device *d, uint32_t size, uint64_t desc, uint64_t avail,
		      uint64_t used);
/* An empty ring of that size in fresh memory, that asks for no interrupts; the device takes it. */
void device_lay_out(struct device *d, uint16_t size);
/* All of it, with an empty ring of that size in fresh memory; checks each step. */
void device_start(struct device *d, uint16_t size, uint64_t features);
/* The queue is broken, and the driver was told so (2.1.2). */
void device_wait_broken(const struct device *d);
/* After whatever it was: reset, started again, it writes and reads right. Leaves it reset. */
void device_check_alive(struct device *d);

/* ---- descriptors ---- */

struct piece {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

void desc_set(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);
/* A chain of the pieces in the next free descriptors, with indices from `first` on; its head. */
uint16_t chain(struct device *d, const struct piece *piece, unsigned int count);
/* The same in a table, which is `table` or, if that is NULL, new. */
uint16_t chain_indirect(struct device *d, void *table, const struct piece *piece,
			unsigned int count);

/* ---- the rings ---- */

/* Fill the next avail entry; the device may see it after ring_show. */
void ring_stage(struct device *d, uint16_t head);
void ring_show(struct device *d);
void kick(const struct device *d);
/* Stage, show, kick. */
void offer(struct device *d, uint16_t head);
/* Take the next used element. False: there is none. */
bool ring_used(struct device *d, struct vring_used_elem *elem);
void ring_wait_used(struct device *d, struct vring_used_elem *elem);
uint16_t ring_used_index(const struct device *d);
/* With EVENT_IDX: the used index that calls for an interrupt; the avail index that wants a kick. */
void ring_set_used_event(struct device *d, uint16_t index);
uint16_t ring_avail_event(const struct device *d);

/* ---- what of this is another thing in a packed ring (packed.c) ---- */

#define PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)

/* Fresh memory for it, and no interrupts. */
void packed_init(struct device *d, uint16_t size);
/* Fill the next descriptor of the ring, as an available one; the first is not before ring_show. */
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
/* Its three pieces as a chain of the next free descriptors. */
void request_chain(struct device *d, struct request *r);
bool request_reads(uint32_t type);
/* Offer it, wait, return the status; used.len to *written (may be NULL). All descriptors are free
 * again. */
uint8_t request_do(struct device *d, struct request *r, uint32_t *written);
/* The same for a request made here. */
uint8_t blk_do(struct device *d, uint32_t type, uint64_t sector, void *data, uint32_t len);

#endif
