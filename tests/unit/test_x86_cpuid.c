/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of CPUID leaves derived from a host's, for simulated Intel and AMD hosts. */
#include <cpuid.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/arch/x86_64/boot.h"

#define OFFERED 16

#define CANARY	0x5a5a

static struct kvm_cpuid2 *cpuid;

static struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *found = NULL;

	for (unsigned int i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function != function || e->index != index)
			continue;
		ck_assert_ptr_null(found); /* a leaf must not appear twice */
		found = e;
	}
	return found;
}

static void offer(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
		  uint32_t edx)
{
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = function, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx
	};
}

static void offer_common(const char *vendor, uint32_t max_leaf)
{
	uint32_t name[3];

	cpuid->nent = 0;
	cpuid->entries[OFFERED + CPUID_SPARE].function = CANARY;
	memcpy(name, vendor, sizeof(name));
	offer(0, 0, max_leaf, name[0], name[2], name[1]);
	/* The leaves come from a host CPU with APIC id 7 of 32, and with VMX. */
	offer(1, 0, 0x1234, 0x07200800, 1u << 5 | 1u << 21, 1u << 28 | 1);
	offer(7, 0, 0, 1u << 2 | 1u << 5, 1u << 30 | 1u << 2, 0);
	offer(0xb, 0, 5, 32, 0x100, 7);
	offer(0xb, 1, 6, 64, 0x201, 7);
	offer(0x80000001, 0, 0, 0, 1u << 1 | 1u << 2 | 1u << 22, 0x20100800);
}

static void offer_intel(void)
{
	offer_common("GenuineIntel", 0x1f);
	offer(4, 0, 0x7c004121, 0x01c0003f, 0x3f, 0); /* level 1, shared by 2 of 32 CPUs */
	offer(4, 2, 0x7c07c143, 0x03c0003f, 0x3ff, 0);
	offer(4, 3, 0x7c0fc163, 0x03c0003f, 0x7fff, 0);
	offer(4, 4, 0, 0, 0, 0);
	offer(0x1f, 0, 1, 2, 0x100, 7);
	offer(0x80000008, 0, 0x302e, 0, 0xabcd, 0);
}

static void offer_amd(const char *vendor)
{
	offer_common(vendor, 0x10);
	offer(0x80000008, 0, 0x3030, 0x11, 0x0007707f, 0x22);
	offer(0x8000000a, 0, 1, 8, 0, 0xff);
	offer(0x8000001d, 0, 0x00004121, 0, 0x3f, 0);
	offer(0x8000001d, 3, 0x0003c163, 0, 0x7fff, 0);
	offer(0x8000001d, 4, 0, 0, 0, 0);
	offer(0x8000001e, 0, 7, 0x103, 0x1, 0);
	offer(0x80000026, 0, 1, 2, 0x100, 7);
}

static const struct {
	const char *name;
	uint32_t id, cpus, shift;
} cases[] = {
	{ "1 CPU", 0, 1, 0 },	     { "2 CPUs", 1, 2, 1 },	  { "3 CPUs", 2, 3, 2 },
	{ "4 CPUs", 3, 4, 2 },	     { "5 CPUs", 4, 5, 3 },	  { "128 CPUs", 127, 128, 7 },
	{ "255 CPUs", 254, 255, 8 }, { "256 CPUs", 255, 256, 8 }, { "300 CPUs", 299, 300, 9 },
};

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

static void check_common(int i)
{
	uint32_t cpus = cases[i].cpus, span = 1u << cases[i].shift;

	ck_assert_uint_eq(leaf(1, 0)->eax, 0x1234);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 24, cases[i].id & 0xff);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 16 & 0xff, at_most(span, 255));
	ck_assert_uint_eq(leaf(1, 0)->ebx & 0xffff, 0x0800);
	/*
	 * Hypervisor and x2APIC are set, VMX is clear, and the deadline timer follows KVM's
	 * capability.
	 */
	ck_assert_uint_eq(leaf(1, 0)->ecx, 1u << 31 | 1u << 21 | (i % 2 ? 1u << 24 : 0));
	ck_assert_uint_eq(leaf(1, 0)->edx, (cpus > 1 ? 1u << 28 : 0) | 1);
	ck_assert_uint_eq(leaf(7, 0)->ebx, 1u << 5);
	ck_assert_uint_eq(leaf(7, 0)->ecx, 1u << 2);
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx & 1u << 2, 0);
	ck_assert_uint_eq(cpuid->entries[OFFERED + CPUID_SPARE].function, CANARY);
}

