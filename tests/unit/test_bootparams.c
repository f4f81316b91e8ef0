/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the RAM layout, its description for the kernel, and the first vCPU's tables. */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "tests/lib/cases.h"
#include "tests/lib/guestram.h"
#include "tests/lib/suite.h"
#include "vmm/arch/x86_64/boot.h"

#define MIB	   (1ull << 20)
#define GIB	   (1ull << 30)
#define GDT	   0x1000
#define PAGE_TABLE 0x9000

struct range {
	uint64_t start, size;
	uint32_t type;
};

static const struct {
	const char *name;
	uint64_t size;
	struct range high[2]; /* RAM above 1 MiB */
} machines[] = {
	{ "16 MiB", 16 * MIB, { { MIB, 15 * MIB, 1 } } },
	{ "256 MiB", 256 * MIB, { { MIB, 255 * MIB, 1 } } },
	{ "a page less than 3 GiB", 3 * GIB - 4096, { { MIB, 3 * GIB - 4096 - MIB, 1 } } },
	{ "3 GiB", 3 * GIB, { { MIB, 3 * GIB - MIB, 1 } } },
	{ "a page more than 3 GiB",
	  3 * GIB + 4096,
	  { { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 4096, 1 } } },
	{ "4 GiB", 4 * GIB, { { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, GIB, 1 } } },
	{ "6 GiB", 6 * GIB, { { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 3 * GIB, 1 } } },
	{ "1 TiB", 1024 * GIB, { { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 1021 * GIB, 1 } } },
};

static void write_params(struct guestram *ram, const char *cmdline)
{
	struct arch_boot_config config = {
		.cmdline = cmdline, .ram_size = ram->size, .cpus = 1, .mem = &ram->mem
	};
	struct boot_kernel kernel = { .boot.entry = BOOT_ENTRY_64, .start = MIB };
	struct boot_initrd initrd = { 0 };

	ck_assert_int_eq(bootparams_write(&config, &kernel, &initrd), 0);
}

START_TEST(ram_layout_has_a_hole_below_4_gib)
{
	struct arch_ram_range range[ARCH_MAX_RAM_RANGES];
	unsigned int n = arch_ram_layout(machines[_i].size, range);
	uint64_t sum = 0;

	ck_assert_uint_eq(range[0].gpa, 0);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t end = range[i].gpa + range[i].size;

		ck_assert_uint_gt(range[i].size, 0);
		ck_assert(end <= 0xc0000000 || range[i].gpa >= 4 * GIB);
		sum += range[i].size;
	}
	ck_assert_uint_eq(sum, machines[_i].size);
}
END_TEST

START_TEST(e820_is_right_for_every_size)
{
	const struct boot_params *params;
	struct guestram ram;
	unsigned int n = machines[_i].high[1].size ? 4 : 3;

	guestram_create(&ram, machines[_i].size);
	write_params(&ram, "x");
	params = guestram_at(&ram, 0x2000, sizeof(*params));
	ck_assert_uint_eq(params->e820_entries, n);
	ck_assert_uint_eq(params->e820_table[0].addr, 0);
	ck_assert_uint_eq(params->e820_table[0].size, 0x9fc00);
	ck_assert_uint_eq(params->e820_table[0].type, 1);
	ck_assert_uint_eq(params->e820_table[1].addr, 0x9fc00);
	ck_assert_uint_eq(params->e820_table[1].size, 0x100000 - 0x9fc00);
	ck_assert_uint_eq(params->e820_table[1].type, 2);
	for (unsigned int i = 2; i < n; i++) {
		ck_assert_uint_eq(params->e820_table[i].addr, machines[_i].high[i - 2].start);
		ck_assert_uint_eq(params->e820_table[i].size, machines[_i].high[i - 2].size);
		ck_assert_uint_eq(params->e820_table[i].type, 1);
	}
	guestram_destroy(&ram);
}
END_TEST

START_TEST(initrd_above_4g_is_split_into_halves)
{
	struct guestram ram;
	struct boot_kernel kernel = { .boot.entry = BOOT_ENTRY_64 };
	struct boot_initrd initrd = { .gpa = 0x123456000, .size = 0x200000001 };
	struct arch_boot_config config = { .cmdline = "" };
	const struct boot_params *params;

	guestram_create(&ram, 16 * MIB);
	config.mem = &ram.mem;
	config.ram_size = ram.size;
	ck_assert_int_eq(bootparams_write(&config, &kernel, &initrd), 0);
	params = guestram_at(&ram, 0x2000, sizeof(*params));
	ck_assert_uint_eq(params->hdr.ramdisk_image, 0x23456000);
	ck_assert_uint_eq(params->ext_ramdisk_image, 1);
	ck_assert_uint_eq(params->hdr.ramdisk_size, 1);
	ck_assert_uint_eq(params->ext_ramdisk_size, 2);
	guestram_destroy(&ram);
}
END_TEST

