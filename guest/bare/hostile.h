/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hostile guest's tests share: the disk under attack, and how an attack begins and ends. */
#ifndef BARE_HOSTILE_H
#define BARE_HOSTILE_H

#include "guest/bare/virtio.h"

extern struct device d;

/* packed=1 on the command line: the attacks are made in a packed ring, as far as they can be. */
uint64_t format(void); /* RING_PACKED or 0; after device_find */
void split_only(void); /* skips the test if so */

/* The first disk, started with an empty ring of that format. */
void begin(uint16_t size, uint64_t features);
/* What was offered breaks the queue and is served no more; then the device can be had back. */
void check_broken(void);
/* A read of sector 0, not yet in a ring. */
struct request request(uint32_t len);
struct vring_desc *desc(unsigned int i);
/* An entry of an indirect table, in the ring's format. */
void table_set(struct vring_desc *table, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next);
/* How many used elements there are to take. */
unsigned int used_count(void);
/*
 * Eight writes of 64 KiB, for who then ends in another way than by power-off; chosen by end= on the
 * command line. The host sees an orderly end with an exit code of its own, and no part of a write
 * that is not whole sectors.
 */
void writes_in_flight(void);

#endif
