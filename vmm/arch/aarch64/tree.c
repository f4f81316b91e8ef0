/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

#define GIC_PHANDLE  1
#define GIC_PATH     "/interrupt-controller@8000000"
#define GICV3	     "arm,gic-v3"
#define GICV2	     "arm,cortex-a15-gic" /* what KVM's is a model of, in this binding */
#define ROOM_TO_EDIT 256

/* Interrupt specifiers of the GIC (bindings/interrupt-controller/arm,gic-v3.yaml). */
#define IRQ_SHARED   0
#define IRQ_PRIVATE  1
#define IRQ_EDGE     1
#define IRQ_LEVEL    4 /* active high */

#define SERIAL_CLOCK 1843200
#define RNG_SEED     32
#define KASLR_SEED   8

/* The tree as it is written: the first error stays. */
struct writer {
	void *fdt;
	int err;
};

static void keep(struct writer *w, int err)
{
	if (!w->err)
		w->err = err;
}

static void begin(struct writer *w, const char *name)
{
	keep(w, fdt_begin_node(w->fdt, name));
}

static void begin_at(struct writer *w, const char *name, uint64_t unit)
{
	char text[64];

	snprintf(text, sizeof(text), "%s@%" PRIx64, name, unit);
	begin(w, text);
}

static void end(struct writer *w)
{
	keep(w, fdt_end_node(w->fdt));
}

static void put(struct writer *w, const char *name, const void *data, size_t len)
{
	keep(w, fdt_property(w->fdt, name, data, (int)len));
}

static void put_text(struct writer *w, const char *name, const char *text)
{
	put(w, name, text, strlen(text) + 1);
}

static void put_cell(struct writer *w, const char *name, uint32_t value)
{
	keep(w, fdt_property_u32(w->fdt, name, value));
}

static void put_u64(struct writer *w, const char *name, uint64_t value)
{
	keep(w, fdt_property_u64(w->fdt, name, value));
}

static void put_cells(struct writer *w, const char *name, const uint32_t *value, unsigned int n)
{
	uint32_t cell[16];

	for (unsigned int i = 0; i < n; i++)
		cell[i] = htobe32(value[i]);
	put(w, name, cell, n * sizeof(*cell));
}

static void put_reg(struct writer *w, uint64_t base, uint64_t size)
{
	uint64_t reg[] = { htobe64(base), htobe64(size) };

	put(w, "reg", reg, sizeof(reg));
}

/* Without a seed (getrandom has failed) the kernel boots as well. */
static void put_seed(struct writer *w, const char *name, size_t len)
{
	uint8_t seed[RNG_SEED];

	if (getrandom(seed, len, 0) == (ssize_t)len)
		put(w, name, seed, len);
	explicit_bzero(seed, sizeof(seed));
}

static void put_chosen(struct writer *w, const struct arch_boot_config *config,
		       const struct boot_initrd *initrd)
{
	begin(w, "chosen");
	put_text(w, "bootargs", config->cmdline);
	for (unsigned int i = 0; i < config->devices->count; i++) {
		const struct dev_desc *desc = &config->devices->dev[i];
		char path[64];

		if (desc->kind != DEV_SERIAL)
			continue;
		snprintf(path, sizeof(path), "/serial@%" PRIx64, desc->base);
		put_text(w, "stdout-path", path);
	}
	if (initrd->size) {
		put_u64(w, "linux,initrd-start", initrd->gpa);
		put_u64(w, "linux,initrd-end", initrd->gpa + initrd->size);
	}
	put_seed(w, "rng-seed", RNG_SEED);
	put_seed(w, "kaslr-seed", KASLR_SEED);
	end(w);
}

static void put_memory(struct writer *w, uint64_t size)
{
	begin_at(w, "memory", LAYOUT_RAM);
	put_text(w, "device_type", "memory");
	put_reg(w, LAYOUT_RAM, size);
	end(w);
}

