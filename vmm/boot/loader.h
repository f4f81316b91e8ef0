/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loader: from the user's --kernel, --initrd, --append and --cmdline to guest RAM that can be run,
 * and which devices it is told of.
 * Main thread, set-up only; it has a thread read the files (bootread.h).
 */
#ifndef VMM_LOADER_H
#define VMM_LOADER_H

#include <stddef.h>

#include "dataplane/hostmem.h"
#include "vmm/arch.h"
#include "vmm/boot/reader.h"
#include "vmm/devlist.h"
#include "vmm/options/options.h"

/* The machine's devices, told of as --describe wants it. 0 or -errno, already reported. */
int loader_devices(const struct machine_config *config, struct devlist *devices);

/*
 * The kernel's command line: --cmdline as it is; or the default line, the disks for kernels that
 * look for them there, root= where nobody else mounts it, and --append last, so that it wins.
 * -E2BIG: does not fit in `size` bytes.
 */
int loader_cmdline(const struct machine_config *config, const struct devlist *devices, char *line,
		   size_t size);

/* All zero until loader_begin. */
struct loader {
	const struct machine_config *config;
	int kernel_fd;
	int initrd_fd;
	int tree_fd;	   /* --dump-dtb's file */
	bool tree_is_ours; /* this process created that file, and has not written to it yet */
	struct bootread read;
	bool open;
};

/*
 * Open all files, --dump-dtb's included, so that an error in what the user named is reported before
 * KVM is needed. Judge kernel and initrd and begin to read them into guest RAM. *boot is the
 * caller's: free(). 0 or -errno, already reported.
 */
int loader_begin(struct loader *l, const struct machine_config *config,
		 const struct devlist *devices, const struct hostmem *mem, struct arch_boot **boot);

/* Wait until all of it is there. As above. */
int loader_finish(struct loader *l);

/*
 * Stop reading and close all files. The caller may unmap guest RAM then. A file that was created for
 * --dump-dtb and never written is removed. May be called in any state, and more than once.
 */
void loader_cancel(struct loader *l);

/* Write --dump-dtb, once arch_vm_finish is done. 0 or -errno, already reported. */
int loader_dump_tree(struct loader *l, const struct arch_boot *boot);

#endif
