/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout: guest physical memory map of the aarch64 machine.
 *
 * MMIO is below 1 GiB. RAM begins at 1 GiB and is contiguous: the kernel at its start, the device
 * tree in the next aligned 2 MiB behind the kernel, the initrd at the end.
 */
#ifndef VMM_ARCH_AARCH64_LAYOUT_H
#define VMM_ARCH_AARCH64_LAYOUT_H

/* Interrupt controller: GICv3 has redistributors (GICR), GICv2 has a CPU interface (GICC). */
#define LAYOUT_GICD	   0x08000000ull
#define LAYOUT_GICD_SIZE   0x10000ull /* bytes; GICv2 uses the first 4 KiB */
#define LAYOUT_GICC	   0x08010000ull
#define LAYOUT_GICC_SIZE   0x2000ull
#define LAYOUT_GICR	   0x08100000ull
#define LAYOUT_GICR_SIZE   0x20000ull /* per vCPU */

#define LAYOUT_SERIAL	   0x20000000ull /* above 1024 redistributors */
#define LAYOUT_SERIAL_SIZE 8u
#define LAYOUT_EXIT_PORTS  0x20010000ull /* port N of --exit-port is N bytes from here */
#define LAYOUT_VIRTIO	   0x21000000ull
#define LAYOUT_VIRTIO_SIZE 0x10000u /* per device: the largest host page */

#define LAYOUT_RAM	   0x40000000ull

/* KVM GSIs of the devices: numbers of shared peripheral interrupts, counted from 0. */
#define LAYOUT_SERIAL_GSI 0u
#define LAYOUT_VIRTIO_GSI 1u
/* Interrupt IDs of the controller, including the 32 private ones; a multiple of 32. */
#define LAYOUT_GIC_IDS 64u

/* Maximum size and alignment of the device tree (Linux, arm64/booting.rst). */
#define LAYOUT_TREE_SIZE 0x200000ull

#endif
