/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the device tree, read by libfdt and checked by dtc, which must not warn. They run on
 * every architecture.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "tests/lib/treeview.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

#define MIB	(1ull << 20)
#define CMDLINE "console=ttyS0 root=/dev/vda rw"

static uint8_t *tree; /* LAYOUT_TREE_SIZE bytes */
static struct devlist devices;
static struct boot_initrd initrd;
static struct arch_boot_config config;

static void setup(void)
{
	tree = malloc(LAYOUT_TREE_SIZE);
	memset(tree, 0xee, LAYOUT_TREE_SIZE);
	devices.count = 3;
	devices.dev[0] = (struct dev_desc){ DEV_SERIAL, false, 0x20000000, 8, 0 };
	devices.dev[1] = (struct dev_desc){ DEV_VIRTIO_BLK, false, 0x21000000, 0x1000, 1 };
	devices.dev[2] = (struct dev_desc){ DEV_VIRTIO_BLK, false, 0x21001000, 0x1000, 2 };
	initrd = (struct boot_initrd){ 0x48000000, 12345 };
	config = (struct arch_boot_config){
		.cmdline = CMDLINE, .ram_size = 6144 * MIB, .cpus = 2, .devices = &devices
	};
}

static void teardown(void)
{
	free(tree);
}

static void build(void)
{
	ck_assert_int_eq(tree_build(tree, LAYOUT_TREE_SIZE, &config, &initrd), 0);
}

START_TEST(tree_has_the_exit_port)
{
	build();
	ck_assert_int_lt(fdt_path_offset(tree, "/exit-port@200100f4"), 0);
	devices.dev[devices.count++] = (struct dev_desc){ DEV_EXIT_PORT, false, 0x200100f4,
							  DEV_EXIT_PORT_SIZE, DEV_NO_GSI };
	build();
	tree_check(tree);
	tree_check_text(tree, "/exit-port@200100f4", "compatible", "microvm,exit-port");
	ck_assert_uint_eq(tree_wide(tree, "/exit-port@200100f4", "reg", 0, 2), 0x200100f4);
	ck_assert_uint_eq(tree_wide(tree, "/exit-port@200100f4", "reg", 1, 2), 4);
	ck_assert_ptr_null(fdt_getprop(tree, fdt_path_offset(tree, "/exit-port@200100f4"),
				       "interrupts", NULL));
}
END_TEST

START_TEST(tree_has_cmdline_initrd_and_console)
{
	build();
	tree_check_text(tree, "/chosen", "bootargs", CMDLINE);
	tree_check_text(tree, "/chosen", "stdout-path", "/serial@20000000");
	ck_assert_uint_eq(tree_wide(tree, "/chosen", "linux,initrd-start", 0, 1), 0x48000000);
	ck_assert_uint_eq(tree_wide(tree, "/chosen", "linux,initrd-end", 0, 1), 0x48000000 + 12345);
	tree_property(tree, "/chosen", "rng-seed", 32);
	tree_property(tree, "/chosen", "kaslr-seed", 8);
}
END_TEST

START_TEST(absent_initrd_and_console_are_not_in_the_tree)
{
	initrd.size = 0;
	devices.count = 0;
	build();
	ck_assert(!tree_has_property(tree, "/chosen", "linux,initrd-start"));
	ck_assert(!tree_has_property(tree, "/chosen", "stdout-path"));
	ck_assert(!tree_has(tree, "/serial@20000000"));
	tree_check(tree);
}
END_TEST

START_TEST(seeds_differ_each_time)
{
	uint8_t first[32];

	build();
	memcpy(first, tree_property(tree, "/chosen", "rng-seed", 32), 32);
	build();
	ck_assert_mem_ne(first, tree_property(tree, "/chosen", "rng-seed", 32), 32);
}
END_TEST

START_TEST(tree_has_all_memory)
{
	build();
	tree_check_text(tree, "/memory@40000000", "device_type", "memory");
	ck_assert_uint_eq(tree_wide(tree, "/memory@40000000", "reg", 0, 2), LAYOUT_RAM);
	ck_assert_uint_eq(tree_wide(tree, "/memory@40000000", "reg", 1, 2), 6144 * MIB);
}
END_TEST

START_TEST(cpus_are_identified_by_their_affinity)
{
	config.cpus = 300;
	build();
	for (unsigned int i = 0; i < 300; i++) {
		unsigned int affinity = i / 16 * 256 + i % 16;
		char path[64];

		snprintf(path, sizeof(path), "/cpus/cpu@%x", affinity);
		ck_assert_uint_eq(tree_cell(tree, path, "reg", 0, 1), affinity);
		tree_check_text(tree, path, "enable-method", "psci");
		tree_check_text(tree, path, "device_type", "cpu");
	}
	ck_assert(!tree_has(tree, "/cpus/cpu@120c"));
	tree_check_text(tree, "/psci", "method", "hvc");
	tree_check(tree);
}
END_TEST