static void check_x2apic(uint32_t function, int i)
{
	const struct kvm_cpuid_entry2 *level = leaf(function, 0);

	ck_assert_uint_eq(level->eax, 0);
	ck_assert_uint_eq(level->ebx, 1);
	ck_assert_uint_eq(level->ecx, 0x100);
	ck_assert_uint_eq(level->edx, cases[i].id);
	ck_assert_uint_eq(level->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	level = leaf(function, 1);
	ck_assert_uint_eq(level->eax, cases[i].shift);
	ck_assert_uint_eq(level->ebx, cases[i].cpus);
	ck_assert_uint_eq(level->ecx, 0x201);
	ck_assert_uint_eq(level->edx, cases[i].id);
	level = leaf(function, 2);
	ck_assert_uint_eq(level->eax, 0);
	ck_assert_uint_eq(level->ebx, 0);
	ck_assert_uint_eq(level->ecx, 2);
}

START_TEST(intel_topology)
{
	uint32_t span = 1u << cases[_i].shift;
	uint32_t cores = at_most(span, 64) - 1;

	offer_intel();
	cpuid_adjust(cpuid, cases[_i].id, cases[_i].cpus, _i % 2);
	check_common(_i);
	check_x2apic(0xb, _i);
	check_x2apic(0x1f, _i);
	ck_assert_uint_eq(leaf(4, 0)->eax, cores << 26 | 0x121);
	ck_assert_uint_eq(leaf(4, 2)->eax, cores << 26 | 0x143);
	ck_assert_uint_eq(leaf(4, 3)->eax, cores << 26 | (span - 1) << 14 | 0x163);
	ck_assert_uint_eq(leaf(4, 4)->eax, 0);
	ck_assert_uint_eq(leaf(0x80000008, 0)->ecx, 0xabcd); /* reserved on AMD: unchanged */
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx & 1u << 1, 1u << 1);
}
END_TEST

START_TEST(amd_topology)
{
	uint32_t cpus = cases[_i].cpus, id = cases[_i].id, span = 1u << cases[_i].shift;

	offer_amd(_i % 2 ? "AuthenticAMD" : "HygonGenuine");
	cpuid_adjust(cpuid, id, cpus, _i % 2);
	check_common(_i);
	check_x2apic(0xb, _i);
	ck_assert_ptr_null(leaf(0x1f, 0));
	ck_assert_ptr_null(leaf(0x8000000a, 0));
	ck_assert_ptr_null(leaf(0x80000026, 0));
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx, 1u << 22 | (cpus > 1 ? 2 : 0));
	ck_assert_uint_eq(leaf(0x80000008, 0)->eax, 0x3030);
	ck_assert_uint_eq(leaf(0x80000008, 0)->ecx,
			  0x00070000 | cases[_i].shift << 12 | (at_most(cpus, 256) - 1));
	ck_assert_uint_eq(leaf(0x8000001d, 0)->eax, 0x121);
	ck_assert_uint_eq(leaf(0x8000001d, 3)->eax, (span - 1) << 14 | 0x163);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->eax, id);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->ebx, id & 0xff);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->ecx, 0);
}
END_TEST

START_TEST(old_host_gets_no_leaves_above_its_maximum)
{
	offer_common("GenuineIntel", 0xa);
	cpuid_adjust(cpuid, 0, 2, true);
	ck_assert_ptr_null(leaf(0xb, 0));
	ck_assert_ptr_null(leaf(0x1f, 0));
}
END_TEST

START_TEST(name_of_the_processor_is_that_of_the_host)
{
	uint32_t host[4] = { 0 };

	offer_common("GenuineIntel", 0xa);
	for (uint32_t part = 0x80000002; part <= 0x80000004; part++)
		offer(part, 0, 0, 0, 0, 0);
	cpuid_adjust(cpuid, 0, 1, true);
	for (uint32_t part = 0x80000002; part <= 0x80000004; part++) {
		const struct kvm_cpuid_entry2 *e = leaf(part, 0);
		uint32_t guest[4] = { e->eax, e->ebx, e->ecx, e->edx };

		__get_cpuid(part, &host[0], &host[1], &host[2], &host[3]);
		ck_assert_mem_eq(guest, host, sizeof(host));
	}
}
END_TEST

static void setup(void)
{
	cpuid = calloc(1, sizeof(*cpuid) + (OFFERED + CPUID_SPARE + 1) * sizeof(*cpuid->entries));
	ck_assert_ptr_nonnull(cpuid);
}

static void teardown(void)
{
	free(cpuid);
}

Suite *test_suite(void)
{
	Suite *suite = suite_create("x86_cpuid");
	TCase *tcase = tcase_create("x86_cpuid");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_table_test(tcase, intel_topology, cases);
	tcase_add_table_test(tcase, amd_topology, cases);
	tcase_add_test(tcase, old_host_gets_no_leaves_above_its_maximum);
	tcase_add_test(tcase, name_of_the_processor_is_that_of_the_host);
	suite_add_tcase(suite, tcase);
	return suite;
}
