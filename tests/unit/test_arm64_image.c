/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of arm64's Image, compressed or not: the contents of guest RAM for a valid one, and the
 * errors for each kind of invalid one. They run on every architecture.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/lib/guestram.h"
#include "tests/lib/suite.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

#define KIB  1024ull
#define MIB  (1024 * KIB)
#define SIZE (300 * KIB) /* size of the file, larger than the reader's buffer */
#define RAM  (8 * MIB)
#define PAGE 4096

struct header {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	uint32_t magic, pe;
};

static struct hostmem mem;
static uint8_t *ram; /* RAM bytes, between two inaccessible pages */
static uint8_t file[SIZE];
static struct header *const header = (struct header *)file;
static uint8_t packed[SIZE + KIB];

static void setup(void)
{
	uint8_t *all = mmap(NULL, RAM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(all, MAP_FAILED);
	ram = all + PAGE;
	ck_assert_int_eq(mprotect(ram, RAM, PROT_READ | PROT_WRITE), 0);
	mem.count = 0;
	ck_assert_int_eq(hostmem_add(&mem, LAYOUT_RAM, RAM, ram, false), 0);
	for (unsigned int i = 0; i < SIZE; i++)
		file[i] = (uint8_t)(i * 7 + (i >> 8) * (i >> 5));
	*header = (struct header){ .code = { 0x14000010, 1 },
				   .text_offset = 0,
				   .image_size = MIB,
				   .flags = 0xa,
				   .magic = 0x644d5241 };
}

static void teardown(void)
{
	munmap(ram - PAGE, RAM + 2 * PAGE);
}

/* Writes `data` in gzip's format to `packed`. Returns the length. */
static size_t pack(const void *data, size_t len)
{
	z_stream z = { .next_in = (Bytef *)data, .avail_in = (uInt)len };

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY),
			 Z_OK);
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return sizeof(packed) - z.avail_out;
}

static struct boot_kernel kernel;
static struct arch_boot_error error;

static int load(const void *data, size_t len)
{
	int fd = memfile(data, len);
	struct arch_boot_config config = { .kernel_fd = fd, .ram_size = RAM, .mem = &mem };
	int err;

	memset(&error, 0xff, sizeof(error));
	memset(&kernel, 0, sizeof(kernel));
	err = kernel_load(&config, &kernel, &error);
	close(fd);
	return err;
}

static void expect(const void *data, size_t len, int err, const char *why)
{
	ck_assert_int_eq(load(data, len), err);
	ck_assert_int_eq(error.part, BOOT_KERNEL);
	ck_assert_msg(strstr(error.why, why) != NULL, "'%s', not '%s'", error.why, why);
}

static void expect_both(int err, const char *why)
{
	expect(file, SIZE, err, why);
	expect(packed, pack(file, SIZE), err, why);
}

static void check_loaded(uint64_t offset)
{
	ck_assert_mem_eq(ram + offset, file, SIZE);
	ck_assert_uint_eq(ram[offset + SIZE], 0);
	ck_assert_uint_eq(kernel.entry, LAYOUT_RAM + offset);
	ck_assert_uint_eq(kernel.end, LAYOUT_RAM + offset + MIB);
}

START_TEST(image_is_loaded_where_ram_begins)
{
	ck_assert_int_eq(load(file, SIZE), 0);
	check_loaded(0);
}
END_TEST

START_TEST(text_offset_moves_the_image)
{
	header->text_offset = 0x80000;
	ck_assert_int_eq(load(file, SIZE), 0);
	check_loaded(0x80000);
}
END_TEST

START_TEST(compressed_image_is_the_same)
{
	header->text_offset = 0x80000;
	ck_assert_int_eq(load(packed, pack(file, SIZE)), 0);
	check_loaded(0x80000);
}
END_TEST

START_TEST(file_larger_than_image_size_is_loaded_whole)
{
	header->image_size = 64;
	ck_assert_int_eq(load(file, SIZE), 0);
	ck_assert_uint_eq(kernel.end, LAYOUT_RAM + SIZE);
	ck_assert_int_eq(load(packed, pack(file, SIZE)), 0);
	ck_assert_uint_eq(kernel.end, LAYOUT_RAM + SIZE);
}
END_TEST

START_TEST(bytes_after_the_compressed_data_are_ignored)
{
	size_t len = pack(file, SIZE);

	memset(packed + len, 0xee, 100);
	ck_assert_int_eq(load(packed, len + 100), 0);
	check_loaded(0);
}
END_TEST

START_TEST(invalid_header_is_refused)
{
	header->image_size = 0;
	expect_both(-ENOEXEC, "too old");
	header->image_size = 63;
	expect_both(-ENOEXEC, "smaller than its header");
	header->image_size = RAM + 1;
	expect_both(-EFBIG, "more memory");
	ck_assert_uint_eq(error.memory, RAM + 1);
	header->image_size = UINT64_MAX;
	expect_both(-EFBIG, "more memory");
	header->image_size = UINT64_MAX - 0xfff;
	header->text_offset = 0x1000;
	expect_both(-EFBIG, "more memory");
	ck_assert_uint_eq(error.memory, 0);
	header->image_size = RAM;
	expect_both(-EFBIG, "more memory");
	ck_assert_uint_eq(error.memory, RAM + 0x1000);
	header->image_size = MIB;
	header->text_offset = 2 * MIB;
	expect_both(-ENOEXEC, "text offset");
	header->text_offset = UINT64_MAX;
	expect_both(-ENOEXEC, "text offset");
	header->magic++;
	expect_both(-ENOEXEC, "not an arm64 Image");
}
END_TEST

