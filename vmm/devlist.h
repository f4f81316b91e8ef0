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
	DEV_I8042_RESET,  /* i8042 keyboard controller, reset line only */
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
#define DEVLIST_MAX	  (DEVLIST_MAX_DISKS + 5)

struct devlist {
	enum description description; /* already resolved: never DESCRIBE_DEFAULT */
	unsigned int count;
	struct dev_desc dev[DEVLIST_MAX];
};

/* Reason why the VM ended; the first one reported counts. main.c maps it to the exit code. */
enum vm_end {
	VM_RUNNING = 0,
	VM_END_POWEROFF,
	VM_END_REBOOT,
	VM_END_PANIC, /* the guest reported a panic by pvpanic */
	VM_END_CRASH, /* triple fault, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY */
	VM_END_QUIT,  /* requested by the user or a signal */
	VM_END_ERROR, /* the VMM cannot continue */
};

/* Callback by which devices and vCPUs end the VM. end() may be called from any thread and returns
 * at once: vCPUs stop when they see `why` set. */
struct vm_exit {
	void (*end)(struct vm_exit *vm_exit, enum vm_end why);
	uint32_t why; /* enum vm_end; atomic; set once */
};

/*
 * Appends " virtio_mmio.device=<size>@<base>:<gsi>" for each disk to the string in buf, for kernels
 * that find virtio-mmio on their command line. -E2BIG: the result does not fit in `size` bytes.
 */
int devlist_cmdline(const struct devlist *list, char *buf, size_t size);

#endif
