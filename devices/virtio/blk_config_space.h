/* SPDX-License-Identifier: BSD-3-Clause */
/* blk_space: what a disk offers its driver: features and configuration space (virtio 1.2, 5.2.3 and
 * 5.2.4), from what the user asked for and what the host can do. A pure function. */
#ifndef VIRTIO_BLK_CONFIG_SPACE_H
#define VIRTIO_BLK_CONFIG_SPACE_H

#include <stdint.h>
#include <linux/virtio_blk.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/image.h"

/* The longest discard, or zeroes, in one segment: 2 GiB, so that a request has a bound. */
#define BLK_SEGMENT_SECTORS (1u << 22)

/* How much of the space there is; fields of no offered feature are 0. */
#define BLK_SPACE_LEN offsetof(struct virtio_blk_config, unused1)

/* Fills *space; returns the features offered. */
uint64_t blk_config_space_fill(struct virtio_blk_config *space, const struct blk_config *config,
			       const struct image *image);

#endif
