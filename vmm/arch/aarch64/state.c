/* SPDX-License-Identifier: BSD-3-Clause */
/* There are no snapshots on aarch64. */
#include <elf.h>
#include <errno.h>

#include "vmm/arch.h"

int arch_state_create(struct arch_state **state, int kvm_fd, int vm_fd)
{
	(void)kvm_fd;
	(void)vm_fd;
	*state = NULL;
	return -EOPNOTSUPP;
}

uint32_t arch_state_machine(void)
{
	return EM_AARCH64;
}

bool arch_state_tag(uint32_t tag)
{
	(void)tag;
	return false;
}

int arch_state_save(const struct arch_state *state, int vm_fd, const int *vcpu_fd,
		    unsigned int cpus, struct state_writer *out, const char **call)
{
	(void)state;
	(void)vm_fd;
	(void)vcpu_fd;
	(void)cpus;
	(void)out;
	*call = "";
	return -EOPNOTSUPP;
}

int arch_state_restore(int kvm_fd, int vm_fd, const int *vcpu_fd, unsigned int cpus, bool advance,
		       struct state_reader *in, const char **call)
{
	(void)advance;
	(void)kvm_fd;
	(void)vm_fd;
	(void)vcpu_fd;
	(void)cpus;
	(void)in;
	*call = "";
	return -EOPNOTSUPP;
}
