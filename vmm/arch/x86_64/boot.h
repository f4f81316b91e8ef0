/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot: declarations shared by the files of the x86_64 boot code.
 *
 * Main thread, set-up only. A function that has an `error` parameter fills *error when it fails.
 */
#ifndef VMM_ARCH_X86_64_BOOT_H
#define VMM_ARCH_X86_64_BOOT_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/file.h"
#include "vmm/boot/initrd.h"

enum boot_entry {
	BOOT_ENTRY_64,	/* long mode, RSI = boot_params (Linux boot protocol 2.12, 64-bit) */
	BOOT_ENTRY_PVH, /* 32-bit protected mode, EBX = hvm_start_info (Xen HVM direct boot ABI) */
};

struct arch_boot {
	enum boot_entry entry;
	uint64_t ip;	  /* GPA of the first instruction */
	uint64_t params;  /* GPA that the entry protocol passes in RSI or EBX */
	const void *tree; /* device tree in guest RAM; NULL: ACPI tables describe the machine */
};

/* Size of the head, the start of a kernel file: enough to recognise the format and to contain the
 * whole setup header of a bzImage. The head of a shorter file is padded with zeros. */
#define BOOT_HEAD_SIZE 1024

/* A kernel in guest RAM, with the requirements from its headers. */
struct boot_kernel {
	struct arch_boot boot;
	uint64_t start, end;	 /* range of GPAs that it needs until it manages memory itself */
	uint64_t initrd_limit;	 /* GPA; the end of the initrd must not be above */
	uint64_t cmdline_max;	 /* characters, without the NUL */
	struct setup_header hdr; /* from the file of a bzImage; synthetic for other kernels */
	bool wants_tree;	 /* boot with a device tree; set before loading */
};

/* Errors of both formats for a kernel that is linked to an address where it cannot be loaded. */
#define BOOT_BELOW_1_MIB "wants to be loaded below 1 MiB, where the machine's tables are"
#define BOOT_BEYOND_RAM	 "wants to be loaded beyond 3 GiB, where no guest has memory"

/* Return whether the head has the magic numbers of a bzImage (bzimage.c). */
bool bzimage_probe(const uint8_t head[BOOT_HEAD_SIZE]);
/* Check a bzImage and queue its read into guest RAM (bzimage.c). Returns 0 or -errno. */
int bzimage_load(const struct arch_boot_config *config, const struct boot_file *file,
		 const uint8_t head[BOOT_HEAD_SIZE], struct boot_kernel *kernel,
		 struct arch_boot_error *error);

/* Return whether the head has the magic number of an ELF file (elf.c). */
bool elf_probe(const uint8_t head[BOOT_HEAD_SIZE]);
/* Check an ELF kernel and queue the reads of its segments (elf.c). Returns 0 or -errno. */
int elf_load(const struct arch_boot_config *config, const struct boot_file *file,
	     const uint8_t head[BOOT_HEAD_SIZE], struct boot_kernel *kernel,
	     struct arch_boot_error *error);

/* Write the command line and the structure that the kernel's entry protocol expects (bootparams.c).
 * Returns 0, or -EFAULT if they are not in guest RAM. */
int bootparams_write(const struct arch_boot_config *config, const struct boot_kernel *kernel,
		     const struct boot_initrd *initrd);

/*
 * Write the device tree to the setup_data node at LAYOUT_TREE, to which the boot_params refer
 * (tree.c). *tree then points into guest RAM. Returns 0, -EFAULT if the node is not in guest RAM,
 * or -ENOSPC if the tree does not fit there.
 */
int tree_write(const struct arch_boot_config *config, const struct boot_initrd *initrd,
	       const void **tree);

/* Write the GDT and identity page tables for the first vCPU, and code at the reset vector that
 * resets the machine (cpu.c). Returns 0, or -EFAULT if they are not in guest RAM. */
int cpu_write_tables(const struct hostmem *mem);

#define CPUID_SPARE 6 /* entries that cpuid_adjust may add */
struct kvm_cpuid2;
/* Turn the CPUID leaves that KVM supports into those of vCPU `index`: one socket of `cpus` cores,
 * one thread each, APIC ID = index (cpuid.c). The array needs room for CPUID_SPARE more entries. */
void cpuid_adjust(struct kvm_cpuid2 *cpuid, unsigned int index, unsigned int cpus,
		  bool tsc_deadline);
/* Set the CPUID leaves of vCPU `index` from those that KVM supports and cpuid_adjust adapts. A guest
 * of which snapshots can be taken gets no async page faults. Returns 0 or -errno. */
int cpuid_setup(int kvm_fd, int vcpu_fd, unsigned int index, unsigned int cpus, bool snapshots);

#endif
