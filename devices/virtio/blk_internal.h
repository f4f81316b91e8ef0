/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct blk, for blk.c (life cycle of the device), blk_operate.c (the operator's commands and the
 * statistics) and blk_state.c (snapshots) alone.
 */
#ifndef VIRTIO_BLK_INTERNAL_H
#define VIRTIO_BLK_INTERNAL_H

#include <linux/virtio_blk.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/blk_queues.h"
#include "devices/virtio/image.h"

struct blk {
	struct virtio_device virtio;
	struct virtio_blk_config space;
	struct blk_config config;
	struct image image;
	struct blkreq_disk disk;
	struct blk_queues queues;
	struct blkplane_listener *listener;
	_Alignas(CACHELINE_PAIR) struct blklimit limit;
};

/* Sets the cache mode that the driver reads. */
void blk_set_wce(struct blk *blk, uint8_t wce);

#endif
