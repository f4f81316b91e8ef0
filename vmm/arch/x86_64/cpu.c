/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VM and vCPU set-up for KVM on x86_64: segments, MSRs, APIC.
 *
 * MSRs and CPUID features are optional: those that a host refuses are left out, because kernels
 * cope without them.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/arch/x86_64/layout.h"

/* Selectors of the boot protocol (__BOOT_CS, __BOOT_DS), and of a TSS, which KVM needs on Intel. */
#define SELECTOR_CS		0x10
#define SELECTOR_DS		0x18
#define SELECTOR_TSS		0x20
#define GDT_ENTRIES		6 /* a TSS descriptor takes two entries in long mode */

#define SEGMENT_CODE		0xb /* execute, read, accessed */
#define SEGMENT_DATA		0x3 /* read, write, accessed */
#define SEGMENT_TSS		0xb /* busy */
#define TSS_LIMIT		0x67

#define CR0_PE			(1ull << 0)
#define CR0_ET			(1ull << 4)
#define CR0_NE			(1ull << 5)
#define CR0_PG			(1ull << 31)
#define CR4_PAE			(1ull << 5)
#define EFER_LME		(1ull << 8)
#define EFER_LMA		(1ull << 10)
#define RFLAGS_ALWAYS		0x2ull

#define PTE_PRESENT		0x1ull
#define PTE_WRITABLE		0x2ull
#define PTE_LARGE		0x80ull
#define PTE_PER_PAGE		512
#define DIRECTORIES		4ull /* page directories; each one maps 1 GiB */
#define PAGE			4096ull
#define LARGE_PAGE		(2ull << 20)

#define RESET_IP		0xfff0 /* of a vCPU after a reset */
#define RESET_PORT		(LAYOUT_ACPI_PM + ACPI_PM_RESET)

#define MSR_IA32_MISC_ENABLE	0x1a0
#define MISC_ENABLE_FAST_STRING 1ull
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ON_WRITE_BACK	0x806ull

#define LAPIC_LINT0		0x350
#define LAPIC_LINT1		0x360
#define LAPIC_DELIVERY_MASK	0x700u
#define LAPIC_MASKED		0x10000u
#define LAPIC_DELIVER_NMI	0x400u
#define LAPIC_DELIVER_EXTINT	0x700u

/*
 * Return a flat segment of 4 GiB. Code in long mode has L set and D clear; all others the reverse.
 */
static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode,
		.db = !long_mode,
	};
}

static struct kvm_segment tss_segment(void)
{
	return (struct kvm_segment){
		.limit = TSS_LIMIT, .selector = SELECTOR_TSS, .type = SEGMENT_TSS, .present = 1
	};
}

/* Return the descriptor (Intel SDM vol. 3A, 3.4.5) of a segment with base 0. */
static uint64_t descriptor(const struct kvm_segment *seg)
{
	uint64_t limit = seg->g ? seg->limit >> 12 : seg->limit;
	uint64_t access = seg->type | seg->s << 4 | seg->dpl << 5 | seg->present << 7;
	uint64_t flags = seg->avl | seg->l << 1 | seg->db << 2 | seg->g << 3;

	return (limit & 0xffff) | access << 40 | (limit >> 16 & 0xf) << 48 | flags << 52;
}

/* Write the GDT of the 64-bit entry. A PVH kernel, whose CS differs, must load a GDT of its own
 * before it reloads a segment register. */
static int write_gdt(const struct hostmem *mem)
{
	struct kvm_segment cs = flat_segment(SELECTOR_CS, SEGMENT_CODE, true);
	struct kvm_segment ds = flat_segment(SELECTOR_DS, SEGMENT_DATA, false);
	struct kvm_segment tss = tss_segment();
	uint64_t *gdt = hostmem_lookup(mem, LAYOUT_GDT, GDT_ENTRIES * sizeof(*gdt), true);

	if (!gdt)
		return -EFAULT;
	memset(gdt, 0, GDT_ENTRIES * sizeof(*gdt));
	gdt[SELECTOR_CS / 8] = descriptor(&cs);
	gdt[SELECTOR_DS / 8] = descriptor(&ds);
	gdt[SELECTOR_TSS / 8] = descriptor(&tss);
	return 0;
}

