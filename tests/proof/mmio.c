/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: virtio_mmio_write
 * Bounds: a device of up to 2 queues in any state; one write of 1 to 8 bytes at any 64-bit offset
 * Properties: no access outside of the device; the device status takes only the steps of 3.1.1, and
 *   is 0 only behind a reset; activation at the step to DRIVER_OK alone; features do not change
 *   from FEATURES_OK on, and FEATURES_OK needs features that were offered; a queue's layout changes
 *   only while it is not ready and, from DRIVER_OK on, only after its own reset; a queue is ready
 *   only with a layout that was checked; a write of another size than 4 changes no register
 * Section: 2.1, 2.2, 2.6.1, 3.1.1, 4.2.2
 */
#include "tests/proof/proof.h"

#include <pthread.h>

/* The lock has tests of its own. */
#define pthread_mutex_lock(lock)      ((void)0)
#define pthread_mutex_unlock(lock)    ((void)0)
#define pthread_cond_wait(cond, lock) assume(false)
#define pthread_mutex_init(lock, how) ((void)0)
#define pthread_cond_init(cond, how)  ((void)0)
#define pthread_cond_broadcast(cond)  ((void)0)
#define pthread_cond_destroy(cond)    ((void)0)
#define pthread_mutex_destroy(lock)   ((void)0)

#include "devices/virtio/mmio.c"
#include "devices/virtio/virtio.c"

#define QUEUES VIRTIO_MAX_QUEUES

static struct virtio_device dev, before;
static struct virtio_regpage page;
static struct virtio_mmio m;
static struct hostmem mem;
static unsigned int activations, resets, starts, stops, kicks;
static bool layout_ok;

int vring_check(const struct hostmem *of, const struct vring_config *config)
{
	prove(of == &mem, "the device's memory");
	return layout_ok ? 0 : -EINVAL;
}

void eventfd_signal(int fd)
{
	prove(fd == dev.queue[0].kick_fd || (dev.queue_count == 2 && fd == dev.queue[1].kick_fd),
	      "the doorbell of a queue that exists");
	kicks++;
}

void irqline_raise(struct irqline *line, uint32_t bits)
{
	prove(line == &dev.irq && bits == IRQLINE_CONFIG, "a change of the configuration");
}

void irqline_acknowledge(struct irqline *line, uint32_t bits)
{
	prove(line == &dev.irq, "the device's line");
}

void irqline_clear(struct irqline *line)
{
	prove(resets == 1, "the device is reset before its interrupts are");
}

struct virtio_regpage *virtio_regpage_create(void)
{
	return NULL;
}

static int activate(struct virtio_device *d)
{
	activations++;
	return ANY(int);
}

static void reset(struct virtio_device *d)
{
	resets++;
}

static int queue_start(struct virtio_device *d, unsigned int queue)
{
	prove(queue < dev.queue_count && layout_ok &&
		      dev.queue[queue].size <= dev.queue[queue].max_size,
	      "a queue with a valid layout");
	starts++;
	return ANY(int);
}

static void queue_stop(struct virtio_device *d, unsigned int queue)
{
	prove(queue < dev.queue_count, "a queue that exists");
	stops++;
}

static void write_config_space(struct virtio_device *d, uint64_t offset, const uint8_t *data,
			       unsigned int len)
{
	prove(before.status & VIRTIO_CONFIG_S_FEATURES_OK && len && offset <= REGPAGE_CONFIG &&
		      len <= REGPAGE_CONFIG - offset && __CPROVER_r_ok(data, len),
	      "bytes of the configuration space");
}

static const struct virtio_ops ops = {
	.activate = activate,
	.reset = reset,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.write_config = write_config_space,
};

/* The step that a driver may make (3.1.1). */
static bool is_step(uint32_t from, uint32_t to)
{
	return (from == 0 && to == 1) || (from == 1 && to == 3) || (from == 3 && to == 11) ||
	       (from == 11 && to == 15) || to == (from | VIRTIO_CONFIG_S_FAILED) || to == from;
}

static bool same_layout(const struct virtio_queue *a, const struct virtio_queue *b)
{
	return a->size == b->size && a->desc == b->desc && a->avail == b->avail &&
	       a->used == b->used;
}

static void queue_after(const struct virtio_queue *was, const struct virtio_queue *q)
{
	bool running = before.status & VIRTIO_CONFIG_S_DRIVER_OK;

	prove(q->max_size == was->max_size && q->kick_fd == was->kick_fd, "what the device set");
	if (resets || stops)
		return;
	if (was->ready || (running && !was->was_reset))
		prove(same_layout(was, q), "the layout of a queue in use stays");
	if (q->ready && !was->ready)
		prove(layout_ok && q->size <= q->max_size, "ready only with a valid layout");
	if (running && !was->was_reset)
		prove(q->ready == was->ready, "and it stays ready");
}

int main(void)
{
	uint64_t offset = ANY(uint64_t);
	unsigned int len = ANY(unsigned int);
	uint8_t data[8], copy[8];

	dev = ANY(struct virtio_device);
	m = ANY(struct virtio_mmio);
	__CPROVER_havoc_object(&page);
	dev.queue_count = ANY(bool) ? 1 : QUEUES;
	dev.regpage = &page;
	dev.ops = &ops;
	dev.mem = &mem;
	m.dev = &dev;
	m.wanted = 0;
	layout_ok = ANY(bool);
	/* What the steps lead to: all states that a driver can be in. */
	assume(dev.status == 0 || dev.status == 1 || dev.status == 3 || dev.status == 11 ||
	       dev.status == 15 || dev.status & VIRTIO_CONFIG_S_FAILED);
	assume(len >= 1 && len <= 8);
	before = dev;

	memcpy(copy, data, sizeof(copy));
	virtio_mmio_write(&m, offset, data, len);

	prove(resets ? dev.status == 0 : is_step(before.status, dev.status), "a step of 3.1.1");
	prove(activations == (before.status == 11 && dev.status == 15), "activated at this step");
	if (!resets && before.status & VIRTIO_CONFIG_S_FEATURES_OK)
		prove(dev.accepted == before.accepted, "features are final");
	if (before.status == 3 && dev.status == 11)
		prove(!(dev.accepted & ~dev.offered) && dev.accepted >> 32 & 1 &&
			      !m.accepted_beyond,
		      "features that were offered, VERSION_1 among them");
	if (len != 4 && offset < VIRTIO_MMIO_CONFIG)
		prove(dev.status == before.status && !resets && !kicks && !starts && !stops &&
			      same_layout(&dev.queue[0], &before.queue[0]),
		      "a write of another size is ignored");
	prove(!starts || (before.status & VIRTIO_CONFIG_S_DRIVER_OK),
	      "a queue starts behind DRIVER_OK");
	prove(resets + stops + starts + kicks + activations <= 1, "one action");
	for (unsigned int i = 0; i < QUEUES; i++)
		queue_after(&before.queue[i], &dev.queue[i]);
	prove(memcmp(copy, data, sizeof(copy)) == 0, "the written value stays");
}
