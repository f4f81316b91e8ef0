/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/boot/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base.h"

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
