/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_config_space: features and configuration space of a virtio-blk device.
 *
 * The function derives both (virtio 1.2, 5.2.3 and 5.2.4) from the user's options and the
 * capabilities of the host. It is a pure function.
 */
#ifndef VIRTIO_BLK_CONFIG_SPACE_H
#define VIRTIO_BLK_CONFIG_SPACE_H

#include <stdint.h>
#include <linux/virtio_blk.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/image.h"

/* Longest segment of a discard or write-zeroes in sectors: 2 GiB, so that a request is bounded. */
#define BLK_SEGMENT_SECTORS (1u << 22)

/* Length of the space in bytes. Fields that belong to features not offered are 0. */
#define BLK_CONFIG_SPACE_LEN offsetof(struct virtio_blk_config, unused1)

/* Fills *space and returns the features offered. */
uint64_t blk_config_space_fill(struct virtio_blk_config *space, const struct blk_config *config,
			       const struct image *image);

#endif
