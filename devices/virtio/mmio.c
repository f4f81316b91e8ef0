/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/virtio/mmio.h"

#include <string.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "dataplane/base.h"

#define MAGIC	    0x74726976u /* "virt" */
#define VERSION	    2
#define VENDOR	    0x6d76566du /* arbitrary: no registry exists, and drivers ignore it */
#define NO_REGION   0xffffffffu /* 4.2.2: length and base of an absent shared memory region */
#define REGPAGE_END sizeof(struct virtio_regpage)

/* QueueReset (4.2.2), which the kernel headers of Debian 12 do not define yet. */
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0

_Static_assert(VIRTIO_MMIO_DOORBELL == VIRTIO_MMIO_QUEUE_NOTIFY, "doorbell");
_Static_assert(VIRTIO_MMIO_ACK == VIRTIO_MMIO_INTERRUPT_ACK, "acknowledgement");
_Static_assert(REGPAGE_REGISTERS == VIRTIO_MMIO_CONFIG, "register page");

/* The accepted features with their selector, and the queue's size and addresses. They have no
 * effect on a doorbell or on the dataplane until the driver writes QueueReady or Status. */
const struct virtio_mmio_range virtio_mmio_coalesced[VIRTIO_MMIO_COALESCED_ZONES] = {
	{ VIRTIO_MMIO_DRIVER_FEATURES,
	  VIRTIO_MMIO_DRIVER_FEATURES_SEL + 4 - VIRTIO_MMIO_DRIVER_FEATURES },
	{ VIRTIO_MMIO_QUEUE_NUM, 4 },
	{ VIRTIO_MMIO_QUEUE_DESC_LOW,
	  VIRTIO_MMIO_QUEUE_USED_HIGH + 4 - VIRTIO_MMIO_QUEUE_DESC_LOW },
};

/* Values of the device status, in the order in which a driver sets the bits (3.1.1). */
#define S_ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER      (S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define S_FEATURES_OK (S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_DRIVER_OK   (S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

enum status_action { STEP, CHECK_FEATURES, ACTIVATE };

/* Transitions of the device status that a driver may make; write_status handles reset and
 * FAILED. */
static const struct {
	uint32_t from;
	uint32_t to;
	enum status_action action;
} status_table[] = {
	{ 0, S_ACKNOWLEDGE, STEP },
	{ S_ACKNOWLEDGE, S_DRIVER, STEP },
	{ S_DRIVER, S_FEATURES_OK, CHECK_FEATURES },
	{ S_FEATURES_OK, S_DRIVER_OK, ACTIVATE },
};

static struct virtio_queue *selected_queue(struct virtio_mmio *m)
{
	return m->queue_sel < m->dev->queue_count ? &m->dev->queue[m->queue_sel] : NULL;
}

static uint32_t read_features(const struct virtio_mmio *m)
{
	return m->device_features_sel < 2
		       ? (uint32_t)(m->dev->offered >> (32 * m->device_features_sel))
		       : 0;
}

/* Sets the value that the driver reads in a register. */
static void show(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	WRITE_ONCE(*virtio_regpage_reg(m->dev->regpage, offset), value);
}

/* Sets the registers that never change. */
static void show_identity(struct virtio_mmio *m)
{
	show(m, VIRTIO_MMIO_MAGIC_VALUE, MAGIC);
	show(m, VIRTIO_MMIO_VERSION, VERSION);
	show(m, VIRTIO_MMIO_DEVICE_ID, m->dev->id);
	show(m, VIRTIO_MMIO_VENDOR_ID, VENDOR);
	show(m, VIRTIO_MMIO_SHM_LEN_LOW, NO_REGION);
	show(m, VIRTIO_MMIO_SHM_LEN_HIGH, NO_REGION);
	show(m, VIRTIO_MMIO_SHM_BASE_LOW, NO_REGION);
	show(m, VIRTIO_MMIO_SHM_BASE_HIGH, NO_REGION);
}

