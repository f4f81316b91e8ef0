/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device list of the x86_64 machine, and the devices that end the VM.
 *
 * ACPI power management, pvpanic and the reset line of the keyboard controller end the VM. They
 * keep no state, except for one atomic counter, so vCPU threads may access them concurrently. The
 * `dev` of their bus entries is the struct vm_exit itself.
 */
#include <errno.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/arch.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/state.h"

/* GSIs of the disks; the first ones are PIC inputs, for kernels without ACPI. Timer and cascade (0,
 * 2), keyboard (1), serial ports (3, 4), RTC (8) and FPU (13) are left out. */
static const uint8_t disk_gsi[] = { 5, 10, 11, 12, 9, 14, 15, 6, 7, 16, 17, 18, 19, 20, 21, 22 };

_Static_assert(ARRAY_SIZE(disk_gsi) == DEVLIST_MAX_DISKS, "one GSI per disk");

unsigned int arch_ram_layout(uint64_t size, struct arch_ram_range range[ARCH_MAX_RAM_RANGES])
{
	range[0] = (struct arch_ram_range){ 0, layout_low_ram(size) };
	if (size <= LAYOUT_HOLE)
		return 1;
	range[1] = (struct arch_ram_range){ LAYOUT_4G, size - LAYOUT_HOLE };
	return 2;
}

/* Without ACPI, power-off is a register in memory, and there is no power button that a kernel would
 * recognise. */
int arch_devices(struct devlist *list, enum description description, bool serial,
		 unsigned int disks)
{
	static const struct dev_desc port = { DEV_SERIAL, true, LAYOUT_SERIAL, LAYOUT_SERIAL_SIZE,
					      LAYOUT_SERIAL_GSI };
	static const struct dev_desc fixed[] = {
		{ DEV_PVPANIC, true, LAYOUT_PVPANIC, LAYOUT_PVPANIC_SIZE, DEV_NO_GSI },
		{ DEV_I8042_RESET, true, LAYOUT_I8042, LAYOUT_I8042_SIZE, DEV_NO_GSI },
	};
	static const struct dev_desc acpi[] = {
		{ DEV_ACPI_PM, true, LAYOUT_ACPI_PM, LAYOUT_ACPI_PM_SIZE, DEV_NO_GSI },
		{ DEV_POWER_BUTTON, true, 0, 0, LAYOUT_BUTTON_GSI },
		{ DEV_GENERATION, false, LAYOUT_GENERATION, DEV_GENERATION_SIZE,
		  LAYOUT_GENERATION_GSI },
	};
	static const struct dev_desc power = { DEV_ACPI_PM, false, LAYOUT_POWER,
					       LAYOUT_ACPI_PM_SIZE, DEV_NO_GSI };

	_Static_assert(3 + ARRAY_SIZE(fixed) + ARRAY_SIZE(acpi) + DEVLIST_MAX_DISKS <= DEVLIST_MAX,
		       "list too short");
	if (disks > DEVLIST_MAX_DISKS)
		return -ENOSPC;
	list->description = description == DESCRIBE_FDT ? DESCRIBE_FDT : DESCRIBE_ACPI;
	list->count = 0;
	if (serial)
		list->dev[list->count++] = port;
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed); i++)
		list->dev[list->count++] = fixed[i];
	for (unsigned int i = 0; i < ARRAY_SIZE(acpi) && list->description == DESCRIBE_ACPI; i++)
		list->dev[list->count++] = acpi[i];
	if (list->description == DESCRIBE_FDT)
		list->dev[list->count++] = power;
	for (unsigned int i = 0; i < disks; i++)
		list->dev[list->count++] =
			(struct dev_desc){ DEV_VIRTIO_BLK, false,
					   LAYOUT_VIRTIO + i * LAYOUT_VIRTIO_SIZE,
					   LAYOUT_VIRTIO_SIZE, disk_gsi[i] };
	return 0;
}

int arch_exit_port(struct devlist *list, uint16_t port)
{
	/* Ports of the devices that KVM emulates: interrupt controllers, timer, speaker. */
	static const struct {
		uint16_t base, size;
	} in_kvm[] = { { 0x20, 2 }, { 0x40, 4 }, { 0x61, 1 }, { 0xa0, 2 }, { 0x4d0, 2 } };
	uint64_t end = port + DEV_EXIT_PORT_SIZE;
	bool taken = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(in_kvm); i++)
		taken |= port < in_kvm[i].base + in_kvm[i].size && in_kvm[i].base < end;
	for (unsigned int i = 0; i < list->count; i++)
		taken |= list->dev[i].pio && port < list->dev[i].base + list->dev[i].size &&
			 list->dev[i].base < end;
	if (taken)
		return -EADDRINUSE;
	list->dev[list->count++] =
		(struct dev_desc){ DEV_EXIT_PORT, true, port, DEV_EXIT_PORT_SIZE, DEV_NO_GSI };
	/* Debian's kernel has no /dev/port, but /dev/mem. */
	list->dev[list->count++] =
		(struct dev_desc){ DEV_EXIT_PORT, false, LAYOUT_EXIT_PORTS + port,
				   DEV_EXIT_PORT_SIZE, DEV_NO_GSI };
	return 0;
}

