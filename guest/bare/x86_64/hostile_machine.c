/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile ports, inter-processor interrupts, and ways to end the VM: rows 40 and 41 (tests/rows).
 */
#include "guest/bare/hostile.h"
#include "guest/bare/x86_64/ports.h"

/* Accesses every port and size that a CPL 3 program may use here, with string instructions, too. */
TEST(row40_odd_ports)
{
	uint8_t *data = page_alloc(PAGE);

	string_out(0x3f8 + 7, data, PAGE);
	string_in(0x3f8, data, PAGE);
	string_in(0x3f8 + 5, data, PAGE);
	string_in(0x700, data, PAGE);
	check(all_bytes(data, 0xff, PAGE));
	for (uint16_t port = 0x3f8 - 4; port < 0x3f8 + 8; port++) {
		in16(port);
		in32(port);
	}
	out32(0x3f8 + 7, 0xffffffff);
	out32(0x500, 0xffffffff);
	check(in32(0x7f0) == 0xffffffff);
	device_find(&d, 0);
	device_check_alive(&d);
}

static void crash(bool emulated)
{
	writes_in_flight();
	machine_crash(emulated);
}

TEST(row41_triple_fault_with_writes_in_flight)
{
	if (!option("end=triple-fault", 0))
		bare_skip("another end was chosen");
	crash(false);
}

TEST(row41_internal_error_with_writes_in_flight)
{
	if (!option("end=internal-error", 0))
		bare_skip("another end was chosen");
	crash(true);
}

/*
 * KVM_RUN returns at once for a vCPU that was never started as long as an NMI or an SMI is pending
 * for it. The names sort these tests first, because later ones start the second CPU.
 */
static void interrupt_cpu_never_started(uint32_t command)
{
	const char *cpus = option("cpus=", 0), *end;

	if (!cpus || parse_number(cpus, &end) < 2 || cpu_started())
		bare_skip("no CPU that was never started");
	lapic_command(command);
}

/* Sends no SMI: on some hosts INIT does not cancel it, and there is no handler for one here. */
TEST(cpu_never_started_can_be_started_after_an_nmi)
{
	interrupt_cpu_never_started(LAPIC_NMI);
	/* These exits give the host's thread of the second CPU time to see the NMI. */
	for (unsigned int i = 0; i < rounds(1000); i++)
		in8(0x3f8 + 7);
	check(cpu_start());
	wait_until(cpu_idle());
}

/* The host compares the CPU time of the two vCPU threads, and then ends this guest. */
TEST(cpu_never_started_uses_no_cpu_time_after_nmi_and_smi)
{
	if (!option("end=endless", 0))
		bare_skip("another end was chosen");
	interrupt_cpu_never_started(LAPIC_NMI);
	interrupt_cpu_never_started(LAPIC_SMI);
	say("now\n");
	for (;;)
		arch_relax();
}
