/* SPDX-License-Identifier: BSD-3-Clause */
/* A hostile guest's ports and ends: rows 40 and 41 (tests/rows). */
#include "guest/bare/hostile.h"
#include "guest/bare/x86_64/ports.h"

/* Every port and size a CPL 3 program may reach here, with string instructions among them. */
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
