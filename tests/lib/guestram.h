/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guestram: guest RAM for tests of the boot code, laid out as the architecture wants it, with
 * inaccessible pages right before and behind each range; and files that exist in memory only.
 * What goes wrong in a helper fails the running test.
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

/* Zero-filled; only what is touched takes memory. */
void guestram_create(struct guestram *ram, uint64_t size);
void guestram_destroy(struct guestram *ram);

/* Fails the test when it is not all RAM. */
void *guestram_at(const struct guestram *ram, uint64_t gpa, uint64_t len);

/* arch_boot_load, and all that it wants to have read. */
int guestram_boot(struct arch_boot_config *config, struct arch_boot **boot,
		  struct arch_boot_error *error);

/* A file with these bytes; or, `data` NULL, a hole of that size. Returns its descriptor. */
int memfile(const void *data, size_t len);

#endif
