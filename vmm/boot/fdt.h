/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * devtree: sequential writer of flattened device trees, based on libfdt.
 *
 * The output follows the Devicetree Specification 0.4 and the kernel's bindings. Main thread,
 * set-up only.
 *
 * The writer keeps the first error and ignores later ones; devtree_finish returns it, so the caller
 * checks only there. Numbers are passed in host byte order. Addresses and sizes have two cells
 * each, except for I/O ports.
 */
#ifndef VMM_BOOT_FDT_H
#define VMM_BOOT_FDT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/initrd.h"

struct devtree {
	void *fdt;
	int err;
};

/* Start a tree in `area` (`size` bytes) and leave its root node open. `interrupt_parent` is the
 * phandle of the interrupt controller. */
void devtree_start(struct devtree *tree, void *area, size_t size, uint32_t interrupt_parent);
/*
 * Close the root node and complete the tree. Returns 0, or -ENOSPC if it does not fit in the area.
 */
int devtree_finish(struct devtree *tree);

void devtree_begin(struct devtree *tree, const char *name);
void devtree_begin_at(struct devtree *tree, const char *name, uint64_t unit); /* name@unit */
void devtree_end(struct devtree *tree);

/*
 * Add a property to the node that was begun last. A node's properties come before its child nodes.
 */
void devtree_put(struct devtree *tree, const char *name, const void *data, size_t len);
void devtree_put_text(struct devtree *tree, const char *name, const char *text);
void devtree_put_cell(struct devtree *tree, const char *name, uint32_t value);
/* Largest number of cells in one property. */
#define DEVTREE_CELLS_MAX 16
void devtree_put_cells(struct devtree *tree, const char *name, const uint32_t *value,
		       unsigned int count);
/* Add a property of 64-bit addresses and sizes, two cells each; at most DEVTREE_CELLS_MAX cells. */
void devtree_put_wide(struct devtree *tree, const char *name, const uint64_t *value,
		      unsigned int count);
#define DEVTREE_SEED_MAX 32 /* bytes */
/* Add a property of `len` random bytes (at most DEVTREE_SEED_MAX). If getrandom fails, the property
 * is left out; kernels boot without it. */
void devtree_put_seed(struct devtree *tree, const char *name, size_t len);

/* ---- nodes that all machines have ---- */

/* Begin /chosen and leave it open for properties of one architecture. `ports` is the path of the
 * node that contains the devices at I/O ports, "" if there is none. */
void devtree_begin_chosen(struct devtree *tree, const struct arch_boot_config *config,
			  const struct boot_initrd *initrd, const char *ports);
void devtree_memory(struct devtree *tree, const struct arch_ram_range *range, unsigned int count);
/* Begin /cpus and leave it open for its processors. */
void devtree_begin_cpus(struct devtree *tree);
/* Begin a processor node in /cpus and leave it open; `id` is its hardware ID, the reg property. */
void devtree_begin_cpu(struct devtree *tree, uint32_t id);

/*
 * Add the node of a device that kernels find in the device tree. `interrupt` is its interrupt
 * specifier of `count` cells, in the controller's format; count 0: no interrupt. A device at an I/O
 * port must be a child of the ISA bus node. Device kinds without a binding are skipped.
 */
void devtree_device(struct devtree *tree, const struct dev_desc *desc, const uint32_t *interrupt,
		    unsigned int count);

#endif
