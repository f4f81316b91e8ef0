/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target of arch_boot_load: kernel images, initrds and command lines, loaded into guest RAM
 * between guard pages. The image is a valid bzImage or ELF file made here, with header fields
 * replaced, bytes patched and its end cut off as the input says. (Guests of 3 GiB and more, with a
 * hole, would make the fuzzer clear gigabytes of bss: unit tests cover them.)
 *
 * An error names its reason. After a success, the entry point is in RAM, in the kernel's own
 * memory.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/boot/reader.h"

#define GUARD	    0x10000ul
#define MIB	    (1ull << 20)
#define RAM_MAX	    (16 * MIB)
#define FILE_SIZE   0x3000u
#define HDR	    0x1f1
#define CMDLINE_MAX 70000
#define FILLER	    0x90 /* filler of code and data */

static uint8_t file[FILE_SIZE];
static char cmdline[CMDLINE_MAX + 1];
static uint8_t *ram;

static int make_file(const void *data, size_t len, uint64_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_must(fd >= 0 && write(fd, data, len) == (ssize_t)len && !ftruncate(fd, (off_t)size));
	return fd;
}

/* Returns mostly a valid value of the field; otherwise a number near an edge, or any number. */
static uint64_t odd_number(struct input *in)
{
	static const uint64_t edges[] = {
		0, 1, 0x1ff, 0x200, MIB, RAM_MAX, 1ull << 31, 1ull << 32, 1ull << 63,
	};
	uint8_t how = in_u8(in);

	if (how >= 0xf0)
		return in_u64(in);
	if (how >= 0x80)
		return in_u16(in) * 4096ull;
	if (how >= 0x60)
		return in_u16(in) % (FILE_SIZE + 0x100); /* in the file, or just beyond its end */
	return edges[how % (sizeof(edges) / sizeof(edges[0]))] + in_u8(in) - 8;
}

static void make_bzimage(struct input *in)
{
	struct setup_header h = { .setup_sects = 3,
				  .syssize = (FILE_SIZE - 2048) / 16,
				  .boot_flag = 0xaa55,
				  .jump = 0x6aeb,
				  .header = 0x53726448,
				  .version = 0x20f,
				  .loadflags = LOADED_HIGH,
				  .initrd_addr_max = 0x7fffffff,
				  .kernel_alignment = 2 * MIB,
				  .relocatable_kernel = 1,
				  .xloadflags = XLF_KERNEL_64,
				  .cmdline_size = 2047,
				  .payload_offset = 0x100,
				  .payload_length = 0x1000,
				  .pref_address = 4 * MIB,
				  .init_size = 3 * MIB };

	for (unsigned int n = in_u8(in) & 3; n; n--) {
		switch (in_below(in, 13)) {
		case 0:
			h.setup_sects = in_u8(in);
			break;
		case 1:
			h.syssize = (uint32_t)odd_number(in);
			break;
		case 2:
			h.jump = in_u16(in);
			break;
		case 3:
			h.version = in_u16(in);
			break;
		case 4:
			h.loadflags = in_u8(in);
			break;
		case 5:
			h.initrd_addr_max = (uint32_t)odd_number(in);
			break;
		case 6:
			h.kernel_alignment = 1u << in_below(in, 32);
			break;
		case 7:
			h.relocatable_kernel = in_u8(in) & 1;
			break;
		case 8:
			h.xloadflags = in_u16(in);
			break;
		case 9:
			h.cmdline_size = (uint32_t)odd_number(in);
			break;
		case 10:
			h.payload_offset = (uint32_t)odd_number(in);
			h.payload_length = (uint32_t)odd_number(in);
			break;
		case 11:
			h.pref_address = odd_number(in);
			break;
		case 12:
			h.init_size = (uint32_t)odd_number(in);
			break;
		}
	}
	memcpy(file + HDR, &h, sizeof(h));
}

static void spoil_phdr(Elf64_Phdr *p, struct input *in)
{
	switch (in_below(in, 7)) {
	case 0:
		p->p_type = in_u8(in);
		break;
	case 1:
		p->p_offset = odd_number(in);
		break;
	case 2:
		p->p_paddr = odd_number(in);
		break;
	case 3:
		p->p_filesz = odd_number(in);
		break;
	case 4:
		p->p_memsz = odd_number(in);
		break;
	case 5:
		p->p_align = in_u8(in);
		break;
	case 6:
		p->p_vaddr = odd_number(in);
		break;
	}
}

static void make_elf(struct input *in, bool pvh)
{
	struct {
		Elf64_Nhdr n;
		char name[4];
		uint32_t entry;
	} note = { { 4, 4, 18 }, "Xen", 2 * MIB + 0x10 };
	Elf64_Phdr p[3] = { { PT_LOAD, 5, 0x1000, 2 * MIB, 2 * MIB, 0x1000, 0x1000, 4096 },
			    { PT_LOAD, 6, 0x2000, 3 * MIB, 3 * MIB, 0x800, 0x2000, 4096 },
			    { PT_NOTE, 4, 0x2800, 0, 0, sizeof(note), sizeof(note), 4 } };
	Elf64_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_entry = 2 * MIB,
			 .e_phoff = sizeof(e),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = pvh ? 3 : 2 };

	for (unsigned int n = in_u8(in) & 3; n; n--) {
		switch (in_below(in, 8)) {
		case 0:
			e.e_phnum = in_u8(in);
			break;
		case 1:
			e.e_phoff = odd_number(in);
			break;
		case 2:
			e.e_entry = odd_number(in);
			break;
		case 3:
			in_bytes(in, &note, sizeof(note.n));
			break;
		case 4:
			note.n.n_descsz = in_u8(in);
			note.entry = (uint32_t)odd_number(in);
			break;
		case 5:
			e.e_type = in_u8(in);
			break;
		default:
			spoil_phdr(&p[in_below(in, 3)], in);
			break;
		}
	}
	memcpy(file, &e, sizeof(e));
	memcpy(file + sizeof(e), p, sizeof(p));
	memcpy(file + 0x2800, &note, sizeof(note));
}

