/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole virtio-blk devices on images, accessed through their registers as by a vCPU.
 *
 * The devices differ in engine, cache, block size and write protection. Images are in memory, where
 * newer hosts have O_DIRECT, too (libaio then completes before io_submit returns). One image is a
 * file in the build directory, so that its transfers overlap with the guest's actions.
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
#define VDISK_COUNT	  16 /* the second half uses io_uring, the first any engine */
#define VDISK_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

struct vdisk {
	struct blk *blk;
	struct virtio_device *dev;
	struct virtio_mmio mmio;
	int fd; /* the image, opened by the test */
	char path[64];
	uint32_t blk_size;
	bool readonly;
	bool stale; /* the image has been changed */
};

/* The device of the current case. All functions below apply to it. */
extern struct vdisk *vdisk;

/* Called once per process. */
void vdisk_create(struct guest *g);

/* Selects device number n, reset, on a fresh image. `between` is that of host.h: a racing guest. */
void vdisk_choose(unsigned int n, uint32_t faults, void (*between)(void));

uint32_t vdisk_get(uint64_t offset);
void vdisk_set(uint64_t offset, uint32_t value);
/* Writes the configuration field of the write cache, and returns what it reads afterwards. */
uint8_t vdisk_toggle_cache(uint8_t value);
void vdisk_set_address(uint64_t reg, uint64_t gpa);

/* Features that the driver may negotiate if they are offered. */
#define VDISK_FEATURES(dev)                                                                       \
	((uint32_t)(dev)->offered &                                                               \
	 (1u << VIRTIO_BLK_F_FLUSH | 1u << VIRTIO_BLK_F_CONFIG_WCE | 1u << VIRTIO_BLK_F_DISCARD | \
	  1u << VIRTIO_BLK_F_WRITE_ZEROES))

/*
 * Writes the registers up to DRIVER_OK, as a correct driver does. Accepts only VERSION_1, the ring
 * features of *ring, and VDISK_FEATURES.
 */
void vdisk_bring_up(const struct vring_config *ring);

/* Returns the number of interrupts since the last call. */
uint64_t vdisk_interrupts(void);

/* Yields the CPU; false when that has gone on for too long. *end is 0 at first. */
bool vdisk_wait(time_t *end);

/*
 * Checks after a reset that the image has its size, and its contents if it is read-only; that
 * neither image nor guest contain host memory; and that the canaries are intact.
 */
void vdisk_check(void);

/* Checks that a valid request is served. Leaves the device reset, and guest memory cleared. */
void vdisk_check_alive(void);

#endif
