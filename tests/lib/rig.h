/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig: a mock driver, a dataplane and an engine, put together. A test changes `config` between
 * rig_init and rig_start.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include "dataplane/blkplane.h"
#include "tests/lib/files.h"
#include "tests/lib/mockdrv.h"
#include "tests/lib/scripted.h"

#define RIG_CAPACITY (1u << 20)
#define RIG_ID	     "mock-disk-0123456789" /* 20 bytes: no room for a 0 */

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

/* For the rigs made from now on: how long their dataplane looks on before it sleeps. */
extern uint64_t rig_poll_ns;

/* Over the scripted engine, with room for `depth` tasks. */
void rig_init(struct rig *r, uint16_t size, bool event_idx, bool indirect, unsigned int depth);

/* Over a real engine and a fresh image of RIG_CAPACITY bytes. */
void rig_init_file(struct rig *r, const struct ioengine_ops *ops, uint16_t size, bool direct);

void rig_start(struct rig *r);
void rig_stop(struct rig *r);
/* Stops, too. */
void rig_fini(struct rig *r);

uint32_t rig_device_status(const struct rig *r);
/* Wait until the queue is broken, and see that the driver is told. */
void rig_wait_broken(struct rig *r);
bool rig_is_broken(const struct rig *r);

/* From now on, until the test has read irq_fd (mock_irqs), who raises an interrupt has to wait. */
void rig_block_irq(struct rig *r);

#endif