START_TEST(devices_have_the_addresses_and_interrupts_of_the_device_list)
{
	build();
	tree_check_text(tree, "/serial@20000000", "compatible", "ns16550a");
	ck_assert_uint_eq(tree_wide(tree, "/serial@20000000", "reg", 1, 2), 8);
	ck_assert_uint_eq(tree_cell(tree, "/serial@20000000", "interrupts", 1, 3), 0);
	for (unsigned int i = 1; i < 3; i++) {
		const char *path = i == 1 ? "/virtio@21000000" : "/virtio@21001000";

		tree_check_text(tree, path, "compatible", "virtio,mmio");
		ck_assert_uint_eq(tree_wide(tree, path, "reg", 0, 2), devices.dev[i].base);
		ck_assert_uint_eq(tree_wide(tree, path, "reg", 1, 2), 0x1000);
		ck_assert_uint_eq(tree_cell(tree, path, "interrupts", 0, 3), 0);
		ck_assert_uint_eq(tree_cell(tree, path, "interrupts", 1, 3), i);
		ck_assert_uint_eq(tree_cell(tree, path, "interrupts", 2, 3), 1);
	}
	ck_assert(!tree_has(tree, "/virtio@21002000"));
}
END_TEST

START_TEST(gic_is_version_3_unless_set_to_2)
{
	const char *gic = "/interrupt-controller@8000000";

	config.cpus = 3;
	build();
	tree_check_text(tree, gic, "compatible", "arm,gic-v3");
	ck_assert_uint_eq(tree_wide(tree, gic, "reg", 2, 4), LAYOUT_GICR);
	ck_assert_uint_eq(tree_wide(tree, gic, "reg", 3, 4), 3 * LAYOUT_GICR_SIZE);
	tree_check(tree);
	ck_assert_int_eq(tree_use_gicv2(tree, LAYOUT_TREE_SIZE), 0);
	tree_check_text(tree, gic, "compatible", "arm,cortex-a15-gic");
	ck_assert_uint_eq(tree_wide(tree, gic, "reg", 0, 4), LAYOUT_GICD);
	ck_assert_uint_eq(tree_wide(tree, gic, "reg", 2, 4), LAYOUT_GICC);
	ck_assert_uint_eq(tree_cell(tree, "/", "interrupt-parent", 0, 1),
			  tree_cell(tree, gic, "phandle", 0, 1));
	tree_check_text(tree, "/chosen", "bootargs", CMDLINE);
	ck_assert(tree_has(tree, "/virtio@21001000"));
	tree_check(tree);
}
END_TEST

START_TEST(tree_that_does_not_fit_is_refused)
{
	uint32_t size;

	build();
	size = fdt_totalsize(tree);
	for (uint32_t room = 0; room < size; room += room < 64 ? 1 : 97) {
		memset(tree, 0xee, LAYOUT_TREE_SIZE);
		ck_assert_int_eq(tree_build(tree, room, &config, &initrd), -ENOSPC);
		for (unsigned int i = 0; i < 64; i++)
			ck_assert_uint_eq(tree[room + i], 0xee);
	}
	build();
	ck_assert_int_eq(tree_use_gicv2(tree, size), -ENOSPC);
}
END_TEST

START_TEST(largest_machine_fits)
{
	static char longest[2048];

	memset(longest, 'x', sizeof(longest) - 1);
	config.cmdline = longest;
	config.cpus = 1024;
	for (devices.count = 1; devices.count <= DEVLIST_MAX_DISKS; devices.count++)
		devices.dev[devices.count] = (struct dev_desc){ DEV_VIRTIO_BLK, false,
								0x21000000 + devices.count * 0x1000,
								0x1000, devices.count };
	build();
	tree_check(tree);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("arm64_tree");
	TCase *tc = tcase_create("tree");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tree_has_cmdline_initrd_and_console);
	tcase_add_test(tc, tree_has_the_exit_port);
	tcase_add_test(tc, absent_initrd_and_console_are_not_in_the_tree);
	tcase_add_test(tc, seeds_differ_each_time);
	tcase_add_test(tc, tree_has_all_memory);
	tcase_add_test(tc, cpus_are_identified_by_their_affinity);
	tcase_add_test(tc, devices_have_the_addresses_and_interrupts_of_the_device_list);
	tcase_add_test(tc, gic_is_version_3_unless_set_to_2);
	tcase_add_test(tc, tree_that_does_not_fit_is_refused);
	tcase_add_test(tc, largest_machine_fits);
	suite_add_tcase(suite, tc);
	return suite;
}
