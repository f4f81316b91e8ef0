/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "vmm/arch.h"
#include "vmm/arch/aarch64/layout.h"

unsigned int arch_ram_layout(uint64_t size, struct arch_ram_range range[ARCH_MAX_RAM_RANGES])
{
	range[0] = (struct arch_ram_range){ LAYOUT_RAM, size };
	return 1;
}

/* No device of this list ends the VM: the guest uses PSCI for that, which KVM implements. */
int arch_devices(struct devlist *list, enum description description, bool serial,
		 unsigned int disks)
{
	if (description == DESCRIBE_ACPI)
		return -EOPNOTSUPP;
	if (disks > DEVLIST_MAX_DISKS)
		return -ENOSPC;
	list->description = DESCRIBE_FDT;
	list->count = 0;
	if (serial)
		list->dev[list->count++] =
			(struct dev_desc){ DEV_SERIAL, false, LAYOUT_SERIAL, LAYOUT_SERIAL_SIZE,
					   LAYOUT_SERIAL_GSI };
	for (unsigned int i = 0; i < disks; i++)
		list->dev[list->count++] =
			(struct dev_desc){ DEV_VIRTIO_BLK, false,
					   LAYOUT_VIRTIO + i * LAYOUT_VIRTIO_SIZE,
					   LAYOUT_VIRTIO_SIZE, LAYOUT_VIRTIO_GSI + i };
	return 0;
}

int arch_exit_port(struct devlist *list, uint16_t port)
{
	list->dev[list->count++] =
		(struct dev_desc){ DEV_EXIT_PORT, false, LAYOUT_EXIT_PORTS + port,
				   DEV_EXIT_PORT_SIZE, DEV_NO_GSI };
	return 0;
}

_Static_assert(LAYOUT_VIRTIO_GSI + DEVLIST_MAX_DISKS <= LAYOUT_GIC_IDS - 32, "one GSI per disk");

int arch_device_create(const struct dev_desc *desc, struct bus *pio, struct bus *mmio,
		       struct vm_exit *vm_exit)
{
	(void)desc;
	(void)pio;
	(void)mmio;
	(void)vm_exit;
	return -ENODEV;
}

/* Without a console the kernel's messages are suppressed, because nothing would show them. */
const char *arch_default_cmdline(bool console)
{
	return console ? "console=ttyS0 panic=-1" : "panic=-1 quiet loglevel=1 8250.nr_uarts=0";
}

/* The function appends nothing, because the device tree describes the disks. */
int arch_cmdline_disks(const struct devlist *list, char *buf, size_t size)
{
	(void)list;
	(void)buf;
	(void)size;
	return 0;
}
