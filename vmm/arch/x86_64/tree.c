/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device tree of the x86_64 machine, for Linux kernels with CONFIG_OF.
 *
 * The bindings are those of the CE4100, the only PC that was described by a device tree
 * (Documentation/x86/booting-dt.rst; bindings/interrupt-controller/intel,ce4100-*.yaml).
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <libfdt.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/boot.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/boot/fdt.h"

#define IOAPIC_PHANDLE 1
#define POWER_PHANDLE  2
#define APIC_SIZE      0x1000u
#define PORTS	       "/isa@1,0" /* path of the ISA bus node */
#define PORTS_END      0x10000u
#define IRQ_EDGE_HIGH  3 /* second cell of an interrupt of the I/O APIC */

static void put_cpus(struct devtree *tree, unsigned int cpus)
{
	devtree_begin_cpus(tree);
	for (unsigned int id = 0; id < cpus; id++) {
		devtree_begin_cpu(tree, id); /* reg is the APIC ID */
		devtree_end(tree);
	}
	devtree_end(tree);
}

static void begin_apic(struct devtree *tree, const char *compatible, uint64_t at)
{
	uint64_t reg[] = { at, APIC_SIZE };

	devtree_begin_at(tree, "interrupt-controller", at);
	devtree_put_text(tree, "compatible", compatible);
	devtree_put(tree, "interrupt-controller", NULL, 0);
	devtree_put_cell(tree, "#interrupt-cells", 2);
	devtree_put_cell(tree, "#address-cells", 0);
	devtree_put_wide(tree, "reg", reg, ARRAY_SIZE(reg));
}

static void put_apics(struct devtree *tree)
{
	begin_apic(tree, "intel,ce4100-lapic", LAYOUT_LAPIC);
	/* The interrupts do not pass through a PIC. */
	devtree_put(tree, "intel,virtual-wire-mode", NULL, 0);
	devtree_end(tree);
	begin_apic(tree, "intel,ce4100-ioapic", LAYOUT_IOAPIC);
	devtree_put_cell(tree, "phandle", IOAPIC_PHANDLE);
	devtree_end(tree);
}

/* Add the power-off register (bindings/mfd/syscon.yaml, power/reset/syscon-poweroff.yaml). */
static void put_power(struct devtree *tree, const struct dev_desc *desc)
{
	uint64_t reg[] = { desc->base, desc->size };

	devtree_begin_at(tree, "syscon", desc->base);
	devtree_put_text(tree, "compatible", "syscon");
	devtree_put_wide(tree, "reg", reg, ARRAY_SIZE(reg));
	devtree_put_cell(tree, "reg-io-width", 1);
	devtree_put_cell(tree, "phandle", POWER_PHANDLE);
	devtree_end(tree);
	devtree_begin(tree, "poweroff");
	devtree_put_text(tree, "compatible", "syscon-poweroff");
	devtree_put_cell(tree, "regmap", POWER_PHANDLE);
	devtree_put_cell(tree, "offset", ACPI_PM_SLEEP_CONTROL);
	devtree_put_cell(tree, "value",
			 ACPI_SLEEP_ENABLE | ACPI_SLEEP_TYPE_S5 << ACPI_SLEEP_TYPE_SHIFT);
	devtree_end(tree);
}

static void put_devices(struct devtree *tree, const struct devlist *devices, bool pio)
{
	for (unsigned int i = 0; i < devices->count; i++) {
		const struct dev_desc *desc = &devices->dev[i];
		uint32_t interrupt[] = { desc->gsi, IRQ_EDGE_HIGH };

		if (desc->pio != pio)
			continue;
		if (desc->kind == DEV_ACPI_PM)
			put_power(tree, desc);
		else
			devtree_device(tree, desc, interrupt,
				       desc->gsi == DEV_NO_GSI ? 0 : ARRAY_SIZE(interrupt));
	}
}

/* Add the ISA bus node, in whose address space the I/O ports are. */
static void put_ports(struct devtree *tree, const struct devlist *devices)
{
	static const uint32_t ranges[] = { 1, 0, 0, 0, PORTS_END };

	devtree_begin(tree, &PORTS[1]);
	devtree_put_text(tree, "compatible", "isa");
	devtree_put_cell(tree, "#address-cells", 2);
	devtree_put_cell(tree, "#size-cells", 1);
	devtree_put_cells(tree, "ranges", ranges, ARRAY_SIZE(ranges));
	put_devices(tree, devices, true);
	devtree_end(tree);
}

static int build(void *area, size_t size, const struct arch_boot_config *config,
		 const struct boot_initrd *initrd)
{
	struct arch_ram_range ram[ARCH_MAX_RAM_RANGES];
	struct devtree tree;

	devtree_start(&tree, area, size, IOAPIC_PHANDLE);
	devtree_begin_chosen(&tree, config, initrd, PORTS);
	devtree_end(&tree);
	devtree_memory(&tree, ram, arch_ram_layout(config->ram_size, ram));
	put_cpus(&tree, config->cpus);
	put_apics(&tree);
	put_ports(&tree, config->devices);
	put_devices(&tree, config->devices, false);
	return devtree_finish(&tree);
}

int tree_write(const struct arch_boot_config *config, const struct boot_initrd *initrd,
	       const void **tree)
{
	struct setup_data *node = hostmem_lookup(config->mem, LAYOUT_TREE, LAYOUT_TREE_SIZE, true);
	int err;

	if (!node)
		return -EFAULT;
	err = build(node->data, LAYOUT_TREE_SIZE - sizeof(*node), config, initrd);
	if (err)
		return err;
	node->next = 0;
	node->type = SETUP_DTB;
	node->len = fdt_totalsize(node->data);
	*tree = node->data;
	return 0;
}
