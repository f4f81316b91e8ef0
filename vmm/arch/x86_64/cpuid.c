/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPUID leaves of a vCPU: KVM's supported ones, adapted to the machine.
 *
 * The features that KVM supports are reduced by those that cannot work in this machine, and the
 * topology is added: one socket, `cpus` cores, one thread each. The name of the processor is the
 * host's. The leaves are described in the Intel SDM vol. 2A, CPUID, and in the AMD APM vol. 3,
 * appendix E.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86_64/boot.h"

#define FIRST_GUESS	   100	/* entries; current hosts have 30 to 60 */
#define MAX_ENTRIES	   2048 /* far above KVM's own limit (256) */

#define LEAF_TOPOLOGY	   0x0b
#define LEAF_TOPOLOGY_V2   0x1f
#define LEAF_BRAND	   0x80000002 /* brand string, in three leaves */
#define LEAF_BRAND_END	   0x80000004
#define LEAF_AMD_SVM	   0x8000000a
#define LEAF_AMD_TOPOLOGY  0x80000026
#define TOPOLOGY_THREAD	   1u
#define TOPOLOGY_CORE	   2u

#define EDX1_HTT	   (1u << 28)
#define ECX1_VMX	   (1u << 5)
#define ECX1_TSC_DEADLINE  (1u << 24)
#define ECX1_HYPERVISOR	   (1u << 31)
#define EBX7_SGX	   (1u << 2)
#define ECX7_SGX_LC	   (1u << 30)
#define ECX81_CMP_LEGACY   (1u << 1) /* multi-core without SMT */
#define ECX81_SVM	   (1u << 2)
#define INTEL_MAX_PER_LEAF 64	/* cores; the field has 6 bits */
#define CACHE_MAX_SHARING  4096 /* the field has 12 bits */

struct topology {
	unsigned int id, cpus;
	unsigned int shift; /* number of APIC ID bits that select a core in the socket */
	bool amd;
	bool tsc_deadline;
};

static unsigned int min_uint(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Return the number of bits of an ID that distinguishes `n` objects. */
static unsigned int id_bits(unsigned int n)
{
	unsigned int bits = 0;

	while (1ull << bits < n)
		bits++;
	return bits;
}

static uint32_t set_field(uint32_t reg, unsigned int low, unsigned int bits, uint32_t value)
{
	uint32_t mask = (uint32_t)((1ull << bits) - 1);

	return (reg & ~(mask << low)) | (value & mask) << low;
}

/* Get the leaves that KVM supports, with space for CPUID_SPARE more entries. The function retries
 * with a larger array when KVM returns -E2BIG. The caller frees *out. */
static int get_supported(int kvm_fd, struct kvm_cpuid2 **out)
{
	for (unsigned int n = FIRST_GUESS; n <= MAX_ENTRIES; n *= 2) {
		struct kvm_cpuid2 *cpuid =
			calloc(1, sizeof(*cpuid) + (n + CPUID_SPARE) * sizeof(*cpuid->entries));
		int err;

		if (!cpuid)
			return -ENOMEM;
		cpuid->nent = n;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0) {
			*out = cpuid;
			return 0;
		}
		err = -errno;
		free(cpuid);
		if (err != -E2BIG)
			return err;
	}
	return -E2BIG;
}

static bool vendor_is_amd(const struct kvm_cpuid_entry2 *leaf0)
{
	static const char amd[] = "AuthenticAMD", hygon[] = "HygonGenuine";
	uint32_t name[3] = { leaf0->ebx, leaf0->edx, leaf0->ecx };

	return !memcmp(name, amd, sizeof(name)) || !memcmp(name, hygon, sizeof(name));
}

/* Set how many logical processors share a cache (Intel leaf 4, AMD leaf 0x8000001d): levels 1 and 2
 * are private to a core, the others are shared by all. */
static uint32_t cache_sharing(uint32_t eax, const struct topology *topo)
{
	unsigned int level = eax >> 5 & 7;
	unsigned int sharing = level <= 2 ? 1 : 1u << topo->shift;

	return set_field(eax, 14, 12, min_uint(sharing, CACHE_MAX_SHARING) - 1);
}

static void adjust_leaf1(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	e->ebx = set_field(e->ebx, 24, 8, topo->id);
	e->ebx = set_field(e->ebx, 16, 8, min_uint(1u << topo->shift, 255));
	e->ecx &= ~(ECX1_VMX | ECX1_TSC_DEADLINE);
	e->ecx |= ECX1_HYPERVISOR;
	if (topo->tsc_deadline)
		e->ecx |= ECX1_TSC_DEADLINE;
	e->edx &= ~EDX1_HTT;
	if (topo->cpus > 1)
		e->edx |= EDX1_HTT;
}

static void adjust_leaf4(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	if (!(e->eax & 0x1f)) /* end of the list of caches */
		return;
	e->eax = set_field(e->eax, 26, 6, min_uint(1u << topo->shift, INTEL_MAX_PER_LEAF) - 1);
	e->eax = cache_sharing(e->eax, topo);
}

