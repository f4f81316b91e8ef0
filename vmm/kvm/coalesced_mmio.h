/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * coalesced_mmio: register writes that KVM queues instead of exiting (KVM_REGISTER_COALESCED_MMIO).
 *
 * KVM stores a coalesced write in a ring (Linux: Documentation/virt/kvm/api.rst) and the guest
 * continues. Each vCPU thread empties the ring before it handles an exit of its own, so that no
 * later exit overtakes a queued write. A write that finds the ring full causes an exit, which
 * empties it.
 *
 * Doorbells (ioeventfd) and reads of the register page cause no exit and therefore do not empty the
 * ring: a register whose value matters to either must not be coalesced. A vCPU thread empties the
 * ring after a kick, before it parks for a pause. Writes still queued when the VM ends are dropped.
 *
 * A VM has one ring, which is mapped into the run area of each vCPU. KVM serialises the vCPUs that
 * fill it; the first vCPU thread that leaves the guest empties it.
 */
#ifndef VMM_KVM_COALESCED_MMIO_H
#define VMM_KVM_COALESCED_MMIO_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"

struct kvm_coalesced_mmio_ring;

struct coalesced_mmio {
	struct kvm_coalesced_mmio_ring *ring; /* NULL: this host's KVM has none */
	uint32_t entries;		      /* size of the ring */
	/* The lock of the VM under which one vCPU at a time takes entries out of the ring. A thread
	 * acquires it before any device's lock. */
	pthread_mutex_t *lock;
};

/* Returns the number of entries of a ring of `size` bytes. */
uint32_t coalesced_mmio_entries(size_t size);

/* Executes the writes that are in the ring at the time of the call, but none that other vCPUs add
 * meanwhile. vCPU threads. */
void coalesced_mmio_flush(const struct coalesced_mmio *coalesced_mmio, const struct bus *mmio);

#endif
