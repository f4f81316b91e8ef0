/* SPDX-License-Identifier: BSD-3-Clause */
/* A fixture of two VMs on a real /dev/kvm, of which the second one is to have the state of the first
 * one. A test program includes this file once. */
#ifndef TESTS_UNIT_X86_STATE_RIG_H
#define TESTS_UNIT_X86_STATE_RIG_H

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

static inline bool kvm_opens(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("test_x86_state: skip all: /dev/kvm: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static inline void create(struct machine_kvm *m)
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

static inline void destroy(struct machine_kvm *m)
{
	free(m->state);
	for (unsigned int i = 0; i < CPUS; i++)
		close(m->vcpu_fd[i]);
	close(m->vm_fd);
	close(m->kvm_fd);
}

static inline void set(int fd, unsigned long request, void *arg)
{
	ck_assert_msg(ioctl(fd, request, arg) >= 0, "ioctl %#lx: %s", request, strerror(errno));
}

static inline int msr(int fd, unsigned long request, uint32_t index, uint64_t *value)
{
	struct {
		uint32_t count, pad;
		struct kvm_msr_entry entry;
	} one = { 1, 0, { index, 0, *value } };
	int n = ioctl(fd, request, &one);

	*value = one.entry.data;
	return n == 1 ? 0 : -1;
}

static inline void set_lapic(int fd, uint32_t number)
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
static inline void set_vcpu(int fd, uint64_t number)
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

static inline void set_vm(int fd)
{
	struct kvm_clock_data clock = { .clock = 3600000000000 };
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	set(fd, KVM_SET_CLOCK, &clock);
	set(fd, KVM_GET_IRQCHIP, &chip);
	for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip.chip.ioapic.redirtbl[i].bits = 0x0100000000000000 | (0x40 + i);
	set(fd, KVM_SET_IRQCHIP, &chip);
}

static inline void save(const struct machine_kvm *m, struct state_writer *to)
{
	state_begin(to, arch_state_machine());
	ck_assert_msg(!arch_state_save(m->state, m->vm_fd, m->vcpu_fd, CPUS, to, &call), "%s",
		      call);
	ck_assert_int_eq(state_end(to), 0);
}

/* Fills the first VM, saves it, and creates the second one. */
static inline void begin(void)
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

static inline void end(void)
{
	state_free(&out);
	destroy(&first);
	destroy(&second);
}

static inline int restore_later(bool advance)
{
	ck_assert_int_eq(state_open(&in, out.data, out.size, arch_state_machine(), arch_state_tag),
			 0);
	return arch_state_restore(second.kvm_fd, second.vm_fd, second.vcpu_fd, CPUS, advance, &in,
				  &call);
}

static inline int restore(void)
{
	return restore_later(false);
}

/* Returns a section of the file, which the test may change. */
static inline void *section(struct state_writer *w, const char *tag, unsigned int instance,
			    size_t *size)
{
	struct state_reader r = { .data = w->data, .size = w->size };
	const void *data = state_find(&r, TAG(tag), instance, size);

	ck_assert_msg(data != NULL, "no %s %u", tag, instance);
	return (void *)data;
}

#endif
