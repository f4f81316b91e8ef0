/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loader of ELF kernels (vmlinux), entered by PVH or at 64 bits.
 *
 * A kernel with a PVH note is entered by Xen's HVM direct boot ABI. Other kernels are entered at
 * their 64-bit entry point with boot_params, like a bzImage; so are all kernels that get a device
 * tree, which the PVH ABI cannot pass.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/boot/reader.h"

#define MAX_PHDRS	    64
#define MAX_NOTE_SEGMENT    8192 /* bytes; vmlinux has about 500 bytes of notes */
#define NOTE_PHYS32_ENTRY   18	 /* XEN_ELFNOTE_PHYS32_ENTRY: 4 or 8 bytes */
#define NOTE_ABI_WORDS	    4	 /* NT_GNU_ABI_TAG: the OS, and three words of its oldest version */
#define PROGRAM_BASE	    0x400000 /* default address of a program's ELF header */
#define LINUX_CMDLINE_MAX   2047     /* x86 COMMAND_LINE_SIZE - 1, unchanged since 2008 */
#define MADE_UP_HDR_VERSION 0x20c

struct elf_image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[MAX_PHDRS];
	unsigned int phnum;
	bool pvh;
	bool for_linux; /* a note marks it as a program for Linux */
	uint64_t pvh_entry;
};

static int fail(struct arch_boot_error *error, const char *why)
{
	return boot_fail(error, BOOT_KERNEL, why, -ENOEXEC);
}

static int read_fail(struct arch_boot_error *error, int err)
{
	return boot_fail(error, BOOT_KERNEL,
			 err == -ENODATA ? "was truncated while it was read" : "cannot be read",
			 err);
}

bool elf_probe(const uint8_t head[BOOT_HEAD_SIZE])
{
	return !memcmp(head, ELFMAG, SELFMAG);
}

static int read_headers(const struct boot_file *file, const uint8_t *head, struct elf_image *elf,
			struct arch_boot_error *error)
{
	const Elf64_Ehdr *ehdr = &elf->ehdr;
	int err;

	memcpy(&elf->ehdr, head, sizeof(elf->ehdr));
	if (ehdr->e_ident[EI_CLASS] != ELFCLASS64)
		return fail(error, "is a 32-bit ELF file");
	if (ehdr->e_ident[EI_DATA] != ELFDATA2LSB || ehdr->e_machine != EM_X86_64)
		return fail(error, "is an ELF file for another architecture");
	if (ehdr->e_type != ET_EXEC && ehdr->e_type != ET_DYN)
		return fail(error, "is an ELF file, but not an executable one");
	if (ehdr->e_phentsize != sizeof(Elf64_Phdr) || ehdr->e_phnum == 0)
		return fail(error, "has no valid program headers");
	if (ehdr->e_phnum > MAX_PHDRS)
		return fail(error, "has too many program headers");
	elf->phnum = ehdr->e_phnum;
	if (!range_inside(ehdr->e_phoff, elf->phnum * sizeof(Elf64_Phdr), file->size))
		return fail(error, "is truncated: its program headers are not in the file");
	err = boot_file_read(file, ehdr->e_phoff, elf->phdr, elf->phnum * sizeof(Elf64_Phdr));
	return err ? read_fail(error, err) : 0;
}

static bool is_load(const Elf64_Phdr *phdr)
{
	return phdr->p_type == PT_LOAD && phdr->p_memsz;
}

/* Return whether two segments overlap. check_segment has verified that neither wraps around. */
static bool overlap(const Elf64_Phdr *a, const Elf64_Phdr *b)
{
	return a->p_paddr < b->p_paddr + b->p_memsz && b->p_paddr < a->p_paddr + a->p_memsz;
}

static int check_segment(const Elf64_Phdr *phdr, uint64_t file_size, struct arch_boot_error *error)
{
	if (!range_inside(phdr->p_offset, phdr->p_filesz, file_size))
		return fail(error, "is truncated: a segment ends beyond the end of the file");
	if (phdr->p_filesz > phdr->p_memsz)
		return fail(error, "is damaged: a segment is larger in the file than in memory");
	if (phdr->p_paddr < LAYOUT_HIGH_MEMORY)
		return fail(error, BOOT_BELOW_1_MIB);
	if (!range_inside(phdr->p_paddr, phdr->p_memsz, LAYOUT_HOLE))
		return boot_fail(error, BOOT_KERNEL, BOOT_BEYOND_RAM, -EFBIG);
	return 0;
}

