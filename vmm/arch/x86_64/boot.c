/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/arch/x86_64/boot.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/layout.h"

/* Return why a file is not a kernel of a known format; for common mistakes the text says what to
 * do. */
static const char *wrong_kernel(const uint8_t head[BOOT_HEAD_SIZE])
{
	static const struct {
		unsigned int offset, len;
		const char *magic;
		const char *why;
	} known[] = {
		{ 0, 2, "\x1f\x8b", "is gzip-compressed: decompress it first" },
		{ 0, 4, "\x28\xb5\x2f\xfd", "is zstd-compressed: decompress it first" },
		{ 0, 6,
		  "\xfd"
		  "7zXZ",
		  "is xz-compressed: decompress it first" },
		{ 0, 3, "BZh", "is bzip2-compressed: decompress it first" },
		{ 0, 4, "\x02\x21\x4c\x18", "is LZ4-compressed: decompress it first" },
		{ 0x38, 4, "ARM\x64", "is a kernel for arm64" },
		{ 0, 2, "MZ", "is an EFI program without a bzImage header" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!memcmp(head + known[i].offset, known[i].magic, known[i].len))
			return known[i].why;
	return "is neither a bzImage nor an ELF kernel";
}

static int load_kernel(const struct arch_boot_config *config, struct boot_kernel *kernel,
		       struct arch_boot_error *error)
{
	uint8_t head[BOOT_HEAD_SIZE] = { 0 };
	struct boot_file file = { 0 };
	int err = boot_file_open(&file, config->kernel_fd);

	if (err)
		return boot_fail(error, BOOT_KERNEL, "is not a regular file", err);
	if (file.size == 0)
		return boot_fail(error, BOOT_KERNEL, "is empty", -ENOEXEC);
	err = boot_file_read(&file, 0, head, file.size < sizeof(head) ? file.size : sizeof(head));
	if (err)
		return boot_fail(error, BOOT_KERNEL, "cannot be read", err);
	if (bzimage_probe(head))
		return bzimage_load(config, &file, head, kernel, error);
	if (elf_probe(head))
		return elf_load(config, &file, head, kernel, error);
	return boot_fail(error, BOOT_KERNEL, wrong_kernel(head), -ENOEXEC);
}

/* Load the initrd above the kernel, because a kernel decompresses itself upwards from its load
 * address. Memory below the kernel is not used: a bzImage may need it to grow. */
static int load_initrd(const struct arch_boot_config *config, const struct boot_kernel *kernel,
		       struct boot_initrd *initrd, struct arch_boot_error *error)
{
	uint64_t limit = layout_low_ram(config->ram_size);
	int err;

	if (kernel->initrd_limit < limit)
		limit = kernel->initrd_limit;
	err = boot_initrd_load(config, kernel->end, limit, initrd, error);
	if (err && (error->memory > LAYOUT_HOLE || error->memory > kernel->initrd_limit))
		error->memory = 0;
	return err;
}

static int write_acpi(const struct arch_boot_config *config)
{
	void *area = hostmem_lookup(config->mem, LAYOUT_ACPI, LAYOUT_ACPI_SIZE, true);

	if (!area)
		return -EFAULT;
	return acpi_build(area, LAYOUT_ACPI_SIZE, LAYOUT_ACPI, config->cpus, config->devices);
}

static int write_description(const struct arch_boot_config *config, struct boot_kernel *kernel,
			     const struct boot_initrd *initrd, struct arch_boot_error *error)
{
	int err = kernel->wants_tree ? tree_write(config, initrd, &kernel->boot.tree)
				     : write_acpi(config);

	if (err)
		return boot_fail(error, BOOT_KERNEL,
				 kernel->wants_tree ? "leaves no room for the device tree"
						    : "leaves no room for the ACPI tables",
				 err);
	return 0;
}

static int load_all(const struct arch_boot_config *config, struct boot_kernel *kernel,
		    struct arch_boot_error *error)
{
	struct boot_initrd initrd = { 0 };
	uint64_t length = strlen(config->cmdline), limit;
	int err = load_kernel(config, kernel, error);

	if (err)
		return err;
	limit = kernel->cmdline_max < LAYOUT_CMDLINE_SIZE ? kernel->cmdline_max
							  : LAYOUT_CMDLINE_SIZE - 1;
	if (length > limit)
		return boot_fail_cmdline(error, length, limit);
	err = load_initrd(config, kernel, &initrd, error);
	if (err)
		return err;
	err = bootparams_write(config, kernel, &initrd);
	if (!err)
		err = cpu_write_tables(config->mem);
	if (err)
		return boot_fail_memory(error, LAYOUT_HIGH_MEMORY);
	return write_description(config, kernel, &initrd, error);
}

int arch_boot_load(const struct arch_boot_config *config, struct arch_boot **boot,
		   struct arch_boot_error *error)
{
	struct boot_kernel kernel = { .wants_tree = config->devices->description == DESCRIBE_FDT };
	int err = load_all(config, &kernel, error);

	if (err)
		return err;
	*boot = malloc(sizeof(**boot));
	if (!*boot)
		return boot_fail(error, BOOT_KERNEL, "cannot be loaded: out of memory", -ENOMEM);
	**boot = kernel.boot;
	return 0;
}

int arch_boot_tree(const struct arch_boot *boot, const void **tree, size_t *size)
{
	if (!boot->tree)
		return -EOPNOTSUPP;
	*tree = boot->tree;
	*size = fdt_totalsize(boot->tree);
	return 0;
}
