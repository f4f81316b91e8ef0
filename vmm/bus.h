/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus: dispatch of port I/O or MMIO accesses to device models.
 *
 * A machine has one bus for ports and one for MMIO. Each is filled before the first vCPU runs and
 * never changed afterwards, so that all vCPU threads look up devices without a lock. A device that
 * needs a lock has its own.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdint.h>

#define BUS_MAX 32

/*
 * Callbacks of a device. The bus passes only accesses that lie entirely in the device's range. len
 * is 1 to 8 bytes; a device returns 0 for a read, and ignores a write, of a size that it does not
 * support. `data` is little-endian.
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

/* Adds a device; set-up only. -EINVAL: the range is empty or wraps; -EEXIST: it overlaps another;
 * -ENOSPC: the bus is full. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *dev);

/* Returns the index of the slot that contains the whole access, or BUS_MAX if none does. */
unsigned int bus_slot_of(const struct bus *bus, uint64_t addr, unsigned int len);

/* Reads from the device at addr; all ones if no device contains the whole access. */
void bus_read(const struct bus *bus, uint64_t addr, uint8_t *data, unsigned int len);

/* Writes to the device at addr; ignored if no device contains the whole access. */
void bus_write(const struct bus *bus, uint64_t addr, const uint8_t *data, unsigned int len);

#endif