static void put_cpus(struct writer *w, unsigned int cpus)
{
	begin(w, "cpus");
	put_cell(w, "#address-cells", 1);
	put_cell(w, "#size-cells", 0);
	for (unsigned int i = 0; i < cpus; i++) {
		begin_at(w, "cpu", vcpu_affinity(i));
		put_text(w, "device_type", "cpu");
		put_text(w, "compatible", "arm,armv8");
		put_cell(w, "reg", vcpu_affinity(i));
		put_text(w, "enable-method", "psci");
		end(w);
	}
	end(w);
}

static void put_psci(struct writer *w)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(w, "psci");
	put(w, "compatible", compatible, sizeof(compatible));
	put_text(w, "method", "hvc");
	end(w);
}

static void put_gic(struct writer *w, unsigned int cpus)
{
	uint64_t reg[] = { htobe64(LAYOUT_GICD), htobe64(LAYOUT_GICD_SIZE), htobe64(LAYOUT_GICR),
			   htobe64(LAYOUT_GICR_SIZE * cpus) };

	begin_at(w, "interrupt-controller", LAYOUT_GICD);
	put_text(w, "compatible", GICV3);
	put(w, "interrupt-controller", NULL, 0);
	put_cell(w, "#interrupt-cells", 3);
	put_cell(w, "#address-cells", 0);
	put(w, "reg", reg, sizeof(reg));
	put_cell(w, "phandle", GIC_PHANDLE);
	end(w);
}

/* Its private interrupts: secure, non-secure, virtual and hypervisor's (bindings/timer). */
static void put_timer(struct writer *w)
{
	static const uint32_t interrupts[] = {
		IRQ_PRIVATE, 13, IRQ_LEVEL, IRQ_PRIVATE, 14, IRQ_LEVEL,
		IRQ_PRIVATE, 11, IRQ_LEVEL, IRQ_PRIVATE, 10, IRQ_LEVEL,
	};

	begin(w, "timer");
	put_text(w, "compatible", "arm,armv8-timer");
	put_cells(w, "interrupts", interrupts, ARRAY_SIZE(interrupts));
	put(w, "always-on", NULL, 0);
	end(w);
}

static void put_device(struct writer *w, const struct dev_desc *desc, const char *name,
		       const char *compatible)
{
	uint32_t interrupt[] = { IRQ_SHARED, desc->gsi, IRQ_EDGE };

	begin_at(w, name, desc->base);
	put_text(w, "compatible", compatible);
	put_reg(w, desc->base, desc->size);
	put_cells(w, "interrupts", interrupt, ARRAY_SIZE(interrupt));
	if (desc->kind == DEV_SERIAL)
		put_cell(w, "clock-frequency", SERIAL_CLOCK);
	else
		put(w, "dma-coherent", NULL, 0);
	end(w);
}

static void put_devices(struct writer *w, const struct devlist *devices)
{
	for (unsigned int i = 0; i < devices->count; i++) {
		const struct dev_desc *desc = &devices->dev[i];

		if (desc->kind == DEV_SERIAL)
			put_device(w, desc, "serial", "ns16550a");
		else if (desc->kind == DEV_VIRTIO_BLK)
			put_device(w, desc, "virtio", "virtio,mmio");
	}
}

int tree_build(void *tree, size_t size, const struct arch_boot_config *config,
	       const struct boot_initrd *initrd)
{
	struct writer w = { .fdt = tree };

	keep(&w, fdt_create(tree, (int)size));
	keep(&w, fdt_finish_reservemap(tree));
	begin(&w, "");
	put_text(&w, "compatible", "linux,dummy-virt");
	put_text(&w, "model", "microvm");
	put_cell(&w, "#address-cells", 2);
	put_cell(&w, "#size-cells", 2);
	put_cell(&w, "interrupt-parent", GIC_PHANDLE);
	put_chosen(&w, config, initrd);
	put_memory(&w, config->ram_size);
	put_cpus(&w, config->cpus);
	put_psci(&w);
	put_gic(&w, config->cpus);
	put_timer(&w);
	put_devices(&w, config->devices);
	end(&w);
	keep(&w, fdt_finish(tree));
	/* The writer makes no other mistakes. */
	return w.err ? -ENOSPC : 0;
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
