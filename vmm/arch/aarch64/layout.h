/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout: where everything is in the aarch64 machine's guest physical space. MMIO is below 1 GiB,
 * RAM is all of it from there on: the kernel where it begins, the device tree in the 2 MiB behind
 * the kernel, the initrd at the end.
 */
#ifndef VMM_ARM64_LAYOUT_H
#define VMM_ARM64_LAYOUT_H

/* Interrupt controller: version 3 has redistributors, version 2 a CPU interface. */
#define LAYOUT_GICD	   0x08000000ull
#define LAYOUT_GICD_SIZE   0x10000ull /* of version 2: the first page */
#define LAYOUT_GICC	   0x08010000ull
#define LAYOUT_GICC_SIZE   0x2000ull
#define LAYOUT_GICR	   0x08100000ull
#define LAYOUT_GICR_SIZE   0x20000ull /* per vCPU */

#define LAYOUT_SERIAL	   0x20000000ull /* above 1024 redistributors */
#define LAYOUT_SERIAL_SIZE 8u
#define LAYOUT_VIRTIO	   0x21000000ull
#define LAYOUT_VIRTIO_SIZE 0x10000u /* per device: a page of any host */

#define LAYOUT_RAM	   0x40000000ull

/* Interrupts are KVM's GSIs: shared peripheral interrupts, counted from 0. */
#define LAYOUT_SERIAL_GSI 0u
#define LAYOUT_VIRTIO_GSI 1u
/* All interrupt ids of the controller: 32 private ones, and a multiple of 32. */
#define LAYOUT_GIC_IDS 64u

/* A device tree has at most so much room, and is aligned to it (Linux, arm64/booting.rst). */
#define LAYOUT_TREE_SIZE 0x200000ull

#endif
