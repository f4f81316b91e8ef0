/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest RAM and in-memory files for tests of the boot code. RAM has the architecture's layout, with
 * inaccessible pages directly before and after each range. A helper that fails makes the running
 * test fail.
 */
#ifndef TESTS_GUESTRAM_H
#define TESTS_GUESTRAM_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/hostmem.h"
#include "vmm/arch.h"

struct guestram {
	uint64_t size;
	struct hostmem mem;
	unsigned int ranges;
	struct arch_ram_range range[ARCH_MAX_RAM_RANGES];
};

/* Creates zero-filled RAM; only pages that are touched use memory. */
void guestram_create(struct guestram *ram, uint64_t size);
void guestram_destroy(struct guestram *ram);

/* Returns the address of guest memory; fails the test when a part of it is not RAM. */
void *guestram_at(const struct guestram *ram, uint64_t gpa, uint64_t len);

/* Calls arch_boot_load, and reads all file contents that it has requested. */
int guestram_boot(struct arch_boot_config *config, struct arch_boot **boot,
		  struct arch_boot_error *error);

/*
 * Creates a file with these bytes or, if data is NULL, a hole of that size. Returns its descriptor.
 */
int memfile(const void *data, size_t len);

#endif
