/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exit_stats: number and duration of VM exits to user space, by cause (--stats).
 *
 * Each vCPU has its own counters, which only its thread writes. They are read after that thread has
 * ended.
 */
#ifndef VMM_KVM_EXIT_STATS_H
#define VMM_KVM_EXIT_STATS_H

#include <stdint.h>

#include "vmm/bus.h"

struct kvm_run;

#define EXITS_REASONS 64 /* KVM_EXIT_*; larger numbers count as the last one */

struct exits_cause {
	uint64_t count;
	uint64_t ns; /* from the return of KVM_RUN until the exit is handled */
};

/* Counters of one vCPU. */
struct exits {
	struct exits_cause port[BUS_MAX + 1];	  /* by slot of the bus; BUS_MAX: no device */
	struct exits_cause mmio[BUS_MAX + 1];	  /* by slot of the bus; BUS_MAX: no device */
	struct exits_cause reason[EXITS_REASONS]; /* all other exits, by KVM_EXIT_* */
};

/* Counts the exit that KVM reported in *run and that took `ns` nanoseconds to handle. */
void exits_count(struct exits *exits, const struct kvm_run *run, const struct bus *pio,
		 const struct bus *mmio, uint64_t ns);

/* Logs the sums over n vCPUs: a line for each cause that occurred, and a line with the total. */
void exits_report(const struct exits *exits, unsigned int n, const struct bus *pio,
		  const struct bus *mmio);

#endif
