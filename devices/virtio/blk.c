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
#include "devices/virtio/blk_config_space.h"
#include "devices/virtio/blk_internal.h"

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
		.unmap = b->space.write_zeroes_may_unmap,
	};
	memcpy(b->disk.id, id, strlen(id));
}

/* Returns whether each write is stable when it is completed (5.2.6.2). A driver that has not
 * negotiated FLUSH always gets this, because it cannot flush. */
static bool writethrough(const struct blk *b)
{
	/* No storage of an ephemeral disk is stable, in either mode. */
	if (b->config.ephemeral)
		return false;
	if (virtio_has(&b->virtio, VIRTIO_BLK_F_CONFIG_WCE))
		return !b->space.wce;
	return b->config.writethrough || !virtio_has(&b->virtio, VIRTIO_BLK_F_FLUSH);
}

/* Returns the configuration space in the register page, which the driver reads without a lock. */
static struct virtio_blk_config *shown_space(const struct blk *b)
{
	return (struct virtio_blk_config *)b->virtio.regpage->config;
}

void blk_set_wce(struct blk *b, uint8_t wce)
{
	b->space.wce = wce;
	WRITE_ONCE(shown_space(b)->wce, wce);
}

/* Handles FEATURES_OK: for a driver with CONFIG_WCE but without FLUSH the cache starts as
 * writethrough (5.2.5.2). */
static void blk_negotiated(struct virtio_device *dev)
{
	struct blk *b = container_of(dev, struct blk, virtio);

	if (virtio_has(dev, VIRTIO_BLK_F_CONFIG_WCE) && !virtio_has(dev, VIRTIO_BLK_F_FLUSH))
		blk_set_wce(b, 0);
}

static void set_planes_cache(struct blk *b, bool through)
{
	for (unsigned int i = 0; i < b->virtio.queue_count && !b->config.ephemeral; i++)
		blk_queues_set_writethrough(&b->queues, i, through);
}

/*
 * Switches to writethrough, on the vCPU's thread. Requests popped from now on are stable when they
 * complete; the flush makes earlier writes stable. If the flush fails, the device sets
 * DEVICE_NEEDS_RESET (2.1.2), because the driver must not rely on its earlier writes, and a later
 * flush need not fail again: the kernel reports a lost write only once.
 */
static void to_writethrough(struct blk *b)
{
	int err;

	set_planes_cache(b, true);
	err = image_flush(&b->image);
	if (!err)
		return;
	log_limited("--disk %s: flush for the change to writethrough: %s", b->config.path,
		    strerror(-err));
	virtio_needs_reset(&b->virtio);
}

static void blk_write_config(struct virtio_device *dev, uint64_t offset, const uint8_t *data,
			     unsigned int len)
{
	const uint64_t at = offsetof(struct virtio_blk_config, wce);
	struct blk *b = container_of(dev, struct blk, virtio);
	bool wce;

	/* wce is the only field that a driver can write. */
	if (!virtio_has(dev, VIRTIO_BLK_F_CONFIG_WCE) || offset > at || at - offset >= len)
		return;
	wce = data[at - offset] & 1;
	if (wce == b->space.wce)
		return;
	/* A driver that reads 0 on another vCPU may rely on writethrough. The field therefore
	 * becomes 0 only after writethrough is in effect, and 1 before it ends. */
	if (wce) {
		blk_set_wce(b, 1);
		set_planes_cache(b, false);
	} else {
		to_writethrough(b);
		blk_set_wce(b, 0);
	}
}

static int start_queue(struct blk *b, unsigned int n)
{
	struct virtio_device *dev = &b->virtio;
	struct blkplane_config plane = {
		.name = b->config.path,
		.mem = dev->mem,
		.disk = b->disk,
		.policy = { .read = b->config.rerror,
			    .write = b->config.werror,
			    .cached = b->image.direct_align == 1 },
		.limit = &b->limit,
		.kick_fd = dev->queue[n].kick_fd,
		.irq = dev->queue[n].irq ? dev->queue[n].irq : &dev->irq,
		.base = dev->queue[n].base,
		.mirror = dev->queue[n].mirror,
		.saved = dev->queue[n].saved,
		.saved_bytes = dev->queue[n].saved_bytes,
		.listener = b->listener,
		.queue = n,
		.device_status = virtio_status_reg(dev),
	};
	int err;

	plane.disk.writethrough = writethrough(b);
	if (virtio_has(dev, VIRTIO_BLK_F_DISCARD))
		plane.disk.discard_max = b->space.max_discard_sectors;
	if (virtio_has(dev, VIRTIO_BLK_F_WRITE_ZEROES))
		plane.disk.zeroes_max = b->space.max_write_zeroes_sectors;
	virtio_queue_config(dev, n, &plane.ring);
	err = blk_queues_start(&b->queues, n, &plane);
	if (err)
		log_limited("--disk %s: cannot start the dataplane: %s", b->config.path,
			    strerror(-err));
	return err;
}

