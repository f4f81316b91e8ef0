/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entry points of a freestanding guest: the bzImage's 64-bit entry (RSI: boot_params), PVH's 32-bit
 * entry (EBX: start info), and the second CPU's start-up IPI. All continue in 64-bit code at CPL 3.
 *
 * As little code as possible runs at CPL 0: a KVM without hardware virtualization emulates each of
 * its instructions, while CPL 3 runs natively. Such a KVM was seen to lose an IOPL that iretq or
 * popfq set, so the TSS's bitmap opens the ports, and interrupts are always enabled and held off by
 * the local APIC's task priority.
 */
#include "guest/bare/x86_64/start.h"

#define CR0_PE	  0x1
#define CR0_PG	  0x80000000
#define CR4_PAE	  0x20
#define MSR_EFER  0xc0000080
#define EFER_LME  0x100
#define USER_FLAGS 0x202 /* interrupts on, and the bit that is always 1 */
#define PIC_MASK_1 0x21
#define PIC_MASK_2 0xa1
#define LAPIC_EOI 0xfee000b0

	.section .head, "awx"
head:
	/* Offset 0: the 32-bit entries of both protocols. microvm does not use the bzImage's. */
	.code32
	.globl	pvh_entry
pvh_entry:
	movl	%ebx, %esi
	movl	$BOOT_PVH, %edi
	jmp	to_64

	/* Offset 0x200: the 64-bit entry of the Linux boot protocol. */
	.org	0x200
	.code64
	movl	$stack_kernel_0, %esp
	movl	$BOOT_BZIMAGE, %edi

in_64:
	/* The PIC's interrupts are masked: no handler serves them. */
	movb	$0xff, %al
	outb	%al, $PIC_MASK_1
	outb	%al, $PIC_MASK_2
	lgdt	gdt_pointer(%rip)
	lidt	idt_pointer(%rip)
	movl	$pml4, %eax
	movq	%rax, %cr3
	movl	$SEL_USER_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	$SEL_TSS, %eax
	movl	$stack_0, %ecx
	cmpl	$BOOT_CPU, %edi
	jne	1f
	movl	$SEL_TSS_1, %eax
	movl	$stack_1, %ecx
1:	ltr	%ax
	pushq	$SEL_USER_DATA
	pushq	%rcx
	pushq	$USER_FLAGS
	pushq	$SEL_USER_CODE
	pushq	$arch_main
	iretq

	.code32
to_64:
	lgdt	gdt_pointer
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$(CR0_PG | CR0_PE), %eax
	movl	%eax, %cr0
	ljmp	$SEL_KERNEL_CODE, $from_32

	.code64
from_32:
	/* iretq needs a stack, and the boot protocols do not promise a usable one. */
	movl	$stack_kernel_0, %esp
	cmpl	$BOOT_CPU, %edi
	jne	in_64
	movl	$stack_kernel_1, %esp
	jmp	in_64

	/* The second CPU starts in real mode, at the page that its start-up IPI names. */
	.code16
	.globl	cpu_trampoline, cpu_trampoline_end
cpu_trampoline:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	trampoline_gdt - cpu_trampoline
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_32_CODE, $trampoline_32
trampoline_gdt:
	.word	gdt_end - gdt - 1
	.long	gdt
cpu_trampoline_end:

	.code32
trampoline_32:
	movl	$SEL_32_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$BOOT_CPU, %edi
	jmp	to_64

	/* ---- descriptor tables ---- */
	.balign	16
gdt:	.quad	0
	.quad	0x00af9b000000ffff /* SEL_KERNEL_CODE: 64 bits */
	.quad	0x00cf9b000000ffff /* SEL_32_CODE */
	.quad	0x00cf93000000ffff /* SEL_32_DATA */
	.quad	0x00aff3000000ffff /* SEL_USER_DATA */
	.quad	0x00affb000000ffff /* SEL_USER_CODE */
	/*
	 * Two TSS with a bitmap for the ports below 0x800. bare.ld sets bits 23:16 of their base to
	 * 0, since they are in the first 64 KiB.
	 */
	.word	0x168
	.word	tss_0 - head
	.byte	0x20, 0x89, 0, 0
	.quad	0
	.word	0x168
	.word	tss_1 - head
	.byte	0x20, 0x89, 0, 0
	.quad	0
