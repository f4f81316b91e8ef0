/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the ACPI tables: found from the RSDP as a kernel does, checksummed, decompiled by iasl.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/suite.h"
#include "vmm/arch.h"
#include "vmm/arch/x86_64/acpi.h"

#define GPA	  0xe0000
#define AREA_SIZE 0x1fff0

static uint8_t area[AREA_SIZE + 4096]; /* the rest is a canary */

struct table {
	const uint8_t *bytes;
	uint32_t length;
};

static uint64_t get(const uint8_t *at, unsigned int len)
{
	uint64_t value = 0;

	memcpy(&value, at, len);
	return value;
}

static uint8_t sum(const uint8_t *bytes, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *bytes++);
	return s;
}

static struct table table_at(uint64_t gpa)
{
	struct table t = { area + (gpa - GPA), 0 };

	ck_assert_uint_ge(gpa, GPA + 36);
	ck_assert_uint_lt(gpa, GPA + AREA_SIZE - 36);
	t.length = (uint32_t)get(t.bytes + 4, 4);
	ck_assert_uint_ge(t.length, 36);
	ck_assert_uint_le(t.length, GPA + AREA_SIZE - gpa);
	ck_assert_uint_eq(sum(t.bytes, t.length), 0);
	return t;
}

static struct table find(const char *signature)
{
	struct table xsdt = table_at(get(area + 24, 8));

	ck_assert_mem_eq(xsdt.bytes, "XSDT", 4);
	if (!strcmp(signature, "XSDT"))
		return xsdt;
	if (!strcmp(signature, "DSDT"))
		return table_at(get(find("FACP").bytes + 140, 8));
	for (uint32_t at = 36; at < xsdt.length; at += 8) {
		struct table t = table_at(get(xsdt.bytes + at, 8));

		if (!memcmp(t.bytes, signature, 4))
			return t;
	}
	ck_abort_msg("no table %s", signature);
	return xsdt;
}

static void build(unsigned int cpus, unsigned int disks)
{
	struct devlist devices;

	memset(area, 0xa5, sizeof(area));
	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, disks), 0);
	ck_assert_int_eq(acpi_build(area, AREA_SIZE, GPA, cpus, &devices), 0);
	for (size_t i = AREA_SIZE; i < sizeof(area); i++)
		ck_assert_uint_eq(area[i], 0xa5);
}

START_TEST(tables_are_found_with_correct_checksums)
{
	build(1, 16);
	ck_assert_mem_eq(area, "RSD PTR ", 8);
	ck_assert_uint_eq(area[15], 2);
	ck_assert_uint_eq(get(area + 20, 4), 36);
	ck_assert_uint_eq(sum(area, 20), 0);
	ck_assert_uint_eq(sum(area, 36), 0);
	ck_assert_mem_eq(find("FACP").bytes, "FACP", 4);
	ck_assert_mem_eq(find("APIC").bytes, "APIC", 4);
	ck_assert_mem_eq(find("DSDT").bytes, "DSDT", 4);
}
END_TEST

static void check_port(const uint8_t *gas, uint64_t port)
{
	static const uint8_t byte_in_system_io[] = { 1, 8, 0, 1 };

	ck_assert_mem_eq(gas, byte_in_system_io, 4);
	ck_assert_uint_eq(get(gas + 4, 8), port);
}

START_TEST(fadt_is_hardware_reduced)
{
	struct table fadt;

	build(1, 1);
	fadt = find("FACP");
	ck_assert_uint_eq(fadt.length, 276);
	ck_assert_uint_eq(fadt.bytes[8], 6);
	ck_assert_uint_eq(get(fadt.bytes + 109, 2), 1 << 2 | 1 << 5);
	/* reset register and hardware-reduced; no fixed buttons */
	ck_assert_uint_eq(get(fadt.bytes + 112, 4) & 0x100430, 0x100430);
	check_port(fadt.bytes + 116, 0x602);
	ck_assert_uint_ne(fadt.bytes[128], 0);
	check_port(fadt.bytes + 244, 0x600);
	check_port(fadt.bytes + 256, 0x601);
	for (unsigned int i = 148; i < 244; i++)
		ck_assert_uint_eq(fadt.bytes[i], 0);
}
END_TEST

static const struct {
	const char *name;
	unsigned int cpus;
} machines[] = {
	{ "1 CPU", 1 },	     { "2 CPUs", 2 },	  { "255 CPUs", 255 },
	{ "256 CPUs", 256 }, { "300 CPUs", 300 }, { "4096 CPUs", 4096 },
};

START_TEST(madt_has_every_cpu_and_the_ioapic)
{
	unsigned int cpus = machines[_i].cpus, next = 0, ioapics = 0;
	struct table madt;

	build(cpus, 1);
	madt = find("APIC");
	ck_assert_uint_eq(get(madt.bytes + 36, 4), 0xfee00000);
	for (uint32_t at = 44; at < madt.length; at += madt.bytes[at + 1]) {
		const uint8_t *e = madt.bytes + at;

		ck_assert_uint_ge(e[1], 8);
		switch (e[0]) {
		case 0:
			ck_assert_uint_lt(next, 255); /* the broadcast */
			ck_assert_uint_eq(e[2], next);
			ck_assert_uint_eq(e[3], next++);
			ck_assert_uint_eq(get(e + 4, 4), 1);
			break;
		case 9:
			ck_assert_uint_ge(next, 255);
			ck_assert_uint_eq(get(e + 4, 4), next);
			ck_assert_uint_eq(get(e + 8, 4), 1);
			ck_assert_uint_eq(get(e + 12, 4), next++);
			break;
		case 1:
			ioapics++;
			ck_assert_uint_eq(get(e + 4, 4), 0xfec00000);
			ck_assert_uint_eq(get(e + 8, 4), 0);
			break;
		default:
			ck_abort_msg("entry of type %u", e[0]);
		}
	}
	ck_assert_uint_eq(next, cpus);
	ck_assert_uint_eq(ioapics, 1);
}
END_TEST

START_TEST(tables_that_do_not_fit_are_refused_at_every_size)
{
	struct devlist devices;
	size_t size = 0;

	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, 2), 0);
	do {
		memset(area, 0xa5, sizeof(area));
		int err = acpi_build(area, size, GPA, 2, &devices);

		ck_assert_uint_eq(area[size], 0xa5);
		if (!err)
			break;
		ck_assert_int_eq(err, -ENOSPC);
	} while (++size < 4096);
	ck_assert_uint_gt(size, 700);
	ck_assert_uint_lt(size, 1500);
	ck_assert_int_eq(acpi_build(area, AREA_SIZE, GPA, 100000, &devices), -ENOSPC);
}
END_TEST

/* ---- disassembly by iasl ---- */

static char dir[] = "/tmp/test_acpi.XXXXXX";

static int run(const char *command)
{
	char line[512];
	int status;

	snprintf(line, sizeof(line), "cd %s && { %s; } >>log 2>&1", dir, command);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void save(const char *name, const char *signature)
{
	struct table t = find(signature);
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(t.bytes, 1, t.length, f), t.length);
	fclose(f);
}

/* Expects that `count` lines of the disassembly contain the fixed string. */
static void expect_count(const char *file, const char *text, int count)
{
	char command[256];

	snprintf(command, sizeof(command), "test `grep -cF '%s' %s` -eq %d", text, file, count);
	ck_assert_msg(run(command) == 0, "%s: not %d times \"%s\"", file, count, text);
}

START_TEST(iasl_disassembles_them_and_recompiles_the_dsdt)
{
	static const char *const tables[] = { "XSDT", "FACP", "APIC", "DSDT" };
	char command[64];

	if (system("iasl -v >/dev/null 2>&1") != 0) {
		fprintf(stderr, "test_acpi: skip: no iasl\n");
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(dir));
	build(300, 16);
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(command, sizeof(command), "%s.dat", tables[i]);
		save(command, tables[i]);
		snprintf(command, sizeof(command), "iasl -d %s.dat", tables[i]);
		ck_assert_int_eq(run(command), 0);
	}
	ck_assert_int_eq(run("! grep -iE 'error|incorrect|invalid|unknown' log *.dsl"), 0);
	expect_count("DSDT.dsl", "Device (", 22);
	expect_count("DSDT.dsl", "Name (_HID, \"LNRO0005\"", 16);
	expect_count("DSDT.dsl", "Name (_HID, \"PNP0501\"", 1);
	expect_count("DSDT.dsl", "Name (_HID, \"QEMU0001\"", 1);
	expect_count("DSDT.dsl", "Name (_HID, \"ACPI0013\"", 2);
	expect_count("DSDT.dsl", "Name (_CID, \"VM_Gen_Counter\")", 1);
	expect_count("DSDT.dsl", "Name (ADDR, Package (0x02)", 1);
	expect_count("DSDT.dsl", "0x000FF000,", 1);
	expect_count("DSDT.dsl", "Name (_HID, \"PNP0C0C\"", 1);
	expect_count("DSDT.dsl", "Method (_EVT, 1, Serialized)", 2);
	expect_count("DSDT.dsl", "Notify (PWRB, 0x80)", 1);
	expect_count("DSDT.dsl", "Notify (VGEN, 0x80)", 1);
	expect_count("DSDT.dsl", "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive", 19);
	expect_count("DSDT.dsl", "0x00001000,         // Address Length", 16);
	expect_count("DSDT.dsl", "0xD000F000,         // Address Base", 1);
	expect_count("DSDT.dsl", "Name (_S5, Package (0x04)", 1);
	expect_count("FACP.dsl", "Hardware Reduced (V5) : 1", 1);
	expect_count("APIC.dsl", "Processor Enabled : 1", 300);
	ck_assert_int_eq(run("iasl -p again DSDT.dsl"), 0);
	ck_assert_int_eq(run("cp again.aml AGAIN.dat && iasl -d AGAIN.dat"), 0);
	ck_assert_int_eq(run("sed -n '/^Definition/,$p' DSDT.dsl >a; "
			     "sed -n '/^Definition/,$p' AGAIN.dsl >b; cmp a b"),
			 0);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("acpi");
	TCase *tcase = tcase_create("acpi");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, tables_are_found_with_correct_checksums);
	tcase_add_test(tcase, fadt_is_hardware_reduced);
	tcase_add_table_test(tcase, madt_has_every_cpu_and_the_ioapic, machines);
	tcase_add_test(tcase, tables_that_do_not_fit_are_refused_at_every_size);
	tcase_add_test(tcase, iasl_disassembles_them_and_recompiles_the_dsdt);
	suite_add_tcase(suite, tcase);
	return suite;
}
