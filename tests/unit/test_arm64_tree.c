/* SPDX-License-Identifier: BSD-3-Clause */
/* The device tree: read back with libfdt, and looked at by dtc, which must have nothing to say. On
 * every architecture. */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/suite.h"
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
	ck_assert_int_eq(fdt_check_full(tree, fdt_totalsize(tree)), 0);
}

static const void *property(const char *path, const char *name, int want)
{
	int len, node = fdt_path_offset(tree, path);
	const void *data;

	ck_assert_msg(node >= 0, "no %s", path);
	data = fdt_getprop(tree, node, name, &len);
	ck_assert_msg(data != NULL, "no %s in %s", name, path);
	ck_assert_msg(want < 0 || len == want, "%s in %s: %d bytes", name, path, len);
	return data;
}

static bool there(const char *path)
{
	return fdt_path_offset(tree, path) >= 0;
}

static void check_text(const char *path, const char *name, const char *want)
{
	ck_assert_str_eq(property(path, name, (int)strlen(want) + 1), want);
}

static uint64_t number(const char *path, const char *name, unsigned int index, unsigned int of)
{
	const uint64_t *data = property(path, name, (int)(of * sizeof(*data)));
	uint64_t value;

	memcpy(&value, data + index, sizeof(value));
	return fdt64_to_cpu(value);
}

static uint32_t cell(const char *path, const char *name, unsigned int index, unsigned int of)
{
	const fdt32_t *data = property(path, name, (int)(of * sizeof(*data)));

	return fdt32_to_cpu(data[index]);
}

/* dtc's words: none, whatever the machine is. */
static void check_no_warnings(void)
{
	char path[] = "/tmp/treeXXXXXX", line[256] = "", command[128];
	int fd = mkstemp(path);
	FILE *dtc;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, tree, fdt_totalsize(tree)), (int)fdt_totalsize(tree));
	close(fd);
	snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1", path);
	dtc = popen(command, "r");
	ck_assert_ptr_nonnull(dtc);
	ck_assert_msg(!fgets(line, sizeof(line), dtc), "dtc: %s", line);
	ck_assert_int_eq(pclose(dtc), 0);
	unlink(path);
}

START_TEST(kernel_is_told_what_it_was_given)
{
	build();
	check_text("/chosen", "bootargs", CMDLINE);
	check_text("/chosen", "stdout-path", "/serial@20000000");
	ck_assert_uint_eq(number("/chosen", "linux,initrd-start", 0, 1), 0x48000000);
	ck_assert_uint_eq(number("/chosen", "linux,initrd-end", 0, 1), 0x48000000 + 12345);
	property("/chosen", "rng-seed", 32);
	property("/chosen", "kaslr-seed", 8);
}
END_TEST

START_TEST(no_initrd_and_no_console_are_not_told_of)
{
	initrd.size = 0;
	devices.count = 0;
	build();
	ck_assert_ptr_null(
		fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "linux,initrd-start", NULL));
	ck_assert_ptr_null(
		fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "stdout-path", NULL));
	ck_assert(!there("/serial@20000000"));
	check_no_warnings();
}
END_TEST

START_TEST(seeds_are_never_the_same)
{
	uint8_t first[32];

	build();
	memcpy(first, property("/chosen", "rng-seed", 32), 32);
	build();
	ck_assert_mem_ne(first, property("/chosen", "rng-seed", 32), 32);
}
END_TEST

START_TEST(all_memory_is_there)
{
	build();
	check_text("/memory@40000000", "device_type", "memory");
	ck_assert_uint_eq(number("/memory@40000000", "reg", 0, 2), LAYOUT_RAM);
	ck_assert_uint_eq(number("/memory@40000000", "reg", 1, 2), 6144 * MIB);
}
END_TEST

START_TEST(cpus_are_named_by_their_affinity)
{
	config.cpus = 300;
	build();
	for (unsigned int i = 0; i < 300; i++) {
		unsigned int affinity = i / 16 * 256 + i % 16;
		char path[64];

		snprintf(path, sizeof(path), "/cpus/cpu@%x", affinity);
		ck_assert_uint_eq(cell(path, "reg", 0, 1), affinity);
		check_text(path, "enable-method", "psci");
		check_text(path, "device_type", "cpu");
	}
	ck_assert(!there("/cpus/cpu@120c"));
	check_text("/psci", "method", "hvc");
	check_no_warnings();
}
END_TEST

START_TEST(devices_have_the_addresses_and_interrupts_of_the_list)
{
	build();
	check_text("/serial@20000000", "compatible", "ns16550a");
	ck_assert_uint_eq(number("/serial@20000000", "reg", 1, 2), 8);
	ck_assert_uint_eq(cell("/serial@20000000", "interrupts", 1, 3), 0);
	for (unsigned int i = 1; i < 3; i++) {
		const char *path = i == 1 ? "/virtio@21000000" : "/virtio@21001000";

		check_text(path, "compatible", "virtio,mmio");
		ck_assert_uint_eq(number(path, "reg", 0, 2), devices.dev[i].base);
		ck_assert_uint_eq(number(path, "reg", 1, 2), 0x1000);
		ck_assert_uint_eq(cell(path, "interrupts", 0, 3), 0);
		ck_assert_uint_eq(cell(path, "interrupts", 1, 3), i);
		ck_assert_uint_eq(cell(path, "interrupts", 2, 3), 1);
	}
	ck_assert(!there("/virtio@21002000"));
}
END_TEST

START_TEST(gic_is_version_3_until_it_is_made_2)
{
	const char *gic = "/interrupt-controller@8000000";

	config.cpus = 3;
	build();
	check_text(gic, "compatible", "arm,gic-v3");
	ck_assert_uint_eq(number(gic, "reg", 2, 4), LAYOUT_GICR);
	ck_assert_uint_eq(number(gic, "reg", 3, 4), 3 * LAYOUT_GICR_SIZE);
	check_no_warnings();
	ck_assert_int_eq(tree_use_gicv2(tree, LAYOUT_TREE_SIZE), 0);
	ck_assert_int_eq(fdt_check_full(tree, fdt_totalsize(tree)), 0);
	check_text(gic, "compatible", "arm,cortex-a15-gic");
	ck_assert_uint_eq(number(gic, "reg", 0, 4), LAYOUT_GICD);
	ck_assert_uint_eq(number(gic, "reg", 2, 4), LAYOUT_GICC);
	ck_assert_uint_eq(cell("/", "interrupt-parent", 0, 1), cell(gic, "phandle", 0, 1));
	check_text("/chosen", "bootargs", CMDLINE);
	ck_assert(there("/virtio@21001000"));
	check_no_warnings();
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

START_TEST(most_of_everything_fits)
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
	check_no_warnings();
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("arm64_tree");
	TCase *tc = tcase_create("tree");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, kernel_is_told_what_it_was_given);
	tcase_add_test(tc, no_initrd_and_no_console_are_not_told_of);
	tcase_add_test(tc, seeds_are_never_the_same);
	tcase_add_test(tc, all_memory_is_there);
	tcase_add_test(tc, cpus_are_named_by_their_affinity);
	tcase_add_test(tc, devices_have_the_addresses_and_interrupts_of_the_list);
	tcase_add_test(tc, gic_is_version_3_until_it_is_made_2);
	tcase_add_test(tc, tree_that_does_not_fit_is_refused);
	tcase_add_test(tc, most_of_everything_fits);
	suite_add_tcase(suite, tc);
	return suite;
}
