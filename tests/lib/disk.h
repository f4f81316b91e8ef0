/* SPDX-License-Identifier: BSD-3-Clause */
/* disk: a whole virtio-blk device over an image, behind its registers, and the driver for it. */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include "devices/virtio/blk.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/regs.h"

#define DISK_BYTES (1u << 20)

/* Without and with both ring features. */
#define DISK_PLAIN    BIT64(VIRTIO_F_VERSION_1)
#define DISK_FEATURES (DISK_PLAIN | BIT64(VIRTIO_BLK_F_FLUSH))
#define DISK_RING     (BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX))

struct disk {
	struct mockdrv m; /* its kick_fd and irq_fd are the device's */
	uint64_t format;  /* ring features that disk_bring_up adds: none, or RING_PACKED */
	struct test_image image;
	struct blk_config config;
	struct blk *blk;
	struct virtio_device *dev;
	struct virtio_mmio mmio;
};

/* An image and a configuration; change it, then open. */
void disk_init(struct disk *d, enum blk_engine engine);
void disk_open(struct disk *d);
/* Returns what blk_destroy does. */
int disk_close(struct disk *d);
/* Closes, too. */
void disk_fini(struct disk *d);

/* As reg_bring_up, in that format. */
void disk_bring_up(struct disk *d, uint16_t size, uint64_t features);

/* The driver of one of its queues, with an empty ring of the kind that these features make, in a place
 * (mock_beside) that no other queue has. */
void disk_queue(const struct disk *d, struct mockdrv *q, unsigned int queue, unsigned int place,
		uint16_t size, uint64_t features);

/* A request in an otherwise empty ring, by way of QueueNotify; returns its status. */
uint8_t disk_do(struct disk *d, uint32_t type, uint64_t sector, uint32_t len, struct mock_blk *req,
		uint32_t *used_len);

#endif
