/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * devlist: the machine's devices, once, as data.
 *
 * The architecture lays the list out (arch_devices); machine.c builds a device model per entry;
 * ACPI tables, the device tree and virtio_mmio.device= are ways of writing the same list down for
 * the guest.
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
	DEV_PVPANIC,	  /* the guest says that it panicked */
	DEV_POWER_BUTTON, /* no registers: an interrupt when it is pressed */
	DEV_I8042_RESET,  /* the keyboard controller, for its reset line only */
};

#define DEV_NO_GSI UINT32_MAX

/* What the guest is told of the machine by. */
enum description {
	DESCRIBE_DEFAULT, /* what the architecture's kernels usually go by */
	DESCRIBE_ACPI,
	DESCRIBE_FDT,
};

struct dev_desc {
	enum dev_kind kind;
	bool pio; /* base is a port, else a GPA */
	uint64_t base;
	uint32_t size; /* bytes */
	uint32_t gsi;  /* DEV_NO_GSI: raises no interrupt; else edge-triggered, active high */
};

#define DEVLIST_MAX_DISKS 16
#define DEVLIST_MAX	  (DEVLIST_MAX_DISKS + 5)

struct devlist {
	enum description description; /* never DESCRIBE_DEFAULT */
	unsigned int count;
	struct dev_desc dev[DEVLIST_MAX];
};

/* How a VM can end; the first one wins. main.c turns it into the exit code. */
enum vm_end {
	VM_RUNNING = 0,
	VM_END_POWEROFF,
	VM_END_REBOOT,
	VM_END_PANIC, /* pvpanic */
	VM_END_CRASH, /* triple fault, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY */
	VM_END_QUIT,  /* the user or a signal */
	VM_END_ERROR, /* the VMM cannot go on */
};

/* Handed to whatever can end the VM. end() may be called from any thread, and returns: vCPUs stop
 * when they find `why` set. */
struct vm_exit {
	void (*end)(struct vm_exit *vm_exit, enum vm_end why);
	uint32_t why; /* enum vm_end; atomic; set once */
};

/*
 * Append " virtio_mmio.device=<size>@<base>:<gsi>" for each disk to the string in buf, for kernels
 * that find virtio-mmio on their command line. -E2BIG when it does not fit in `size` bytes.
 */
int devlist_cmdline(const struct devlist *list, char *buf, size_t size);

#endif
