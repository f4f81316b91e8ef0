/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of bzImage: guest RAM for a valid one, and the errors for each kind of invalid one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/unit/bzimage_rig.h"
#include "vmm/arch/x86_64/boot.h"

static void check_loaded(uint64_t gpa, unsigned int from, unsigned int len)
{
	const uint8_t *code = guestram_at(&ram, gpa, len);

	for (unsigned int i = 0; i < len; i++)
		ck_assert_uint_eq(code[i], BZ_FILL(from + i));
	/* The setup code before the code in the file and the bytes behind it are not loaded. */
	ck_assert_uint_eq(code[-1], 0);
	ck_assert_uint_eq(code[len], 0);
}

START_TEST(valid_kernel_is_loaded_at_its_preferred_address)
{
	uint8_t file[BZ_FILE_SIZE + 100];
	struct boot_result r;

	bzimage_make(file);
	memset(file + BZ_FILE_SIZE, 0xee, 100); /* a signature behind the code */
	r = load(file, sizeof(file), -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	check_loaded(4 * MIB, BZ_SETUP_SIZE, BZ_CODE_SIZE);
	ck_assert_int_eq(r.boot->entry, BOOT_ENTRY_64);
	ck_assert_uint_eq(r.boot->ip, 4 * MIB + 0x200);
	ck_assert_uint_eq(r.boot->params, 0x2000);
	free(r.boot);
}
END_TEST

START_TEST(setup_sects_0_means_4)
{
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->setup_sects = 0;
	bzimage_header(file)->syssize = (BZ_CODE_SIZE - 512) / 16;
	r = load(file, sizeof(file), -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	check_loaded(4 * MIB, 5 * 512, BZ_CODE_SIZE - 512);
	free(r.boot);
}
END_TEST

START_TEST(kernel_without_preferred_address_is_loaded_aligned)
{
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->pref_address = 0;
	r = load(file, sizeof(file), -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	check_loaded(2 * MIB, BZ_SETUP_SIZE, BZ_CODE_SIZE);
	ck_assert_uint_eq(r.boot->ip, 2 * MIB + 0x200);
	free(r.boot);
}
END_TEST

START_TEST(kernel_that_just_fits_is_accepted)
{
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->init_size = 12 * MIB;
	r = load(file, sizeof(file), -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
}
END_TEST

START_TEST(boot_params_have_the_fields_of_the_protocol)
{
	uint8_t file[BZ_FILE_SIZE], zero[32] = { 0 };
	const struct setup_data *seed;
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->setup_data = 0x1234; /* a field that the file must not set */
	r = load(file, sizeof(file), -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.loadflags, LOADED_HIGH);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.init_size, 3 * MIB);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.code32_start, 4 * MIB);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.ramdisk_size, 0);
	ck_assert_uint_eq(boot_params_of(&ram)->sentinel, 0);
	ck_assert_str_eq(guestram_at(&ram, boot_params_of(&ram)->hdr.cmd_line_ptr, 100), CMDLINE);
	ck_assert_mem_eq(guestram_at(&ram, boot_params_of(&ram)->acpi_rsdp_addr, 8), "RSD PTR ", 8);
	ck_assert_uint_eq(boot_params_of(&ram)->acpi_rsdp_addr % 16, 0);
	ck_assert_uint_ge(boot_params_of(&ram)->acpi_rsdp_addr, 0xe0000);

	seed = guestram_at(&ram, boot_params_of(&ram)->hdr.setup_data, sizeof(*seed) + 32);
	ck_assert_uint_eq(seed->next, 0);
	ck_assert_uint_eq(seed->type, 9);
	ck_assert_uint_eq(seed->len, 32);
	ck_assert_mem_ne(seed->data, zero, sizeof(zero));
}
END_TEST

/* The bytes behind a short header are code and must not be read as newer fields. */
START_TEST(length_of_the_header_is_respected)
{
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->jump = 0x62eb; /* the header ends with init_size */
	bzimage_header(file)->handover_offset = 0xdeadbeef;
	bzimage_header(file)->kernel_info_offset = 0xdeadbeef;
	r = load(file, sizeof(file), -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.init_size, 3 * MIB);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.handover_offset, 0);
	ck_assert_uint_eq(boot_params_of(&ram)->hdr.kernel_info_offset, 0);
}
END_TEST

