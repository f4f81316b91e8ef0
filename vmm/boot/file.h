/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bootfile: checked file access shared by the kernel loaders.
 *
 * Used on the main thread during set-up; boot_file_read also runs on the helper thread of reader.h.
 * The loaders read each field of a file once into a local copy and check it there with
 * overflow-checked arithmetic. They reach guest RAM through hostmem_lookup only.
 */
#ifndef VMM_BOOT_FILE_H
#define VMM_BOOT_FILE_H

#include <stdint.h>

#include "vmm/arch.h"

struct boot_file {
	int fd;
	uint64_t size;
};

/* Location of the initrd in guest RAM; size 0: no initrd. */
struct boot_initrd {
	uint64_t gpa;
	uint64_t size;
};

/* Fill *error and return `err`. */
int boot_fail(struct arch_boot_error *error, enum arch_boot_part part, const char *why, int err);
/* Fill *error for a command line of `size` characters where the kernel accepts `limit`. Returns
 * -E2BIG. */
int boot_fail_cmdline(struct arch_boot_error *error, uint64_t size, uint64_t limit);
/* Fill *error for a kernel that needs `memory` bytes of guest RAM (0: unknown). Returns -EFBIG. */
int boot_fail_memory(struct arch_boot_error *error, uint64_t memory);

/* Fill *file for the descriptor `fd`. Returns 0, -EINVAL if it is not a regular file, or -errno of
 * fstat. */
int boot_file_open(struct boot_file *file, int fd);

/* Read all of [offset, offset + len) into buf. Returns 0, -ENODATA if the file ends earlier, or
 * -errno of pread. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t len);

/* Queue the read of [offset, offset + len) into guest RAM at `gpa` (config->read does it later).
 * Returns 0, -EFAULT if the destination is not all RAM, or -E2BIG if there are too many parts. */
int boot_file_load(const struct arch_boot_config *config, enum arch_boot_part what,
		   const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t len);

/*
 * Place the initrd, if there is one, page-aligned and as high as possible in the GPA range [floor,
 * limit), and queue its read. On failure the function has filled *error; error->memory is then the
 * smallest `limit` that would have been enough, or 0 if the failure has another reason.
 */
int boot_initrd_load(const struct arch_boot_config *config, uint64_t floor, uint64_t limit,
		     struct boot_initrd *initrd, struct arch_boot_error *error);

#endif
