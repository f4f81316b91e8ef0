/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/blk_config_space.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "dataplane/blkreq.h"

#define FEATURE(bit) (1ull << (bit))

static uint64_t features(const struct blk_config *config, uint32_t max_discard)
{
	uint64_t changes =
		config->readonly ? FEATURE(VIRTIO_BLK_F_RO) : FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);

	if (max_discard)
		changes |= FEATURE(VIRTIO_BLK_F_DISCARD);
	return FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
	       FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |
	       FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
	       FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE) |
	       FEATURE(VIRTIO_F_RING_RESET) | (config->queues > 1 ? FEATURE(VIRTIO_BLK_F_MQ) : 0) |
	       (config->packed ? FEATURE(VIRTIO_F_RING_PACKED) : 0) |
	       (config->in_order ? FEATURE(VIRTIO_F_IN_ORDER) : 0) | changes;
}

/* Converts a size to logical blocks. Returns 0 if it is not a whole number of them. */
static uint32_t in_blocks(const struct blk_config *config, uint32_t bytes)
{
	return bytes % config->blk_size ? 0 : bytes / config->blk_size;
}

static void fill_topology(struct virtio_blk_config *space, const struct blk_config *config,
			  const struct image *image)
{
	uint32_t physical = in_blocks(config, image->physical_block);
	uint32_t min = in_blocks(config, image->io_min);
	uint32_t offset = in_blocks(config, image->align_offset);

	if (!physical)
		physical = 1;
	space->physical_block_exp = (uint8_t)__builtin_ctz(physical);
	space->min_io_size = (uint16_t)(min && min <= UINT16_MAX ? min : physical);
	space->opt_io_size = in_blocks(config, image->io_opt);
	space->alignment_offset = (uint8_t)(offset <= UINT8_MAX ? offset : 0);
}

/* Returns the length limit of a discard in sectors, a whole number of logical blocks. 0: discards
 * are not possible. */
static uint32_t max_discard(const struct blk_config *config, const struct image *image)
{
	uint64_t sectors =
		(image->discard_max - image->discard_max % config->blk_size) / BLKREQ_SECTOR;

	if (config->readonly || !config->discard)
		return 0;
	return sectors < BLK_SEGMENT_SECTORS ? (uint32_t)sectors : BLK_SEGMENT_SECTORS;
}

static uint32_t discard_alignment(const struct blk_config *config, const struct image *image)
{
	uint32_t bytes =
		image->discard_align > config->blk_size ? image->discard_align : config->blk_size;

	return bytes / BLKREQ_SECTOR;
}

uint64_t blk_config_space_fill(struct virtio_blk_config *space, const struct blk_config *config,
			       const struct image *image)
{
	*space = (struct virtio_blk_config){
		.capacity = image->size / BLKREQ_SECTOR,
		/* a chain also has the header and the status byte */
		.seg_max = config->queue_size - 2u,
		.blk_size = config->blk_size,
		.wce = !config->writethrough,
		.num_queues = (uint16_t)config->queues,
		.max_discard_sectors = max_discard(config, image),
	};
	fill_topology(space, config, image);
	if (space->max_discard_sectors) {
		space->max_discard_seg = IO_RANGES_MAX;
		space->discard_sector_alignment = discard_alignment(config, image);
	}
	if (!config->readonly) {
		space->max_write_zeroes_sectors = BLK_SEGMENT_SECTORS;
		space->max_write_zeroes_seg = IO_RANGES_MAX;
		space->write_zeroes_may_unmap = config->discard;
	}
	return features(config, space->max_discard_sectors);
}
