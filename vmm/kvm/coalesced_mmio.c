/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/coalesced_mmio.h"

#include <linux/kvm.h>

#include "dataplane/base.h"

uint32_t coalesced_mmio_entries(size_t size)
{
	return (uint32_t)((size - sizeof(struct kvm_coalesced_mmio_ring)) /
			  sizeof(struct kvm_coalesced_mmio));
}

void coalesced_mmio_flush(const struct coalesced_mmio *coalesced_mmio, const struct bus *mmio)
{
	struct kvm_coalesced_mmio_ring *ring = coalesced_mmio->ring;
	uint32_t first, last;

	if (!ring)
		return;
	/*
	 * A vCPU advances `first` only after it has done the write, so that first == last means
	 * that every write queued so far is done. `last` must be read before `first`: in the other
	 * order, `last` could wrap around to the old value of `first` in between, and pending
	 * writes would be missed. The first acquire pairs with KVM's update of `last` after it
	 * fills an entry, the second with the release below.
	 */
	last = LOAD_ACQUIRE(ring->last);
	if (LOAD_ACQUIRE(ring->first) == last)
		return;
	pthread_mutex_lock(coalesced_mmio->lock);
	/* `last` is read once, so that a vCPU that keeps writing cannot keep this thread here. */
	last = LOAD_ACQUIRE(ring->last);
	for (first = ring->first; first != last; first = (first + 1) % coalesced_mmio->entries) {
		const struct kvm_coalesced_mmio *write = &ring->coalesced_mmio[first];

		bus_write(mmio, write->phys_addr, write->data, write->len);
		STORE_RELEASE(ring->first, (first + 1) % coalesced_mmio->entries);
	}
	pthread_mutex_unlock(coalesced_mmio->lock);
}
