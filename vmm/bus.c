/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

#include "dataplane/base.h"

int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *dev)
{
	uint64_t end;

	if (!size || !add_u64(base, size, &end))
		return -EINVAL;
	for (unsigned int i = 0; i < bus->count; i++) {
		const struct bus_slot *other = &bus->slot[i];

		if (base < other->base + other->size && other->base < end)
			return -EEXIST;
	}
	if (bus->count == BUS_MAX)
		return -ENOSPC;
	bus->slot[bus->count++] = (struct bus_slot){
		.base = base,
		.size = size,
		.ops = ops,
		.dev = dev,
	};
	return 0;
}

/* A linear search suffices: a machine has about twenty devices, and none of them is on the data
 * path. */
unsigned int bus_slot_of(const struct bus *bus, uint64_t addr, unsigned int len)
{
	for (unsigned int i = 0; i < bus->count; i++) {
		const struct bus_slot *slot = &bus->slot[i];

		if (addr >= slot->base && range_inside(addr - slot->base, len, slot->size))
			return i;
	}
	return BUS_MAX;
}

void bus_read(const struct bus *bus, uint64_t addr, uint8_t *data, unsigned int len)
{
	unsigned int i = bus_slot_of(bus, addr, len);

	if (i < BUS_MAX)
		bus->slot[i].ops->read(bus->slot[i].dev, addr - bus->slot[i].base, data, len);
	else
		memset(data, 0xff, len);
}

void bus_write(const struct bus *bus, uint64_t addr, const uint8_t *data, unsigned int len)
{
	unsigned int i = bus_slot_of(bus, addr, len);

	if (i < BUS_MAX)
		bus->slot[i].ops->write(bus->slot[i].dev, addr - bus->slot[i].base, data, len);
}
