/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of ELF vmlinux: segments, notes and entry points, valid and invalid. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/guestram.h"
#include "tests/lib/suite.h"
#include "vmm/arch/x86_64/boot.h"

#define MIB		(1ull << 20)
#define FILE_SIZE	0x5000
#define CODE_AT		0x1000 /* file offset; 0x2000 bytes */
#define DATA_AT		0x3000 /* 0x1000 bytes in the file, 0x3000 in memory */
#define NOTES_AT	0x4000
#define CODE_GPA	(2 * MIB)
#define DATA_GPA	(3 * MIB)
#define KERNEL_VA	0xffffffff80000000ull
#define BOOT_PARAMS_GPA 0x2000
#define PVH_INFO_GPA	0x3000
#define FILL(i)		((uint8_t)((i)*5 + ((i) >> 8) + 1))

struct file {
	union {
		uint8_t bytes[FILE_SIZE];
		struct {
			Elf64_Ehdr ehdr;
			Elf64_Phdr code, data, note;
		};
	};
};

static struct guestram ram;
static struct file file;

static void *add_note(void *at, uint32_t type, const char *name, const void *desc, uint32_t size)
{
	Elf64_Nhdr note = { (uint32_t)strlen(name) + 1, size, type };
	uint8_t *to = at;

	memcpy(to, &note, sizeof(note));
	to += sizeof(note);
	memset(to, 0, (note.n_namesz + 3) & ~3u);
	strcpy((char *)to, name);
	to += (note.n_namesz + 3) & ~3u;
	memcpy(to, desc, size);
	return to + ((size + 3) & ~3u);
}

/* Code and data segments as in vmlinux, and a note segment without a PVH entry. */
static void make_good(void)
{
	uint8_t *end;

	for (unsigned int i = 0; i < FILE_SIZE; i++)
		file.bytes[i] = FILL(i);
	file.ehdr = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
				  .e_type = ET_EXEC,
				  .e_machine = EM_X86_64,
				  .e_version = 1,
				  .e_entry = CODE_GPA + 0x40,
				  .e_phoff = offsetof(struct file, code),
				  .e_ehsize = sizeof(Elf64_Ehdr),
				  .e_phentsize = sizeof(Elf64_Phdr),
				  .e_phnum = 3 };
	file.code = (Elf64_Phdr){ PT_LOAD,  5,	    CODE_AT, KERNEL_VA + CODE_GPA,
				  CODE_GPA, 0x2000, 0x2000,  2 * MIB };
	file.data = (Elf64_Phdr){ PT_LOAD,  6,	    DATA_AT, KERNEL_VA + DATA_GPA,
				  DATA_GPA, 0x1000, 0x3000,  2 * MIB };
	end = add_note(file.bytes + NOTES_AT, 1, "GNU", "abcd", 4);
	file.note = (Elf64_Phdr){ PT_NOTE, 4, NOTES_AT, 0, 0, 0, 0, 4 };
	file.note.p_filesz = file.note.p_memsz = (uint64_t)(end - file.bytes) - NOTES_AT;
}

static void add_pvh_note(const char *name, uint64_t entry, uint32_t size)
{
	uint8_t *end = add_note(file.bytes + NOTES_AT + file.note.p_filesz, 18, name, &entry, size);

	file.note.p_filesz = (uint64_t)(end - file.bytes) - NOTES_AT;
}

struct result {
	int err;
	struct arch_boot_error error;
	struct arch_boot *boot;
};

static struct result load_with(int initrd_fd, const char *cmdline)
{
	static struct devlist devices;
	struct arch_boot_config config = { .kernel_fd = memfile(file.bytes, FILE_SIZE),
					   .initrd_fd = initrd_fd,
					   .cmdline = cmdline,
					   .ram_size = ram.size,
					   .cpus = 2,
					   .mem = &ram.mem,
					   .devices = &devices };
	struct result r = { .error = { .part = (enum arch_boot_part) - 1 } };

	ck_assert_int_eq(arch_devices(&devices, DESCRIBE_DEFAULT, true, 1), 0);
	r.err = guestram_boot(&config, &r.boot, &r.error);
	close(config.kernel_fd);
	if (r.err)
		ck_assert_ptr_nonnull(r.error.why);
	return r;
}

static struct result load(void)
{
	return load_with(-1, "panic=-1");
}

static void expect_kernel_error(struct result r, int err, const char *why)
{
	ck_assert_int_eq(r.err, err);
	ck_assert_int_eq(r.error.part, BOOT_KERNEL);
	ck_assert_msg(strstr(r.error.why, why) != NULL, "\"%s\" in \"%s\"", why, r.error.why);
}

