/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arch: interface between the portable VMM and one architecture (vmm/arch/<name>/).
 *
 * The main thread calls these functions during set-up, unless a comment names another thread.
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
#include "vmm/vm_exit.h"

struct bootread;
struct kvm_run;
struct state_reader;
struct state_writer;

#define ARCH_MAX_RAM_RANGES 2

struct arch_ram_range {
	uint64_t gpa;
	uint64_t size;
};

/* Splits `size` bytes of RAM (a multiple of the page size) into guest physical ranges around the
 * MMIO hole. Returns the number of ranges. */
unsigned int arch_ram_layout(uint64_t size, struct arch_ram_range range[ARCH_MAX_RAM_RANGES]);

/*
 * Fills the list with the machine's devices: a serial port if `serial`, `disks` disks, and those
 * devices of the architecture that `description` can express. -ENOSPC: too many disks.
 * -EOPNOTSUPP: this architecture does not support the description.
 */
int arch_devices(struct devlist *list, enum description description, bool serial,
		 unsigned int disks);

/* Adds the register of --exit-port to the list: I/O port `port`, where the machine has ports, and
 * the address at that offset in an MMIO range reserved for it. Returns 0; -EADDRINUSE: another
 * device has the port. */
int arch_exit_port(struct devlist *list, uint16_t port);

/* Creates the model of an architecture-specific device (any but serial ports, disks and the exit
 * port) and adds it to its bus. `vm_exit` must outlive the bus. -ENODEV: `desc` is not such a
 * device. */
int arch_device_create(const struct dev_desc *desc, struct bus *pio, struct bus *mmio,
		       struct vm_exit *vm_exit);

/* Returns the architecture-specific part of the default kernel command line (a static string), for
 * a machine with or without a console. */
const char *arch_default_cmdline(bool console);

/* Appends the disks' addresses to the string in buf, for kernels that can find virtio-mmio only on
 * their command line. Appends nothing if a device tree describes the disks. -E2BIG: the result does
 * not fit in `size` bytes. */
int arch_cmdline_disks(const struct devlist *list, char *buf, size_t size);

/* Input of arch_boot_load. The caller keeps ownership of the files, which are only read. */
struct arch_boot_config {
	int kernel_fd;
	int initrd_fd;	     /* -1: none */
	const char *cmdline; /* the complete kernel command line */
	uint64_t ram_size;
	unsigned int cpus;
	const struct hostmem *mem;
	const struct devlist *devices;
	struct bootread *read; /* queue for the reads of large parts, which the caller executes */
};

/* The part of the configuration that made a boot impossible. */
enum arch_boot_part { BOOT_KERNEL, BOOT_INITRD, BOOT_CMDLINE };

/* Filled when arch_boot_load fails. `size` and `limit` are set only for -E2BIG of BOOT_CMDLINE. */
struct arch_boot_error {
	enum arch_boot_part part;
	const char *why; /* message for the user; a static string */
	uint64_t memory; /* bytes of RAM that would suffice; 0: unknown, or no size is enough */
	uint64_t size;	 /* length of the command line */
	uint64_t limit;	 /* longest command line that the kernel accepts */
};

/* Entry state of the first vCPU; defined by the architecture. */
struct arch_boot;

/*
 * Loads kernel, initrd, command line and machine description into guest RAM. The reads of large
 * parts are only queued in config->read; the caller has to execute them afterwards. The function
 * trusts nothing in the files and writes nothing outside guest RAM. The caller releases *boot with
 * free(). On error *error is filled.
 */
int arch_boot_load(const struct arch_boot_config *config, struct arch_boot **boot,
		   struct arch_boot_error *error);

/* Sets *tree and *size to the device tree in guest RAM, which stays there; it is complete only
 * after arch_vm_finish. -EOPNOTSUPP: the machine is not described by a device tree. */
int arch_boot_tree(const struct arch_boot *boot, const void **tree, size_t *size);

/* Sets *type to the machine type argument of KVM_CREATE_VM for a guest with `ram_size` bytes of
 * RAM. -E2BIG: this host's KVM cannot give a VM that much. */
int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type);

/* Returns true if a guest that reads RAM through a device (uncached) mapping sees the data that the
 * VMM wrote through its cached mapping. */
bool arch_device_reads_coherent(int kvm_fd);

/* Does the set-up that KVM requires before the first vCPU is created: reserved addresses and, on
 * x86, interrupt controllers and timers. */
int arch_vm_setup(int kvm_fd, int vm_fd);

/* Does the set-up that KVM requires after the last vCPU is created and before irqfds are
 * registered: on arm64 the interrupt controller, whose version the function also writes to *boot's
 * device tree. */
int arch_vm_finish(int vm_fd, struct arch_boot *boot);

/* Prepares vCPU `index` of `cpus` for its first KVM_RUN. vCPU 0 enters the kernel; the others wait
 * until the guest starts them. With `snapshots`, the guest gets no feature of KVM that a snapshot
 * cannot save. */
int arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		    bool snapshots, const struct arch_boot *boot);

/* Handles the exits that only this architecture has (on x86: KVM_EXIT_IO). vCPU thread. Returns
 * true if the exit was handled. */
bool arch_vcpu_exit(struct kvm_run *run, const struct bus *pio, struct vm_exit *vm_exit);

/* Sets *pc to the address of the instruction at which the vCPU has stopped; vCPU thread. Returns
 * false if KVM does not know it. */
bool arch_vcpu_pc(int vcpu_fd, uint64_t *pc);

/* Tells the guest that its vCPU was paused by the host, so that its watchdogs do not report a
 * lockup (on x86: KVM_KVMCLOCK_CTRL). vCPU thread. */
void arch_vcpu_resumed(int vcpu_fd);

/* ---- snapshots ---- */

/* What has to be found out about KVM while /dev/kvm is open, to save the state later. */
struct arch_state;

/* Creates *state, which the caller releases with free(). -EOPNOTSUPP: this architecture has no
 * snapshots. */
int arch_state_create(struct arch_state **state, int kvm_fd, int vm_fd);

/* Returns the number of the architecture in a state file (EM_*). */
uint32_t arch_state_machine(void);

/* Returns whether the architecture writes sections with this tag. */
bool arch_state_tag(uint32_t tag);

/*
 * Writes the state of all vCPUs and of the interrupt controllers. The vCPUs are paused, and have
 * completed their exits. Any thread. On error *call is the part of the state (static string), as in
 * KVM_GET_...
 */
int arch_state_save(const struct arch_state *state, int vm_fd, const int *vcpu_fd,
		    unsigned int cpus, struct state_writer *out, const char **call);

/*
 * Restores the state of vCPUs that were just created. With `advance`, the guest's clocks go on as if
 * it had run since the state was saved; otherwise they go on where they stopped. On error in->why says why; if it is empty, an
 * ioctl has failed, and *call is its part of the state, as in KVM_SET_...
 */
int arch_state_restore(int kvm_fd, int vm_fd, const int *vcpu_fd, unsigned int cpus, bool advance,
		       struct state_reader *in, const char **call);

#endif
