/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VM and its processors as KVM wants them before they run, and the exits that are PSCI's.
 * Facts are from Documentation/virt/kvm/api.rst.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

/* Newer than the kernel headers of Debian 12. */
#ifndef KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED
#define KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED 243
#endif

#define IPA_BITS_DEFAULT 40 /* of hosts that cannot be asked, and of type 0 */
#define IPA_BITS_MIN	 32
#define MPIDR_AFFINITY	 0xff00ffffffull

#define CORE_REG(name)                                         \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 offsetof(struct kvm_regs, name) / sizeof(uint32_t))
#define REG_MPIDR ARM64_SYS_REG(3, 0, 0, 0, 5)

/* As few bits as will do: the fewer, the shorter are walks of the second stage's tables. */
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
 * A guest's device memory bypasses the caches that hold what we wrote, unless KVM makes all its memory
 * cached, which takes a processor that can (FEAT_S2FWB). Linux tells of that, together with another
 * feature, since 6.17.
 */
bool arch_device_reads_coherent(int kvm_fd)
{
	return ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED) > 0;
}

int arch_vm_setup(int kvm_fd, int vm_fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	(void)kvm_fd;
	/* Accesses that the processor does not describe are then an exit: a crash of the guest, and
	 * not a KVM_RUN that fails. Older hosts have only the latter. */
	ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
	return 0;
}

static int set_reg(int vcpu_fd, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

/* The tree was written before there was a vCPU to ask. */
static int check_affinity(int vcpu_fd, unsigned int index)
{
	uint64_t mpidr;
	struct kvm_one_reg reg = { .id = REG_MPIDR, .addr = (uintptr_t)&mpidr };

	if (ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg) < 0)
		return -errno;
	return (mpidr & MPIDR_AFFINITY) == vcpu_affinity(index) ? 0 : -EPROTO;
}

/* What a host has beyond the least, and a guest may use. */
static void offer_features(int kvm_fd, struct kvm_vcpu_init *init)
{
	/* Both or none, says KVM. */
	if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0)
		init->features[0] |=
			1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
}

int arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		    const struct arch_boot *boot)
{
	struct kvm_vcpu_init init = { 0 };
	int err;

	(void)cpus;
	if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return -errno;
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (index != 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF; /* until CPU_ON */
	offer_features(kvm_fd, &init);
	if (ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return -errno;
	err = check_affinity(vcpu_fd, index);
	if (err || index != 0)
		return err;
	/* The rest is as after a reset: EL1, interrupts masked, MMU off, other registers 0. */
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

/* KVM's steal time is not offered: there is nobody to tell. */
void arch_vcpu_resumed(int vcpu_fd)
{
	(void)vcpu_fd;
}