static void setup(void)
{
	guestram_create(&ram, 16 * MIB);
	make_good();
}

static void teardown(void)
{
	guestram_destroy(&ram);
}

START_TEST(segments_are_loaded_and_bss_is_zero)
{
	uint8_t *data = guestram_at(&ram, DATA_GPA, 0x3001);
	struct result r;

	memset(data, 0xcc, 0x3001);
	r = load();
	ck_assert_int_eq(r.err, 0);
	ck_assert_mem_eq(guestram_at(&ram, CODE_GPA, 0x2000), file.bytes + CODE_AT, 0x2000);
	ck_assert_mem_eq(data, file.bytes + DATA_AT, 0x1000);
	for (unsigned int i = 0x1000; i < 0x3000; i++)
		ck_assert_uint_eq(data[i], 0);
	ck_assert_uint_eq(data[0x3000], 0xcc);
	free(r.boot);
}
END_TEST

START_TEST(entry_without_note_is_64_bit)
{
	const struct boot_params *params = guestram_at(&ram, BOOT_PARAMS_GPA, sizeof(*params));
	struct result r = load();

	ck_assert_int_eq(r.err, 0);
	ck_assert_int_eq(r.boot->entry, BOOT_ENTRY_64);
	ck_assert_uint_eq(r.boot->ip, CODE_GPA + 0x40);
	ck_assert_uint_eq(r.boot->params, BOOT_PARAMS_GPA);
	ck_assert_uint_eq(params->hdr.boot_flag, 0xaa55);
	ck_assert_uint_eq(params->hdr.header, 0x53726448);
	ck_assert_uint_eq(params->hdr.version, 0x20c);
	ck_assert_str_eq(guestram_at(&ram, params->hdr.cmd_line_ptr, 9), "panic=-1");
	free(r.boot);
}
END_TEST

START_TEST(virtual_entry_is_translated)
{
	struct result r;

	file.ehdr.e_entry = KERNEL_VA + DATA_GPA + 8;
	r = load();
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.boot->ip, DATA_GPA + 8);
	free(r.boot);
}
END_TEST

static const char *const note_sizes[] = { "4-byte descriptor", "8-byte descriptor" };

START_TEST(pvh_note_is_found)
{
	struct result r;

	add_pvh_note("Xen", CODE_GPA + 0x80, _i ? 8 : 4);
	r = load();
	ck_assert_int_eq(r.err, 0);
	ck_assert_int_eq(r.boot->entry, BOOT_ENTRY_PVH);
	ck_assert_uint_eq(r.boot->ip, CODE_GPA + 0x80);
	ck_assert_uint_eq(r.boot->params, PVH_INFO_GPA);
	free(r.boot);
}
END_TEST

START_TEST(notes_of_other_owners_are_ignored)
{
	struct result r;

	add_pvh_note("Xem", CODE_GPA + 0x80, 4);
	add_pvh_note("Xenon", CODE_GPA + 0x80, 4);
	add_pvh_note("Xen", CODE_GPA + 0x80, 2);
	r = load();
	ck_assert_int_eq(r.err, 0);
	ck_assert_int_eq(r.boot->entry, BOOT_ENTRY_64);
	free(r.boot);
}
END_TEST

/*
 * Notes of a segment with alignment 8 are padded to 8 bytes: here the descriptor starts at byte 16.
 */
START_TEST(notes_aligned_to_8_are_parsed)
{
	uint32_t notes[] = { 4, 4, 5,  0x554e47, 1,
			     0, /* "GNU", padded */
			     4, 4, 18, 0x6e6558, CODE_GPA + 0x80,
			     0 }; /* "Xen" */
	struct result r;

	memcpy(file.bytes + NOTES_AT, notes, sizeof(notes));
	file.note.p_filesz = sizeof(notes);
	file.note.p_align = 8;
	r = load();
	ck_assert_int_eq(r.err, 0);
	ck_assert_int_eq(r.boot->entry, BOOT_ENTRY_PVH);
	ck_assert_uint_eq(r.boot->ip, CODE_GPA + 0x80);
	free(r.boot);
}
END_TEST

