/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/arch/aarch64/boot.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/layout.h"

#define CMDLINE_MAX \
	2047 /* COMMAND_LINE_SIZE - 1 of the kernel, which would truncate a longer line */
#define INITRD_WINDOW (32ull << 30) /* kernel and initrd must both be in it (booting.rst) */

static int load_initrd(const struct arch_boot_config *config, uint64_t floor,
		       struct boot_initrd *initrd, struct arch_boot_error *error)
{
	uint64_t ram = config->ram_size < INITRD_WINDOW ? config->ram_size : INITRD_WINDOW;
	int err;

	err = boot_initrd_load(config, floor, LAYOUT_RAM + ram, initrd, error);
	if (err && error->memory)
		error->memory -= LAYOUT_RAM;
	if (err && error->memory > INITRD_WINDOW)
		error->memory = 0;
	return err;
}

static int load_all(const struct arch_boot_config *config, struct arch_boot *boot,
		    struct arch_boot_error *error)
{
	struct boot_kernel kernel = { 0 };
	struct boot_initrd initrd = { 0 };
	int err = kernel_load(config, &kernel, error);

	if (err)
		return err;
	if (strlen(config->cmdline) > CMDLINE_MAX)
		return boot_fail_cmdline(error, strlen(config->cmdline), CMDLINE_MAX);
	boot->entry = kernel.entry;
	/* The sum cannot overflow, because the kernel's end is inside RAM. */
	boot->tree = (kernel.end + LAYOUT_TREE_SIZE - 1) & ~(LAYOUT_TREE_SIZE - 1);
	boot->tree_at = hostmem_lookup(config->mem, boot->tree, LAYOUT_TREE_SIZE, true);
	if (!boot->tree_at)
		return boot_fail_memory(error, boot->tree + LAYOUT_TREE_SIZE - LAYOUT_RAM);
	err = load_initrd(config, boot->tree + LAYOUT_TREE_SIZE, &initrd, error);
	if (err)
		return err;
	err = tree_build(boot->tree_at, LAYOUT_TREE_SIZE, config, &initrd);
	if (err)
		return boot_fail(error, BOOT_KERNEL, "leaves no room for the device tree", err);
	return 0;
}

int arch_boot_load(const struct arch_boot_config *config, struct arch_boot **boot,
		   struct arch_boot_error *error)
{
	struct arch_boot loaded = { 0 };
	int err = load_all(config, &loaded, error);

	if (err)
		return err;
	*boot = malloc(sizeof(**boot));
	if (!*boot)
		return boot_fail(error, BOOT_KERNEL, "cannot be loaded: out of memory", -ENOMEM);
	**boot = loaded;
	return 0;
}

int arch_boot_tree(const struct arch_boot *boot, const void **tree, size_t *size)
{
	*tree = boot->tree_at;
	*size = fdt_totalsize(boot->tree_at);
	return 0;
}
