/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of a kernel that gets a device tree: its setup_data, and its contents. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/bzimage.h"
#include "tests/lib/suite.h"
#include "tests/lib/treeview.h"
#include "vmm/arch/x86_64/boot.h"

#define MIB	 BZ_MIB
#define GIB	 (1024 * MIB)
#define TREE_GPA 0xe0000
#define RESET	 0xffff0
#define LAPIC	 "/interrupt-controller@fee00000"
#define IOAPIC	 "/interrupt-controller@fec00000"
#define PORTS	 "/isa@1,0"

static struct guestram ram;
static struct devlist devices;
static struct arch_boot_config config;
static struct arch_boot_error error;
static struct arch_boot *boot;
static const void *tree;

static void setup(void)
{
	uint8_t file[BZ_FILE_SIZE];

	bzimage_make(file);
	guestram_create(&ram, 64 * MIB);
	config = (struct arch_boot_config){ .kernel_fd = memfile(file, sizeof(file)),
					    .initrd_fd = -1,
					    .cmdline = "console=ttyS0 quiet",
					    .ram_size = ram.size,
					    .cpus = 2,
					    .mem = &ram.mem,
					    .devices = &devices };
	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_FDT, true, 2), 0);
}

static void teardown(void)
{
	free(boot);
	guestram_destroy(&ram);
}

static void load(void)
{
	size_t size;
	int err = guestram_boot(&config, &boot, &error);

	ck_assert_msg(!err, "%s", error.why);
	ck_assert_int_eq(arch_boot_tree(boot, &tree, &size), 0);
	ck_assert_uint_eq(size, fdt_totalsize(tree));
}

/* Returns the setup_data of this type in the list of boot_params, or NULL. */
static const struct setup_data *find(uint32_t type)
{
	uint64_t at = boot_params_of(&ram)->hdr.setup_data;

	for (int i = 0; at && i < 10; i++) {
		const struct setup_data *node = guestram_at(&ram, at, sizeof(*node));

		ck_assert_ptr_nonnull(guestram_at(&ram, at, sizeof(*node) + node->len));
		if (node->type == type)
			return node;
		at = node->next;
	}
	ck_assert_uint_eq(at, 0);
	return NULL;
}

START_TEST(kernel_finds_the_tree_and_no_acpi)
{
	const struct setup_data *node;

	load();
	node = find(SETUP_DTB);
	ck_assert_ptr_nonnull(node);
	ck_assert_ptr_eq(node->data, tree);
	ck_assert_uint_eq(node->len, fdt_totalsize(tree));
	ck_assert_uint_eq((uintptr_t)tree % 8, 0);
	ck_assert_ptr_nonnull(find(SETUP_RNG_SEED));
	ck_assert_uint_eq(boot_params_of(&ram)->acpi_rsdp_addr, 0);
	for (uint64_t at = TREE_GPA; at < RESET; at += 16)
		ck_assert_mem_ne(guestram_at(&ram, at, 16), "RSD PTR ", 8);
	tree_check(tree);
}
END_TEST

START_TEST(by_default_there_is_acpi_and_no_tree)
{
	size_t size;

	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, 2), 0);
	ck_assert_int_eq(devices.description, DESCRIBE_ACPI);
	ck_assert_int_eq(guestram_boot(&config, &boot, &error), 0);
	ck_assert_int_eq(arch_boot_tree(boot, &tree, &size), -EOPNOTSUPP);
	ck_assert_ptr_null(find(SETUP_DTB));
	ck_assert_uint_eq(boot_params_of(&ram)->acpi_rsdp_addr, TREE_GPA);
}
END_TEST

