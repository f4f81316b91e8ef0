/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loader: loads kernel, initrd and command line into guest RAM.
 *
 * The loader implements --kernel, --initrd, --append, --cmdline, --describe and --dump-dtb. Only
 * the main thread calls these functions, during set-up; a helper thread reads the files (reader.h).
 */
#ifndef VMM_BOOT_LOADER_H
#define VMM_BOOT_LOADER_H

#include <stddef.h>

#include "dataplane/hostmem.h"
#include "vmm/arch.h"
#include "vmm/boot/reader.h"
#include "vmm/devlist.h"
#include "vmm/options/options.h"

/* List the machine's devices in the form that --describe asks for. Returns 0, or -errno after
 * reporting the error. */
int loader_devices(const struct machine_config *config, struct devlist *devices);

/*
 * Write the kernel's command line to `line`: --cmdline unchanged if given; otherwise the default
 * line, the disks for kernels that only find them there, root= if there is a disk and no initrd,
 * and --append last, so that it takes precedence. Returns 0, or -E2BIG if it does not fit in `size`
 * bytes.
 */
int loader_cmdline(const struct machine_config *config, const struct devlist *devices, char *line,
		   size_t size);

/* State of the loader. The caller zeroes it before loader_begin. */
struct loader {
	const struct machine_config *config;
	int kernel_fd;
	int initrd_fd;
	int tree_fd;	   /* the file of --dump-dtb */
	bool tree_is_ours; /* this process created that file and has not written it yet */
	struct bootread read;
	bool open;
};

/*
 * Open all files, check kernel and initrd, and start to read them into guest RAM. The file of
 * --dump-dtb is opened, too, so that errors in the user's files are reported before KVM is
 * needed. The caller owns *boot and frees it with free(). Returns 0, or -errno after reporting the
 * error.
 */
int loader_begin(struct loader *l, const struct machine_config *config,
		 const struct devlist *devices, const struct hostmem *mem, struct arch_boot **boot);

/* Wait until all data are in guest RAM, then close all files as loader_cancel does. Returns 0, or
 * -errno after reporting the error. */
int loader_finish(struct loader *l);

/*
 * Stop reading and close all files; afterwards the caller may unmap guest RAM. The function removes
 * a file that loader_begin created for --dump-dtb and that was never written. It may be called in
 * any state, and more than once.
 */
void loader_cancel(struct loader *l);

/* Write the device tree to the file of --dump-dtb, after arch_vm_finish and before loader_finish.
 * Returns 0, or -errno after reporting the error. */
int loader_dump_tree(struct loader *l, const struct arch_boot *boot);

#endif