gdt_end:
idt_pointer:
	.word	IDT_ENTRIES * 16 - 1
	.quad	bare_idt
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.balign	16
tss_0:	.long	0
	.quad	stack_kernel_0
	.fill	0x66 - 12, 1, 0
	.word	0x68
	.fill	0x100, 1, 0
	.byte	0xff
	.balign	16
tss_1:	.long	0
	.quad	stack_kernel_1
	.fill	0x66 - 12, 1, 0
	.word	0x68
	.fill	0x100, 1, 0
	.byte	0xff

	/* ---- interrupts and exceptions: counted or recorded at CPL 0, evaluated at CPL 3 ---- */
	.code64
	.text
	.globl	irq_entry_a, irq_entry_b, exception_entries, crash_entry
crash_entry:
	/* KVM's instruction emulator does not know cmpxchg16b; elsewhere ud2 ends the VM. */
	cmpxchg16b -56(%rsp)
	movl	$0, bare_idt + 6 * 16
	ud2
irq_entry_a:
	incq	irq_count(%rip)
	jmp	end_of_interrupt
irq_entry_b:
	incq	irq_count + 8(%rip)
end_of_interrupt:
	pushq	%rax
	movl	$LAPIC_EOI, %eax
	movl	$0, (%rax)
	popq	%rax
	iretq

	.balign	16
exception_entries:
	.set	vector, 0
	.rept	32
	.balign	16
	/* Exceptions without an error code push one, so that all frames have the same layout. */
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq	$0
	.endif
	pushq	$vector
	jmp	exception
	.set	vector, vector + 1
	.endr

exception:
	popq	exception_vector(%rip)
	popq	exception_error(%rip)
	pushq	%rax
	movq	8(%rsp), %rax
	movq	%rax, exception_rip(%rip)
	movq	%cr2, %rax
	movq	%rax, exception_address(%rip)
	popq	%rax
	movq	$arch_exception, (%rsp)
	iretq

	/* ---- page tables ---- */
	.data
	/* The lowest 4 GiB, identity-mapped, accessible at CPL 3. */
	.balign	4096
pml4:	.quad	pdpt + 7
	.fill	511, 8, 0
pdpt:	.quad	directories + 0x0007, directories + 0x1007, directories + 0x2007, directories + 0x3007
	.fill	508, 8, 0
directories:
	.set	address, 0
	.rept	2048
	.quad	address + 0x87
	.set	address, address + 0x200000
	.endr

	.bss
	.balign	4096
	.fill	16384, 1, 0
stack_0:
	.fill	16384, 1, 0
stack_1:
	.fill	4096, 1, 0
stack_kernel_0:
	.fill	4096, 1, 0
stack_kernel_1:

	/* ---- headers for the loaders ---- */
	.section .note.PVH, "a", @note
	.balign	4
	.long	4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	pvh_entry

	/* A boot sector and one setup sector, without code: only the boot protocol's header. */
	.section .setup, ""
	.org	0x1f1
	.byte	1	  /* setup_sects */
	.word	0	  /* root_flags */
	.long	bare_paragraphs
	.word	0, 0, 0
	.word	0xaa55
	.byte	0xeb, header_end - header
header:	.ascii	"HdrS"
	.word	0x20f	  /* version */
	.org	0x211
	.byte	1	  /* loadflags: LOADED_HIGH */
	.org	0x22c
	.long	0x7fffffff /* initrd_addr_max */
	.long	0x200000  /* kernel_alignment */
	.byte	0, 21	  /* relocatable_kernel, min_alignment */
	.word	1	  /* xloadflags: 64-bit entry */
	.long	2047	  /* cmdline_size */
	.org	0x258
	.quad	bare_start /* pref_address */
	.long	bare_need /* init_size */
	.org	0x268
header_end:
	.org	1024
