/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * devtree: writes a device tree (Devicetree Specification 0.4, and the kernel's bindings) into a
 * buffer, from its beginning to its end, by libfdt. Main thread, set-up only.
 *
 * The first error stays, and what follows it is dropped: check once, by devtree_finish. Numbers are
 * given as the host has them. Addresses and sizes are two cells each, but for I/O ports.
 */
#ifndef VMM_DEVTREE_H
#define VMM_DEVTREE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/file.h"

struct devtree {
	void *fdt;
	int err;
};

/* The root node is open afterwards; `interrupt_parent` is the phandle of who takes interrupts. */
void devtree_start(struct devtree *tree, void *area, size_t size, uint32_t interrupt_parent);
/* Closes it. -ENOSPC: the tree does not fit into `size` bytes. */
int devtree_finish(struct devtree *tree);

void devtree_begin(struct devtree *tree, const char *name);
void devtree_begin_at(struct devtree *tree, const char *name, uint64_t unit); /* name@unit */
void devtree_end(struct devtree *tree);

/* Properties of the node that was begun last, before any node in it. */
void devtree_put(struct devtree *tree, const char *name, const void *data, size_t len);
void devtree_put_text(struct devtree *tree, const char *name, const char *text);
void devtree_put_cell(struct devtree *tree, const char *name, uint32_t value);
/* Up to so many of them. */
#define DEVTREE_CELLS_MAX 16
void devtree_put_cells(struct devtree *tree, const char *name, const uint32_t *value,
		       unsigned int count);
/* Addresses and sizes, of two cells each. */
void devtree_put_wide(struct devtree *tree, const char *name, const uint64_t *value,
		      unsigned int count);
/* Random bytes. Nothing when there are none (getrandom has failed): kernels boot as well. */
#define DEVTREE_SEED_MAX 32
void devtree_put_seed(struct devtree *tree, const char *name, size_t len);

/* ---- nodes that all machines have ---- */

/* /chosen; left open, for what only one architecture says there. `ports`: the node that devices at
 * I/O ports are in, "" where there are none. */
void devtree_begin_chosen(struct devtree *tree, const struct arch_boot_config *config,
			  const struct boot_initrd *initrd, const char *ports);
void devtree_memory(struct devtree *tree, const struct arch_ram_range *range, unsigned int count);
/* /cpus, left open; a processor in it, left open: its name for the machine is its reg. */
void devtree_begin_cpus(struct devtree *tree);
void devtree_begin_cpu(struct devtree *tree, uint32_t id);

/* A device that a kernel finds by the tree, with its interrupt as the controller wants it: `count`
 * cells, 0: none. One at an I/O port is a child of the bus node (bindings of ISA). Nothing for
 * kinds that no binding knows. */
void devtree_device(struct devtree *tree, const struct dev_desc *desc, const uint32_t *interrupt,
		    unsigned int count);

#endif