static void adjust_amd(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	switch (e->function) {
	case 0x80000001:
		e->ecx &= ~ECX81_CMP_LEGACY;
		if (topo->cpus > 1)
			e->ecx |= ECX81_CMP_LEGACY;
		break;
	case 0x80000008:
		e->ecx = set_field(e->ecx, 0, 8, min_uint(topo->cpus, 256) - 1);
		e->ecx = set_field(e->ecx, 12, 4, topo->shift);
		break;
	case 0x8000001d:
		if (e->eax & 0x1f)
			e->eax = cache_sharing(e->eax, topo);
		break;
	case 0x8000001e: /* extended APIC ID; core ID, one thread per core; one node */
		e->eax = topo->id;
		e->ebx = topo->id & 0xff;
		e->ecx = 0;
		break;
	}
}

/* Set a part of the brand string, which KVM leaves empty, to that of the host. Linux would show
 * numbers such as 17/01 instead of the name of the processor whose features the guest has. */
static void set_brand(struct kvm_cpuid_entry2 *e)
{
	__get_cpuid(e->function, &e->eax, &e->ebx, &e->ecx, &e->edx);
}

static void adjust(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	switch (e->function) {
	case 1:
		adjust_leaf1(e, topo);
		break;
	case 4:
		adjust_leaf4(e, topo);
		break;
	case 7:
		/* SGX: the machine has no enclave memory. */
		if (e->index == 0) {
			e->ebx &= ~EBX7_SGX;
			e->ecx &= ~ECX7_SGX_LC;
		}
		break;
	case 0x80000001:
		e->ecx &= ~ECX81_SVM;
		break;
	case LEAF_BRAND ... LEAF_BRAND_END:
		set_brand(e);
		break;
	}
	if (topo->amd)
		adjust_amd(e, topo);
}

/* Add an x2APIC topology leaf with its subleaves for threads and cores, and the end of the list. */
static void add_topology(struct kvm_cpuid2 *cpuid, uint32_t function, const struct topology *topo)
{
	struct kvm_cpuid_entry2 level = { .function = function,
					  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
					  .edx = topo->id };

	level.ebx = 1;
	level.ecx = TOPOLOGY_THREAD << 8 | 0;
	cpuid->entries[cpuid->nent++] = level;
	level.index = 1;
	level.eax = topo->shift;
	level.ebx = topo->cpus;
	level.ecx = TOPOLOGY_CORE << 8 | 1;
	cpuid->entries[cpuid->nent++] = level;
	level.index = 2;
	level.eax = level.ebx = 0;
	level.ecx = 2;
	cpuid->entries[cpuid->nent++] = level;
}

/* Return whether a leaf is removed: the host's topology leaves, whose values depend on the host CPU
 * that executed the ioctl, and the leaf of nested SVM. */
static bool is_dropped(uint32_t function)
{
	return function == LEAF_TOPOLOGY || function == LEAF_TOPOLOGY_V2 ||
	       function == LEAF_AMD_TOPOLOGY || function == LEAF_AMD_SVM;
}

static void read_leaf0(const struct kvm_cpuid2 *cpuid, struct topology *topo, uint32_t *max_leaf)
{
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function != 0)
			continue;
		topo->amd = vendor_is_amd(&cpuid->entries[i]);
		*max_leaf = cpuid->entries[i].eax;
	}
}

void cpuid_adjust(struct kvm_cpuid2 *cpuid, unsigned int index, unsigned int cpus,
		  bool tsc_deadline)
{
	struct topology topo = {
		.id = index, .cpus = cpus, .shift = id_bits(cpus), .tsc_deadline = tsc_deadline
	};
	uint32_t max_leaf = 0;
	unsigned int kept = 0;

	read_leaf0(cpuid, &topo, &max_leaf);
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		if (is_dropped(cpuid->entries[i].function))
			continue;
		adjust(&cpuid->entries[i], &topo);
		cpuid->entries[kept++] = cpuid->entries[i];
	}
	cpuid->nent = kept;
	if (max_leaf >= LEAF_TOPOLOGY)
		add_topology(cpuid, LEAF_TOPOLOGY, &topo);
	if (max_leaf >= LEAF_TOPOLOGY_V2)
		add_topology(cpuid, LEAF_TOPOLOGY_V2, &topo);
}

/* Removes the async page faults of KVM, whose requests in flight are no part of a snapshot. */
static void drop_async_faults(struct kvm_cpuid2 *cpuid)
{
	for (unsigned int i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == KVM_CPUID_FEATURES)
			cpuid->entries[i].eax &=
				~(1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT |
				  1u << KVM_FEATURE_ASYNC_PF_INT);
}

int cpuid_setup(int kvm_fd, int vcpu_fd, unsigned int index, unsigned int cpus, bool snapshots)
{
	struct kvm_cpuid2 *cpuid = NULL;
	int err = get_supported(kvm_fd, &cpuid);

	if (err)
		return err;
	cpuid_adjust(cpuid, index, cpus,
		     ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0);
	if (snapshots)
		drop_async_faults(cpuid);
	err = ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
	free(cpuid);
	return err;
}