START_TEST(all_of_ram_is_enough_and_a_byte_less_is_not)
{
	struct header *big = calloc(1, RAM + 1);

	*big = *header;
	big->image_size = RAM;
	ck_assert_int_eq(load(big, RAM), 0);
	ck_assert_uint_eq(kernel.end, LAYOUT_RAM + RAM);
	ck_assert_int_eq(load(packed, pack(big, RAM)), 0);
	ck_assert_uint_eq(kernel.end, LAYOUT_RAM + RAM);
	expect(big, RAM + 1, -EFBIG, "more memory");
	ck_assert_uint_eq(error.memory, RAM + 1);
	/* The error comes without decompressing the rest of the file. */
	expect(packed, pack(big, RAM + 1), -EFBIG, "more memory");
	ck_assert_uint_eq(error.memory, 0);
	free(big);
}
END_TEST

/* A decompression bomb: 64 MiB of zeros in 64 KiB. */
START_TEST(decompression_stops_at_the_end_of_ram)
{
	size_t len = 64 * MIB;
	struct header *bomb = calloc(1, len);

	*bomb = *header;
	len = pack(bomb, len);
	free(bomb);
	ck_assert_uint_lt(len, 128 * KIB);
	expect(packed, len, -EFBIG, "more memory");
}
END_TEST

START_TEST(every_truncation_is_detected)
{
	size_t len = pack(file, SIZE);
	size_t step = len / 300;

	for (size_t cut = 1; cut < len; cut += cut < 100 || len - cut <= 10 ? 1 : step) {
		int err = load(packed, len - cut);

		ck_assert_msg(err == -ENOEXEC, "%zu bytes less: %d", cut, err);
	}
	expect(file, 63, -ENOEXEC, "not an arm64 Image");
	expect(file, 1, -ENOEXEC, "not an arm64 Image");
	expect(file, 0, -ENOEXEC, "is empty");
	expect("\x1f\x8b", 2, -ENOEXEC, "truncated");
}
END_TEST

START_TEST(every_flipped_byte_is_detected)
{
	size_t len = pack(file, SIZE);

	/* Starts behind the gzip header, most of whose bits are not checked. */
	for (size_t i = 10; i < len; i += 1 + len / 300) {
		packed[i] ^= 0x10;
		ck_assert_msg(load(packed, len) < 0, "byte %zu", i);
		packed[i] ^= 0x10;
	}
	packed[len - 8] ^= 1; /* the checksum */
	expect(packed, len, -ENOEXEC, "is damaged");
}
END_TEST

START_TEST(other_kernel_formats_are_named)
{
	static const struct {
		const char *magic, *why;
	} other[] = {
		{ "\x28\xb5\x2f\xfd", "zstd" }, { "\xfd\x37zXZ", "xz" }, { "BZh", "bzip2" },
		{ "\x02\x21\x4c\x18", "LZ4" },	{ "\x7f\x45LF", "ELF" }, { "MZ", "EFI" },
	};

	header->magic = 0;
	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++) {
		memcpy(file, other[i].magic, strlen(other[i].magic));
		expect_both(-ENOEXEC, other[i].why);
	}
	memcpy(file, "\x1f\x8b", 2);
	expect(packed, pack(file, SIZE), -ENOEXEC, "compressed twice");
}
END_TEST

START_TEST(directory_is_refused)
{
	struct arch_boot_config config = { .kernel_fd = 0, .ram_size = RAM, .mem = &mem };
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	config.kernel_fd = pipes[0];
	ck_assert_int_eq(kernel_load(&config, &kernel, &error), -EINVAL);
	ck_assert_str_eq(error.why, "is not a regular file");
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("arm64_image");
	TCase *tc = tcase_create("image");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, image_is_loaded_where_ram_begins);
	tcase_add_test(tc, text_offset_moves_the_image);
	tcase_add_test(tc, compressed_image_is_the_same);
	tcase_add_test(tc, file_larger_than_image_size_is_loaded_whole);
	tcase_add_test(tc, bytes_after_the_compressed_data_are_ignored);
	tcase_add_test(tc, invalid_header_is_refused);
	tcase_add_test(tc, all_of_ram_is_enough_and_a_byte_less_is_not);
	tcase_add_test(tc, decompression_stops_at_the_end_of_ram);
	tcase_add_test(tc, every_truncation_is_detected);
	tcase_add_test(tc, every_flipped_byte_is_detected);
	tcase_add_test(tc, other_kernel_formats_are_named);
	tcase_add_test(tc, directory_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}
