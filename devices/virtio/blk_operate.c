/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of the operator to a disk, and its statistics. */
#include <stddef.h>

#include "devices/virtio/blk_internal.h"

/* Copies an array of uint64_t counters, each by one atomic load, while another thread
 * updates them. */
static void copy_counters(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size / sizeof(uint64_t); i++)
		((uint64_t *)to)[i] = READ_ONCE(((const uint64_t *)from)[i]);
}

void blk_stats(const struct blk *b, unsigned int queue, struct blkplane_stats *stats)
{
	const struct blkplane_stats *now = &b->queues.queue[queue].stats;

	copy_counters(stats, now, sizeof(*stats));
}

bool blk_latency(const struct blk *b, unsigned int queue, struct blkplane_latency *latency)
{
	if (!b->queues.latency)
		return false;
	copy_counters(latency, &b->queues.latency[queue], sizeof(*latency));
	return true;
}

void blk_hold(struct blk *b)
{
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		blk_queues_hold(&b->queues, i);
}

void blk_pause(struct blk *b)
{
	blk_hold(b);
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		blk_queues_pause(&b->queues, i);
}

void blk_resume(struct blk *b)
{
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		blk_queues_resume(&b->queues, i);
}

int blk_flush(struct blk *b)
{
	return image_flush_independent(&b->image);
}

static void set_capacity(struct blk *b, uint64_t sectors)
{
	_Static_assert(offsetof(struct virtio_regpage, config) % sizeof(sectors) == 0 &&
			       offsetof(struct virtio_blk_config, capacity) == 0,
		       "aligned");
	b->space.capacity = sectors;
	STORE_RELEASE(*(uint64_t *)(void *)b->virtio.regpage->config, sectors);
}

int blk_resize(struct blk *b, uint64_t bytes, const char **why)
{
	int err = image_resize(&b->image, b->config.blk_size, bytes, why);

	if (err || b->image.size == b->disk.capacity)
		return err;
	WRITE_ONCE(b->disk.capacity, b->image.size);
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		blk_queues_set_capacity(&b->queues, i, b->image.size);
	return 0;
}

void blk_notify_resize(struct blk *b)
{
	uint64_t sectors = b->disk.capacity / BLKREQ_SECTOR;

	if (b->space.capacity == sectors)
		return;
	set_capacity(b, sectors);
	virtio_config_changed(&b->virtio);
}

void blk_set_limits(struct blk *b, const struct blklimit_rates *limits)
{
	blklimit_set(&b->limit, limits, monotonic_ns());
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		blk_queues_limit_changed(&b->queues, i);
}

void blk_limits(const struct blk *b, struct blklimit_rates *limits)
{
	blklimit_get(&b->limit, limits);
}

uint64_t blk_capacity(const struct blk *b)
{
	return READ_ONCE(b->disk.capacity);
}

uint64_t blk_allocated(const struct blk *b)
{
	return image_allocated(&b->image);
}

int blk_content(const struct blk *b, uint64_t at, uint64_t *end)
{
	return image_content(&b->image, at, end);
}
