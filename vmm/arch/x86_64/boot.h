/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot: what the parts of arch_boot_load share. Main thread, set-up only.
 *
 * A function that fails has filled *error.
 */
#ifndef VMM_X86_BOOT_H
#define VMM_X86_BOOT_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/file.h"

enum boot_entry {
	BOOT_ENTRY_64,	/* long mode, RSI = boot_params (Linux boot protocol 2.12, 64-bit) */
	BOOT_ENTRY_PVH, /* 32-bit protected mode, EBX = hvm_start_info (Xen HVM direct boot ABI) */
};

struct arch_boot {
	enum boot_entry entry;
	uint64_t ip;	  /* GPA of the first instruction */
	uint64_t params;  /* GPA of what the entry wants in its register */
	const void *tree; /* in guest RAM; NULL: ACPI tables describe the machine */
};

/* Bytes at the start of a kernel file that are enough to tell what it is and to hold the whole
 * setup header of a bzImage; shorter files are padded with zeros. */
#define BOOT_HEAD_SIZE 1024

/* A kernel in RAM, and what the kernel said about itself. */
struct boot_kernel {
	struct arch_boot boot;
	uint64_t start, end;	 /* GPAs it needs until it manages memory itself */
	uint64_t initrd_limit;	 /* the initrd ends here or below */
	uint64_t cmdline_max;	 /* characters, without the NUL */
	struct setup_header hdr; /* of a bzImage as in the file; of other kernels made up */
	bool wants_tree;	 /* known before it is loaded */
};

/* Why a kernel of either format cannot be where it is linked. */
#define BOOT_BELOW_1_MIB "wants to be loaded below 1 MiB, where the machine's tables are"
#define BOOT_BEYOND_RAM	 "wants to be loaded beyond 3 GiB, where no guest has memory"

/* RAM from 0 up to the hole: where the kernel and the initrd have to be. */
uint64_t boot_low_ram(const struct arch_boot_config *config);

/* bzimage.c: true when the head has the magic numbers of a bzImage. */
bool bzimage_probe(const uint8_t head[BOOT_HEAD_SIZE]);
int bzimage_load(const struct arch_boot_config *config, const struct boot_file *file,
		 const uint8_t head[BOOT_HEAD_SIZE], struct boot_kernel *kernel,
		 struct arch_boot_error *error);

/* elf.c */
bool elf_probe(const uint8_t head[BOOT_HEAD_SIZE]);
int elf_load(const struct arch_boot_config *config, const struct boot_file *file,
	     const uint8_t head[BOOT_HEAD_SIZE], struct boot_kernel *kernel,
	     struct arch_boot_error *error);

/* bootparams.c: command line, then what the kernel's entry wants to be told. -EFAULT: the
 * structures are not in guest RAM. */
int bootparams_write(const struct arch_boot_config *config, const struct boot_kernel *kernel,
		     const struct boot_initrd *initrd);

/*
 * tree.c: the device tree, in the setup_data node at LAYOUT_TREE that bootparams_write has told of.
 * *tree is in guest RAM. -EFAULT as above; -ENOSPC: it does not fit there.
 */
int tree_write(const struct arch_boot_config *config, const struct boot_initrd *initrd,
	       const void **tree);

/* cpu.c: GDT and identity page tables for the first vCPU, and code at the reset vector that resets
 * the machine. -EFAULT as above. */
int cpu_write_tables(const struct hostmem *mem);

/*
 * cpuid.c: turn what KVM supports into the leaves of vCPU `index`: one socket of `cpus` cores, one
 * thread each, APIC id = index. Needs CPUID_SPARE entries of room behind the last. The vCPU gets
 * the result by cpuid_setup.
 */
#define CPUID_SPARE 6
struct kvm_cpuid2;
void cpuid_adjust(struct kvm_cpuid2 *cpuid, unsigned int index, unsigned int cpus,
		  bool tsc_deadline);
int cpuid_setup(int kvm_fd, int vcpu_fd, unsigned int index, unsigned int cpus);

#endif
