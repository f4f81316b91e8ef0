/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Function: bzimage_load
 * Bounds: any first 1024 bytes of a file, any size of file and RAM
 * Properties: what is queued for reading is code that lies inside of the file, and goes to RAM
 *   between 1 MiB and the MMIO hole; all memory that the kernel says it needs is there; the entry
 *   is in the code; bytes behind the setup header do not get into the boot parameters; no sum wraps
 * Section: none (Documentation/arch/x86/boot.rst)
 */
#include "tests/proof/proof.h"

#include "vmm/arch/x86_64/bzimage.c"

static uint64_t file_size, low_ram, gpa, len;
static unsigned int reads;

int boot_fail(struct arch_boot_error *error, enum arch_boot_part part, const char *why, int err)
{
	return err;
}

int boot_fail_memory(struct arch_boot_error *error, uint64_t memory)
{
	prove(memory > low_ram, "more memory than there is");
	return -EFBIG;
}

int bootread_add_file(const struct arch_boot_config *config, enum arch_boot_part what,
		      const struct boot_file *file, uint64_t offset, uint64_t to, uint64_t size)
{
	prove(offset <= file_size && size && size <= file_size - offset, "inside of the file");
	prove(offset >= 2 * 512, "behind the setup code");
	prove(to >= LAYOUT_HIGH_MEMORY && to <= low_ram && size <= low_ram - to,
	      "inside of low RAM");
	gpa = to;
	len = size;
	reads++;
	return ANY(bool) ? 0 : -E2BIG;
}

int main(void)
{
	static uint8_t head[BOOT_HEAD_SIZE];
	struct arch_boot_config config;
	struct arch_boot_error error;
	struct boot_kernel kernel;
	struct boot_file file;
	unsigned int k = ANY(unsigned int);

	__CPROVER_havoc_object(head);
	config.ram_size = ANY(uint64_t);
	file.size = file_size = ANY(uint64_t);
	low_ram = layout_low_ram(config.ram_size);

	if (bzimage_load(&config, &file, head, &kernel, &error))
		return 0;

	prove(reads == 1, "the code, once");
	prove(kernel.start == gpa && kernel.end > kernel.start && kernel.end <= low_ram &&
		      len <= kernel.end - kernel.start &&
		      kernel.hdr.init_size <= kernel.end - kernel.start,
	      "all memory that it needs");
	prove(kernel.boot.ip > gpa && kernel.boot.ip - gpa < len, "the entry is in the code");
	prove(kernel.initrd_limit && kernel.initrd_limit <= LAYOUT_4G, "limit of the initrd");
	/* Byte k of the setup header. */
	if (k < sizeof(kernel.hdr) && k >= (size_t)(HDR_JUMP_END - HDR_OFFSET) + head[HDR_JUMP_LEN])
		prove(!((const uint8_t *)&kernel.hdr)[k], "no code in the boot parameters");
}