/* Write page tables that map [0, 4 GiB) to itself in pages of 2 MiB, which every processor with
 * long mode supports. */
static int write_page_tables(const struct hostmem *mem)
{
	uint64_t *pml4 = hostmem_lookup(mem, LAYOUT_PAGE_TABLES, (2 + DIRECTORIES) * PAGE, true);
	uint64_t *pdpt, *pd;

	if (!pml4)
		return -EFAULT;
	pdpt = pml4 + PTE_PER_PAGE;
	pd = pdpt + PTE_PER_PAGE;
	memset(pml4, 0, 2 * PAGE);
	pml4[0] = (LAYOUT_PAGE_TABLES + PAGE) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < DIRECTORIES; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < DIRECTORIES * PTE_PER_PAGE; i++)
		pd[i] = i * LARGE_PAGE | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE;
	return 0;
}

/*
 * Write reset code where a BIOS would start. On hardware-reduced ACPI, Linux prefers to reboot
 * through EFI. Without EFI it returns to real mode and jumps to the BIOS entry point; the machine
 * has no BIOS, so this code resets it.
 */
static int write_reset_vector(const struct hostmem *mem)
{
	static const uint8_t code[] = {
		0xba,
		RESET_PORT & 0xff,
		RESET_PORT >> 8, /* mov dx, RESET_PORT */
		0xb0,
		ACPI_RESET_VALUE, /* mov al, ACPI_RESET_VALUE */
		0xee,		  /* out dx, al */
		0xf4,
		0xeb,
		0xfd, /* hlt, in an endless loop */
	};
	void *to = hostmem_lookup(mem, LAYOUT_RESET_VECTOR, sizeof(code), true);

	if (!to)
		return -EFAULT;
	memcpy(to, code, sizeof(code));
	return 0;
}

int cpu_write_tables(const struct hostmem *mem)
{
	int err = write_gdt(mem);

	if (!err)
		err = write_page_tables(mem);
	return err ? err : write_reset_vector(mem);
}

int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type)
{
	(void)kvm_fd;
	(void)ram_size;
	*type = 0;
	return 0;
}

/* Always true: KVM makes such reads cacheable (Intel), or they snoop the caches (AMD). */
bool arch_device_reads_coherent(int kvm_fd)
{
	(void)kvm_fd;
	return true;
}

int arch_vm_setup(int kvm_fd, int vm_fd)
{
	uint64_t identity_map = LAYOUT_KVM_IDENTITY_MAP;
	/* Kernels calibrate with PIT channel 2, whose gate and output are in the speaker port. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	(void)kvm_fd;
	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_KVM_TSS) < 0 ||
	    ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) < 0 || ioctl(vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return -errno;
	return 0;
}

static int offer_msrs(int vcpu_fd)
{
	static const struct kvm_msr_entry wanted[] = {
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ON_WRITE_BACK },
		{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
	};
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(*msrs->entries));
	int err = 0;

	if (!msrs)
		return -ENOMEM;
	/* One MSR per call, because KVM stops at the first one that it refuses. */
	for (size_t i = 0; i < ARRAY_SIZE(wanted) && !err; i++) {
		msrs->nmsrs = 1;
		msrs->entries[0] = wanted[i];
		err = ioctl(vcpu_fd, KVM_SET_MSRS, msrs) < 0 ? -errno : 0;
	}
	free(msrs);
	return err;
}