#define CORRUPTIONS(X)                                                                           \
	X(setup_sects_past_the_end, hdr->setup_sects = 255, ENOEXEC, "truncated")                \
	X(syssize_past_the_end, hdr->syssize += 1, ENOEXEC, "truncated")                         \
	X(syssize_huge, hdr->syssize = UINT32_MAX, ENOEXEC, "truncated")                         \
	X(syssize_0, hdr->syssize = 0, ENOEXEC, "no code")                                       \
	X(syssize_before_the_entry, hdr->syssize = 0x200 / 16, ENOEXEC, "no code")               \
	X(protocol_too_old, hdr->version = 0x20b, ENOEXEC, "too old")                            \
	X(header_short, hdr->jump = 0x61eb, ENOEXEC, "header")                                   \
	X(zimage, hdr->loadflags = 0, ENOEXEC, "zImage")                                         \
	X(kernel_32_bit, hdr->xloadflags = 0, ENOEXEC, "32-bit")                                 \
	X(payload_past_the_code, hdr->payload_length = BZ_CODE_SIZE, ENOEXEC, "payload")         \
	X(payload_wraps, hdr->payload_length = UINT32_MAX, ENOEXEC, "payload")                   \
	X(alignment_0, hdr->kernel_alignment = 0, ENOEXEC, "alignment")                          \
	X(alignment_odd, hdr->kernel_alignment = 3 * MIB, ENOEXEC, "alignment")                  \
	X(alignment_past_ram, hdr->kernel_alignment = 1u << 30, EFBIG, "memory")                 \
	X(alignment_huge, hdr->kernel_alignment = 1u << 31, ENOEXEC, "alignment")                \
	X(init_size_past_ram, hdr->init_size = 12 * MIB + 1, EFBIG, "memory")                    \
	X(init_size_huge, hdr->init_size = UINT32_MAX, EFBIG, "memory")                          \
	X(pref_address_past_ram, hdr->pref_address = 16 * MIB, EFBIG, "memory")                  \
	X(pref_address_wraps, hdr->pref_address = UINT64_MAX - 0xfff, ENOEXEC, "wraps")          \
	X(pref_and_init_size_wrap,                                                               \
	  (hdr->relocatable_kernel = 0, hdr->pref_address = UINT64_MAX - MIB), EFBIG, "memory")  \
	X(fixed_below_1_mib, (hdr->relocatable_kernel = 0, hdr->pref_address = 0x8000), ENOEXEC, \
	  "below 1 MiB")

