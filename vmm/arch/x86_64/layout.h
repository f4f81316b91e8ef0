/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout: guest physical memory map and I/O ports of the x86_64 machine.
 *
 * RAM is [0, LAYOUT_HOLE), and the RAM that does not fit there is at 4 GiB and above. All data that
 * the VMM writes for the kernel are below 1 MiB; the rest is free for the kernel and the initrd.
 */
#ifndef VMM_ARCH_X86_64_LAYOUT_H
#define VMM_ARCH_X86_64_LAYOUT_H

#include <stdint.h>

#define LAYOUT_HOLE 0xc0000000ull /* end of low RAM at the latest; MMIO is above */
#define LAYOUT_4G   0x100000000ull

/* Returns the size of low RAM, from 0 to the MMIO hole, in a guest with `size` bytes of RAM. Kernel
 * and initrd must be inside it. */
static inline uint64_t layout_low_ram(uint64_t size)
{
	return size < LAYOUT_HOLE ? size : LAYOUT_HOLE;
}

/* Boot structures. The kernel reads them before it allocates memory for the first time. Until then
 * it does not use the first 64 KiB, and it puts its 16-bit trampoline right below LAYOUT_EBDA. */
#define LAYOUT_GDT	    0x1000ull
#define LAYOUT_BOOT_PARAMS  0x2000ull /* one page */
#define LAYOUT_PVH_INFO	    0x3000ull /* start info, module list, memory map: one page */
#define LAYOUT_SETUP_DATA   0x4000ull /* one page */
#define LAYOUT_PAGE_TABLES  0x9000ull /* PML4, PDPT and 4 page directories */
#define LAYOUT_CMDLINE	    0x10000ull
#define LAYOUT_CMDLINE_SIZE 0x10000ull /* including the NUL */
#define LAYOUT_EBDA	    0x9fc00ull /* extended BIOS data area: end of usable low memory */
#define LAYOUT_ACPI	    0xe0000ull /* RSDP at the start, where kernels scan the BIOS area */
#define LAYOUT_ACPI_SIZE    0x1f000ull
/* A device tree takes the place of the ACPI tables: a struct setup_data that contains the tree. */
#define LAYOUT_TREE	    LAYOUT_ACPI
#define LAYOUT_TREE_SIZE    LAYOUT_ACPI_SIZE
#define LAYOUT_GENERATION   0xff000ull	/* VM Generation ID: 16 bytes */
#define LAYOUT_RESET_VECTOR 0xffff0ull	/* entry point of a BIOS: 16 bytes */
#define LAYOUT_HIGH_MEMORY  0x100000ull /* kernels load here or above */

/* MMIO */
#define LAYOUT_VIRTIO	   0xd0000000ull
#define LAYOUT_VIRTIO_SIZE 0x1000u	 /* per device */
#define LAYOUT_POWER	   0xd0010000ull /* registers of LAYOUT_ACPI_PM, for kernels without ACPI */
#define LAYOUT_EXIT_PORTS  0xd0020000ull /* port N of --exit-port is also N bytes from here */
#define LAYOUT_IOAPIC	   0xfec00000u
#define LAYOUT_LAPIC	   0xfee00000u
/* Pages that KVM needs on Intel processors (KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR). */
#define LAYOUT_KVM_IDENTITY_MAP 0xfffbc000ull
#define LAYOUT_KVM_TSS		0xfffbd000ull /* 3 pages */

/* Ports */
#define LAYOUT_I8042	      0x60u
#define LAYOUT_I8042_SIZE     5u
#define LAYOUT_SERIAL	      0x3f8u
#define LAYOUT_SERIAL_SIZE    8u
#define LAYOUT_SERIAL_GSI     4u
#define LAYOUT_GENERATION_GSI 13u /* of the FPU in a PC, and free in this machine */
#define LAYOUT_BUTTON_GSI     23u /* last pin of the I/O APIC; disks use pins up to 22 */
#define LAYOUT_PVPANIC	      0x505u
#define LAYOUT_PVPANIC_SIZE   1u
#define LAYOUT_ACPI_PM	      0x600u
#define LAYOUT_ACPI_PM_SIZE   3u

/* Register offsets of the ACPI PM device, one byte each (ACPI 6.4, 4.8.3.7 and 4.8.3.6). */
#define ACPI_PM_SLEEP_CONTROL 0u
#define ACPI_PM_SLEEP_STATUS  1u
#define ACPI_PM_RESET	      2u

#define ACPI_SLEEP_ENABLE     0x20u /* SLP_EN of the sleep control register */
#define ACPI_SLEEP_TYPE_SHIFT 2
#define ACPI_SLEEP_TYPE_MASK  0x1cu
#define ACPI_SLEEP_TYPE_S5    5u    /* sleep type in the \_S5 object */
#define ACPI_RESET_VALUE      0x52u /* RESET_VALUE in the FADT; a stray 0 or 1 does not reset */

#endif
