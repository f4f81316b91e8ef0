/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtqueue driver without overhead, for ringbench and vubench, and an engine without I/O. */
#ifndef TESTS_RINGBENCH_H
#define TESTS_RINGBENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostmem.h"
#include "dataplane/ioengine.h"
#include "dataplane/vring.h"

#define RING_SIZE 256u

/* Driver of one queue. The device sees the same memory: ring, headers, status bytes, data. */
struct driver {
	struct vring_config ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx, used_idx;
	/*
	 * Packed ring: the ring, the descriptors of a request as templates, the position in the
	 * ring, and the flags AVAIL and USED at this position.
	 */
	struct vring_packed_desc *packed;
	uint32_t *device_event, *driver_event;
	uint16_t put, put_flags, take, take_flags;
	uint16_t shown; /* avail index that the device was last notified of */
	struct vring_packed_desc *first;
	uint16_t first_flags;
	uint64_t gpa;
	unsigned int slots;    /* maximum number of requests in flight */
	unsigned int per_slot; /* descriptors per request */
	uint64_t seed;	       /* state of the generator of offsets */
	uint64_t places;       /* number of offsets on the disk, `bytes` apart */
	unsigned int bytes;    /* size of a request */
	struct virtio_blk_outhdr *header;
};

#define DRIVER_BYTES (18ull << 20)

/* Initializes the ring in zeroed memory of DRIVER_BYTES at `base`; its guest address is `gpa`. */
void driver_init(struct driver *d, void *base, uint64_t gpa, bool packed, bool indirect,
		 uint64_t disk_bytes, unsigned int bytes);

/* Prepares request number `slot` with a new sector. driver_show offers it. */
void driver_stage(struct driver *d, unsigned int slot);
/* Offers all prepared requests. Returns whether the device wants a notification. */
bool driver_show(struct driver *d);
/* Returns the slot of the next completed request, or -1. */
int driver_take(struct driver *d);

/* Disables interrupts, which driver_init leaves to the first driver_show. */
void driver_disarm(struct driver *d);
/* Sleeps until the next completion, or until another thread writes to the eventfd by which the
 * device interrupts. Returns false if there was no need to sleep. */
bool driver_sleep(struct driver *d, int fd);

/* Maps resident memory of a new memfd, whose descriptor goes to *fd. Returns NULL with errno on
 * failure. */
char *driver_memfd(size_t size, int *fd);

/* Implementations of the functions above for a packed ring (ringbench_packed.c). */
void packed_init(struct driver *d, void *base);
void packed_stage(struct driver *d, unsigned int slot);
bool packed_show(struct driver *d);
int packed_take(struct driver *d);
bool packed_arm(struct driver *d);
void packed_disarm(struct driver *d);

/* Offsets in the memory of a driver. */
#define DATA_BYTES 65536u /* largest request */
#define AT_DESC	   0x0000u
#define AT_AVAIL   0x2000u
#define AT_USED	   0x4000u
#define AT_HEADERS 0x8000u
#define AT_STATUS  0xc000u
#define AT_TABLES  0x10000u
#define AT_DATA	   0x20000u

/* Engine that completes each request successfully, without I/O. */
extern const struct ioengine_ops ioengine_null;

#endif
