/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/mmio_state.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "dataplane/base.h"

static uint32_t *reg(const struct virtio_mmio *m, uint64_t offset)
{
	return virtio_regpage_reg(m->dev->regpage, offset);
}

static int save_queue(struct virtio_device *dev, unsigned int n, struct virtio_queue_state *state)
{
	const struct virtio_queue *q = &dev->queue[n];
	struct vring_base base = { 0 };
	int err = dev->ops->queue_drain(dev, n, &base);

	*state = (struct virtio_queue_state){
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.size = q->size,
		.max_size = q->max_size,
		.next_avail = base.avail,
		.next_used = base.used,
		.avail_wrap = base.avail_wrap,
		.used_wrap = base.used_wrap,
		.started = !err,
		.ready = q->ready,
		.was_reset = q->was_reset,
	};
	return err == -EBUSY ? err : 0;
}

int virtio_mmio_save(struct virtio_mmio *m, struct virtio_mmio_state *state, unsigned int *queue)
{
	struct virtio_device *dev = m->dev;
	int err = 0;

	virtio_mmio_lock(m);
	*state = (struct virtio_mmio_state){ .queue_count = dev->queue_count };
	for (unsigned int i = 0; i < dev->queue_count; i++) {
		*queue = i;
		err = save_queue(dev, i, &state->queue[i]);
		if (err)
			break;
	}
	/* The registers are read after the queues: a drain may break a ring. */
	state->accepted = dev->accepted;
	state->status = dev->status;
	state->shown_status = LOAD_ACQUIRE(*virtio_status_reg(dev));
	state->interrupt = LOAD_ACQUIRE(*reg(m, VIRTIO_MMIO_INTERRUPT_STATUS));
	state->generation = READ_ONCE(*reg(m, VIRTIO_MMIO_CONFIG_GENERATION));
	state->device_features_sel = m->device_features_sel;
	state->driver_features_sel = m->driver_features_sel;
	state->queue_sel = m->queue_sel;
	state->accepted_beyond = m->accepted_beyond;
	virtio_mmio_unlock(m);
	return err;
}

const char *virtio_mmio_check(const struct virtio_mmio *m, const struct virtio_mmio_state *state)
{
	const struct virtio_device *dev = m->dev;

	if (state->queue_count != dev->queue_count)
		return "has another number of queues than in the snapshot";
	for (unsigned int i = 0; i < dev->queue_count; i++)
		if (state->queue[i].max_size != dev->queue[i].max_size)
			return "queue-size is not that of the snapshot";
	return NULL;
}

static int restore_queue(struct virtio_mmio *m, unsigned int n,
			 const struct virtio_queue_state *state)
{
	struct virtio_device *dev = m->dev;
	struct virtio_queue *q = &dev->queue[n];
	int err;

	q->size = state->size;
	q->desc = state->desc;
	q->avail = state->avail;
	q->used = state->used;
	q->ready = state->ready;
	q->was_reset = state->was_reset;
	if (q->ready && !virtio_queue_ok(dev, n))
		return -EINVAL;
	if (!state->started)
		return 0;
	if (!q->ready || !(dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return -EINVAL;
	m->restored[n] = (struct vring_base){ .avail = state->next_avail,
					      .used = state->next_used,
					      .avail_wrap = state->avail_wrap,
					      .used_wrap = state->used_wrap };
	q->base = &m->restored[n];
	err = dev->ops->queue_start(dev, n);
	/* After a reset the ring begins at its start. */
	q->base = NULL;
	q->saved = NULL;
	return err;
}

int virtio_mmio_restore(struct virtio_mmio *m, const struct virtio_mmio_state *state)
{
	struct virtio_device *dev = m->dev;
	uint32_t raise = state->interrupt & IRQLINE_CONFIG;
	int err = 0;

	dev->accepted = state->accepted;
	dev->status = state->status;
	m->device_features_sel = state->device_features_sel;
	m->driver_features_sel = state->driver_features_sel;
	m->queue_sel = state->queue_sel;
	m->accepted_beyond = state->accepted_beyond;
	STORE_RELEASE(*virtio_status_reg(dev), state->shown_status);
	STORE_RELEASE(*reg(m, VIRTIO_MMIO_INTERRUPT_STATUS),
		      state->interrupt & (IRQLINE_USED_RING | IRQLINE_CONFIG));
	WRITE_ONCE(*reg(m, VIRTIO_MMIO_CONFIG_GENERATION), state->generation);
	for (unsigned int i = 0; i < dev->queue_count; i++) {
		err = restore_queue(m, i, &state->queue[i]);
		if (err)
			break;
		if (state->queue[i].started)
			raise |= IRQLINE_USED_RING;
	}
	virtio_mmio_show_selected(m);
	/* KVM may have had an interrupt on its way when its state was read. A driver tolerates one
	 * without news (2.7.7.2). */
	if (!err && raise)
		irqline_raise(&dev->irq, raise);
	return err;
}
