/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exits: what took vCPUs out of KVM_RUN into this process, counted by cause (--stats on).
 *
 * One of these per vCPU, written by its thread only, and read when that has ended.
 */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

#include <stdint.h>

#include "vmm/bus.h"

struct kvm_run;

#define EXITS_REASONS 64 /* KVM_EXIT_*; what is beyond counts as the last one */

struct exits_cause {
	uint64_t count;
	uint64_t ns; /* from the return of KVM_RUN until it can be called again */
};

/* By the number of the slot on the bus; BUS_MAX is nobody. */
struct exits {
	struct exits_cause port[BUS_MAX + 1];
	struct exits_cause mmio[BUS_MAX + 1];
	struct exits_cause reason[EXITS_REASONS]; /* all others */
};

/* One exit, as KVM left it in *run, that took ns. */
void exits_count(struct exits *exits, const struct kvm_run *run, const struct bus *pio,
		 const struct bus *mmio, uint64_t ns);

/* Those of n vCPUs: a line for each cause that there was, and one for all of them. */
void exits_report(const struct exits *exits, unsigned int n, const struct bus *pio,
		  const struct bus *mmio);

#endif
