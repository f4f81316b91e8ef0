/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posted: writes to device registers that need not be heeded at once. KVM keeps them in a ring (Linux:
 * Documentation/virt/kvm/api.rst, KVM_REGISTER_COALESCED_MMIO), the guest goes on, and they are done
 * before the next exit to user space, of whichever vCPU, is looked at: no later exit overtakes them.
 * When the ring is full, a write is an exit, which empties it. Doorbells are none, nor are reads of registers
 * as memory, so nothing may be posted that one of these needs. A vCPU that was kicked is through with what it posted before it waits at the
 * gate; what is posted when the VM ends, nobody misses.
 *
 * There is one ring in a VM, and a mapping of it in each vCPU's run area. All vCPUs fill it, KVM sees to
 * that; who comes out of the guest first empties it.
 */
#ifndef VMM_POSTED_H
#define VMM_POSTED_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"

struct kvm_coalesced_mmio_ring;

struct coalesced_mmio {
	struct kvm_coalesced_mmio_ring *ring; /* NULL: this host has none */
	uint32_t entries;
	pthread_mutex_t *
		lock; /* the VM's: one vCPU at a time takes entries. A device's own comes after it */
};

/* How many entries a ring of `size` bytes has. */
uint32_t coalesced_mmio_entries(size_t size);

/* vCPU threads: do the writes that are in the ring now; what others add meanwhile is left to them. */
void coalesced_mmio_flush(const struct coalesced_mmio *coalesced_mmio, const struct bus *mmio);

#endif
