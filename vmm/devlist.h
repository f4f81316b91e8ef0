/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * devlist: list of the machine's devices with their addresses and interrupts.
 *
 * The architecture fills the list (arch_devices) and machine/devices.c builds one device model per
 * entry. ACPI tables, the device tree and virtio_mmio.device= are generated from this list.
 */
#ifndef VMM_DEVLIST_H
#define VMM_DEVLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dev_kind {
	DEV_SERIAL,	  /* 8250 */
	DEV_VIRTIO_BLK,	  /* virtio-mmio, version 2; entry n of this kind is disk n */
	DEV_ACPI_PM,	  /* ACPI sleep control, sleep status and reset registers */
	DEV_PVPANIC,	  /* pvpanic: the guest reports a panic */
	DEV_POWER_BUTTON, /* no registers; raises an interrupt when pressed */
	DEV_GENERATION,	  /* VM Generation ID, in RAM; raises an interrupt when it changes */
	DEV_I8042_RESET,  /* i8042 keyboard controller, reset line only */
	DEV_EXIT_PORT,	  /* a byte written to its first register is the VM's exit status */
};

#define DEV_NO_GSI UINT32_MAX

/* How the hardware is described to the guest. */
enum description {
	DESCRIBE_DEFAULT, /* the architecture's usual one */
	DESCRIBE_ACPI,
	DESCRIBE_FDT,
};

struct dev_desc {
	enum dev_kind kind;
	bool pio; /* true: base is an I/O port; false: a guest physical address */
	uint64_t base;
	uint32_t size; /* bytes */
	uint32_t gsi;  /* edge-triggered, active high; DEV_NO_GSI: no interrupt */
};

#define DEVLIST_MAX_DISKS 16
#define DEVLIST_MAX	  (DEVLIST_MAX_DISKS + 8)

/* Bytes that the exit port occupies: a guest may write its byte as the low one of a word. */
#define DEV_EXIT_PORT_SIZE 4u

/* Bytes of the VM Generation ID. */
#define DEV_GENERATION_SIZE 16u

struct devlist {
	enum description description; /* already resolved: never DESCRIBE_DEFAULT */
	unsigned int count;
	struct dev_desc dev[DEVLIST_MAX];
};

/*
 * Appends " virtio_mmio.device=<size>@<base>:<gsi>" for each disk to the string in buf, for kernels
 * that find virtio-mmio on their command line. -E2BIG: the result does not fit in `size` bytes.
 */
int devlist_cmdline(const struct devlist *list, char *buf, size_t size);

#endif
