/* SPDX-License-Identifier: BSD-3-Clause */
/* Constants shared by start.S and machine.c. */
#ifndef BARE_X86_START_H
#define BARE_X86_START_H

/* First argument of arch_main: the entry point, which determines the second argument. */
#define BOOT_PVH	0 /* struct hvm_start_info */
#define BOOT_BZIMAGE	1 /* struct boot_params */
#define BOOT_CPU	2 /* the second CPU; unused */

#define SEL_KERNEL_CODE 0x08
#define SEL_32_CODE	0x10
#define SEL_32_DATA	0x18
#define SEL_USER_DATA	0x23
#define SEL_USER_CODE	0x2b
#define SEL_TSS		0x30
#define SEL_TSS_1	0x40

/* Exceptions, and one interrupt vector for each of two devices. */
#define IDT_ENTRIES 0x42
#define IRQ_VECTOR  0x40

#endif
