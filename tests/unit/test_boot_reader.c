/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of reading parts of files into memory, by one thread and by two. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/guestram.h"
#include "tests/lib/suite.h"
#include "vmm/boot/reader.h"

#define MIB	  (1u << 20)
#define FILE_SIZE (9 * MIB)
#define RAM_SIZE  (32 * MIB)

static struct bootread all;
static struct arch_boot_error error;
static struct boot_file file;
static uint8_t *bytes, *ram;

static void setup(void)
{
	bytes = malloc(FILE_SIZE);
	ck_assert_ptr_nonnull(bytes);
	for (unsigned int i = 0; i < FILE_SIZE; i++)
		bytes[i] = (uint8_t)(1 + i % 251);
	file = (struct boot_file){ memfile(bytes, FILE_SIZE), FILE_SIZE };
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	all = (struct bootread)BOOTREAD_INIT;
	error = (struct arch_boot_error){ .part = BOOT_CMDLINE };
}

static void teardown(void)
{
	munmap(ram, RAM_SIZE);
	close(file.fd);
	free(bytes);
}

static int add(enum arch_boot_part what, uint64_t offset, uint64_t at, uint64_t len)
{
	struct bootread_part part = { what, file, offset, ram + at, len };

	return bootread_add(&all, &part);
}

/*
 * Expects the bytes of the file at `at`, and zeros before and behind them, where nothing was read.
 */
static void expect(uint64_t offset, uint64_t at, uint64_t len)
{
	ck_assert_int_eq(memcmp(ram + at, bytes + offset, len), 0);
	ck_assert(at == 0 || ram[at - 1] == 0);
	ck_assert_uint_eq(ram[at + len], 0);
}

static const char *const readers[] = { "one thread", "helper thread" };

static void begin(int with_helper)
{
	if (with_helper)
		bootread_start(&all);
	ck_assert(all.helped == !!with_helper);
}

START_TEST(every_part_is_read_whole)
{
	ck_assert_int_eq(add(BOOT_KERNEL, 0, 0, FILE_SIZE), 0);
	ck_assert_int_eq(add(BOOT_KERNEL, 5, 10 * MIB + 7, 1), 0);
	ck_assert_int_eq(add(BOOT_KERNEL, 3, 11 * MIB, 0), 0);
	ck_assert_int_eq(add(BOOT_INITRD, 4097, 12 * MIB - 3, 5 * MIB + 11), 0);
	begin(_i);
	ck_assert_int_eq(bootread_finish(&all, &error), 0);
	expect(0, 0, FILE_SIZE);
	expect(5, 10 * MIB + 7, 1);
	ck_assert_uint_eq(ram[11 * MIB], 0);
	expect(4097, 12 * MIB - 3, 5 * MIB + 11);
	/* A second call reads nothing again. */
	memset(ram, 0, RAM_SIZE);
	ck_assert_int_eq(bootread_finish(&all, &error), 0);
	ck_assert_uint_eq(ram[0], 0);
	bootread_cancel(&all);
}
END_TEST

START_TEST(file_truncated_during_the_read_is_reported)
{
	ck_assert_int_eq(add(BOOT_KERNEL, 0, 0, 3 * MIB), 0);
	ck_assert_int_eq(add(BOOT_INITRD, 0, 10 * MIB, FILE_SIZE), 0);
	ck_assert_int_eq(ftruncate(file.fd, 8 * MIB + 1), 0);
	begin(_i);
	ck_assert_int_eq(bootread_finish(&all, &error), -ENODATA);
	ck_assert_int_eq(error.part, BOOT_INITRD);
	ck_assert_str_eq(error.why, "was truncated while it was read");
}
END_TEST

START_TEST(unreadable_file_is_reported)
{
	int fd = file.fd;

	file.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(add(BOOT_KERNEL, 0, 0, 3 * MIB), 0);
	begin(_i);
	ck_assert_int_eq(bootread_finish(&all, &error), -EBADF);
	ck_assert_int_eq(error.part, BOOT_KERNEL);
	ck_assert_str_eq(error.why, "cannot be read");
	close(file.fd);
	file.fd = fd;
}
END_TEST

START_TEST(nothing_is_written_after_a_cancel)
{
	ck_assert_int_eq(add(BOOT_KERNEL, 0, 0, FILE_SIZE), 0);
	ck_assert_int_eq(add(BOOT_INITRD, 0, 10 * MIB, FILE_SIZE), 0);
	begin(_i);
	bootread_cancel(&all);
	ck_assert(!all.helped);
	ck_assert_int_eq(mprotect(ram, RAM_SIZE, PROT_READ), 0);
	ck_assert_int_eq(bootread_finish(&all, &error), 0);
	bootread_cancel(&all);
}
END_TEST

START_TEST(maximum_number_of_parts)
{
	for (unsigned int i = 0; i < BOOTREAD_MAX; i++)
		ck_assert_int_eq(add(BOOT_KERNEL, i, i * 4096, 100), 0);
	ck_assert_int_eq(add(BOOT_INITRD, 0, MIB, 1), -E2BIG);
	/* Parts this small are read without a helper thread. */
	bootread_start(&all);
	ck_assert(!all.helped);
	ck_assert_int_eq(bootread_finish(&all, &error), 0);
	for (unsigned int i = 0; i < BOOTREAD_MAX; i++)
		expect(i, i * 4096, 100);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("boot_reader");
	TCase *t = tcase_create("boot_reader");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_names_test(t, every_part_is_read_whole, readers);
	tcase_add_names_test(t, file_truncated_during_the_read_is_reported, readers);
	tcase_add_names_test(t, unreadable_file_is_reported, readers);
	tcase_add_names_test(t, nothing_is_written_after_a_cancel, readers);
	tcase_add_test(t, maximum_number_of_parts);
	suite_add_tcase(s, t);
	return s;
}
