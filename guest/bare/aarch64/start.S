/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entry points of a freestanding guest: the Image's entry (X0: the device tree; Linux,
 * arm64/booting.rst), and the second CPU's, by PSCI's CPU_ON. The guest runs at EL1.
 *
 * Until the MMU is on, nothing is stored: a store that bypasses the caches might never become
 * visible to the host. The page tables are part of the image.
 */
#define MAIR	  0x44ff04	   /* 0: device, nGnRE; 1: write-back; 2: not cacheable */
#define TCR	  0x200803519	   /* TTBR0: 39 bits, 4 KiB pages, write-back; 40-bit output */
#define SCTLR	  0x30d0180d	   /* MMU, caches, aligned stack, and bits that are always 1 */
#define DEVICE	  0x60000000000401 /* blocks of 1 GiB: read and written at EL1, not executed */
#define UNCACHED  0x60000000000709
#define CACHED	  0x40000000000705
#define INTERRUPT_FRAME 192

	/* Loading literals is safe: this CPU has not stored them. */
	.macro	start_cpu stack
	adr	x1, tables
	msr	ttbr0_el1, x1
	ldr	x1, =MAIR
	msr	mair_el1, x1
	ldr	x1, =TCR
	msr	tcr_el1, x1
	adr	x1, vectors
	msr	vbar_el1, x1
	tlbi	vmalle1
	ic	iallu
	dsb	nsh
	isb
	ldr	x1, =SCTLR
	msr	sctlr_el1, x1
	isb
	msr	spsel, #1
	ldr	x1, =\stack
	mov	sp, x1
	.endm

	.section .head, "ax"
	.globl	head, cpu_entry
head:
	b	entry
	.long	0
	.quad	0	  /* text_offset */
	.quad	bare_need /* image_size */
	.quad	2	  /* flags: little-endian, pages of 4 KiB, where RAM begins */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

entry:
	start_cpu stack_0
	ldr	x1, =bare_file_end
	ldr	x2, =bare_end
1:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	1b
	b	arch_main

cpu_entry:
	start_cpu stack_1
	b	second_cpu

	.ltorg

	/* ---- interrupts are counted; any other exception ends the VM ---- */
	.macro	vector to
	.balign	128
	b	\to
	.endm

	.text
	.balign	2048
vectors:
	.rept	4 /* with EL0's stack */
	vector	exception
	.endr
	vector	exception
	vector	interrupt
	.rept	10
	vector	exception
	.endr

exception:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	ldr	x3, =stack_exception
	mov	sp, x3
	b	arch_exception

interrupt:
	stp	x0, x1, [sp, #-INTERRUPT_FRAME]!
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x29, [sp, #144]
	mrs	x1, elr_el1
	stp	x30, x1, [sp, #160]
	mrs	x1, spsr_el1
	str	x1, [sp, #176]
	bl	gic_interrupt
	ldr	x1, [sp, #176]
	msr	spsr_el1, x1
	ldp	x30, x1, [sp, #160]
	msr	elr_el1, x1
	ldp	x18, x29, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp], #INTERRUPT_FRAME
	eret

	/* ---- the page table ---- */
	.data
	.balign	4096
	/*
	 * Devices in the first GiB and RAM above it, identity-mapped; the devices again at the end
	 * (machine.h).
	 */
tables:	.quad	DEVICE
	.set	address, 0x40000000
	.rept	510
	.quad	address + CACHED
	.set	address, address + 0x40000000
	.endr
	.quad	UNCACHED

	.bss
	.balign	4096
	.fill	32768, 1, 0
stack_0:
	.fill	32768, 1, 0
stack_1:
	.fill	4096, 1, 0
stack_exception:
