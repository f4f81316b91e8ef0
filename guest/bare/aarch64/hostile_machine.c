/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile accesses and ways to end the VM on this machine: rows 40 and 41 (tests/rows). */
#include "guest/bare/aarch64/machine.h"
#include "guest/bare/hostile.h"

TEST(row40_odd_ports)
{
	bare_skip("no port I/O on aarch64");
}

/*
 * Replaces the port test: accesses the serial port by every size, aligned and not, and beyond its
 * end.
 */
TEST(row40_serial_port_by_other_sizes)
{
	for (unsigned int bytes = 2; bytes <= 8; bytes *= 2)
		for (unsigned int at = 0; at < 16; at++) {
			arch_read(machine.serial + at, bytes);
			arch_write(machine.serial + at, bytes, 0x2020202020202020);
		}
	device_find(&d, 0);
	device_check_alive(&d);
}

TEST(row41_triple_fault_with_writes_in_flight)
{
	bare_skip("no triple fault on aarch64, where an exception without a handler is one more");
}

/* Counterpart of a triple fault: the exception handler is at an address without memory. */
TEST(row41_exceptions_without_end_with_writes_in_flight)
{
	if (!option("end=exceptions", 0))
		bare_skip("another end was chosen");
	writes_in_flight();
	say("now\n");
	__asm__ volatile("msr vbar_el1, %0\n\tisb\n\tudf #0" : : "r"(1ull << 40) : "memory");
	check(!"there is no end");
}

/* One instruction writes two device registers: the CPU does not report to KVM which ones. */
TEST(row41_internal_error_with_writes_in_flight)
{
	if (!option("end=internal-error", 0))
		bare_skip("another end was chosen");
	writes_in_flight();
	__asm__ volatile("stp xzr, xzr, [%0]" : : "r"(d.base) : "memory");
	check(!"there is no end");
}
