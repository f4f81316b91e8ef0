/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/blk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "dataplane/base.h"
#include "dataplane/blkplane.h"
#include "devices/virtio/image.h"

struct blk {
	struct virtio_device virtio;
	struct virtio_blk_config space;
	struct blk_config config;
	struct image image;
	struct blkreq_disk disk;
	/* Made at the first activation, off the boot path, and kept: between a stop and the next
	 * start they are idle. */
	struct iothread *thread;
	struct ioengine *engine;
	struct blkplane *plane; /* NULL: not active */
};

#define FEATURE(bit) (1ull << (bit))

static uint64_t offered_features(const struct blk *b)
{
	return FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
	       FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |
	       FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
	       FEATURE(VIRTIO_BLK_F_FLUSH) | (b->config.readonly ? FEATURE(VIRTIO_BLK_F_RO) : 0);
}

/* 5.2.4 */
static void fill_config_space(struct blk *b)
{
	uint32_t physical = b->image.physical_block / b->config.blk_size;

	b->space = (struct virtio_blk_config){
		.capacity = b->image.size / BLKREQ_SECTOR,
		/* A chain holds header and status, too. */
		.seg_max = b->config.queue_size - 2u,
		.blk_size = b->config.blk_size,
		.physical_block_exp = physical > 1 ? (uint8_t)__builtin_ctz(physical) : 0,
		.min_io_size = (uint16_t)(physical > 1 ? physical : 1),
	};
}

static void fill_disk(struct blk *b, unsigned int index)
{
	char id[BLKREQ_ID_BYTES + 1];

	if (b->config.serial)
		snprintf(id, sizeof(id), "%s", b->config.serial);
	else
		snprintf(id, sizeof(id), "disk%u", index);
	b->disk = (struct blkreq_disk){
		.capacity = b->image.size,
		.blk_size = b->config.blk_size,
		.readonly = b->config.readonly,
	};
	memcpy(b->disk.id, id, strlen(id));
}

/* What can move data, the best first. */
static const struct ioengine_ops *const engines[] = {
	[BLK_ENGINE_URING] = &ioengine_uring,
	[BLK_ENGINE_LIBAIO] = &ioengine_libaio,
	[BLK_ENGINE_SYNC] = &ioengine_sync,
};

static int create_thread_and_engine(struct blk *b, enum blk_engine which)
{
	struct iothread_config thread = {
		.loop = engines[which]->loop,
		.poll_ns = b->config.poll_us * 1000ull,
	};
	struct ioengine_config config = {
		.fd = b->image.fd,
		.depth = b->config.queue_size,
		.direct_align = b->image.direct_align,
	};
	int err = iothread_create(&b->thread, &thread);

	if (err)
		return err;
	config.loop = &b->thread->loop;
	err = ioengine_create(&b->engine, engines[which], &config);
	if (err) {
		iothread_destroy(b->thread);
		b->thread = NULL;
	}
	return err;
}

static int create_engine(struct blk *b)
{
	enum blk_engine which = b->config.engine;
	int refused = 0;
	int err;

	while ((err = create_thread_and_engine(b, which)) && which != BLK_ENGINE_SYNC) {
		refused = refused ? refused : err;
		which++;
	}
	/* Once per disk: from here on it has an engine. A guest may try again as often as it likes
	 * where it has none. */
	if (!err && refused)
		log_line("--disk %s: %s is not to be had (%s): falling back to engine=%s",
			 b->config.path, engines[b->config.engine]->name, strerror(-refused),
			 engines[which]->name);
	return err;
}

static int blk_activate(struct virtio_device *dev)
{
	struct blk *b = container_of(dev, struct blk, virtio);
	struct blkplane_config config = {
		.name = b->config.path,
		.mem = dev->mem,
		.disk = b->disk,
		.kick_fd = dev->queue[0].kick_fd,
		.irq = &dev->irq,
		.device_status = &dev->status,
	};
	int err = 0;

	if (!dev->queue[0].ready)
		return 0; /* a driver without queues has nothing to ask */
	if (!b->engine)
		err = create_engine(b);
	if (!err) {
		config.thread = b->thread;
		config.engine = b->engine;
		/* 5.2.6.2: a driver that cannot flush gets writes that are stable. */
		config.disk.writethrough = !virtio_has(dev, VIRTIO_BLK_F_FLUSH);
		virtio_queue_config(dev, 0, &config.ring);
		err = blkplane_start(&b->plane, &config);
	}
	if (err)
		log_limited("--disk %s: the dataplane does not start: %s", b->config.path,
			    strerror(-err));
	return err;
}

static void blk_reset(struct virtio_device *dev)
{
	struct blk *b = container_of(dev, struct blk, virtio);

	blkplane_stop(b->plane);
	b->plane = NULL;
}

static const struct virtio_ops blk_ops = {
	.activate = blk_activate,
	.reset = blk_reset,
};

struct virtio_device *blk_virtio(struct blk *b)
{
	return &b->virtio;
}

static void release(struct blk *b)
{
	ioengine_destroy(b->engine);
	iothread_destroy(b->thread);
	image_close(&b->image);
	if (b->virtio.queue[0].kick_fd >= 0)
		close(b->virtio.queue[0].kick_fd);
	if (b->virtio.irq.fd >= 0)
		close(b->virtio.irq.fd);
	free(b);
}

int blk_create(struct blk **blk, const struct blk_config *config, unsigned int index,
	       const struct hostmem *mem, const char **why)
{
	struct blk *b = calloc(1, sizeof(*b));
	int err;

	*why = NULL;
	if (!b)
		return -ENOMEM;
	b->config = *config;
	b->virtio = (struct virtio_device){
		.id = VIRTIO_ID_BLOCK,
		.offered = offered_features(b),
		.config = &b->space,
		.config_len = offsetof(struct virtio_blk_config, wce),
		.irq.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.mem = mem,
		.queue_count = 1,
		.queue[0].max_size = config->queue_size,
		.queue[0].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ops = &blk_ops,
	};
	b->image.fd = b->image.lock_fd = -1;
	if (b->virtio.irq.fd < 0 || b->virtio.queue[0].kick_fd < 0)
		err = -errno;
	else
		err = image_open(&b->image, config, why);
	if (err) {
		release(b);
		return err;
	}
	fill_config_space(b);
	fill_disk(b, index);
	*blk = b;
	return 0;
}

int blk_destroy(struct blk *b)
{
	int err;

	if (!b)
		return 0;
	virtio_reset(&b->virtio);
	err = image_flush(&b->image);
	release(b);
	return err;
}
