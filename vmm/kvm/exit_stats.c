/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/exit_stats.h"

#include <linux/kvm.h>
#include <stddef.h>

#include "dataplane/base.h"

void exits_count(struct exits *exits, const struct kvm_run *run, const struct bus *pio,
		 const struct bus *mmio, uint64_t ns)
{
	struct exits_cause *cause;
	uint32_t reason = run->exit_reason;

	if (reason == KVM_EXIT_IO)
		cause = &exits->port[bus_slot_of(pio, run->io.port, run->io.size)];
	else if (reason == KVM_EXIT_MMIO)
		cause = &exits->mmio[bus_slot_of(mmio, run->mmio.phys_addr, run->mmio.len)];
	else
		cause = &exits->reason[reason < EXITS_REASONS ? reason : EXITS_REASONS - 1];
	cause->count++;
	cause->ns += ns;
}

static void add(struct exits_cause *sum, const struct exits_cause *more, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sum[i].count += more[i].count;
		sum[i].ns += more[i].ns;
	}
}

static void report_bus(const char *kind, const struct bus *bus, const struct exits_cause *cause,
		       struct exits_cause *total)
{
	for (unsigned int i = 0; i <= BUS_MAX; i++) {
		unsigned long long count = cause[i].count, us = cause[i].ns / 1000;

		if (count && i < bus->count)
			log_info("exits: %s %#llx, %s: %llu in %llu us", kind,
				 (unsigned long long)bus->slot[i].base, bus->slot[i].ops->name,
				 count, us);
		else if (count)
			log_info("exits: %s, no device: %llu in %llu us", kind, count, us);
		add(total, &cause[i], 1);
	}
}

void exits_report(const struct exits *exits, unsigned int n, const struct bus *pio,
		  const struct bus *mmio)
{
	struct exits_cause total = { 0 };
	struct exits sum = { 0 };

	for (unsigned int i = 0; i < n; i++) {
		add(sum.port, exits[i].port, ARRAY_SIZE(sum.port));
		add(sum.mmio, exits[i].mmio, ARRAY_SIZE(sum.mmio));
		add(sum.reason, exits[i].reason, ARRAY_SIZE(sum.reason));
	}
	report_bus("port", pio, sum.port, &total);
	report_bus("MMIO", mmio, sum.mmio, &total);
	for (unsigned int i = 0; i < EXITS_REASONS; i++) {
		if (sum.reason[i].count)
			log_info("exits: KVM exit %u%s: %llu in %llu us", i,
				 i == KVM_EXIT_INTR ? ", a signal" : "",
				 (unsigned long long)sum.reason[i].count,
				 (unsigned long long)sum.reason[i].ns / 1000);
		add(&total, &sum.reason[i], 1);
	}
	log_info("exits: %llu to user space in %llu us", (unsigned long long)total.count,
		 (unsigned long long)total.ns / 1000);
}
