/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/boot/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/boot/reader.h"

#define PAGE 4096ull

int boot_fail(struct arch_boot_error *error, enum arch_boot_part part, const char *why, int err)
{
	*error = (struct arch_boot_error){ .part = part, .why = why };
	return err;
}

int boot_fail_memory(struct arch_boot_error *error, uint64_t memory)
{
	boot_fail(error, BOOT_KERNEL, "needs more memory than the guest has", -EFBIG);
	error->memory = memory;
	return -EFBIG;
}

int boot_fail_cmdline(struct arch_boot_error *error, uint64_t size, uint64_t limit)
{
	boot_fail(error, BOOT_CMDLINE, "is longer than the kernel accepts", -E2BIG);
	error->size = size;
	error->limit = limit;
	return -E2BIG;
}

/* The sum cannot overflow: `floor` is inside RAM, and a file's size is less than 2^63. */
static int fail_initrd(struct arch_boot_error *error, const char *why, uint64_t floor,
		       uint64_t size)
{
	boot_fail(error, BOOT_INITRD, why, -EFBIG);
	error->memory = ((floor + PAGE - 1) & ~(PAGE - 1)) + ((size + PAGE - 1) & ~(PAGE - 1));
	return -EFBIG;
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

	/*
	 * The size was read once, at open; if the file has shrunk since, pread hits its end early.
	 */
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

int boot_file_load(const struct arch_boot_config *config, enum arch_boot_part what,
		   const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t len)
{
	struct bootread_part part = { what, *file, offset,
				      hostmem_lookup(config->mem, gpa, len, true), len };

	return part.to ? bootread_add(config->read, &part) : -EFAULT;
}

int boot_initrd_load(const struct arch_boot_config *config, uint64_t floor, uint64_t limit,
		     struct boot_initrd *initrd, struct arch_boot_error *error)
{
	struct boot_file file = { 0 };
	int err;

	if (config->initrd_fd < 0)
		return 0;
	err = boot_file_open(&file, config->initrd_fd);
	if (err)
		return boot_fail(error, BOOT_INITRD, "is not a regular file", err);
	if (file.size == 0)
		return boot_fail(error, BOOT_INITRD, "is empty", -EINVAL);
	if (file.size > limit)
		return fail_initrd(error, "does not fit into guest memory", floor, file.size);
	initrd->gpa = (limit - file.size) & ~(PAGE - 1);
	initrd->size = file.size;
	if (initrd->gpa < floor)
		return fail_initrd(error, "does not fit into guest memory beside the kernel", floor,
				   file.size);
	err = boot_file_load(config, BOOT_INITRD, &file, 0, initrd->gpa, initrd->size);
	return err ? boot_fail(error, BOOT_INITRD, "cannot be read", err) : 0;
}