static int set_sregs(int vcpu_fd, bool long_mode)
{
	struct kvm_segment data = flat_segment(SELECTOR_DS, SEGMENT_DATA, false);
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = flat_segment(SELECTOR_CS, SEGMENT_CODE, long_mode);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = tss_segment();
	sregs.gdt.base = LAYOUT_GDT;
	sregs.gdt.limit = GDT_ENTRIES * sizeof(uint64_t) - 1;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	sregs.cr3 = sregs.cr4 = sregs.efer = 0;
	if (long_mode) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = LAYOUT_PAGE_TABLES;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	return ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

static int set_regs(int vcpu_fd, const struct arch_boot *boot)
{
	struct kvm_regs regs = { .rip = boot->ip, .rflags = RFLAGS_ALWAYS };

	if (boot->entry == BOOT_ENTRY_PVH)
		regs.rbx = boot->params;
	else
		regs.rsi = boot->params;
	return ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

static int set_fpu(int vcpu_fd)
{
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 }; /* values after FNINIT and reset */

	return ioctl(vcpu_fd, KVM_SET_FPU, &fpu) < 0 ? -errno : 0;
}

static void set_lvt(struct kvm_lapic_state *lapic, unsigned int reg, uint32_t delivery)
{
	uint32_t lvt;

	memcpy(&lvt, lapic->regs + reg, sizeof(lvt));
	lvt = (lvt & ~(LAPIC_DELIVERY_MASK | LAPIC_MASKED)) | delivery;
	memcpy(lapic->regs + reg, &lvt, sizeof(lvt));
}

/* Set the local interrupt pins as firmware does: the PICs on LINT0 (for kernels that do not use the
 * I/O APIC), NMI on LINT1. */
static int set_lapic(int vcpu_fd)
{
	struct kvm_lapic_state lapic;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return -errno;
	set_lvt(&lapic, LAPIC_LINT0, LAPIC_DELIVER_EXTINT);
	set_lvt(&lapic, LAPIC_LINT1, LAPIC_DELIVER_NMI);
	return ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}

int arch_vm_finish(int vm_fd, struct arch_boot *boot)
{
	(void)vm_fd;
	(void)boot;
	return 0;
}

int arch_vcpu_setup(int kvm_fd, int vm_fd, int vcpu_fd, unsigned int index, unsigned int cpus,
		    bool snapshots, const struct arch_boot *boot)
{
	int err = cpuid_setup(kvm_fd, vcpu_fd, index, cpus, snapshots);

	(void)vm_fd;
	if (err)
		return err;
	err = offer_msrs(vcpu_fd);
	if (err)
		return err;
	if (index != 0) /* waits for INIT and SIPI from the kernel */
		return 0;
	err = set_fpu(vcpu_fd);
	if (!err)
		err = set_lapic(vcpu_fd);
	if (!err)
		err = set_sregs(vcpu_fd, boot->entry == BOOT_ENTRY_64);
	if (!err)
		err = set_regs(vcpu_fd, boot);
	return err;
}

/* Handle KVM_EXIT_IO. KVM limits the data of one exit to a page, so a string instruction with a
 * huge count takes several exits, and the vCPU sees a stop request between them. */
bool arch_vcpu_exit(struct kvm_run *run, const struct bus *pio, struct vm_exit *vm_exit)
{
	uint8_t *data;

	(void)vm_exit;
	if (run->exit_reason != KVM_EXIT_IO)
		return false;
	data = (uint8_t *)run + run->io.data_offset;
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(pio, run->io.port, data, run->io.size);
		else
			bus_read(pio, run->io.port, data, run->io.size);
	}
	return true;
}

/* KVM on AMD processors resets a vCPU after a triple fault, because its state is undefined then
 * (AMD APM vol. 2, 15.14.3). The address of a vCPU at the reset vector says nothing therefore. */
bool arch_vcpu_pc(int vcpu_fd, uint64_t *pc)
{
	struct kvm_regs regs;

	if (ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 || regs.rip == RESET_IP)
		return false;
	*pc = regs.rip;
	return true;
}

void arch_vcpu_resumed(int vcpu_fd)
{
	/* The ioctl fails if the guest does not use kvm-clock or KVM lacks it; no notification is
	 * needed then. */
	ioctl(vcpu_fd, KVM_KVMCLOCK_CTRL, 0);
}
