/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of this architecture share. */
#ifndef BARE_ARM64_MACHINE_H
#define BARE_ARM64_MACHINE_H

#include "guest/bare/bare.h"

#define MACHINE_DEVICES 32u

/* Where the first GiB is mapped once more, as memory past the caches (start.S): there an access to a
 * device need not be aligned. Behind all RAM that is mapped. */
#define MACHINE_ALIAS (511ull << 30)

/* What the device tree says of the machine. */
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

/* tree.c: reads it. What it does not say stays 0. */
void tree_read(struct machine *m, const void *tree);

/* gic.c: the first CPU hears of interrupts. */
void gic_init(void);
void gic_interrupt(void);

#endif
