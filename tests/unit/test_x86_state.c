/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of saving and restoring KVM's state, on a real /dev/kvm: a second VM has the state of the
 * first one, and states that do not fit are refused. Skipped where KVM is unavailable.
 */
#include "tests/unit/x86_state_rig.h"

static void expect_same(struct state_writer *again, const char *tag, unsigned int instance)
{
	size_t size, size_again;
	uint8_t *a = section(&out, tag, instance, &size);
	uint8_t *b = section(again, tag, instance, &size_again);

	ck_assert_uint_eq(size, size_again);
	if (!strcmp(tag, "LAPC"))
		memcpy(b + LAPIC_TMCCT, a + LAPIC_TMCCT, 4);
	for (size_t i = 0; i < size; i++)
		ck_assert_msg(a[i] == b[i], "%s %u, byte %zu: %#x, then %#x", tag, instance, i,
			      a[i], b[i]);
}

/* MSRs that count or tell the time differ. */
static bool is_time(uint32_t index)
{
	return index == MSR_TSC || index == 0x3b || index == 0x6e0 ||
	       (index >= 0xc1 && index <= 0xc8) || (index >= 0x309 && index <= 0x38f);
}

static void expect_same_msrs(struct state_writer *again, unsigned int instance)
{
	size_t size, size_again;
	const struct kvm_msr_entry *a = section(&out, "MSRS", instance, &size);
	const struct kvm_msr_entry *b = section(again, "MSRS", instance, &size_again);
	bool lstar = false;

	ck_assert_uint_eq(size, size_again);
	for (size_t i = 0; i < size / sizeof(*a); i++) {
		ck_assert_uint_eq(a[i].index, b[i].index);
		if (!is_time(a[i].index))
			ck_assert_msg(a[i].data == b[i].data, "MSR %#x", a[i].index);
		lstar |= a[i].index == MSR_LSTAR && a[i].data == 0xffffffff80001000 + instance;
	}
	ck_assert(lstar);
}

START_TEST(restored_vm_has_the_state_of_the_saved_one)
{
	static const char *const parts[] = { "MPST", "REGS", "SREG", "XSAV",
					     "DBGR", "LAPC", "EVNT", "CPID" };
	struct state_writer again;

	begin();
	ck_assert_msg(!restore(), "%s %s: %s", in.why, call, strerror(errno));
	save(&second, &again);
	for (unsigned int cpu = 0; cpu < CPUS; cpu++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
			expect_same(&again, parts[i], cpu);
		expect_same_msrs(&again, cpu);
	}
	for (unsigned int i = 0; i < 3; i++)
		expect_same(&again, "IRQC", i);
	state_free(&again);
	end();
}
END_TEST

/* The timer's interrupt would come after minutes: it counts down from where it was. */
START_TEST(timer_in_flight_goes_on)
{
	struct kvm_lapic_state lapic;
	uint32_t left;

	begin();
	ck_assert_int_eq(restore(), 0);
	set(second.vcpu_fd[0], KVM_GET_LAPIC, &lapic);
	memcpy(&left, lapic.regs + LAPIC_TMCCT, sizeof(left));
	ck_assert_uint_gt(left, 0);
	ck_assert_uint_lt(left, 0x7fffffff);
	end();
}
END_TEST

START_TEST(guest_of_snapshots_gets_no_async_page_faults)
{
	size_t size;
	const struct kvm_cpuid_entry2 *entry;

	begin();
	entry = section(&out, "CPID", 0, &size);
	for (size_t i = 0; i < size / sizeof(*entry); i++)
		if (entry[i].function == KVM_CPUID_FEATURES)
			ck_assert_uint_eq(entry[i].eax & (1u << KVM_FEATURE_ASYNC_PF |
							  1u << KVM_FEATURE_ASYNC_PF_INT),
					  0);
	end();
}
END_TEST

/* ---- states that do not fit ---- */

static void cpu_feature(void)
{
	size_t size;
	struct kvm_cpuid_entry2 *entry = section(&out, "CPID", 1, &size);

	for (size_t i = 0; i < size / sizeof(*entry); i++)
		if (entry[i].function == 7 && !entry[i].index)
			entry[i].edx |= 1u << 31 | 1u << 6; /* bit 6 is reserved */
}

static void strange_msr(void)
{
	size_t size;
	struct kvm_msr_entry *entry = section(&out, "MSRS", 0, &size);

	entry[0] = (struct kvm_msr_entry){ .index = 0x12345678, .data = 1 };
}

/* Takes the section from its reader. */
static void rename_section(const char *tag, unsigned int instance)
{
	size_t size;
	struct state_section *s = section(&out, tag, instance, &size);

	s[-1].instance = 99;
}

static void no_regs(void)
{
	rename_section("REGS", 1);
}

static void no_cpuid(void)
{
	rename_section("CPID", 0);
}

static void no_msrs(void)
{
	rename_section("MSRS", 1);
}

static void no_tsc(void)
{
	rename_section("TSC ", 0);
}

static void no_xsave(void)
{
	rename_section("XSAV", 0);
}

static void no_clock(void)
{
	rename_section("CLCK", 0);
}

static void other_chip(void)
{
	size_t size;
	struct kvm_irqchip *chip = section(&out, "IRQC", 1, &size);

	chip->chip_id = 2;
}

static const struct {
	const char *name;
	void (*change)(void);
	const char *why;
} unfit[] = {
	{ "CPU feature", cpu_feature, "section 'CPID' 0: this host lacks the CPU's features 0x" },
	{ "MSR", strange_msr,
	  "section 'MSRS' 0: this host's KVM cannot set MSR 0x12345678 to 0x1" },
	{ "registers", no_regs, "lacks section 'REGS' 1" },
	{ "CPUID", no_cpuid, "section 'CPID' 0: is missing" },
	{ "MSRs", no_msrs, "section 'MSRS' 1: is missing" },
	{ "TSC", no_tsc, "lacks section 'TSC ' 0" },
	{ "XSAVE", no_xsave, "section 'XSAV' 0: is missing" },
	{ "clock", no_clock, "lacks section 'CLCK' 0" },
	{ "chip", other_chip, "section 'IRQC' 1: is of another chip" },
};

START_TEST(state_that_does_not_fit_is_named)
{
	begin();
	unfit[_i].change();
	ck_assert_int_eq(state_end(&out), 0);
	ck_assert_int_eq(restore(), -EINVAL);
	ck_assert_msg(!strncmp(in.why, unfit[_i].why, strlen(unfit[_i].why)), "%s", in.why);
	end();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("x86_state");
	TCase *t = tcase_create("x86_state");

	if (kvm_opens()) {
		tcase_add_test(t, restored_vm_has_the_state_of_the_saved_one);
		tcase_add_test(t, timer_in_flight_goes_on);
		tcase_add_test(t, guest_of_snapshots_gets_no_async_page_faults);
		tcase_add_table_test(t, state_that_does_not_fit_is_named, unfit);
	}
	suite_add_tcase(s, t);
	return s;
}