/* Leftovers do harm: a nonzero sentinel makes the kernel discard most of boot_params. */
START_TEST(previous_contents_of_ram_are_overwritten)
{
	const struct boot_params *params;
	struct guestram ram;

	guestram_create(&ram, 16 * MIB);
	memset(guestram_at(&ram, 0x2000, 0x2000), 0xff, 0x2000);
	write_params(&ram, "x");
	params = guestram_at(&ram, 0x2000, sizeof(*params));
	ck_assert_uint_eq(params->sentinel, 0);
	ck_assert_uint_eq(params->ext_cmd_line_ptr, 0);
	ck_assert_uint_eq(params->screen_info.orig_video_isVGA, 0);
	guestram_destroy(&ram);
}
END_TEST

/* Two boots never get the same seed. */
START_TEST(rng_seed_differs_each_time)
{
	struct guestram ram;
	const struct boot_params *params;
	const struct setup_data *data;
	uint8_t first[32];

	guestram_create(&ram, 16 * MIB);
	write_params(&ram, "");
	params = guestram_at(&ram, 0x2000, sizeof(*params));
	data = guestram_at(&ram, params->hdr.setup_data, sizeof(*data) + 32);
	memcpy(first, data->data, 32);
	write_params(&ram, "");
	ck_assert_mem_ne(first, data->data, 32);
	guestram_destroy(&ram);
}
END_TEST

static const char *const entries[] = { "64-bit", "PVH" };

START_TEST(too_little_ram_is_an_error)
{
	struct boot_kernel kernel = { .boot.entry = _i ? BOOT_ENTRY_PVH : BOOT_ENTRY_64 };
	struct boot_initrd initrd = { 0 };
	struct guestram ram;

	for (uint64_t size = 4096; size <= 0x11000; size += 4096) {
		struct arch_boot_config config = { .cmdline = "x" };
		int expect = size == 0x11000 ? 0 : -EFAULT;

		guestram_create(&ram, size);
		config.mem = &ram.mem;
		config.ram_size = size;
		ck_assert_int_eq(bootparams_write(&config, &kernel, &initrd), expect);
		ck_assert_int_eq(cpu_write_tables(&ram.mem), -EFAULT);
		guestram_destroy(&ram);
	}
}
END_TEST

static uint64_t walk(const struct guestram *ram, uint64_t va)
{
	uint64_t entry = PAGE_TABLE;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t *table = guestram_at(ram, entry & ~0xfffull, 4096);

		entry = table[va >> shift & 511];
		ck_assert_uint_eq(entry & 3, 3);
	}
	ck_assert_uint_eq(entry & 0x80, 0x80);
	return (entry & ~0x1fffffull) + (va & 0x1fffff);
}

START_TEST(page_tables_identity_map_4_gib)
{
	static const uint64_t places[] = { 0,	       0x1fffff,   0x200000,  0x12345678,
					   0xbfffffff, 0xfee00000, 0xffffffff };
	struct guestram ram;
	uint64_t *pml4;

	guestram_create(&ram, 16 * MIB);
	ck_assert_int_eq(cpu_write_tables(&ram.mem), 0);
	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		ck_assert_uint_eq(walk(&ram, places[i]), places[i]);
	pml4 = guestram_at(&ram, PAGE_TABLE, 4096);
	ck_assert_uint_eq(pml4[1], 0);
	guestram_destroy(&ram);
}
END_TEST

/* Flat 4 GiB segments at selectors 0x10 and 0x18, as the boot protocol requires them. */
START_TEST(gdt_has_the_boot_segments)
{
	struct guestram ram;
	uint64_t *gdt;

	guestram_create(&ram, 16 * MIB);
	ck_assert_int_eq(cpu_write_tables(&ram.mem), 0);
	gdt = guestram_at(&ram, GDT, 6 * 8);
	ck_assert_uint_eq(gdt[0], 0);
	ck_assert_uint_eq(gdt[2], 0x00af9b000000ffff);
	ck_assert_uint_eq(gdt[3], 0x00cf93000000ffff);
	ck_assert_uint_eq(gdt[4], 0x00008b0000000067);
	ck_assert_uint_eq(gdt[5], 0);
	guestram_destroy(&ram);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("bootparams");
	TCase *tcase = tcase_create("bootparams");

	tcase_add_table_test(tcase, ram_layout_has_a_hole_below_4_gib, machines);
	tcase_add_table_test(tcase, e820_is_right_for_every_size, machines);
	tcase_add_test(tcase, initrd_above_4g_is_split_into_halves);
	tcase_add_test(tcase, previous_contents_of_ram_are_overwritten);
	tcase_add_test(tcase, rng_seed_differs_each_time);
	tcase_add_names_test(tcase, too_little_ram_is_an_error, entries);
	tcase_add_test(tcase, page_tables_identity_map_4_gib);
	tcase_add_test(tcase, gdt_has_the_boot_segments);
	suite_add_tcase(suite, tcase);
	return suite;
}
