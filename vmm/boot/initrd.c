/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/boot/initrd.h"

#include <errno.h>

#include "vmm/boot/reader.h"

#define PAGE 4096ull

/* The sum cannot overflow: `floor` is inside RAM, and a file's size is less than 2^63. */
static int fail_initrd(struct arch_boot_error *error, const char *why, uint64_t floor,
		       uint64_t size)
{
	boot_fail(error, BOOT_INITRD, why, -EFBIG);
	error->memory = ((floor + PAGE - 1) & ~(PAGE - 1)) + ((size + PAGE - 1) & ~(PAGE - 1));
	return -EFBIG;
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
	err = bootread_add_file(config, BOOT_INITRD, &file, 0, initrd->gpa, initrd->size);
	return err ? boot_fail(error, BOOT_INITRD, "cannot be read", err) : 0;
}
