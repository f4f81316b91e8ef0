/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig: a test fixture of mock driver, dataplane thread, blkplane and I/O engine.
 *
 * A test may change `config` between rig_init and rig_start. A failure fails the test.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <pthread.h>

#include "dataplane/blkplane.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/scripted.h"

#define RIG_CAPACITY (1u << 20)
#define RIG_ID	     "mock-disk-0123456789" /* 20 bytes, without a terminating 0 */

struct rig {
	struct mockdrv m;
	struct irqline irq;
	uint32_t irq_status; /* InterruptStatus */
	uint32_t status;     /* device status */
	struct blkplane_stats stats;
	struct blkplane_config config;
	struct blkplane *plane;
	struct iothread *thread;
	struct ioengine *engine;
	bool has_image;
	struct test_image image;
};

/* Longest busy-polling time, in nanoseconds, of dataplane threads created from now on. */
extern uint64_t rig_poll_ns;

/* Creates a rig with the scripted engine, which takes up to `depth` tasks, and a split ring of
 * `size` descriptors. */
void rig_init(struct rig *r, uint16_t size, bool event_idx, bool indirect, unsigned int depth);

/* Creates a rig with a real engine, a new image of RIG_CAPACITY bytes, and a split ring of `size`
 * descriptors. */
void rig_init_file(struct rig *r, const struct ioengine_ops *ops, uint16_t size, bool direct);

/* Starts the blkplane on the ring of the mock driver. */
void rig_start(struct rig *r);
void rig_stop(struct rig *r);

/* Calls rig_stop. For pthread_create and rig_call_from. */
void *rig_stop_main(void *rig);

/* Starts a thread that runs fn(r), which makes a call to the dataplane thread. Returns when the
 * dataplane thread has run this call, whether or not it has answered it. */
pthread_t rig_call_from(struct rig *r, void *(*fn)(void *rig));

/* Stops the blkplane and frees everything. */
void rig_fini(struct rig *r);

/* Returns the device status register. */
uint32_t rig_device_status(const struct rig *r);

/* Waits until the queue is broken, and checks that the driver gets a configuration interrupt. */
void rig_wait_broken(struct rig *r);
bool rig_is_broken(const struct rig *r);

/* Fills the counter of irq_fd. A thread that raises an interrupt then blocks until the test reads
 * irq_fd by mock_irqs. */
void rig_block_irq(struct rig *r);

#endif
