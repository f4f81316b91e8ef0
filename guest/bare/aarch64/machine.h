/* SPDX-License-Identifier: BSD-3-Clause */
/* Machine description and interrupt controller of the aarch64 runtime. */
#ifndef BARE_ARM64_MACHINE_H
#define BARE_ARM64_MACHINE_H

#include "guest/bare/bare.h"

#define MACHINE_DEVICES 32u

/*
 * Address at which the first GiB is mapped a second time, as non-cacheable memory (start.S):
 * accesses to a device there may be unaligned. The address is above all mapped RAM.
 */
#define MACHINE_ALIAS (511ull << 30)

/* The machine as the device tree describes it. */
struct machine {
	uint64_t ram_end;
	uint64_t serial;	 /* 0: none */
	uint64_t gic, gic_other; /* distributor; CPU interface of version 2 */
	bool gic_v3;
	struct {
		uint64_t base;
		uint32_t gsi;
	} device[MACHINE_DEVICES];
	unsigned int devices;
	char command_line[2048];
};

extern struct machine machine;

/* Parses the device tree (tree.c). Members that it does not describe stay 0. */
void tree_read(struct machine *m, const void *tree);

/* Enables interrupts of the first CPU (gic.c). */
void gic_init(void);
void gic_interrupt(void);

#endif
