/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the memory size that an error message recommends: sufficient, and the least. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/bzimage.h"
#include "tests/lib/suite.h"

#define MIB	   BZ_MIB
#define PAGE	   4096u
#define HOLE	   (3072 * MIB)
#define ELF_SIZE   0x1000u
#define INITRD_MAX (300 * MIB)

static uint8_t kernel[BZ_FILE_SIZE];
static size_t kernel_size;
static int initrd_fd = -1;

static struct boot_result load(uint64_t ram_size)
{
	struct guestram ram;
	struct boot_result r;

	guestram_create(&ram, ram_size);
	r = boot_bytes(&ram, kernel, kernel_size, initrd_fd, "");
	guestram_destroy(&ram);
	return r;
}

/*
 * Loading fails with 16 MiB, and the error recommends `memory`. Loading works with this number of
 * pages, and fails with one page less.
 */
static void expect_recommended(enum arch_boot_part part, uint64_t memory)
{
	uint64_t pages = (memory + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	struct boot_result r = load(16 * MIB);

	ck_assert_int_eq(r.err, -EFBIG);
	ck_assert_int_eq(r.error.part, part);
	ck_assert_uint_eq(r.error.memory, memory);
	ck_assert_int_eq(load(pages - PAGE).err, -EFBIG);
	r = load(pages);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
}

/* Expects an error without a recommended size, because no size would be enough. */
static void expect_not_recommended(enum arch_boot_part part)
{
	struct boot_result r = load(16 * MIB);

	ck_assert_int_eq(r.err, -EFBIG);
	ck_assert_int_eq(r.error.part, part);
	ck_assert_uint_eq(r.error.memory, 0);
}

static void setup(void)
{
	bzimage_make(kernel);
	kernel_size = BZ_FILE_SIZE;
}

START_TEST(memory_for_a_bzimage_is_recommended)
{
	bzimage_header(kernel)->init_size = 30 * MIB + 1;
	expect_recommended(BOOT_KERNEL, 34 * MIB + 1);
	bzimage_header(kernel)->init_size = UINT32_MAX;
	expect_not_recommended(BOOT_KERNEL);
	bzimage_header(kernel)->init_size = MIB;
	bzimage_header(kernel)->pref_address = HOLE;
	expect_not_recommended(BOOT_KERNEL);
}
END_TEST

/* The size is the end of the highest segment, at any position among the segments. */
START_TEST(memory_for_an_elf_kernel_is_recommended)
{
	static const uint64_t at[] = { 20, 40, 24 };
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr[3];
	} *elf = (void *)kernel;

	memset(kernel, 0, sizeof(kernel));
	kernel_size = ELF_SIZE;
	elf->ehdr = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
				  .e_type = ET_EXEC,
				  .e_machine = EM_X86_64,
				  .e_entry = 20 * MIB,
				  .e_phoff = sizeof(Elf64_Ehdr),
				  .e_phentsize = sizeof(Elf64_Phdr),
				  .e_phnum = 3 };
	for (unsigned int i = 0; i < 3; i++)
		elf->phdr[i] = (Elf64_Phdr){ .p_type = PT_LOAD,
					     .p_paddr = at[i] * MIB,
					     .p_vaddr = at[i] * MIB,
					     .p_filesz = 1,
					     .p_memsz = PAGE + 1 };
	expect_recommended(BOOT_KERNEL, 40 * MIB + PAGE + 1);
	elf->phdr[2].p_paddr = HOLE - PAGE;
	expect_not_recommended(BOOT_KERNEL);
}
END_TEST

/* The kernel ends at 7 MiB. The initrd begins and ends on a page boundary. */
START_TEST(memory_for_an_initrd_is_recommended)
{
	initrd_fd = memfile(NULL, INITRD_MAX - 1);
	expect_recommended(BOOT_INITRD, 7 * MIB + INITRD_MAX);
	close(initrd_fd);
	initrd_fd = memfile(NULL, 10 * MIB);
	expect_recommended(BOOT_INITRD, 17 * MIB);
	/* This kernel accepts no initrd that ends above 12 MiB, with any amount of memory. */
	bzimage_header(kernel)->initrd_addr_max = 12 * MIB - 1;
	expect_not_recommended(BOOT_INITRD);
	close(initrd_fd);
	initrd_fd = -1;
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("boot memory");
	TCase *tc = tcase_create("boot memory");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, memory_for_a_bzimage_is_recommended);
	tcase_add_test(tc, memory_for_an_elf_kernel_is_recommended);
	tcase_add_test(tc, memory_for_an_initrd_is_recommended);
	suite_add_tcase(suite, tc);
	return suite;
}