/* QueueReset always reads 0, because a write to it returns only when the reset of the queue is
 * complete. */
void virtio_mmio_show_selected(struct virtio_mmio *m)
{
	const struct virtio_queue *q = selected_queue(m);

	show(m, VIRTIO_MMIO_DEVICE_FEATURES, read_features(m));
	show(m, VIRTIO_MMIO_QUEUE_NUM_MAX, q ? q->max_size : 0);
	show(m, VIRTIO_MMIO_QUEUE_READY, q && q->ready);
}

static void status_step(struct virtio_mmio *m, uint32_t to, enum status_action action)
{
	struct virtio_device *dev = m->dev;

	if (action == CHECK_FEATURES && (m->accepted_beyond || !virtio_features_ok(dev)))
		return;
	if (action == CHECK_FEATURES && dev->ops->negotiated)
		dev->ops->negotiated(dev);
	virtio_status_add(dev, to);
	if (action == ACTIVATE)
		virtio_activate(dev);
}

static void write_status(struct virtio_mmio *m, uint32_t value)
{
	struct virtio_device *dev = m->dev;
	uint32_t now = dev->status;

	if (!value) {
		virtio_reset(dev);
		m->device_features_sel = m->driver_features_sel = m->queue_sel = 0;
		m->accepted_beyond = false;
		virtio_mmio_show_selected(m);
		virtio_status_clear(dev);
		return;
	}
	value &= ~(uint32_t)VIRTIO_CONFIG_S_NEEDS_RESET;
	if (value == (now | VIRTIO_CONFIG_S_FAILED)) {
		virtio_status_add(dev, VIRTIO_CONFIG_S_FAILED);
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(status_table); i++) {
		if (status_table[i].from == now && status_table[i].to == value) {
			status_step(m, value, status_table[i].action);
			return;
		}
	}
}

static bool features_are_final(const struct virtio_device *dev)
{
	return dev->status & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void write_features(struct virtio_mmio *m, uint32_t value)
{
	struct virtio_device *dev = m->dev;

	if (features_are_final(dev))
		return;
	if (m->driver_features_sel == 0)
		dev->accepted = (dev->accepted & ~0xffffffffull) | value;
	else if (m->driver_features_sel == 1)
		dev->accepted = (dev->accepted & 0xffffffffull) | (uint64_t)value << 32;
	else if (value)
		m->accepted_beyond = true; /* status_step refuses FEATURES_OK until a reset */
}

static void set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & ~0xffffffffull) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & 0xffffffffull) | (uint64_t)value << 32;
}

static void write_ready(struct virtio_mmio *m, struct virtio_queue *q, uint32_t value)
{
	bool ready = value == 1 && virtio_queue_ok(m->dev, m->queue_sel);

	if (m->dev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
		if (ready)
			virtio_queue_restart(m->dev, m->queue_sel);
		return;
	}
	q->ready = ready;
	if (ready)
		q->was_reset = false;
}

/* Handles a write to a queue register. The layout may change only while the queue is not in use
 * (4.2.2.2): before DRIVER_OK, or from the queue's own reset until it is ready again (2.6.1). */
static void write_queue(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	struct virtio_queue *q = selected_queue(m);

	if (!q)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_RESET) {
		if (value == 1 && features_are_final(m->dev) &&
		    virtio_has(m->dev, VIRTIO_F_RING_RESET))
			virtio_queue_reset(m->dev, m->queue_sel);
		return;
	}
	if (m->dev->status & VIRTIO_CONFIG_S_DRIVER_OK && !q->was_reset)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		write_ready(m, q, value);
		return;
	}
	if (q->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&q->desc, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&q->desc, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&q->avail, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&q->avail, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&q->used, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&q->used, value);
		break;
	}
}

static void write_register(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_features(m, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = value;
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(m, value);
		break;
	default:
		write_queue(m, offset, value);
		break;
	}
}