/* Check all segments before the first one is loaded, and set the range of GPAs that they cover. */
static int check_segments(const struct elf_image *elf, uint64_t file_size, uint64_t ram,
			  struct boot_kernel *kernel, struct arch_boot_error *error)
{
	kernel->start = UINT64_MAX;
	kernel->end = 0;
	for (unsigned int i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *phdr = &elf->phdr[i];
		int err;

		if (!is_load(phdr))
			continue;
		err = check_segment(phdr, file_size, error);
		if (err)
			return err;
		for (unsigned int j = 0; j < i; j++)
			if (is_load(&elf->phdr[j]) && overlap(phdr, &elf->phdr[j]))
				return fail(error, "is damaged: two of its segments overlap");
		if (phdr->p_paddr < kernel->start)
			kernel->start = phdr->p_paddr;
		if (phdr->p_paddr + phdr->p_memsz > kernel->end)
			kernel->end = phdr->p_paddr + phdr->p_memsz;
	}
	if (!kernel->end)
		return fail(error, "has nothing to load");
	return kernel->end > ram ? boot_fail_memory(error, kernel->end) : 0;
}

static uint64_t align_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* Return whether a note marks a program for Linux. Compilers add that note to programs, and leave
 * it out of freestanding code. */
static bool is_linux_tag(const Elf64_Nhdr *note, const uint8_t *name, const uint8_t *desc)
{
	uint32_t system;

	if (note->n_type != NT_GNU_ABI_TAG || note->n_namesz != sizeof(ELF_NOTE_GNU) ||
	    memcmp(name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) ||
	    note->n_descsz < NOTE_ABI_WORDS * sizeof(system))
		return false;
	memcpy(&system, desc, sizeof(system));
	return system == ELF_NOTE_OS_LINUX;
}

static void take_note(const Elf64_Nhdr *note, const uint8_t *name, const uint8_t *desc,
		      struct elf_image *elf)
{
	if (is_linux_tag(note, name, desc))
		elf->for_linux = true;
	if (note->n_type != NOTE_PHYS32_ENTRY || note->n_namesz != sizeof("Xen") ||
	    memcmp(name, "Xen", sizeof("Xen")))
		return;
	if (note->n_descsz != 4 && note->n_descsz != 8)
		return;
	elf->pvh = true;
	elf->pvh_entry = 0;
	memcpy(&elf->pvh_entry, desc, note->n_descsz);
}

/* Parse the notes of one segment. Nothing here can overflow: `at` never exceeds `len`, which is at
 * most MAX_NOTE_SEGMENT. */
static int parse_notes(const uint8_t *notes, uint64_t len, uint64_t align, struct elf_image *elf,
		       struct arch_boot_error *error)
{
	uint64_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name = at + sizeof(note), desc, next;

		memcpy(&note, notes + at, sizeof(note));
		desc = align_up(name + note.n_namesz, align);
		next = align_up(desc + note.n_descsz, align);
		/* The descriptor follows the name; the last note may lack its padding. */
		if (desc + note.n_descsz > len)
			return fail(error, "is damaged: a note ends beyond its segment");
		take_note(&note, notes + name, notes + desc, elf);
		at = next < len ? next : len;
	}
	return 0;
}

static int read_notes(const struct boot_file *file, struct elf_image *elf,
		      struct arch_boot_error *error)
{
	uint8_t notes[MAX_NOTE_SEGMENT];

	for (unsigned int i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *phdr = &elf->phdr[i];
		int err;

		if (phdr->p_type != PT_NOTE)
			continue;
		if (phdr->p_filesz > sizeof(notes))
			return fail(error, "has a note segment that is too large");
		if (!range_inside(phdr->p_offset, phdr->p_filesz, file->size))
			return fail(error, "is truncated: its notes are not in the file");
		err = boot_file_read(file, phdr->p_offset, notes, phdr->p_filesz);
		if (err)
			return read_fail(error, err);
		err = parse_notes(notes, phdr->p_filesz, phdr->p_align == 8 ? 8 : 4, elf, error);
		if (err)
			return err;
	}
	return 0;
}

/* Return whether a segment is that of a program: it contains the ELF header, and is linked to the
 * default address of programs or, if it is position-independent, to 0. */
static bool is_linked_as_program(const struct elf_image *elf, const Elf64_Phdr *phdr)
{
	uint64_t base = elf->ehdr.e_type == ET_DYN ? 0 : PROGRAM_BASE;

	return is_load(phdr) && phdr->p_offset == 0 && phdr->p_vaddr == base &&
	       phdr->p_paddr == base;
}

