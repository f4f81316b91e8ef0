/* SPDX-License-Identifier: BSD-3-Clause */
/* Helpers of the hostile guest's tests: the disk under attack, and start and end of an attack. */
#ifndef BARE_HOSTILE_H
#define BARE_HOSTILE_H

#include "guest/bare/virtio.h"

extern struct device d;

/*
 * Ring format of the attacks, from packed=1 on the command line: RING_PACKED or 0. Needs
 * device_find.
 */
uint64_t format(void); /* RING_PACKED or 0; after device_find */
void split_only(void); /* skips the test with packed rings */

/* Starts the first disk with an empty ring of that format. */
void begin(uint16_t size, uint64_t features);
/*
 * Checks that the offered chain broke the queue and that it is not served; then resets the device.
 */
void check_broken(void);
/* Creates a read of sector 0, which is not in a ring yet. */
struct request request(uint32_t len);
struct vring_desc *desc(unsigned int i);
/* Sets an entry of an indirect table, in the ring's format. */
void table_set(struct vring_desc *table, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next);
/* Returns the number of used elements that are not taken yet. */
unsigned int used_count(void);
/*
 * Offers eight writes of 64 KiB, for tests that then end the VM other than by power-off, as end= on
 * the command line selects. The host observes an orderly end with its own exit code, and no write
 * of a partial sector.
 */
void writes_in_flight(void);

#endif
