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
	/* Packed: the ring, one descriptor of each kind a request consists of, and where we are in it,
	 * with the flags AVAIL and USED as they stand there. */
	struct vring_packed_desc *packed;
	uint32_t *device_event;
	uint16_t put, put_flags, take, take_flags;
	uint16_t shown; /* up to where the device was told */
	struct vring_packed_desc *first;
	uint16_t first_flags;
	uint64_t gpa;
	unsigned int slots;	/* requests there can be at once */
	unsigned int per_slot;	/* descriptors of one */
	uint64_t seed, sectors; /* where reads go to, by 4 KiB */
	struct virtio_blk_outhdr *header;
};

#define DRIVER_BYTES (4ull << 20)

/* Lays everything out in zeroed memory of DRIVER_BYTES at `base`, which the device knows as `gpa`. */
void driver_init(struct driver *d, void *base, uint64_t gpa, bool packed, bool indirect,
		 uint64_t disk_bytes);

/* Request number `slot` is the next to be offered, with a new sector. */
void driver_stage(struct driver *d, unsigned int slot);
/* The device may see all that was staged. Does it want a kick? */
bool driver_show(struct driver *d);
/* The slot of the next finished request; -1: there is none. */
int driver_take(struct driver *d);

/* The same of a packed ring (ringbench_packed.c). */
void packed_init(struct driver *d, void *base);
void packed_stage(struct driver *d, unsigned int slot);
bool packed_show(struct driver *d);
int packed_take(struct driver *d);

/* Where the parts of the memory are. */
#define DATA_BYTES 4096u
#define AT_DESC	   0x0000u
#define AT_AVAIL   0x2000u
#define AT_USED	   0x4000u
#define AT_HEADERS 0x8000u
#define AT_STATUS  0xc000u
#define AT_TABLES  0x10000u
#define AT_DATA	   0x20000u

/* Finishes everything at once, successfully. */
extern const struct ioengine_ops ioengine_null;

#endif