/* Compares start_info by offsets: magic, version, modules, command line, RSDP, memory map. */
START_TEST(pvh_start_info_is_complete)
{
	uint8_t initrd[3000];
	uint32_t word[14], *map;
	uint64_t quad[7], *module;
	struct result r;
	int fd;

	memset(initrd, 0x77, sizeof(initrd));
	fd = memfile(initrd, sizeof(initrd));
	add_pvh_note("Xen", CODE_GPA, 4);
	r = load_with(fd, "one two");
	close(fd);
	ck_assert_int_eq(r.err, 0);
	memcpy(word, guestram_at(&ram, r.boot->params, 56), 56);
	memcpy(quad, word, sizeof(quad));
	ck_assert_uint_eq(word[0], 0x336ec578);
	ck_assert_uint_eq(word[1], 1);
	ck_assert_uint_eq(word[2], 0);
	ck_assert_uint_eq(word[3], 1);
	module = guestram_at(&ram, quad[2], 32);
	ck_assert_uint_eq(module[0], 16 * MIB - 4096);
	ck_assert_uint_eq(module[1], sizeof(initrd));
	ck_assert_mem_eq(guestram_at(&ram, module[0], module[1]), initrd, sizeof(initrd));
	ck_assert_str_eq(guestram_at(&ram, quad[3], 8), "one two");
	ck_assert_mem_eq(guestram_at(&ram, quad[4], 8), "RSD PTR ", 8);
	ck_assert_uint_eq(word[12], 3);
	map = guestram_at(&ram, quad[5], 3 * 24);
	ck_assert_uint_eq(map[2 * 6 + 0], MIB);
	ck_assert_uint_eq(map[2 * 6 + 2], 15 * MIB);
	ck_assert_uint_eq(map[2 * 6 + 4], 1);
	free(r.boot);
}
END_TEST

START_TEST(pvh_without_initrd_has_no_module)
{
	struct result r;
	uint32_t *info;

	add_pvh_note("Xen", CODE_GPA, 4);
	r = load();
	ck_assert_int_eq(r.err, 0);
	info = guestram_at(&ram, r.boot->params, 56);
	ck_assert_uint_eq(info[3], 0);
	ck_assert_uint_eq(info[4], 0);
	free(r.boot);
}
END_TEST

START_TEST(cmdline_longer_than_linux_accepts_is_refused)
{
	char line[2049];
	struct result r;

	memset(line, 'x', 2048);
	line[2048] = 0;
	r = load_with(-1, line);
	ck_assert_int_eq(r.err, -E2BIG);
	ck_assert_int_eq(r.error.part, BOOT_CMDLINE);
	r = load_with(-1, line + 1);
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
}
END_TEST

START_TEST(initrd_does_not_overlap_the_highest_segment)
{
	uint64_t room = 16 * MIB - (DATA_GPA + 0x3000);
	int fits = memfile(NULL, room), larger = memfile(NULL, room + 1);
	struct result r = load_with(larger, "");

	ck_assert_int_eq(r.err, -EFBIG);
	ck_assert_int_eq(r.error.part, BOOT_INITRD);
	r = load_with(fits, "");
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
	close(fits);
	close(larger);
}
END_TEST

