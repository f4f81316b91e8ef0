/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of the KVM state that state.c delegates: MSRs with the TSC, and the check of CPUID.
 */
#ifndef VMM_ARCH_X86_64_STATE_H
#define VMM_ARCH_X86_64_STATE_H

#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/state/state.h"

#define TAG_CPUID STATE_TAG('C', 'P', 'I', 'D')
#define TAG_MSRS  STATE_TAG('M', 'S', 'R', 'S')
#define TAG_TSC	  STATE_TAG('T', 'S', 'C', ' ')

#define MSRS_MAX  512u /* entries of a section MSRS */

/* Indices of the MSRs that are saved. */
struct msr_list {
	unsigned int count;
	uint32_t index[MSRS_MAX];
};

/* Fills *list with those MSRs of KVM's list that hold state of a guest. Returns 0 or -errno. */
int msrs_find(int kvm_fd, struct msr_list *list);

/* Writes the sections MSRS and TSC of a vCPU. MSRs that cannot be read are left out. Returns 0 or
 * -errno. */
int msrs_save(int vcpu_fd, unsigned int index, const struct msr_list *list,
	      struct state_writer *out);

/*
 * Sets the MSRs of all vCPUs. Each TSC continues at the largest value that a vCPU had, so that it
 * runs backwards nowhere, and `advance_ns` nanoseconds later; all have the same offset. An MSR that
 * KVM refuses must have the saved value already. Returns 0, or -errno with in->why, which is empty
 * if the error suffices.
 */
int msrs_restore(const int *vcpu_fd, unsigned int cpus, uint64_t advance_ns,
		 struct state_reader *in);

/* Sets the saved CPUID leaves of a vCPU. Returns 0, or -errno with in->why: the host lacks a
 * feature that the guest may use. */
int cpuid_restore(int kvm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		  struct state_reader *in);

/* Return and set what is left in the buffer of the keyboard controller (platform.c). */
uint32_t platform_i8042_bytes(void);
void platform_set_i8042_bytes(uint32_t bytes);

#endif
