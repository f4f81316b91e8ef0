/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vdisk: whole virtio-blk devices on images, each behind its registers, as their vCPU sees them.
 *
 * They differ in engine, cache, block size and whether they can be written. Images are in memory,
 * where newer hosts have O_DIRECT, too (libaio then finishes before io_submit returns), but for one
 * in a file where the build is: there the transfers go on while the guest does.
 */
#ifndef TESTS_FUZZ_VDISK_H
#define TESTS_FUZZ_VDISK_H

#include <time.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/mmio.h"
#include "tests/fuzz/host.h"

#define VDISK_SIZE	  0x10000u
#define VDISK_QUEUE_MAX	  64u
#define VDISK_COUNT	  16 /* the second half with io_uring, whatever the first half has */
#define VDISK_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

struct vdisk {
	struct blk *blk;
	struct virtio_device *dev;
	struct virtio_mmio mmio;
	int fd; /* the image, for looking at it */
	char path[64];
	uint32_t blk_size;
	bool readonly;
	bool stale; /* the image is not as it was made */
};

/* The one this case is about; all that follows is for it. */
extern struct vdisk *vdisk;

/* Once per process. */
void vdisk_create(struct guest *g);

/* Number n of them, reset, on a fresh image. `between` as in host.h: the guest is a racing one. */
void vdisk_choose(unsigned int n, uint32_t faults, void (*between)(void));

uint32_t vdisk_get(uint64_t offset);
void vdisk_set(uint64_t offset, uint32_t value);
/* Writes the write cache's field; what it reads then. */
uint8_t vdisk_toggle_cache(uint8_t value);
void vdisk_set_address(uint64_t reg, uint64_t gpa);

/* What can be asked of it, as far as it is offered. */
#define VDISK_FEATURES(dev)                                                                       \
	((uint32_t)(dev)->offered &                                                               \
	 (1u << VIRTIO_BLK_F_FLUSH | 1u << VIRTIO_BLK_F_CONFIG_WCE | 1u << VIRTIO_BLK_F_DISCARD | \
	  1u << VIRTIO_BLK_F_WRITE_ZEROES))

/* The registers, up to DRIVER_OK, as a driver without faults writes them. Only version 1, the ring
 * features of *ring, and VDISK_FEATURES are accepted. */
void vdisk_bring_up(const struct vring_config *ring);

/* Interrupts since the last call. */
uint64_t vdisk_interrupts(void);

/* Give way; false when that has gone on for too long. *end is 0 at first. */
bool vdisk_wait(time_t *end);

/* After a reset: the image has its size, and its content if nobody may write; no host memory is in
 * the image or the guest; the canaries are there. */
void vdisk_check(void);

/* A request as good as any is served. Leaves the device reset, and guest memory cleared. */
void vdisk_check_alive(void);

#endif
