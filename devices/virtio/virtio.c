/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "dataplane/base.h"

int virtio_alloc_regpage(struct virtio_device *dev)
{
	dev->regpage = virtio_regpage_create();
	if (!dev->regpage)
		return -ENOMEM;
	dev->irq.status = virtio_regpage_reg(dev->regpage, VIRTIO_MMIO_INTERRUPT_STATUS);
	return 0;
}

void virtio_queue_config(const struct virtio_device *dev, unsigned int queue,
			 struct vring_config *config)
{
	const struct virtio_queue *q = &dev->queue[queue];

	*config = (struct vring_config){
		.size = (uint16_t)q->size,
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.event_idx = virtio_has(dev, VIRTIO_RING_F_EVENT_IDX),
		.indirect = virtio_has(dev, VIRTIO_RING_F_INDIRECT_DESC),
		.packed = virtio_has(dev, VIRTIO_F_RING_PACKED),
		.in_order = virtio_has(dev, VIRTIO_F_IN_ORDER),
	};
}

bool virtio_features_ok(const struct virtio_device *dev)
{
	return !(dev->accepted & ~dev->offered) && virtio_has(dev, VIRTIO_F_VERSION_1);
}

bool virtio_queue_ok(const struct virtio_device *dev, unsigned int queue)
{
	struct vring_config config;

	if (dev->queue[queue].size > dev->queue[queue].max_size)
		return false;
	virtio_queue_config(dev, queue, &config);
	return vring_check(dev->mem, &config) == 0;
}

static void clear_queue(struct virtio_queue *q)
{
	/* max_size and kick_fd stay: another vCPU's write to QueueNotify reads them
	 * without a lock. */
	q->ready = false;
	q->was_reset = false;
	q->size = 0;
	q->desc = q->avail = q->used = 0;
}

uint32_t *virtio_status_reg(const struct virtio_device *dev)
{
	return virtio_regpage_reg(dev->regpage, VIRTIO_MMIO_STATUS);
}

void virtio_status_add(struct virtio_device *dev, uint32_t bits)
{
	STORE_RELEASE(dev->status, dev->status | bits);
	__atomic_fetch_or(virtio_status_reg(dev), bits, __ATOMIC_SEQ_CST);
}

void virtio_reset(struct virtio_device *dev)
{
	dev->ops->reset(dev);

	for (unsigned int i = 0; i < dev->queue_count; i++)
		clear_queue(&dev->queue[i]);
	dev->accepted = 0;
	irqline_clear(&dev->irq);
	STORE_RELEASE(dev->status, 0);
}

void virtio_status_clear(struct virtio_device *dev)
{
	/* Pairs with the driver's read of Status: 0 means that no request is in flight (2.4.2). */
	STORE_RELEASE(*virtio_status_reg(dev), 0);
}

void virtio_needs_reset(struct virtio_device *dev)
{
	__atomic_fetch_or(virtio_status_reg(dev), VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_SEQ_CST);
	/* A driver that has not set DRIVER_OK is not notified (3.1.1). */
	if (LOAD_ACQUIRE(dev->status) & VIRTIO_CONFIG_S_DRIVER_OK)
		irqline_raise(&dev->irq, IRQLINE_CONFIG);
}

void virtio_config_changed(struct virtio_device *dev)
{
	uint32_t *generation = virtio_regpage_reg(dev->regpage, VIRTIO_MMIO_CONFIG_GENERATION);

	STORE_RELEASE(*generation, *generation + 1);
	if (LOAD_ACQUIRE(dev->status) & VIRTIO_CONFIG_S_DRIVER_OK)
		irqline_raise(&dev->irq, IRQLINE_CONFIG);
}

void virtio_queue_reset(struct virtio_device *dev, unsigned int queue)
{
	dev->ops->queue_stop(dev, queue);
	clear_queue(&dev->queue[queue]);
	dev->queue[queue].was_reset = true;
}

void virtio_queue_restart(struct virtio_device *dev, unsigned int queue)
{
	dev->queue[queue].ready = true;
	dev->queue[queue].was_reset = false;
	if (dev->ops->queue_start(dev, queue))
		virtio_needs_reset(dev);
}

void virtio_activate(struct virtio_device *dev)
{
	if (dev->ops->activate(dev))
		virtio_needs_reset(dev);
}
