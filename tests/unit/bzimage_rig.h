/* SPDX-License-Identifier: BSD-3-Clause */
/* Fixture of 16 MiB of guest RAM into which a test loads bzImages. */
#ifndef TESTS_BZIMAGE_RIG_H
#define TESTS_BZIMAGE_RIG_H

#include "tests/lib/bzimage.h"
#include "tests/lib/suite.h"

#define MIB	BZ_MIB
#define CMDLINE "console=ttyS0 a=b"

static struct guestram ram;

/* Loads a kernel of `len` bytes, and the initrd unless its descriptor is -1. */
static inline struct boot_result load(const uint8_t *file, size_t len, int initrd_fd,
				      const char *cmdline)
{
	return boot_bytes(&ram, file, len, initrd_fd, cmdline);
}

static inline void setup(void)
{
	guestram_create(&ram, 16 * MIB);
}

static inline void teardown(void)
{
	guestram_destroy(&ram);
}

#endif
