/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of ELF files that are programs of an operating system, and kernels that resemble them. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "tests/lib/bzimage.h"
#include "tests/lib/cases.h"
#include "tests/lib/suite.h"

#define MIB	  BZ_MIB
#define FILE_SIZE 0x3000
#define NOTES_AT  0x2000
#define KERNEL_VA 0xffffffff80000000ull

struct note {
	Elf64_Nhdr head;
	char name[4];
	uint32_t desc[4];
};

static struct guestram ram;
static union {
	uint8_t bytes[FILE_SIZE];
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr load, note, extra;
	};
} file;

/* One segment with the whole file, with its entry point 64 bytes behind the start; no notes. */
static void make(uint16_t type, uint64_t virtual, uint64_t physical, uint64_t offset)
{
	memset(&file, 0, sizeof(file));
	file.ehdr = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
				  .e_type = type,
				  .e_machine = EM_X86_64,
				  .e_version = 1,
				  .e_entry = virtual + 0x40,
				  .e_phoff = sizeof(Elf64_Ehdr),
				  .e_ehsize = sizeof(Elf64_Ehdr),
				  .e_phentsize = sizeof(Elf64_Phdr),
				  .e_phnum = 3 };
	file.load = (Elf64_Phdr){ PT_LOAD, 7, offset, virtual, physical, 0x1000, 0x1000, 0x1000 };
	file.note = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_align = 4 };
	file.extra = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = 6 };
}

static void add_note(uint32_t type, const char name[4], uint32_t words, uint32_t first)
{
	struct note note = { { 4, words * 4, type }, "", { first, 3, 2, 0 } };
	uint32_t size = (uint32_t)offsetof(struct note, desc) + words * 4;

	memcpy(note.name, name, sizeof(note.name));
	memcpy(file.bytes + NOTES_AT + file.note.p_filesz, &note, size);
	file.note.p_filesz += size;
}

static void add_pvh_note(void)
{
	add_note(18, "Xen", 1, (uint32_t)file.load.p_paddr + 0x40);
}

static void add_interpreter(void)
{
	file.extra = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0x800, .p_filesz = 1 };
}

static void setup(void)
{
	guestram_create(&ram, 16 * MIB);
}

static void teardown(void)
{
	guestram_destroy(&ram);
}

static struct boot_result load(void)
{
	return boot_bytes(&ram, file.bytes, FILE_SIZE, -1, "panic=-1");
}

/*
 * Programs: `ls`, `busybox` as Debian builds it, a static program without notes, and a relocatable
 * one.
 */
#define PROGRAMS(X)                                                                                \
	X(dynamic, (make(ET_DYN, 0, 0, 0), add_interpreter()))                                     \
	X(dynamic_at_an_address, (make(ET_EXEC, 2 * MIB, 2 * MIB, 0x1000), add_interpreter()))     \
	X(tagged,                                                                                  \
	  (make(ET_EXEC, 4 * MIB + 0x1000, 4 * MIB + 0x1000, 0x1000), add_note(1, "GNU", 4, 0)))   \
	X(tagged_after_others, (make(ET_EXEC, 8 * MIB, 8 * MIB, 0x1000), add_note(3, "GNU", 4, 7), \
				add_note(1, "GNU", 4, 0)))                                         \
	X(untagged, make(ET_EXEC, 4 * MIB, 4 * MIB, 0))                                            \
	X(position_independent, make(ET_DYN, 0, 0, 0))

/* Kernels: Linux without PVH, unikernels, FreeBSD, and other files that only resemble a program. */
#define KERNELS(X)                                                                               \
	X(linux, (make(ET_EXEC, KERNEL_VA + 4 * MIB, 4 * MIB, 0), add_note(3, "GNU", 4, 0)))     \
	X(pvh_with_interpreter,                                                                  \
	  (make(ET_EXEC, KERNEL_VA + 2 * MIB, 2 * MIB, 0), add_interpreter(), add_pvh_note()))   \
	X(pvh_linked_as_a_program, (make(ET_EXEC, 4 * MIB, 4 * MIB, 0), add_pvh_note()))         \
	X(pvh_tagged,                                                                            \
	  (make(ET_EXEC, 4 * MIB, 4 * MIB, 0), add_note(1, "GNU", 4, 0), add_pvh_note()))        \
	X(identity_mapped, make(ET_EXEC, MIB, MIB, 0))                                           \
	X(at_4_mib_without_its_header, make(ET_EXEC, 4 * MIB, 4 * MIB, 0x1000))                  \
	X(position_independent_at_2_mib, make(ET_DYN, 2 * MIB, 2 * MIB, 0))                      \
	X(tag_of_another_system, (make(ET_EXEC, 2 * MIB, 2 * MIB, 0), add_note(1, "GNU", 4, 3))) \
	X(tag_too_short, (make(ET_EXEC, 2 * MIB, 2 * MIB, 0), add_note(1, "GNU", 1, 0)))         \
	X(tag_of_another_name, (make(ET_EXEC, 2 * MIB, 2 * MIB, 0), add_note(1, "GNV", 4, 0)))

#define CASE(name, how) #name,
#define DO(name, how)              \
	if (!strcmp(which, #name)) \
		how;

static const char *const programs[] = { PROGRAMS(CASE) };
static const char *const kernels[] = { KERNELS(CASE) };

static void make_program(const char *which)
{
	PROGRAMS(DO)
}

static void make_kernel(const char *which){ KERNELS(DO) }

START_TEST(program_is_not_run_as_a_kernel)
{
	make_program(programs[_i]);
	boot_expect(load(), -ENOEXEC, BOOT_KERNEL, "not a kernel");
}
END_TEST

START_TEST(kernel_that_resembles_a_program_is_run)
{
	struct boot_result r;

	make_kernel(kernels[_i]);
	r = load();
	ck_assert_msg(r.err == 0, "%s", r.err ? r.error.why : "");
	free(r.boot);
}
END_TEST

START_TEST(programs_of_this_machine_are_not_kernels)
{
	static const char *const paths[] = { "/proc/self/exe", "/bin/sh", "/bin/ls",
					     "/bin/busybox" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		ck_assert(i || fd >= 0);
		if (fd < 0)
			continue;
		boot_expect(boot_fds(&ram, fd, -1, ""), -ENOEXEC, BOOT_KERNEL, "not a kernel");
		close(fd);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("elf program");
	TCase *tc = tcase_create("elf program");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_names_test(tc, program_is_not_run_as_a_kernel, programs);
	tcase_add_names_test(tc, kernel_that_resembles_a_program_is_run, kernels);
	tcase_add_test(tc, programs_of_this_machine_are_not_kernels);
	suite_add_tcase(suite, tc);
	return suite;
}
