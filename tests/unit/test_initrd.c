/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of the position of the initrd, and of an initrd or command line that does not fit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/unit/bzimage_rig.h"

START_TEST(cmdline_up_to_the_limit_of_the_kernel_is_accepted)
{
	uint8_t file[BZ_FILE_SIZE];
	char line[70000];
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->cmdline_size = 100;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	r = load(file, sizeof(file), -1, line + sizeof(line) - 102);
	boot_expect(r, -E2BIG, BOOT_CMDLINE, "longer");
	ck_assert_uint_eq(r.error.size, 101);
	ck_assert_uint_eq(r.error.limit, 100);
	r = load(file, sizeof(file), -1, line + sizeof(line) - 101);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
	/* A limit in the kernel's header beyond the available room is ignored. */
	bzimage_header(file)->cmdline_size = UINT32_MAX;
	boot_expect(load(file, sizeof(file), -1, line), -E2BIG, BOOT_CMDLINE, "longer");
}
END_TEST

static const char *const limits[] = { "end of RAM", "initrd_addr_max" };

START_TEST(initrd_is_at_the_highest_possible_address)
{
	uint8_t file[BZ_FILE_SIZE], initrd[5000];
	uint64_t limit = _i ? 15 * MIB : 16 * MIB;
	struct boot_result r;
	int fd;

	bzimage_make(file);
	if (_i)
		bzimage_header(file)->initrd_addr_max = 15 * MIB - 1;
	memset(initrd, 0x5a, sizeof(initrd));
	fd = memfile(initrd, sizeof(initrd));
	r = load(file, sizeof(file), fd, CMDLINE);
	close(fd);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.ramdisk_image, limit - 8192);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.ramdisk_size, sizeof(initrd));
	ck_assert_uint_eq(boot_params_of(&ram)->ext_ramdisk_image, 0);
	ck_assert_uint_eq(boot_params_of(&ram)->ext_ramdisk_size, 0);
	ck_assert_mem_eq(guestram_at(&ram, limit - 8192, sizeof(initrd)), initrd, sizeof(initrd));
}
END_TEST

/* The kernel is at [4 MiB, 7 MiB), RAM ends at 16 MiB. */
static const struct {
	const char *name;
	uint64_t size;
	uint32_t addr_max;
	int err;
} cases[] = {
	{ "fits exactly", 9 * MIB, 0x7fffffff, 0 },
	{ "a byte too large", 9 * MIB + 1, 0x7fffffff, -EFBIG },
	{ "larger than RAM", 17 * MIB, 0x7fffffff, -EFBIG },
	{ "1 TiB", 1ull << 40, 0x7fffffff, -EFBIG },
	{ "fits exactly below the kernel's limit", 2 * MIB, 9 * MIB - 1, 0 },
	{ "a byte too large for the kernel's limit", 2 * MIB, 9 * MIB - 2, -EFBIG },
	{ "limit below the kernel", 4096, 4095, -EFBIG },
	{ "limit of 0", 1, 0, -EFBIG },
};

START_TEST(initrd_that_does_not_fit_is_refused)
{
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;
	int fd = memfile(NULL, cases[_i].size);

	bzimage_make(file);
	bzimage_header(file)->initrd_addr_max = cases[_i].addr_max;
	r = load(file, sizeof(file), fd, CMDLINE);
	close(fd);
	if (cases[_i].err)
		boot_expect(r, cases[_i].err, BOOT_INITRD, "does not fit");
	else
		ck_assert_int_eq(r.err, 0);
	free(r.boot);
}
END_TEST

START_TEST(empty_initrd_is_refused)
{
	uint8_t file[BZ_FILE_SIZE];
	int fd = memfile("", 0);

	bzimage_make(file);
	boot_expect(load(file, sizeof(file), fd, CMDLINE), -EINVAL, BOOT_INITRD, "empty");
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("initrd");
	TCase *tcase = tcase_create("initrd");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, cmdline_up_to_the_limit_of_the_kernel_is_accepted);
	tcase_add_names_test(tcase, initrd_is_at_the_highest_possible_address, limits);
	tcase_add_table_test(tcase, initrd_that_does_not_fit_is_refused, cases);
	tcase_add_test(tcase, empty_initrd_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