/* Forwards a doorbell write that exited to user space to the eventfd that KVM signals for the
 * others. */
static void kick(struct virtio_mmio *m, uint32_t queue)
{
	if (queue < m->dev->queue_count)
		eventfd_signal(m->dev->queue[queue].kick_fd);
}

/* Handles a write to a register that needs no lock. Returns false for other registers. */
static bool write_unlocked(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	if (offset == VIRTIO_MMIO_INTERRUPT_ACK)
		irqline_acknowledge(&m->dev->irq, value);
	else if (offset == VIRTIO_MMIO_QUEUE_NOTIFY)
		kick(m, value);
	else
		return false;
	return true;
}

/* Takes the lock for a vCPU, after all callers of virtio_mmio_lock. A mutex is not fair: a driver
 * that writes registers continuously would otherwise keep such a caller out. */
static void lock(struct virtio_mmio *m)
{
	pthread_mutex_lock(&m->lock);
	while (READ_ONCE(m->wanted))
		pthread_cond_wait(&m->free, &m->lock);
}

static void write_config(struct virtio_mmio *m, uint64_t offset, const uint8_t *data,
			 unsigned int len)
{
	struct virtio_device *dev = m->dev;

	if (!dev->ops->write_config)
		return;
	lock(m);
	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		dev->ops->write_config(dev, offset, data, len);
	pthread_mutex_unlock(&m->lock);
}

void virtio_mmio_init(struct virtio_mmio *m, struct virtio_device *dev)
{
	*m = (struct virtio_mmio){ .dev = dev };
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->free, NULL);
	show_identity(m);
	virtio_mmio_show_selected(m);
}

void virtio_mmio_destroy(struct virtio_mmio *m)
{
	pthread_cond_destroy(&m->free);
	pthread_mutex_destroy(&m->lock);
}

void virtio_mmio_lock(struct virtio_mmio *m)
{
	__atomic_fetch_add(&m->wanted, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&m->lock);
}

void virtio_mmio_unlock(struct virtio_mmio *m)
{
	__atomic_fetch_sub(&m->wanted, 1, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&m->free);
	pthread_mutex_unlock(&m->lock);
}

void virtio_mmio_read(void *mmio, uint64_t offset, uint8_t *data, unsigned int len)
{
	struct virtio_mmio *m = mmio;
	const uint8_t *from = (const uint8_t *)m->dev->regpage;
	uint32_t value;

	memset(data, 0, len);
	if (!range_inside(offset, len, REGPAGE_END))
		return;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		for (unsigned int i = 0; i < len; i++)
			data[i] = READ_ONCE(from[offset + i]);
		return;
	}
	if (len != sizeof(value) || offset % sizeof(value))
		return;
	/*
	 * A driver that reads a field of several bytes while it changes must read another
	 * generation afterwards, so the read of the generation waits for the thread that makes the
	 * change (2.5.1).
	 */
	if (offset == VIRTIO_MMIO_CONFIG_GENERATION)
		lock(m);
	value = LOAD_ACQUIRE(*virtio_regpage_reg(m->dev->regpage, offset));
	if (offset == VIRTIO_MMIO_CONFIG_GENERATION)
		pthread_mutex_unlock(&m->lock);
	memcpy(data, &value, sizeof(value));
}

void virtio_mmio_write(void *mmio, uint64_t offset, const uint8_t *data, unsigned int len)
{
	struct virtio_mmio *m = mmio;
	uint32_t value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		if (range_inside(offset, len, REGPAGE_END))
			write_config(m, offset - VIRTIO_MMIO_CONFIG, data, len);
		return;
	}
	if (len != sizeof(value) || offset % sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	if (write_unlocked(m, offset, value))
		return;
	lock(m);
	write_register(m, offset, value);
	virtio_mmio_show_selected(m);
	pthread_mutex_unlock(&m->lock);
}
