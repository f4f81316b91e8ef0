/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loader of the bzImage format, for the 64-bit Linux boot protocol 2.12.
 *
 * Documentation/arch/x86/boot.rst describes the protocol.
 */
#include <errno.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/boot/reader.h"

#define HDR_OFFSET	0x1f1
#define HDR_JUMP_LEN	0x201 /* byte with the length of the header behind HDR_JUMP_END */
#define HDR_JUMP_END	0x202
#define BOOT_FLAG	0xaa55
#define MAGIC_HDRS	0x53726448
#define PROTOCOL_2_12	0x20c
#define DEFAULT_SECTS	4
#define SYSSIZE_UNIT	16ull
#define ENTRY_64_OFFSET 0x200
#define MAX_ALIGNMENT	(1u << 30)
#define HDR_NEEDED	(offsetof(struct setup_header, init_size) + sizeof(__u32))

_Static_assert(offsetof(struct boot_params, hdr) == HDR_OFFSET, "boot protocol layout");
_Static_assert(HDR_OFFSET + sizeof(struct setup_header) <= BOOT_HEAD_SIZE, "head too small");

/* Values derived from the setup header, in bytes. */
struct bzimage {
	uint64_t code_offset; /* offset in the file */
	uint64_t code_size;
	uint64_t load; /* GPA */
	uint64_t need; /* memory needed, from `load` on */
};

static int fail(struct arch_boot_error *error, const char *why)
{
	return boot_fail(error, BOOT_KERNEL, why, -ENOEXEC);
}

bool bzimage_probe(const uint8_t head[BOOT_HEAD_SIZE])
{
	struct setup_header hdr;

	memcpy(&hdr, head + HDR_OFFSET, sizeof(hdr));
	return hdr.boot_flag == BOOT_FLAG && hdr.header == MAGIC_HDRS;
}

static int check_header(const uint8_t *head, struct setup_header *hdr,
			struct arch_boot_error *error)
{
	size_t len = (size_t)(HDR_JUMP_END - HDR_OFFSET) + head[HDR_JUMP_LEN];

	memcpy(hdr, head + HDR_OFFSET, sizeof(*hdr));
	if (hdr->version < PROTOCOL_2_12)
		return fail(error, "is too old: boot protocol 2.12 (Linux 3.8) or later is needed");
	if (len < HDR_NEEDED)
		return fail(error, "has a setup header shorter than its boot protocol version");
	if (!(hdr->loadflags & LOADED_HIGH))
		return fail(error, "is a zImage, not a bzImage");
	if (!(hdr->xloadflags & XLF_KERNEL_64))
		return fail(error, "has no 64-bit entry point: it is a 32-bit kernel");
	/* Bytes behind the header are code and must not get into boot_params. */
	if (len < sizeof(*hdr))
		memset((uint8_t *)hdr + len, 0, sizeof(*hdr) - len);
	return 0;
}

static int check_code(const struct setup_header *hdr, uint64_t file_size, struct bzimage *image,
		      struct arch_boot_error *error)
{
	uint64_t sects = hdr->setup_sects ? hdr->setup_sects : DEFAULT_SECTS;

	image->code_offset = (sects + 1) * 512;
	image->code_size = hdr->syssize * SYSSIZE_UNIT;
	if (image->code_size <= ENTRY_64_OFFSET)
		return fail(error, "has no code: its syssize is too small");
	/* syssize is rounded up, and not every linker pads the file to that size (memtest86+ 6). */
	if (file_size > image->code_offset && file_size - image->code_offset < image->code_size &&
	    image->code_size - (file_size - image->code_offset) < SYSSIZE_UNIT)
		image->code_size = file_size - image->code_offset;
	if (!range_inside(image->code_offset, image->code_size, file_size))
		return fail(error, "is truncated: its code ends beyond the end of the file");
	if (!range_inside(hdr->payload_offset, hdr->payload_length, image->code_size))
		return fail(error, "is damaged: its payload is not inside its code");
	return 0;
}

/*
 * Choose the load address. The kernel runs where it is loaded: a relocatable kernel could be loaded
 * below pref_address, but Linux would then move itself up to that address, past the end of small
 * RAM.
 */
static int place(const struct setup_header *hdr, uint64_t ram, struct bzimage *image,
		 struct arch_boot_error *error)
{
	uint64_t load = hdr->pref_address;

	image->need = hdr->init_size > image->code_size ? hdr->init_size : image->code_size;
	if (hdr->relocatable_kernel) {
		uint64_t align = hdr->kernel_alignment;

		if (!is_power_of_2(align) || align > MAX_ALIGNMENT)
			return fail(error, "is damaged: its alignment is not a power of two");
		if (load < LAYOUT_HIGH_MEMORY)
			load = LAYOUT_HIGH_MEMORY;
		if (!add_u64(load, align - 1, &load))
			return fail(error, "is damaged: its preferred address wraps");
		load &= ~(align - 1);
	}
	if (load < LAYOUT_HIGH_MEMORY)
		return fail(error, BOOT_BELOW_1_MIB);
	if (!range_inside(load, image->need, LAYOUT_HOLE))
		return boot_fail(error, BOOT_KERNEL, BOOT_BEYOND_RAM, -EFBIG);
	if (load + image->need > ram)
		return boot_fail_memory(error, load + image->need);
	image->load = load;
	return 0;
}

static uint64_t initrd_limit(const struct setup_header *hdr)
{
	if (hdr->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G)
		return LAYOUT_4G;
	return hdr->initrd_addr_max + 1ull;
}

int bzimage_load(const struct arch_boot_config *config, const struct boot_file *file,
		 const uint8_t head[BOOT_HEAD_SIZE], struct boot_kernel *kernel,
		 struct arch_boot_error *error)
{
	struct bzimage image = { 0 };
	int err = check_header(head, &kernel->hdr, error);

	if (err)
		return err;
	err = check_code(&kernel->hdr, file->size, &image, error);
	if (err)
		return err;
	err = place(&kernel->hdr, layout_low_ram(config->ram_size), &image, error);
	if (err)
		return err;
	err = bootread_add_file(config, BOOT_KERNEL, file, image.code_offset, image.load,
				image.code_size);
	if (err)
		return boot_fail(error, BOOT_KERNEL, "cannot be read", err);
	kernel->boot.entry = BOOT_ENTRY_64;
	kernel->boot.ip = image.load + ENTRY_64_OFFSET;
	kernel->boot.params = LAYOUT_BOOT_PARAMS;
	kernel->start = image.load;
	kernel->end = image.load + image.need;
	kernel->initrd_limit = initrd_limit(&kernel->hdr);
	kernel->cmdline_max = kernel->hdr.cmdline_size;
	return 0;
}
