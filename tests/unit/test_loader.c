/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "vmm/arch.h"
#include "vmm/boot/loader.h"

static struct devlist devices;
static struct machine_config config;
static char line[512];

static void setup(void)
{
	memset(&config, 0, sizeof(config));
	config.console = true;
	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, 0), 0);
}

static void with_disks(unsigned int count, bool readonly)
{
	config.disk_count = count;
	config.disk[0].readonly = readonly;
	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, count), 0);
}

static int ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && !strcmp(text + len - tail, end);
}

START_TEST(default_line_without_disks)
{
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_str_eq(line, arch_default_cmdline(true));
	config.console = false;
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_str_eq(line, arch_default_cmdline(false));
	ck_assert_ptr_null(strstr(line, "console="));
}
END_TEST

START_TEST(disk_without_initrd_is_the_root)
{
	with_disks(1, false);
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_ptr_nonnull(strstr(line, " virtio_mmio.device=0x1000@0xd0000000:5"));
	ck_assert(ends_with(line, " root=/dev/vda rw"));
	with_disks(1, true);
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert(ends_with(line, " root=/dev/vda ro"));
}
END_TEST

/* Linux would register a disk twice, and the second driver could not claim the registers. */
START_TEST(disks_in_a_device_tree_are_not_on_the_line)
{
	config.disk_count = 2;
	config.description = DESCRIBE_FDT;
	ck_assert_int_eq(loader_devices(&config, &devices), 0);
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_ptr_null(strstr(line, "virtio_mmio"));
	ck_assert(ends_with(line, " root=/dev/vda rw"));
}
END_TEST

START_TEST(disks_are_not_on_the_line_with_acpi)
{
	with_disks(2, false);
	config.description = DESCRIBE_ACPI;
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_ptr_null(strstr(line, "virtio_mmio"));
	ck_assert(ends_with(line, " root=/dev/vda rw"));
}
END_TEST

START_TEST(initrd_gets_no_root_on_the_line)
{
	with_disks(2, false);
	config.initrd = "initrd";
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_ptr_null(strstr(line, "root="));
	ck_assert_ptr_nonnull(strstr(line, "virtio_mmio.device=0x1000@0xd0001000:"));
}
END_TEST

START_TEST(appended_text_comes_last)
{
	with_disks(1, false);
	config.append = "root=/dev/vdb quiet";
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert(ends_with(line, " rw root=/dev/vdb quiet"));
}
END_TEST

START_TEST(cmdline_replaces_everything)
{
	with_disks(1, false);
	config.cmdline = "just this";
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "just this");
}
END_TEST

/* The init of the images finds the register there. */
START_TEST(exit_port_is_on_the_default_line)
{
	config.exit_port = (struct exit_port){ true, false, 0xf4, "0xf4" };
	config.disk_count = 1;
	config.append = "quiet";
	ck_assert_int_eq(loader_devices(&config, &devices), 0);
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert(ends_with(line, " root=/dev/vda rw exit_port=0xd00200f4 quiet"));
	config.append = NULL;
	config.cmdline = "just this";
	ck_assert_int_eq(loader_cmdline(&config, &devices, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "just this");
}
END_TEST

START_TEST(exit_port_of_another_device_is_refused)
{
	config.exit_port = (struct exit_port){ true, false, 0x3f8, "0x3f8" };
	ck_assert_int_eq(loader_devices(&config, &devices), -EADDRINUSE);
}
END_TEST

START_TEST(line_that_does_not_fit_is_refused)
{
	char small[64];
	size_t len;

	config.append = "0123456789";
	len = strlen(arch_default_cmdline(true)) + 1 + strlen(config.append);
	ck_assert_uint_lt(len + 1, sizeof(small));
	ck_assert_int_eq(loader_cmdline(&config, &devices, small, len + 1), 0);
	ck_assert_int_eq(loader_cmdline(&config, &devices, small, len), -E2BIG);
	ck_assert_int_eq(loader_cmdline(&config, &devices, small, 4), -E2BIG);
	with_disks(1, false);
	ck_assert_int_eq(loader_cmdline(&config, &devices, small, sizeof(small)), -E2BIG);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("loader");
	TCase *tc = tcase_create("command line");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, default_line_without_disks);
	tcase_add_test(tc, disk_without_initrd_is_the_root);
	tcase_add_test(tc, disks_in_a_device_tree_are_not_on_the_line);
	tcase_add_test(tc, disks_are_not_on_the_line_with_acpi);
	tcase_add_test(tc, initrd_gets_no_root_on_the_line);
	tcase_add_test(tc, appended_text_comes_last);
	tcase_add_test(tc, cmdline_replaces_everything);
	tcase_add_test(tc, exit_port_is_on_the_default_line);
	tcase_add_test(tc, exit_port_of_another_device_is_refused);
	tcase_add_test(tc, line_that_does_not_fit_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}
