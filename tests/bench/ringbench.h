/* SPDX-License-Identifier: BSD-3-Clause */
/* ringbench: a driver as fast as it can be, and an engine that has nothing to do. */
#ifndef TESTS_RINGBENCH_H
#define TESTS_RINGBENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostmem.h"
#include "dataplane/ioengine.h"
#include "dataplane/vring.h"

#define RING_SIZE 256u

/* A queue's memory, seen by driver and device alike: ring, headers, status bytes, data. */
struct driver {
	struct vring_config ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx, used_idx;
	unsigned int slots;	/* requests there can be at once */
	unsigned int per_slot;	/* descriptors of one */
	uint64_t seed, sectors; /* where reads go to, by 4 KiB */
	struct virtio_blk_outhdr *header;
};

#define DRIVER_BYTES (4ull << 20)

/* Lays everything out in zeroed memory of DRIVER_BYTES at `base`, which the device knows as `gpa`. */
void driver_init(struct driver *d, void *base, uint64_t gpa, bool indirect, uint64_t disk_bytes);

/* Request number `slot` goes into the next avail entry, with a new sector. */
void driver_stage(struct driver *d, unsigned int slot);
/* The device may see all that was staged. Does it want a kick? */
bool driver_show(struct driver *d);
/* The slot of the next finished request; -1: there is none. */
int driver_take(struct driver *d);

/* Finishes everything at once, successfully. */
extern const struct ioengine_ops ioengine_null;

#endif
