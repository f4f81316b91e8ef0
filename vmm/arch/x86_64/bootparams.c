/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boot information for the kernel: boot_params or hvm_start_info.
 *
 * The formats are struct boot_params (Linux boot protocol 2.12; zero-page.rst) and struct
 * hvm_start_info version 1 (Xen's public start_info.h). Both contain the same memory map.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/arch/x86_64/layout.h"

#define E820_RAM	   1
#define E820_RESERVED	   2
#define LOADER_UNASSIGNED  0xff
#define VID_MODE_NORMAL	   0xffff
#define RNG_SEED_SIZE	   32
#define PVH_MAGIC	   0x336ec578
#define PVH_MEMMAP_VERSION 1

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct hvm_memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type; /* e820 type */
	uint32_t reserved;
};

struct memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
};

#define MEMMAP_MAX 8

/* Contents of the page at LAYOUT_PVH_INFO. */
struct pvh_page {
	struct hvm_start_info info;
	struct hvm_modlist_entry initrd;
	struct hvm_memmap_entry memmap[MEMMAP_MAX];
};

_Static_assert(sizeof(struct hvm_start_info) == 56, "start_info.h, version 1");
_Static_assert(sizeof(struct hvm_memmap_entry) == 24, "start_info.h, version 1");
_Static_assert(sizeof(struct boot_params) == 4096, "boot_params is one page");

/* Fill the memory map: low memory; the reserved BIOS area, which contains the ACPI tables; and the
 * RAM ranges from 1 MiB on. Returns the number of entries. */
static unsigned int memory_map(uint64_t ram_size, struct memmap_entry map[MEMMAP_MAX])
{
	struct arch_ram_range range[ARCH_MAX_RAM_RANGES];
	unsigned int ranges = arch_ram_layout(ram_size, range);
	unsigned int n = 0;

	map[n++] = (struct memmap_entry){ 0, LAYOUT_EBDA, E820_RAM };
	map[n++] = (struct memmap_entry){ LAYOUT_EBDA, LAYOUT_HIGH_MEMORY - LAYOUT_EBDA,
					  E820_RESERVED };
	for (unsigned int i = 0; i < ranges; i++) {
		uint64_t start = range[i].gpa, end = range[i].gpa + range[i].size;

		if (start < LAYOUT_HIGH_MEMORY)
			start = LAYOUT_HIGH_MEMORY;
		if (start < end)
			map[n++] = (struct memmap_entry){ start, end - start, E820_RAM };
	}
	return n;
}

static int write_cmdline(const struct hostmem *mem, const char *cmdline)
{
	size_t len = strlen(cmdline) + 1;
	char *to = hostmem_lookup(mem, LAYOUT_CMDLINE, len, true);

	if (!to)
		return -EFAULT;
	memcpy(to, cmdline, len);
	return 0;
}

/*
 * Write a setup_data node with a seed for the kernel's random number generator, so that the kernel
 * need not wait for entropy. If getrandom fails, there is no seed; the kernel boots without it.
 * `next` is the GPA of the setup_data node that follows (0: none). Returns the GPA of the first
 * node, or 0.
 */
static uint64_t write_rng_seed(const struct hostmem *mem, uint64_t next)
{
	uint8_t seed[RNG_SEED_SIZE];
	struct setup_data *node =
		hostmem_lookup(mem, LAYOUT_SETUP_DATA, sizeof(*node) + sizeof(seed), true);

	if (!node || getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return next;
	node->next = next;
	node->type = SETUP_RNG_SEED;
	node->len = sizeof(seed);
	memcpy(node->data, seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
	return LAYOUT_SETUP_DATA;
}

static void fill_header(struct boot_params *params, const struct boot_kernel *kernel,
			const struct boot_initrd *initrd, uint64_t setup_data)
{
	struct setup_header *hdr = &params->hdr;

	*hdr = kernel->hdr;
	hdr->vid_mode = VID_MODE_NORMAL;
	hdr->type_of_loader = LOADER_UNASSIGNED;
	hdr->loadflags &= (uint8_t)~KEEP_SEGMENTS;
	hdr->code32_start = (uint32_t)kernel->start;
	hdr->cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	hdr->ramdisk_image = (uint32_t)initrd->gpa;
	hdr->ramdisk_size = (uint32_t)initrd->size;
	params->ext_ramdisk_image = (uint32_t)(initrd->gpa >> 32);
	params->ext_ramdisk_size = (uint32_t)(initrd->size >> 32);
	hdr->setup_data = setup_data;
}

static int write_boot_params(const struct arch_boot_config *config,
			     const struct boot_kernel *kernel, const struct boot_initrd *initrd)
{
	struct boot_params *params =
		hostmem_lookup(config->mem, LAYOUT_BOOT_PARAMS, sizeof(*params), true);
	struct memmap_entry map[MEMMAP_MAX];

	if (!params)
		return -EFAULT;
	memset(params, 0, sizeof(*params));
	fill_header(params, kernel, initrd,
		    write_rng_seed(config->mem, kernel->wants_tree ? LAYOUT_TREE : 0));
	params->acpi_rsdp_addr = kernel->wants_tree ? 0 : LAYOUT_ACPI;
	params->e820_entries = (uint8_t)memory_map(config->ram_size, map);
	for (unsigned int i = 0; i < params->e820_entries; i++)
		params->e820_table[i] =
			(struct boot_e820_entry){ map[i].addr, map[i].size, map[i].type };
	return 0;
}

static int write_pvh(const struct arch_boot_config *config, const struct boot_initrd *initrd)
{
	struct pvh_page *page = hostmem_lookup(config->mem, LAYOUT_PVH_INFO, sizeof(*page), true);
	struct memmap_entry map[MEMMAP_MAX];
	struct hvm_start_info *info;

	if (!page)
		return -EFAULT;
	memset(page, 0, sizeof(*page));
	info = &page->info;
	info->magic = PVH_MAGIC;
	info->version = PVH_MEMMAP_VERSION;
	info->cmdline_paddr = LAYOUT_CMDLINE;
	info->rsdp_paddr = LAYOUT_ACPI;
	info->memmap_paddr = LAYOUT_PVH_INFO + offsetof(struct pvh_page, memmap);
	info->memmap_entries = memory_map(config->ram_size, map);
	for (unsigned int i = 0; i < info->memmap_entries; i++)
		page->memmap[i] =
			(struct hvm_memmap_entry){ map[i].addr, map[i].size, map[i].type, 0 };
	if (initrd->size) {
		info->nr_modules = 1;
		info->modlist_paddr = LAYOUT_PVH_INFO + offsetof(struct pvh_page, initrd);
		page->initrd.paddr = initrd->gpa;
		page->initrd.size = initrd->size;
	}
	return 0;
}

int bootparams_write(const struct arch_boot_config *config, const struct boot_kernel *kernel,
		     const struct boot_initrd *initrd)
{
	int err = write_cmdline(config->mem, config->cmdline);

	if (err)
		return err;
	if (kernel->boot.entry == BOOT_ENTRY_PVH)
		return write_pvh(config, initrd);
	return write_boot_params(config, kernel, initrd);
}
