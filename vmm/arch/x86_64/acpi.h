/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi: the machine as ACPI tables (ACPI 6.4, hardware-reduced: 3.11.1, 4.1): RSDP, XSDT, FADT,
 * MADT, DSDT. Main thread, set-up only.
 */
#ifndef VMM_X86_ACPI_H
#define VMM_X86_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/devlist.h"

/*
 * Write the tables of a machine with `cpus` processors and these devices into `area`, which the
 * guest sees at `gpa` (a multiple of 16, below 4 GiB). The RSDP is the first thing in it.
 * -ENOSPC: they need more than `size` bytes.
 */
int acpi_build(void *area, size_t size, uint64_t gpa, unsigned int cpus,
	       const struct devlist *devices);

#endif
