/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPUID in a snapshot: the guest keeps the leaves that it has seen, so that the host must have all
 * features in them.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/arch/x86_64/state.h"

#define ENTRIES_MAX 256u /* KVM's own limit */

enum { EAX, EBX, ECX, EDX };

/*
 * Registers of CPUID whose bits are features. KVM and the guest change `ignored` bits while the
 * guest runs, or they are no features.
 */
static const struct {
	uint32_t function, index, reg, ignored;
} features[] = {
	{ 1, 0, ECX, 1u << 27 },			   /* OSXSAVE */
	{ 1, 0, EDX, 1u << 9 },				   /* the APIC is enabled */
	{ 7, 0, EBX, 0 },	   { 7, 0, ECX, 1u << 4 }, /* OSPKE */
	{ 7, 0, EDX, 0 },	   { 7, 1, EAX, 0 },
	{ 7, 1, EDX, 0 },	   { 7, 2, EDX, 0 },
	{ 0xd, 0, EAX, 0 },	   { 0xd, 0, EDX, 0 },
	{ 0xd, 1, EAX, 0 },	   { 0x14, 0, EBX, 0 },
	{ 0x14, 0, ECX, 0 },	   { KVM_CPUID_FEATURES, 0, EAX, 0 },
	{ 0x80000001, 0, ECX, 0 }, { 0x80000001, 0, EDX, 1u << 9 },
	{ 0x80000007, 0, EDX, 0 }, { 0x80000008, 0, EBX, 0 },
	{ 0x80000021, 0, EAX, 0 },
};

static uint32_t reg_of(const struct kvm_cpuid_entry2 *entry, uint32_t n, uint32_t function,
		       uint32_t index, uint32_t reg)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t regs[] = { entry[i].eax, entry[i].ebx, entry[i].ecx, entry[i].edx };

		if (entry[i].function == function && entry[i].index == index)
			return regs[reg];
	}
	return 0;
}

/* Returns 0, or -EINVAL with in->why if the host lacks a feature of the saved leaves. */
static int check_features(const struct kvm_cpuid2 *host, const struct kvm_cpuid_entry2 *saved,
			  uint32_t n, struct state_reader *in)
{
	static const char names[][4] = { "eax", "ebx", "ecx", "edx" };
	char what[STATE_WHY_MAX - 24];

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		uint32_t function = features[i].function, index = features[i].index;
		uint32_t reg = features[i].reg;
		uint32_t lacking = reg_of(saved, n, function, index, reg) &
				   ~reg_of(host->entries, host->nent, function, index, reg) &
				   ~features[i].ignored;

		if (!lacking)
			continue;
		snprintf(what, sizeof(what),
			 "this host lacks the CPU's features %#x in %s of CPUID %#x.%u", lacking,
			 names[reg], function, index);
		return state_refuse(in, TAG_CPUID, 0, what);
	}
	return 0;
}

static struct kvm_cpuid2 *alloc_cpuid(uint32_t n)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(*cpuid->entries));

	if (cpuid)
		cpuid->nent = n;
	return cpuid;
}

/* Checks the saved leaves against those that the vCPU would have if it had been booted here. A KVM
 * without hardware virtualization gives a vCPU other leaves than it says to support. */
static int check_host(int vcpu_fd, const struct kvm_cpuid_entry2 *saved, uint32_t n,
		      struct state_reader *in)
{
	struct kvm_cpuid2 *host = alloc_cpuid(ENTRIES_MAX);
	int err = host ? 0 : -ENOMEM;

	if (!err && ioctl(vcpu_fd, KVM_GET_CPUID2, host) < 0)
		err = -errno;
	if (!err)
		err = check_features(host, saved, n, in);
	free(host);
	return err;
}

int cpuid_restore(int kvm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		  struct state_reader *in)
{
	struct kvm_cpuid2 *cpuid;
	size_t size = 0;
	const struct kvm_cpuid_entry2 *saved = state_find(in, TAG_CPUID, index, &size);
	uint32_t n = (uint32_t)(size / sizeof(*saved));
	int err;

	if (!saved || size % sizeof(*saved) || n > ENTRIES_MAX)
		return state_refuse(in, TAG_CPUID, index, "is missing or has a bad size");
	err = cpuid_setup(kvm_fd, vcpu_fd, index, cpus, false);
	if (!err)
		err = check_host(vcpu_fd, saved, n, in);
	if (err)
		return err;
	cpuid = alloc_cpuid(n);
	if (!cpuid)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		cpuid->entries[i] = saved[i];
	err = ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
	free(cpuid);
	return err;
}