/* PVH has no field for a device tree. */
START_TEST(elf_with_a_pvh_note_enters_64_bit_code)
{
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr[2];
		uint32_t note[5];
	} file = { .ehdr = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			     .e_type = ET_EXEC,
			     .e_machine = EM_X86_64,
			     .e_entry = 2 * MIB + 0x20,
			     .e_phoff = sizeof(file.ehdr),
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = 2 },
		   .phdr = { { PT_LOAD, 5, 0, 0, 2 * MIB, sizeof(file), 4096, 4096 },
			     { PT_NOTE, 4, offsetof(typeof(file), note), 0, 0, 20, 20, 4 } },
		   .note = { 4, 4, 18, 0x6e6558, 2 * MIB } };

	config.kernel_fd = memfile(&file, sizeof(file));
	load();
	ck_assert_int_eq(boot->entry, BOOT_ENTRY_64);
	ck_assert_uint_eq(boot->ip, 2 * MIB + 0x20);
	ck_assert_ptr_nonnull(find(SETUP_DTB));
	free(boot);
	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_ACPI, true, 2), 0);
	ck_assert_int_eq(guestram_boot(&config, &boot, &error), 0);
	ck_assert_int_eq(boot->entry, BOOT_ENTRY_PVH);
}
END_TEST

START_TEST(tree_has_cmdline_and_initrd)
{
	config.initrd_fd = memfile(NULL, 12345);
	load();
	tree_check_text(tree, "/chosen", "bootargs", "console=ttyS0 quiet");
	tree_check_text(tree, "/chosen", "stdout-path", PORTS "/serial@3f8");
	ck_assert_uint_eq(tree_wide(tree, "/chosen", "linux,initrd-start", 0, 1),
			  boot_params_of(&ram)->hdr.ramdisk_image);
	ck_assert_uint_eq(tree_wide(tree, "/chosen", "linux,initrd-end", 0, 1),
			  boot_params_of(&ram)->hdr.ramdisk_image + 12345);
	ck_assert_uint_eq(tree_wide(tree, "/memory@0", "reg", 1, 2), 64 * MIB);
}
END_TEST

START_TEST(tree_has_memory_above_the_hole)
{
	guestram_destroy(&ram);
	guestram_create(&ram, 6 * GIB);
	config.ram_size = ram.size;
	load();
	ck_assert_uint_eq(tree_wide(tree, "/memory@0", "reg", 0, 4), 0);
	ck_assert_uint_eq(tree_wide(tree, "/memory@0", "reg", 1, 4), 3 * GIB);
	ck_assert_uint_eq(tree_wide(tree, "/memory@0", "reg", 2, 4), 4 * GIB);
	ck_assert_uint_eq(tree_wide(tree, "/memory@0", "reg", 3, 4), 3 * GIB);
	tree_check(tree);
}
END_TEST

START_TEST(interrupts_are_edge_triggered_on_io_apic_pins)
{
	static const char *const path[] = { PORTS "/serial@3f8", "/virtio@d0000000",
					    "/virtio@d0001000" };
	static const uint32_t pin[] = { 4, 5, 10 };

	load();
	tree_check_text(tree, LAPIC, "compatible", "intel,ce4100-lapic");
	tree_check_text(tree, IOAPIC, "compatible", "intel,ce4100-ioapic");
	ck_assert_uint_eq(tree_wide(tree, IOAPIC, "reg", 0, 2), 0xfec00000);
	ck_assert_uint_eq(tree_cell(tree, "/", "interrupt-parent", 0, 1),
			  tree_cell(tree, IOAPIC, "phandle", 0, 1));
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(tree_cell(tree, path[i], "interrupts", 0, 2), pin[i]);
		ck_assert_uint_eq(tree_cell(tree, path[i], "interrupts", 1, 2), 3);
	}
}
END_TEST

START_TEST(devices_have_the_addresses_of_the_list)
{
	load();
	tree_check_text(tree, PORTS "/serial@3f8", "compatible", "ns16550a");
	ck_assert_uint_eq(tree_cell(tree, PORTS "/serial@3f8", "reg", 0, 3), 1);
	ck_assert_uint_eq(tree_cell(tree, PORTS "/serial@3f8", "reg", 1, 3), 0x3f8);
	ck_assert_uint_eq(tree_cell(tree, PORTS "/serial@3f8", "reg", 2, 3), 8);
	tree_check_text(tree, PORTS "/pvpanic@505", "compatible", "qemu,pvpanic-mmio");
	ck_assert(!tree_has_property(tree, PORTS "/pvpanic@505", "interrupts"));
	tree_check_text(tree, "/virtio@d0001000", "compatible", "virtio,mmio");
	ck_assert_uint_eq(tree_wide(tree, "/virtio@d0001000", "reg", 0, 2), 0xd0001000);
	ck_assert_uint_eq(tree_wide(tree, "/virtio@d0001000", "reg", 1, 2), 0x1000);
	ck_assert(!tree_has(tree, "/virtio@d0002000"));
}
END_TEST

