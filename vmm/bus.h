/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus: which device answers an address. One for ports, one for MMIO.
 *
 * Filled before the first vCPU runs and never changed afterwards: look-ups take no lock and come
 * from every vCPU thread at once; a device that needs a lock has its own.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdint.h>

#define BUS_MAX 32

/*
 * An access never reaches beyond the device's range; len is 1 to 8 bytes, and need not be a size
 * the device likes: it answers 0 or ignores it then. `data` is little-endian.
 */
struct bus_ops {
	const char *name;
	void (*read)(void *dev, uint64_t offset, uint8_t *data, unsigned int len);
	void (*write)(void *dev, uint64_t offset, const uint8_t *data, unsigned int len);
};

struct bus_slot {
	uint64_t base;
	uint64_t size;
	const struct bus_ops *ops;
	void *dev;
};

struct bus {
	unsigned int count;
	struct bus_slot slot[BUS_MAX];
};

/* Set-up only. -EINVAL: empty or wraps; -EEXIST: overlaps another; -ENOSPC: bus full. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *dev);

/* The number of the slot that holds the whole access; BUS_MAX: none does. */
unsigned int bus_slot_of(const struct bus *bus, uint64_t addr, unsigned int len);

/* Where no device answers the whole access, reads give all ones and writes go nowhere. */
void bus_read(const struct bus *bus, uint64_t addr, uint8_t *data, unsigned int len);
void bus_write(const struct bus *bus, uint64_t addr, const uint8_t *data, unsigned int len);

#endif
