/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm: KVM VM descriptor, capabilities, memory slots, ioeventfds and irqfds.
 *
 * The main thread calls these functions during set-up and tear-down. Functions return 0 or -errno.
 */
#ifndef VMM_KVM_VM_H
#define VMM_KVM_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostmem.h"

struct vm {
	int kvm_fd;		       /* /dev/kvm */
	int fd;			       /* the VM */
	unsigned int cpus_recommended; /* KVM_CAP_NR_VCPUS */
	unsigned int cpus_max;	       /* KVM_CAP_MAX_VCPUS */
	unsigned int run_size;	       /* bytes of each vCPU's struct kvm_run mapping */
	bool doorbell_any_length;      /* KVM_CAP_IOEVENTFD_ANY_LENGTH */
	bool windows;		       /* vm_map_readonly is supported */
	/* Page of the coalesced MMIO ring in a vCPU's run area; 0: KVM has no ring. */
	unsigned int coalesced_mmio_page;
	pthread_mutex_t coalesced_mmio_lock; /* see struct coalesced_mmio */
};

/* Opens /dev/kvm, checks its capabilities and creates a VM for `ram_size` bytes of RAM. On error
 * *why is a static string that names the missing feature, or NULL if the error number suffices.
 * -E2BIG: more RAM than KVM can give a VM. */
int vm_create(struct vm *vm, uint64_t ram_size, const char **why);
void vm_destroy(struct vm *vm);

/* Maps every region of `mem` into the guest. */
int vm_map_memory(struct vm *vm, const struct hostmem *mem);

/*
 * Maps a region that the guest reads as memory and cannot write (KVM_MEM_READONLY): a write is
 * handled like one to unmapped memory, that is, by an exit, an ioeventfd or the coalesced MMIO
 * ring. Slot `number`, counted from 0, follows those of the regions of `mem`. Only if vm->windows
 * is true. The caller maps these regions before it registers ioeventfds, coalesced MMIO or irqfds:
 * once a device is on KVM's bus, each new memory slot waits for readers of the old tables (some 5
 * ms).
 */
int vm_map_readonly(struct vm *vm, const struct hostmem *mem, unsigned int number,
		    const struct hostmem_region *regpage);

/* Makes each guest write to the 32-bit register at gpa signal event_fd instead of causing an exit.
 * KVM handles this faster than vm_ioeventfd_match. */
int vm_ioeventfd(struct vm *vm, uint64_t gpa, int event_fd);

/* Makes guest writes of `value` to the 32-bit register at gpa signal event_fd instead of causing an
 * exit. */
int vm_ioeventfd_match(struct vm *vm, uint64_t gpa, uint32_t value, int event_fd);

/* Makes KVM queue guest writes to the `size` bytes at gpa instead of exiting (coalesced_mmio.h).
 * Does nothing and returns 0 if the host has no coalesced MMIO. */
int vm_coalesce_mmio(struct vm *vm, uint64_t gpa, uint32_t size);

/* Makes a write to event_fd raise an edge-triggered interrupt on line gsi. */
int vm_irqfd(struct vm *vm, uint32_t gsi, int event_fd);

#endif