static void end(struct vm_exit *vm_exit, enum vm_end why)
{
	vm_exit->why = why;
}

/* Does what a driver of syscon-poweroff does. */
START_TEST(value_for_the_power_register_powers_off)
{
	struct vm_exit vm_exit = { .end = end };
	struct bus pio = { 0 }, mmio = { 0 };
	uint64_t at;
	uint8_t value;

	load();
	for (unsigned int i = 0; i < devices.count; i++) {
		ck_assert_int_ne(devices.dev[i].kind, DEV_POWER_BUTTON);
		arch_device_create(&devices.dev[i], &pio, &mmio, &vm_exit);
	}
	ck_assert_uint_eq(tree_cell(tree, "/poweroff", "regmap", 0, 1),
			  tree_cell(tree, "/syscon@d0010000", "phandle", 0, 1));
	ck_assert_uint_eq(tree_cell(tree, "/syscon@d0010000", "reg-io-width", 0, 1), 1);
	at = tree_wide(tree, "/syscon@d0010000", "reg", 0, 2) +
	     tree_cell(tree, "/poweroff", "offset", 0, 1);
	bus_read(&mmio, at, &value, 1);
	ck_assert_uint_eq(value, 0);
	value = (uint8_t)tree_cell(tree, "/poweroff", "value", 0, 1);
	bus_write(&mmio, at, &value, 1);
	ck_assert_uint_eq(vm_exit.why, VM_END_POWEROFF);
}
END_TEST

START_TEST(largest_machine_fits)
{
	static char longest[2048];

	memset(longest, 'x', sizeof(longest) - 1);
	config.cmdline = longest;
	config.cpus = 1024;
	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_FDT, true, DEVLIST_MAX_DISKS), 0);
	load();
	for (unsigned int i = 0; i < 1024; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/cpus/cpu@%x", i);
		ck_assert_uint_eq(tree_cell(tree, path, "reg", 0, 1), i);
		tree_check_text(tree, path, "device_type", "cpu");
	}
	ck_assert(!tree_has(tree, "/cpus/cpu@400"));
	tree_check(tree);
}
END_TEST

/* The memory behind the tree has the code that resets the machine. */
START_TEST(tree_that_does_not_fit_is_refused)
{
	uint8_t reset[16];

	load();
	free(boot);
	boot = NULL;
	memcpy(reset, guestram_at(&ram, RESET, sizeof(reset)), sizeof(reset));
	config.cpus = 4096;
	ck_assert_int_eq(guestram_boot(&config, &boot, &error), -ENOSPC);
	ck_assert_int_eq(error.part, BOOT_KERNEL);
	ck_assert_ptr_nonnull(strstr(error.why, "device tree"));
	ck_assert_mem_eq(reset, guestram_at(&ram, RESET, sizeof(reset)), sizeof(reset));
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("x86_tree");
	TCase *tc = tcase_create("tree");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, kernel_finds_the_tree_and_no_acpi);
	tcase_add_test(tc, by_default_there_is_acpi_and_no_tree);
	tcase_add_test(tc, elf_with_a_pvh_note_enters_64_bit_code);
	tcase_add_test(tc, tree_has_cmdline_and_initrd);
	tcase_add_test(tc, tree_has_memory_above_the_hole);
	tcase_add_test(tc, interrupts_are_edge_triggered_on_io_apic_pins);
	tcase_add_test(tc, devices_have_the_addresses_of_the_list);
	tcase_add_test(tc, value_for_the_power_register_powers_off);
	tcase_add_test(tc, largest_machine_fits);
	tcase_add_test(tc, tree_that_does_not_fit_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}
