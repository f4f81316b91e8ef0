/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of saving and restoring KVM's state, on a real /dev/kvm: a second VM has the state of the
 * first one, and states that do not fit are refused. Skipped where KVM is unavailable.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/arch.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/state/state.h"

#define CPUS	    2u
#define MSR_TSC	    0x10u
#define MSR_LSTAR   0xc0000082u
#define TAG(text)   STATE_TAG((text)[0], (text)[1], (text)[2], (text)[3])
#define TSC_LATER   (1ull << 58) /* later than a host's TSC, which software KVM shows instead */
#define LAPIC_TPR   0x80
#define LAPIC_SVR   0xf0
#define LAPIC_LVTT  0x320
#define LAPIC_TMICT 0x380
#define LAPIC_TMCCT 0x390

struct machine_kvm {
	int kvm_fd, vm_fd, vcpu_fd[CPUS];
	struct arch_state *state;
};

static struct machine_kvm first, second;
static struct state_writer out;
static struct state_reader in;
static const char *call;

static bool kvm_opens(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("test_x86_state: skip all: /dev/kvm: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static void create(struct machine_kvm *m)
{
	m->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	m->vm_fd = ioctl(m->kvm_fd, KVM_CREATE_VM, 0);
	ck_assert_int_ge(m->vm_fd, 0);
	ck_assert_int_eq(arch_vm_setup(m->kvm_fd, m->vm_fd), 0);
	ck_assert_int_eq(arch_state_create(&m->state, m->kvm_fd, m->vm_fd), 0);
	for (unsigned int i = 0; i < CPUS; i++) {
		m->vcpu_fd[i] = ioctl(m->vm_fd, KVM_CREATE_VCPU, (unsigned long)i);
		ck_assert_int_ge(m->vcpu_fd[i], 0);
	}
}

static void destroy(struct machine_kvm *m)
{
	free(m->state);
	for (unsigned int i = 0; i < CPUS; i++)
		close(m->vcpu_fd[i]);
	close(m->vm_fd);
	close(m->kvm_fd);
}

static void set(int fd, unsigned long request, void *arg)
{
	ck_assert_msg(ioctl(fd, request, arg) >= 0, "ioctl %#lx: %s", request, strerror(errno));
}

static int msr(int fd, unsigned long request, uint32_t index, uint64_t *value)
{
	struct {
		uint32_t count, pad;
		struct kvm_msr_entry entry;
	} one = { 1, 0, { index, 0, *value } };
	int n = ioctl(fd, request, &one);

	*value = one.entry.data;
	return n == 1 ? 0 : -1;
}

static void set_lapic(int fd, uint32_t number)
{
	static const uint32_t regs[][2] = { { LAPIC_TPR, 0x20 },
					    { LAPIC_SVR, 0x1ff },
					    { LAPIC_LVTT, 0x20031 },
					    { LAPIC_TMICT, 0x7fffffff } };
	struct kvm_lapic_state lapic;

	set(fd, KVM_GET_LAPIC, &lapic);
	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
		memcpy(lapic.regs + regs[i][0], &regs[i][1], sizeof(uint32_t));
	/* An interrupt is pending, and another one in service. */
	lapic.regs[0x200 + 0x10] = (char)(1 << number);
	lapic.regs[0x100 + 0x20] = 4;
	set(fd, KVM_SET_LAPIC, &lapic);
}

/* Gives each part of a vCPU's state a value that no fresh vCPU has. */
static void set_vcpu(int fd, uint64_t number)
{
	struct kvm_regs regs = { .rflags = 0x246, .rip = 0x123456789a + number };
	struct kvm_debugregs debug = { .db = { 1, 2, 3, 4 + number },
				       .dr6 = 0xffff0ff0,
				       .dr7 = 0x400 };
	struct kvm_mp_state mp = { number ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events events;
	struct kvm_xsave xsave;
	struct kvm_sregs sregs;
	uint64_t lstar = 0xffffffff80001000 + number, tsc = number ? TSC_LATER : TSC_LATER >> 4;

	for (unsigned int i = 0; i < 16; i++)
		(&regs.rax)[i] = 0x1111111111111111ull * i + number;
	set(fd, KVM_GET_SREGS, &sregs);
	sregs.cr2 = 0xabcdef000 + number;
	set(fd, KVM_SET_SREGS, &sregs);
	set(fd, KVM_SET_REGS, &regs);
	set(fd, KVM_GET_XSAVE, &xsave);
	for (unsigned int i = 0; i < 64; i++)
		xsave.region[40 + i] = 0x01010101 * i + (uint32_t)number; /* XMM0 to XMM15 */
	xsave.region[128] |= 3;
	set(fd, KVM_SET_XSAVE, &xsave);
	set(fd, KVM_SET_DEBUGREGS, &debug);
	set_lapic(fd, (uint32_t)number);
	ck_assert_int_eq(msr(fd, KVM_SET_MSRS, MSR_LSTAR, &lstar), 0);
	ck_assert_int_eq(msr(fd, KVM_SET_MSRS, MSR_TSC, &tsc), 0);
	set(fd, KVM_GET_VCPU_EVENTS, &events);
	events.nmi.pending = (uint8_t)number;
	events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	set(fd, KVM_SET_VCPU_EVENTS, &events);
	set(fd, KVM_SET_MP_STATE, &mp);
}

static void set_vm(int fd)
{
	struct kvm_clock_data clock = { .clock = 3600000000000 };
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	set(fd, KVM_SET_CLOCK, &clock);
	set(fd, KVM_GET_IRQCHIP, &chip);
	for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip.chip.ioapic.redirtbl[i].bits = 0x0100000000000000 | (0x40 + i);
	set(fd, KVM_SET_IRQCHIP, &chip);
}

static void save(const struct machine_kvm *m, struct state_writer *to)
{
	state_begin(to, arch_state_machine());
	ck_assert_msg(!arch_state_save(m->state, m->vm_fd, m->vcpu_fd, CPUS, to, &call), "%s",
		      call);
	ck_assert_int_eq(state_end(to), 0);
}

/* Fills the first VM, saves it, and creates the second one. */
static void begin(void)
{
	struct arch_boot boot = { .entry = BOOT_ENTRY_64 };

	create(&first);
	for (unsigned int i = 0; i < CPUS; i++) {
		ck_assert_int_eq(arch_vcpu_setup(first.kvm_fd, first.vm_fd, first.vcpu_fd[i], i,
						 CPUS, true, &boot),
				 0);
		set_vcpu(first.vcpu_fd[i], i);
	}
	set_vm(first.vm_fd);
	save(&first, &out);
	create(&second);
}

static void end(void)
{
	state_free(&out);
	destroy(&first);
	destroy(&second);
}

static int restore(void)
{
	ck_assert_int_eq(state_open(&in, out.data, out.size, arch_state_machine(), arch_state_tag),
			 0);
	return arch_state_restore(second.kvm_fd, second.vm_fd, second.vcpu_fd, CPUS, &in, &call);
}

/* Returns a section of the file, which the test may change. */
static void *section(struct state_writer *w, const char *tag, unsigned int instance, size_t *size)
{
	struct state_reader r = { .data = w->data, .size = w->size };
	const void *data = state_find(&r, TAG(tag), instance, size);

	ck_assert_msg(data != NULL, "no %s %u", tag, instance);
	return (void *)data;
}

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

static uint64_t tsc(unsigned int cpu)
{
	uint64_t value = 0;

	ck_assert_int_eq(msr(second.vcpu_fd[cpu], KVM_GET_MSRS, MSR_TSC, &value), 0);
	return value;
}

/* Returns whether the host's KVM can set a TSC; one without hardware virtualization cannot. */
static bool tsc_can_be_set(void)
{
	size_t size;
	const uint64_t *saved = section(&out, "TSC ", 1, &size);

	return *saved >= TSC_LATER;
}

/* The TSCs of the saved vCPUs had different offsets. */
START_TEST(time_goes_on_where_it_stopped_and_is_equal_on_all_vcpus)
{
	struct kvm_clock_data clock;
	uint64_t last = TSC_LATER;

	begin();
	ck_assert_int_eq(restore(), 0);
	if (!tsc_can_be_set())
		last = 0;
	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t now = tsc(i % CPUS);

		ck_assert_uint_ge(now, last);
		last = now;
	}
	/* Far less than the distance of the saved values. */
	ck_assert_uint_lt(last, TSC_LATER + (TSC_LATER >> 4));
	set(second.vm_fd, KVM_GET_CLOCK, &clock);
	ck_assert_uint_ge(clock.clock, 3600000000000);
	ck_assert_uint_lt(clock.clock, 2 * 3600000000000);
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
		tcase_add_test(t, time_goes_on_where_it_stopped_and_is_equal_on_all_vcpus);
		tcase_add_test(t, timer_in_flight_goes_on);
		tcase_add_test(t, guest_of_snapshots_gets_no_async_page_faults);
		tcase_add_table_test(t, state_that_does_not_fit_is_named, unfit);
	}
	suite_add_tcase(s, t);
	return s;
}
