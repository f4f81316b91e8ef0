/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Helpers that build a small bzImage and boot it into guest RAM; x86_64 only. A helper that fails
 * makes the running test fail.
 */
#ifndef TESTS_BZIMAGE_H
#define TESTS_BZIMAGE_H

#include <asm/bootparam.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/guestram.h"
#include "vmm/arch.h"

#define BZ_SETUP_SIZE 2048u
#define BZ_CODE_SIZE  20480u
#define BZ_FILE_SIZE  (BZ_SETUP_SIZE + BZ_CODE_SIZE)
#define BZ_MIB	      (1ull << 20)

/* Value of byte i of the file outside of the header. */
#define BZ_FILL(i) ((uint8_t)((i)*7 + ((i) >> 8)))

/* Creates a relocatable image for [4 MiB, 7 MiB), with command lines of up to 2047 characters. */
void bzimage_make(uint8_t file[BZ_FILE_SIZE]);
struct setup_header *bzimage_header(uint8_t *file);

struct boot_result {
	int err;
	struct arch_boot_error error;
	struct arch_boot *boot; /* owned by the test, which calls free() */
};

/* Calls guestram_boot with one CPU and one disk. */
struct boot_result boot_fds(const struct guestram *ram, int kernel_fd, int initrd_fd,
			    const char *cmdline);
struct boot_result boot_bytes(const struct guestram *ram, const uint8_t *file, size_t len,
			      int initrd_fd, const char *cmdline);

/* Fails the test unless result has this error and this part, and a reason that contains `why`. */
void boot_expect(struct boot_result result, int err, enum arch_boot_part part, const char *why);

const struct boot_params *boot_params_of(const struct guestram *ram);

#endif
