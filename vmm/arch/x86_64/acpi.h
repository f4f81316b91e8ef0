/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi: writer of the ACPI tables that describe the machine.
 *
 * The tables are RSDP, XSDT, FADT, MADT and DSDT of a hardware-reduced platform (ACPI 6.4, 3.11.1
 * and 4.1). Main thread, set-up only.
 */
#ifndef VMM_ARCH_X86_64_ACPI_H
#define VMM_ARCH_X86_64_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/devlist.h"

/*
 * Write the tables of a machine with `cpus` processors and these devices to `area`, which is at
 * guest physical address `gpa` (a multiple of 16, below 4 GiB). The RSDP is at its start. Returns
 * 0, or -ENOSPC if they need more than `size` bytes.
 */
int acpi_build(void *area, size_t size, uint64_t gpa, unsigned int cpus,
	       const struct devlist *devices);

#endif
