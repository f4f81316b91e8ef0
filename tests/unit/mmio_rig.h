/* SPDX-License-Identifier: BSD-3-Clause */
/* Fixture of a virtio-mmio device with one queue; the test is its driver. One device per test. */
#ifndef TESTS_MMIO_RIG_H
#define TESTS_MMIO_RIG_H

#include <linux/virtio_ids.h>

#include "tests/lib/regs.h"
#include "tests/lib/suite.h"

#define VERSION_1 BIT64(VIRTIO_F_VERSION_1)
#define QUEUE_MAX 256

static const char space[] = "0123456789"; /* configuration space: 10 bytes */
static struct mockdrv m;
static struct virtio_device dev;
static struct virtio_mmio mmio;

static inline void rig_setup(uint64_t offered, const struct virtio_ops *ops)
{
	mock_init(&m, QUEUE_MAX, false, false);
	dev = (struct virtio_device){
		.id = VIRTIO_ID_BLOCK,
		.offered = offered,
		.irq.fd = m.irq_fd,
		.mem = &m.hostmem,
		.queue_count = 1,
		.queue[0] = { .max_size = QUEUE_MAX, .kick_fd = m.kick_fd },
		.ops = ops,
	};
	reg_open(&dev, space, 10);
	virtio_mmio_init(&mmio, &dev);
}

static inline void rig_teardown(void)
{
	virtio_mmio_destroy(&mmio);
	reg_close(&dev);
	mock_fini(&m);
}

#endif
