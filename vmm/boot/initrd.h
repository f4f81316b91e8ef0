/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * initrd: placement of the initial RAM disk in guest RAM.
 *
 * Main thread, during set-up.
 */
#ifndef VMM_BOOT_INITRD_H
#define VMM_BOOT_INITRD_H

#include <stdint.h>

#include "vmm/arch.h"

/* Location of the initrd in guest RAM; size 0: no initrd. */
struct boot_initrd {
	uint64_t gpa;
	uint64_t size;
};

/*
 * Place the initrd, if there is one, page-aligned and as high as possible in the GPA range [floor,
 * limit), and queue its read. On failure the function has filled *error; error->memory is then the
 * smallest `limit` that would have been enough, or 0 if the failure has another reason.
 */
int boot_initrd_load(const struct arch_boot_config *config, uint64_t floor, uint64_t limit,
		     struct boot_initrd *initrd, struct arch_boot_error *error);

#endif