static void stop_queues(struct blk *b)
{
	blk_hold(b);
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		blk_queues_stop(&b->queues, i);
}

static void blk_reset(struct virtio_device *dev)
{
	struct blk *b = container_of(dev, struct blk, virtio);

	stop_queues(b);
	blk_set_wce(b, !b->config.writethrough);
}

static int blk_activate(struct virtio_device *dev)
{
	struct blk *b = container_of(dev, struct blk, virtio);
	int err = 0;

	/* A driver may activate the device with no queue ready; nothing is started then. */
	for (unsigned int i = 0; i < dev->queue_count && !err; i++)
		if (dev->queue[i].ready)
			err = start_queue(b, i);
	if (err)
		stop_queues(b);
	return err;
}

static int blk_queue_start(struct virtio_device *dev, unsigned int queue)
{
	return start_queue(container_of(dev, struct blk, virtio), queue);
}

static void blk_queue_stop(struct virtio_device *dev, unsigned int queue)
{
	blk_queues_stop(&container_of(dev, struct blk, virtio)->queues, queue);
}

static int blk_queue_drain(struct virtio_device *dev, unsigned int queue,
			   struct vring_base *position)
{
	return blk_queues_drain(&container_of(dev, struct blk, virtio)->queues, queue, position);
}

static const struct virtio_ops blk_ops = {
	.activate = blk_activate,
	.reset = blk_reset,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.queue_drain = blk_queue_drain,
	.negotiated = blk_negotiated,
	.write_config = blk_write_config,
};

struct virtio_device *blk_virtio(struct blk *b)
{
	return &b->virtio;
}

static void release(struct blk *b)
{
	blk_queues_destroy(&b->queues);
	image_close(&b->image);
	for (unsigned int i = 0; i < b->virtio.queue_count; i++)
		close(b->virtio.queue[i].kick_fd);
	if (b->virtio.irq.fd >= 0)
		close(b->virtio.irq.fd);
	virtio_regpage_destroy(b->virtio.regpage);
	cacheline_free(b);
}

static int create_doorbells(struct blk *b)
{
	struct virtio_device *dev = &b->virtio;

	while (dev->queue_count < b->config.queues) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return -errno;
		dev->queue[dev->queue_count++] =
			(struct virtio_queue){ .max_size = b->config.queue_size, .kick_fd = fd };
	}
	return 0;
}

/* Creates the disk's eventfds and its register page. */
static int ask_host(struct blk *b)
{
	const char *what = "event file descriptors of a disk";
	int err;

	b->virtio.irq.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = b->virtio.irq.fd < 0 ? -errno : create_doorbells(b);
	if (!err) {
		what = "registers of a disk";
		err = virtio_alloc_regpage(&b->virtio);
	}
	if (err)
		log_error("%s: %s", what, strerror(-err));
	return err;
}

int blk_create(struct blk **blk, const struct blk_config *config, unsigned int index,
	       const struct hostmem *mem, const char **why)
{
	struct blk *b = cacheline_alloc(sizeof(*b));
	int err;

	*why = NULL;
	if (!b) {
		log_error("a disk: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	b->config = *config;
	b->virtio = (struct virtio_device){
		.id = VIRTIO_ID_BLOCK,
		.irq.fd = -1,
		.mem = mem,
		.ops = &blk_ops,
	};
	b->image.fd = b->image.base_fd = b->image.lock_fd = -1;
	err = ask_host(b);
	if (!err)
		err = image_open(&b->image, config, why);
	if (!err)
		err = blk_queues_init(&b->queues, &b->config, &b->image, why);
	if (err) {
		release(b);
		return err;
	}
	b->virtio.offered = blk_config_space_fill(&b->space, config, &b->image);
	memcpy(shown_space(b), &b->space, BLK_CONFIG_SPACE_LEN);
	fill_disk(b, index);
	blklimit_set(&b->limit, &config->limits, monotonic_ns());
	*blk = b;
	return 0;
}

const char *blk_format(const struct blk *b)
{
	return b->image.format;
}

bool blk_has_image(const struct blk *b, const char *path)
{
	return image_is(&b->image, path);
}

unsigned int blk_fds(const struct blk *b)
{
	return blk_queues_fds(&b->queues);
}

void blk_set_listener(struct blk *b, struct blkplane_listener *listener)
{
	b->listener = listener;
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
