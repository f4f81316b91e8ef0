/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot: what the parts of this architecture share. Main thread, set-up only. A function that gets an
 * `error` has filled it when it fails.
 */
#ifndef VMM_ARM64_BOOT_H
#define VMM_ARM64_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/file.h"

/* The first vCPU enters at `entry` with X0 = tree (Linux, arm64/booting.rst). */
struct arch_boot {
	uint64_t entry; /* GPA */
	uint64_t tree;	/* GPA */
	void *tree_at;	/* the same in this process: LAYOUT_TREE_SIZE bytes of guest RAM */
};

/* A kernel in RAM: GPAs of its first instruction, and behind all it needs until it manages memory
 * itself. */
struct boot_kernel {
	uint64_t entry;
	uint64_t end;
};

/* image.c: an Image, or one that gzip has compressed, to the beginning of RAM. What is decompressed
 * is judged as it comes, and never more than fits into RAM. */
int kernel_load(const struct arch_boot_config *config, struct boot_kernel *kernel,
		struct arch_boot_error *error);

/*
 * tree.c: the device tree (Devicetree Specification 0.4, and the kernel's bindings) of a machine
 * with a GIC of version 3. -ENOSPC: it does not fit into `size` bytes.
 */
int tree_build(void *area, size_t size, const struct arch_boot_config *config,
	       const struct boot_initrd *initrd);
/* Make it that of a machine with a GIC of version 2, in the same bytes. */
int tree_use_gicv2(void *tree, size_t size);

/* The affinity fields of MPIDR_EL1 as KVM gives them to vCPU `index`: the tree's name for it. */
static inline uint32_t vcpu_affinity(unsigned int index)
{
	return (index >> 4 & 0xff) << 8 | (index & 0xf);
}

#endif