#define CASE(name, change, err, why) { #name, err, why },
#define DO(name, change, err, why)   \
	if (!strcmp(which, #name)) { \
		change;              \
	}

static const struct {
	const char *name;
	int err;
	const char *why;
} corruptions[] = { CORRUPTIONS(CASE) };

static void corrupt_header(const char *which, struct setup_header *hdr){ CORRUPTIONS(DO) }

START_TEST(invalid_header_is_refused)
{
	uint8_t file[BZ_FILE_SIZE];

	bzimage_make(file);
	corrupt_header(corruptions[_i].name, bzimage_header(file));
	boot_expect(load(file, sizeof(file), -1, CMDLINE), -corruptions[_i].err, BOOT_KERNEL,
		    corruptions[_i].why);
}
END_TEST

START_TEST(truncated_file_is_refused_at_every_length)
{
	uint8_t file[BZ_FILE_SIZE];

	bzimage_make(file);
	for (size_t len = 1; len < BZ_FILE_SIZE; len += 97) {
		struct boot_result r = load(file, len, -1, CMDLINE);

		ck_assert_int_eq(r.err, -ENOEXEC);
		ck_assert_int_eq(r.error.part, BOOT_KERNEL);
	}
	boot_expect(load(file, BZ_FILE_SIZE - 16, -1, CMDLINE), -ENOEXEC, BOOT_KERNEL, "truncated");
	boot_expect(load(file, BZ_FILE_SIZE - 17, -1, CMDLINE), -ENOEXEC, BOOT_KERNEL, "truncated");
	boot_expect(load(file, 0, -1, CMDLINE), -ENOEXEC, BOOT_KERNEL, "empty");
}
END_TEST

static const char *missing_bytes(int i)
{
	static char name[40];

	snprintf(name, sizeof(name), "%d of 16 bytes missing", i + 1);
	return name;
}

/* In memtest86+ 6.10 syssize counts units of 16 bytes, and the file ends inside the last unit. */
START_TEST(file_that_ends_within_the_last_unit_of_syssize_is_accepted)
{
	unsigned int missing = (unsigned int)_i + 1;
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;

	bzimage_make(file);
	r = load(file, BZ_FILE_SIZE - missing, -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	check_loaded(4 * MIB, BZ_SETUP_SIZE, BZ_CODE_SIZE - missing);
	free(r.boot);
	/* The payload must lie inside the file. */
	bzimage_header(file)->payload_length = BZ_CODE_SIZE - 0x100;
	boot_expect(load(file, BZ_FILE_SIZE - 1, -1, CMDLINE), -ENOEXEC, BOOT_KERNEL, "payload");
}
END_TEST

/* The smallest code that is accepted: its entry point lies inside the file. */
START_TEST(smallest_kernel_may_lack_the_end_of_its_last_unit)
{
	uint8_t file[BZ_FILE_SIZE];
	struct boot_result r;

	bzimage_make(file);
	bzimage_header(file)->syssize = 0x210 / 16;
	bzimage_header(file)->payload_length = 0;
	r = load(file, BZ_SETUP_SIZE + 0x201, -1, CMDLINE);
	ck_assert_int_eq(r.err, 0);
	check_loaded(4 * MIB, BZ_SETUP_SIZE, 0x201);
	free(r.boot);
	boot_expect(load(file, BZ_SETUP_SIZE + 0x200, -1, CMDLINE), -ENOEXEC, BOOT_KERNEL,
		    "truncated");
	boot_expect(load(file, BZ_SETUP_SIZE, -1, CMDLINE), -ENOEXEC, BOOT_KERNEL, "truncated");
}
END_TEST

START_TEST(file_truncated_during_the_read_is_reported)
{
	uint8_t bytes[100] = { 0 }, to[200];
	struct boot_file file = { memfile(bytes, sizeof(bytes)), 200 };

	ck_assert_int_eq(boot_file_read(&file, 0, to, 100), 0);
	ck_assert_int_eq(boot_file_read(&file, 0, to, 101), -ENODATA);
	ck_assert_int_eq(boot_file_read(&file, 50, to, 200), -ENODATA);
	ck_assert_int_eq(boot_file_read(&file, UINT64_MAX, to, 2), -ENODATA);
	close(file.fd);
}
END_TEST

START_TEST(other_formats_are_named)
{
	static const struct {
		const char *head;
		const char *why;
	} others[] = {
		{ "#!/bin/sh\n", "neither" },
		{ "\x1f\x8b\x08", "gzip" },
		{ "\x28\xb5\x2f\xfd", "zstd" },
		{ "\xfd"
		  "7zXZ",
		  "xz" },
		{ "MZ", "EFI" },
	};

	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char file[2048] = { 0 };

		memcpy(file, others[i].head, strlen(others[i].head));
		boot_expect(load((uint8_t *)file, sizeof(file), -1, CMDLINE), -ENOEXEC, BOOT_KERNEL,
			    others[i].why);
	}
}
END_TEST

START_TEST(irregular_file_is_refused)
{
	uint8_t file[BZ_FILE_SIZE];
	int fds[2], fd;

	bzimage_make(file);
	fd = memfile(file, sizeof(file));
	ck_assert_int_eq(pipe(fds), 0);
	boot_expect(boot_fds(&ram, fds[0], -1, CMDLINE), -EINVAL, BOOT_KERNEL, "regular");
	boot_expect(boot_fds(&ram, fd, fds[0], CMDLINE), -EINVAL, BOOT_INITRD, "regular");
	close(fds[0]);
	close(fds[1]);
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("bzimage");
	TCase *tcase = tcase_create("bzimage");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, valid_kernel_is_loaded_at_its_preferred_address);
	tcase_add_test(tcase, setup_sects_0_means_4);
	tcase_add_test(tcase, kernel_without_preferred_address_is_loaded_aligned);
	tcase_add_test(tcase, kernel_that_just_fits_is_accepted);
	tcase_add_test(tcase, boot_params_have_the_fields_of_the_protocol);
	tcase_add_test(tcase, length_of_the_header_is_respected);
	tcase_add_table_test(tcase, invalid_header_is_refused, corruptions);
	tcase_add_test(tcase, truncated_file_is_refused_at_every_length);
	tcase_add_named_test(tcase, file_that_ends_within_the_last_unit_of_syssize_is_accepted, 15,
			     missing_bytes);
	tcase_add_test(tcase, smallest_kernel_may_lack_the_end_of_its_last_unit);
	tcase_add_test(tcase, file_truncated_during_the_read_is_reported);
	tcase_add_test(tcase, other_formats_are_named);
	tcase_add_test(tcase, irregular_file_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
