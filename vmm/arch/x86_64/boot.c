/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/arch/x86_64/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/layout.h"

#define PAGE 4096ull

int boot_fail(struct arch_boot_error *error, enum arch_boot_part part, const char *why, int err)
{
	error->part = part;
	error->why = why;
	return err;
}

int boot_file_open(struct boot_file *file, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	file->fd = fd;
	file->size = (uint64_t)st.st_size;
	return 0;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t len)
{
	uint8_t *to = buf;

	/* The size was sampled once; a file that shrank since ends pread early. */
	if (!range_inside(offset, len, file->size))
		return -ENODATA;
	while (len) {
		ssize_t n = pread(file->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		to += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int boot_file_load(const struct boot_file *file, uint64_t offset, const struct hostmem *mem,
		   uint64_t gpa, uint64_t len)
{
	void *to = hostmem_lookup(mem, gpa, len, true);

	if (!to)
		return -EFAULT;
	return boot_file_read(file, offset, to, len);
}

uint64_t boot_low_ram(const struct arch_boot_config *config)
{
	return config->ram_size < LAYOUT_HOLE ? config->ram_size : LAYOUT_HOLE;
}

/* Files people hand over by mistake, and what to do about them. */
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

/*
 * As high as possible: kernels unpack themselves upwards from where they were loaded. What is
 * below the kernel is not tried, a bzImage may have to grow there.
 */
static int load_initrd(const struct arch_boot_config *config, const struct boot_kernel *kernel,
		       struct boot_initrd *initrd, struct arch_boot_error *error)
{
	uint64_t limit = boot_low_ram(config);
	struct boot_file file = { 0 };
	int err;

	if (config->initrd_fd < 0)
		return 0;
	err = boot_file_open(&file, config->initrd_fd);
	if (err)
		return boot_fail(error, BOOT_INITRD, "is not a regular file", err);
	if (file.size == 0)
		return boot_fail(error, BOOT_INITRD, "is empty", -EINVAL);
	if (kernel->initrd_limit < limit)
		limit = kernel->initrd_limit;
	if (file.size > limit)
		return boot_fail(error, BOOT_INITRD, "does not fit into guest memory", -EFBIG);
	initrd->gpa = (limit - file.size) & ~(PAGE - 1);
	initrd->size = file.size;
	if (initrd->gpa < kernel->end)
		return boot_fail(error, BOOT_INITRD,
				 "does not fit into guest memory beside the kernel", -EFBIG);
	err = boot_file_load(&file, 0, config->mem, initrd->gpa, initrd->size);
	if (err)
		return boot_fail(error, BOOT_INITRD,
				 err == -ENODATA ? "became shorter while it was read"
						 : "cannot be read",
				 err);
	return 0;
}

static int write_acpi(const struct arch_boot_config *config)
{
	void *area = hostmem_lookup(config->mem, LAYOUT_ACPI, LAYOUT_ACPI_SIZE, true);

	if (!area)
		return -EFAULT;
	return acpi_build(area, LAYOUT_ACPI_SIZE, LAYOUT_ACPI, config->cpus, config->devices);
}

static int load_all(const struct arch_boot_config *config, struct boot_kernel *kernel,
		    struct arch_boot_error *error)
{
	struct boot_initrd initrd = { 0 };
	int err = load_kernel(config, kernel, error);

	if (err)
		return err;
	if (strlen(config->cmdline) > kernel->cmdline_max ||
	    strlen(config->cmdline) >= LAYOUT_CMDLINE_SIZE)
		return boot_fail(error, BOOT_CMDLINE, "is longer than the kernel accepts", -E2BIG);
	err = load_initrd(config, kernel, &initrd, error);
	if (err)
		return err;
	err = bootparams_write(config, kernel, &initrd);
	if (!err)
		err = cpu_write_tables(config->mem);
	if (err)
		return boot_fail(error, BOOT_KERNEL, "needs more memory than the guest has", err);
	err = write_acpi(config);
	if (err)
		return boot_fail(error, BOOT_KERNEL,
				 "cannot be told of the machine: the ACPI tables do not fit", err);
	return 0;
}

int arch_boot_load(const struct arch_boot_config *config, struct arch_boot **boot,
		   struct arch_boot_error *error)
{
	struct boot_kernel kernel = { 0 };
	int err = load_all(config, &kernel, error);

	if (err)
		return err;
	*boot = malloc(sizeof(**boot));
	if (!*boot)
		return boot_fail(error, BOOT_KERNEL, "cannot be loaded: out of memory", -ENOMEM);
	**boot = kernel.boot;
	return 0;
}
