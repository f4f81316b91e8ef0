/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VM and vCPU set-up for KVM on aarch64, and PSCI exits.
 *
 * Documentation/virt/kvm/api.rst describes the interfaces.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

/* The kernel headers of Debian 12 do not define this capability. */
#ifndef KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED
#define KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED 243
#endif

#define IPA_BITS_DEFAULT 40 /* VM type 0, the only type without KVM_CAP_ARM_VM_IPA_SIZE */
#define IPA_BITS_MIN	 32
#define MPIDR_AFFINITY	 0xff00ffffffull

#define CORE_REG(name)                                         \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 offsetof(struct kvm_regs, name) / sizeof(uint32_t))
#define REG_MPIDR ARM64_SYS_REG(3, 0, 0, 0, 5)

/* Choose the smallest IPA size that covers the RAM: fewer bits make stage-2 page table walks
 * shorter. */
int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type)
{
	int bits = 64 - __builtin_clzll(LAYOUT_RAM + ram_size - 1);
	int limit = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	*type = 0;
	if (limit <= 0)
		return bits > IPA_BITS_DEFAULT ? -E2BIG : 0;
	if (bits > limit)
		return -E2BIG;
	*type = KVM_VM_TYPE_ARM_IPA_SIZE((unsigned int)(bits < IPA_BITS_MIN ? IPA_BITS_MIN : bits));
	return 0;
}

/*
 * Returns whether a guest that maps memory as device memory reads the VMM's writes there. Such
 * reads bypass the caches that hold the VMM's writes, unless KVM maps all guest memory as
 * cacheable, which needs a processor with FEAT_S2FWB. Linux reports FEAT_S2FWB to the VMM since
 * 6.17, but only by a capability that also requires another feature.
 */
bool arch_device_reads_coherent(int kvm_fd)
{
	return ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED) > 0;
}

int arch_vm_setup(int kvm_fd, int vm_fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	(void)kvm_fd;
	/*
	 * With this capability, an MMIO access without syndrome information is an exit that the VMM
	 * handles as a guest crash, instead of an error of KVM_RUN. Older hosts lack the
	 * capability.
	 */
	ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
	return 0;
}

static int set_reg(int vcpu_fd, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

/* Verify that the vCPU's MPIDR_EL1 is the one in the device tree, which was written before the vCPU
 * existed. Returns 0, -EPROTO if they differ, or another -errno. */
static int check_affinity(int vcpu_fd, unsigned int index)
{
	uint64_t mpidr;
	struct kvm_one_reg reg = { .id = REG_MPIDR, .addr = (uintptr_t)&mpidr };

	if (ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) < 0)
		return -errno;
	return (mpidr & MPIDR_AFFINITY) == vcpu_affinity(index) ? 0 : -EPROTO;
}

/* Enable optional vCPU features that the host supports. */
static void offer_features(int kvm_fd, struct kvm_vcpu_init *init)
{
	/* KVM requires that both kinds of pointer authentication are enabled, or none. */
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0)
		init->features[0] |=
			1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
}

int arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		    bool snapshots, const struct arch_boot *boot)
{
	struct kvm_vcpu_init init = { 0 };
	int err;

	(void)cpus;
	(void)snapshots;
	if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return -errno;
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (index != 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF; /* off until PSCI CPU_ON */
	offer_features(kvm_fd, &init);
	if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return -errno;
	err = check_affinity(vcpu_fd, index);
	if (err || index != 0)
		return err;
	/* All other state is that after a reset: EL1, interrupts masked, MMU off, registers 0. */
	err = set_reg(vcpu_fd, CORE_REG(regs.pc), boot->entry);
	if (!err)
		err = set_reg(vcpu_fd, CORE_REG(regs.regs[0]), boot->tree);
	return err;
}

bool arch_vcpu_exit(struct kvm_run *run, const struct bus *pio, struct vm_exit *vm_exit)
{
	(void)pio;
	if (run->exit_reason != KVM_EXIT_SYSTEM_EVENT)
		return false;
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_exit->end(vm_exit, VM_END_POWEROFF);
		return true;
	case KVM_SYSTEM_EVENT_RESET:
		vm_exit->end(vm_exit, VM_END_REBOOT);
		return true;
	}
	return false;
}

bool arch_vcpu_pc(int vcpu_fd, uint64_t *pc)
{
	struct kvm_one_reg reg = { .id = CORE_REG(regs.pc), .addr = (uintptr_t)pc };

	return ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) == 0;
}

/* The function does nothing: the guest is not offered KVM's steal time, so it has no interface to
 * learn of the pause. */
void arch_vcpu_resumed(int vcpu_fd)
{
	(void)vcpu_fd;
}
