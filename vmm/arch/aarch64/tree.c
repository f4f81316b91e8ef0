/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <errno.h>
#include <libfdt.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/boot/fdt.h"

#define GIC_PHANDLE  1
#define GIC_PATH     "/interrupt-controller@8000000"
#define GICV3	     "arm,gic-v3"
#define GICV2	     "arm,cortex-a15-gic" /* the binding's name for the GICv2 that KVM emulates */
#define ROOM_TO_EDIT 256

/* Interrupt specifiers of the GIC (bindings/interrupt-controller/arm,gic-v3.yaml). */
#define IRQ_SHARED  0
#define IRQ_PRIVATE 1
#define IRQ_EDGE    1
#define IRQ_LEVEL   4 /* active high */

#define KASLR_SEED  8

static void put_chosen(struct devtree *tree, const struct arch_boot_config *config,
		       const struct boot_initrd *initrd)
{
	devtree_begin_chosen(tree, config, initrd, "");
	devtree_put_seed(tree, "kaslr-seed", KASLR_SEED);
	devtree_end(tree);
}

static void put_cpus(struct devtree *tree, unsigned int cpus)
{
	devtree_begin_cpus(tree);
	for (unsigned int i = 0; i < cpus; i++) {
		devtree_begin_cpu(tree, vcpu_affinity(i));
		devtree_put_text(tree, "compatible", "arm,armv8");
		devtree_put_text(tree, "enable-method", "psci");
		devtree_end(tree);
	}
	devtree_end(tree);
}

static void put_psci(struct devtree *tree)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	devtree_begin(tree, "psci");
	devtree_put(tree, "compatible", compatible, sizeof(compatible));
	devtree_put_text(tree, "method", "hvc");
	devtree_end(tree);
}

static void put_gic(struct devtree *tree, unsigned int cpus)
{
	uint64_t reg[] = { LAYOUT_GICD, LAYOUT_GICD_SIZE, LAYOUT_GICR, LAYOUT_GICR_SIZE * cpus };

	devtree_begin_at(tree, "interrupt-controller", LAYOUT_GICD);
	devtree_put_text(tree, "compatible", GICV3);
	devtree_put(tree, "interrupt-controller", NULL, 0);
	devtree_put_cell(tree, "#interrupt-cells", 3);
	devtree_put_cell(tree, "#address-cells", 0);
	devtree_put_wide(tree, "reg", reg, ARRAY_SIZE(reg));
	devtree_put_cell(tree, "phandle", GIC_PHANDLE);
	devtree_end(tree);
}

/* Add the architected timer with its private interrupts: secure physical, non-secure physical,
 * virtual and hypervisor physical (bindings/timer). */
static void put_timer(struct devtree *tree)
{
	static const uint32_t interrupts[] = {
		IRQ_PRIVATE, 13, IRQ_LEVEL, IRQ_PRIVATE, 14, IRQ_LEVEL,
		IRQ_PRIVATE, 11, IRQ_LEVEL, IRQ_PRIVATE, 10, IRQ_LEVEL,
	};

	devtree_begin(tree, "timer");
	devtree_put_text(tree, "compatible", "arm,armv8-timer");
	devtree_put_cells(tree, "interrupts", interrupts, ARRAY_SIZE(interrupts));
	devtree_put(tree, "always-on", NULL, 0);
	devtree_end(tree);
}

static void put_devices(struct devtree *tree, const struct devlist *devices)
{
	for (unsigned int i = 0; i < devices->count; i++) {
		uint32_t interrupt[] = { IRQ_SHARED, devices->dev[i].gsi, IRQ_EDGE };

		devtree_device(tree, &devices->dev[i], interrupt,
			       devices->dev[i].gsi == DEV_NO_GSI ? 0 : ARRAY_SIZE(interrupt));
	}
}

int tree_build(void *area, size_t size, const struct arch_boot_config *config,
	       const struct boot_initrd *initrd)
{
	struct arch_ram_range ram = { LAYOUT_RAM, config->ram_size };
	struct devtree tree;

	devtree_start(&tree, area, size, GIC_PHANDLE);
	put_chosen(&tree, config, initrd);
	devtree_memory(&tree, &ram, 1);
	put_cpus(&tree, config->cpus);
	put_psci(&tree);
	put_gic(&tree, config->cpus);
	put_timer(&tree);
	put_devices(&tree, config->devices);
	return devtree_finish(&tree);
}

int tree_use_gicv2(void *tree, size_t size)
{
	uint64_t reg[] = { htobe64(LAYOUT_GICD), htobe64(LAYOUT_GICC_SIZE / 2),
			   htobe64(LAYOUT_GICC), htobe64(LAYOUT_GICC_SIZE) };
	size_t room = fdt_totalsize(tree) + ROOM_TO_EDIT;
	int node;

	if (room > size || fdt_open_into(tree, tree, (int)room))
		return -ENOSPC;
	node = fdt_path_offset(tree, GIC_PATH);
	if (node < 0 || fdt_setprop_string(tree, node, "compatible", GICV2) ||
	    fdt_setprop(tree, node, "reg", reg, sizeof(reg)) || fdt_pack(tree))
		return -ENOSPC;
	return 0;
}
