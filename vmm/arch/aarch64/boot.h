/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot: declarations shared by the files of the aarch64 boot code.
 *
 * Main thread, set-up only. A function that has an `error` parameter fills *error when it fails.
 */
#ifndef VMM_ARCH_AARCH64_BOOT_H
#define VMM_ARCH_AARCH64_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/file.h"
#include "vmm/boot/initrd.h"

/* Entry state of the first vCPU: it starts at `entry` with X0 = tree (Linux, arm64/booting.rst). */
struct arch_boot {
	uint64_t entry; /* GPA */
	uint64_t tree;	/* GPA */
	void *tree_at;	/* the device tree in this process: LAYOUT_TREE_SIZE bytes of guest RAM */
};

/* A kernel in guest RAM: the GPA of its first instruction, and the end of the range that it needs
 * until it manages memory itself. */
struct boot_kernel {
	uint64_t entry;
	uint64_t end;
};

/* Load an Image, plain or gzip-compressed, at the beginning of RAM (image.c). The decompressed data
 * are checked as they arrive, and never exceed RAM. Returns 0 or -errno. */
int kernel_load(const struct arch_boot_config *config, struct boot_kernel *kernel,
		struct arch_boot_error *error);

/* Write the device tree of a machine with a GICv3 to `area` (tree.c; Devicetree Specification 0.4
 * and the kernel's bindings). Returns 0, or -ENOSPC if it does not fit in `size` bytes. */
int tree_build(void *area, size_t size, const struct arch_boot_config *config,
	       const struct boot_initrd *initrd);
/* Change the tree in place to describe a machine with a GICv2. Returns 0 or -ENOSPC. */
int tree_use_gicv2(void *tree, size_t size);

/* Return the affinity fields of MPIDR_EL1 that KVM gives to vCPU `index`; they are the reg property
 * of the vCPU's node in the device tree. */
static inline uint32_t vcpu_affinity(unsigned int index)
{
	return (index >> 4 & 0xff) << 8 | (index & 0xf);
}

#endif
