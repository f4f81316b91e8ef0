/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arch: the contract between the common monitor and the code of one architecture
 * (vmm/arch/<name>/). Called from the main thread during set-up, unless it says otherwise.
 * Every function that can fail returns 0 or -errno.
 */
#ifndef VMM_ARCH_H
#define VMM_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/hostmem.h"
#include "vmm/bus.h"
#include "vmm/devlist.h"

struct bootread;
struct kvm_run;

#define ARCH_MAX_RAM_RANGES 2

struct arch_ram_range {
	uint64_t gpa;
	uint64_t size;
};

/* Where `size` bytes of RAM (a multiple of the page size) sit in guest physical space, around the
 * hole kept for MMIO. Returns the number of ranges. */
unsigned int arch_ram_layout(uint64_t size, struct arch_ram_range range[ARCH_MAX_RAM_RANGES]);

/* Lay out the machine's devices, with a serial port or without, and with `disks` disks; those that
 * can be told of in this way. -ENOSPC: too many disks. -EOPNOTSUPP: no kernel is told so here. */
int arch_devices(struct devlist *list, enum description description, bool serial,
		 unsigned int disks);

/* Puts the model of a device that is the architecture's own (everything but serial ports and
 * disks) on its bus. `ender` must outlive the bus. -ENODEV: `desc` is not such a device. */
int arch_device_create(const struct dev_desc *desc, struct bus *pio, struct bus *mmio,
		       struct vm_exit *vm_exit);

/* The parts of the default kernel command line that describe this architecture's machine; with
 * and without a console. */
const char *arch_default_cmdline(bool console);

/* Append to the string in buf where disks are, for kernels that can only find them on their command
 * line; nothing where a device tree says it. -E2BIG when it does not fit in `size` bytes. */
int arch_cmdline_disks(const struct devlist *list, char *buf, size_t size);

/* Everything a boot is made of. The files are the caller's and are only read. */
struct arch_boot_config {
	int kernel_fd;
	int initrd_fd;	     /* -1: none */
	const char *cmdline; /* whole and final */
	uint64_t ram_size;
	unsigned int cpus;
	const struct hostmem *mem;
	const struct devlist *devices;
	struct bootread *read; /* what is large is added to it, for the caller to have it read */
};

/* Which part of the configuration made a boot impossible, and why in words for the user. */
enum arch_boot_part { BOOT_KERNEL, BOOT_INITRD, BOOT_CMDLINE };

struct arch_boot_error {
	enum arch_boot_part part;
	const char *why; /* static string */
	uint64_t memory; /* with this much RAM it would fit; 0: unknown, or no size would do */
	/* With -E2BIG of BOOT_CMDLINE: how many characters it has, and how many it may have. */
	uint64_t size;
	uint64_t limit;
};

/* How the first vCPU enters the kernel. */
struct arch_boot;

/*
 * Load kernel, initrd, command line and the description of the machine into guest RAM; what is large,
 * when config->read is done. Nothing in the files is trusted; nothing outside guest RAM is touched. On
 * error *error is filled.
 * *boot is allocated and the caller's: free().
 */
int arch_boot_load(const struct arch_boot_config *config, struct arch_boot **boot,
		   struct arch_boot_error *error);

/* The device tree as it is in guest RAM, once arch_vm_finish is done; it stays where it is.
 * -EOPNOTSUPP: the machine is described in another way. */
int arch_boot_tree(const struct arch_boot *boot, const void **tree, size_t *size);

/* What KVM_CREATE_VM wants to be told, for that much RAM. -E2BIG: more than a VM can have here. */
int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type);

/* Does a guest that reads memory as it reads devices, past the caches, find there what we have written? */
bool arch_device_reads_coherent(int kvm_fd);

/* Creates what the VM needs before its first vCPU, as reserved addresses and, on x86, interrupt
 * controllers and timers. */
int arch_vm_setup(int kvm_fd, int vm_fd);

/* And what it needs after its last one and before interrupts are wired to eventfds: on arm64 the
 * interrupt controller. *boot is changed where the kernel has to be told which one there is. */
int arch_vm_finish(int vm_fd, struct arch_boot *boot);

/* Makes vCPU `index` of `cpus` ready for its first KVM_RUN; number 0 enters the kernel, the others
 * wait until it starts them. */
int arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		    const struct arch_boot *boot);

/*
 * vCPU thread: the exits only this architecture has (on x86: KVM_EXIT_IO). True when handled.
 */
bool arch_vcpu_exit(struct kvm_run *run, const struct bus *pio, struct vm_exit *vm_exit);

/* vCPU thread: it has not run for a while that its guest is not to blame for (on x86: kvm-clock says
 * so, and no watchdog of the guest's barks). */
void arch_vcpu_resumed(int vcpu_fd);

#endif
