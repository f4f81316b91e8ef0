/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm: the KVM file descriptors and what hangs on them: capabilities, memory slots, doorbells and
 * interrupts. Main thread, set-up and tear-down. Functions return 0 or -errno.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostmem.h"

struct vm {
	int kvm_fd;
	int fd;
	unsigned int cpus_recommended;
	unsigned int cpus_max;
	unsigned int run_size; /* bytes of each vCPU's struct kvm_run mapping */
	bool doorbell_any_length;
	bool windows; /* the guest can have memory that it reads as a device, and can only read */
	unsigned int
		coalesced_mmio_page; /* where the ring is in a run area, in pages; 0: there is none */
	pthread_mutex_t coalesced_mmio_lock;
};

/* Open /dev/kvm, check what it can do and create a VM for that much RAM. On error *why is a static
 * string that says what is missing, or NULL when errno says it all; -E2BIG: RAM is too much. */
int vm_create(struct vm *vm, uint64_t ram_size, const char **why);
void vm_destroy(struct vm *vm);

/* Give the guest every region of `mem`. */
int vm_map_memory(struct vm *vm, const struct hostmem *mem);

/*
 * Let the guest read a region as memory that it cannot write: writes there leave the guest, or go where
 * they are sent below, as where nothing is. `number` counts from 0, beside the regions of `mem`. If
 * vm->windows; and before anything of below is done, or it takes as long as all the rest.
 */
int vm_map_readonly(struct vm *vm, const struct hostmem *mem, unsigned int number,
		    const struct hostmem_region *regpage);

/* Writes of the guest to the 32-bit register at gpa wake event_fd instead of leaving the guest: all
 * of them, which is quickest, or those of one value. */
int vm_ioeventfd(struct vm *vm, uint64_t gpa, int event_fd);
int vm_ioeventfd_match(struct vm *vm, uint64_t gpa, uint32_t value, int event_fd);

/* Writes of the guest to these registers do not leave the guest, but are posted (posted.h), if the
 * host can. */
int vm_coalesce_mmio(struct vm *vm, uint64_t gpa, uint32_t size);

/* A write to event_fd is an edge on interrupt line gsi. */
int vm_irqfd(struct vm *vm, uint32_t gsi, int event_fd);

#endif