/*
 * Refuse programs and libraries, which would be entered like a kernel and crash. The checks look
 * only for properties that no kernel has: Linux is linked to high virtual addresses, and unikernels
 * to addresses of their own choice. A file with a PVH note is always a kernel (FreeBSD's kernel has
 * a PT_INTERP segment, too).
 */
static int refuse_program(const struct elf_image *elf, struct arch_boot_error *error)
{
	bool program = elf->for_linux;

	for (unsigned int i = 0; i < elf->phnum; i++)
		program |= elf->phdr[i].p_type == PT_INTERP ||
			   is_linked_as_program(elf, &elf->phdr[i]);
	if (program && !elf->pvh)
		return fail(error, "is a program or a library, not a kernel");
	return 0;
}

/* Return the GPA of an entry point that the file states as a physical address or, with
 * may_be_virtual, possibly as a virtual one. Returns 0 if it is in no segment. */
static uint64_t entry_gpa(const struct elf_image *elf, uint64_t entry, bool may_be_virtual)
{
	for (unsigned int i = 0; i < elf->phnum; i++)
		if (is_load(&elf->phdr[i]) && entry >= elf->phdr[i].p_paddr &&
		    entry - elf->phdr[i].p_paddr < elf->phdr[i].p_memsz)
			return entry;
	for (unsigned int i = 0; may_be_virtual && i < elf->phnum; i++)
		if (is_load(&elf->phdr[i]) && entry >= elf->phdr[i].p_vaddr &&
		    entry - elf->phdr[i].p_vaddr < elf->phdr[i].p_memsz)
			return entry - elf->phdr[i].p_vaddr + elf->phdr[i].p_paddr;
	return 0;
}

static int choose_entry(const struct elf_image *elf, bool wants_tree, struct arch_boot *boot,
			struct arch_boot_error *error)
{
	if (elf->pvh && !wants_tree) {
		boot->entry = BOOT_ENTRY_PVH;
		boot->ip = entry_gpa(elf, elf->pvh_entry, false);
		boot->params = LAYOUT_PVH_INFO;
	} else {
		boot->entry = BOOT_ENTRY_64;
		boot->ip = entry_gpa(elf, elf->ehdr.e_entry, true);
		boot->params = LAYOUT_BOOT_PARAMS;
	}
	if (!boot->ip)
		return fail(error, "is damaged: its entry point is in none of its segments");
	return 0;
}

static int load_segments(const struct arch_boot_config *config, const struct boot_file *file,
			 const struct elf_image *elf, struct arch_boot_error *error)
{
	for (unsigned int i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *phdr = &elf->phdr[i];
		uint8_t *to;
		int err;

		if (!is_load(phdr))
			continue;
		to = hostmem_lookup(config->mem, phdr->p_paddr, phdr->p_memsz, true);
		err = to ? bootread_add_file(config, BOOT_KERNEL, file, phdr->p_offset,
					     phdr->p_paddr, phdr->p_filesz)
			 : -EFAULT;
		if (err)
			return read_fail(error, err);
		memset(to + phdr->p_filesz, 0, phdr->p_memsz - phdr->p_filesz);
	}
	return 0;
}

/* Fill in the fields of a setup header that a kernel checks, for a kernel that has none. */
static void make_up_header(struct setup_header *hdr)
{
	hdr->boot_flag = 0xaa55;
	hdr->header = 0x53726448;
	hdr->version = MADE_UP_HDR_VERSION;
	hdr->loadflags = LOADED_HIGH;
}

int elf_load(const struct arch_boot_config *config, const struct boot_file *file,
	     const uint8_t head[BOOT_HEAD_SIZE], struct boot_kernel *kernel,
	     struct arch_boot_error *error)
{
	struct elf_image elf = { 0 };
	int err = read_headers(file, head, &elf, error);

	if (err)
		return err;
	err = read_notes(file, &elf, error);
	if (err)
		return err;
	err = refuse_program(&elf, error);
	if (err)
		return err;
	err = check_segments(&elf, file->size, layout_low_ram(config->ram_size), kernel, error);
	if (err)
		return err;
	err = choose_entry(&elf, kernel->wants_tree, &kernel->boot, error);
	if (err)
		return err;
	err = load_segments(config, file, &elf, error);
	if (err)
		return err;
	make_up_header(&kernel->hdr);
	kernel->initrd_limit = LAYOUT_4G;
	kernel->cmdline_max = LINUX_CMDLINE_MAX;
	return 0;
}
