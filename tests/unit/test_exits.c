/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/suite.h"
#include "vmm/kvm/exit_stats.h"

static const struct bus_ops low_ops = { .name = "low" }, high_ops = { .name = "high" };
static struct bus pio, mmio;
static struct exits exits[2];
static struct kvm_run run;

static void setup(void)
{
	memset(&pio, 0, sizeof(pio));
	memset(&mmio, 0, sizeof(mmio));
	memset(exits, 0, sizeof(exits));
	memset(&run, 0, sizeof(run));
	ck_assert_int_eq(bus_add(&pio, 0x60, 5, &low_ops, NULL), 0);
	ck_assert_int_eq(bus_add(&pio, 0x3f8, 8, &high_ops, NULL), 0);
	ck_assert_int_eq(bus_add(&mmio, 0xd0000000, 0x1000, &low_ops, NULL), 0);
}

static void port(struct exits *to, uint16_t number, uint8_t size, uint64_t ns)
{
	run.exit_reason = KVM_EXIT_IO;
	run.io.port = number;
	run.io.size = size;
	exits_count(to, &run, &pio, &mmio, ns);
}

static void access_at(struct exits *to, uint64_t gpa, uint64_t ns)
{
	run.exit_reason = KVM_EXIT_MMIO;
	run.mmio.phys_addr = gpa;
	run.mmio.len = 4;
	exits_count(to, &run, &pio, &mmio, ns);
}

static void other(struct exits *to, uint32_t reason, uint64_t ns)
{
	run.exit_reason = reason;
	exits_count(to, &run, &pio, &mmio, ns);
}

START_TEST(exit_counts_for_its_device)
{
	port(exits, 0x64, 1, 5);
	port(exits, 0x3ff, 1, 7);
	port(exits, 0x3f8, 1, 1);
	port(exits, 0x3ff, 2, 11); /* only half of the access belongs to the device */
	port(exits, 0xcf8, 4, 13);
	access_at(exits, 0xd0000ffc, 17);
	access_at(exits, 0xd0001000, 19);
	ck_assert_uint_eq(exits->port[0].count, 1);
	ck_assert_uint_eq(exits->port[0].ns, 5);
	ck_assert_uint_eq(exits->port[1].count, 2);
	ck_assert_uint_eq(exits->port[1].ns, 8);
	ck_assert_uint_eq(exits->port[BUS_MAX].count, 2);
	ck_assert_uint_eq(exits->port[BUS_MAX].ns, 24);
	ck_assert_uint_eq(exits->mmio[0].count, 1);
	ck_assert_uint_eq(exits->mmio[0].ns, 17);
	ck_assert_uint_eq(exits->mmio[BUS_MAX].count, 1);
	ck_assert_uint_eq(exits->mmio[BUS_MAX].ns, 19);
}
END_TEST

START_TEST(exits_count_by_reason_and_unknown_reasons_as_the_last)
{
	other(exits, KVM_EXIT_INTR, 3);
	other(exits, EXITS_REASONS - 1, 1);
	other(exits, EXITS_REASONS, 1);
	other(exits, UINT32_MAX, 1);
	ck_assert_uint_eq(exits->reason[KVM_EXIT_INTR].count, 1);
	ck_assert_uint_eq(exits->reason[KVM_EXIT_INTR].ns, 3);
	ck_assert_uint_eq(exits->reason[EXITS_REASONS - 1].count, 3);
}
END_TEST

/* Captures what exits_report prints on standard error. */
static void report(char *text, size_t size)
{
	int kept = dup(STDERR_FILENO), ends[2];
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_ge(kept, 0);
	dup2(ends[1], STDERR_FILENO);
	exits_report(exits, 2, &pio, &mmio);
	dup2(kept, STDERR_FILENO);
	n = read(ends[0], text, size - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	close(kept);
	close(ends[0]);
	close(ends[1]);
}

START_TEST(report_sums_vcpus_and_lists_only_nonzero_counts)
{
	char text[2048];

	port(&exits[0], 0x3f8, 1, 1500);
	port(&exits[1], 0x3f9, 1, 1500);
	port(&exits[1], 0xcf8, 4, 1000);
	access_at(&exits[1], 0xd0000070, 4000);
	other(&exits[0], KVM_EXIT_INTR, 0);
	report(text, sizeof(text));
	ck_assert_str_eq(text, "microvm: exits: port 0x3f8, high: 2 in 3 us\n"
			       "microvm: exits: port, no device: 1 in 1 us\n"
			       "microvm: exits: MMIO 0xd0000000, low: 1 in 4 us\n"
			       "microvm: exits: KVM exit 10, a signal: 1 in 0 us\n"
			       "microvm: exits: 5 to user space in 8 us\n");
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("exits");
	TCase *tc = tcase_create("exits");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, exit_counts_for_its_device);
	tcase_add_test(tc, exits_count_by_reason_and_unknown_reasons_as_the_last);
	tcase_add_test(tc, report_sums_vcpus_and_lists_only_nonzero_counts);
	suite_add_tcase(suite, tc);
	return suite;
}
