/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/boot/fdt.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/base.h"

#define SERIAL_CLOCK 1843200
#define RNG_SEED     32
#define REG_PORT     1 /* first cell of an ISA bus address: an I/O port */

/* Node names and bindings by kind of device; kinds without a binding have no name. */
static const struct {
	const char *name;
	const char *compatible;
} kinds[] = {
	[DEV_SERIAL] = { "serial", "ns16550a" },
	[DEV_VIRTIO_BLK] = { "virtio", "virtio,mmio" },
	[DEV_PVPANIC] = { "pvpanic", "qemu,pvpanic-mmio" },
	[DEV_EXIT_PORT] = { "exit-port", "microvm,exit-port" },
};

static void keep(struct devtree *tree, int err)
{
	if (!tree->err)
		tree->err = err;
}

void devtree_start(struct devtree *tree, void *area, size_t size, uint32_t interrupt_parent)
{
	*tree = (struct devtree){ .fdt = area };
	keep(tree, fdt_create(area, (int)size));
	keep(tree, fdt_finish_reservemap(area));
	devtree_begin(tree, "");
	devtree_put_text(tree, "compatible", "linux,dummy-virt");
	devtree_put_text(tree, "model", "microvm");
	devtree_put_cell(tree, "#address-cells", 2);
	devtree_put_cell(tree, "#size-cells", 2);
	devtree_put_cell(tree, "interrupt-parent", interrupt_parent);
}

int devtree_finish(struct devtree *tree)
{
	devtree_end(tree);
	keep(tree, fdt_finish(tree->fdt));
	/* The callers make no other mistakes, so any error means that the area is too small. */
	return tree->err ? -ENOSPC : 0;
}

void devtree_begin(struct devtree *tree, const char *name)
{
	keep(tree, fdt_begin_node(tree->fdt, name));
}

void devtree_begin_at(struct devtree *tree, const char *name, uint64_t unit)
{
	char text[64];

	snprintf(text, sizeof(text), "%s@%" PRIx64, name, unit);
	devtree_begin(tree, text);
}

void devtree_end(struct devtree *tree)
{
	keep(tree, fdt_end_node(tree->fdt));
}

void devtree_put(struct devtree *tree, const char *name, const void *data, size_t len)
{
	keep(tree, fdt_property(tree->fdt, name, data, (int)len));
}

void devtree_put_text(struct devtree *tree, const char *name, const char *text)
{
	devtree_put(tree, name, text, strlen(text) + 1);
}

void devtree_put_cell(struct devtree *tree, const char *name, uint32_t value)
{
	devtree_put_cells(tree, name, &value, 1);
}

void devtree_put_cells(struct devtree *tree, const char *name, const uint32_t *value,
		       unsigned int count)
{
	uint32_t cell[DEVTREE_CELLS_MAX];

	for (unsigned int i = 0; i < count; i++)
		cell[i] = htobe32(value[i]);
	devtree_put(tree, name, cell, count * sizeof(*cell));
}

void devtree_put_wide(struct devtree *tree, const char *name, const uint64_t *value,
		      unsigned int count)
{
	uint32_t cell[DEVTREE_CELLS_MAX];

	for (unsigned int i = 0; i < count; i++) {
		cell[2 * i] = (uint32_t)(value[i] >> 32);
		cell[2 * i + 1] = (uint32_t)value[i];
	}
	devtree_put_cells(tree, name, cell, 2 * count);
}

void devtree_put_seed(struct devtree *tree, const char *name, size_t len)
{
	uint8_t seed[DEVTREE_SEED_MAX];

	if (getrandom(seed, len, 0) == (ssize_t)len)
		devtree_put(tree, name, seed, len);
	explicit_bzero(seed, sizeof(seed));
}

static void put_console(struct devtree *tree, const struct devlist *devices, const char *ports)
{
	for (unsigned int i = 0; i < devices->count; i++) {
		const struct dev_desc *desc = &devices->dev[i];
		char path[64];

		if (desc->kind != DEV_SERIAL)
			continue;
		snprintf(path, sizeof(path), "%s/%s@%" PRIx64, ports, kinds[DEV_SERIAL].name,
			 desc->base);
		devtree_put_text(tree, "stdout-path", path);
	}
}

void devtree_begin_chosen(struct devtree *tree, const struct arch_boot_config *config,
			  const struct boot_initrd *initrd, const char *ports)
{
	uint64_t end = initrd->gpa + initrd->size;

	devtree_begin(tree, "chosen");
	devtree_put_text(tree, "bootargs", config->cmdline);
	put_console(tree, config->devices, ports);
	if (initrd->size) {
		devtree_put_wide(tree, "linux,initrd-start", &initrd->gpa, 1);
		devtree_put_wide(tree, "linux,initrd-end", &end, 1);
	}
	devtree_put_seed(tree, "rng-seed", RNG_SEED);
}

void devtree_memory(struct devtree *tree, const struct arch_ram_range *range, unsigned int count)
{
	uint64_t reg[2 * ARCH_MAX_RAM_RANGES];

	for (unsigned int i = 0; i < count; i++) {
		reg[2 * i] = range[i].gpa;
		reg[2 * i + 1] = range[i].size;
	}
	devtree_begin_at(tree, "memory", range[0].gpa);
	devtree_put_text(tree, "device_type", "memory");
	devtree_put_wide(tree, "reg", reg, 2 * count);
	devtree_end(tree);
}

void devtree_begin_cpus(struct devtree *tree)
{
	devtree_begin(tree, "cpus");
	devtree_put_cell(tree, "#address-cells", 1);
	devtree_put_cell(tree, "#size-cells", 0);
}

void devtree_begin_cpu(struct devtree *tree, uint32_t id)
{
	devtree_begin_at(tree, "cpu", id);
	devtree_put_text(tree, "device_type", "cpu");
	devtree_put_cell(tree, "reg", id);
}

static void put_reg(struct devtree *tree, const struct dev_desc *desc)
{
	uint32_t port[] = { REG_PORT, (uint32_t)desc->base, desc->size };
	uint64_t wide[] = { desc->base, desc->size };

	if (desc->pio)
		devtree_put_cells(tree, "reg", port, ARRAY_SIZE(port));
	else
		devtree_put_wide(tree, "reg", wide, ARRAY_SIZE(wide));
}

void devtree_device(struct devtree *tree, const struct dev_desc *desc, const uint32_t *interrupt,
		    unsigned int count)
{
	if (desc->kind >= ARRAY_SIZE(kinds) || !kinds[desc->kind].name)
		return;
	devtree_begin_at(tree, kinds[desc->kind].name, desc->base);
	devtree_put_text(tree, "compatible", kinds[desc->kind].compatible);
	put_reg(tree, desc);
	if (count)
		devtree_put_cells(tree, "interrupts", interrupt, count);
	if (desc->kind == DEV_SERIAL)
		devtree_put_cell(tree, "clock-frequency", SERIAL_CLOCK);
	else if (desc->kind == DEV_VIRTIO_BLK)
		devtree_put(tree, "dma-coherent", NULL, 0);
	devtree_end(tree);
}
