/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bootfile: what the loaders of all architectures share. Main thread, set-up only.
 *
 * The loaders read files straight into guest RAM: each field of a file is read once into a local
 * copy, judged there with checked arithmetic, and guest RAM is reached by hostmem_lookup alone.
 */
#ifndef VMM_BOOTFILE_H
#define VMM_BOOTFILE_H

#include <stdint.h>

#include "vmm/arch.h"

struct boot_file {
	int fd;
	uint64_t size;
};

/* Where the initrd is; size 0: there is none. */
struct boot_initrd {
	uint64_t gpa;
	uint64_t size;
};

/* Fills *error; returns err. */
int boot_fail(struct arch_boot_error *error, enum arch_boot_part part, const char *why, int err);
/* The same for a command line of `size` characters where `limit` are accepted; -E2BIG. */
int boot_fail_cmdline(struct arch_boot_error *error, uint64_t size, uint64_t limit);
/* The same for a kernel that would fit into `memory` bytes of guest RAM (0: unknown); -EFBIG. */
int boot_fail_memory(struct arch_boot_error *error, uint64_t memory);

/* -EINVAL: not a regular file. Does not fill an error. */
int boot_file_open(struct boot_file *file, int fd);

/* All of [offset, offset + len) into buf. -ENODATA: the file ends before; -errno of pread. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t len);

/* Have the same read into guest RAM (config->read). -EFAULT: not all of it is RAM; -E2BIG: too many
 * parts. */
int boot_file_load(const struct arch_boot_config *config, enum arch_boot_part what,
		   const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t len);

/* The initrd, if there is one, as high as possible in [floor, limit), which are GPAs; on a page of
 * its own. A failure has filled *error; error->memory is then the limit that would have done, 0 for a
 * failure of another kind. */
int boot_initrd_load(const struct arch_boot_config *config, uint64_t floor, uint64_t limit,
		     struct boot_initrd *initrd, struct arch_boot_error *error);

#endif
