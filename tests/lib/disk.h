/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk: a virtio-blk device over an image, its virtio-mmio registers, and a mock driver.
 *
 * Functions are for the test thread. A failure fails the test.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include "devices/virtio/blk.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/regs.h"

#define DISK_BYTES (1u << 20)

/* Feature sets. DISK_RING adds the ring features INDIRECT_DESC and EVENT_IDX. */
#define DISK_PLAIN    BIT64(VIRTIO_F_VERSION_1)
#define DISK_FEATURES (DISK_PLAIN | BIT64(VIRTIO_BLK_F_FLUSH))
#define DISK_RING     (BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX))

struct disk {
	struct mockdrv m; /* driver of queue 0; kick_fd and irq_fd belong to the device */
	uint64_t format;  /* features that disk_bring_up adds: 0 or RING_PACKED */
	struct test_image image;
	struct blk_config config;
	struct blk *blk;
	struct virtio_device *dev;
	struct virtio_mmio mmio;
};

/* Creates the guest memory, an image of DISK_BYTES and a default configuration. The test may change
 * d->config before disk_open. */
void disk_init(struct disk *d, enum blk_engine engine);

/* Creates the virtio-blk device with d->config, and its virtio-mmio registers. */
void disk_open(struct disk *d);

/* Destroys the device, if there is one. Returns the result of blk_destroy. */
int disk_close(struct disk *d);

/* Destroys the device, the image and the guest memory. */
void disk_fini(struct disk *d);

/* Calls reg_bring_up for queue 0, with the features of d->format added. */
void disk_bring_up(struct disk *d, uint16_t size, uint64_t features);

/*
 * Creates the driver of queue `queue` in memory area `place` (mock_beside), which no other queue
 * may use. `features` select the format of its empty ring of `size` descriptors.
 */
void disk_queue(const struct disk *d, struct mockdrv *q, unsigned int queue, unsigned int place,
		uint16_t size, uint64_t features);

/* Sends a request by queue 0, which must be idle, notifies by QueueNotify and waits for the answer.
 * Returns the status; *used_len is used.len (used_len may be NULL). */
uint8_t disk_do(struct disk *d, uint32_t type, uint64_t sector, uint32_t len, struct mock_blk *req,
		uint32_t *used_len);

#endif