/*
 * Default kernel parameters.
 *
 * A panic ends the VM at once, by pvpanic or else by the reboot of panic=-1. reboot=a uses the ACPI
 * reset register, which Linux would not try by itself on hardware-reduced ACPI. No table says that
 * there is no PCI bus: without pci=off Linux probes for every PCI device, which costs 230 exits.
 *
 * Without a console the kernel's messages are suppressed, because nothing would show them, and the
 * kernel does not probe for serial ports at their standard addresses.
 */
#define DEFAULT_CMDLINE "reboot=a panic=-1 pci=off"

const char *arch_default_cmdline(bool console)
{
	return console ? "console=ttyS0 " DEFAULT_CMDLINE
		       : DEFAULT_CMDLINE " quiet loglevel=1 8250.nr_uarts=0";
}

int arch_cmdline_disks(const struct devlist *list, char *buf, size_t size)
{
	return list->description == DESCRIBE_FDT ? 0 : devlist_cmdline(list, buf, size);
}

static void end_vm(void *dev, enum vm_end why)
{
	struct vm_exit *vm_exit = dev;

	vm_exit->end(vm_exit, why);
}

static void pm_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	(void)dev;
	(void)offset;
	memset(data, 0, len); /* WAK_STS stays 0: the machine has no sleep state to wake from */
}

static void pm_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	uint8_t s5 = ACPI_SLEEP_ENABLE | ACPI_SLEEP_TYPE_S5 << ACPI_SLEEP_TYPE_SHIFT;

	if (len != 1)
		return;
	if (offset == ACPI_PM_SLEEP_CONTROL &&
	    (*data & (ACPI_SLEEP_ENABLE | ACPI_SLEEP_TYPE_MASK)) == s5)
		end_vm(dev, VM_END_POWEROFF);
	else if (offset == ACPI_PM_RESET && *data == ACPI_RESET_VALUE)
		end_vm(dev, VM_END_REBOOT);
}

#define I8042_DATA	 0 /* port 0x60 */
#define I8042_STATUS	 4 /* port 0x64 */
#define I8042_COMMAND	 4
#define I8042_STATUS_OBF 0x01 /* output buffer full: there is a byte to read */
#define I8042_PULSE	 0xfe /* pulse output line 0: reset */
#define I8042_BYTES	 512u

/*
 * Number of bytes that the keyboard controller's output buffer still delivers.
 *
 * The first I8042_BYTES reads find another byte each time: a driver that probes for the controller
 * drains it, sees no end (Linux: after 16 bytes) and concludes at once that there is no controller.
 * Afterwards the buffer is empty, because programs that poll the keyboard (memtest86+) look at the
 * serial port only when the keyboard has no data. The controller is always ready for a command, so
 * a reboot does not wait.
 */
static uint32_t i8042_bytes = I8042_BYTES; /* atomic; concurrent reads may count as one */

uint32_t platform_i8042_bytes(void)
{
	return READ_ONCE(i8042_bytes);
}

void platform_set_i8042_bytes(uint32_t bytes)
{
	WRITE_ONCE(i8042_bytes, bytes);
}

static void i8042_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	uint32_t left = READ_ONCE(i8042_bytes);

	(void)dev;
	memset(data, 0, len);
	if (offset == I8042_STATUS && left)
		*data = I8042_STATUS_OBF;
	if (offset == I8042_DATA && left)
		WRITE_ONCE(i8042_bytes, left - 1);
}

static void i8042_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	(void)len; /* COMMAND is the last port of the device, so `len` is 1 there */
	if (offset == I8042_COMMAND && *data == I8042_PULSE)
		end_vm(dev, VM_END_REBOOT);
}

#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02 /* panicked, and a crash kernel takes over */

static void pvpanic_read(void *dev, uint64_t offset, uint8_t *data, unsigned int len)
{
	(void)dev;
	(void)offset;
	memset(data, 0, len);
	*data = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *dev, uint64_t offset, const uint8_t *data, unsigned int len)
{
	(void)offset;
	(void)len;
	if (*data & PVPANIC_PANICKED)
		end_vm(dev, VM_END_PANIC);
	else if (*data & PVPANIC_CRASH_LOADED)
		log_limited("the guest panicked and continues in its crash kernel");
}

int arch_device_create(const struct dev_desc *desc, struct bus *pio, struct bus *mmio,
		       struct vm_exit *vm_exit)
{
	static const struct bus_ops pm_ops = { "ACPI PM", pm_read, pm_write };
	static const struct bus_ops i8042_ops = { "i8042", i8042_read, i8042_write };
	static const struct bus_ops pvpanic_ops = { "pvpanic", pvpanic_read, pvpanic_write };
	const struct bus_ops *ops;

	switch (desc->kind) {
	case DEV_ACPI_PM:
		ops = &pm_ops;
		break;
	case DEV_I8042_RESET:
		ops = &i8042_ops;
		break;
	case DEV_PVPANIC:
		ops = &pvpanic_ops;
		break;
	default:
		return -ENODEV;
	}
	return bus_add(desc->pio ? pio : mmio, desc->base, desc->size, ops, vm_exit);
}
