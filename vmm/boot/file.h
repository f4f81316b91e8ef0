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

#endif
