/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/bus.h"

#include <errno.h>
#include <stddef.h>
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

/* The slot that holds the whole access. A machine has about twenty devices and none of them is on
 * the data path, so a walk over the table will do. */
static const struct bus_slot *bus_find(const struct bus *bus, uint64_t addr, unsigned int len)
{
	for (unsigned int i = 0; i < bus->count; i++) {
		const struct bus_slot *slot = &bus->slot[i];

		if (addr >= slot->base && range_inside(addr - slot->base, len, slot->size))
			return slot;
	}
	return NULL;
}

void bus_read(const struct bus *bus, uint64_t addr, uint8_t *data, unsigned int len)
{
	const struct bus_slot *slot = bus_find(bus, addr, len);

	if (slot)
		slot->ops->read(slot->dev, addr - slot->base, data, len);
	else
		memset(data, 0xff, len);
}

void bus_write(const struct bus *bus, uint64_t addr, const uint8_t *data, unsigned int len)
{
	const struct bus_slot *slot = bus_find(bus, addr, len);

	if (slot)
		slot->ops->write(slot->dev, addr - slot->base, data, len);
}