#define CORRUPTIONS(X)                                                                          \
	X(class_32, file.ehdr.e_ident[EI_CLASS] = ELFCLASS32, ENOEXEC, "32-bit")                \
	X(arch, file.ehdr.e_machine = EM_AARCH64, ENOEXEC, "architecture")                      \
	X(object, file.ehdr.e_type = ET_REL, ENOEXEC, "executable")                             \
	X(phnum_0, file.ehdr.e_phnum = 0, ENOEXEC, "headers")                                   \
	X(phnum_65, file.ehdr.e_phnum = 65, ENOEXEC, "too many")                                \
	X(phnum_huge, file.ehdr.e_phnum = 0xffff, ENOEXEC, "too many")                          \
	X(phentsize, file.ehdr.e_phentsize = 32, ENOEXEC, "headers")                            \
	X(phoff_past_end, file.ehdr.e_phoff = FILE_SIZE - 167, ENOEXEC, "truncated")            \
	X(phoff_wraps, file.ehdr.e_phoff = UINT64_MAX - 100, ENOEXEC, "truncated")              \
	X(file_past_end, file.code.p_offset = FILE_SIZE - 0x1fff, ENOEXEC, "truncated")         \
	X(file_wraps, file.code.p_offset = UINT64_MAX - 0xfff, ENOEXEC, "truncated")            \
	X(filesz_over_memsz, file.code.p_memsz = 0x1fff, ENOEXEC, "larger")                     \
	X(low_memory, file.code.p_paddr = MIB - 1, ENOEXEC, "below 1 MiB")                      \
	X(boot_structures, file.code.p_paddr = 0x2000, ENOEXEC, "below 1 MiB")                  \
	X(address_0, file.code.p_paddr = 0, ENOEXEC, "below 1 MiB")                             \
	X(past_ram, file.data.p_paddr = 16 * MIB - 0x2fff, EFBIG, "memory")                     \
	X(in_the_hole, file.data.p_paddr = 0xd0000000, EFBIG, "memory")                         \
	X(above_4g, file.data.p_paddr = 1ull << 32, EFBIG, "memory")                            \
	X(memory_wraps, file.data.p_paddr = UINT64_MAX - 0xfff, EFBIG, "memory")                \
	X(memsz_huge, file.data.p_memsz = UINT64_MAX, EFBIG, "memory")                          \
	X(overlap_end, file.data.p_paddr = CODE_GPA + 0x1fff, ENOEXEC, "overlap")               \
	X(overlap_start, file.data.p_paddr = CODE_GPA - 0x2fff, ENOEXEC, "overlap")             \
	X(overlap_same, file.data.p_paddr = CODE_GPA, ENOEXEC, "overlap")                       \
	X(nothing, file.code.p_type = file.data.p_type = PT_NULL, ENOEXEC, "nothing")           \
	X(entry_outside, file.ehdr.e_entry = CODE_GPA + 0x2000, ENOEXEC, "entry")               \
	X(entry_0, file.ehdr.e_entry = 0, ENOEXEC, "entry")                                     \
	X(pvh_entry_outside, add_pvh_note("Xen", 0x1000, 4), ENOEXEC, "entry")                  \
	X(pvh_entry_high, add_pvh_note("Xen", CODE_GPA | 1ull << 32, 8), ENOEXEC, "entry")      \
	X(notes_past_end, file.note.p_offset = FILE_SIZE - 1, ENOEXEC, "notes")                 \
	X(notes_huge, file.note.p_filesz = 8193, ENOEXEC, "too large")                          \
	X(notes_wrap, file.note.p_filesz = UINT64_MAX, ENOEXEC, "too large")                    \
	X(namesz_huge, ((Elf64_Nhdr *)(file.bytes + NOTES_AT))->n_namesz = UINT32_MAX, ENOEXEC, \
	  "note ends")                                                                          \
	X(descsz_huge, ((Elf64_Nhdr *)(file.bytes + NOTES_AT))->n_descsz = UINT32_MAX, ENOEXEC, \
	  "note ends")                                                                          \
	X(descsz_past_end, ((Elf64_Nhdr *)(file.bytes + NOTES_AT))->n_descsz = 5, ENOEXEC,      \
	  "note ends")

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

static void corrupt_file(const char *which){ CORRUPTIONS(DO) }

START_TEST(invalid_file_is_refused)
{
	corrupt_file(corruptions[_i].name);
	expect_kernel_error(load(), -corruptions[_i].err, corruptions[_i].why);
}
END_TEST

/* A bad kernel is refused before any of it is loaded. */
START_TEST(nothing_is_loaded_from_a_bad_file)
{
	uint8_t *code = guestram_at(&ram, CODE_GPA, 0x2000);

	file.data.p_paddr = 16 * MIB;
	expect_kernel_error(load(), -EFBIG, "memory");
	for (unsigned int i = 0; i < 0x2000; i++)
		ck_assert_uint_eq(code[i], 0);
}
END_TEST

static const char *const segments[] = { "adjoining", "empty" };

START_TEST(adjoining_and_empty_segments_are_accepted)
{
	struct result r;

	file.data.p_paddr = CODE_GPA + 0x2000;
	if (_i)
		file.data.p_filesz = file.data.p_memsz = 0;
	r = load();
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
	/* The next segment ends exactly at the end of RAM. */
	make_good();
	file.data.p_paddr = 16 * MIB - 0x3000;
	r = load();
	ck_assert_int_eq(r.err, 0);
	free(r.boot);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("elf");
	TCase *tcase = tcase_create("elf");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, segments_are_loaded_and_bss_is_zero);
	tcase_add_test(tcase, entry_without_note_is_64_bit);
	tcase_add_test(tcase, virtual_entry_is_translated);
	tcase_add_names_test(tcase, pvh_note_is_found, note_sizes);
	tcase_add_test(tcase, notes_of_other_owners_are_ignored);
	tcase_add_test(tcase, notes_aligned_to_8_are_parsed);
	tcase_add_test(tcase, pvh_start_info_is_complete);
	tcase_add_test(tcase, pvh_without_initrd_has_no_module);
	tcase_add_test(tcase, cmdline_longer_than_linux_accepts_is_refused);
	tcase_add_test(tcase, initrd_does_not_overlap_the_highest_segment);
	tcase_add_table_test(tcase, invalid_file_is_refused, corruptions);
	tcase_add_test(tcase, nothing_is_loaded_from_a_bad_file);
	tcase_add_names_test(tcase, adjoining_and_empty_segments_are_accepted, segments);
	suite_add_tcase(suite, tcase);
	return suite;
}