/* Patches bytes anywhere, most often in the headers. */
static void patch(struct input *in)
{
	for (unsigned int n = in_u8(in) >= 0xc0 ? 1 + in_below(in, 4) : 0; n; n--) {
		unsigned int at = in_u16(in) % (in_rarely(in) ? FILE_SIZE - 16 : 0x300);

		in_bytes(in, file + at, 1 + in_below(in, 16));
	}
}

/* Returns the descriptor of an initrd; -1: none, which is most frequent. */
static int make_initrd(struct input *in)
{
	uint8_t how = in_u8(in);

	if (how < 0x40)
		return -1;
	return make_file("070701", 6, how < 0xe0 ? how * 512ull : in_u16(in) * 512ull);
}

static void make_ram(struct hostmem *mem, uint64_t size)
{
	if (!ram) {
		ram = mmap(NULL, RAM_MAX + 2 * GUARD, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		fuzz_must(ram != MAP_FAILED);
		ram += GUARD;
	}
	fuzz_must(!mprotect(ram, RAM_MAX, PROT_NONE));
	/* RAM ends at the guard page, whatever its size. */
	fuzz_must(!mprotect(ram + RAM_MAX - size, size, PROT_READ | PROT_WRITE));
	*mem = (struct hostmem){ .count = 0 };
	fuzz_must(!hostmem_add(mem, 0, size, ram + RAM_MAX - size, false));
}

static void check_boot(const struct arch_boot *boot, uint64_t ram_size)
{
	uint8_t code[64];

	/* Below 1 MiB there are tables, but no code or data of the kernel. */
	memset(code, FILLER, sizeof(code));
	for (uint64_t at = 0; at < MIB; at += sizeof(code))
		fuzz_must(memcmp(ram + RAM_MAX - ram_size + at, code, sizeof(code)));
	fuzz_must(boot->entry == BOOT_ENTRY_64 || (boot->entry == BOOT_ENTRY_PVH && !boot->tree));
	fuzz_must(boot->ip >= MIB && boot->ip < ram_size && boot->params < MIB);
}

static void load(struct input *in)
{
	static const uint64_t sizes[] = { RAM_MAX,    RAM_MAX, 8 * MIB, 5 * MIB + 4096,
					  MIB + 4096, MIB,     0x10000, 4096 };
	static struct devlist devices;
	struct hostmem mem;
	struct arch_boot_error error = { .part = BOOT_KERNEL };
	struct arch_boot *boot = NULL;
	uint8_t choice = in_u8(in);
	size_t chars = choice >= 0xf0 ? in_u16(in) + 4000u : in_u8(in);
	uint64_t len;
	struct bootread read = BOOTREAD_INIT;
	struct arch_boot_config config = { .cmdline = cmdline,
					   .ram_size = sizes[choice % 8],
					   .cpus = 1 + (choice >> 3 & 1) * 1023u,
					   .mem = &mem,
					   .devices = &devices,
					   .read = &read };
	int err;

	make_ram(&mem, config.ram_size);
	fuzz_must(!arch_devices(&devices, choice >> 5 & 1 ? DESCRIBE_FDT : DESCRIBE_ACPI, true,
				choice >> 4 & 1 ? DEVLIST_MAX_DISKS : 1));
	memset(cmdline, 'a', chars);
	cmdline[chars] = '\0';
	memset(file, FILLER, sizeof(file));
	switch (in_below(in, 8)) {
	case 0:
	case 1:
	case 2:
		make_bzimage(in);
		break;
	case 3:
	case 4:
		make_elf(in, false);
		break;
	case 5:
	case 6:
		make_elf(in, true);
		break;
	case 7: /* no valid header */
		in_bytes(in, file, 64);
		break;
	}
	patch(in);
	len = in_rarely(in) ? in_u16(in) % FILE_SIZE : FILE_SIZE;
	config.initrd_fd = make_initrd(in);
	config.kernel_fd = make_file(file, len, len);

	err = arch_boot_load(&config, &boot, &error);
	fuzz_must(err <= 0);
	/* A configuration that was accepted must be readable. */
	fuzz_must(err || !bootread_finish(&read, &error));
	if (err) {
		fuzz_must(error.why && *error.why && error.part <= BOOT_CMDLINE);
		fuzz_must(error.part != BOOT_INITRD || config.initrd_fd >= 0);
	} else {
		check_boot(boot, config.ram_size);
		free(boot);
	}
	close(config.kernel_fd);
	if (config.initrd_fd >= 0)
		close(config.initrd_fd);
	madvise(ram, RAM_MAX, MADV_DONTNEED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	load(&in);
	return 0;
}
